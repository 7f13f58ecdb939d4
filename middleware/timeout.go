package middleware

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// Timeout bounds one attempt: its context ends after d, and the failure is a
// [strategies.TimeoutError], never to be mistaken for the caller's own end.
//
// It is cooperative: it waits for an agent that does not look at its context.
// [HardTimeout] does not. An answer that comes after the time is up is kept, for
// it is paid for, and marked late. It costs a context.WithTimeout: 4 allocations.
func Timeout[Req, Resp any](o *Owner, d time.Duration) Middleware[Req, Resp] {
	p := &timeoutPart{basics: basics{"Timeout", StageTimeout}, first: d}
	return byHand(o, p, positive("Timeout", d), func(next Runner[Req, Resp]) Runner[Req, Resp] { return newLimit(o, "attempt", d, 0, next) })
}

// Timeout bounds each attempt. Stand-ins and rungs that bring no layers of their
// own are bounded by it too. See [Timeout]; of a stream it is the time until the
// commit.
func (s *Settings) Timeout(attempt time.Duration) *Settings {
	return s.add(&timeoutPart{basics: basics{"Timeout", StageTimeout}, first: attempt}, positive("Timeout", attempt))
}

// timeoutPart is the bound of one attempt, whichever way it is kept.
type timeoutPart struct {
	basics
	first  time.Duration // of a stream: until its commit
	hard   *leftBehind   // nil: cooperative
	stream bool
	idle   time.Duration // of a stream, between two chunks; 0: none
	// silence is how long an agent may say nothing, and first the most; 0: it need not.
	silence time.Duration
}

func (p *timeoutPart) inherit(before part) (part, func() error) {
	was, ok := before.(*timeoutPart)
	if !ok || p.hard == nil || was.hard == nil {
		return p, nil
	}
	next := *p
	if next.hard = was.hard; p.hard.most != was.hard.most {
		next.hard = &leftBehind{most: p.hard.most, before: was.hard}
	}
	return &next, nil
}

func (p *timeoutPart) check(s *Settings) []error {
	if d, ok := find[*deadlinePart](s); ok && d.total > 0 && p.first > d.total {
		return []error{problemOf("Timeout", "(%v) is above Deadline (%v)", "an attempt must fit into the deadline for all of them", p.first, d.total)}
	}
	return nil
}

func (p *timeoutPart) attach(o *Owner) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.attempt = p.first
}

func (p *timeoutPart) explain(e *explaining) {
	e.attempt = p.first
	text := fmt.Sprintf("%v an attempt", p.first)
	if p.silence > 0 {
		text = fmt.Sprintf("%v an attempt, begun anew while it is alive, %v at most", p.silence, p.first)
	}
	if p.stream {
		text = fmt.Sprintf("%s until the first chunk, %s between chunks", orNoLimit(p.first), orNoLimit(p.idle))
	}
	if p.hard != nil {
		text += fmt.Sprintf(", on time even if the agent is deaf; at most %d left behind", p.hard.most)
	}
	e.row(StageTimeout, "%s", text)
	if p.first > 0 && p.first < shortest {
		e.note("Timeout is %v: hardly an agent answers in less than %v; was another unit meant?", p.first, shortest)
	}
}

func (p *timeoutPart) health(h *Health) {
	if p.hard != nil {
		h.LeftBehind = p.hard.running()
	}
}

// shortest is the least that an attempt over a network takes.
const shortest = 10 * time.Millisecond

// limit is Timeout, Deadline and the limit of a trial: they differ in where they
// stand.
type limit[Req, Resp any] struct {
	owner   *Owner
	reserve time.Duration
	cause   *strategies.TimeoutError // by its address: whose limit it is
	next    Runner[Req, Resp]
}

func newLimit[Req, Resp any](o *Owner, name string, d, reserve time.Duration, next Runner[Req, Resp]) *limit[Req, Resp] {
	return &limit[Req, Resp]{owner: o, reserve: reserve, cause: o.limit(name, d), next: next}
}

func (l *limit[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, _, err := l.punctual(ctx, req)
	return resp, err
}

// punctual is Run, and says whether the answer came after the limit.
func (l *limit[Req, Resp]) punctual(ctx context.Context, req Req) (_ Resp, late, _ error) {
	after, cause := l.cause.After, l.cause
	if l.reserve > 0 {
		if deadline, ok := ctx.Deadline(); ok {
			if left := time.Until(deadline) - l.reserve; left < after {
				after, cause = left, l.owner.callers()
			}
		}
	}
	limited, cancel := context.WithTimeoutCause(ctx, after, cause)
	defer cancel()
	resp, err := l.next.Run(limited, req)
	if limited.Err() == nil {
		return resp, nil, err
	}
	if err == nil {
		if errtree.Same(context.Cause(limited), cause) {
			l.owner.late(ctx, cause.Limit)
			late = cause
		}
		return resp, late, nil
	}
	if errtree.Same(context.Cause(limited), cause) {
		due, _ := limited.Deadline()
		err = l.owner.overdue(err, cause, max(after, 0), due)
	}
	return resp, nil, err
}

func (o *Owner) late(ctx context.Context, limit string) {
	o.note(ctx, func(p *provenance) { p.late = true })
	o.emit(ctx, o.identify(callOf(ctx)), Event{Kind: EventAnsweredLate, Detail: limit})
}

// overdue is what an attempt fails with that came back with an error after its
// limit. An agent that only says that its context ended is judged outside, as any
// failure is; whatever else it says is judged here, for some of it must pass.
func (o *Owner) overdue(err error, cause *strategies.TimeoutError, after time.Duration, due time.Time) error {
	if a, ok := err.(*account); ok && a.owner == o {
		return err // inner layers have seen the end and said so
	}
	if still := o.stood(err, cause, after, due); still != nil {
		return still
	}
	late := &strategies.TimeoutError{Limit: cause.Limit, After: after, Err: raw(err)}
	if err == error(cause) || err == context.DeadlineExceeded {
		return late
	}
	v := o.verdict(err)
	if v.Pass || v.Final {
		return o.judgement(err, v)
	}
	return &judged{owner: o, verdict: o.timedOut(v.RetryAfter), err: late}
}
