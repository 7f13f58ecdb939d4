package middleware

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// Deadline bounds all attempts of all agents together: it belongs outside of
// [Fallback] and inside of [Degrade], so that there is time left to say
// something. Of a deadline that the caller brings, reserve is kept free for
// that; 0 keeps nothing.
func Deadline[Req, Resp any](o *Owner, total, reserve time.Duration) Middleware[Req, Resp] {
	reserve = max(reserve, 0)
	p := &deadlinePart{basics: basics{"Deadline", StageDeadline}, total: total, reserve: reserve}
	return byHand(o, p, positive("Deadline", total), func(next Runner[Req, Resp]) Runner[Req, Resp] {
		return newLimit(o, "deadline", total, reserve, next)
	})
}

// Deadline bounds all attempts of all agents together. See [Deadline].
func (s *Settings) Deadline(total time.Duration) *Settings {
	return s.add(&deadlinePart{basics: basics{"Deadline", StageDeadline}, total: total}, positive("Deadline", total))
}

// DeadlineReserving is Deadline, and keeps a slice of a deadline that the caller
// brings free for the reduced answer: the agents get the rest.
func (s *Settings) DeadlineReserving(total, slice time.Duration) *Settings {
	return s.add(&deadlinePart{basics: basics{"Deadline", StageDeadline}, total: total, reserve: slice},
		positive("Deadline", total), positive("DeadlineReserving slice", slice))
}

type deadlinePart struct {
	basics
	total, reserve time.Duration
}

func (p *deadlinePart) explain(e *explaining) {
	e.deadline = p.total
	text := fmt.Sprintf("%v for all agents together", p.total)
	if p.reserve > 0 {
		text += fmt.Sprintf(", and %v before the caller's own", p.reserve)
	}
	e.row(StageDeadline, "%s", text)
}

// callers is the cause of a context that ends a little before its caller's own
// deadline: the time is the caller's, and what is left of it is for a rung. So to
// the layers outside it is a timeout, and to the breaker what a caller's deadline
// is: evidence, no more.
func (o *Owner) callers() *strategies.TimeoutError { return o.limit("caller's deadline", 0) }

// spare keeps a slice of a deadline that the caller brings for the reduced answer,
// where there is one and nobody has said how much: a fiftieth of the time, at least
// 5 ms and at most 250.
func spare[Req, Resp any](ctx context.Context, o *Owner, next Runner[Req, Resp], req Req) (Resp, error) {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	slice := min(max(left/50, 5*time.Millisecond), 250*time.Millisecond)
	if left < 4*slice {
		return next.Run(ctx, req)
	}
	cause := o.callers()
	limited, cancel := context.WithDeadlineCause(ctx, deadline.Add(-slice), cause)
	defer cancel()
	step := o.with(limited, 0) // a call, as the layers inside expect a context to be that is not the caller's
	resp, err := next.Run(step, req)
	if err != nil && limited.Err() != nil && errtree.Same(context.Cause(limited), cause) {
		due, _ := limited.Deadline()
		err = o.overdue(err, cause, left-slice, due)
	}
	return resp, err
}
