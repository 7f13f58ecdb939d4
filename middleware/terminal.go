package middleware

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Terminal asks the person at a terminal, one incident at a time. It is an
// [strategies.Intervenor].
//
// A line that makes no sense is asked again; the end of the input, like an
// expired question, is no decision, and what is typed after a question has
// expired is no answer to the next one. One goroutine reads lines for as long as In
// has any; it is started by the first question.
type Terminal struct {
	In  io.Reader
	Out io.Writer
	// By is who sits there, for the record. "": "terminal".
	By string
	// Parse makes an answer of the text that was typed. nil: the text itself,
	// which suits agents that answer with a string.
	Parse func(text string) (any, error)

	turn  chan struct{} // one question at a time
	once  sync.Once
	lines chan string
	stale bool  // a question expired: a line for it may still come
	err   error // why lines was closed
}

// Decide asks and waits. Layers call it.
func (t *Terminal) Decide(ctx context.Context, incident strategies.Incident) (strategies.Decision, error) {
	if t.In == nil || t.Out == nil {
		return strategies.Decision{}, &strategies.ConfigError{Setting: "Terminal", Problem: "has no In or no Out", Fix: "set both, as in Terminal{In: os.Stdin, Out: os.Stdout}"}
	}
	t.once.Do(t.read)
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done(): // while another question was open
		return strategies.Decision{}, context.Cause(ctx)
	}
	for t.stale {
		select {
		case line, ok := <-t.lines:
			if t.stale = ok; ok {
				fmt.Fprintf(t.Out, "  too late, ignored: %s\n", line)
			}
		default:
			t.stale = false
		}
	}
	t.print(incident)
	for {
		fmt.Fprint(t.Out, "> ")
		select {
		case line, ok := <-t.lines:
			if !ok {
				return strategies.Decision{}, fmt.Errorf("understudy: terminal input ended: %w", t.err)
			}
			decision, err := t.parse(line, incident)
			if err == nil {
				return decision, nil
			}
			fmt.Fprintf(t.Out, "  %v\n", err)
		case <-ctx.Done():
			t.stale = true
			why := "the caller has left"
			if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				why = "the question has expired"
			}
			fmt.Fprintf(t.Out, "\n  too late, %s\n", why)
			return strategies.Decision{}, context.Cause(ctx)
		}
	}
}

func (t *Terminal) read() {
	// With room, so that all that was typed too late is known to be so.
	t.lines, t.turn = make(chan string, 64), make(chan struct{}, 1)
	go func() {
		defer close(t.lines)
		in := bufio.NewScanner(t.In)
		for in.Scan() {
			t.lines <- in.Text()
		}
		if t.err = in.Err(); t.err == nil {
			t.err = io.EOF
		}
	}()
}

func (t *Terminal) print(i strategies.Incident) {
	fmt.Fprintf(t.Out, "\nincident %s: agent %q could not answer (%s)\n", i.ID, i.Agent, i.Err.Class)
	for _, a := range i.Err.Attempts {
		fmt.Fprintf(t.Out, "  %-12s %s\n", a.Agent, firstLine(a.Err))
	}
	if left := time.Until(i.Deadline); !i.Deadline.IsZero() {
		fmt.Fprintf(t.Out, "  no decision within %v counts as none\n", left.Round(time.Second))
	}
	fmt.Fprint(t.Out, "[r]etry, [a]nswer TEXT, ")
	if len(i.Agents) > 0 {
		fmt.Fprintf(t.Out, "[u]se %s, ", strings.Join(i.Agents, "|"))
	}
	fmt.Fprintln(t.Out, "e[x]it")
}

func (t *Terminal) parse(line string, i strategies.Incident) (strategies.Decision, error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	d := strategies.Decision{By: t.By}
	if d.By == "" {
		d.By = "terminal"
	}
	switch strings.ToLower(word) {
	case "r", "retry":
		d.Action = strategies.ActionRetryNow
	case "x", "exit", "abort":
		d.Action, d.Reason = strategies.ActionAbort, rest
	case "u", "use":
		if !slices.Contains(i.Agents, rest) {
			return d, fmt.Errorf("no agent %q; there are %s", rest, strings.Join(i.Agents, ", "))
		}
		d.Action, d.Agent = strategies.ActionUseAgent, rest
	case "a", "answer":
		if rest == "" {
			return d, errors.New("an answer needs a text, as in: a The gate is closed")
		}
		d.Action, d.Value = strategies.ActionAnswer, rest
		if t.Parse != nil {
			value, err := t.Parse(rest)
			if err != nil {
				return d, err
			}
			d.Value = value
		}
	default:
		return d, errors.New("type r, a TEXT, u AGENT or x")
	}
	return d, nil
}

func firstLine(err error) string {
	if err == nil {
		return ""
	}
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
