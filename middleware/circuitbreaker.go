package middleware

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// CircuitBreaker stops calling an agent that is down. It stands inside of
// [Retry], so that it sees every attempt and can open in the middle of a retry
// loop; its rejection, a [strategies.OpenError], ends the loop at once.
//
// Which failures count is the classifier's business. A panic and a
// runtime.Goexit count; a caller who left does not. A provider that names a time
// (Retry-After, an exhausted quota) has the breaker held for that long, for
// everyone who shares it.
//
// An agent with an observer watches its breaker for as long as the agent lives.
//
// It costs a healthy call two atomic loads and a deferred call; with a Window,
// two locks of the engine.
func CircuitBreaker[Req, Resp any](o *Owner, b *strategies.Breaker) Middleware[Req, Resp] {
	p := newBreakerPart(b)
	problem := pointer("CircuitBreaker", b)
	if b != nil {
		problem = b.Validate()
	}
	return byHand(o, p, problem, func(next Runner[Req, Resp]) Runner[Req, Resp] { return newCircuitBreaker(o, b, p.slow(), next) })
}

// CircuitBreaker adds a breaker, which other agents may share: an agent that is
// down is left alone for a while. See [CircuitBreaker].
func (s *Settings) CircuitBreaker(breaker *strategies.Breaker) *Settings {
	return s.add(newBreakerPart(breaker), pointer("CircuitBreaker", breaker))
}

type breakerPart struct {
	basics
	breaker *strategies.Breaker
	next    *strategies.Breaker // whose settings it is about to have; nil: its own
	own     bool                // of a key alone
}

func newBreakerPart(b *strategies.Breaker) *breakerPart {
	return &breakerPart{basics: basics{"CircuitBreaker", StageBreaker}, breaker: b}
}

func (p *breakerPart) slow() time.Duration {
	switch {
	case p.next != nil:
		return p.next.SlowCall
	case p.breaker != nil:
		return p.breaker.Anew().SlowCall
	}
	return 0
}

func (p *breakerPart) anew() part {
	return &breakerPart{basics: p.basics, breaker: p.breaker.Anew(), own: true}
}

func (p *breakerPart) inherit(before part) (part, func() error) {
	was, ok := before.(*breakerPart)
	is := p.breaker.Itself()
	if !ok || is.Used() || is.Name != was.breaker.Name {
		return &breakerPart{p.basics, is, nil, p.own}, nil
	}
	return &breakerPart{p.basics, was.breaker, is, p.own}, func() error { return was.breaker.Update(is) }
}

func (p *breakerPart) check(s *Settings) []error {
	if p.breaker == nil {
		return nil
	}
	errs := []error{p.breaker.Validate()}
	if t, ok := find[*timeoutPart](s); ok {
		if limit := p.breaker.Anew().TrialTimeout; limit > 0 && t.first > limit {
			errs = append(errs, problemOf("Breaker.TrialTimeout", "(%v) is shorter than Timeout (%v)",
				"a trial must have the time that an attempt may take: raise it, or leave it 0", limit, t.first))
		}
		if w := p.breaker.Anew().Window; w > 0 && t.first > w {
			errs = append(errs, problemOf("Breaker.Window", "(%v) is shorter than Timeout (%v)",
				"an agent that hangs would never have two failures in one window: make it several times the timeout", w, t.first))
		}
	}
	return errs
}

func (p *breakerPart) explain(e *explaining) { e.row(StageBreaker, "%s", p.breaker) }

func (p *breakerPart) health(h *Health) {
	h.Breaker, h.RetryAfter = p.breaker.State(), p.breaker.RetryAfter()
}

func (p *breakerPart) attach(o *Owner) {
	agent, key := o.name(), o.key
	if key != "" && !p.own {
		return // it is watched for all
	}
	o.each(func(told Observer) {
		o.watch(p.breaker.WatchAs(told, func(c strategies.BreakerChange) {
			told.Observe(background, Event{
				Kind: EventBreakerChanged, Agent: agent, Key: key, ServedBy: agent, Time: c.At,
				From: c.From.String(), To: c.To.String(), Detail: c.From.String() + " → " + c.To.String(), Delay: c.OpenFor, Err: c.Cause,
			})
		}))
	})
}

type circuitBreaker[Req, Resp any] struct {
	owner   *Owner
	breaker *strategies.Breaker
	slow    time.Duration       // the breaker's SlowCall: one line of the cache less to read
	timed   punctual[Req, Resp] // the next, if that knows whether an answer was late
	pace    *pacer[Req, Resp]   // if that stands between: a wait for a turn is no slowness
	next    Runner[Req, Resp]
	plain   bool // none of slow, timed and pace
}

// punctual is a layer that knows whether an answer came after its limit.
type punctual[Req, Resp any] interface {
	punctual(ctx context.Context, req Req) (resp Resp, late error, err error)
}

