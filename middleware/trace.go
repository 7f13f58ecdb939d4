package middleware

import (
	"context"

	"github.com/understudy-go/understudy/strategies"
)

// Answered is how an answer came about, as far as a middleware of the user's can
// see it; see [Trace].
type Answered struct{ p provenance }

// Trace returns a context in which the layers inside note how they answer, for a
// middleware that must know: a cache, for one, which keeps full answers only.
//
//	func(ctx context.Context, req string) (string, error) {
//		ctx, how := middleware.Trace(ctx)
//		answer, err := next.Run(ctx, req)
//		if err == nil && how.Level() == strategies.LevelFull {
//			keep(req, answer)
//		}
//		return answer, err
//	}
//
// It costs one allocation, and is for one call of next.
func Trace(ctx context.Context) (context.Context, *Answered) {
	t := &struct {
		call
		Answered
	}{}
	if ctx == nil {
		ctx = background
	}
	up := callOf(ctx)
	t.call = call{Context: ctx, up: up, out: &t.Answered.p}
	if up != nil {
		t.call.owner, t.call.id, t.call.tree, t.call.level, t.call.attempt = up.owner, up.id, up.tree, up.level, up.attempt
		t.call.up, t.call.stream, t.call.helping, t.call.person = up.up, up.stream, up.helping, up.person
		t.call.failed, t.call.leave, t.call.why, t.call.job, t.call.given, t.call.priority = up.failed, up.leave, up.why, up.job, up.given, up.priority
		t.call.first, t.call.rewind, t.call.meter = up.whole(), up.rewind, up.meter
		t.Answered.p.outer = up.out
	}
	return &t.call, &t.Answered
}

// Level says how much of an answer it was.
func (a *Answered) Level() strategies.Level {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	return a.p.level
}

// Strategy says how the call was recovered, inside of the middleware that traced
// it; [strategies.StrategyNone] if the agent answered at once.
func (a *Answered) Strategy() strategies.Strategy {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	return a.p.strategy
}

// ServedBy says who answered, if it was not the agent.
func (a *Answered) ServedBy() string {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	return a.p.servedBy
}
