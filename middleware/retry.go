package middleware

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Retry asks the same agent again, as the policy says. When it gives up the
// error is a [strategies.RecoveryError] with every attempt. What is not worth a
// retry (an open breaker, a bad request, a spent budget, a deadline too near)
// ends it at once, without sleeping.
//
// It costs a healthy call two atomic loads.
func Retry[Req, Resp any](o *Owner, policy strategies.Retry) Middleware[Req, Resp] {
	p := newRetryPart(policy)
	return byHand(o, p, policy.Validate(), func(next Runner[Req, Resp]) Runner[Req, Resp] { return newRetry(o, p, nil, next) })
}

// Retry adds the retry layer: the same agent is asked again. See [Retry].
func (s *Settings) Retry(policy strategies.Retry) *Settings {
	return s.add(newRetryPart(policy), policy.Validate())
}

type retryPart struct {
	basics
	policy strategies.Retry
}

func newRetryPart(policy strategies.Retry) *retryPart {
	if policy.Budget == nil {
		policy.Budget = &strategies.Budget{}
	}
	return &retryPart{basics: basics{"Retry", StageRetry}, policy: policy.Copy()}
}

func (p *retryPart) anew() part {
	next := *p
	next.policy.Budget = p.policy.Budget.Anew()
	return &next
}

// inherit goes on with the budget of the chain before.
func (p *retryPart) inherit(before *strategies.Budget) (part, func() error) {
	next := *p
	is := p.policy.Budget.Itself()
	if next.policy.Budget = is; is.Used() {
		return &next, nil
	}
	next.policy.Budget = before
	return &next, func() error { return before.Update(is) }
}

func (p *retryPart) check(s *Settings) []error {
	d, ok := find[*deadlinePart](s)
	if !ok || d.total <= 0 || p.policy.Validate() != nil {
		return nil
	}
	if first := p.policy.Worst(false).First; first >= d.total {
		return []error{problemOf("Retry.Backoff", "(first delay %v) does not fit into Deadline (%v)", "no retry could ever be made: shorten one or leave out Retry", first, d.total)}
	}
	return nil
}

func (p *retryPart) explain(e *explaining) {
	e.retries, e.waits = p.policy.PerCallMax(), p.policy.Worst(e.substitute)
	e.Calls += e.retries
	e.row(StageRetry, "%s", p.policy)
}

func (p *retryPart) health(h *Health) {
	if p.policy.Allowance == strategies.AllowancePerAgent {
		h.Spent = h.Failures >= p.policy.Max() // the next failed call is above it
	}
}

// retryCore is what a retry layer knows whatever its types are.
type retryCore struct {
	credit
	policy     strategies.Retry
	substitute func() bool // somebody else can answer meanwhile; nil: nobody
	// breaker is the agent's, if it has one: a loop ends when its own attempt has
	// opened it, and not one delay later.
	breaker *strategies.Breaker
	told    bool      // the agent is told what was wrong with its last answer
	loops   sync.Pool // of the engine's, see retryLoop
}

type retry[Req, Resp any] struct {
	*retryCore
	next Runner[Req, Resp]
}

func newRetry[Req, Resp any](o *Owner, p *retryPart, substitute func() bool, next Runner[Req, Resp]) *retry[Req, Resp] {
	core := &retryCore{credit: credit{o, p.policy.Budget}, policy: p.policy, substitute: substitute}
	if b, ok := next.(*circuitBreaker[Req, Resp]); ok {
		core.breaker = b.breaker
	}
	return &retry[Req, Resp]{retryCore: core, next: next}
}

func (l *retry[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		l.credit.book()
		return resp, nil
	}
	return l.after(ctx, req, err)
}

func (l *retry[Req, Resp]) passes() stretch[Req, Resp] {
	return stretch[Req, Resp]{next: l.next, credit: &l.credit}
}

// after is all that happens after a first attempt that failed with err. The
// engine is entered only if there is to be a second one.
func (l *retry[Req, Resp]) after(ctx context.Context, req Req, err error) (none Resp, _ error) {
	c := callOf(ctx)
	v := l.owner.judgeIn(c, ctx, err)
	if !v.Retry && !v.Pass && !v.Free {
		return none, l.once(ctx, c, err, v)
	}
	r := retrying{retryCore: l.retryCore, within: c, account: l.account(c)}
	if delay, ok := r.decide(ctx, err, v); ok {
		return l.loop(ctx, req, r, delay)
	}
	return none, r.conclude(ctx)
}

