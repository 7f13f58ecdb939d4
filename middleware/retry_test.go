package middleware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func TestRetry(t *testing.T) {
	limited := strategies.WithRetryAfter(10*time.Second, ofClass(strategies.ClassRateLimited))
	for _, tc := range []struct {
		name    string
		steps   []any
		policy  strategies.Retry
		want    string
		calls   int
		elapsed time.Duration
		stop    strategies.Stop
	}{
		{"it leaves a good answer alone", []any{"hi"}, strategies.Retry{}, "hi", 1, 0, ""},
		{"it waits 1 s, 2 s, 4 s by default", []any{errSick, errSick, errSick, "hi"}, strategies.Retry{}, "hi", 4, 7 * time.Second, ""},
		{"it gives up after three retries by default", []any{errSick}, strategies.Retry{}, "", 4, 7 * time.Second, strategies.StopExhausted},
		{"it repeats the last delay", []any{errSick}, strategies.Retry{MaxRetries: 4, Backoff: strategies.Delays{time.Second, 3 * time.Second}}, "", 5, 10 * time.Second, strategies.StopExhausted},
		{"it never comes back before Retry-After", []any{limited, "hi"}, strategies.Retry{}, "hi", 2, 10 * time.Second, ""},
		{"it does not wait for longer than allowed", []any{limited, "hi"}, strategies.Retry{MaxRetryAfter: 9 * time.Second}, "", 1, 0, strategies.StopRetryAfter},
		{"it asks twice more for a better answer, not thrice", []any{ofClass(strategies.ClassInvalidAnswer)}, promptly, "", 3, 0, strategies.StopExhausted},
		{"it does not repeat a bad request", []any{ofClass(strategies.ClassBadRequest), "hi"}, promptly, "", 1, 0, strategies.StopClass},
		{"it does not repeat what the agent calls unrecoverable", []any{&strategies.AgentError{Agent: "agent", Err: errSick}, "hi"}, promptly, "", 1, 0, strategies.StopClass},
		{"it ends when another kind of failure comes", []any{errSick, ofClass(strategies.ClassUnauthorized), "hi"}, promptly, "", 2, 0, strategies.StopClass},
		{"it ends with an empty budget", []any{errSick}, strategies.Retry{Backoff: strategies.Delays{0}, Budget: &strategies.Budget{Capacity: 10}}, "", 3, 0, strategies.StopBudget},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				agent, start := plays(tc.steps...), time.Now()
				got, err := middleware.Chain(agent, middleware.Retry[string, string](&middleware.Owner{}, tc.policy)).Run(t.Context(), "hello")
				expect(t, "answer", got, tc.want)
				expect(t, "calls", agent.called(), tc.calls)
				expect(t, "elapsed", time.Since(start), tc.elapsed)
				if tc.stop == "" {
					expect(t, "error", err, nil)
					return
				}
				re := recoveryOf(t, err)
				expect(t, "reason to stop", re.Stop, tc.stop)
				expect(t, "attempts kept", len(re.Attempts), tc.calls)
			})
		})
	}
}

func TestRetryAndTime(t *testing.T) {
	t.Run("it begins no sleep that misses the caller's deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
			defer cancel()
			agent, start := plays(errSick), time.Now()
			g := built(t, middleware.Wrap(agent).Retry(strategies.Retry{}))
			_, err := g.Run(ctx, "hello")
			expect(t, "reason to stop", recoveryOf(t, err).Stop, strategies.StopDeadline)
			expect(t, "elapsed", time.Since(start), time.Second)
			expect(t, "calls", agent.called(), 2)
		})
	})
	t.Run("it stops sleeping when the caller leaves, and keeps the failure", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hangUp := errors.New("hung up")
			ctx, cancel := context.WithCancelCause(t.Context())
			agent, start := plays(errSick), time.Now()
			g := built(t, middleware.Wrap(agent).Retry(strategies.Retry{}))
			time.AfterFunc(500*time.Millisecond, func() { cancel(hangUp) })
			_, err := g.Run(ctx, "hello")
			re := recoveryOf(t, err)
			expectIs(t, err, errSick, hangUp)
			expect(t, "class", re.Class, strategies.ClassCanceled)
			expect(t, "required", re.Strategy, strategies.StrategyNone)
			expect(t, "elapsed", time.Since(start), 500*time.Millisecond)
			expect(t, "calls", agent.called(), 1)
		})
	})
	t.Run("it makes no attempt when the caller leaves at the very end of a sleep", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			agent := plays(errSick)
			policy := strategies.Retry{Backoff: leaving{cancel}}
			_, err := built(t, middleware.Wrap(agent).Retry(policy)).Run(ctx, "hello")
			expectIs(t, err, errSick, context.Canceled)
			expect(t, "calls", agent.called(), 1)
		})
	})
}

