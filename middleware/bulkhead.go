package middleware

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Bulkhead bounds how many attempts are in flight at a time. Its rejections are
// [strategies.FullError]; they never count against the breaker. The slot is
// given back however the attempt ends.
func Bulkhead[Req, Resp any](o *Owner, b *strategies.Bulkhead) Middleware[Req, Resp] {
	p := newBulkheadPart(b)
	problem := pointer("Bulkhead", b)
	if b != nil {
		problem = b.Validate()
	}
	return byHand(o, p, problem, func(next Runner[Req, Resp]) Runner[Req, Resp] {
		return newBulkhead(o, b, next)
	})
}

// Bulkhead adds a bound on the attempts in flight, which other agents may share.
// See [Bulkhead].
func (s *Settings) Bulkhead(slots *strategies.Bulkhead) *Settings {
	return s.add(newBulkheadPart(slots), pointer("Bulkhead", slots))
}

type bulkheadPart struct {
	basics
	slots *strategies.Bulkhead
}

func newBulkheadPart(b *strategies.Bulkhead) *bulkheadPart {
	return &bulkheadPart{basics: basics{"Bulkhead", StageBulkhead}, slots: b}
}

func (p *bulkheadPart) anew() part { return newBulkheadPart(p.slots.Anew()) }

func (p *bulkheadPart) inherit(before part) (part, func() error) {
	was, ok := before.(*bulkheadPart)
	is := p.slots.Itself()
	if !ok || is.Used() || is.Name != was.slots.Name {
		return &bulkheadPart{p.basics, is}, nil
	}
	return &bulkheadPart{p.basics, was.slots}, func() error { return was.slots.Update(is) }
}

func (p *bulkheadPart) check(*Settings) []error {
	if p.slots == nil {
		return nil
	}
	return []error{p.slots.Validate()}
}

func (p *bulkheadPart) attach(o *Owner) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wait = saturate(o.wait, p.slots.Longest())
}

func (p *bulkheadPart) explain(e *explaining) {
	e.wait = saturate(e.wait, p.slots.Longest())
	e.row(StageBulkhead, "%s", p.slots)
}

func (p *bulkheadPart) health(h *Health) {
	h.InFlight, h.Waiting = p.slots.InFlight(), h.Waiting+p.slots.Waiting()
}

type bulkhead[Req, Resp any] struct {
	owner *Owner
	slots *strategies.Bulkhead
	hard  *hardTimeout[Req, Resp] // if that is the next
	timed punctual[Req, Resp]     // if that is
	next  Runner[Req, Resp]
}

func newBulkhead[Req, Resp any](o *Owner, slots *strategies.Bulkhead, next Runner[Req, Resp]) *bulkhead[Req, Resp] {
	hard, _ := next.(*hardTimeout[Req, Resp])
	timed, _ := next.(punctual[Req, Resp])
	return &bulkhead[Req, Resp]{owner: o, slots: slots, hard: hard, timed: timed, next: next}
}

func (l *bulkhead[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, _, err := l.punctual(ctx, req)
	return resp, err
}

func (l *bulkhead[Req, Resp]) punctual(ctx context.Context, req Req) (_ Resp, late, _ error) {
	priority := CallOf(ctx).Priority()
	if err := l.slots.AcquireAs(ctx, priority); err != nil {
		var none Resp
		if full, ok := err.(*strategies.FullError); ok && full.What == "" { //nolint:errorlint // made just now
			full.What = fmt.Sprintf("bulkhead %q", l.owner.name())
		}
		return none, nil, err
	}
	if l.slots.Adapts() {
		return l.measured(ctx, req, priority)
	}
	return l.inside(ctx, req, priority)
}

// measured tells a bulkhead that adapts how an attempt went. A panic says nothing.
func (l *bulkhead[Req, Resp]) measured(ctx context.Context, req Req, priority strategies.Priority) (Resp, error, error) {
	began := time.Now()
	resp, late, err := l.inside(ctx, req, priority)
	v := strategies.Verdict{}
	if err != nil {
		v = l.owner.judge(ctx, err)
	}
	l.slots.Settle(time.Since(began), v)
	return resp, late, err
}

func (l *bulkhead[Req, Resp]) inside(ctx context.Context, req Req, priority strategies.Priority) (_ Resp, late, _ error) {
	if l.hard != nil {
		resp, err := l.hard.hold(ctx, req, func() { l.slots.ReleaseAs(priority) }) // which may leave the attempt behind, in flight
		return resp, nil, err
	}
	defer l.slots.ReleaseAs(priority)
	if l.timed != nil {
		return l.timed.punctual(ctx, req)
	}
	resp, err := l.next.Run(ctx, req)
	return resp, nil, err
}
