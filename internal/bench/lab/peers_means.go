package lab

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/failsafe-go/failsafe-go/timeout"
)

// failsafeMeans adds what failsafe-go has of a day's means: the policies from the
// breaker inwards, and how the primary is asked.
func failsafeMeans(env Env, policies []failsafe.Policy[Answer]) ([]failsafe.Policy[Answer], func(failsafe.Execution[Answer], Request) (Answer, error)) {
	m := env.Means
	ask := env.Primary
	if m.Hedge {
		policies = append(policies, hedgepolicy.NewBuilderWithDelayQuantile[Answer](0.984, 128, 20).
			CancelIf(func(answer Answer, err error) bool { return err == nil && answer.Good }).
			Build())
	}
	if m.Adaptive > 0 {
		most := uint(m.Adaptive)
		policies = append(policies, adaptivelimiter.NewBuilder[Answer]().
			WithLimits(1, most, min(20, most)).
			WithMaxWaitTime(slotWait).
			Build())
	}
	if m.Pace > 0 {
		// Its policy takes one permit a call; tokens are taken by hand, before the timeout begins.
		limiter := ratelimiter.NewSmooth[Answer](uint(m.Pace), time.Minute)
		timed := limited(env.Timeout, ask)
		ask = func(ctx context.Context, req Request) (Answer, error) {
			if err := limiter.AcquirePermitsWithMaxWait(ctx, uint(req.Guess), turnWait); err != nil {
				return Answer{}, err
			}
			return timed(ctx, req)
		}
	} else {
		policies = append(policies, timeout.New[Answer](env.Timeout))
	}
	return policies, func(exec failsafe.Execution[Answer], req Request) (Answer, error) {
		if m.Told && exec.Attempts() > 1 && exec.LastError() == nil && !exec.LastResult().Good {
			req.Told = true
		}
		return ask(exec.Context(), req)
	}
}

// failsafeRefused says that a limiter of its own let nobody through: no failure of
// the agent's.
func failsafeRefused(err error) bool {
	return errors.Is(err, ratelimiter.ErrExceeded) || errors.Is(err, adaptivelimiter.ErrExceeded)
}
