package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/understudy-go/understudy/examples/internal/golden"
	"github.com/understudy-go/understudy/internal/endpoint"
)

// fast leaves of every delay a hundredth.
const fast = "-pace=0.01"

// perform plays with the given standard input and environment ("NAME=value").
func perform(t *testing.T, ctx context.Context, screen bool, in string, env []string, args ...string) (string, error) {
	t.Helper()
	var errs strings.Builder
	out := newTypist(in)
	err := run(ctx, args, stage{
		in: out, out: out, errs: &errs, screen: screen,
		getenv: func(name string) string {
			for _, v := range env {
				if value, ok := strings.CutPrefix(v, name+"="); ok {
					return value
				}
			}
			return ""
		},
	})
	return out.String(), err
}

// typist is a person who types a line when there is a prompt for it, and what they see.
type typist struct {
	mu      sync.Mutex
	changed *sync.Cond
	seen    strings.Builder
	prompts int
	lines   []string
}

func newTypist(text string) *typist {
	p := &typist{lines: strings.SplitAfter(text, "\n")}
	p.lines = p.lines[:len(p.lines)-1]
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *typist) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

func (p *typist) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.HasSuffix(string(text), "> ") {
		p.prompts++
		p.changed.Signal()
	}
	return p.seen.Write(text)
}

func (p *typist) Read(into []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) == 0 {
		return 0, io.EOF
	}
	for p.prompts == 0 {
		p.changed.Wait()
	}
	line := p.lines[0]
	p.prompts, p.lines = p.prompts-1, p.lines[1:]
	return copy(into, line), nil
}

var (
	elapsed = regexp.MustCompile(`(?m) +[0-9.]+m?s$`) // ends the line of an answer
	delay   = regexp.MustCompile(`\b(\d+m)?[0-9.]+m?s\b`)
)

// timeless makes two runs comparable.
func timeless(out string) string {
	return delay.ReplaceAllString(elapsed.ReplaceAllString(out, " TIME"), "TIME")
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "session.txt")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTheNightThatIsPiped(t *testing.T) {
	t.Parallel()
	out, err := perform(t, t.Context(), false, "", nil, fast)
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "piped.txt", timeless(out))
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, strategy := range []string{"retry", "fallback", "degradation", "user_intervention"} {
		if !regexp.MustCompile(`(?m)^    \S+.* ` + strategy + ` +\d+ attempts`).MatchString(out) {
			t.Errorf("no line was answered by %s", strategy)
		}
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestColoursAreAllThatAScreenAdds(t *testing.T) {
	t.Parallel()
	const session = "I look around.\nkeeper: I listen.\n"
	piped, err := perform(t, t.Context(), false, "", nil, fast, "-session", write(t, session))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		env    []string
		colour bool
	}{
		{"a screen", nil, true},
		{"a screen of somebody who wants no colours", []string{"NO_COLOR=1"}, false},
		{"a screen without colours", []string{"TERM=dumb"}, false},
	} {
		out, err := perform(t, t.Context(), true, "", tt.env, fast, "-session", write(t, session))
		if err != nil {
			t.Fatal(err)
		}
		if got := escapes.MatchString(out); got != tt.colour {
			t.Errorf("%s: colours %v, want %v", tt.name, got, tt.colour)
		}
		if plain := escapes.ReplaceAllString(out, ""); timeless(plain) != timeless(piped) {
			t.Errorf("%s:\n%s\npiped:\n%s", tt.name, plain, piped)
		}
	}
	if strings.ContainsRune(piped, '\x1b') {
		t.Error("escape sequences in a pipe")
	}
}

func TestSameSeedSameNight(t *testing.T) {
	t.Parallel()
	session := write(t, strings.Repeat("I wait.\narchivist: And then?\n", 4))
	night := func(seed string) string {
		out, err := perform(t, t.Context(), false, "", nil, fast, "-session", session, "-seed", seed)
		if err != nil {
			t.Fatal(err)
		}
		_, out, _ = strings.Cut(out, "(-pace)") // the seed is named before
		return timeless(out)
	}
	first, second := night("5"), night("6")
	if again := night("5"); again != first {
		t.Errorf("first:\n%s\nagain:\n%s", first, again)
	}
	if first == second {
		t.Error("two seeds gave the same night")
	}
}

// By the script, consistency has no quota left at the end of these lines, and the archivist no key.
const nobodyCanJudge = `
consistency: One?
archivist: Two?
archivist: Three?
archivist: Four?
consistency: Five?
consistency: Six?
`

func TestAPersonIsTheGameMaster(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, typed string
		want        []string
		err         string
	}{
		{"answers", "what?\na Six it is.\n", []string{"type r, a TEXT, u AGENT or x", "    Six it is.", "consistency -> you", "user_intervention"}, ""},
		{"names another agent", "u bard\nu narrator\n", []string{`no agent "bard"`, "consistency -> narrator", "user_intervention"}, ""},
		{"gives up", "x\n", []string{"(Nobody answers: quota_exhausted after 2 attempts, aborted by you.)", "consistency -> nobody", "not at all"}, "1 line of 6 got no answer"},
		{"leaves", "", []string{"consistency -> nobody"}, "1 line of 6 got no answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, err := perform(t, t.Context(), false, tt.typed, nil, fast, "-ask", "-session", write(t, nobodyCanJudge))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got error %v, want %q", err, tt.err)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("nothing says %q in:\n%s", want, out)
				}
			}
		})
	}
}

