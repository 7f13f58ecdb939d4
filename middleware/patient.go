package middleware

import (
	"context"

	"github.com/understudy-go/understudy/strategies"
)

// WithRetries makes a stand-in of a guarded agent that keeps its own retries: it
// is asked again, as its own Retry says, before the next one is. Without it a
// stand-in is asked once, so that one call cannot multiply; so [Owner.Explain]
// counts these retries. Its own stand-ins and rungs are left out as ever. For an
// agent without layers of its own it changes nothing.
//
//	Fallback("sage", middleware.WithRetries(sage))
func WithRetries[Req, Resp any](standIn Runner[Req, Resp]) Runner[Req, Resp] {
	if isNil(standIn) {
		return standIn
	}
	return &patient[Req, Resp]{standIn}
}

type patient[Req, Resp any] struct{ Runner[Req, Resp] }

func (p *patient[Req, Resp]) understudy() (Runner[Req, Resp], *Owner) { return retriedForm(p.Runner) }

func (p *patient[Req, Resp]) preview(ctx context.Context, req any) (any, error) {
	if other, ok, err := preview(ctx, p.Runner, req); ok || err != nil {
		return other, err
	}
	return req, nil
}

// retriedForm is [shortForm] with the retries.
func retriedForm[Req, Resp any](r Runner[Req, Resp]) (Runner[Req, Resp], *Owner) {
	if u, ok := r.(interface {
		insistent() (Runner[Req, Resp], *Owner)
	}); ok {
		return u.insistent()
	}
	return shortForm(r)
}

func (g *Guarded[Req, Resp]) insistent() (Runner[Req, Resp], *Owner) {
	if g == nil || g.now.Load() == nil {
		return g.understudy()
	}
	return &g.helps[withRetries], g.owner
}

func (a *adapter[Req, Resp, Req2, Resp2]) insistent() (Runner[Req, Resp], *Owner) {
	inner, who := retriedForm(a.runner)
	return &adapter[Req, Resp, Req2, Resp2]{runner: inner, in: a.in, out: a.out}, who
}

// published hands out a failure as those outside of an agent's layers get it.
type published[Req, Resp any] struct{ next Runner[Req, Resp] }

func (l *published[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	return resp, outward(err)
}

// policy is that of an agent's retries; nil: it makes none.
func (o *Owner) policy() *strategies.Retry {
	if o == nil {
		return nil
	}
	for _, p := range o.latest().chain() {
		if r, ok := p.(*retryPart); ok {
			return &r.policy
		}
	}
	return nil
}
