package middleware

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-go/understudy/strategies"
)

// StandIn is an agent that can play the role of another, under its name. A is
// its type: a [Runner], or a [Streamer] for an agent that streams.
type StandIn[A any] struct {
	Name  string
	Agent A
}

// standIn is a stand-in as a chain has it: in its shorter form, and with whose
// layers it brings; nil: none.
type standIn[Req, Resp any] struct {
	name    string
	runner  Runner[Req, Resp]
	owner   *Owner
	changes any // whoever changes the request for it, or anything else
}

// preview is what a stand-in will be asked, if that is not the request itself.
func preview(ctx context.Context, changes any, req any) (other any, ok bool, err error) {
	p, ok := changes.(interface {
		preview(ctx context.Context, req any) (any, error)
	})
	if !ok {
		return nil, false, nil
	}
	other, err = p.preview(ctx, req)
	return other, err == nil, err
}

// Fallback asks the stand-ins in order when the agent cannot answer. It stands
// outside of [Retry], so that one is called only when the agent is truly spent.
//
// A stand-in that is itself guarded is called through its own breaker, timeout
// and validation, without its own retries and stand-ins, so that one call cannot
// multiply. Any other is called as it is, a panic made an error. An agent already
// asked in the course of the call is not asked again, and none is recovered twice.
//
// It costs a healthy call nothing.
func Fallback[Req, Resp any](o *Owner, standIns ...StandIn[Runner[Req, Resp]]) Middleware[Req, Resp] {
	var list []standIn[Req, Resp]
	p := newFallbackPart(func(context.Context) ([]helper, error) { return helpers(list), nil })
	if o == nil {
		return byHand[Req, Resp](o, p, nil, nil)
	}
	list = shortened(standIns, nil)
	return byHand(o, p, checkStandIns(o.name(), standIns), func(next Runner[Req, Resp]) Runner[Req, Resp] {
		return &fallback[Req, Resp]{owner: o, standIns: fixed(list), next: next}
	})
}

// Fallback adds a stand-in; they are asked in the order in which they are
// added. See [Fallback], and [Adapt] for one with other types.
func (b *Builder[Req, Resp]) Fallback(name string, agent Runner[Req, Resp]) *Builder[Req, Resp] {
	b.standIns = append(b.standIns, StandIn[Runner[Req, Resp]]{Name: name, Agent: agent})
	return b
}

// FallbackVia adds a stand-in that gets a changed request: shortened for its
// window, cleaned of what only the first provider understands. An error of change
// is the stand-in's failure.
func (b *Builder[Req, Resp]) FallbackVia(name string, agent Runner[Req, Resp], change func(ctx context.Context, req Req) (Req, error)) *Builder[Req, Resp] {
	if change == nil {
		b.settings().wrong(settingNil(fmt.Sprintf("FallbackVia %q", name), "a function that changes the request"))
		return b
	}
	same := func(_ context.Context, resp Resp) (Resp, error) { return resp, nil }
	return b.Fallback(name, Adapt(agent, change, same))
}

// FallbackFrom adds stand-ins that are looked up when they are needed, after
// those that were named. The function must be safe for concurrent use; it is
// also called to explain the chain.
func (b *Builder[Req, Resp]) FallbackFrom(standIns func(ctx context.Context) []StandIn[Runner[Req, Resp]]) *Builder[Req, Resp] {
	b.settings().once("FallbackFrom")
	if standIns == nil {
		b.settings().wrong(settingNil("FallbackFrom", "a function"))
	}
	b.more = standIns
	return b
}

func checkStandIns[A any](agent string, standIns []StandIn[A]) error {
	if len(standIns) == 0 {
		return &strategies.ConfigError{Setting: "Fallback", Problem: "has no stand-in", Fix: "name at least one, or leave it out"}
	}
	var errs []error
	seen := map[string]bool{}
	for _, c := range standIns {
		switch {
		case c.Name == "":
			errs = append(errs, &strategies.ConfigError{Setting: "Fallback", Problem: "has a stand-in without a name", Fix: "name it: it appears in outcomes and events"})
		case isNil(c.Agent):
			errs = append(errs, settingNil(fmt.Sprintf("Fallback %q", c.Name), "a runner"))
		case c.Name == agent:
			errs = append(errs, isAgentItself(c.Name))
		case seen[c.Name]:
			errs = append(errs, &strategies.ConfigError{Setting: fmt.Sprintf("Fallback %q", c.Name), Problem: "is named twice", Fix: "give each stand-in once"})
		}
		seen[c.Name] = true
	}
	return errors.Join(errs...)
}

func isAgentItself(name string) error {
	return &strategies.ConfigError{Setting: fmt.Sprintf("Fallback %q", name), Problem: "is the agent itself", Fix: "an agent cannot stand in for itself: use Retry, or give it another name with Named"}
}

