package inbox

import (
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

// Terminal asks the person at a terminal, one incident at a time. It is a
// [strategies.Intervenor].
//
// An answer is what is typed after its question was shown. What was typed before is
// ignored, and the person told so: a line too many for the last question, what came
// when none was open, what lies in the buffer of an input that is no keyboard. So a
// question is put when nothing has come for 50 ms. A line
// that makes no sense is asked again, and so is an answer of another type than the
// caller expects; the end of the input, like an expired question, is no decision.
//
// What agents, providers and users say is shown as plain text: the request in at most
// 8 lines, one line for each of at most 20 attempts, 200 characters of each, and every
// control character escaped, so that nobody can repaint the screen.
//
// One goroutine reads lines for as long as In has any; it is started by the first
// question. A nil Terminal, or one without In or Out, answers every question with
// a [strategies.ConfigError].
type Terminal struct {
	In  io.Reader
	Out io.Writer
	// By is who sits there, for the record. "": "terminal".
	By string
	// Parse makes an answer of the text that was typed. nil: the text itself,
	// which suits agents that answer with a string.
	Parse func(text string) (any, error)
	// Show is what the person sees of a request, and "" shows nothing. nil: a text as
	// it is, and anything else as JSON.
	Show func(request any) string

	once sync.Once
	turn chan struct{} // one question at a time
	in   *typed
}

// Decide asks and waits. Layers call it.
func (t *Terminal) Decide(ctx context.Context, incident strategies.Incident) (strategies.Decision, error) {
	switch {
	case t == nil:
		return strategies.Decision{}, &strategies.ConfigError{Setting: "Terminal", Problem: "is nil", Fix: "make one, as in &inbox.Terminal{In: os.Stdin, Out: os.Stdout}"}
	case t.In == nil || t.Out == nil:
		return strategies.Decision{}, &strategies.ConfigError{Setting: "Terminal", Problem: "has no In or no Out", Fix: "set both, as in &inbox.Terminal{In: os.Stdin, Out: os.Stdout}"}
	case ctx == nil:
		return strategies.Decision{}, &strategies.ConfigError{Setting: "Terminal.Decide ctx", Problem: "is nil", Fix: "give it a context, such as context.Background()"}
	}
	t.once.Do(func() { t.turn, t.in = make(chan struct{}, 1), newTyped(t.In) })
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done(): // while another question was open
		return strategies.Decision{}, context.Cause(ctx)
	}
	if ctx.Err() != nil || !t.in.settle(ctx.Done()) {
		return strategies.Decision{}, context.Cause(ctx) // nobody is to read about it
	}
	shown := t.show(incident.Request) // whatever of the user's that calls, it calls before
	lines := t.in.begin(func(line string) { fmt.Fprintf(t.Out, "  typed before, ignored: %s\n", plain(line, textWidth)) })
	defer t.in.end()
	t.print(incident, shown)
	for {
		fmt.Fprint(t.Out, "> ")
		line, ok := "", false
		select {
		case line, ok = <-lines:
		case <-ctx.Done():
			return t.late(ctx)
		case <-t.in.ended:
			select {
			case line, ok = <-lines: // the last ones
			default:
			}
		}
		if !ok {
			return strategies.Decision{}, fmt.Errorf("understudy: terminal input ended: %w", t.in.err)
		}
		decision, err := t.parse(line, incident)
		switch {
		case ctx.Err() != nil: // it came with the last tick
			return t.late(ctx)
		case err == nil:
			return decision, nil
		}
		fmt.Fprintf(t.Out, "  %s\n", plain(words(err), textWidth))
	}
}

// late ends a question without a decision, and tells the person so.
func (t *Terminal) late(ctx context.Context) (strategies.Decision, error) {
	why := "the caller has left"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = "the question has expired"
	}
	fmt.Fprintf(t.Out, "\n  too late, %s\n", why)
	return strategies.Decision{}, context.Cause(ctx)
}

