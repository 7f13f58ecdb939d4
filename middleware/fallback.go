package middleware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-go/understudy/strategies"
)

// StandIn is an agent that can play the role of another, under its name. A is
// its type: a [Runner], or a [Streamer] for an agent that streams.
type StandIn[A any] struct {
	Name  string
	Agent A
	// For is the failures that it stands in for: the large window for
	// [strategies.ClassContextOverflow] alone. nil: for all that stand-ins are asked
	// for. It is also asked for a class named here that the table gives to no
	// stand-in, such as [strategies.ClassBlocked].
	For []strategies.Class
}

// plays says whether a stand-in that was named for some classes stands in for what
// a verdict is of.
func plays(named []strategies.Class, v strategies.Verdict) bool {
	if len(named) == 0 {
		return v.Fallback
	}
	return !v.Pass && !v.Final && slices.Contains(named, v.Class)
}

// standIn is a stand-in as a chain has it: in its shorter form, and with whose
// layers it brings; nil: none.
type standIn[Req, Resp any] struct {
	name    string
	runner  Runner[Req, Resp]
	owner   *Owner
	changes any // whoever changes the request for it, or anything else
	only    []strategies.Class
	retries bool // it keeps its own
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
// multiply; [WithRetries] leaves it its retries. Any other is called as it is, a panic made an error. An agent already
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
		return &fallback[Req, Resp]{owner: o, standIns: fixed(list), named: named(standIns), next: next}
	})
}

// Fallback adds a stand-in; they are asked in the order in which they are
// added. See [Fallback], and [Adapt] for one with other types.
func (b *Builder[Req, Resp]) Fallback(name string, agent Runner[Req, Resp]) *Builder[Req, Resp] {
	b.standIns = append(b.standIns, StandIn[Runner[Req, Resp]]{Name: name, Agent: agent})
	return b
}

// FallbackFor adds a stand-in for some kinds of failure only: the large window for
// an overflow, another vendor for what a filter refused. See [StandIn].For.
func (b *Builder[Req, Resp]) FallbackFor(name string, agent Runner[Req, Resp], classes ...strategies.Class) *Builder[Req, Resp] {
	if len(classes) == 0 {
		b.settings().wrong(problemOf(fmt.Sprintf("FallbackFor %q", name), "names no class", "say for which failures, or use Fallback for all"))
	}
	b.standIns = append(b.standIns, StandIn[Runner[Req, Resp]]{Name: name, Agent: agent, For: slices.Clone(classes)})
	return b
}

// FallbackVia adds a stand-in that gets a changed request: shortened for its
// window, cleaned of what only the first provider understands. What went wrong,
// with the numbers of an overflow, is in [Call.Failure]. An error of change is the
// stand-in's failure.
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
		for _, class := range c.For {
			if v := strategies.VerdictOf(class); v.Class != class || v.Pass || v.Final || !v.Counted && !v.Fallback {
				errs = append(errs, problemOf(fmt.Sprintf("Fallback %q", c.Name), "is for %s", "name a failure that somebody else may help with", class))
			}
		}
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
			runner = nest(charged(runner), bare)
		}
		_, retries := c.Agent.(*patient[Req, Resp])
		short[i] = standIn[Req, Resp]{c.Name, runner, owner, c.Agent, c.For, retries}
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
	name    string
	owner   *Owner // nil: it brings no layers
	only    []strategies.Class
	retries bool
}

func helpers[Req, Resp any](standIns []standIn[Req, Resp]) []helper {
	all := make([]helper, len(standIns))
	for i, c := range standIns {
		all[i] = helper{c.name, c.owner, c.only, c.retries}
	}
	return all
}

func wordsOf(classes []strategies.Class) string {
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = c.String()
	}
	return strings.Join(names, ", ")
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
		name := c.name
		if len(c.only) > 0 {
			name += fmt.Sprintf(" (for %s)", wordsOf(c.only))
		}
		if policy := c.owner.policy(); c.retries && policy != nil {
			name += fmt.Sprintf(" (with its own retries: %d at most)", policy.PerCallMax())
			e.patient(c.owner, policy)
		}
		names = append(names, name)
		e.standIns = append(e.standIns, c.owner)
		if c.owner == nil {
			functions = append(functions, c.name)
			continue
		}
		switch breaker := c.owner.Breaker(); {
		case breaker == nil:
			e.note("%s: no CircuitBreaker of its own: while it is down it is called every time", c.name)
		case breaker == e.owner.Breaker():
			e.note("%s: shares the breaker of %s, so it is refused just when it is needed: give it one of its own", c.name, e.owner.name())
		}
	}
	e.Calls += len(names)
	e.row(StageFallback, "then asks: %s", orNone(strings.Join(names, ", ")))
	if len(functions) > 0 {
		e.note("%s: without a breaker; one call each is counted here; what they call in their turn cannot be known", strings.Join(functions, ", "))
	}
}

type fallback[Req, Resp any] struct {
	owner    *Owner
	standIns lookUp[Req, Resp]  // asked at each failure: a cast grows
	named    []strategies.Class // that some stand-in was named for
	next     Runner[Req, Resp]
}

// named are the classes that stand-ins are named for.
func named[A any](standIns []StandIn[A]) (all []strategies.Class) {
	for _, c := range standIns {
		all = append(all, c.For...)
	}
	return all
}

func (l *fallback[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		return resp, nil
	}
	return l.after(ctx, req, err)
}

func (l *fallback[Req, Resp]) passes() stretch[Req, Resp] { return stretch[Req, Resp]{next: l.next} }

func (l *fallback[Req, Resp]) after(ctx context.Context, req Req, err error) (none Resp, _ error) {
	h, a, v, up := l.owner.recovers(ctx, err, l.may)
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
		if !plays(c.only, v) || hedged(a, c.name) || c.name == l.owner.name() || c.owner != nil && h.self.asked(c.owner) || askedBefore(standIns[:i], c, v) {
			continue
		}
		if l.owner.Observer != nil {
			l.owner.emit(ctx, a.id, Event{Kind: EventStandInCalled, ServedBy: c.name, Class: v.Class})
		}
		resp, err := guard[Req, Resp](h.call(ctx, c.owner, a), c.runner, req)
		if err == nil {
			l.owner.count.Recovered()
			l.owner.helped()
			l.owner.recovered(ctx, a, c.name, strategies.StrategyFallback, strategies.LevelFull, 1)
			return resp, nil
		}
		cv := l.owner.judge(ctx, err)
		if cv.Pass {
			l.owner.paused(ctx, len(a.re.Attempts)+1)
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
		if cv.Final || h.self.job.doubtful() {
			a.verdict = cv // something may have been done: nobody else is asked
			return none, a.close(ctx)
		}
	}
	a = h.next(a)
	a.verdict = l.owner.ended(ctx, a.verdict)
	return none, a.close(ctx)
}

// may says whether anybody stands in for a failure.
func (l *fallback[Req, Resp]) may(v strategies.Verdict) bool {
	return v.Fallback || plays(l.named, v)
}

// hedged says whether a stand-in was asked by a hedge of this call already.
func hedged(a *account, name string) bool {
	for _, at := range a.re.Attempts {
		if at.Agent == name {
			return true
		}
	}
	return false
}

func askedBefore[Req, Resp any](standIns []standIn[Req, Resp], who standIn[Req, Resp], v strategies.Verdict) bool {
	for _, c := range standIns {
		if plays(c.only, v) && (c.name == who.name || c.owner != nil && c.owner.agent() == who.owner.agent()) {
			return true
		}
	}
	return false
}
