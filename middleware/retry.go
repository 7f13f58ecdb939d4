package middleware

import (
	"context"
	"math"
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

// again is all that happens after a first attempt that failed with err.
func (l *retry[Req, Resp]) again(ctx context.Context, req Req, err error) (resp Resp, _ error) {
	var none Resp
	verdict := l.scope.judge(ctx, err)
	if verdict.Class == strategies.Interrupt {
		return none, err
	}
	failure := &strategies.RecoveryError{Agent: l.scope.name}
	state := strategies.RetryState{Verdict: verdict}
	if countable(verdict.Class) {
		state.Failures, state.Spent = l.scope.count.Failed()
	}

	// decide books a failed attempt and says whether, and when, to try again.
	decide := func(failed error) (time.Duration, bool) {
		if err = failed; state.Retries > 0 {
			verdict = l.scope.judge(ctx, err)
		}
		if verdict.Class == strategies.Interrupt {
			return 0, false // it is no failure
		}
		failure.Attempts = append(failure.Attempts, l.scope.failed(ctx, err, verdict, state.Retries+1))
		if verdict.Class == strategies.Canceled || ctx.Err() != nil {
			return 0, false
		}
		delay := time.Duration(0)
		delay, failure.Stop = l.ask(ctx, &state, verdict)
		if failure.Stop != "" {
			l.scope.emit(ctx, Event{Kind: RetriesEnded, Attempt: state.Retries + 1, Class: verdict.Class, Stop: failure.Stop, Err: err})
			return 0, false
		}
		state.Retries++
		l.scope.emit(ctx, Event{Kind: RetryScheduled, Attempt: state.Retries + 1, Class: verdict.Class, Delay: delay, Err: err})
		return delay, true
	}
	attempt := func() error {
		var failed error
		resp, failed = l.next.Run(withAttempt(ctx, state.Retries+1), req)
		return failed
	}
	if retryLoop(ctx, l.policy.PerCallMax(), err, decide, attempt) {
		l.succeeded()
		l.scope.recovered(ctx, l.scope.name, strategies.Retrying, strategies.Full, len(failure.Attempts)+1)
		return resp, nil
	}
	if verdict.Class == strategies.Interrupt {
		return none, err
	}
	if failure.Stop == strategies.StopExhausted && state.Retries >= l.policy.Max() {
		l.scope.count.Spend()
	}
	if ctx.Err() != nil {
		verdict = l.scope.judge(ctx, err)
	}
	l.scope.conclude(ctx, failure, deciding(l.scope, failure, verdict))
	return none, failure
}

// ask asks the policy about one more attempt.
func (l *retry[Req, Resp]) ask(ctx context.Context, state *strategies.RetryState, v strategies.Verdict) (time.Duration, strategies.Stop) {
	state.Verdict = v
	if deadline, ok := ctx.Deadline(); ok {
		state.Bounded, state.TimeLeft = true, time.Until(deadline)
	}
	if l.breaker != nil {
		state.ShutFor = shutFor(l.breaker)
	}
	if l.scope.recovering(ctx) {
		return 0, strategies.StopSpent // one attempt is all it gets
	}
	return l.policy.Next(*state)
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
	if last.Class != strategies.Rejected {
		return last
	}
	for i := len(failure.Attempts) - 1; i >= 0; i-- {
		if c := failure.Attempts[i].Class; c != strategies.Rejected {
			return s.classifier.VerdictOf(c)
		}
	}
	return last
}

// countable says whether a failure of this class is the agent's own.
func countable(c strategies.Class) bool {
	return c != strategies.Canceled && c != strategies.BadRequest
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
	} else if v := l.scope.judge(ctx, err); v.Class != strategies.Interrupt && countable(v.Class) {
		l.scope.count.Failed()
	}
	return resp, err
}