// shortened gives each stand-in its shorter form; bare makes one of a runner
// that brings no layers of its own.
func shortened[Req, Resp any](standIns []StandIn[Runner[Req, Resp]], bare Middleware[Req, Resp]) []standIn[Req, Resp] {
	short := make([]standIn[Req, Resp], len(standIns))
	for i, c := range standIns {
		runner, owner := shortForm(c.Agent)
		if owner == nil {
			runner = nest(runner, bare)
		}
		short[i] = standIn[Req, Resp]{c.Name, runner, owner, c.Agent}
	}
	return short
}

// lookUp says who stands in now. With an error it says who does in any case.
type lookUp[Req, Resp any] func(context.Context) ([]standIn[Req, Resp], error)

func fixed[Req, Resp any](standIns []standIn[Req, Resp]) lookUp[Req, Resp] {
	return func(context.Context) ([]standIn[Req, Resp], error) { return standIns, nil }
}

// fallbackPart explains who stands in.
type fallbackPart struct {
	basics
	standIns func(context.Context) ([]helper, error)
}

// helper is a stand-in or a rung without its types.
type helper struct {
	name  string
	owner *Owner // nil: it brings no layers
}

func helpers[Req, Resp any](standIns []standIn[Req, Resp]) []helper {
	all := make([]helper, len(standIns))
	for i, c := range standIns {
		all[i] = helper{c.name, c.owner}
	}
	return all
}

func newFallbackPart(standIns func(context.Context) ([]helper, error)) *fallbackPart {
	return &fallbackPart{basics{"Fallback", StageFallback}, standIns}
}

func (p *fallbackPart) explain(e *explaining) {
	e.substitute = true
	var names, functions []string
	all, problem := p.standIns(background)
	if problem != nil {
		e.note("not all stand-ins could be looked up: %v", problem)
	}
	for _, c := range all {
		names = append(names, c.name)
		e.standIns = append(e.standIns, c.owner)
		if c.owner == nil {
			functions = append(functions, c.name)
		}
	}
	e.Calls += len(names)
	e.row(StageFallback, "then asks: %s", orNone(strings.Join(names, ", ")))
	if len(functions) > 0 {
		e.note("%s: one call each is counted here; what they call in their turn cannot be known", strings.Join(functions, ", "))
	}
}

type fallback[Req, Resp any] struct {
	owner    *Owner
	standIns lookUp[Req, Resp] // asked at each failure: a cast grows
	next     Runner[Req, Resp]
}

func (l *fallback[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		return resp, nil
	}
	return l.recover(ctx, req, err)
}

func (l *fallback[Req, Resp]) recover(ctx context.Context, req Req, err error) (none Resp, _ error) {
	h, a, v, up := l.owner.recovers(ctx, err, func(v strategies.Verdict) bool { return v.Fallback })
	if h == nil {
		return none, up
	}
	standIns, problem := l.standIns(ctx)
	if problem != nil {
		a = h.next(a)
		a.because(problem)
	}
	for i, c := range standIns {
		if ctx.Err() != nil {
			break
		}
		if c.name == l.owner.name() || c.owner != nil && h.self.asked(c.owner) || askedBefore(standIns[:i], c) {
			continue
		}
		if l.owner.Observer != nil {
			l.owner.emit(ctx, a.id, Event{Kind: EventStandInCalled, ServedBy: c.name, Class: v.Class})
		}
		resp, err := guard[Req, Resp](h.call(ctx, c.owner), c.runner, req)
		if err == nil {
			l.owner.count.Recovered()
			l.owner.helped()
			l.owner.recovered(ctx, a.id, c.name, strategies.StrategyFallback, strategies.LevelFull, len(a.attempts)+1)
			return resp, nil
		}
		cv := l.owner.judge(ctx, err)
		if cv.Pass {
			l.owner.paused(ctx, len(a.attempts)+1)
			return none, err
		}
		a = h.next(a)
		a.add(c.name, cv.Class, err)
		if real := a.lastReal(); real != nil {
			h.failed = real
		}
		if l.owner.Observer != nil {
			l.owner.emit(ctx, a.id, Event{Kind: EventStandInFailed, ServedBy: c.name, Class: cv.Class, Err: raw(err)})
		}
		if cv.Final {
			a.verdict = cv
			return none, a.close(ctx)
		}
	}
	a = h.next(a)
	a.verdict = l.owner.ended(ctx, a.verdict)
	return none, a.close(ctx)
}

func askedBefore[Req, Resp any](standIns []standIn[Req, Resp], who standIn[Req, Resp]) bool {
	for _, c := range standIns {
		if c.name == who.name || c.owner != nil && c.owner == who.owner {
			return true
		}
	}
	return false
}
