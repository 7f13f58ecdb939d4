package middleware

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/understudy-go/understudy/strategies"
)

// Builder chains layers around an agent, always in the documented order. Get
// one from [Wrap], and end with Build. It is not safe for concurrent use; what
// it builds is.
//
// The settings that need no types are those of [Settings].
type Builder[Req, Resp any] struct {
	set *Settings

	agent    Runner[Req, Resp]
	validate func(context.Context, Req, Resp) error
	answers  func(context.Context, Req, Resp) error // of Check
	standIns []StandIn[Runner[Req, Resp]]
	more     func(context.Context) []StandIn[Runner[Req, Resp]]
	rungs    []Rung[Req, Resp]
	roster   Roster[Runner[Req, Resp]]
	typed    []typedLayer[Req, Resp]

	tokens func(context.Context, Req) int // estimates them; nil: nobody does

	by func(Req) string // nil: one state for all

	stream *streamChain[Req, Resp] // what a stream's builder puts in other places
}

// typedLayer is a layer that sees values, or one of the user's.
type typedLayer[Req, Resp any] struct {
	stage Stage
	layer func(o *Owner) Middleware[Req, Resp]
}

// streamChain is how the chain of a stream differs.
type streamChain[Req, Resp any] struct {
	clock  func(o *Owner) Middleware[Req, Resp]                            // for the timeout layer; nil: none
	follow func(o *Owner, budget *strategies.Budget) Middleware[Req, Resp] // inside of the edge; nil: none
	hedge  func(l *hedging[Req, Resp]) Runner[Req, Resp]
	parts  []part
	check  func() []error
	rules  any          // for the generation
	made   func(*Owner) // whose they are
}

// Wrap begins a chain around an agent. Both types are inferred from it.
func Wrap[Req, Resp any](agent Runner[Req, Resp]) *Builder[Req, Resp] {
	b := &Builder[Req, Resp]{agent: agent, set: &Settings{}}
	if isNil(agent) {
		b.set.wrong(settingNil("Wrap", "an agent: something with a Run method"))
	}
	return b
}

// settings are those of this builder; of one that did not come from Wrap they say
// so when it is built.
func (b *Builder[Req, Resp]) settings() *Settings {
	if b.set == nil {
		b.set = &Settings{}
		b.set.wrong(&strategies.ConfigError{Setting: "Builder", Problem: "is empty", Fix: "begin with middleware.Wrap(agent)"})
	}
	return b.set
}

// WrapFunc is [Wrap] for a function.
func WrapFunc[Req, Resp any](agent func(ctx context.Context, req Req) (Resp, error)) *Builder[Req, Resp] {
	return Wrap(Func(agent))
}

// Use puts a middleware that sees requests and answers directly outside of the
// layer of a stage: the first one used at a stage is outermost. For one that sees
// no value take [Builder.Around], which says where it is passed.
func (b *Builder[Req, Resp]) Use(stage Stage, m Middleware[Req, Resp]) *Builder[Req, Resp] {
	switch {
	case stage >= stages:
		b.settings().wrong(unknownStage("Use", stage))
	case m == nil:
		b.settings().wrong(settingNil("Use "+stage.String(), "a middleware"))
	default:
		b.typed = append(b.typed, typedLayer[Req, Resp]{stage, func(*Owner) Middleware[Req, Resp] { return m }})
	}
	return b
}

// Must returns what Build made, and panics on its error: for programs that wire
// their agents at the start and cannot go on without one.
func Must[T any](built T, err error) T {
	if err != nil {
		panic(err)
	}
	return built
}

// Build checks the settings and returns the guarded agent. The error joins a
// [strategies.ConfigError] for each thing that is wrong. A builder may build
// more than once; what was built does not change any more.
func (b *Builder[Req, Resp]) Build() (*Guarded[Req, Resp], error) {
	set := b.settings().clone()
	if err := b.check(set); err != nil {
		return nil, err
	}
	n := b.generation(set, nil)
	g := &Guarded[Req, Resp]{owner: n.owner}
	g.helps[withoutRetries].of, g.helps[withRetries].of, g.helps[withRetries].retries = g, g, true
	n.attach()
	g.now.Store(n)
	return g, nil
}

