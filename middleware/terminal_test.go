package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
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
			terminal := &middleware.Terminal{In: strings.NewReader(tc.typed), Out: &out}
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
			i.Deadline = time.Now().Add(5 * time.Minute)
			terminal := &middleware.Terminal{In: strings.NewReader("r\n"), Out: &out, By: "Ada"}
			got, _ := terminal.Decide(t.Context(), i)
			expect(t, "by", got.By, "Ada")
			expect(t, "printed", out.String(), `
incident bard-1: agent "bard" could not answer (timeout)
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
		_, err := (&middleware.Terminal{In: strings.NewReader("u sage\nx\n"), Out: &out}).Decide(t.Context(), i)
		expect(t, "error", err, nil)
		expect(t, "offer", strings.Contains(out.String(), "[u]se"), false)
	})
	t.Run("it makes answers of the agent's type with Parse", func(t *testing.T) {
		var out bytes.Buffer
		terminal := &middleware.Terminal{In: strings.NewReader("a many\na 42\n"), Out: &out, Parse: func(s string) (any, error) { return strconv.Atoi(s) }}
		g := built(t, middleware.WrapFunc(func(context.Context, string) (int, error) { return 0, errSick }).Intervene(asking(terminal)))
		got, err := g.Run(t.Context(), "hello")
		expect(t, "error", err, nil)
		expect(t, "answer", got, 42)
		expect(t, "complaint", strings.Contains(out.String(), "invalid syntax"), true)
	})
	t.Run("it needs both ends", func(t *testing.T) {
		for _, terminal := range []*middleware.Terminal{{}, {In: strings.NewReader("r\n")}, {Out: io.Discard}} {
			_, err := terminal.Decide(t.Context(), incident())
			expectIs(t, err, strategies.ErrConfig)
		}
	})
}

func TestTerminalEnds(t *testing.T) {
	t.Run("the end of the input is no decision, now and later", func(t *testing.T) {
		terminal := &middleware.Terminal{In: strings.NewReader("what?\n"), Out: io.Discard}
		for range 2 {
			got, err := terminal.Decide(t.Context(), incident())
			expectIs(t, err, io.EOF)
			expect(t, "decision", got, strategies.Decision{})
		}
		expectIs(t, failing(t, built(t, middleware.Wrap(plays(errSick)).Intervene(asking(terminal)))), errSick, io.EOF)
	})
	t.Run("nor is a broken input, whose error is kept", func(t *testing.T) {
		in, w := io.Pipe()
		w.CloseWithError(errGone)
		_, err := (&middleware.Terminal{In: in, Out: io.Discard}).Decide(t.Context(), incident())
		expectIs(t, err, errGone)
	})
	t.Run("an expired question is no decision, and what is typed then answers no later one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			in, person := io.Pipe()
			terminal := &middleware.Terminal{In: in, Out: &out}
			agent := plays(errSick)
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
			for _, line := range []string{"too late, the question has expired", "too late, ignored: r", "too late, ignored: a of old"} {
				expect(t, line, strings.Contains(out.String(), line), true)
			}
			synctest.Wait()
			failing(t, g) // the input has ended
		})
	})
	t.Run("an input that ends after a question has expired has ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, person := io.Pipe()
			terminal := &middleware.Terminal{In: in, Out: io.Discard}
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
		in, person := io.Pipe()
		terminal := &middleware.Terminal{In: in, Out: &out}
		got := make(chan any, 2)
		for range 2 {
			go func() {
				d, _ := terminal.Decide(t.Context(), incident())
				got <- d.Value
			}()
		}
		_, _ = io.WriteString(person, "a one\n")
		expect(t, "first", <-got, any("one"))
		_, _ = io.WriteString(person, "a two\n")
		expect(t, "second", <-got, any("two"))
		_ = person.Close()
	})
}
