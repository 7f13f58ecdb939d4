package inbox_test

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// What was typed before a question was shown is no answer to it.
func TestTerminalTakesNothingTypedBefore(t *testing.T) {
	for _, tc := range []struct {
		name string
		// typed before the first question, with the answer to it, before the second
		// question, and after it
		before, at, between, after string
		ignored                    []string
	}{
		{"a line too many for the last question", "", "r\nr\n", "", "", []string{"r"}},
		{"a line between two questions", "", "r\n", "a of old\n", "", []string{"a of old"}},
		{"lines before the first question", "r\nx\n", "r\n", "", "", []string{"r", "x"}},
		{"the beginning of a line, which is ended when the next question is there", "", "r\n", "a of", " old\n", []string{"a of old"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				in, person := io.Pipe()
				defer person.Close()
				terminal := &inbox.Terminal{In: in, Out: &out}
				ask := func() <-chan strategies.Decision {
					got := make(chan strategies.Decision, 1)
					go func() {
						d, err := terminal.Decide(t.Context(), incident())
						expect(t, "error", err, nil)
						got <- d
					}()
					return got
				}
				types := func(text string) {
					if text != "" {
						_, _ = io.WriteString(person, text)
						synctest.Wait()
					}
				}
				if tc.before != "" {
					go func() { _, _ = io.WriteString(person, tc.before) }() // it lies there until somebody reads
				}
				first := ask()
				time.Sleep(time.Second)
				types(tc.at)
				expect(t, "first", (<-first).Action, strategies.ActionRetryNow)
				types(tc.between)
				second := ask()
				time.Sleep(time.Second)
				types(tc.after)
				select {
				case d := <-second:
					t.Fatalf("what was typed before decided: %+v", d)
				default:
				}
				types("a fresh\n")
				expect(t, "second", (<-second).Value, any("fresh"))
				third := ask() // which tells what was ignored at the second
				time.Sleep(time.Second)
				types("x\n")
				<-third
				for _, line := range tc.ignored {
					expect(t, "told of "+line, strings.Contains(out.String(), "typed before, ignored: "+line+"\n"), true)
				}
			})
		})
	}
	t.Run("a script that answers ahead answers nothing", func(t *testing.T) {
		terminal := &inbox.Terminal{In: strings.NewReader("r\n"), Out: io.Discard}
		got, err := terminal.Decide(t.Context(), incident())
		expectIs(t, err, io.EOF)
		expect(t, "decision", got, strategies.Decision{})
	})
	t.Run("an input that gives nothing and does not end is broken", func(t *testing.T) {
		terminal := &inbox.Terminal{In: readerFunc(func([]byte) (int, error) { return 0, nil }), Out: io.Discard}
		_, err := terminal.Decide(t.Context(), incident())
		expectIs(t, err, io.ErrNoProgress)
	})
}

// A person decides about what they can see.
func TestTerminalShowsTheRequest(t *testing.T) {
	type order struct{ Item string }
	long := strings.Repeat("line\n", 100)
	for name, tc := range map[string]struct {
		request  any
		requests map[string]any
		show     func(any) string
		want     string // the lines behind the first one
	}{
		"a text is shown as it is":             {"pay 100", nil, nil, "  was asked:\n  | pay 100\n"},
		"anything else as JSON":                {order{"a map"}, nil, nil, "  was asked:\n  | {\"Item\":\"a map\"}\n"},
		"or as the user says":                  {order{"a map"}, nil, func(r any) string { return r.(order).Item }, "  was asked:\n  | a map\n"},
		"who shows nothing shows nothing":      {"secret", nil, func(any) string { return "" }, ""},
		"what panics is no end of the program": {"x", nil, func(any) string { panic("no") }, "  was asked:\n  | understudy: Terminal.Show panicked: no\n"},
		"what JSON cannot show is named":       {func() {}, nil, nil, "  was asked:\n  | (a func() that cannot be shown)\n"},
		"eight lines at most":                  {long, nil, nil, "  was asked:\n" + strings.Repeat("  | line\n", 8) + "  | … 92 more lines …\n"},
		"in two lines, plainly":                {"one\n\x1b[2Jtwo", nil, nil, "  was asked:\n  | one\n  | \\x1b[2Jtwo\n"},
		"what a stand-in would be asked too":   {"pay 100", map[string]any{"sage": "pay 10", "else": "no"}, nil, "  was asked:\n  | pay 100\n  \"sage\" would be asked:\n  | pay 10\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			i := incident()
			i.Request, i.Requests = tc.request, tc.requests
			_, err := keyed("x\n", &out, &inbox.Terminal{Show: tc.show}).Decide(t.Context(), i)
			expect(t, "error", err, nil)
			_, rest, _ := strings.Cut(out.String(), "answer (timeout)\n")
			rest, _, _ = strings.Cut(rest, "  bard  ")
			expect(t, "shown", rest, tc.want)
		})
	}
}

// An answer that the caller cannot take leaves the question open.
func TestTerminalAsksAgainForTheRightType(t *testing.T) {
	var out bytes.Buffer
	parse := func(s string) (any, error) {
		if n, err := strconv.Atoi(s); err == nil {
			return n, nil
		}
		return s, nil
	}
	terminal := keyed("a many\na 42\n", &out, &inbox.Terminal{Parse: parse})
	agent := func(context.Context, string) (int, error) { return 0, errSick }
	o := built(t, middleware.WrapFunc(agent).Intervene(middleware.Intervention{Ask: terminal})).Outcome(t.Context(), "hello")
	expect(t, "answer", o.Value, 42)
	expect(t, "attempts", o.Attempts, 2) // and no round was spent on it
	expect(t, "told", strings.Contains(out.String(), "answers with a string where a int is wanted"), true)
}
