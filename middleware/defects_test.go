package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Defects of other libraries that were reproduced, each with what happens there.
// The numbers are those of the design's table of peers.

// opened returns an agent in a breaker of one failure that has just opened, and
// whose open time has passed: the next call is a trial.
func opened(t *testing.T, with func(b *middleware.Builder[string, string])) (*middleware.Guarded[string, string], *play, *strategies.Breaker) {
	t.Helper()
	breaker := &strategies.Breaker{Failures: 1, OpenFor: time.Minute, NoJitter: true, TrialTimeout: 20 * time.Second}
	agent := plays(errSick)
	b := middleware.Wrap(agent).Named("narrator").CircuitBreaker(breaker)
	if with != nil {
		with(b)
	}
	g := built(t, b)
	failing(t, g)
	expect(t, "state", breaker.State(), strategies.StateOpen)
	time.Sleep(breaker.RetryAfter() + 1)
	return g, agent, breaker
}

// next makes a step the one that the agent takes from now on.
func (p *play) next(step any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps = []any{step}
}

func exits(context.Context, string) (string, error) { runtime.Goexit(); return "", nil }

// elsewhere runs a call on a goroutine of its own, which it may end.
func elsewhere(call func()) {
	var wg sync.WaitGroup
	wg.Go(call)
	wg.Wait()
}

// failsafe-go, resile: the probe panics and the breaker rejects for ever.
func TestD01ProbePanicFreesTheSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, agent, breaker := opened(t, nil)
		agent.next(7)
		expect(t, "class of the trial", recoveryOf(t, failing(t, g)).Class, strategies.ClassPanic)
		expect(t, "state after the panic, which counts", breaker.State(), strategies.StateOpen)
		time.Sleep(breaker.RetryAfter() + 1)
		agent.next("well")
		asked(t, g, "well")
		expect(t, "state", breaker.State(), strategies.StateClosed)
	})
}

// failsafe-go: a bulkhead of one is full for ever after a recovered panic.
func TestD02PanicAndGoexitGiveTheSlotBack(t *testing.T) {
	for name, step := range map[string]any{"panic": 7, "Goexit": stepFunc(exits)} {
		t.Run(name, func(t *testing.T) {
			slots := &strategies.Bulkhead{MaxConcurrent: 1}
			agent := plays(step, "well")
			g := built(t, middleware.Wrap(agent).Bulkhead(slots))
			elsewhere(func() { _, _ = g.Run(t.Context(), "go on") })
			expect(t, "slots taken", slots.InFlight(), 0)
			asked(t, g, "well")
		})
	}
}

// failsafe-go: a success begun before the trip closes a half-open breaker.
// resile: an old failure opens a closed one again.
func TestD03StaleResultsAreIgnored(t *testing.T) {
	for name, end := range map[string]any{"success": "old", "failure": errSick} {
		for _, closed := range []bool{false, true} {
			t.Run(fmt.Sprintf("an old %s, closed again: %t", name, closed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					breaker := &strategies.Breaker{Failures: 1, OpenFor: time.Minute, NoJitter: true, Trials: 2}
					agent := plays(deaf(2*time.Minute, end), errSick, "well")
					g := built(t, middleware.Wrap(agent).CircuitBreaker(breaker))
					var old sync.WaitGroup
					old.Go(func() { _, _ = g.Run(t.Context(), "begun before the trip") })
					synctest.Wait()
					failing(t, g)
					time.Sleep(breaker.RetryAfter() + 1)
					want := strategies.StateHalfOpen
					if asked(t, g, "well"); closed {
						asked(t, g, "well")
						want = strategies.StateClosed
					}
					expect(t, "state before", breaker.State(), want)
					old.Wait()
					expect(t, "state after", breaker.State(), want)
				})
			})
		}
	}
}

// failsafe-go, gobreaker, fortify, resile: a caller who leaves counts as a
// failure and opens the breaker.
func TestD04TheCallersCancelIsNeutral(t *testing.T) {
	leave := func(t *testing.T, g *middleware.Guarded[string, string]) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := g.Run(ctx, "go on")
		expectIs(t, err, context.Canceled)
	}
	t.Run("closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			breaker := &strategies.Breaker{Failures: 1}
			g := built(t, middleware.Wrap(plays(stepFunc(hangs))).CircuitBreaker(breaker))
			leave(t, g)
			expect(t, "state", breaker.State(), strategies.StateClosed)
		})
	})
	t.Run("half-open", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g, agent, breaker := opened(t, nil)
			agent.next(stepFunc(hangs))
			leave(t, g)
			expect(t, "state", breaker.State(), strategies.StateHalfOpen)
			agent.next("well")
			asked(t, g, "well")
			expect(t, "state", breaker.State(), strategies.StateClosed)
		})
	})
}

// failsafe-go, fortify: Retry(breaker) sleeps and retries on "open", and loses
// the cause.
func TestD05OpenIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, start := plays(errSick), time.Now()
		g := built(t, middleware.Wrap(agent).Retry(strategies.Retry{MaxRetries: 5}).CircuitBreaker(&strategies.Breaker{Failures: 1}))
		err := failing(t, g)
		expectIs(t, err, errSick)
		expect(t, "calls", agent.called(), 1)
		expect(t, "time: no delay either before it would be found open", time.Since(start), 0)

		start = time.Now()
		err = failing(t, g)
		expectIs(t, err, errSick, strategies.ErrRejected)
		expect(t, "calls", agent.called(), 1)
		expect(t, "time", time.Since(start), 0)
	})
}