func newCircuitBreaker[Req, Resp any](o *Owner, b *strategies.Breaker, slow time.Duration, next Runner[Req, Resp]) *circuitBreaker[Req, Resp] {
	pace, _ := next.(*pacer[Req, Resp])
	if pace != nil {
		next = pace.next
	}
	timed, _ := next.(punctual[Req, Resp])
	l := &circuitBreaker[Req, Resp]{owner: o, breaker: b, slow: slow, timed: timed, pace: pace, next: next}
	l.plain = l.slow == 0 && timed == nil && pace == nil
	return l
}

func (l *circuitBreaker[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	permit, err := l.breaker.Allow()
	if err != nil {
		return l.refused(ctx, req, err)
	}
	if l.plain && !permit.IsTrial() && !hurried(ctx) {
		return l.plainly(ctx, req, permit)
	}
	return l.under(ctx, req, permit)
}

// plainly is under for most calls: nobody looks at a clock, or waits for a turn.
func (l *circuitBreaker[Req, Resp]) plainly(ctx context.Context, req Req, permit strategies.Permit) (resp Resp, err error) {
	settled := false
	defer func() {
		if !settled {
			l.aborted(ctx, permit)
		}
	}()
	if resp, err = l.next.Run(ctx, req); err == nil {
		settled = true
		permit.Success()
		return resp, nil
	}
	err, settled = l.settle(ctx, permit, time.Time{}, nil, err), true
	return resp, err
}

// under makes a call that has leave.
func (l *circuitBreaker[Req, Resp]) under(ctx context.Context, req Req, permit strategies.Permit) (resp Resp, err error) {
	settled, kept := false, permit // what the deferred call needs, without the permit's address
	defer func() {
		if !settled {
			l.aborted(ctx, kept)
		}
	}()
	var turn strategies.PaceTurn
	tokens := 0
	if l.pace != nil {
		if turn, tokens, err = l.pace.enter(ctx, req); err != nil {
			err, settled = l.settle(ctx, permit, time.Time{}, nil, err), true
			return resp, err
		}
	}
	var began time.Time
	if l.slow > 0 || hurried(ctx) {
		began = time.Now()
		if c := callOf(ctx); c != nil && c.stream != nil {
			c.stream.timed = l.slow > 0
		}
	}
	var late error
	switch {
	case permit.IsTrial():
		resp, late, err = l.trial(ctx, req, permit)
	case l.timed != nil:
		resp, late, err = l.timed.punctual(ctx, req)
	default:
		resp, err = l.next.Run(ctx, req)
	}
	if l.pace != nil && err == nil {
		turn.Answered()
	}
	if err == nil && late == nil && l.slow == 0 {
		settled = true
		permit.Success()
		return resp, nil
	}
	if l.pace != nil && err != nil {
		l.pace.ended(turn, tokens, err)
	}
	err, settled = l.settle(ctx, permit, began, late, err), true
	return resp, err
}

// aborted: a panic or a Goexit is on its way through.
func (l *circuitBreaker[Req, Resp]) aborted(ctx context.Context, permit strategies.Permit) {
	if passing(ctx) {
		permit.Neutral()
	} else {
		permit.Failure(nil)
	}
}

// settle books how a call ended that did not simply go well.
func (l *circuitBreaker[Req, Resp]) settle(ctx context.Context, permit strategies.Permit, began time.Time, late, err error) error {
	if err == nil {
		if late == nil && took(ctx, began) > l.slow {
			late = l.owner.limit("slow call", l.slow)
		}
		if late != nil {
			permit.Slow(late)
		} else {
			permit.Success()
		}
		return nil
	}
	// What foreign code says is asked for before anything is booked.
	v := l.owner.verdict(err)
	ended := l.owner.ended(ctx, v)
	switch {
	case l.again(ctx, ended, raw(err)):
		permit.Neutral() // the request's fault, as it seems: it has failed like this elsewhere
	case v.Final && notTheAgents(err):
		permit.Neutral()
	case !v.Refused && l.expired(ctx, ended, began):
		permit.Expired(raw(err))
	default:
		held := permit.Settle(ended, raw(err))
		if turned := held == strategies.AtOnce; turned || held > v.RetryAfter && v.RetryAfter <= 0 {
			v.RetryAfter, v.Retry = held, v.Retry || turned
			return &judged{owner: l.owner, verdict: v, err: raw(err)}
		}
	}
	return l.owner.judgement(err, v)
}

// took is how long an agent let its caller wait: of a stream, until its commit. What
// comes after that may be the reader's time.
func took(ctx context.Context, began time.Time) time.Duration {
	if c := callOf(ctx); c != nil && c.stream != nil && !c.stream.spokeAt.IsZero() {
		return c.stream.spokeAt.Sub(began)
	}
	return time.Since(began)
}

func (l *circuitBreaker[Req, Resp]) run(ctx context.Context, req Req) (resp Resp, late error, err error) {
	if l.timed != nil {
		return l.timed.punctual(ctx, req)
	}
	resp, err = l.next.Run(ctx, req)
	return resp, nil, err
}

// refused is what comes of a no of the breaker's. Whoever is part of a trial of
// this very breaker has its leave; a person's word is a trial.
func (l *circuitBreaker[Req, Resp]) refused(ctx context.Context, req Req, err error) (none Resp, _ error) {
	open, ok := err.(*strategies.OpenError) //nolint:errorlint // made just now, by Allow
	if !ok {
		return none, err
	}
	own := callOf(ctx)
	shut := open.State == strategies.StateOpen || open.State == strategies.StateHalfOpen // and not held, nor isolated
	for c := own; c != nil && shut; c = c.up {
		if c.leave.lets(l.breaker) {
			if l.pace != nil {
				return l.pace.Run(ctx, req)
			}
			return l.next.Run(ctx, req)
		}
	}
	if own = own.of(l.owner); own != nil && own.person {
		if permit, err := l.breaker.AllowTrial(); err == nil {
			return l.under(ctx, req, permit)
		}
	}
	if open.Breaker == "" {
		open.Breaker = l.owner.name()
	}
	return none, err
}

// notTheAgents says whether a stream's time ran out while its reader had the turn.
func notTheAgents(err error) bool {
	_, readers := errtree.As[*readersTime](err)
	return readers
}

// again says whether a failure is one that the agent before this one, in the same
// call, has had already: then it tells of the request, and was booked there.
func (l *circuitBreaker[Req, Resp]) again(ctx context.Context, v strategies.Verdict, err error) bool {
	c := l.owner.own(ctx)
	return v.Trips && c != nil && c.helping && c.failed != nil && l.owner.Classifier.SameFailure(c.failed, err)
}

// fairTime is how long an attempt must have had, at least, to be evidence when its
// caller's deadline ends it.
const fairTime = time.Second

// expired says whether a caller's deadline ended an attempt that had a fair time.
// A caller who cancels is no evidence.
func (l *circuitBreaker[Req, Resp]) expired(ctx context.Context, v strategies.Verdict, began time.Time) bool {
	if began.IsZero() || ctx.Err() != context.DeadlineExceeded {
		return false
	}
	if _, limit := context.Cause(ctx).(*strategies.TimeoutError); v.Final || v.Pass || limit && !errtree.Same(context.Cause(ctx), l.owner.callers()) {
		return false // a limit of this agent's, or of one that called it
	}
	if c := l.owner.own(ctx); c != nil && c.helping {
		return false // it got what another had left
	}
	fair := fairTime
	if t := l.owner.timeout(); t > 0 {
		fair = min(fair, t/2)
	}
	return time.Since(began) >= fair
}

// trial runs a call that has one of few places. That of a half-open breaker is
// bounded by the agent's own limit or, if that is shorter or not there, by the
// breaker's. A stream's is until its commit; after that by its own clocks, if it has
// any. Agents that it calls may pass the same breaker: they are part of it.
func (l *circuitBreaker[Req, Resp]) trial(ctx context.Context, req Req, permit strategies.Permit) (resp Resp, late error, err error) {
	limit, _ := permit.Trial(l.owner.timeout())
	c := l.owner.with(ctx, 0)
	if own := l.owner.own(ctx); own != nil {
		c.attempt, c.helping, c.recovering, c.failed, c.person, c.stream = own.attempt, own.helping, own.recovering, own.failed, own.person, own.stream
	}
	leave := &leave{of: l.breaker}
	defer leave.over.Store(true)
	c.has(leave)
	if c.stream == nil {
		if limit == 0 || limit == l.owner.timeout() { // its own limit does
			return l.run(c, req)
		}
		resp, err = newLimit(l.owner, "trial", limit, 0, l.next).Run(c, req)
		return resp, nil, err
	}
	limited, cancel := context.WithCancelCause(c)
	defer cancel(nil)
	ends := func() {}
	if limit > 0 {
		cause := l.owner.limit("trial", limit)
		timer := time.AfterFunc(limit, func() { cancel(cause) })
		ends = func() { timer.Stop() }
	}
	defer ends()
	total := hurried(ctx)
	c.stream.onCommit = func(bounded bool) {
		ends()
		permit.Prolong(bounded || total, c.stream.clock.readers)
	}
	c.stream.clock = &streamWatch{} // of an agent without clocks: it says whose turn it is
	defer func() { c.stream.onCommit, c.stream.clock = nil, nil }()
	resp, err = l.next.Run(limited, req)
	return resp, nil, err
}

// each calls watch for every observer of the agent.
func (o *Owner) each(watch func(Observer)) {
	if many, ok := o.Observer.(observers); ok {
		for _, one := range many {
			watch(one)
		}
		return
	}
	if o.Observer != nil {
		watch(o.Observer)
	}
}

func problemOf(setting, problem, fix string, args ...any) error {
	return &strategies.ConfigError{Setting: setting, Problem: fmt.Sprintf(problem, args...), Fix: fix}
}
