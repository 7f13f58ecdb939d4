package middleware_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func TestCircuitBreaker(t *testing.T) {
	t.Run("it opens after failures in a row, rejects for its time, and closes after a good trial", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent := plays(errSick, errSick, "back")
			b := &strategies.Breaker{Failures: 2, OpenFor: time.Minute, NoJitter: true}
			r := middleware.Chain(agent, middleware.CircuitBreaker[string, string](&middleware.Owner{Name: "bard"}, b))
			expectIs(t, failingRaw(t, r), errSick)
			expectIs(t, failingRaw(t, r), errSick)
			err := failingRaw(t, r)
			expectIs(t, err, strategies.ErrRejected, errSick)
			open, ok := errors.AsType[*strategies.OpenError](err)
			if !ok {
				t.Fatalf("error is a %T", err)
			}
			expect(t, "named for its agent", open.Breaker, "bard")
			expect(t, "comes back in", open.RetryAfter, time.Minute)
			expect(t, "calls", agent.called(), 2)
			time.Sleep(time.Minute + 1)
			asked(t, r, "back")
			expect(t, "state", b.State(), strategies.StateClosed)
		})
	})
	t.Run("it keeps its own name in the error", func(t *testing.T) {
		b := &strategies.Breaker{Name: "openai"}
		b.Isolate()
		g := built(t, middleware.Wrap(plays("hi")).Named("bard").CircuitBreaker(b))
		open, _ := errors.AsType[*strategies.OpenError](failing(t, g))
		expect(t, "name", open.Breaker, "openai")
		expect(t, "health", g.Health().Breaker, strategies.StateIsolated)
	})
	t.Run("it opens in the middle of a retry loop, which ends at once and keeps the real class", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent, start := plays(errSick), time.Now()
			g := built(t, middleware.Wrap(agent).Retry(strategies.Retry{MaxRetries: 5, Backoff: strategies.Delays{time.Second}}).
				CircuitBreaker(&strategies.Breaker{Failures: 2}))
			re := recoveryOf(t, failing(t, g))
			expect(t, "attempts", attemptsOf(re), "agent:transient agent:transient")
			expect(t, "reason to stop", re.Stop, strategies.StopOpen)
			expect(t, "class that decides", re.Class, strategies.ClassTransient)
			expect(t, "calls", agent.called(), 2)
			expect(t, "elapsed: it does not sleep only to be turned away", time.Since(start), time.Second)
			if h := g.Health(); h.Breaker != strategies.StateOpen || h.RetryAfter < 30*time.Second || h.RetryAfter > 33*time.Second {
				t.Errorf("health = %+v, want open for what is left of 30 s and up to a tenth more", h)
			}
		})
	})
	t.Run("its rejection says how things stand when it is all there is", func(t *testing.T) {
		b := &strategies.Breaker{}
		b.Isolate()
		re := recoveryOf(t, failing(t, built(t, middleware.Wrap(plays("hi")).Retry(promptly).CircuitBreaker(b))))
		expect(t, "class", re.Class, strategies.ClassRejected)
		expect(t, "required", re.Strategy, strategies.StrategyDegradation)
		expect(t, "reason to stop", re.Stop, strategies.StopRejected)
	})
}

func failingRaw(t *testing.T, r middleware.Runner[string, string]) error {
	t.Helper()
	_, err := r.Run(t.Context(), "hello")
	if err == nil {
		t.Fatal("no error")
	}
	return err
}

func TestCircuitBreakerCounts(t *testing.T) {
	for _, tc := range []struct {
		class strategies.Class
		trips bool
	}{
		{strategies.ClassTransient, true}, {strategies.ClassTimeout, true}, {strategies.ClassOverloaded, true},
		{strategies.ClassUnauthorized, true}, {strategies.ClassPanic, true},
		{strategies.ClassContextOverflow, false}, {strategies.ClassBlocked, false}, {strategies.ClassInvalidAnswer, false},
		{strategies.ClassBadRequest, false}, {strategies.ClassUnrecoverable, false}, {strategies.ClassRejected, false},
		{strategies.ClassInterrupt, false},
	} {
		t.Run(tc.class.String(), func(t *testing.T) {
			b := &strategies.Breaker{Failures: 1}
			failingRaw(t, middleware.Chain(plays(ofClass(tc.class)), middleware.CircuitBreaker[string, string](&middleware.Owner{}, b)))
			expect(t, "opened", b.State() == strategies.StateOpen, tc.trips)
		})
	}
	t.Run("it counts a panic, and lets it pass", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		r := middleware.Chain(plays(stepFunc(func(context.Context, string) (string, error) { panic("ouch") })),
			middleware.CircuitBreaker[string, string](&middleware.Owner{}, b))
		func() {
			defer func() { expect(t, "panic", recover(), any("ouch")) }()
			_, _ = r.Run(t.Context(), "hello")
		}()
		expect(t, "state", b.State(), strategies.StateOpen)
	})
	t.Run("it counts a Goexit", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		r := middleware.Chain(plays(stepFunc(func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil })),
			middleware.CircuitBreaker[string, string](&middleware.Owner{}, b))
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = r.Run(t.Context(), "hello") })
		wg.Wait()
		expect(t, "state", b.State(), strategies.StateOpen)
	})
	t.Run("it does not count a caller who left", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		ctx, cancel := context.WithCancel(t.Context())
		r := middleware.Chain(plays(stepFunc(func(ctx context.Context, _ string) (string, error) { cancel(); return "", ctx.Err() })),
			middleware.CircuitBreaker[string, string](&middleware.Owner{}, b))
		_, err := r.Run(ctx, "hello")
		expectIs(t, err, context.Canceled)
		expect(t, "state", b.State(), strategies.StateClosed)
	})
}

