package lab

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/avast/retry-go/v4"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/fallback"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/sony/gobreaker/v2"
)

// worthRetrying is what failsafehttp's policy retries: 429 and 5xx but 501, and
// whatever is no HTTP status.
func worthRetrying(err error) bool {
	status, ok := errors.AsType[*StatusError](err)
	return !ok || status.StatusCode == 429 || status.StatusCode >= 500 && status.StatusCode != 501
}

// retryAfter reads the header as failsafehttp does: seconds, of a 429 or a 503.
func retryAfter(err error) (time.Duration, bool) {
	status, ok := errors.AsType[*StatusError](err)
	if !ok || status.StatusCode != 429 && status.StatusCode != 503 {
		return 0, false
	}
	seconds, err := strconv.Atoi(status.Header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second, err == nil
}

var retryGo = System{
	Name: "retry-go",
	Config: "retry-go v4.7.0: Attempts(4), Delay(1s), BackOffDelay (1s, 2s, 4s; the default's random 100 ms left out, so that results can be repeated),\n" +
		"RetryIf 429, 5xx or no status, DelayType the longer of backoff and Retry-After, as its examples show; context.WithTimeout for each attempt; answers checked; no breaker, no stand-in",
	Build: func(env Env) Ask { return retrying(limited(env.Timeout, checked(env.Primary)), worthRetrying) },
}

func retrying(ask Ask, again func(error) bool) Ask {
	return func(ctx context.Context, req Request) (Answer, error) {
		return retry.DoWithData(
			func() (Answer, error) { return ask(ctx, req) },
			retry.Context(ctx),
			retry.Attempts(retries+1),
			retry.Delay(time.Second),
			retry.LastErrorOnly(true),
			retry.RetryIf(again),
			retry.DelayType(func(n uint, err error, config *retry.Config) time.Duration {
				after, _ := retryAfter(err)
				return max(after, retry.BackOffDelay(n, err, config))
			}),
		)
	}
}

var byHand = System{
	Name: "retry-go+gobreaker",
	Config: "the same around gobreaker v2.4.0 with its default Settings (opens after 6 failures in a row, for 60s, one trial); a 400 is a success to it, and so is the caller's leaving;\n" +
		"an open breaker is not retried; answers checked outside of the breaker; then the stand-in, once, under the timeout, unless the request was bad",
	Build: func(env Env) Ask {
		breaker := gobreaker.NewCircuitBreaker[Answer](gobreaker.Settings{
			IsSuccessful: func(err error) bool {
				return err == nil || errors.Is(err, context.Canceled) || !worthRetrying(err)
			},
			OnStateChange: func(_ string, _, to gobreaker.State) {
				if to == gobreaker.StateOpen {
					env.Opened()
				}
			},
		})
		primary := limited(env.Timeout, env.Primary)
		guarded := func(ctx context.Context, req Request) (Answer, error) {
			return breaker.Execute(func() (Answer, error) { return primary(ctx, req) })
		}
		open := func(err error) bool {
			return errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests)
		}
		chain := retrying(checked(guarded), func(err error) bool { return !open(err) && worthRetrying(err) })
		if env.StandIn == nil {
			return chain
		}
		standIn := checked(limited(env.Timeout, env.StandIn))
		return func(ctx context.Context, req Request) (Answer, error) {
			answer, err := chain(ctx, req)
			if err != nil && worthRetrying(err) {
				answer, err = standIn(ctx, req)
			}
			return answer, err
		}
	},
}

var failsafeGo = System{
	Name: "failsafe-go",
	Config: "failsafe-go v0.9.8: Fallback(RetryPolicy(CircuitBreaker(Timeout))), the order of its documentation; WithMaxRetries(3), WithBackoff(1s, 4s), what failsafehttp handles (429, 5xx or no status)\n" +
		"and its Retry-After delay, a bad answer too; breaker WithFailureThreshold(5), WithDelay(1m), WithSuccessThreshold(2), a 400 no failure; no jitter; an open breaker is retried, as nothing says otherwise.\n" +
		"Where the day gives them: ratelimiter.NewSmooth, tokens taken by hand with a MaxWait of 100s, its refusals no failure of the breaker; hedgepolicy.NewBuilderWithDelayQuantile(0.984, 128, 20) inside of the\n" +
		"breaker, CancelIf a good answer: the quantile at which it costs 5 %; what was wrong with the last answer, from exec.LastResult; adaptivelimiter WithLimits(1, most, 20), WithMaxWaitTime(1m); no limit of calls",
	Build: func(env Env) Ask {
		failed := func(answer Answer, err error) bool {
			return err != nil && worthRetrying(err) || err == nil && !answer.Good
		}
		policies := []failsafe.Policy[Answer]{
			retrypolicy.NewBuilder[Answer]().
				HandleIf(failed).
				AbortOnErrors(context.Canceled).
				WithMaxRetries(retries).
				WithBackoff(delays[0], delays[2]).
				WithDelayFunc(func(exec failsafe.ExecutionAttempt[Answer]) time.Duration {
					if after, ok := retryAfter(exec.LastError()); ok {
						return after
					}
					return -1
				}).
				ReturnLastFailure().
				Build(),
			circuitbreaker.NewBuilder[Answer]().
				HandleIf(func(_ Answer, err error) bool { return err != nil && worthRetrying(err) && !failsafeRefused(err) }).
				WithFailureThreshold(5).
				WithDelay(time.Minute).
				WithSuccessThreshold(2).
				OnOpen(func(circuitbreaker.StateChangedEvent) { env.Opened() }).
				Build(),
		}
		type key struct{}
		if env.StandIn != nil {
			standIn := checked(limited(env.Timeout, env.StandIn))
			policies = append([]failsafe.Policy[Answer]{
				fallback.NewBuilderWithFunc(func(exec failsafe.Execution[Answer]) (Answer, error) {
					return standIn(exec.Context(), exec.Context().Value(key{}).(Request))
				}).HandleIf(failed).Build(),
			}, policies...)
		}
		policies, primary := failsafeMeans(env, policies)
		executor := failsafe.With(policies...)
		return func(ctx context.Context, req Request) (Answer, error) {
			return executor.WithContext(context.WithValue(ctx, key{}, req)).
				GetWithExecution(func(exec failsafe.Execution[Answer]) (Answer, error) {
					return primary(exec, req)
				})
		}
	},
}
