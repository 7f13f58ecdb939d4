package middleware

import (
	"context"
	"fmt"
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
// An agent with an observer watches its breaker for as long as the agent lives.
//
// It costs a healthy call two atomic loads and a deferred call; with a Window,
// two locks of the engine.
func CircuitBreaker[Req, Resp any](o *Owner, b *strategies.Breaker) Middleware[Req, Resp] {
	p := newBreakerPart(b)
	problem := pointer("CircuitBreaker", b)
	if b != nil {
		problem = b.Validate()
	}
	return byHand(o, p, problem, func(next Runner[Req, Resp]) Runner[Req, Resp] { return newCircuitBreaker(o, b, next) })
}

// CircuitBreaker adds a breaker, which other agents may share: an agent that is
// down is left alone for a while. See [CircuitBreaker].
func (s *Settings) CircuitBreaker(breaker *strategies.Breaker) *Settings {
	return s.add(newBreakerPart(breaker), pointer("CircuitBreaker", breaker))
}

type breakerPart struct {
	basics
	breaker *strategies.Breaker
}

func newBreakerPart(b *strategies.Breaker) *breakerPart {
	return &breakerPart{basics: basics{"CircuitBreaker", StageBreaker}, breaker: b}
}

func (p *breakerPart) check(s *Settings) []error {
	if p.breaker == nil {
		return nil
	}
	errs := []error{p.breaker.Validate()}
	if t, ok := find[*timeoutPart](s); ok {
		if w := p.breaker.Window; w > 0 && t.first > w {
			errs = append(errs, problemOf("Breaker.Window", "(%v) is shorter than Timeout (%v)",
				"an agent that hangs would never have two failures in one window: make it several times the timeout", w, t.first))
		}
	}
	return errs
}

func (p *breakerPart) explain(e *explaining) { e.row(StageBreaker, "%s", p.breaker) }

func (p *breakerPart) health(h *Health) {
	h.Breaker, h.RetryAfter = p.breaker.State(), p.breaker.RetryAfter()
}

func (p *breakerPart) attach(o *Owner) {
	o.each(func(told Observer) {
		agent := o.name()
		o.watch(p.breaker.WatchAs(told, func(c strategies.BreakerChange) {
			told.Observe(background, Event{
				Kind: EventBreakerChanged, Agent: agent, ServedBy: agent, Time: c.At,
				From: c.From.String(), To: c.To.String(), Detail: c.From.String() + " → " + c.To.String(), Delay: c.OpenFor, Err: c.Cause,
			})
		}))
	})
}

type circuitBreaker[Req, Resp any] struct {
	owner   *Owner
	breaker *strategies.Breaker
	next    Runner[Req, Resp]
}

func newCircuitBreaker[Req, Resp any](o *Owner, b *strategies.Breaker, next Runner[Req, Resp]) *circuitBreaker[Req, Resp] {
	return &circuitBreaker[Req, Resp]{owner: o, breaker: b, next: next}
}

func (l *circuitBreaker[Req, Resp]) Run(ctx context.Context, req Req) (resp Resp, err error) {
	permit, err := l.breaker.Allow()
	if err != nil {
		if open, ok := err.(*strategies.OpenError); ok && open.Breaker == "" { //nolint:errorlint // made just now, by Allow
			open.Breaker = l.owner.name()
		}
		return resp, err
	}
	settled := false
	defer func() {
		switch { // a panic or a Goexit is on its way through
		case settled:
		case passing(ctx):
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
	v := l.owner.verdict(err)
	permit.Settle(l.owner.ended(ctx, v), raw(err))
	return resp, l.owner.judgement(err, v)
}

// trial runs a call of a half-open breaker, which is always bounded. A stream's
// is until its commit; after that by its own clocks, if it has any.
func (l *circuitBreaker[Req, Resp]) trial(ctx context.Context, req Req, limit time.Duration, permit strategies.Permit) (Resp, error) {
	c := callOf(ctx)
	if c == nil || c.stream == nil {
		return newLimit(l.owner, "trial", limit, 0, l.next).Run(ctx, req)
	}
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := l.owner.limit("trial", limit)
	timer := time.AfterFunc(limit, func() { cancel(late) })
	defer timer.Stop()
	_, total := ctx.Deadline()
	c.stream.onCommit = func(bounded bool) {
		timer.Stop()
		if bounded || total {
			permit.Prolong()
		}
	}
	defer func() { c.stream.onCommit = nil }()
	return l.next.Run(limited, req)
}

// each calls watch for every observer of the agent.
func (o *Owner) each(watch func(Observer)) {
	if many, ok := o.Observer.(observers); ok {
		for _, one := range many {
			watch(one)
		}
		return
	}
	if o.Observer != nil {
		watch(o.Observer)
	}
}

func problemOf(setting, problem, fix string, args ...any) error {
	return &strategies.ConfigError{Setting: setting, Problem: fmt.Sprintf(problem, args...), Fix: fix}
}
