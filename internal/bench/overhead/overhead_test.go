package overhead_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/internal/bench/overhead"
)

// short is one short run, whose times say nothing: allocations are exact, and
// the rest is shape.
func short(t *testing.T) []overhead.Row {
	t.Helper()
	rows, err := overhead.Run(t.Context(), overhead.Cases(), overhead.Short, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestShortRun(t *testing.T) {
	rows := short(t)
	t.Run("it writes every case with every system it has", func(t *testing.T) { completeIn(t, rows) })
	t.Run("it measures what an operation allocates", func(t *testing.T) { allocationsIn(t, rows) })
	t.Run("it writes a CSV that reads back", func(t *testing.T) { csvOf(t, rows) })
	t.Run("it draws a mark for each row", func(t *testing.T) { picture(t, rows) })
	t.Run("it prints every row, and the rows we lose", func(t *testing.T) { tableOf(t, rows) })
}

var (
	everyone = []string{"bare call", "gobreaker", "retry-go+gobreaker", "failsafe-go", "fortify", "understudy"}
	breakers = everyone[1:] // where a call is refused there is nothing bare
	streams  = []string{"bare call", "understudy", "understudy, idle clock"}
	alone    = []string{"understudy, without", "understudy"}
	beside   = append(alone[:2:2], "failsafe-go")
)

var wanted = map[string][]string{
	"retry+breaker":                  everyone,
	"retry+breaker+fallback":         everyone,
	"retry+breaker+fallback+timeout": everyone,
	"timeout, watched":               everyone,
	"full chain":                     everyone,
	"full chain+timeout":             everyone,
	"one retry, then success":        everyone,
	"breaker open":                   breakers,
	"breaker open, stand-in answers": breakers,
	"stream, per chunk":              streams,
	"goroutines=1":                   everyone,
	"goroutines=8":                   everyone,
	"goroutines=64":                  everyone,
	"goroutines=1024":                everyone,
	"agents=1":                       everyone,
	"agents=100":                     everyone,
	"agents=10000":                   everyone,
	"nested agents":                  everyone,
	"cast":                           alone,
	"identity":                       alone,
	"journal":                        alone,
	"pace":                           beside,
	"hedge":                          beside,
	"pool of 16":                     alone,
	"by key of 10,000":               alone,
	"shared":                         alone,
}

func completeIn(t *testing.T, rows []overhead.Row) {
	got := map[string][]string{}
	for _, r := range rows {
		got[r.Case] = append(got[r.Case], r.System)
		if r.Nanos <= 0 {
			t.Errorf("%s, %s: took %v ns", r.Case, r.System, r.Nanos)
		}
		if hasBreaker := slices.Contains(wanted[r.Case], "gobreaker"); hasBreaker != (r.Ratio > 0) {
			t.Errorf("%s, %s: ratio %v", r.Case, r.System, r.Ratio)
		}
		if r.System == "gobreaker" && r.Ratio != 1 {
			t.Errorf("%s: the bare breaker's ratio to itself is %v", r.Case, r.Ratio)
		}
	}
	if !maps.EqualFunc(got, wanted, slices.Equal[[]string]) {
		t.Errorf("got %v\nwant %v", got, wanted)
	}
}

// allocationsIn holds our numbers to what the README promises, and a few of the
// peers' to what they are known to be: a zero everywhere would be a broken scale.
func allocationsIn(t *testing.T, rows []overhead.Row) {
	most := map[string]int64{
		"retry+breaker+fallback+timeout": 4, // context.WithTimeout's
		"full chain+timeout":             4,
		"timeout, watched":               5, // and the channel
		"one retry, then success":        4, // the failure, its verdict, the breaker's memory of it, the second attempt
		"breaker open":                   2, // the refusal, and the failure it is told in
		"breaker open, stand-in answers": 3,
		"identity":                       2,
		"journal":                        18, // of a call that writes down one effect
		"hedge":                          12, // a goroutine, a channel and two contexts
	}
	if raceDetector {
		most["journal"] = 24 // it makes a sync.Pool forget
	}
	least := map[string]int64{"retry-go+gobreaker": 4, "failsafe-go": 10, "fortify": 2}
	for _, r := range rows {
		if limit := most[r.Case]; strings.HasPrefix(r.System, "understudy") && r.Allocs > limit {
			t.Errorf("%s: %s allocates %d times, at most %d are due", r.Case, r.System, r.Allocs, limit)
		}
		if r.Allocs < least[r.System] {
			t.Errorf("%s: %s is measured at %d allocations, fewer than it makes", r.Case, r.System, r.Allocs)
		}
		// A short run has few calls, over which a stream's opening, or a stray
		// allocation of the runtime's, is spread: some bytes and no allocation a call.
		if r.Allocs == 0 && r.Bytes >= 64 || r.Allocs > 0 && r.Bytes < 8 {
			t.Errorf("%s: %s allocates %d bytes in %d allocations", r.Case, r.System, r.Bytes, r.Allocs)
		}
	}
}

func csvOf(t *testing.T, rows []overhead.Row) {
	var file bytes.Buffer
	if err := overhead.WriteCSV(&file, rows); err != nil {
		t.Fatal(err)
	}
	if first, _, _ := strings.Cut(file.String(), "\n"); first != "case,system,ns_op,b_op,allocs_op,ratio_to_bare_breaker" {
		t.Errorf("the columns are %s", first)
	}
	lines, err := csv.NewReader(&file).ReadAll() // refuses lines of unequal length
	if err != nil || len(lines) != len(rows)+1 {
		t.Fatalf("%d lines for %d rows: %v", len(lines), len(rows), err)
	}
	for i, line := range lines[1:] {
		if line[0] != rows[i].Case || line[1] != rows[i].System {
			t.Errorf("line %d is of %v", i+1, line)
		}
		for column, text := range line[2:] {
			if text == "" && column == 3 && rows[i].Ratio == 0 {
				continue
			}
			if _, err := strconv.ParseFloat(text, 64); err != nil {
				t.Errorf("line %d: %v", i+1, err)
			}
		}
	}
}

func picture(t *testing.T, rows []overhead.Row) {
	var file bytes.Buffer
	if err := overhead.WriteSVG(&file, rows); err != nil {
		t.Fatal(err)
	}
	marks, dec := 0, xml.NewDecoder(&file)
	for {
		token, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			marks++
		}
	}
	if marks != len(rows) {
		t.Errorf("%d marks for %d rows", marks, len(rows))
	}
}

func tableOf(t *testing.T, rows []overhead.Row) {
	var page bytes.Buffer
	overhead.Print(&page, overhead.Cases(), rows)
	for _, r := range rows {
		if !strings.Contains(page.String(), "\n"+r.Case+": ") || !strings.Contains(page.String(), " "+r.System+"  ") {
			t.Errorf("%s, %s is missing", r.Case, r.System)
		}
	}
	if _, lost, ok := strings.Cut(page.String(), "rows we lose:\n"); !ok || strings.Count(lost, "\n") != max(len(overhead.Lost(rows)), 1) {
		t.Errorf("the rows we lose read\n%s", lost)
	}
}

func TestLost(t *testing.T) {
	row := func(c, system string, nanos float64) overhead.Row {
		return overhead.Row{Case: c, System: system, Nanos: nanos}
	}
	rows := []overhead.Row{
		row("a", "bare call", 1), row("a", "gobreaker", 9), row("a", "fortify", 11), row("a", "understudy", 10), row("a", "understudy, idle clock", 5),
		row("b", "gobreaker", 10), row("b", "understudy", 10),
		row("c", "gobreaker", 1),
	}
	want := []overhead.Loss{{Peer: rows[1], Ours: rows[3]}}
	if got := overhead.Lost(rows); !slices.Equal(got, want) {
		t.Errorf("it finds %v, want %v: only peers that are faster, in cases of ours", got, want)
	}
	var page bytes.Buffer
	overhead.Print(&page, nil, rows[5:7])
	if !strings.HasSuffix(page.String(), "rows we lose:\n  none\n") {
		t.Errorf("it does not say that nothing is lost:\n%s", page.String())
	}
}

func TestSystemsPassOnWhatTheAgentSays(t *testing.T) {
	for _, s := range overhead.Systems() {
		t.Run(s.Name, func(t *testing.T) {
			down := errors.New("down")
			op := s.Guard(func(context.Context, string) (string, error) { return "", down }, overhead.Policies{})
			if answer, err := op(t.Context()); answer != "" || !errors.Is(err, down) {
				t.Errorf("%q, %v", answer, err)
			}
		})
	}
}

func TestSystemsDoTheSameWork(t *testing.T) {
	for _, s := range overhead.Systems() {
		t.Run(s.Name, func(t *testing.T) {
			calls := 0
			var limited bool
			agent := func(ctx context.Context, req string) (string, error) {
				_, limited = ctx.Deadline()
				if calls++; calls < 4 {
					return "", errors.New("sick")
				}
				return req, nil
			}
			_, err := s.Guard(agent, overhead.Policies{Fallback: true, Timeout: true})(t.Context())
			if err != nil || calls != 4 {
				t.Errorf("it answers after %d calls with %v; three retries are its due", calls, err)
			}
			switch s.Name {
			case overhead.Bare, overhead.Breaker: // have no limit
			case "failsafe-go": // ends the context by a timer, without a deadline
			default:
				if !limited {
					t.Error("its attempts have no deadline")
				}
			}
		})
	}
}

func TestSystemsRecover(t *testing.T) {
	for _, s := range overhead.Systems()[2:] { // who have more than a breaker
		t.Run(s.Name, func(t *testing.T) {
			calls := 0
			down := func(context.Context, string) (string, error) { calls++; return "", errors.New("down") }
			op := s.Guard(down, overhead.Policies{Fallback: true, Full: true})
			for range 3 {
				if answer, err := op(t.Context()); answer != "the archivist's answer" || err != nil {
					t.Fatalf("%q, %v", answer, err)
				}
			}
			if calls != 5 {
				t.Errorf("the agent was called %d times, and its breaker opens after 5 failures", calls)
			}
		})
	}
}
