package middleware

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Stage names a place in the documented order, outermost first.
type Stage uint8

// The stages. [Builder.Use] puts a middleware directly outside of the layer of
// a stage, or where it would stand.
const (
	StageObserve Stage = iota
	StageIntervene
	StageDegrade
	StageDeadline
	StageFallback
	StageRetry
	StageBreaker
	StageBulkhead
	StageTimeout
	StageValidate
	StageRecover
	StageAgent

	stages
)

var stageNames = [stages]string{
	"observe", "intervene", "degrade", "deadline", "fallback", "retry",
	"breaker", "bulkhead", "timeout", "validate", "recover", "agent",
}

// String returns the name of the stage as in the documented order.
func (s Stage) String() string {
	if s < stages {
		return stageNames[s]
	}
	return "unknown"
}

// Builder chains layers around an agent, always in the documented order. Get
// one from [Wrap], and end with Build. It is not safe for concurrent use; what
// it builds is.
type Builder[Req, Resp any] struct {
	Layers[*Builder[Req, Resp]]

	agent    Runner[Req, Resp]
	validate func(Req, Resp) error
	standIns []StandIn[Req, Resp]
	more     func() []StandIn[Req, Resp]
	rungs    []Rung[Req, Resp]
	roster   Roster[Req, Resp]
	use      [stages][]Middleware[Req, Resp]

	// What a stream's builder puts in other places.
	clock  Middleware[Req, Resp]                                  // for the timeout layer
	follow func(*scope, *strategies.Budget) Middleware[Req, Resp] // inside of the edge
	late   func() []error
}

// Wrap begins a chain around an agent. Both types are inferred from it.
func Wrap[Req, Resp any](agent Runner[Req, Resp]) *Builder[Req, Resp] {
	b := &Builder[Req, Resp]{agent: agent}
	b.Layers = Layers[*Builder[Req, Resp]]{self: b, set: newSettings()}
	if isNil(agent) {
		b.set.errs = append(b.set.errs, settingNil("Wrap", "an agent: something with a Run method"))
	}
	return b
}

// WrapFunc is [Wrap] for a function.
func WrapFunc[Req, Resp any](agent func(ctx context.Context, req Req) (Resp, error)) *Builder[Req, Resp] {
	return Wrap(Func(agent))
}

// Validate looks at every answer, of stand-ins without layers of their own too;
// see [Validate].
func (b *Builder[Req, Resp]) Validate(check func(req Req, resp Resp) error) *Builder[Req, Resp] {
	b.set.once("Validate")
	if check == nil {
		b.set.errs = append(b.set.errs, settingNil("Validate", "a check"))
	}
	b.validate = check
	return b
}

// Fallback adds a stand-in; they are asked in the order in which they are
// added. See [Fallback], and [Adapt] for one with other types.
func (b *Builder[Req, Resp]) Fallback(name string, standIn Runner[Req, Resp]) *Builder[Req, Resp] {
	b.standIns = append(b.standIns, StandIn[Req, Resp]{Name: name, Runner: standIn})
	b.set.given["Fallback"] = true
	return b
}

// FallbackVia adds a stand-in that gets a changed request: shortened for its
// window, cleaned of what only the first provider understands.
func (b *Builder[Req, Resp]) FallbackVia(name string, standIn Runner[Req, Resp], change func(req Req) (Req, error)) *Builder[Req, Resp] {
	if change == nil {
		b.set.errs = append(b.set.errs, settingNil(fmt.Sprintf("FallbackVia %q", name), "a function that changes the request"))
		return b
	}
	in := func(_ context.Context, req Req) (Req, error) { return change(req) }
	out := func(_ context.Context, resp Resp) (Resp, error) { return resp, nil }
	return b.Fallback(name, Adapt(standIn, in, out))
}

// FallbackFrom adds stand-ins that are looked up when they are needed, after
// those that were named. The function must be safe for concurrent use.
func (b *Builder[Req, Resp]) FallbackFrom(standIns func() []StandIn[Req, Resp]) *Builder[Req, Resp] {
	b.set.once("FallbackFrom")
	if standIns == nil {
		b.set.errs = append(b.set.errs, settingNil("FallbackFrom", "a function"))
	}
	b.more = standIns
	return b
}