// failsafe-go: a limit of 20 ms on deaf work returns after 300 ms.
func TestD06AHardTimeoutIsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(deaf(300*time.Millisecond, "late"))).HardTimeout(20*time.Millisecond, 2))
		start := time.Now()
		expectIs(t, failing(t, g), context.DeadlineExceeded)
		expect(t, "time", time.Since(start), 20*time.Millisecond)
		expect(t, "work left behind", g.Health().LeftBehind, 1)
		time.Sleep(280 * time.Millisecond)
		synctest.Wait()
		expect(t, "work left behind in the end", g.Health().LeftBehind, 0)
	})
}

// failsafe-go, fortify, resile: a delay past the deadline is slept up to it, and
// the cause is lost.
func TestD07ADelayPastTheDeadlineIsNotSlept(t *testing.T) {
	for name, err := range map[string]error{"schedule": errSick, "hint of an hour": strategies.WithRetryAfter(time.Hour, errSick)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
				defer cancel()
				start, agent := time.Now(), plays(err)
				_, err := built(t, middleware.Wrap(agent).Retry(strategies.Retry{MaxRetryAfter: 2 * time.Hour})).Run(ctx, "go on")
				expectIs(t, err, errSick)
				expect(t, "calls", agent.called(), 1)
				expect(t, "time", time.Since(start), 0)
			})
		})
	}
}

// failsafe-go: OnDone changes the shared executor, and two users overwrite each
// other's listener.
func TestD08BuiltChainsDoNotChange(t *testing.T) {
	var first, second diary
	standIn, late := plays(errGone), plays("late")
	b := middleware.Wrap(plays(errSick)).Fallback("archivist", standIn).Degrade(strategies.LevelReduced, plays(errGone)).Observe(&first)
	one := built(t, b)
	before := one.Explain().String()
	b.Observe(&second).Fallback("keeper", late).Degrade(strategies.LevelMinimal, late).Named("another")
	two := built(t, b)
	failing(t, one)
	expect(t, "calls of what was added later", late.called(), 0)
	expect(t, "events of the second user", second.read(), "")
	expect(t, "explanation", one.Explain().String(), before)
	told := first.read()
	asked(t, two, "late")
	if second.read() == "" || first.read() == told {
		t.Error("the second chain does not tell both observers")
	}
}

// failsafe-go: Retry-After is undershot by a cap and by jitter, slept past the
// deadline, and not read in its date form.
func TestD09AHintIsNeverUndershot(t *testing.T) {
	for name, value := range map[string]string{"seconds": "30", "date": "Sat, 01 Jan 2000 00:00:30 GMT"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a bubble begins at midnight of 2000-01-01
				err := &httpError{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {value}}}
				policy := strategies.Retry{Backoff: strategies.Exponential{Cap: 10 * time.Second}, Jitter: 0.2}
				start := time.Now()
				asked(t, built(t, middleware.Wrap(plays(err, "well")).Retry(policy)), "well")
				if d := time.Since(start); d < 30*time.Second || d > 36*time.Second {
					t.Errorf("waits %v, want 30s to 36s", d)
				}
			})
		})
	}
	t.Run("the deadline wins", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			err := &httpError{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3600"}}}
			_, got := built(t, middleware.Wrap(plays(err)).Retry(strategies.Retry{MaxRetryAfter: 2 * time.Hour, Jitter: 0.2})).Run(ctx, "go on")
			expect(t, "stop", recoveryOf(t, got).Stop, strategies.StopDeadline)
			expect(t, "time", time.Since(start), 0)
		})
	})
}

type httpError struct {
	StatusCode int
	Header     http.Header
}

func (e *httpError) Error() string { return http.StatusText(e.StatusCode) }

// retry-go: with no delay, a context canceled inside the call is called again in
// half of all runs.
func TestD10NoAttemptAfterCancel(t *testing.T) {
	for range 2000 {
		ctx, cancel := context.WithCancel(t.Context())
		agent := plays(stepFunc(func(context.Context, string) (string, error) { cancel(); return "", errSick }))
		_, err := built(t, middleware.Wrap(agent).Retry(promptly)).Run(ctx, "go on")
		expectIs(t, err, context.Canceled, errSick)
		if agent.called() != 1 {
			t.Fatalf("called %d times after its caller left", agent.called())
		}
	}
}

// retry-go: a hint in the past sleeps 292 years, no jitter panics, and so does
// try 37. The rest is fuzzed in strategies.
func TestD11DelaysStayInRange(t *testing.T) {
	policy := strategies.Retry{MaxRetries: 1000, Backoff: strategies.Exponential{Cap: math.MaxInt64}, MaxRetryAfter: math.MaxInt64}
	for _, hint := range []time.Duration{0, -time.Hour, math.MinInt64, math.MaxInt64} {
		for _, jitter := range []float64{0, 10} {
			policy.Jitter = jitter
			for _, n := range []int{0, 36, 63, 64, 999} {
				v := strategies.Verdict{Retry: true, RetryAfter: hint}
				d, stop := policy.Next(strategies.RetryState{Verdict: v, Retries: n})
				if stop != "" || d < max(hint, time.Second) {
					t.Errorf("retry %d, hint %v, jitter %v: %v %q", n+1, hint, jitter, d, stop)
				}
			}
		}
	}
}

// retry-go: the end of the context takes the place of the real cause.
func TestD12TheCauseSurvivesTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errHungUp := errors.New("the caller hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second/2, func() { cancel(errHungUp) })
		_, err := built(t, middleware.Wrap(plays(errSick)).Retry(strategies.Retry{})).Run(ctx, "go on")
		expectIs(t, err, errSick, errHungUp)
	})
}