// generation puts a chain together; before is the one whose place it takes, if there
// is one.
func (b *Builder[Req, Resp]) generation(set *Settings, before *generation[Req, Resp]) *generation[Req, Resp] {
	n := &generation[Req, Resp]{}
	if b.by != nil {
		n.keys = b.keyed(set, n)
	}
	c := &chainBuilder[Req, Resp]{Builder: b, set: set, owner: set.owner(), made: n, before: before}
	if n.twins = (&twins[Resp]{calls: map[string]*twin[Resp]{}}); before != nil {
		n.twins = before.twins
	}
	c.assemble()
	n.owner, n.budget = c.owner, c.budget
	if n.keys != nil {
		n.owner.byKey = n.keys
	}
	agent := charged(b.agent)
	if l, ok := agent.(*charging[Req, Resp]); ok {
		l.bare = c.bareContext()
	}
	n.short = c.compose(agent, StageBreaker, stages)
	c.short = n.short
	n.retried = &published[Req, Resp]{next: c.compose(n.short, StageRetry, StageBreaker)}
	n.chain = n.hot.gather(c.compose(n.short, StageObserve, StageBreaker))
	if b.stream != nil {
		n.rules = b.stream.rules
		b.stream.made(n.owner)
	}
	return n
}

// Problems says what Build would say is wrong, and builds nothing.
func (b *Builder[Req, Resp]) Problems() error { return b.check(b.settings().clone()) }

func (b *Builder[Req, Resp]) check(set *Settings) error {
	errs := []error{set.check()}
	if b.standIns != nil {
		name := set.name
		if name == "" {
			name = defaultName
		}
		errs = append(errs, checkStandIns(name, b.standIns))
		for _, c := range b.standIns {
			if same(c.Agent, b.agent) {
				errs = append(errs, isAgentItself(c.Name))
			}
		}
	}
	if b.rungs != nil {
		errs = append(errs, checkRungs(b.rungs))
	}
	if b.stream != nil {
		errs = append(errs, b.stream.check()...)
	} else if p, ok := find[*intervenePart](set); ok {
		_, fits := p.how.Default.Value.(Resp)
		errs = append(errs, p.how.fits(fits, typeName[Resp]()))
	}
	errs = append(errs, b.checkTimes(set)...)
	return errors.Join(errs...)
}

// checkTimes looks at limits that do not fit those of others.
func (b *Builder[Req, Resp]) checkTimes(set *Settings) (errs []error) {
	d, ok := find[*deadlinePart](set)
	if !ok || d.total <= 0 {
		return nil
	}
	for _, c := range b.standIns {
		if isNil(c.Agent) {
			continue
		}
		if _, owner := shortForm(c.Agent); owner != nil && owner.latest().timeout() > d.total {
			errs = append(errs, problemOf(fmt.Sprintf("Fallback %q", c.Name), "has a Timeout of %v, and Deadline is %v", "an attempt must fit into the deadline for all of them", owner.latest().timeout(), d.total))
		}
	}
	return errs
}

// chainBuilder is one chain in the making.
type chainBuilder[Req, Resp any] struct {
	*Builder[Req, Resp]
	set      *Settings
	owner    *Owner
	made     *generation[Req, Resp]
	before   *generation[Req, Resp] // whose place it takes; nil: nobody's
	budget   *strategies.Budget
	breaker  *strategies.Breaker
	standIns lookUp[Req, Resp]
	fallback bool // there is, or may be, a stand-in
	short    Runner[Req, Resp]
	layers   [stages][]Middleware[Req, Resp]
}

// assemble puts every layer into its stage, outermost first within a stage:
// what is the user's stands outside of ours.
func (c *chainBuilder[Req, Resp]) assemble() {
	set, o := c.set, c.owner
	for _, t := range c.typed {
		c.put(t.stage, t.layer(o))
		c.guest(t.stage)
	}
	for _, p := range set.parts {
		if a, ok := p.(*aroundPart); ok {
			c.put(a.at, func(next Runner[Req, Resp]) Runner[Req, Resp] {
				return &around[Req, Resp]{name: "Around " + a.at.String(), do: a.do, next: next}
			})
			c.guest(a.at)
		}
	}
	if c.budget = (&strategies.Budget{}); c.before != nil {
		c.budget = c.before.budget
	}
	if r, ok := find[*retryPart](set); ok {
		c.budget = r.policy.Budget
	}
	if p, ok := find[*breakerPart](set); ok {
		c.breaker = p.breaker
	}
	c.helpers()
	for _, p := range set.parts {
		c.untyped(p)
	}
	c.always()
	slices.SortStableFunc(set.parts, func(a, b part) int { return int(a.stage()) - int(b.stage()) })
	o.parts = set.parts
}