// leaving is a schedule during which the caller leaves.
type leaving struct{ leave func() }

func (l leaving) Delay(int) time.Duration { l.leave(); return 0 }
func (l leaving) Validate() error         { return nil }

func TestRetryRemembers(t *testing.T) {
	t.Run("it makes one attempt a call once retries are spent, until the agent succeeds", func(t *testing.T) {
		agent := plays(errSick, errSick, errSick, errSick /* spent */, errSick /* one only */, "hi", errSick, "back")
		g := built(t, middleware.Wrap(agent).Retry(promptly))
		failing(t, g)
		expect(t, "calls of the first", agent.called(), 4)
		expect(t, "spent", g.Health().Spent, true)
		expect(t, "reason to stop", recoveryOf(t, failing(t, g)).Stop, strategies.StopSpent)
		expect(t, "calls of both", agent.called(), 5)
		expect(t, "failed calls", g.Health().Failures, 2)
		asked(t, g, "hi")
		expect(t, "failed calls after a success", g.Health().Failures, 0)
		asked(t, g, "back") // by a retry, which is allowed again
		expect(t, "calls of all", agent.called(), 8)
	})
	t.Run("its delay grows from call to call when retries are counted per agent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent := plays(errSick)
			g := built(t, middleware.Wrap(agent).Retry(strategies.Retry{Allowance: strategies.AllowancePerAgent}))
			for call, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 0, 0} {
				start := time.Now()
				failing(t, g)
				expect(t, "elapsed of one call", time.Since(start), want)
				expect(t, "failed calls", g.Health().Failures, call+1)
			}
			expect(t, "calls", agent.called(), 8)
		})
	})
	t.Run("a tally is shared and reset by name", func(t *testing.T) {
		var tally strategies.Tally
		g := built(t, middleware.Wrap(plays(errSick)).Named("bard").Tally(&tally).Retry(promptly))
		failing(t, g)
		expect(t, "count", tally.Failures("bard"), 1)
		tally.Reset("bard")
		expect(t, "health", g.Health().Failures, 0)
		expect(t, "spent", g.Health().Spent, false)
	})
	t.Run("failures are counted without a retry layer too", func(t *testing.T) {
		agent := plays(errSick, ofClass(strategies.ClassBadRequest), passThrough, "hi")
		g := built(t, middleware.Wrap(agent))
		for _, want := range []int{1, 1, 1} { // neither the caller's mistakes nor pauses count
			failing(t, g)
			expect(t, "failed calls", g.Health().Failures, want)
		}
		asked(t, g, "hi")
		expect(t, "failed calls", g.Health().Failures, 0)
	})
}

func TestRetryLetsInterruptsPass(t *testing.T) {
	for name, agent := range map[string]*play{
		"at the first attempt": plays(passThrough, "hi"),
		"at a retry":           plays(errSick, passThrough, "hi"),
	} {
		t.Run(name, func(t *testing.T) {
			calls := len(agent.steps) - 1
			err := failing(t, built(t, middleware.Wrap(agent).Retry(promptly).Fallback("other", plays("no"))))
			expect(t, "untouched", err == passThrough, true) //nolint:errorlint // it must be the very same
			expect(t, "calls", agent.called(), calls)
		})
	}
}