func (t *Terminal) print(i strategies.Incident, request string) {
	failure := i.Err
	if failure == nil {
		failure = &strategies.RecoveryError{}
	}
	fmt.Fprintf(t.Out, "\nincident %s: agent \"%s\" could not answer (%s)\n", plain(i.ID, textWidth), plain(i.Agent, textWidth), failure.Class)
	t.lines("was asked", request)
	for _, name := range i.Agents[:min(len(i.Agents), maxOffered)] {
		if other, ok := i.Requests[name]; ok {
			t.lines("\""+plain(name, nameWidth)+"\" would be asked", t.show(other))
		}
	}
	first, last := failure.Attempts, []strategies.Attempt(nil)
	if more := len(first) - maxAttempts; more > 0 {
		first, last = first[:maxAttempts/2], first[len(first)-maxAttempts/2:]
	}
	t.attempts(first)
	if last != nil {
		fmt.Fprintf(t.Out, "  … %d more …\n", len(failure.Attempts)-maxAttempts)
		t.attempts(last)
	}
	if left := time.Until(i.Deadline); !i.Deadline.IsZero() {
		fmt.Fprintf(t.Out, "  no decision within %v counts as none\n", left.Round(time.Second))
	}
	fmt.Fprint(t.Out, "[r]etry, [a]nswer TEXT, ")
	if len(i.Agents) > 0 {
		fmt.Fprintf(t.Out, "[u]se %s, ", offered(i.Agents, "|"))
	}
	fmt.Fprintln(t.Out, "e[x]it")
}

// lines shows a text of several lines, none of which can be taken for one of ours.
func (t *Terminal) lines(what, text string) {
	text = strings.Trim(text, "\r\n")
	if text == "" {
		return
	}
	fmt.Fprintf(t.Out, "  %s:\n", what)
	rest, more := text, true
	for n := 0; n < maxLines && more; n++ {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		fmt.Fprintf(t.Out, "  | %s\n", plain(line, textWidth))
	}
	if more {
		fmt.Fprintf(t.Out, "  | … %d more lines …\n", 1+strings.Count(rest, "\n"))
	}
}

// show is what a person sees of a request.
func (t *Terminal) show(request any) (text string) {
	if t.Show != nil {
		if err := func() (err error) { defer panicked("Show", &err); text = t.Show(request); return nil }(); err != nil {
			return words(err)
		}
		return text
	}
	return shown(request)
}

func (t *Terminal) attempts(list []strategies.Attempt) {
	for _, a := range list {
		fmt.Fprintf(t.Out, "  %-12s %s\n", plain(a.Agent, nameWidth), plain(words(a.Err), textWidth))
	}
}

// offered are the names a person may use.
func offered(names []string, between string) string {
	var shown []string
	for _, n := range names[:min(len(names), maxOffered)] {
		shown = append(shown, plain(n, nameWidth))
	}
	s := strings.Join(shown, between)
	if more := len(names) - len(shown); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
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
			return d, fmt.Errorf("no agent \"%s\"; there are %s", plain(rest, nameWidth), offered(i.Agents, ", "))
		}
		d.Action, d.Agent = strategies.ActionUseAgent, rest
	case "a", "answer":
		if rest == "" {
			return d, errors.New("an answer needs a text, as in: a The gate is closed")
		}
		d.Action, d.Value = strategies.ActionAnswer, rest
		if t.Parse != nil {
			value, err := t.value(rest)
			if err != nil {
				return d, err
			}
			d.Value = value
		}
		if err := i.Check(d); err != nil {
			return d, fmt.Errorf("this is no answer that the caller can take: %w", err)
		}
	default:
		return d, errors.New("type r, a TEXT, u AGENT or x")
	}
	return d, nil
}

// value is what Parse makes of a text. A panic of Parse is a text it cannot read,
// and not the end of the question.
func (t *Terminal) value(text string) (v any, err error) {
	defer panicked("Parse", &err)
	return t.Parse(text)
}

// panicked makes an error of a panic in code of the user's. It must be deferred
// directly.
func panicked(field string, err *error) {
	switch v := recover().(type) {
	case nil:
	case error:
		*err = fmt.Errorf("understudy: Terminal.%s panicked: %w", field, v)
	default:
		*err = fmt.Errorf("understudy: Terminal.%s panicked: %v", field, v)
	}
}
