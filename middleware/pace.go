package middleware

import (
	"context"
	"fmt"

	"github.com/understudy-go/understudy/strategies"
)

// Pace keeps the attempts to what the provider's plan allows a minute. Its refusals
// are [strategies.PaceError]; they never count against the breaker, and a wait for a
// turn is no slowness of the agent's. It stands inside of the breaker, so that a call
// that is not made takes no turn, and outside of the bulkhead, so that who waits for
// a turn holds no slot. Attempts that run into a rate limit all the same lower the
// rate for all who share it.
//
// tokens estimates what a request will use; nil: 0. It costs a healthy call one
// look-up in the context and, most of the time, one atomic operation.
func Pace[Req, Resp any](o *Owner, p *strategies.Pace, tokens func(ctx context.Context, req Req) int) Middleware[Req, Resp] {
	part := newPacePart(p)
	problem := pointer("Pace", p)
	if p != nil {
		problem = p.Validate()
	}
	return byHand(o, part, problem, func(next Runner[Req, Resp]) Runner[Req, Resp] {
		return newPacer(o, p, tokens, next)
	})
}

// Pace keeps the attempts to what a plan allows a minute, which other agents may
// share. See [Pace], and PaceTokens.
func (s *Settings) Pace(pace *strategies.Pace) *Settings {
	return s.add(newPacePart(pace), pointer("Pace", pace))
}

// PaceTokens estimates the tokens that a request will use, for a [strategies.Pace]
// with TokensPerMinute. What it was wrong by can be told to [strategies.Pace.Correct].
func (b *Builder[Req, Resp]) PaceTokens(estimate func(ctx context.Context, req Req) int) *Builder[Req, Resp] {
	b.settings().once("PaceTokens", missing("PaceTokens", estimate == nil))
	b.tokens = estimate
	return b
}

// PaceTokens estimates the tokens that a request will use, as [Builder.PaceTokens]
// does.
func (b *StreamBuilder[Req, Chunk]) PaceTokens(estimate func(ctx context.Context, req Req) int) *StreamBuilder[Req, Chunk] {
	if estimate == nil {
		b.chained().PaceTokens(nil)
		return b
	}
	b.chained().PaceTokens(func(ctx context.Context, call streamCall[Req, Chunk]) int { return estimate(ctx, call.req) })
	return b
}

// WithPriority says how urgent the calls below ctx are, those of agents that they
// call too: who goes first where many wait for a [strategies.Bulkhead] or a
// [strategies.Pace]. What nobody says is [strategies.PriorityNormal].
func WithPriority(ctx context.Context, p strategies.Priority) context.Context {
	if ctx == nil {
		return ctx
	}
	up := callOf(ctx)
	c := &call{Context: ctx, up: up, priority: &p}
	if up != nil {
		c.tree, c.level, c.job, c.given = up.tree, up.level, up.job, up.given
	}
	return c
}

// Priority returns how urgent the call is; see [WithPriority].
func (c Call) Priority() strategies.Priority {
	for at := c.c; at != nil; at = at.up {
		if at.priority != nil {
			return *at.priority
		}
	}
	return strategies.PriorityNormal
}

type pacePart struct {
	basics
	pace *strategies.Pace
}

func newPacePart(p *strategies.Pace) *pacePart {
	return &pacePart{basics: basics{"Pace", StagePace}, pace: p}
}

func (p *pacePart) anew() part { return newPacePart(p.pace.Anew()) }

func (p *pacePart) inherit(before part) (part, func() error) {
	was, ok := before.(*pacePart)
	is := p.pace.Itself()
	if !ok || is.Used() || is.Name != was.pace.Name {
		return &pacePart{p.basics, is}, nil
	}
	return &pacePart{p.basics, was.pace}, func() error { return was.pace.Update(is) }
}

func (p *pacePart) check(*Settings) []error {
	if p.pace == nil {
		return nil
	}
	return []error{p.pace.Validate()}
}

func (p *pacePart) attach(o *Owner) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wait = saturate(o.wait, p.pace.Longest())
}

func (p *pacePart) explain(e *explaining) {
	e.wait = saturate(e.wait, p.pace.Longest())
	e.row(StagePace, "%s", p.pace)
}

func (p *pacePart) health(h *Health) {
	h.Waiting += p.pace.Waiting()
	h.CallsPerMinute, h.TokensPerMinute = p.pace.Rate()
}

type pacer[Req, Resp any] struct {
	owner  *Owner
	pace   *strategies.Pace
	tokens func(ctx context.Context, req Req) int
	next   Runner[Req, Resp]
}

func newPacer[Req, Resp any](o *Owner, p *strategies.Pace, tokens func(context.Context, Req) int, next Runner[Req, Resp]) *pacer[Req, Resp] {
	return &pacer[Req, Resp]{owner: o, pace: p, tokens: tokens, next: next}
}

func (l *pacer[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	turn, tokens, err := l.enter(ctx, req)
	if err != nil {
		var none Resp
		return none, err
	}
	resp, err := l.next.Run(ctx, req)
	if err != nil {
		l.ended(turn, tokens, err)
	}
	return resp, err
}

// enter waits for a turn.
func (l *pacer[Req, Resp]) enter(ctx context.Context, req Req) (turn strategies.PaceTurn, tokens int, err error) {
	if l.tokens != nil {
		if err := protect(func() error { tokens = l.tokens(ctx, req); return nil }); err != nil {
			return turn, 0, err
		}
	}
	turn, err = l.pace.Acquire(ctx, CallOf(ctx).Priority(), tokens)
	if late, ok := err.(*strategies.PaceError); ok && late.What == "" { //nolint:errorlint // made just now
		late.What = fmt.Sprintf("pace %q", l.owner.name())
	}
	return turn, tokens, err
}

// ended tells the pace how an attempt failed. One that no agent was called for has
// used no turn.
func (l *pacer[Req, Resp]) ended(turn strategies.PaceTurn, tokens int, err error) {
	v := l.owner.verdict(err)
	if v.Refused {
		turn.Return(tokens)
		return
	}
	turn.Settle(v)
}