// guest notes code that is not ours where accounts go by: from retry outward.
func (c *chainBuilder[Req, Resp]) guest(at Stage) {
	if at <= StageRetry {
		c.owner.guests.Store(true)
	}
}

func (c *chainBuilder[Req, Resp]) put(at Stage, m Middleware[Req, Resp]) {
	c.layers[at] = append(c.layers[at], m)
}

// helpers are the layers that ask others than the agent.
func (c *chainBuilder[Req, Resp]) helpers() {
	o := c.owner
	bare := c.bare()
	standIns := shortened(c.Builder.standIns, bare)
	c.standIns = fixed(standIns)
	if more := c.more; more != nil {
		c.standIns = func(ctx context.Context) (all []standIn[Req, Resp], problem error) {
			all = slices.Clip(standIns)
			problem = protect(func() error { all = append(all, shortened(more(ctx), bare)...); return nil })
			return all, problem
		}
	}
	if c.fallback = len(standIns) > 0 || c.more != nil; c.fallback {
		c.set.parts = append(c.set.parts, newFallbackPart(func(ctx context.Context) ([]helper, error) {
			all, problem := c.standIns(ctx)
			return helpers(all), problem
		}))
		c.put(StageFallback, func(next Runner[Req, Resp]) Runner[Req, Resp] {
			return &fallback[Req, Resp]{owner: o, standIns: c.standIns, named: named(c.Builder.standIns), next: next}
		})
	}
	if len(c.rungs) > 0 {
		var ladder *strategies.Ladder
		if p, ok := find[*ladderPart](c.set); ok {
			ladder = p.ladder
		}
		rungs := chargedRungs(c.rungs, c.bounded())
		c.set.parts = append(c.set.parts, newDegradePart(sortedRungs(c.rungs), ladder))
		d, ok := find[*deadlinePart](c.set)
		c.put(StageDegrade, func(next Runner[Req, Resp]) Runner[Req, Resp] {
			l := newDegrade(o, ladder, rungs, next)
			l.spares = !ok || d.reserve == 0
			return l
		})
	}
}

// always are the layers that every chain has.
func (c *chainBuilder[Req, Resp]) always() {
	o := c.owner
	if _, ok := find[*retryPart](c.set); !ok {
		c.put(StageRetry, func(next Runner[Req, Resp]) Runner[Req, Resp] {
			return &tallied[Req, Resp]{credit{o, c.budget}, next}
		})
	}
	if c.stream != nil {
		c.set.parts = append(c.set.parts, c.stream.parts...)
	}
	if c.stream != nil && c.stream.clock != nil {
		c.put(StageTimeout, c.stream.clock(o))
	}
	c.set.parts = append(c.set.parts, newRecoverPart())
	if p, ok := c.agent.(interface{ asPart() (part, bool) }); ok {
		if pool, is := p.asPart(); is {
			c.set.parts = append(c.set.parts, pool)
		}
	}
	c.put(StageRecover, newRecoverer[Req, Resp])
	c.put(StageObserve, func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if c.stream != nil && c.stream.follow != nil {
			next = c.stream.follow(o, c.budget)(next)
		}
		return &edge[Req, Resp]{owner: o, next: next}
	})
}

