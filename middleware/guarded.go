package middleware

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Guarded is an agent in its chain. It is a [Runner] like the agent itself, and
// safe for concurrent use.
type Guarded[Req, Resp any] struct {
	scope *scope
	chain Runner[Req, Resp] // the whole
	short Runner[Req, Resp] // from the breaker inward: how it stands in

	breaker    *strategies.Breaker // may be nil, as the next two
	bulkhead   *strategies.Bulkhead
	ladder     *strategies.Ladder
	budget     *strategies.Budget // never nil
	leftBehind *atomic.Int64
	standIns   func() []understudy[Req, Resp]
	rungs      []Rung[Req, Resp]
	settings   settings
}

// Run asks the agent, and recovers what fails. The error is a
// [strategies.RecoveryError], unless it is a framework's interrupt, which comes
// back as it is.
func (g *Guarded[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	if ctx == nil {
		var none Resp
		return none, settingNil("Run ctx", "a context, such as context.Background()")
	}
	return g.chain.Run(ctx, req)
}

// Outcome is an answer with its provenance.
type Outcome[Resp any] struct {
	// Value is the answer; the zero value if Err is not nil.
	Value Resp
	// Strategy is how the call was recovered; [strategies.StrategyNone] if the
	// agent answered at once. With Err it is the strategy that is required now.
	Strategy strategies.Strategy
	// ServedBy is who answered: the agent, a stand-in, a rung ("reduced
	// answer") or a person. "" with Err.
	ServedBy string
	// Level says how much of an answer it is: only [strategies.LevelFull] is one.
	Level strategies.Level
	// Attempts is the number of calls made, or refused by a layer.
	Attempts int
	// Late says that the answer came after its timeout and was kept.
	Late    bool
	Elapsed time.Duration
	Err     error
}

// Outcome is Run with provenance: who answered, how, at what level, after how
// many attempts. It adds two allocations to a call.
func (g *Guarded[Req, Resp]) Outcome(ctx context.Context, req Req) Outcome[Resp] {
	if ctx == nil {
		return Outcome[Resp]{Err: settingNil("Outcome ctx", "a context, such as context.Background()")}
	}
	start := time.Now()
	g.scope.tracing.Add(1)
	defer g.scope.tracing.Add(-1)
	r := &record{Context: ctx, scope: g.scope, servedBy: g.scope.name, attempts: 1}
	value, err := g.chain.Run(r, req)
	r.mu.Lock()
	defer r.mu.Unlock()
	o := Outcome[Resp]{
		Value: value, Strategy: r.strategy, ServedBy: r.servedBy, Level: r.level,
		Attempts: r.attempts, Late: r.late, Elapsed: time.Since(start), Err: err,
	}
	if err != nil {
		o.Strategy, o.ServedBy = strategies.StrategyNone, ""
		if re := g.scope.own(err); re != nil {
			o.Strategy, o.Attempts = re.Strategy, len(re.Attempts)
		}
	}
	return o
}

// Name returns the agent's name.
func (g *Guarded[Req, Resp]) Name() string { return g.scope.name }

// Health is a snapshot of one agent. Taking it changes nothing.
type Health struct {
	Agent      string
	Breaker    strategies.State // closed if there is none
	RetryAfter time.Duration    // until the breaker lets a call through
	Failures   int              // failed calls since the last recovery
	Spent      bool             // retries used up, until the agent succeeds
	Level      strategies.Level
	LastClass  strategies.Class // of the last failed attempt; Unclassified: none yet
	InFlight   int              // attempts in the bulkhead, if there is one
	LeftBehind int              // attempts a hard timeout left running
}

// Health returns a snapshot of the agent.
func (g *Guarded[Req, Resp]) Health() Health {
	h := Health{
		Agent: g.scope.name, Failures: g.scope.count.Failures(), Spent: g.scope.count.Spent(),
		LastClass: strategies.Class(g.scope.lastClass.Load()), LeftBehind: int(g.leftBehind.Load()),
	}
	if r := g.settings.retry; r != nil && r.Allowance == strategies.AllowancePerAgent {
		h.Spent = h.Failures >= r.Max() // the next failed call is above it
	}
	if g.breaker != nil {
		h.Breaker, h.RetryAfter = g.breaker.State(), g.breaker.RetryAfter()
	}
	if g.bulkhead != nil {
		h.InFlight = g.bulkhead.InFlight()
	}
	if g.ladder != nil {
		h.Level = g.ladder.Level()
	}
	return h
}

// understudy is how a guarded agent stands in for another.
func (g *Guarded[Req, Resp]) understudy() (Runner[Req, Resp], *scope) { return g.short, g.scope }

// watch passes on what happens to the strategies the agent holds on to.
func (g *Guarded[Req, Resp]) watch(s *scope) {
	if s.observer == nil {
		return
	}
	if g.breaker != nil {
		g.breaker.Watch(func(c strategies.BreakerChange) {
			s.emit(context.Background(), Event{Kind: EventBreakerChanged, Detail: c.From.String() + " → " + c.To.String(), Delay: c.OpenFor, Err: c.Cause})
		})
	}
	if g.ladder != nil {
		g.ladder.Watch(func(c strategies.LevelChange) {
			s.emit(context.Background(), Event{Kind: EventLevelChanged, Level: c.To, Detail: c.From.String() + " → " + c.To.String() + ": " + c.Reason})
		})
	}
}

// edge is the outermost layer: it makes one kind of error of whatever comes
// out, and tells of it. A healthy call costs it nothing.
type edge[Req, Resp any] struct {
	scope *scope
	next  Runner[Req, Resp]
}

func (l *edge[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		return resp, nil
	}
	return l.fail(ctx, err)
}

func (l *edge[Req, Resp]) fail(ctx context.Context, err error) (none Resp, _ error) {
	v := l.scope.judge(ctx, err)
	if v.Class == strategies.ClassInterrupt {
		return none, err
	}
	failure := l.scope.own(err)
	if failure == nil {
		failure = l.scope.failure(ctx, err, v)
	}
	if l.scope.observer != nil {
		l.scope.emit(ctx, Event{Kind: EventFailed, Strategy: failure.Strategy, Class: failure.Class, Stop: failure.Stop, Attempt: len(failure.Attempts), Err: failure})
	}
	return none, failure
}