// Degrade adds a rung; see [Degrade]. The order of the calls matters only
// between rungs of one level.
func (b *Builder[Req, Resp]) Degrade(level strategies.Level, rung Runner[Req, Resp]) *Builder[Req, Resp] {
	b.rungs = append(b.rungs, Rung[Req, Resp]{Level: level, Runner: rung})
	return b
}

// Roster lets a person name agents beyond the stand-ins of this one.
func (b *Builder[Req, Resp]) Roster(r Roster[Req, Resp]) *Builder[Req, Resp] {
	b.set.once("Roster")
	b.roster = r
	return b
}

// Use puts a middleware directly outside of the layer of a stage: the first one
// used at a stage is outermost.
func (b *Builder[Req, Resp]) Use(stage Stage, m Middleware[Req, Resp]) *Builder[Req, Resp] {
	switch {
	case stage >= stages:
		b.set.errs = append(b.set.errs, &strategies.ConfigError{Setting: "Use", Problem: fmt.Sprintf("names stage %d", stage), Fix: "use one of the Stage constants"})
	case m == nil:
		b.set.errs = append(b.set.errs, settingNil("Use "+stage.String(), "a middleware"))
	default:
		b.use[stage] = append(b.use[stage], m)
	}
	return b
}

// Build checks the settings and returns the guarded agent. The error joins a
// [strategies.ConfigError] for each thing that is wrong. A builder may build
// more than once; what was built does not change any more.
func (b *Builder[Req, Resp]) Build() (*Guarded[Req, Resp], error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	s, scope := b.set, b.set.scope()
	g := &Guarded[Req, Resp]{scope: scope, breaker: s.breaker, bulkhead: s.bulkhead, ladder: s.ladder, leftBehind: &atomic.Int64{}}
	if g.budget = (&strategies.Budget{}); s.retry != nil && s.retry.Budget != nil {
		g.budget = s.retry.Budget
	}
	if scope.longest = s.timeout; s.timeout > 0 && s.bulkhead != nil {
		scope.longest = saturate(s.timeout, s.bulkhead.MaxWait)
	}
	bare := b.bare(scope)
	standIns := understudies(scope, b.standIns, bare)
	rungs := slices.Clone(b.rungs)
	for i, r := range rungs {
		if runner, who := standIn(r.Runner); who == nil {
			rungs[i].Runner = nest(runner, b.bounded(scope))
		}
	}
	g.standIns = fixed(standIns)
	if more := b.more; more != nil {
		g.standIns = func() []understudy[Req, Resp] {
			return append(slices.Clip(standIns), understudies(scope, more(), bare)...)
		}
	}
	g.rungs = rungs
	g.settings = *s
	g.settings.given = maps.Clone(s.given)
	if s.retry != nil && s.retry.MaxRetryAfter == 0 && (len(b.standIns) > 0 || b.more != nil) {
		impatient := *s.retry
		impatient.MaxRetryAfter = maxRetryAfterWithStandIn
		g.settings.retry = &impatient
	}

	layers := b.layers(scope, g)
	g.short = compose(b.agent, StageBreaker, layers, b.use)
	g.chain = compose(g.short, StageObserve, layers, b.use)
	g.watch(scope)
	return g, nil
}

// maxRetryAfterWithStandIn is the default of [strategies.Retry.MaxRetryAfter]
// where somebody can answer while the provider wants to be left alone.
const maxRetryAfterWithStandIn = 10 * time.Second

