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
func Retry[Req, Resp any](s Scope, policy strategies.Retry) Middleware[Req, Resp] {
	scope := s.ready()
	return func(next Runner[Req, Resp]) Runner[Req, Resp] {
		if err := policy.Validate(); err != nil {
			return misconfigured[Req, Resp](err)
		}
		return newRetry(scope, policy, next)
	}
}

func newRetry[Req, Resp any](s *scope, policy strategies.Retry, next Runner[Req, Resp]) *retry[Req, Resp] {
	if policy.Budget == nil {
		policy.Budget = &strategies.Budget{}
	}
	l := &retry[Req, Resp]{scope: s, policy: policy, next: next}
	if b, ok := next.(*circuitBreaker[Req, Resp]); ok {
		l.breaker = b.breaker
	}
	return l
}

type retry[Req, Resp any] struct {
	scope  *scope
	policy strategies.Retry
	// breaker is the one directly inside, if there is one: a loop ends when its
	// own attempt has opened it, and not one delay later.
	breaker *strategies.Breaker
	loops   sync.Pool // of the engine's, see retryLoop
	next    Runner[Req, Resp]
}

func (l *retry[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		l.succeeded()
		return resp, nil
	}
	return l.again(ctx, req, err)
}

func (l *retry[Req, Resp]) succeeded() {
	l.scope.count.Succeeded()
	l.policy.Budget.Success()
}

// again is all that happens after a first attempt that failed with err. The
// engine is entered only if there is to be a second one.
func (l *retry[Req, Resp]) again(ctx context.Context, req Req, err error) (none Resp, _ error) {
	r := retrying[Req, Resp]{retry: l, failure: l.scope.newFailure()}
	if delay, ok := r.decide(ctx, err); ok {
		return r.loop(ctx, req, delay)
	}
	return none, r.conclude(ctx)
}

// retrying is one call that is being retried.
type retrying[Req, Resp any] struct {
	*retry[Req, Resp]
	failure *strategies.RecoveryError
	state   strategies.RetryState
	verdict strategies.Verdict // of the last failure
	err     error              // the last failure
}

// loop is the second attempt and all that follow, the first of them after delay.
func (r retrying[Req, Resp]) loop(ctx context.Context, req Req, delay time.Duration) (Resp, error) {
	again := &reattempts[Req, Resp]{retrying: r, ctx: ctx, req: req} // from here on it lives on the heap
	if !retryLoop(ctx, &r.loops, r.policy.PerCallMax(), r.err, delay, again) {
		var none Resp
		return none, again.conclude(ctx)
	}
	again.succeeded()
	again.scope.recovered(ctx, again.scope.name, strategies.StrategyRetry, strategies.LevelFull, len(again.failure.Attempts)+1)
	return again.resp, nil
}

// reattempts is what the engine of the loop is given to drive.
type reattempts[Req, Resp any] struct {
	retrying[Req, Resp]
	ctx  context.Context
	req  Req
	resp Resp
}

func (r *reattempts[Req, Resp]) attempt() (err error) {
	r.resp, err = r.next.Run(withAttempt(r.ctx, r.state.Retries+1), r.req)
	return err
}

func (r *reattempts[Req, Resp]) after(failed error) (time.Duration, bool) {
	return r.decide(r.ctx, failed)
}

// decide books a failed attempt and says whether, and when, to try again.
func (r *retrying[Req, Resp]) decide(ctx context.Context, err error) (time.Duration, bool) {
	r.err, r.verdict = err, r.scope.judge(ctx, err)
	class := r.verdict.Class
	if class == strategies.ClassInterrupt {
		return 0, false // it is no failure
	}
	if len(r.failure.Attempts) == 0 && countable(class) {
		r.state.Failures, r.state.Spent = r.scope.count.Failed()
	}
	r.failure.Attempts = append(r.failure.Attempts, r.scope.failed(ctx, err, r.verdict, r.state.Retries+1))
	if class == strategies.ClassCanceled || ctx.Err() != nil {
		return 0, false
	}
	delay, stop := r.ask(ctx)
	if r.failure.Stop = stop; stop != "" {
		if r.scope.observer != nil {
			r.scope.emit(ctx, Event{Kind: EventRetriesEnded, Attempt: r.state.Retries + 1, Class: class, Stop: stop, Err: err})
		}
		return 0, false
	}
	r.state.Retries++
	if r.scope.observer != nil {
		r.scope.emit(ctx, Event{Kind: EventRetryScheduled, Attempt: r.state.Retries + 1, Class: class, Delay: delay, Err: err})
	}
	return delay, true
}

// ask asks the policy about one more attempt.
func (r *retrying[Req, Resp]) ask(ctx context.Context) (time.Duration, strategies.Stop) {
	if r.scope.recovering(ctx) {
		return 0, strategies.StopSpent // one attempt is all it gets
	}
	r.state.Verdict = r.verdict
	if !r.verdict.Retry {
		return r.policy.Next(r.state) // knows why not, and need not know more
	}
	if unrecoverable(r.err) {
		return 0, strategies.StopClass
	}
	if deadline, ok := ctx.Deadline(); ok {
		r.state.Bounded, r.state.TimeLeft = true, time.Until(deadline)
	}
	if r.breaker != nil {
		r.state.ShutFor = shutFor(r.breaker)
	}
	return r.policy.Next(r.state)
}

// conclude is the error the call ends with.
func (r *retrying[Req, Resp]) conclude(ctx context.Context) error {
	if r.verdict.Class == strategies.ClassInterrupt {
		return r.err
	}
	if r.failure.Stop == strategies.StopExhausted && r.state.Retries >= r.policy.Max() {
		r.scope.count.Spend()
	}
	if ctx.Err() != nil {
		r.verdict = r.scope.judge(ctx, r.err)
	}
	r.scope.conclude(ctx, r.failure, deciding(r.scope, r.failure, r.verdict))
	return r.failure
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

// deciding is the verdict that decides about the way taken after the last
// attempt: a breaker that opened in the middle of the loop, or a provider that
// is held, must not hide what the agent itself said.
func deciding(s *scope, failure *strategies.RecoveryError, last strategies.Verdict) strategies.Verdict {
	if last.Class != strategies.ClassRejected {
		return last
	}
	for i := len(failure.Attempts) - 1; i >= 0; i-- {
		if c := failure.Attempts[i].Class; c != strategies.ClassRejected {
			return s.classifier.VerdictOf(c)
		}
	}
	return last
}

// countable says whether a failure of this class is the agent's own.
func countable(c strategies.Class) bool {
	return c != strategies.ClassCanceled && c != strategies.ClassBadRequest
}

// tallied keeps the agent's count where there is no retry layer to do it.
type tallied[Req, Resp any] struct {
	scope *scope
	next  Runner[Req, Resp]
}

func (l *tallied[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		l.scope.count.Succeeded()
	} else if v := l.scope.judge(ctx, err); v.Class != strategies.ClassInterrupt && countable(v.Class) {
		l.scope.count.Failed()
	}
	return resp, err
}
