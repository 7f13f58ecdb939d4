package overhead

import (
	"context"
	"errors"
	"time"

	"github.com/avast/retry-go/v4"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/fallback"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
	forbreaker "github.com/felixgeelhaar/fortify/circuitbreaker"
	forback "github.com/felixgeelhaar/fortify/fallback"
	"github.com/felixgeelhaar/fortify/ferrors"
	"github.com/felixgeelhaar/fortify/middleware"
	fortry "github.com/felixgeelhaar/fortify/retry"
	fortime "github.com/felixgeelhaar/fortify/timeout"
	"github.com/sony/gobreaker/v2"
)

// observed is what each system tells of a recovery in the full chain. Nothing is
// recovered while all is well, so it costs only being there.
var observed = func(error) {}

func engine(p Policies) *gobreaker.CircuitBreaker[string] {
	cb := gobreaker.NewCircuitBreaker[string](gobreaker.Settings{
		Timeout:     openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
	})
	for range failures {
		if p.Open {
			_, _ = cb.Execute(func() (string, error) { return "", errSick })
		}
	}
	return cb
}

func isOpen(err error) bool {
	return errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests)
}

var bareBreaker = System{
	Name: Breaker,
	Config: "gobreaker v2.4.0, Execute alone whatever the case: no retry, no stand-in, no limit; opens after 5 failures in a row, for 1h;\n" +
		"where an answer takes two calls, called again by a loop until it comes",
	Guard: func(agent Agent, p Policies) Op {
		cb := engine(p)
		return func(ctx context.Context) (answer string, err error) {
			for range retries + 1 {
				answer, err = cb.Execute(func() (string, error) { return agent(ctx, request) })
				if err == nil || err == gobreaker.ErrOpenState {
					break
				}
			}
			return answer, err
		}
	},
}

var byHand = System{
	Name: ByHand,
	Config: "retry-go v4.7.0 around gobreaker v2.4.0 as one writes it by hand: Context, Attempts(4), Delay(0) with FixedDelay, LastErrorOnly, RetryIf not open;\n" +
		"the same breaker; context.WithTimeout for each attempt; then the stand-in, then a canned answer, by an if",
	Guard: func(agent Agent, p Policies) Op {
		cb := engine(p)
		attempt := agent
		if p.Timeout {
			attempt = func(ctx context.Context, req string) (string, error) {
				ctx, cancel := context.WithTimeout(ctx, limit)
				defer cancel()
				return agent(ctx, req)
			}
		}
		return func(ctx context.Context) (string, error) {
			answer, err := retry.DoWithData(
				func() (string, error) {
					return cb.Execute(func() (string, error) { return attempt(ctx, request) })
				},
				retry.Context(ctx),
				retry.Attempts(retries+1),
				retry.Delay(0),
				retry.DelayType(retry.FixedDelay),
				retry.LastErrorOnly(true),
				retry.RetryIf(func(err error) bool { return !isOpen(err) }),
			)
			if err != nil && p.Fallback {
				answer, err = standIn(ctx, request)
			}
			if err != nil && p.Full {
				observed(err)
				answer, err = reduced(ctx, request)
			}
			return answer, err
		}
	},
}

var failsafeGo = System{
	Name: "failsafe-go",
	Config: "failsafe-go v0.9.8: one executor, Fallback(RetryPolicy(CircuitBreaker(Timeout))), WithContext and GetWithExecution, so that the agent has its context;\n" +
		"WithMaxRetries(3), AbortOnErrors(ErrOpen), ReturnLastFailure, no delay; WithFailureThreshold(5), WithDelay(1h); a fallback that does not get the request, which would cost it more;\n" +
		"full chain: a second fallback with a canned result and an OnFallbackExecuted listener around it",
	Guard: func(agent Agent, p Policies) Op {
		var policies []failsafe.Policy[string]
		if p.Full {
			policies = append(policies, fallback.NewBuilderWithResult(canned).
				OnFallbackExecuted(func(e failsafe.ExecutionDoneEvent[string]) { observed(e.Error) }).Build())
		}
		if p.Fallback {
			policies = append(policies, fallback.NewWithFunc(func(exec failsafe.Execution[string]) (string, error) {
				return standIn(exec.Context(), "")
			}))
		}
		breaker := circuitbreaker.NewBuilder[string]().WithFailureThreshold(failures).WithDelay(openFor).Build()
		if p.Open {
			breaker.Open()
		}
		policies = append(policies,
			retrypolicy.NewBuilder[string]().WithMaxRetries(retries).AbortOnErrors(circuitbreaker.ErrOpen).ReturnLastFailure().Build(),
			breaker)
		if p.Timeout {
			policies = append(policies, timeout.New[string](limit))
		}
		executor := failsafe.With(policies...)
		return func(ctx context.Context) (string, error) {
			return executor.WithContext(ctx).GetWithExecution(func(exec failsafe.Execution[string]) (string, error) {
				return agent(exec.Context(), request)
			})
		}
	},
}

var fortifyChain = System{
	Name: "fortify",
	Config: "fortify v1.1.2: fallback around a chain WithRetry, WithCircuitBreaker, WithTimeout, built once, Execute for each call, no logger;\n" +
		"MaxAttempts 4, IsRetryable not open, InitialDelay 1ns constant, for 0 means 100ms to it; ReadyToTrip at 5 in a row, Timeout 1h;\n" +
		"full chain: a second fallback with a canned answer and an OnFallback callback around it",
	Guard: func(agent Agent, p Policies) Op {
		cb := forbreaker.New[string](forbreaker.Config{
			Timeout:     openFor,
			ReadyToTrip: func(c forbreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
		})
		for range failures {
			if p.Open {
				_, _ = cb.Execute(context.Background(), func(context.Context) (string, error) { return "", errSick })
			}
		}
		chain := middleware.New[string]().
			WithRetry(fortry.New[string](fortry.Config{
				MaxAttempts: retries + 1, InitialDelay: time.Nanosecond, BackoffPolicy: fortry.BackoffConstant,
				IsRetryable: func(err error) bool { return !errors.Is(err, ferrors.ErrCircuitOpen) },
			})).
			WithCircuitBreaker(cb)
		if p.Timeout {
			chain.WithTimeout(fortime.New[string](fortime.Config{}), limit)
		}
		call := func(ctx context.Context) (string, error) { return agent(ctx, request) }
		execute := func(ctx context.Context) (string, error) { return chain.Execute(ctx, call) }
		around := func(inner Op, answer Agent, told func(error)) Op {
			fb := forback.New(forback.Config[string]{
				Fallback:   func(ctx context.Context, _ error) (string, error) { return answer(ctx, request) },
				OnFallback: told,
			})
			return func(ctx context.Context) (string, error) { return fb.Execute(ctx, inner) }
		}
		if p.Fallback {
			execute = around(execute, standIn, nil)
		}
		if p.Full {
			execute = around(execute, reduced, observed)
		}
		return execute
	},
}