func TestCircuitBreakerIsHeld(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		held time.Duration
	}{
		{"for as long as a rate limit says", strategies.WithRetryAfter(20*time.Second, ofClass(strategies.ClassRateLimited)), 20 * time.Second},
		{"for a second for a rate limit that says nothing", ofClass(strategies.ClassRateLimited), time.Second},
		{"for as long as a quota says", strategies.WithRetryAfter(time.Hour, ofClass(strategies.ClassQuotaExhausted)), time.Hour},
		{"for a minute for a quota that says nothing", ofClass(strategies.ClassQuotaExhausted), time.Minute},
		{"not for another failure with a hint", strategies.WithRetryAfter(time.Hour, errSick), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				agent := plays(tc.err, "hi")
				g := built(t, middleware.Wrap(agent).CircuitBreaker(&strategies.Breaker{}))
				failing(t, g)
				expect(t, "held for", g.Health().RetryAfter, tc.held)
				if tc.held == 0 {
					asked(t, g, "hi")
					return
				}
				expect(t, "state", g.Health().Breaker, strategies.StateHeld)
				expectIs(t, failing(t, g), strategies.ErrRejected, tc.err)
				expect(t, "calls", agent.called(), 1)
				time.Sleep(tc.held)
				asked(t, g, "hi")
			})
		})
	}
	t.Run("longer each time a quota that says nothing is still exhausted, up to five minutes, and anew once it was not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			quota := ofClass(strategies.ClassQuotaExhausted)
			agent := plays(quota, quota, quota, quota, quota, "hi", quota)
			g := built(t, middleware.Wrap(agent).CircuitBreaker(&strategies.Breaker{}))
			for _, held := range []time.Duration{1, 2, 4, 5, 5} {
				failing(t, g)
				expect(t, "held for", g.Health().RetryAfter, held*time.Minute)
				time.Sleep(held*time.Minute + time.Second)
			}
			asked(t, g, "hi")
			time.Sleep(5 * time.Minute)
			failing(t, g)
			expect(t, "held for, after it was well", g.Health().RetryAfter, time.Minute)
		})
	})
	t.Run("no longer for calls that were under way when a quota ran out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			slowly := stepFunc(func(context.Context, string) (string, error) {
				time.Sleep(10 * time.Second)
				return "", ofClass(strategies.ClassQuotaExhausted)
			})
			g := built(t, middleware.Wrap(plays(slowly, slowly, slowly)).CircuitBreaker(&strategies.Breaker{}))
			var callers sync.WaitGroup
			for range 3 {
				callers.Go(func() { _, _ = g.Run(t.Context(), "hello") })
				time.Sleep(time.Second)
			}
			callers.Wait()
			expect(t, "held for", g.Health().RetryAfter, time.Minute-2*time.Second)
		})
	})
	t.Run("and a stand-in answers meanwhile, unless the wait is short or longer ones are allowed", func(t *testing.T) {
		for _, tc := range []struct {
			hint   time.Duration
			policy strategies.Retry
			waits  time.Duration
			answer string
		}{
			{10 * time.Second, strategies.Retry{}, 10 * time.Second, "hi"},
			{11 * time.Second, strategies.Retry{}, 0, "hello from the stand-in"},
			{11 * time.Second, strategies.Retry{MaxRetryAfter: time.Minute}, 11 * time.Second, "hi"},
		} {
			synctest.Test(t, func(t *testing.T) {
				agent, start := plays(strategies.WithRetryAfter(tc.hint, ofClass(strategies.ClassRateLimited)), "hi"), time.Now()
				g := built(t, middleware.Wrap(agent).Retry(tc.policy).Fallback("stand-in", plays("hello from the stand-in")).CircuitBreaker(&strategies.Breaker{}))
				asked(t, g, tc.answer)
				expect(t, "elapsed", time.Since(start), tc.waits)
			})
		}
	})
	t.Run("and a retry waits for it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent, start := plays(strategies.WithRetryAfter(5*time.Second, ofClass(strategies.ClassRateLimited)), "hi"), time.Now()
			asked(t, built(t, middleware.Wrap(agent).Retry(promptly).CircuitBreaker(&strategies.Breaker{})), "hi")
			expect(t, "elapsed", time.Since(start), 5*time.Second)
			expect(t, "calls", agent.called(), 2)
		})
	})
}

func TestCircuitBreakerBoundsATrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := stepFunc(func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() })
		b := &strategies.Breaker{Failures: 1, OpenFor: time.Second, NoJitter: true, TrialTimeout: 3 * time.Second}
		r := middleware.Chain(plays(errSick, hang), middleware.CircuitBreaker[string, string](&middleware.Owner{}, b))
		failingRaw(t, r)
		time.Sleep(time.Second + 1)
		start := time.Now()
		late, ok := errors.AsType[*strategies.TimeoutError](failingRaw(t, r))
		if !ok || late.Limit != "trial" || late.After != 3*time.Second {
			t.Errorf("error = %v, want the trial's timeout", late)
		}
		expect(t, "elapsed", time.Since(start), 3*time.Second)
		expect(t, "state", b.State(), strategies.StateOpen)
	})
}
