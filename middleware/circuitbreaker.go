package middleware

import (
	"context"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// CircuitBreaker stops calling an agent that is down. It stands inside of
// [Retry], so that it sees every attempt and can open in the middle of a retry
// loop; its rejection, a [strategies.OpenError], ends the loop at once.
//
// Which failures count is the classifier's business. A panic and a
// runtime.Goexit count; a caller who left does not. A provider that names a time
// (Retry-After, an exhausted quota) has the breaker held for that long, for
// everyone who shares it.
//
// A chain that has an observer watches its breaker for as long as the breaker
// lives: share a breaker between agents, not between ever new chains.
//
// It costs a healthy call two atomic loads and a deferred call; with a Window,
// two locks of the engine.
func CircuitBreaker[Req, Resp any](s Scope, b *strategies.Breaker) Middleware[Req, Resp] {
	scope := s.ready()
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if b == nil {
			return misconfigured[Req, Resp](settingNil("CircuitBreaker", "a *strategies.Breaker"))
		}
		if err := b.Validate(); err != nil {
			return misconfigured[Req, Resp](err)
		}
		return &circuitBreaker[Req, Resp]{scope: scope, breaker: b, next: next}
	}
}

type circuitBreaker[Req, Resp any] struct {
	scope   *scope
	breaker *strategies.Breaker
	next    Runner[Req, Resp]
}

func (l *circuitBreaker[Req, Resp]) Run(ctx context.Context, req Req) (resp Resp, err error) {
	permit, err := l.breaker.Allow()
	if err != nil {
		if open, ok := err.(*strategies.OpenError); ok && open.Breaker == "" { //nolint:errorlint // made just now, by Allow
			open.Breaker = l.scope.name
		}
		return resp, err
	}
	settled := false
	defer func() {
		switch { // a panic or a Goexit is on its way through
		case settled:
		case passing(req):
			permit.Neutral()
		default:
			permit.Failure(nil)
		}
	}()
	if limit, ok := permit.Trial(); ok {
		resp, err = l.trial(ctx, req, limit, permit)
	} else {
		resp, err = l.next.Run(ctx, req)
	}
	settled = true
	if err == nil {
		permit.Success()
		return resp, nil
	}
	l.settle(ctx, &permit, err)
	return resp, err
}

// trial runs a call of a half-open breaker, which is always bounded. A stream's
// is until its commit; after that by its own clocks, if it has any.
func (l *circuitBreaker[Req, Resp]) trial(ctx context.Context, req Req, limit time.Duration, permit strategies.Permit) (Resp, error) {
	stream, ok := any(req).(interface{ whenCommitted(func(bounded bool)) })
	if !ok {
		return newLimit(l.scope, "trial", limit, 0, l.next).Run(ctx, req)
	}
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(limit, func() { cancel(&strategies.TimeoutError{Limit: "trial", After: limit}) })
	defer timer.Stop()
	_, total := ctx.Deadline()
	stream.whenCommitted(func(bounded bool) {
		timer.Stop()
		if bounded || total {
			permit.Prolong()
		}
	})
	defer stream.whenCommitted(nil)
	return l.next.Run(limited, req)
}

func (l *circuitBreaker[Req, Resp]) settle(ctx context.Context, permit *strategies.Permit, err error) {
	permit.Settle(judged(l.scope.classifier, ctx, err), err)
}
