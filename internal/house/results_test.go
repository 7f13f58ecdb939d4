package house_test

import (
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the tables of the documentation from bench-results")

// The tables of the documentation are made from the committed results, so words
// and numbers cannot disagree. After `make lab` or `make bench`:
//
//	go test ./internal/house -run Results -update
func TestResultsInTheDocs(t *testing.T) {
	overhead, lab := results(t, "bench-results/overhead.csv"), results(t, "bench-results/lab.csv")
	for name, made := range map[string]struct {
		page, table string
	}{
		"lab":      {"docs/saves.md", labTable(lab)},
		"days":     {"docs/saves.md", daysTable(t)},
		"means":    {"docs/saves.md", meansTable(lab)},
		"overhead": {"docs/cost.md", overheadTable(overhead)},
		"extras":   {"docs/cost.md", extrasTable(overhead)},
		"short":    {"README.md", shortTable(overhead, lab)},
	} {
		page := read(t, made.page)
		begin, end := "<!-- table: "+name+" -->\n", "<!-- end: "+name+" -->"
		before, rest, ok := strings.Cut(page, begin)
		shown, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Errorf("%s has no table %q between its markers", made.page, name)
			continue
		}
		if *update {
			page = before + begin + made.table + end + after
			if err := os.WriteFile(filepath.Join(root, made.page), []byte(page), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if shown != made.table {
			t.Errorf("%s does not show what bench-results say; run `go test ./internal/house -run Results -update`", made.page)
		}
	}
}

// row is one line of a result file, by column.
type row map[string]string

func (r row) number(column string) float64 {
	n, err := strconv.ParseFloat(r[column], 64)
	if err != nil {
		panic(fmt.Sprintf("column %s of %v: %v", column, r, err))
	}
	return n
}

func results(t *testing.T, path string) []row {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(read(t, path))).ReadAll()
	if err != nil || len(lines) < 2 {
		t.Fatalf("%s: %d lines, %v", path, len(lines), err)
	}
	rows := make([]row, len(lines)-1)
	for i, line := range lines[1:] {
		rows[i] = row{}
		for j, column := range lines[0] {
			rows[i][column] = line[j]
		}
	}
	return rows
}

// values returns what a column holds, each once, in the order of the file.
func values(rows []row, column string) (all []string) {
	for _, r := range rows {
		if !slices.Contains(all, r[column]) {
			all = append(all, r[column])
		}
	}
	return all
}

func find(rows []row, key, value, system string) (row, bool) {
	i := slices.IndexFunc(rows, func(r row) bool { return r[key] == value && r["system"] == system })
	if i < 0 {
		return nil, false
	}
	return rows[i], true
}

// ours is the system that the others are compared with.
const ours = "understudy"

// A loss is a row in which another does better than we do.
type loss struct{ row, ours, system, theirs string }

// say lists the losses, a line for each row of the table.
func say(title string, lost []loss) string {
	if len(lost) == 0 {
		return "\n" + title + ": nowhere.\n"
	}
	var b strings.Builder
	b.WriteString("\n" + title + ":\n")
	for i, l := range lost {
		if i == 0 || l.row != lost[i-1].row {
			b.WriteString("\n- " + l.row + " (we: " + l.ours + "): ")
		} else if b.WriteString(";"); utf8.RuneCountInString(b.String()[strings.LastIndex(b.String(), "\n"):])+len(l.system+l.theirs) > 130 {
			b.WriteString("\n  ") // the list goes on in the next line
		} else {
			b.WriteString(" ")
		}
		b.WriteString(l.system + " " + l.theirs)
	}
	return b.String() + "\n"
}

// answered is a cell of the lab: the share of requests answered in full, and the
// calls that a request cost.
func answered(r row) string {
	return fmt.Sprintf("%.1f %% · %.3f", r.number("full_pct"), r.number("calls_per_request"))
}

// finely is the same with a digit more, for losses that are small.
func finely(r row) string {
	return fmt.Sprintf("%.2f %% · %.3f", r.number("full_pct"), r.number("calls_per_request"))
}

func (r row) nanoseconds() string { return fmt.Sprintf("%.0f ns", r.number("ns_op")) }

func labTable(rows []row) string {
	var b strings.Builder
	b.WriteString("| answered in full · calls a request | no recovery | retry-go | + gobreaker, by hand | failsafe-go | Understudy |\n|---|---|---|---|---|---|\n")
	for _, scenario := range values(rows, "scenario") {
		b.WriteString("| " + scenario)
		for _, system := range []string{"none", "retry-go", "retry-go+gobreaker", "failsafe-go", ours} {
			b.WriteString(" | ")
			if r, ok := find(rows, "scenario", scenario, system); ok {
				b.WriteString(answered(r))
			}
		}
		b.WriteString(" |\n")
	}
	return b.String() + say("Where another answers more", labLosses(rows))
}

// meansTable is what counts on the days on which systems are given more than retries.
func meansTable(rows []row) string {
	text := func(column, unit string) func(row) string {
		return func(r row) string { return r[column] + unit }
	}
	var b strings.Builder
	b.WriteString("| | no recovery | retry-go | + gobreaker, by hand | failsafe-go | Understudy |\n|---|---|---|---|---|---|\n")
	for _, line := range []struct {
		name, scenario string
		cell           func(row) string
	}{
		{"token-limit: answered · calls a request", "token-limit", answered},
		{"token-limit: calls over the limit", "token-limit", text("limited_calls", "")},
		{"token-limit: half of them within", "token-limit", text("p50_s", " s")},
		{"shared-plan: answered · calls a request", "shared-plan", answered},
		{"shared-plan: calls over the limit", "shared-plan", text("limited_calls", "")},
		{"shared-plan: 99 of 100 within", "shared-plan", text("p99_s", " s")},
		{"long-tail: 99 of 100 within", "long-tail", text("p99_s", " s")},
		{"long-tail: calls a request", "long-tail", text("calls_per_request", "")},
		{"told-why: answered · calls a request", "told-why", answered},
		{"runaway: most calls of one request", "runaway", text("most_calls", "")},
		{"runaway: answered · calls a request", "runaway", answered},
		{"local-model: answered · calls a request", "local-model", answered},
		{"local-model: half of them within", "local-model", text("p50_s", " s")},
	} {
		b.WriteString("| " + line.name)
		for _, system := range []string{"none", "retry-go", "retry-go+gobreaker", "failsafe-go", ours} {
			b.WriteString(" | ")
			if r, ok := find(rows, "scenario", line.scenario, system); ok {
				b.WriteString(line.cell(r))
			}
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// daysTable says in a sentence what happens on each day of the lab.
func daysTable(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "internal/bench/lab/scenarios/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	var b strings.Builder
	b.WriteString("| day | what happens |\n|---|---|\n")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var day struct{ Name, About string }
		if err := json.Unmarshal(text, &day); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", day.Name, day.About)
	}
	return b.String()
}

func labLosses(rows []row) (lost []loss) {
	for _, scenario := range values(rows, "scenario") {
		mine, _ := find(rows, "scenario", scenario, ours)
		for _, system := range []string{"none", "retry-go", "retry-go+gobreaker", "failsafe-go"} {
			if r, ok := find(rows, "scenario", scenario, system); ok && r.number("full_pct") > mine.number("full_pct") {
				lost = append(lost, loss{scenario, finely(mine), system, finely(r)})
			}
		}
	}
	return lost
}

// took is a cell of the overhead: nanoseconds and allocations of a call.
func took(r row) string { return fmt.Sprintf("%.0f (%s)", r.number("ns_op"), r["allocs_op"]) }

func overheadTable(rows []row) string {
	var b strings.Builder
	b.WriteString("| ns a call (allocations) | bare call | gobreaker alone | retry-go + gobreaker, by hand | failsafe-go | fortify | Understudy |\n|---|---|---|---|---|---|---|\n")
	for _, c := range values(rows, "case") {
		_, ok := find(rows, "case", c, ours)
		if _, extra := find(rows, "case", c, without); !ok || extra {
			continue
		}
		b.WriteString("| " + c)
		for _, system := range []string{"bare call", "gobreaker", "retry-go+gobreaker", "failsafe-go", "fortify", ours} {
			b.WriteString(" | ")
			if r, ok := find(rows, "case", c, system); ok {
				b.WriteString(took(r))
			}
		}
		b.WriteString(" |\n")
	}
	return b.String() + say("Where another is faster", overheadLosses(rows))
}

// without is the same chain without what a case is about.
const without = ours + ", without"

// extrasTable is what one more setting costs.
func extrasTable(rows []row) string {
	var b strings.Builder
	b.WriteString("| ns a call (allocations) | without it | with it | failsafe-go with it |\n|---|---|---|---|\n")
	for _, c := range values(rows, "case") {
		before, ok := find(rows, "case", c, without)
		if !ok {
			continue
		}
		after, _ := find(rows, "case", c, ours)
		b.WriteString("| " + c + " | " + took(before) + " | " + took(after) + " | ")
		if r, there := find(rows, "case", c, "failsafe-go"); there {
			b.WriteString(took(r))
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

func overheadLosses(rows []row) (lost []loss) {
	for _, c := range values(rows, "case") {
		mine, ok := find(rows, "case", c, ours)
		for _, system := range []string{"gobreaker", "retry-go+gobreaker", "failsafe-go", "fortify"} {
			if r, there := find(rows, "case", c, system); ok && there && r.number("ns_op") < mine.number("ns_op") {
				lost = append(lost, loss{c, mine.nanoseconds(), system, r.nanoseconds()})
			}
		}
	}
	return lost
}

// shortTable is the front page's: the rows that say most, and every one that we
// lose to somebody who does the same work.
func shortTable(overhead, lab []row) string {
	var b strings.Builder
	b.WriteString("| | nothing | gobreaker alone | retry-go + gobreaker, by hand | failsafe-go | fortify | Understudy |\n|---|---|---|---|---|---|---|\n")
	write := func(name string, cell func(row) string, rows ...row) {
		b.WriteString("| " + name)
		for _, r := range rows {
			b.WriteString(" | ")
			if r != nil {
				b.WriteString(cell(r))
			}
		}
		b.WriteString(" |\n")
	}
	shown := []string{"full chain", "full chain+timeout"}
	for _, l := range overheadLosses(overhead) {
		if l.system != "gobreaker" {
			shown = append(shown, l.row)
		}
	}
	for _, c := range values(overhead, "case") {
		if slices.Contains(shown, c) {
			of := func(system string) row { r, _ := find(overhead, "case", c, system); return r }
			write(c+": ns (allocations)", took, of("bare call"), of("gobreaker"), of("retry-go+gobreaker"), of("failsafe-go"), of("fortify"), of(ours))
		}
	}
	shown = []string{"outage", "rate-limit"}
	for _, l := range labLosses(lab) {
		shown = append(shown, l.row)
	}
	for _, s := range values(lab, "scenario") {
		if slices.Contains(shown, s) {
			of := func(system string) row { r, _ := find(lab, "scenario", s, system); return r }
			write(s+": answered · calls", answered, of("none"), nil, of("retry-go+gobreaker"), of("failsafe-go"), nil, of(ours))
		}
	}
	return b.String()
}

func TestLossesAreSeen(t *testing.T) {
	fast := func(system, ns string) row {
		return row{"case": "retry", "system": system, "ns_op": ns, "allocs_op": "1"}
	}
	good := func(system, pct string) row {
		return row{"scenario": "outage", "system": system, "full_pct": pct, "calls_per_request": "1.0"}
	}
	for name, tc := range map[string]struct {
		table string
		want  []string
	}{
		"a faster one":           {overheadTable([]row{fast("fortify", "10"), fast(ours, "11")}), []string{"- retry (we: 11 ns): fortify 10 ns"}},
		"two of them":            {overheadTable([]row{fast("gobreaker", "9"), fast("fortify", "10"), fast(ours, "11")}), []string{"- retry (we: 11 ns): gobreaker 9 ns; fortify 10 ns"}},
		"a slower one":           {overheadTable([]row{fast("fortify", "12"), fast(ours, "11")}), []string{"Where another is faster: nowhere."}},
		"one who answers more":   {labTable([]row{good("none", "99"), good(ours, "98")}), []string{"- outage (we: 98.00 % · 1.000): none 99.00 % · 1.000"}},
		"one who answers less":   {labTable([]row{good("none", "97"), good(ours, "98")}), []string{"Where another answers more: nowhere."}},
		"both on the front page": {shortTable([]row{fast("fortify", "10"), fast(ours, "11")}, []row{good("none", "99"), good(ours, "98")}), []string{"retry: ns (allocations) |  |  |  |  | 10 (1) | 11 (1) |", "outage: answered · calls | 99.0 % · 1.000 |"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, want := range tc.want {
				if !strings.Contains(tc.table, want) {
					t.Errorf("%q is not in\n%s", want, tc.table)
				}
			}
		})
	}
}