func (l *retryCore) account(c *call) *account {
	return &account{owner: l.owner, id: l.owner.identify(c), job: c.jobs()}
}

// once is the account of a call that is not retried, because its class says so.
func (l *retryCore) once(ctx context.Context, c *call, err error, v strategies.Verdict) *account {
	a := l.account(c)
	a.verdict = v
	if v.Counted {
		l.owner.count.Failed()
	}
	a.re.Attempts = append(a.first[:0], l.owner.failed(ctx, a.id, err, v, 1))
	if ctx.Err() != nil {
		a.verdict = l.owner.ended(ctx, v)
		return a.close(ctx)
	}
	if a.re.Stop = strategies.StopSpent; !c.recovered(l.owner) {
		_, a.re.Stop = l.policy.Next(strategies.RetryState{Verdict: v}) // asks nothing of the user's: it need not
	}
	if l.owner.Observer != nil {
		l.owner.emit(ctx, a.id, Event{Kind: EventRetriesEnded, Attempt: 1, Class: v.Class, Stop: a.re.Stop, Err: raw(err)})
	}
	return a
}

// loop is the second attempt and all that follow, the first of them after delay.
func (l *retry[Req, Resp]) loop(ctx context.Context, req Req, r retrying, delay time.Duration) (none Resp, _ error) {
	again := &reattempts[Req, Resp]{retrying: r, ctx: ctx, req: req, next: l.next} // from here on it lives on the heap
	if !retryLoop(ctx, &l.loops, l.policy.PerCallMax()+1, delay, again) {
		return none, again.conclude(ctx)
	}
	l.credit.book()
	l.owner.recovered(ctx, again.account, l.owner.name(), strategies.StrategyRetry, strategies.LevelFull, 1)
	return again.resp, nil
}

// reattempts is what the engine of the loop is given to drive.
type reattempts[Req, Resp any] struct {
	retrying
	ctx  context.Context
	req  Req
	resp Resp
	next Runner[Req, Resp]
	call call // of the second attempt, for most have no third
	why  Failure
}

func (r *reattempts[Req, Resp]) attempt() (err error) {
	c, why := &r.call, &r.why
	if len(r.account.re.Attempts) > 1 {
		c, why = &call{}, &Failure{}
	}
	*why = r.account.failure()
	r.owner.fill(c, r.ctx, r.account.id)
	c.why = why
	c.attempt = int32(len(r.account.re.Attempts) + 1)
	r.resp, err = r.next.Run(c, r.req)
	return err
}

func (r *reattempts[Req, Resp]) after(failed error) (time.Duration, bool) {
	return r.decide(r.ctx, failed, r.owner.judgeIn(r.within, r.ctx, failed))
}

// retrying is one call that is being retried. Its account is its own until it is
// returned.
type retrying struct {
	*retryCore
	within  *call // the call that it is part of; nil: of none
	account *account
	state   strategies.RetryState
	err     error // the last failure
	freed   bool  // an attempt that costs no retry has been granted
}

// decide books a failed attempt and says whether, and when, to try again.
func (r *retrying) decide(ctx context.Context, err error, v strategies.Verdict) (time.Duration, bool) {
	a := r.account
	r.err, a.verdict = err, v
	if v.Pass {
		r.owner.paused(ctx, len(a.re.Attempts)+1)
		return 0, false // it is no failure
	}
	if len(a.re.Attempts) == 0 {
		a.re.Attempts = a.first[:0]
		if v.Counted {
			r.state.Failures, r.state.Spent = r.owner.count.Failed()
		}
	}
	a.re.Attempts = append(a.re.Attempts, r.owner.failed(ctx, a.id, err, v, len(a.re.Attempts)+1))
	if ctx.Err() != nil {
		return 0, false
	}
	if v.Free && !r.freed && !r.within.recovered(r.owner) {
		r.freed = true // once a call: an attempt in the place of one that was nobody's fault
		return 0, true
	}
	delay, stop := r.ask(ctx, v)
	if a.re.Stop = stop; stop != "" {
		if r.owner.Observer != nil {
			r.owner.emit(ctx, a.id, Event{Kind: EventRetriesEnded, Attempt: len(a.re.Attempts), Class: v.Class, Stop: stop, Err: raw(err)})
		}
		return 0, false
	}
	r.state.Retries++
	r.state.Hinted = r.state.Hinted || v.RetryAfter > strategies.AtOnce // that is a pool's: another member may be asked
	if r.owner.Observer != nil {
		r.owner.emit(ctx, a.id, Event{Kind: EventRetryScheduled, Attempt: len(a.re.Attempts) + 1, Class: v.Class, Delay: delay, Err: raw(err)})
	}
	return delay, true
}

