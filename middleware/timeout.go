package middleware

import (
	"context"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Timeout bounds one attempt: its context ends after d, and the failure is a
// [strategies.TimeoutError], never to be mistaken for the caller's own end.
//
// It is cooperative: it waits for an agent that does not look at its context.
// [HardTimeout] does not. An answer that comes after the time is up is kept, for
// it is paid for, and marked late. It costs a context.WithTimeout: 4 allocations.
func Timeout[Req, Resp any](s Scope, d time.Duration) Middleware[Req, Resp] {
	scope := s.ready()
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if err := positive("Timeout", d); err != nil {
			return misconfigured[Req, Resp](err)
		}
		return newLimit(scope, "attempt", d, 0, next)
	}
}

// Deadline bounds all attempts of all agents together: it belongs outside of
// [Fallback] and inside of [Degrade], so that there is time left to say
// something. reserve is kept free for that of a deadline the caller brought; 0
// keeps nothing.
func Deadline[Req, Resp any](s Scope, d, reserve time.Duration) Middleware[Req, Resp] {
	scope := s.ready()
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if err := positive("Deadline", d); err != nil {
			return misconfigured[Req, Resp](err)
		}
		return newLimit(scope, "deadline", d, max(reserve, 0), next)
	}
}

// limit is both of them: they differ in where they stand.
type limit[Req, Resp any] struct {
	scope   *scope
	name    string
	after   time.Duration
	reserve time.Duration
	cause   *strategies.TimeoutError
	next    Runner[Req, Resp]
}

func newLimit[Req, Resp any](s *scope, name string, d, reserve time.Duration, next Runner[Req, Resp]) *limit[Req, Resp] {
	cause := &strategies.TimeoutError{Limit: name, After: d}
	return &limit[Req, Resp]{scope: s, name: name, after: d, reserve: reserve, cause: cause, next: next}
}

func (l *limit[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	after, cause := l.after, l.cause
	if l.reserve > 0 {
		if deadline, ok := ctx.Deadline(); ok {
			if left := time.Until(deadline) - l.reserve; left < after {
				after = left
				cause = &strategies.TimeoutError{Limit: l.name, After: max(left, 0)}
			}
		}
	}
	limited, cancel := context.WithTimeoutCause(ctx, after, cause)
	defer cancel()
	resp, err := l.next.Run(limited, req)
	if limited.Err() == nil {
		return resp, err
	}
	return l.overdue(ctx, limited, cause, resp, err)
}

// overdue sorts out what came back after the limited context had ended.
func (l *limit[Req, Resp]) overdue(ctx, limited context.Context, cause error, resp Resp, err error) (Resp, error) {
	ours := context.Cause(limited) == cause
	if err == nil {
		if ours {
			l.scope.note(ctx, func(r *record) { r.late = true })
			l.scope.emit(ctx, Event{Kind: EventAnsweredLate, Detail: l.name})
		}
		return resp, nil
	}
	if !ours || final(l.scope.judge(ctx, err).Class) {
		return resp, err
	}
	if l.scope.own(err) != nil {
		return resp, err // inner layers have seen the end and said so
	}
	return resp, &strategies.TimeoutError{Limit: l.name, After: cause.(*strategies.TimeoutError).After, Err: err}
}
