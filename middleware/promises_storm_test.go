package middleware_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Promises 5, 6 and 8: a failure never becomes more calls than were agreed to.

func TestPromise5NoStorm(t *testing.T) {
	t.Run("it ends retries for everybody when the shared budget is empty", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			policy := promptly
			policy.MaxRetries, policy.Budget = 50, &strategies.Budget{Capacity: 35}
			a, b := plays(errSick), plays(errSick)
			one, two := built(t, middleware.Wrap(a).Retry(policy)), built(t, middleware.Wrap(b).Retry(policy))
			for range 50 {
				failing(t, one)
				expect(t, "stop", recoveryOf(t, failing(t, two)).Stop, strategies.StopBudget)
			}
			expect(t, "calls of both in an outage", a.called()+b.called(), 100+35/5)
		})
	})
	t.Run("it begins no wait, and no attempt, that cannot end before the deadline", func(t *testing.T) {
		for name, tc := range map[string]struct {
			left  time.Duration
			retry strategies.Retry
			err   error
		}{
			"the schedule is longer":             {left: 900 * time.Millisecond, err: errSick},
			"the schedule is as long":            {left: time.Second, err: errSick},
			"the provider's hint is longer":      {left: 20 * time.Second, err: strategies.WithRetryAfter(30*time.Second, errSick)},
			"too little is left for the attempt": {left: 3 * time.Second, retry: strategies.Retry{MinAttempt: 2500 * time.Millisecond}, err: errSick},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					start, agent := time.Now(), plays(tc.err)
					ctx, cancel := context.WithTimeout(t.Context(), tc.left)
					defer cancel()
					_, err := built(t, middleware.Wrap(agent).Retry(tc.retry)).Run(ctx, "go on")
					expect(t, "stop", recoveryOf(t, err).Stop, strategies.StopDeadline)
					expect(t, "time slept", time.Since(start), 0)
					expect(t, "calls", agent.called(), 1)
				})
			})
		}
	})
	t.Run("Explain prints the worst case, and it is the worst", func(t *testing.T) {
		for name, tc := range map[string]struct {
			agent  stepFunc
			with   func(b *middleware.Builder[string, string])
			prints string
			asked  bool
		}{
			"everybody hangs": {
				agent: hangs, with: func(*middleware.Builder[string, string]) {},
				prints: "worst case of one call: 6 calls, 2 rungs, 1m27s (4m20s if providers ask for the longest waits)",
			},
			"providers ask for the longest waits": {
				agent: func(ctx context.Context, _ string) (string, error) {
					<-ctx.Done()
					return "", strategies.WithRetryAfter(time.Minute, ctx.Err())
				},
				with:   func(*middleware.Builder[string, string]) {},
				prints: "worst case of one call: 6 calls, 2 rungs, 1m27s (4m20s if providers ask for the longest waits)", asked: true,
			},
			"there is a deadline for all": {
				agent: hangs, with: func(b *middleware.Builder[string, string]) { b.Deadline(30 * time.Second) },
				prints: "worst case of one call: 6 calls, 2 rungs, 50s",
			},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					agent, other, third, rungs := plays(tc.agent), plays(stepFunc(hangs)), plays(stepFunc(hangs)), plays(stepFunc(hangs))
					b := middleware.Wrap(agent).Retry(strategies.Retry{MaxRetryAfter: time.Minute}).Timeout(10*time.Second).CircuitBreaker(&strategies.Breaker{}).
						Fallback("archivist", other).Fallback("keeper", third).Degrade(strategies.LevelReduced, rungs).Degrade(strategies.LevelMinimal, rungs)
					tc.with(b)
					g := built(t, b)
					e := g.Explain()
					if !strings.Contains(e.String(), tc.prints+"\n") {
						t.Errorf("Explain does not print %q:\n%s", tc.prints, e)
					}
					start := time.Now()
					failing(t, g)
					longest := e.Time
					if tc.asked {
						longest = e.TimeAsked
					}
					expect(t, "time of the worst call", time.Since(start), longest)
					if n := agent.called() + other.called() + third.called(); n > e.Calls {
						t.Errorf("%d calls, Explain says at most %d", n, e.Calls)
					}
					expect(t, "rungs", rungs.called(), e.Rungs)
				})
			})
		}
	})
}