// untyped gives a part that needs no types its layer for this chain's.
func (c *chainBuilder[Req, Resp]) untyped(p part) {
	o := c.owner
	layer := func(next Runner[Req, Resp]) Runner[Req, Resp] {
		switch p := p.(type) {
		case *intervenePart:
			return &intervene[Req, Resp]{owner: o, how: p.how, known: reachable[Req, Resp]{c.standIns, c.roster}, next: next}
		case *deadlinePart:
			return newLimit(o, "deadline", p.total, p.reserve, next)
		case *retryPart:
			var substitute func() bool
			if c.fallback {
				substitute = func() bool { return true }
			}
			l := newRetry(o, p, substitute, next)
			l.breaker, l.told = c.breaker, c.set.given["RetryVia"] // also behind a middleware of the user's
			return l
		case *breakerPart:
			return newCircuitBreaker(o, p.breaker, p.slow(), next)
		case *bulkheadPart:
			return newBulkhead(o, p.slots, next)
		case *hedgePart:
			l := &hedging[Req, Resp]{owner: o, hedge: p.hedge, self: c.short, next: next}
			if c.fallback {
				l.standIns = c.standIns
			}
			if c.stream != nil {
				return c.stream.hedge(l)
			}
			return l
		case *pacePart:
			return newPacer(o, p.pace, c.tokens, next)
		case *rewindPart:
			return &marker[Req, Resp]{o, p.mark, next}
		case *usagePart:
			return &metering[Req, Resp]{o, p.limits, next}
		case *effectsPart:
			return newIdentify(o, p.effects, c.made.twins, next)
		case *renewPart:
			return &renewer[Req, Resp]{o, p.credential, next}
		case *timeoutPart:
			switch {
			case p.stream || c.stream != nil:
			case p.silence > 0:
				return newAliveLimit(o, p.silence, p.first, next)
			case p.hard != nil:
				return newHardTimeout(o, p.first, p.hard, next)
			default:
				return newLimit(o, "attempt", p.first, 0, next)
			}
		case *validatePart:
			return c.validated()(next)
		case *checkPart:
			if c.validate == nil {
				return c.validated()(next)
			}
		}
		return next
	}
	c.put(p.stage(), layer)
	if _, remembers := p.(*rewindPart); remembers {
		c.put(StageBreaker, func(next Runner[Req, Resp]) Runner[Req, Resp] { return &rewinder[Req, Resp]{o, next} })
	}
}

// bareContext says whether every layer of the chain hands on the context that it gets,
// or a call, as long as that has no deadline.
func (c *chainBuilder[Req, Resp]) bareContext() bool {
	if c.stream != nil || len(c.typed) > 0 {
		return false
	}
	for _, p := range c.set.parts {
		switch p.(type) {
		case *timeoutPart, *deadlinePart, *coalescePart, *hedgePart, *aroundPart:
			return false
		}
	}
	return true
}

// compose nests the layers of the stages from one up to another, which is
// inside. The short form of a chain begins at the breaker; the whole is put
// around that, so that both share what is inside.
func (c *chainBuilder[Req, Resp]) compose(inner Runner[Req, Resp], from, to Stage) Runner[Req, Resp] {
	for at := to; at > from; at-- {
		inner = nest(inner, c.layers[at-1]...)
	}
	return inner
}

// bounded is what a rung that brings no layers is put into, and bare a stand-in,
// whose answer is looked at like the agent's own.
func (c *chainBuilder[Req, Resp]) bounded() Middleware[Req, Resp] {
	o := c.owner
	var clock Middleware[Req, Resp]
	if c.stream != nil && c.stream.clock != nil {
		clock = c.stream.clock(o)
	}
	t, limited := find[*timeoutPart](c.set)
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		next = newRecoverer(next)
		switch {
		case clock != nil:
			return clock(next)
		case limited && t.first > 0:
			return newLimit(o, "attempt", t.first, 0, next)
		}
		return next
	}
}

func (c *chainBuilder[Req, Resp]) bare() Middleware[Req, Resp] {
	bounded, validated := c.bounded(), c.validated()
	return func(next Runner[Req, Resp]) Runner[Req, Resp] { return validated(bounded(next)) }
}

// validated puts whatever looks at answers now around a runner: Validate first.
func (c *chainBuilder[Req, Resp]) validated() Middleware[Req, Resp] {
	checks := [...]func(context.Context, Req, Resp) error{c.validate, c.answers}
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		for _, check := range checks {
			if check != nil {
				next = &validator[Req, Resp]{check: check, next: next}
			}
		}
		return next
	}
}
