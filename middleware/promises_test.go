package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// The promises 1 to 4 of the design; 5, 6 and 8 are in promises_storm_test.go,
// 7 in promises_free_test.go. One test each.

// always decides the same.
func always(d strategies.Decision) middleware.Intervention {
	return middleware.Intervention{Ask: strategies.IntervenorFunc(
		func(context.Context, strategies.Incident) (strategies.Decision, error) { return d, nil })}
}

// recovery is an agent, what is around it, and who answers in the end.
type recovery struct {
	agent *play
	with  func(b *middleware.Builder[string, string])

	answer, strategy, servedBy string
	level                      strategies.Level
	attempts                   int
}

func recoveries() map[string]recovery {
	gone := func(b *middleware.Builder[string, string]) {
		b.Fallback("archivist", plays(errGone)).Degrade(strategies.LevelMinimal, plays(errGone))
	}
	return map[string]recovery{
		"the agent itself": {
			agent: plays("a tale"), with: func(*middleware.Builder[string, string]) {},
			answer: "a tale", strategy: "none", servedBy: "narrator", attempts: 1,
		},
		"the agent, asked again": {
			agent: plays(errSick, errSick, "a tale"), with: func(*middleware.Builder[string, string]) {},
			answer: "a tale", strategy: "retry", servedBy: "narrator", attempts: 3,
		},
		"a stand-in": {
			agent: plays(errSick), with: func(b *middleware.Builder[string, string]) {
				b.Fallback("keeper", plays(errGone)).Fallback("archivist", plays("a record"))
			},
			answer: "a record", strategy: "fallback", servedBy: "archivist", attempts: 6,
		},
		"a rung": {
			agent: plays(errSick), with: func(b *middleware.Builder[string, string]) {
				b.Degrade(strategies.LevelEmergency, plays("no more")).Degrade(strategies.LevelMinimal, plays("a word")).Degrade(strategies.LevelReduced, plays(errGone))
			},
			answer: "a word", strategy: "degradation", servedBy: "minimal answer", level: strategies.LevelMinimal, attempts: 6,
		},
		"a person who answers": {
			agent: plays(errSick), with: func(b *middleware.Builder[string, string]) {
				gone(b)
				b.Intervene(always(strategies.Decision{Action: strategies.ActionAnswer, Value: "by hand", By: "ann"}))
			},
			answer: "by hand", strategy: "user_intervention", servedBy: "ann", attempts: 7,
		},
		"a person who names a stand-in": {
			agent: plays(errSick), with: func(b *middleware.Builder[string, string]) {
				b.Fallback("archivist", plays(errGone, "a record"))
				b.Intervene(always(strategies.Decision{Action: strategies.ActionUseAgent, Agent: "archivist"}))
			},
			answer: "a record", strategy: "user_intervention", servedBy: "archivist", attempts: 6,
		},
	}
}

func (r recovery) build(t *testing.T, told *diary) *middleware.Guarded[string, string] {
	t.Helper()
	b := middleware.Wrap(r.agent).Named("narrator").Retry(strategies.Retry{}).Observe(told)
	r.with(b)
	return built(t, b)
}

// The caller's code is one line, with or without recovery, whoever recovers.
func TestPromise1Transparent(t *testing.T) {
	caller := func(ctx context.Context, agent middleware.Runner[string, string]) (string, error) {
		return agent.Run(ctx, "go on")
	}
	for by, r := range recoveries() {
		t.Run("it returns the answer of "+by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err := caller(t.Context(), r.build(t, &diary{}))
				expect(t, "answer", got, r.answer)
				expect(t, "error", err, nil)
			})
		})
	}
}