func TestPromise6NoRecursion(t *testing.T) {
	refused := func(t *testing.T, b *middleware.Builder[string, string], says string) {
		t.Helper()
		if _, err := b.Build(); !errors.Is(err, strategies.ErrConfig) || !strings.Contains(err.Error(), says) {
			t.Errorf("Build = %v, want a refusal that says %q", err, says)
		}
	}
	t.Run("it refuses an agent that stands in for itself", func(t *testing.T) {
		agent := plays(errSick)
		refused(t, middleware.Wrap(agent).Fallback("another name", agent), "is the agent itself")
		refused(t, middleware.Wrap(agent).Named("narrator").Fallback("narrator", plays(errSick)), "is the agent itself")
	})
	t.Run("it refuses the same stand-in twice", func(t *testing.T) {
		refused(t, middleware.Wrap(plays(errSick)).Fallback("archivist", plays(errSick)).Fallback("archivist", plays(errSick)), "is named twice")
	})

	// again calls a guarded agent, which is being recovered, once more.
	var g *middleware.Guarded[string, string]
	again := func(ctx context.Context, req string) (string, error) {
		answer, err := g.Run(ctx, req+", please")
		if err != nil {
			return "", err
		}
		return "second hand: " + answer, nil
	}
	t.Run("it does not recover an agent again that a stand-in calls in its turn", func(t *testing.T) {
		agent, standIn := plays(errSick), plays(stepFunc(again))
		questions := 0
		g = built(t, middleware.Wrap(agent).Named("narrator").Retry(promptly).Fallback("archivist", standIn).
			Intervene(middleware.Intervention{Ask: strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
				questions++
				return strategies.Decision{}, nil
			})}))
		failing(t, g)
		expect(t, "calls of the agent: its own four and one for the stand-in", agent.called(), 4+1)
		expect(t, "calls of the stand-in", standIn.called(), 1)
		expect(t, "questions to a person", questions, 1)
	})
	t.Run("it does not pass off a reduced answer as a stand-in's", func(t *testing.T) {
		g = built(t, middleware.Wrap(plays(errSick)).Named("narrator").Fallback("archivist", plays(stepFunc(again))).
			Degrade(strategies.LevelReduced, plays("a word")))
		out := g.Outcome(t.Context(), "go on")
		expect(t, "outcome", []any{out.Value, out.Strategy, out.Level}, []any{"a word", strategies.StrategyDegradation, strategies.LevelReduced})
	})
	t.Run("it takes the answer of an agent that is well again when a stand-in calls it", func(t *testing.T) {
		g = built(t, middleware.Wrap(plays(errSick, "a tale")).Named("narrator").Fallback("archivist", plays(stepFunc(again))))
		asked(t, g, "second hand: a tale")
	})
	t.Run("it ends when two agents stand in for one another", func(t *testing.T) {
		var other *middleware.Guarded[string, string]
		a, b := plays(errSick), plays(errGone)
		g = built(t, middleware.Wrap(a).Named("narrator").Retry(promptly).Fallback("archivist", middleware.Func(
			func(ctx context.Context, req string) (string, error) { return other.Run(ctx, req) })))
		other = built(t, middleware.Wrap(b).Named("archivist").Retry(promptly).Fallback("narrator", middleware.Func(again)))
		expectIs(t, failing(t, g), errSick, errGone)
		if a.called() > 4+1 || b.called() > 4 {
			t.Errorf("%d and %d calls, want at most each agent's own four, and one for the other", a.called(), b.called())
		}
	})
	t.Run("it ends when a rung asks the agent again", func(t *testing.T) {
		agent, rung := plays(errSick), plays(stepFunc(again))
		g = built(t, middleware.Wrap(agent).Named("narrator").Retry(promptly).Degrade(strategies.LevelReduced, rung))
		failing(t, g)
		expect(t, "calls", []int{agent.called(), rung.called()}, []int{4 + 1, 1})
	})
	t.Run("it ends when the rung of a pinned ladder asks the agent", func(t *testing.T) {
		ladder := &strategies.Ladder{}
		ladder.Pin(strategies.LevelReduced, "by hand")
		g = built(t, middleware.Wrap(plays("a tale")).Named("narrator").Degrade(strategies.LevelReduced, plays(stepFunc(again))).Ladder(ladder))
		asked(t, g, "second hand: a tale")
	})
	t.Run("it ends when a person always names a stand-in that asks the agent again", func(t *testing.T) {
		agent, standIn := plays(errSick), plays(stepFunc(again))
		how := always(strategies.Decision{Action: strategies.ActionUseAgent, Agent: "archivist"})
		how.Rounds = 2
		g = built(t, middleware.Wrap(agent).Named("narrator").Fallback("archivist", standIn).Intervene(how))
		failing(t, g)
		expect(t, "calls of the agent: one, and one for each of the stand-in's", []int{agent.called(), standIn.called()}, []int{1 + 3, 1 + 2})
	})
}

func TestPromise8SpentStaysSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tally strategies.Tally
		agent := plays(errSick)
		g := built(t, middleware.Wrap(agent).Named("narrator").Retry(strategies.Retry{}).Tally(&tally).
			Fallback("archivist", plays("a record")))
		call := func(when string, attempts int, took time.Duration) {
			t.Helper()
			before, start := agent.called(), time.Now()
			_, _ = g.Run(t.Context(), "go on")
			expect(t, "attempts "+when, agent.called()-before, attempts)
			expect(t, "time "+when, time.Since(start), took)
		}
		call("at first", 4, 7*time.Second)
		call("once spent", 1, 0)
		call("and from then on, although a stand-in answered", 1, 0)

		agent.steps = append(agent.steps, "a tale", errSick)
		agent.calls = 1
		call("when the agent succeeds", 1, 0)
		call("after it has", 4, 7*time.Second)
		call("once spent again", 1, 0)

		tally.Reset("narrator")
		call("after a reset by name", 4, 7*time.Second)
		expect(t, "spent", g.Health().Spent, true)
	})
}