// layers is the documented order: a layer a stage, nil where none is wanted.
func (b *Builder[Req, Resp]) layers(scope *scope, g *Guarded[Req, Resp]) (l [stages]Middleware[Req, Resp]) {
	s := b.set
	put := func(at Stage, wanted bool, layer Middleware[Req, Resp]) {
		if wanted {
			l[at] = layer
		}
	}
	type run = Runner[Req, Resp]
	put(StageObserve, true, func(next run) run {
		if b.follow != nil {
			next = b.follow(scope, g.budget)(next)
		}
		return &edge[Req, Resp]{scope: scope, next: next}
	})
	put(StageIntervene, s.intervention != nil, func(next run) run {
		return newIntervene(scope, *s.intervention, company[Req, Resp]{g.standIns, b.roster}, next)
	})
	put(StageDegrade, len(b.rungs) > 0, func(next run) run { return newDegrade(scope, s.ladder, g.rungs, next) })
	put(StageDeadline, s.deadline > 0, func(next run) run { return newLimit(scope, "deadline", s.deadline, s.reserve, next) })
	put(StageFallback, len(b.standIns) > 0 || b.more != nil, func(next run) run { return newFallback(scope, g.standIns, next) })
	put(StageRetry, true, func(next run) run {
		if s.retry == nil {
			return &tallied[Req, Resp]{scope: scope, next: next}
		}
		policy := *g.settings.retry
		policy.Budget = g.budget
		l := newRetry(scope, policy, next)
		l.breaker = s.breaker // also behind a middleware of the user's
		return l
	})
	put(StageBreaker, s.breaker != nil, func(next run) run {
		return &circuitBreaker[Req, Resp]{scope: scope, breaker: s.breaker, next: next}
	})
	put(StageBulkhead, s.bulkhead != nil, func(next run) run { return &bulkhead[Req, Resp]{scope: scope, slots: s.bulkhead, next: next} })
	put(StageTimeout, s.timeout > 0 || b.clock != nil, func(next run) run {
		if b.clock != nil {
			return b.clock(next)
		}
		if s.hard {
			return newHardTimeout(scope, s.timeout, s.abandoned, g.leftBehind, next)
		}
		return newLimit(scope, "attempt", s.timeout, 0, next)
	})
	put(StageValidate, b.validate != nil, func(next run) run { return &validator[Req, Resp]{check: b.validate, next: next} })
	put(StageRecover, true, func(next run) run { return &recoverer[Req, Resp]{scope: scope, next: next} })
	return l
}

// compose nests the layers of the stages from a stage inward, each with the
// user's own outside of it. The short form of a chain begins at the breaker;
// the whole is put around that, so that both share what is inside.
func compose[Req, Resp any](inner Runner[Req, Resp], from Stage, layers [stages]Middleware[Req, Resp], use [stages][]Middleware[Req, Resp]) Runner[Req, Resp] {
	to := stages
	if from < StageBreaker {
		to = StageBreaker
	}
	for at := to; at > from; at-- {
		stage := at - 1
		inner = nest(nest(inner, layers[stage]), use[stage]...)
	}
	return inner
}

// bounded is what a rung that brings no layers is put into, and bare a stand-in,
// whose answer is looked at like the agent's own.
func (b *Builder[Req, Resp]) bounded(scope *scope) Middleware[Req, Resp] {
	timeout, clock := b.set.timeout, b.clock // as they are now: stand-ins that are looked up come later
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		next = &recoverer[Req, Resp]{scope: scope, next: next}
		if clock != nil {
			return clock(next)
		}
		if timeout > 0 {
			next = newLimit(scope, "attempt", timeout, 0, next)
		}
		return next
	}
}

func (b *Builder[Req, Resp]) bare(scope *scope) Middleware[Req, Resp] {
	bounded, check := b.bounded(scope), b.validate
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if next = bounded(next); check != nil {
			next = &validator[Req, Resp]{check: check, next: next}
		}
		return next
	}
}

func (b *Builder[Req, Resp]) check() error {
	errs := []error{b.set.check(len(b.rungs))}
	name := b.set.name
	if name == "" {
		name = defaultName
	}
	if b.set.given["Fallback"] {
		errs = append(errs, checkStandIns(name, b.standIns))
		for _, c := range b.standIns {
			if same(c.Runner, b.agent) {
				errs = append(errs, isAgentItself(c.Name))
			}
		}
	}
	if len(b.rungs) > 0 {
		errs = append(errs, checkRungs(b.rungs))
	}
	if b.late != nil {
		errs = append(errs, b.late()...)
	}
	return errors.Join(errs...)
}
