package inbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

func incident() strategies.Incident {
	return strategies.Incident{ID: "bard-1", Agent: "bard", Agents: []string{"sage", "the fool"}, Err: &strategies.RecoveryError{
		Agent: "bard", Class: strategies.ClassTimeout, Attempts: []strategies.Attempt{
			{Agent: "bard", Class: strategies.ClassTimeout, Err: errors.Join(errSick, errGone)},
			{Agent: "sage", Class: strategies.ClassRejected},
		},
	}}
}

func TestTerminal(t *testing.T) {
	for _, tc := range []struct {
		name, typed string
		want        strategies.Decision
		says        string // among what is printed
	}{
		{"it retries", "r\n", strategies.Decision{Action: strategies.ActionRetryNow, By: "terminal"}, "[r]etry"},
		{"it takes whole words and capitals", "  RETRY  \n", strategies.Decision{Action: strategies.ActionRetryNow, By: "terminal"}, "> "},
		{"it aborts, with a reason", "x not worth it\n", strategies.Decision{Action: strategies.ActionAbort, Reason: "not worth it", By: "terminal"}, "e[x]it"},
		{"it answers", "a The gate is closed.\n", strategies.Decision{Action: strategies.ActionAnswer, Value: "The gate is closed.", By: "terminal"}, "[a]nswer"},
		{"it names another agent, also of two words", "use the fool\n", strategies.Decision{Action: strategies.ActionUseAgent, Agent: "the fool", By: "terminal"}, "[u]se sage|the fool"},
		{"it asks again after nonsense", "\nwhat?\nr\n", strategies.Decision{Action: strategies.ActionRetryNow, By: "terminal"}, "type r, a TEXT, u AGENT or x"},
		{"it asks again for an agent that is not there", "u ghost\nu sage\n", strategies.Decision{Action: strategies.ActionUseAgent, Agent: "sage", By: "terminal"}, `no agent "ghost"; there are sage, the fool`},
		{"it asks again for an empty answer", "a\na hi\n", strategies.Decision{Action: strategies.ActionAnswer, Value: "hi", By: "terminal"}, "an answer needs a text"},
		{"it takes a last line without an end", "r", strategies.Decision{Action: strategies.ActionRetryNow, By: "terminal"}, "> "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			terminal := keyed(tc.typed, &out, &inbox.Terminal{})
			got, err := terminal.Decide(t.Context(), incident())
			expect(t, "error", err, nil)
			expect(t, "decision", got, tc.want)
			if !strings.Contains(out.String(), tc.says) {
				t.Errorf("printed %q, want %q in it", out.String(), tc.says)
			}
		})
	}
	t.Run("it tells what happened, a line an attempt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			i := incident()
			i.Request, i.Deadline = "Is the gate open?", time.Now().Add(5*time.Minute+50*time.Millisecond)
			terminal := keyed("r\n", &out, &inbox.Terminal{By: "Ada"})
			got, _ := terminal.Decide(t.Context(), i)
			expect(t, "by", got.By, "Ada")
			expect(t, "printed", out.String(), `
incident bard-1: agent "bard" could not answer (timeout)
  was asked:
  | Is the gate open?
  bard         the agent is sick
  sage         
  no decision within 5m0s counts as none
[r]etry, [a]nswer TEXT, [u]se sage|the fool, e[x]it
> `)
		})
	})
	t.Run("it offers no agent where there is none", func(t *testing.T) {
		var out bytes.Buffer
		i := incident()
		i.Agents = nil
		_, err := keyed("u sage\nx\n", &out, &inbox.Terminal{}).Decide(t.Context(), i)
		expect(t, "error", err, nil)
		expect(t, "offer", strings.Contains(out.String(), "[u]se"), false)
	})
	t.Run("it makes answers of the agent's type with Parse", func(t *testing.T) {
		var out bytes.Buffer
		terminal := keyed("a many\na 42\n", &out, &inbox.Terminal{Parse: func(s string) (any, error) { return strconv.Atoi(s) }})
		g := built(t, middleware.WrapFunc(func(context.Context, string) (int, error) { return 0, errSick }).Intervene(middleware.Intervention{Ask: terminal}))
		got, err := g.Run(t.Context(), "hello")
		expect(t, "error", err, nil)
		expect(t, "answer", got, 42)
		expect(t, "complaint", strings.Contains(out.String(), "invalid syntax"), true)
	})
	t.Run("it needs both ends, and to be", func(t *testing.T) {
		for _, terminal := range []*inbox.Terminal{nil, {}, {In: strings.NewReader("r\n")}, {Out: io.Discard}} {
			_, err := terminal.Decide(t.Context(), incident())
			expectIs(t, err, strategies.ErrConfig)
			if terminal != nil { // which Build refuses
				expectIs(t, failing(t, asking(t, middleware.Intervention{Ask: terminal})), errSick, strategies.ErrConfig)
			}
		}
	})
	t.Run("it wants a context", func(t *testing.T) {
		var none context.Context
		_, err := keyed("r\n", io.Discard, &inbox.Terminal{}).Decide(none, incident())
		expectIs(t, err, strategies.ErrConfig)
	})
	t.Run("it asks again for a text at which Parse panics", func(t *testing.T) {
		var out bytes.Buffer
		terminal := keyed("a \na boo\na yes\n", &out, &inbox.Terminal{Parse: func(s string) (any, error) {
			if s == "boo" {
				panic(errGone)
			}
			return s, nil
		}})
		got, err := terminal.Decide(t.Context(), incident())
		expect(t, "error", err, nil)
		expect(t, "answer", got.Value, any("yes"))
		expect(t, "complaint", strings.Contains(out.String(), "Terminal.Parse panicked: the stand-in is gone"), true)
	})
	t.Run("it prints an incident that says nothing", func(t *testing.T) {
		got, err := keyed("r\n", io.Discard, &inbox.Terminal{}).Decide(t.Context(), strategies.Incident{})
		expect(t, "error", err, nil)
		expect(t, "action", got.Action, strategies.ActionRetryNow)
	})
}

