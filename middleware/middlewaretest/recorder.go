package middlewaretest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Recorder is a [middleware.Observer] that keeps what it is told. The zero value
// is ready; it is used by pointer and safe for concurrent use.
type Recorder struct {
	mu     sync.Mutex
	events []middleware.Event
}

// Observe keeps an event. Layers call it.
func (r *Recorder) Observe(_ context.Context, event middleware.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

// Events returns a copy of all events, in the order in which they came.
func (r *Recorder) Events() []middleware.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Kinds returns the kinds of all events, in order: often all that a test wants
// to compare.
func (r *Recorder) Kinds() []middleware.EventKind {
	r.mu.Lock()
	defer r.mu.Unlock()
	kinds := make([]middleware.EventKind, len(r.events))
	for i, e := range r.events {
		kinds[i] = e.Kind
	}
	return kinds
}

// Count returns the number of events of a kind.
func (r *Recorder) Count(kind middleware.EventKind) int {
	n := 0
	for _, k := range r.Kinds() {
		if k == kind {
			n++
		}
	}
	return n
}

// Reset forgets all events.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// String returns one line an event, for logs and golden tests: the kind, the
// agent, then each field that is not zero, but for the time. A breaker that is
// to stay open for the same time in every run needs NoJitter.
func (r *Recorder) String() string {
	var b strings.Builder
	for _, e := range r.Events() {
		b.WriteString(line(e))
		b.WriteByte('\n')
	}
	return b.String()
}

func line(e middleware.Event) string {
	s := e.Kind.String() + " " + e.Agent
	add := func(name string, given bool, value any) {
		if given {
			s += fmt.Sprintf(" %s=%v", name, value)
		}
	}
	add("served_by", e.ServedBy != "" && e.ServedBy != e.Agent, quoted(e.ServedBy))
	add("attempt", e.Attempt != 0, e.Attempt)
	add("class", e.Class != strategies.ClassUnclassified, e.Class)
	add("strategy", e.Strategy != strategies.StrategyNone, e.Strategy)
	add("level", e.Level != strategies.LevelFull, e.Level)
	add("delay", e.Delay != 0, e.Delay)
	add("stop", e.Stop != "", quoted(e.Stop.String()))
	add("detail", e.Detail != "", quoted(e.Detail))
	if e.Err != nil {
		add("err", true, fmt.Sprintf("%q", e.Err.Error()))
	}
	return s
}

// quoted keeps what is more than one word in one piece, and on one line.
func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\r\n\"=") {
		return fmt.Sprintf("%q", s)
	}
	return s
}
