package middleware

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/understudy-go/understudy/strategies"
)

// edge is the outermost layer: it makes what the caller gets of whatever comes
// out, and tells of it. A healthy call costs it nothing.
type edge[Req, Resp any] struct {
	owner *Owner
	next  Runner[Req, Resp]
}

func (l *edge[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		return resp, nil
	}
	return l.after(ctx, req, err)
}

func (l *edge[Req, Resp]) after(ctx context.Context, _ Req, err error) (none Resp, _ error) {
	return none, l.owner.publish(ctx, err)
}

func (l *edge[Req, Resp]) passes() stretch[Req, Resp] { return stretch[Req, Resp]{next: l.next} }

// publish makes the caller's error of a failure: a [strategies.RecoveryError],
// unless it must pass untouched.
func (o *Owner) publish(ctx context.Context, err error) error {
	v := o.verdict(err)
	if v.Pass {
		return raw(err)
	}
	a, ok := err.(*account)
	if !ok || a.owner != o {
		a = o.account(ctx, err, o.ended(ctx, v))
	}
	failure := a.publish()
	if o.Observer != nil {
		if a.job != nil { // the edge is outside of it
			c := o.with(ctx, a.id)
			c.job, ctx = a.job, c
		}
		o.emit(ctx, a.id, Event{Kind: EventFailed, Strategy: failure.Strategy, Class: failure.Class, Stop: failure.Stop, Attempt: len(failure.Attempts), Usage: o.usage(ctx), Err: failure})
	}
	return failure
}

// Guarded is an agent in its chain. It is a [Runner] like the agent itself, and
// safe for concurrent use.
type Guarded[Req, Resp any] struct {
	owner *Owner // the first
	now   atomic.Pointer[generation[Req, Resp]]
	helps [2]help[Req, Resp] // how it stands in

	updating sync.Mutex // held while the settings are exchanged
}

// Run asks the agent, and recovers what fails. The error is a
// [strategies.RecoveryError], unless it is a framework's interrupt, which comes
// back as it is.
func (g *Guarded[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	if !g.usable(ctx) {
		var none Resp
		return none, g.problem("Run", ctx)
	}
	n := g.now.Load()
	if n.keys != nil {
		return n.keys.run(ctx, req)
	}
	return n.chain.Run(inside(ctx, n.owner), req)
}

func (g *Guarded[Req, Resp]) usable(ctx context.Context) bool {
	return ctx != nil && g != nil && g.now.Load() != nil
}

func (g *Guarded[Req, Resp]) problem(method string, ctx context.Context) error {
	if ctx == nil {
		return settingNil(method+" ctx", "a context, such as context.Background()")
	}
	return &strategies.ConfigError{Setting: "Guarded", Problem: "was not built", Fix: "get it from Build, as in middleware.Wrap(agent).Build()"}
}

// Name returns the agent's name.
func (g *Guarded[Req, Resp]) Name() string { return g.Owner().name() }

// Owner returns the agent without its types, for whoever keeps agents of many. It
// stays the same when the settings are replaced.
func (g *Guarded[Req, Resp]) Owner() *Owner {
	if g == nil || g.owner == nil {
		return &Owner{}
	}
	return g.owner
}

// Health returns a snapshot of the agent.
func (g *Guarded[Req, Resp]) Health() Health { return g.Owner().Health() }

// Explain describes the chain as it stands now: stand-ins that are looked up
// are looked up.
func (g *Guarded[Req, Resp]) Explain() Explanation { return g.Owner().Explain() }

// understudy is how a guarded agent stands in for another. One that was not built
// says so when it is asked.
func (g *Guarded[Req, Resp]) understudy() (Runner[Req, Resp], *Owner) {
	if g == nil || g.now.Load() == nil {
		return g, nil
	}
	return &g.helps[withoutRetries], g.owner
}
