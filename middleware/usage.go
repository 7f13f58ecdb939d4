package middleware

import (
	"context"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// UsageLimits bounds what one call of the agent may cost: attempts, retries,
// stand-ins, rungs, continuations, a person's retry, and all agents that they call.
// Every attempt is charged before it begins; tokens and money when somebody reports
// them, see [Call.Spent]. What cannot be afforded any more is not begun, and fails
// with a [strategies.LimitError]: nobody retries it, and of stand-ins and rungs only
// those answer that cost nothing, see [Free].
//
// Limits nest: an attempt is charged to the call that it belongs to and to all that
// caused it, and each of their limits is kept. An agent that stands in for another
// is bounded by the limits of that one's call, not by its own; a call that several
// share by [Builder.Coalesce] counts for the one who began it.
//
// It costs a call one allocation, and an attempt a lock for each of the limits
// around it.
func UsageLimits[Req, Resp any](o *Owner, limits strategies.UsageLimits) Middleware[Req, Resp] {
	return byHand(o, newUsagePart(limits), limits.Validate(), func(next Runner[Req, Resp]) Runner[Req, Resp] {
		return &metering[Req, Resp]{o, limits, next}
	})
}

// UsageLimits bounds what one call may cost, through all its layers and nested
// agents. See [UsageLimits], and [WithUsageLimits] for a tree of agents.
func (s *Settings) UsageLimits(limits strategies.UsageLimits) *Settings {
	return s.add(newUsagePart(limits), limits.Validate())
}

// usagePart stands with what is outside of everything that asks again, a stream's
// continuations too.
type usagePart struct {
	basics
	limits strategies.UsageLimits
}

func newUsagePart(limits strategies.UsageLimits) *usagePart {
	return &usagePart{basics{"UsageLimits", StageObserve}, limits}
}

func (p *usagePart) explain(e *explaining) {
	e.Limits = p.limits
	e.row(StageObserve, "at most %s, nested agents included", p.limits)
	if l := p.limits; l.Money > 0 || l.Tokens > 0 || l.TokensIn > 0 || l.TokensOut > 0 {
		e.note("tokens and money count when they are reported (adapters do): what is under way when they run out may go above the limit")
	}
}

// metering is the layer of UsageLimits.
type metering[Req, Resp any] struct {
	owner  *Owner
	limits strategies.UsageLimits
	next   Runner[Req, Resp]
}

func (l *metering[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	m := &struct {
		call
		meter
	}{}
	l.owner.fill(&m.call, ctx, 0)
	m.meter.begin(m.call.meter, l.owner, l.limits)
	m.call.meter = &m.meter
	return l.next.Run(&m.call, req)
}

// WithUsageLimits bounds what all calls that are made in this context may cost
// together, with whatever they cause: a whole tree of agents. It nests, as
// [UsageLimits] does. What has been spent so far is in [Call.Usage]. With limits
// that make no sense every attempt fails with a [strategies.ConfigError].
func WithUsageLimits(ctx context.Context, limits strategies.UsageLimits) context.Context {
	if ctx == nil {
		return nil
	}
	m := &struct {
		call
		meter
	}{}
	if up := callOf(ctx); up != nil {
		m.call = *up // the same call, with limits of its own
	}
	m.meter.begin(m.call.meter, nil, limits)
	m.meter.problem = limits.Validate()
	m.call.Context, m.call.meter = ctx, &m.meter
	return &m.call
}

// Spent reports what an attempt has cost beside its call, which is charged by
// itself: tokens and money, when they are known, also of an attempt that failed.
// Calls of it are requests beyond the one that was asked for. What is negative
// counts nothing. It may be called from any goroutine, also after the call has
// ended; outside of a call that anybody measures it does nothing.
func (c Call) Spent(usage strategies.Usage) {
	if c.c == nil {
		return
	}
	usage.Calls, usage.Money = max(usage.Calls, 0), max(usage.Money, 0)
	usage.TokensIn, usage.TokensOut, usage.TokensCached = max(usage.TokensIn, 0), max(usage.TokensOut, 0), max(usage.TokensCached, 0)
	for m := c.c.meter; m != nil; m = m.outer {
		m.mu.Lock()
		m.spent = m.spent.Add(usage)
		m.mu.Unlock()
		m.also.add(usage)
	}
}

// Spending is for whoever reads from outside what a step has cost, such as an adapter
// of a framework that reports tokens. The step runs in the context that is returned;
// report, called once it has ended, well or not, tells the call what it has cost, see
// [Call.Spent], unless somebody within has reported tokens already: nothing is counted
// twice where one guarded agent calls another. It costs an allocation, and a look-up
// where nobody measures.
func Spending(ctx context.Context) (inner context.Context, report func(usage strategies.Usage)) {
	up := callOf(ctx)
	if up == nil || up.meter == nil {
		return ctx, func(strategies.Usage) {}
	}
	m := &struct {
		call
		meter
	}{}
	m.call = *up // the same call, with a meter of its own
	m.meter.begin(up.meter, nil, strategies.UsageLimits{})
	m.meter.step = true
	m.call.Context, m.call.meter = ctx, &m.meter
	return &m.call, func(usage strategies.Usage) {
		if within := m.meter.total(); within.TokensIn == 0 && within.TokensOut == 0 {
			Call{up}.Spent(usage)
		}
	}
}

// Usage returns what has been spent so far of the innermost limits that the call
// belongs to, or of the innermost [Guarded.Outcome].
func (c Call) Usage() strategies.Usage {
	if c.c == nil {
		return strategies.Usage{}
	}
	m := c.c.meter
	for m != nil && m.step {
		m = m.outer
	}
	return m.total()
}

// meter counts what one call costs, or what several do, and knows what they may.
type meter struct {
	outer   *meter // of the call that caused this one; nil: nobody measures that
	of      *Owner // nil: of a context
	limits  strategies.UsageLimits
	began   time.Time // if time is limited
	problem error
	also    *allowance // of the key that the call is of; nil: of none
	step    bool       // of a step whose cost is read from outside

	mu    sync.Mutex
	spent strategies.Usage
}

func (m *meter) begin(outer *meter, of *Owner, limits strategies.UsageLimits) {
	m.outer, m.of, m.limits = outer, of, limits
	if limits.Time > 0 {
		m.began = time.Now()
	}
}

// charge books an attempt with this meter and all around it, and with the allowances
// of the keys that it is of; or with none of them.
func (m *meter) charge() error {
	for at := m; at != nil; at = at.outer {
		if at.also == nil {
			continue
		}
		if err := at.also.take(); err != nil {
			m.giveBack(at)
			return err
		}
	}
	err := m.book()
	if err != nil {
		m.giveBack(nil)
	}
	return err
}

// giveBack gives back what was taken of allowances, up to a meter.
func (m *meter) giveBack(until *meter) {
	for at := m; at != until; at = at.outer {
		at.also.add(strategies.Usage{Calls: -1})
	}
}

// book is charge without the allowances. The locks are taken from the inside to the
// outside, always.
func (m *meter) book() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.over(); err != nil {
		return err
	}
	if err := m.outer.book(); err != nil {
		return err
	}
	m.spent = m.spent.Add(strategies.Usage{Calls: 1})
	return nil
}

// exhausted says why no more attempt could be begun now, or nil.
func (m *meter) exhausted() error {
	for ; m != nil; m = m.outer {
		m.mu.Lock()
		err := m.over()
		m.mu.Unlock()
		if err != nil {
			return err
		}
		if err := m.also.over(); err != nil {
			return err
		}
	}
	return nil
}

// over says why there is no room in this meter. Its lock is held.
func (m *meter) over() error {
	if m.problem != nil {
		return m.problem
	}
	took := time.Duration(0)
	if m.limits.Time > 0 {
		took = time.Since(m.began)
	}
	over := m.limits.Over(m.spent, took)
	if over == nil {
		return nil
	}
	if m.of != nil {
		over.By = m.of.name()
	}
	return over
}

func (m *meter) total() strategies.Usage {
	if m == nil {
		return strategies.Usage{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.spent
}

// meterOf returns who measures what ctx belongs to, or nil.
func meterOf(ctx context.Context) *meter {
	return callOf(ctx).meters()
}

func (c *call) meters() *meter {
	if c == nil {
		return nil
	}
	return c.meter
}

// usage is what the agent's own call has cost, if somebody measures that.
func (o *Owner) usage(ctx context.Context) strategies.Usage {
	if m := meterOf(ctx); m != nil && m.of == o {
		return m.total()
	}
	return strategies.Usage{}
}

// charging stands directly around everything that costs: nobody is called whom the
// call cannot afford.
type charging[Req, Resp any] struct {
	next Runner[Req, Resp]
	// bare: no layer of the chain puts a context around the call's. Then there is
	// nothing to be searched for where the context is no call.
	bare bool
}

// due is who must afford the call; nil: nobody.
func (l *charging[Req, Resp]) due(ctx context.Context) *meter {
	c, is := ctx.(*call)
	if !is && !l.bare {
		c = callOf(ctx)
	}
	if c == nil {
		return nil
	}
	return c.meter
}

func (l *charging[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	if m := l.due(ctx); m != nil {
		if err := m.charge(); err != nil {
			var none Resp
			return none, err
		}
	}
	return l.next.Run(ctx, req)
}

func (l *charging[Req, Resp]) charges() bool { return true }

// charged puts a runner under a charge, unless it costs nothing or is charged where
// it is called in the end: a guarded one.
func charged[Req, Resp any](r Runner[Req, Resp]) Runner[Req, Resp] {
	if isNil(r) || charges(r) || free(r) {
		return r
	}
	return &charging[Req, Resp]{next: r}
}

func charges(agent any) bool {
	own, ok := agent.(interface{ charges() bool })
	return ok && own.charges()
}

func free(agent any) bool {
	own, ok := agent.(interface{ CostsNothing() bool })
	return ok && own.CostsNothing()
}

func (c *chained[Req, Resp]) charges() bool                        { return true }
func (g *Guarded[Req, Resp]) charges() bool                        { return true }
func (g *GuardedStream[Req, Chunk]) charges() bool                 { return true }
func (a *adapter[Req, Resp, Req2, Resp2]) charges() bool           { return charges(a.runner) }
func (a *streamAdapter[Req, Chunk, Req2, Chunk2]) charges() bool   { return charges(a.streamer) }
func (p *patient[Req, Resp]) charges() bool                        { return charges(p.Runner) }
func (l *speaker[Req, Chunk]) charges() bool                       { return charges(l.from) }
func (a *adapter[Req, Resp, Req2, Resp2]) CostsNothing() bool      { return free(a.runner) }
func (a *streamAdapter[Req, Chunk, Req2, Ch2]) CostsNothing() bool { return free(a.streamer) }
func (l *speaker[Req, Chunk]) CostsNothing() bool                  { return free(l.from) }

// Free says that a stand-in or a rung costs nothing, such as a cache or a fixed
// sentence: it is not charged to the limits of [UsageLimits], and answers also when
// they are used up. What else it is told of itself counts all the same. A type of
// yours says so by a method CostsNothing() bool; [Chunks] and the canned answers of
// the adapters do.
func Free[Req, Resp any](r Runner[Req, Resp]) Runner[Req, Resp] {
	if isNil(r) {
		return nil
	}
	return &gratis[Req, Resp]{r}
}

type gratis[Req, Resp any] struct{ Runner[Req, Resp] }

func (*gratis[Req, Resp]) CostsNothing() bool { return true }

func (g *gratis[Req, Resp]) understudy() (Runner[Req, Resp], *Owner) {
	if short, owner := shortForm(g.Runner); owner != nil {
		return short, owner
	}
	return g, nil
}

// FreeStream is [Free] for one that streams.
func FreeStream[Req, Chunk any](s Streamer[Req, Chunk]) Streamer[Req, Chunk] {
	if isNil(s) {
		return nil
	}
	return &gratisStream[Req, Chunk]{s}
}

type gratisStream[Req, Chunk any] struct{ Streamer[Req, Chunk] }

func (*gratisStream[Req, Chunk]) CostsNothing() bool { return true }
