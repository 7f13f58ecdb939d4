package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// A question is asked on a goroutine of its own, so that an Ask that is deaf to the
// end of its context does not hold the call. It is waited for a little, for most hear;
// then it is left behind and counted, and what it decides is refused.
const (
	questionGrace = 100 * time.Millisecond
	mostDeaf      = 16 // left behind by one agent: while so many are, nobody is asked anew
)

var errAskGone = errors.New("understudy: the Ask ended its goroutine (runtime.Goexit)")

// said is what a person decided, or why nobody did.
type said struct {
	decision strategies.Decision
	err      error
	late     bool // it came after the end of the question
}

// question puts an incident before a person. ctx is the question's, and its cause the
// error of what comes after its end. refused is told of a decision that comes when
// nobody waits any more.
func (o *Owner) question(ctx context.Context, person strategies.Intervenor, incident strategies.Incident, refused func(said)) (strategies.Decision, error) {
	if n := o.deaf.Load(); n >= mostDeaf {
		return strategies.Decision{}, &strategies.FullError{What: fmt.Sprintf("what the questions of %q may leave behind, each with an Ask that is deaf to its context", o.name()), Limit: mostDeaf}
	}
	const asking, heard, left = 0, 1, 2
	var state atomic.Int32
	answers := make(chan said, 1)
	go func() {
		got := said{err: errAskGone}
		defer func() {
			got.late = ctx.Err() != nil
			if state.CompareAndSwap(asking, heard) {
				answers <- got
				return
			}
			o.deaf.Add(-1)
			if got.err == nil {
				refused(got)
			}
		}()
		got.err = protect(func() (err error) { got.decision, err = person.Decide(ctx, incident); return err })
	}()
	var got said
	select {
	case got = <-answers:
	case <-ctx.Done():
		grace := time.NewTimer(questionGrace)
		defer grace.Stop()
		select {
		case got = <-answers:
		case <-grace.C:
			o.deaf.Add(1) // before anybody can take it away
			if state.CompareAndSwap(asking, left) {
				o.emit(ctx, 0, Event{Kind: EventWorkAbandoned, Incident: incident.ID, Count: int(o.deaf.Load()), Detail: "the Ask does not look at its context"})
				return strategies.Decision{}, context.Cause(ctx)
			}
			o.deaf.Add(-1)
			got = <-answers
		}
	}
	if got.late {
		if got.err == nil {
			refused(got)
		}
		return strategies.Decision{}, context.Cause(ctx)
	}
	return got.decision, got.err
}