// ask asks the policy about one more attempt.
func (r *retrying) ask(ctx context.Context, v strategies.Verdict) (time.Duration, strategies.Stop) {
	if r.within.recovered(r.owner) {
		return 0, strategies.StopSpent // one attempt is all it gets
	}
	r.state.Verdict = v
	if !v.Retry {
		return r.policy.Next(r.state) // knows why not, need not know more, and asks nothing of the user's
	}
	if unrecoverable(raw(r.err)) {
		return 0, strategies.StopClass
	}
	if r.told && strategies.AnswerFault(r.err) != "" {
		r.state.Verdict.MaxRetries = 0 // that is for one who can only be asked the same again
	}
	if over := r.within.meters().exhausted(); over != nil {
		r.account.because(over)
		return 0, strategies.StopLimit // to sleep only to be turned away
	}
	if _, held := raw(r.err).(*strategies.OpenError); held {
		r.state.Hinted = true // a hold of ours is no provider's word: all who wait for it come at once
	}
	if deadline, ok := ctx.Deadline(); ok {
		r.state.Bounded, r.state.TimeLeft = true, time.Until(deadline)
	}
	if r.breaker != nil {
		r.state.ShutFor = shutFor(r.breaker)
	}
	r.state.Substitute = r.substitute != nil && r.substitute()
	return r.next()
}

// next asks the policy, whose schedule may be the user's.
func (r *retrying) next() (delay time.Duration, stop strategies.Stop) {
	if err := protect(func() error { delay, stop = r.policy.Next(r.state); return nil }); err != nil {
		r.account.because(err)
		return 0, strategies.StopPanic
	}
	return delay, stop
}

// conclude is the error the call ends with.
func (r *retrying) conclude(ctx context.Context) error {
	a := r.account
	if a.verdict.Pass {
		return r.err
	}
	if a.re.Stop == strategies.StopExhausted && r.state.Retries >= r.policy.Max() {
		r.owner.count.Spend()
	}
	if ctx.Err() != nil {
		a.verdict = r.owner.ended(ctx, a.verdict)
	}
	a.verdict = r.deciding(a)
	return a.close(ctx)
}

// deciding is the verdict that decides about the way taken after the last
// attempt: a breaker that opened in the middle of the loop must not hide what
// the agent itself said.
func (r *retrying) deciding(a *account) strategies.Verdict {
	if !a.verdict.Refused {
		return a.verdict
	}
	for i := len(a.re.Attempts) - 1; i >= 0; i-- {
		if v := r.owner.Classifier.VerdictOf(a.re.Attempts[i].Class); !v.Refused {
			return v
		}
	}
	return a.verdict
}

// shutFor says how long a breaker will let nothing through. A hold is no matter
// here: the provider's hint is in the verdict.
func shutFor(b *strategies.Breaker) time.Duration {
	switch b.State() {
	case strategies.StateOpen:
		return b.RetryAfter()
	case strategies.StateIsolated:
		return math.MaxInt64
	default:
		return 0
	}
}

// tallied keeps the agent's count, and pays into the budget, where there is no
// retry layer to do it.
type tallied[Req, Resp any] struct {
	credit
	next Runner[Req, Resp]
}

func (l *tallied[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		l.book()
		return resp, nil
	}
	return l.after(ctx, req, err)
}

func (l *tallied[Req, Resp]) passes() stretch[Req, Resp] {
	return stretch[Req, Resp]{next: l.next, credit: &l.credit}
}

func (l *tallied[Req, Resp]) after(ctx context.Context, _ Req, err error) (none Resp, _ error) {
	v := l.owner.verdict(err)
	if l.owner.ended(ctx, v).Counted {
		l.owner.count.Failed()
	}
	return none, l.owner.judgement(err, v)
}