// Outcome and events tell the same story; a healthy call has none to tell.
func TestPromise2NeverSilent(t *testing.T) {
	for by, r := range recoveries() {
		t.Run("it says that the answer is of "+by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told diary
				start := time.Now()
				out := r.build(t, &told).Outcome(t.Context(), "go on")
				if out.Err != nil {
					t.Fatal(out.Err)
				}
				expect(t, "answer", out.Value, r.answer)
				expect(t, "strategy", out.Strategy.String(), r.strategy)
				expect(t, "served by", out.ServedBy, r.servedBy)
				expect(t, "level", out.Level, r.level)
				expect(t, "attempts", out.Attempts, r.attempts)
				expect(t, "elapsed", out.Elapsed, time.Since(start))
				if r.strategy == "none" {
					expect(t, "events", told.read(), "")
					return
				}
				e := told.only(t, middleware.EventRecovered)
				expect(t, "event", []any{e.Agent, e.Strategy.String(), e.ServedBy, e.Level, e.Attempt}, []any{"narrator", r.strategy, r.servedBy, r.level, r.attempts})
			})
		})
	}
	t.Run("it says that a call failed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var told diary
			out := recovery{agent: plays(errSick), with: func(*middleware.Builder[string, string]) {}}.build(t, &told).Outcome(t.Context(), "go on")
			expect(t, "outcome", []any{out.Value, out.ServedBy, out.Strategy, out.Attempts}, []any{"", "", strategies.StrategyDegradation, 4})
			if e := told.only(t, middleware.EventFailed); e.Err != out.Err {
				t.Errorf("the event has %v, the caller %v", e.Err, out.Err)
			}
		})
	})
	t.Run("it says that the ladder stands low, although the agent answers", func(t *testing.T) {
		ladder := &strategies.Ladder{}
		ladder.Degrade(strategies.LevelReduced, "by another agent")
		g := built(t, middleware.Wrap(plays("a tale")).Degrade(strategies.LevelReduced, plays("a word")).Ladder(ladder))
		out := g.Outcome(t.Context(), "go on")
		expect(t, "outcome", []any{out.Value, out.Strategy, out.Level}, []any{"a tale", strategies.StrategyNone, strategies.LevelReduced})
	})
}

// typedError is an SDK's, to be found again by errors.As.
type typedError struct{ code int }

func (e *typedError) Error() string { return fmt.Sprintf("code %d", e.code) }