func TestTerminalEnds(t *testing.T) {
	t.Run("the end of the input is no decision, now and later", func(t *testing.T) {
		terminal := keyed("what?\n", io.Discard, &inbox.Terminal{})
		for range 2 {
			got, err := terminal.Decide(t.Context(), incident())
			expectIs(t, err, io.EOF)
			expect(t, "decision", got, strategies.Decision{})
		}
		expectIs(t, failing(t, asking(t, middleware.Intervention{Ask: terminal})), errSick, io.EOF)
	})
	t.Run("nor is a broken input, whose error is kept", func(t *testing.T) {
		in, w := io.Pipe()
		w.CloseWithError(errGone)
		_, err := (&inbox.Terminal{In: in, Out: io.Discard}).Decide(t.Context(), incident())
		expectIs(t, err, errGone)
	})
	t.Run("nor is an input that panics", func(t *testing.T) {
		in := readerFunc(func([]byte) (int, error) { panic("no such device") })
		got, err := (&inbox.Terminal{In: in, Out: io.Discard}).Decide(t.Context(), incident())
		expect(t, "decision", got, strategies.Decision{})
		expect(t, "error", err.Error(), "understudy: terminal input ended: understudy: Terminal.In panicked: no such device")
	})
	t.Run("a caller who has gone before is not asked about", func(t *testing.T) {
		var out bytes.Buffer
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errGone)
		for range 20 { // a select would choose at random
			_, err := keyed("r\n", &out, &inbox.Terminal{}).Decide(ctx, incident())
			expectIs(t, err, errGone)
		}
		expect(t, "printed", out.String(), "")
	})
	t.Run("a decision that comes with the last tick is too late, and the person is told", func(t *testing.T) {
		var out bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		terminal := keyed("a yes\n", &out, &inbox.Terminal{Parse: func(s string) (any, error) { cancel(); return s, nil }})
		got, err := terminal.Decide(ctx, incident())
		expectIs(t, err, context.Canceled)
		expect(t, "decision", got, strategies.Decision{})
		expect(t, "told", strings.Contains(out.String(), "too late, the caller has left"), true)
	})
	t.Run("an expired question is no decision, and what is typed then answers no later one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			in, person := io.Pipe()
			terminal := &inbox.Terminal{In: in, Out: &out}
			agent := &sick{}
			g := built(t, middleware.Wrap(agent).Intervene(middleware.Intervention{Ask: terminal, Deadline: time.Minute}))
			expectIs(t, failing(t, g), context.DeadlineExceeded)
			_, _ = io.WriteString(person, "r\na of old\n") // both for the question that has expired
			synctest.Wait()
			go func() {
				time.Sleep(time.Second)
				_, _ = io.WriteString(person, "a fresh\n")
				_ = person.Close()
			}()
			asked(t, g, "fresh")
			expect(t, "calls", agent.called(), 2)
			for _, line := range []string{"too late, the question has expired", "typed before, ignored: r", "typed before, ignored: a of old"} {
				expect(t, line, strings.Contains(out.String(), line), true)
			}
			synctest.Wait()
			failing(t, g) // the input has ended
		})
	})
	t.Run("an input that ends after a question has expired has ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, person := io.Pipe()
			terminal := &inbox.Terminal{In: in, Out: io.Discard}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := terminal.Decide(ctx, incident())
			expectIs(t, err, context.DeadlineExceeded)
			_ = person.Close()
			synctest.Wait()
			_, err = terminal.Decide(t.Context(), incident())
			expectIs(t, err, io.EOF)
		})
	})
	t.Run("it asks one question at a time", func(t *testing.T) {
		var out bytes.Buffer // which the race detector watches
		terminal := keyed("a one\na two\n", &out, &inbox.Terminal{})
		got := make(chan any, 2)
		for range 2 {
			go func() {
				d, _ := terminal.Decide(t.Context(), incident())
				got <- d.Value
			}()
		}
		expect(t, "first", <-got, any("one"))
		expect(t, "second", <-got, any("two"))
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// broken is an error of a provider's that cannot be asked for its text.
type broken struct{}

func (*broken) Error() string { panic("no text") }

// What others say cannot repaint the screen of the person who decides (CWE-150).
func TestTerminalShowsPlainText(t *testing.T) {
	for said, want := range map[string]string{
		"\x1b[2J\x1b[H\x1b[32mapproved\x1b[0m":       `\x1b[2J\x1b[H\x1b[32mapproved\x1b[0m`,
		"\x1b]0;a title\a":                           `\x1b]0;a title\x07`,
		"\u009b2J a control of one rune":             `\u009b2J a control of one rune`,
		"\x9b2J or of one byte, which is no rune":    `\x9b2J or of one byte, which is no rune`,
		"busy\rincident bard-1: all is well":         `busy\x0dincident bard-1: all is well`,
		"busy\b\b\b\bwell":                           `busy\x08\x08\x08\x08well`,
		"a\tb\vc\fd\x00e\x7f":                        `a\x09b\x0bc\x0cd\x00e\x7f`,
		"pay \u202e001\u202c gold":                   `pay \u202e001\u202c gold`,
		"\u2066\u2067\u2068\u2069\u200e\u200f\u061c": `\u2066\u2067\u2068\u2069\u200e\u200f\u061c`,
		"one\u2028two\u2029three\u0085four":          `one\u2028two\u2029three\u0085four`,
		"sa\u200bge \ufeff\U000e0041":                `sa\u200bge \ufeff\U000e0041`,
		"the first line\nincident bard-2: fake":      "the first line",
		"\n\r\nafter empty lines\r\nmore":            "after empty lines",
		"Grüße, 世界 👋 à\u00a0la carte":                "Grüße, 世界 👋 à\u00a0la carte",
		strings.Repeat("ö", 200):                     strings.Repeat("ö", 200),
		strings.Repeat("ö", 201):                     strings.Repeat("ö", 200) + "…",
		strings.Repeat("\x1b", 1<<20):                strings.Repeat(`\x1b`, 200) + "…",
	} {
		t.Run(fmt.Sprintf("it shows %.40q", said), func(t *testing.T) {
			var out bytes.Buffer
			i := strategies.Incident{ID: "bard-1", Agent: "bard", Err: &strategies.RecoveryError{
				Attempts: []strategies.Attempt{{Agent: "bard", Err: errors.New(said)}},
			}}
			_, err := keyed("r\n", &out, &inbox.Terminal{}).Decide(t.Context(), i)
			expect(t, "error", err, nil)
			expect(t, "line", strings.Split(out.String(), "\n")[2], "  bard         "+want)
		})
	}
	t.Run("it shows that an error cannot be read", func(t *testing.T) {
		var out bytes.Buffer
		i := incident()
		i.Err.Attempts[0].Err = &broken{}
		i.Err.Attempts[1].Err = (*strategies.OpenError)(nil)
		_, err := keyed("r\n", &out, &inbox.Terminal{}).Decide(t.Context(), i)
		expect(t, "error", err, nil)
		for _, line := range []string{"bard         (a *inbox_test.broken that cannot be read)", "sage         (a *strategies.OpenError that cannot be read)"} {
			expect(t, line, strings.Contains(out.String(), line), true)
		}
	})
	t.Run("it shows the first and the last of many attempts, and some of many names", func(t *testing.T) {
		var out bytes.Buffer
		i := incident()
		i.Err.Attempts, i.Agents = nil, nil
		for n := range 1000 {
			i.Err.Attempts = append(i.Err.Attempts, strategies.Attempt{Agent: "bard", Err: fmt.Errorf("failure %d", n)})
			i.Agents = append(i.Agents, fmt.Sprint("sage", n))
		}
		_, err := keyed("u nobody\nu sage999\n", &out, &inbox.Terminal{}).Decide(t.Context(), i)
		expect(t, "error", err, nil)
		expect(t, "lines", strings.Count(out.String(), "\n"), 25)
		for _, line := range []string{"failure 9\n  … 980 more …\n  bard         failure 990\n", "|sage19 and 980 more, e[x]it", ", sage19 and 980 more\n"} {
			expect(t, line, strings.Contains(out.String(), line), true)
		}
	})
}

// Whoever says what, wherever: what is printed prints, in few and short lines.
func FuzzTerminalShowsPlainText(f *testing.F) {
	for _, seed := range []string{"", "hello", "\x1b[2J", "\u202eolleh", "a\nb\r\nc", "\xff\xfe", strings.Repeat("long ", 1000), "\u009b\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, said string) {
		var out bytes.Buffer
		i := strategies.Incident{ID: said, Agent: said, Agents: []string{said, "sage", said}, Err: &strategies.RecoveryError{Agent: said}}
		for range 30 {
			i.Err.Attempts = append(i.Err.Attempts, strategies.Attempt{Agent: said, Err: errors.New(said)})
		}
		typed := "u " + said + "x\na " + said + "y\nx\n"
		terminal := keyed(typed, &out, &inbox.Terminal{Parse: func(string) (any, error) { return nil, errors.New(said) }})
		_, _ = terminal.Decide(t.Context(), i)
		own := 30 + 2*strings.Count(typed, "\n")
		if !utf8.Valid(out.Bytes()) {
			t.Errorf("no text: %q", out.String())
		}
		lines := strings.Split(out.String(), "\n")
		if len(lines) > own {
			t.Errorf("%d lines, want at most %d", len(lines), own)
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > 10*400 { // a character may be written in ten
				t.Errorf("a line of %d characters", n)
			}
			for _, r := range line {
				if !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r) {
					t.Errorf("%q in %q", r, line)
				}
			}
		}
	})
}