func TestARealProviderIsAsked(t *testing.T) {
	t.Parallel()
	srv, err := endpoint.Start(endpoint.Plan{Answer: func(model string, messages []endpoint.Message) string {
		return "So says \x1b[31m" + model + ",\r\nthe model."
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	env := []string{"OPENAI_BASE_URL=" + srv.URL(), "OPENAI_API_KEY=k", "TAVERN_MODEL=some-model"}
	out, err := perform(t, t.Context(), false, "", env)
	if err != nil {
		t.Fatal(err)
	}
	if got := srv.Requests("some-model"); got != 16 {
		t.Errorf("%d requests, want one for each line", got)
	}
	if !strings.Contains(out, "model some-model, pace 1.") || strings.Count(out, "    So says [31msome-model, the model.\n") != 16 {
		t.Errorf("printed:\n%s", out)
	}
	log := srv.Log()
	if first, last := len(log[0].Messages), len(log[15].Messages); first != 2 || last != 2+2*remembered {
		t.Errorf("the first request has %d messages and the last %d, want 2 and %d", first, last, 2+2*remembered)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	const base, key, model = "OPENAI_BASE_URL=http://127.0.0.1:1/v1", "OPENAI_API_KEY=k", "TAVERN_MODEL=m"
	for _, tt := range []struct {
		args []string
		env  []string
		want string
	}{
		{[]string{"-session", "nosuch.txt"}, nil, "the session cannot be read: open nosuch.txt"},
		{[]string{"-session", t.TempDir()}, nil, "the session cannot be read: read "},
		{[]string{"-session", write(t, "")}, nil, "has no player lines"},
		{[]string{"-session", write(t, "# a comment\n\n---\n")}, nil, "has no player lines"},
		{[]string{"-session", write(t, "keeper:  \n")}, nil, `has nothing to say to keeper in the line "keeper:"`},
		{[]string{"-session", write(t, "\xff\xfe\x00")}, nil, "is not a text in UTF-8"},
		{[]string{"-pace", "-1"}, nil, "-pace is -1; use a number from 0.001 to 100"},
		{[]string{"-pace", "NaN"}, nil, "-pace is NaN"},
		{[]string{"-pace", "Inf"}, nil, "-pace is +Inf"},
		{[]string{"-pace", "soon"}, nil, `invalid value "soon"`},
		{[]string{"-loud"}, nil, "not defined: -loud"},
		{[]string{"my.txt"}, nil, `no argument is expected, got ["my.txt"]`},
		{nil, []string{base}, "there is OPENAI_BASE_URL, but no OPENAI_API_KEY and TAVERN_MODEL"},
		{nil, []string{model}, "there is TAVERN_MODEL, but no OPENAI_BASE_URL and OPENAI_API_KEY"},
		{nil, []string{base, key}, "there is OPENAI_BASE_URL and OPENAI_API_KEY, but no TAVERN_MODEL"},
		{nil, []string{key, model}, "but no OPENAI_BASE_URL"},
		{nil, []string{"OPENAI_BASE_URL=localhost:8080", key, model}, `OPENAI_BASE_URL is "localhost:8080"; use an address`},
	} {
		out, err := perform(t, t.Context(), false, "", tt.env, tt.args...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q %q: got %v, want %q", tt.args, tt.env, err, tt.want)
		}
		if out != "" {
			t.Errorf("%q %q: printed %q before the error", tt.args, tt.env, out)
		}
	}
}

func TestAKeyAloneIsNotUsed(t *testing.T) {
	out, err := perform(t, t.Context(), false, "", []string{"OPENAI_API_KEY=k"}, fast, "-session", write(t, "I wait."))
	if err != nil || !strings.Contains(strings.Join(strings.Fields(out), " "), "OPENAI_API_KEY is set, and not used") {
		t.Errorf("got %v and:\n%s", err, out)
	}
}

// At this pace the first delay alone is 100 s, so only an interruption ends the run.
func TestItEndsWhenInterrupted(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"One.\nTwo.\n", "consistency: One?\n", "---\nOne.\nTwo.\n"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		hangUp := errors.New("hung up")
		in := &hook{after: "Asked again in", then: func() { cancel(hangUp) }}
		err := run(ctx, []string{"-pace=100", "-session", write(t, line)}, stage{
			in: strings.NewReader(""), out: in, errs: in, getenv: func(string) string { return "" },
		})
		if !errors.Is(err, hangUp) {
			t.Errorf("%q: got %v, want the interruption", line, err)
		}
	}
}

// A hook is a page that calls then when it has read after.
type hook struct {
	after string
	then  func()
}

func (h *hook) Write(p []byte) (int, error) {
	if strings.Contains(string(p), h.after) {
		h.then()
	}
	return len(p), nil
}