// Whatever ended the call, every attempt's own error is within reach.
func TestPromise3TheRealCauseSurvives(t *testing.T) {
	first, late := &typedError{7}, errors.New("the second attempt's own")
	var errHungUp = errors.New("the caller hung up")
	chain := func(t *testing.T, with func(b *middleware.Builder[string, string])) *middleware.Guarded[string, string] {
		b := middleware.Wrap(plays(fmt.Errorf("sdk: %w", first), late)).Named("narrator").Retry(strategies.Retry{MaxRetries: 2})
		with(b)
		return built(t, b)
	}
	for name, tc := range map[string]struct {
		ctx      func(t *testing.T) context.Context
		with     func(b *middleware.Builder[string, string])
		strategy strategies.Strategy
		attempts string
		causes   []error
	}{
		"it keeps it when retries are used up": {
			with:     func(*middleware.Builder[string, string]) {},
			strategy: strategies.StrategyDegradation, attempts: "narrator:transient narrator:transient narrator:transient", causes: []error{late},
		},
		"it keeps it when stand-ins and rungs fail too": {
			with: func(b *middleware.Builder[string, string]) {
				b.Fallback("archivist", plays(errGone)).Degrade(strategies.LevelReduced, plays(errSick))
			},
			strategy: strategies.StrategyDegradation, causes: []error{late, errGone, errSick},
			attempts: "narrator:transient narrator:transient narrator:transient archivist:transient reduced answer:transient",
		},
		"it keeps it when a person aborts": {
			with: func(b *middleware.Builder[string, string]) {
				b.Intervene(always(strategies.Decision{Reason: "enough"}))
			},
			strategy: strategies.StrategyUserIntervention, attempts: "narrator:transient narrator:transient narrator:transient", causes: []error{late},
		},
		"it keeps it when the caller hangs up during a backoff": {
			ctx: func(t *testing.T) context.Context {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(2*time.Second, func() { cancel(errHungUp) })
				return ctx
			},
			with:     func(*middleware.Builder[string, string]) {},
			strategy: strategies.StrategyNone, attempts: "narrator:transient narrator:transient", causes: []error{late, errHungUp},
		},
		"it keeps it when the caller's deadline is near": {
			ctx: func(t *testing.T) context.Context {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				t.Cleanup(cancel)
				return ctx
			},
			with:     func(*middleware.Builder[string, string]) {},
			strategy: strategies.StrategyDegradation, attempts: "narrator:transient narrator:transient", causes: []error{late},
		},
		"it keeps it when the total deadline ends a stand-in": {
			with: func(b *middleware.Builder[string, string]) {
				b.Deadline(10*time.Second).Fallback("archivist", plays(stepFunc(hangs)))
			},
			strategy: strategies.StrategyDegradation, causes: []error{late, context.DeadlineExceeded},
			attempts: "narrator:transient narrator:transient narrator:transient archivist:timeout",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tc.ctx != nil {
					ctx = tc.ctx(t)
				}
				_, err := chain(t, tc.with).Run(ctx, "go on")
				re := recoveryOf(t, err)
				expect(t, "agent", re.Agent, "narrator")
				expect(t, "required now", re.Strategy, tc.strategy)
				expect(t, "attempts", attemptsOf(re), tc.attempts)
				expectIs(t, err, append(tc.causes, strategies.ErrRecovery)...)
				var found *typedError
				if !errors.As(err, &found) || found != first {
					t.Errorf("errors.As does not find the first attempt's error in %v", err)
				}
				// Where nothing gives a reduced answer, to ask for one in words would confuse.
				says := tc.strategy == strategies.StrategyUserIntervention || tc.strategy == strategies.StrategyDegradation && re.Reduced > 0
				if text := err.Error(); !strings.Contains(text, `"narrator"`) || says != strings.Contains(text, tc.strategy.String()+" required") {
					t.Errorf("the text names neither agent nor strategy: %s", text)
				}
			})
		})
	}
}

// Everything that can go wrong, one after the other through the whole chain;
// TestNoHistoryWedgesTheLayers does the same at random.
func TestPromise4NoWedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exits := stepFunc(func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil })
		leaves := func(t *testing.T) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			return ctx
		}
		breaker := &strategies.Breaker{Failures: 2, NoJitter: true, TrialTimeout: time.Hour}
		slots := &strategies.Bulkhead{MaxConcurrent: 1}
		agent := plays("a panic that is no answer")
		g := built(t, middleware.Wrap(agent).CircuitBreaker(breaker).Bulkhead(slots).Timeout(5*time.Second).
			Degrade(strategies.LevelReduced, plays("a word")).Intervene(always(strategies.Decision{})))
		for round := range 3 { // closed, and as a trial
			for name, step := range map[string]any{
				"panic": 7, "Goexit": exits, "hang": stepFunc(hangs), "late answer": deaf(9*time.Second, "late"), "late error": deaf(9*time.Second, errSick), "cancel": nil,
			} {
				for range 2 {
					agent.steps = []any{step}
					ctx := t.Context()
					if step == nil {
						agent.steps, ctx = []any{stepFunc(hangs)}, leaves(t)
					}
					var call sync.WaitGroup // a Goexit ends the goroutine
					call.Go(func() { _, _ = g.Run(ctx, "go on") })
					call.Wait()
					expect(t, fmt.Sprintf("slots taken after %s in round %d", name, round), slots.InFlight(), 0)
				}
				agent.steps = []any{"well"}
				time.Sleep(breaker.RetryAfter() + 1)
				asked(t, g, "well")
				expect(t, "state after "+name, breaker.State(), strategies.StateClosed)
			}
		}
	})
}
