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

type outcome = middleware.Outcome[string]

func TestOutcome(t *testing.T) {
	retry := strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{time.Second}}
	for _, tc := range []struct {
		name  string
		build func() *middleware.Builder[string, string]
		want  outcome // without Err
		err   error
	}{
		{"of an agent that answers", func() *middleware.Builder[string, string] {
			return middleware.Wrap(plays("hi"))
		}, outcome{Value: "hi", ServedBy: "bard", Attempts: 1}, nil},
		{"of a retry", func() *middleware.Builder[string, string] {
			return middleware.Wrap(plays(errSick, "hi")).Retry(retry)
		}, outcome{Value: "hi", Strategy: strategies.StrategyRetry, ServedBy: "bard", Attempts: 2, Elapsed: time.Second}, nil},
		{"of a stand-in", func() *middleware.Builder[string, string] {
			return middleware.Wrap(plays(errSick)).Retry(retry).Fallback("sage", plays("hi"))
		}, outcome{Value: "hi", Strategy: strategies.StrategyFallback, ServedBy: "sage", Attempts: 3, Elapsed: time.Second}, nil},
		{"of a rung", func() *middleware.Builder[string, string] {
			return middleware.Wrap(plays(errSick)).Degrade(strategies.LevelMinimal, plays("sorry"))
		}, outcome{Value: "sorry", Strategy: strategies.StrategyDegradation, ServedBy: "minimal answer", Level: strategies.LevelMinimal, Attempts: 2}, nil},
		{"of a person", func() *middleware.Builder[string, string] {
			return middleware.Wrap(plays(errSick)).Intervene(asking(says(answer("by hand"))))
		}, outcome{Value: "by hand", Strategy: strategies.StrategyUserIntervention, ServedBy: "Ada", Attempts: 2}, nil},
		{"of a late answer", func() *middleware.Builder[string, string] {
			return middleware.Wrap(plays(deaf(2*time.Second, "paid for"))).Timeout(time.Second)
		}, outcome{Value: "paid for", ServedBy: "bard", Attempts: 1, Late: true, Elapsed: 2 * time.Second}, nil},
		{"of nobody: what is required now", func() *middleware.Builder[string, string] {
			return middleware.Wrap(plays(errSick)).Retry(retry).Fallback("sage", plays(errGone))
		}, outcome{Strategy: strategies.StrategyDegradation, Attempts: 3, Elapsed: time.Second}, errGone},
		{"of what only a person can help", func() *middleware.Builder[string, string] {
			return middleware.Wrap(plays(ofClass(strategies.ClassUnrecoverable)))
		}, outcome{Strategy: strategies.StrategyUserIntervention, Attempts: 1}, strategies.ErrRecovery},
		{"of an interrupt: nothing is required", func() *middleware.Builder[string, string] {
			return middleware.Wrap(plays(passThrough))
		}, outcome{Attempts: 1}, passThrough},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := built(t, tc.build().Named("bard"))
				got := g.Outcome(t.Context(), "hello")
				expectIs(t, got.Err, tc.err)
				expect(t, "failed", got.Err != nil, tc.err != nil)
				calls := tc.want.Attempts
				if tc.want.ServedBy == "Ada" {
					calls-- // a person is no call
				}
				expect(t, "usage", got.Usage, strategies.Usage{Calls: calls})
				got.Err, got.Failed, got.Usage = nil, nil, strategies.Usage{} // see TestOutcomeTellsWhatHadFailedBefore
				expect(t, "outcome", got, tc.want)
				expect(t, "name", g.Name(), "bard")
			})
		})
	}
	t.Run("it is of one call: what the agent calls in its turn is none of it", func(t *testing.T) {
		var g *middleware.Guarded[string, string]
		g = built(t, middleware.Wrap(plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
			_, err := g.Run(ctx, "from inside") // fails, and is answered by the stand-in
			return "outer", err
		}), errSick)).Named("bard").Fallback("sage", plays("inner")))
		o := g.Outcome(t.Context(), "hello")
		expect(t, "strategy", o.Strategy, strategies.StrategyNone)
		expect(t, "served by", o.ServedBy, "bard")
		expect(t, "attempts", o.Attempts, 1)
	})
	t.Run("it is of this agent: another one that fails inside is no recovery of ours", func(t *testing.T) {
		inner := built(t, middleware.Wrap(plays(errGone)).Named("inner").Fallback("sage", plays("hi")))
		outer := built(t, middleware.Wrap(inner).Named("outer"))
		o := outer.Outcome(t.Context(), "hello")
		expect(t, "answer", o.Value, "hi")
		expect(t, "strategy", o.Strategy, strategies.StrategyNone)
		expect(t, "served by", o.ServedBy, "outer")
	})
	t.Run("the failure of an agent inside is an attempt of ours, within reach", func(t *testing.T) {
		inner := built(t, middleware.Wrap(plays(ofClass(strategies.ClassBlocked))).Named("inner"))
		re := recoveryOf(t, failing(t, built(t, middleware.Wrap(inner).Named("outer"))))
		expect(t, "agent", re.Agent, "outer")
		expect(t, "attempts", attemptsOf(re), "outer:blocked")
		within, ok := errors.AsType[*strategies.RecoveryError](re.Attempts[0].Err)
		expect(t, "the failure within", ok && within.Agent == "inner", true)
	})
}

func TestHealth(t *testing.T) {
	t.Run("of an agent without layers is clean", func(t *testing.T) {
		expect(t, "health", built(t, middleware.Wrap(plays("hi"))).Health(), middleware.Health{Agent: "agent"})
	})
	t.Run("tells what every layer knows, and changes nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ladder := &strategies.Ladder{}
			b := &strategies.Breaker{Failures: 2, OpenFor: time.Minute, NoJitter: true}
			g := built(t, middleware.Wrap(plays(ofClass(strategies.ClassOverloaded))).Named("bard").Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).
				CircuitBreaker(b).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1}).Ladder(ladder).Degrade(strategies.LevelMinimal, plays("sorry")))
			asked(t, g, "sorry")
			want := middleware.Health{
				Agent: "bard", Breaker: strategies.StateOpen, RetryAfter: time.Minute, Failures: 1, Spent: true,
				Level: strategies.LevelMinimal, LastClass: strategies.ClassOverloaded, LastError: "a overloaded failure", OthersSince: time.Now().UTC(),
				BudgetLeft: 495, BudgetSize: 500,
			}
			expect(t, "health", g.Health(), want)
			expect(t, "health, asked again", g.Health(), want)
			time.Sleep(2 * time.Minute)
			want.RetryAfter = 0
			expect(t, "health, when its time has passed", g.Health(), want)
		})
	})
	t.Run("the last class is not a caller who left", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		leaves := stepFunc(func(context.Context, string) (string, error) { cancel(); return "", errGone })
		g := built(t, middleware.Wrap(plays(ofClass(strategies.ClassBlocked), leaves)))
		failing(t, g)
		_, err := g.Run(ctx, "hello")
		expectIs(t, err, context.Canceled)
		expect(t, "class", g.Health().LastClass, strategies.ClassBlocked)
	})
}

func TestOutcomeTellsWhatHadFailedBefore(t *testing.T) {
	for name, tc := range map[string]struct {
		chain *builder
		want  string
	}{
		"by a retry":        {middleware.Wrap(plays(errSick, "hi")).Retry(promptly), "agent:transient"},
		"by a stand-in":     {middleware.Wrap(plays(errSick)).Fallback("first", plays(errGone)).Fallback("sage", plays("hi")), "agent:transient first:transient"},
		"by a rung":         {middleware.Wrap(plays(errSick)).Degrade(strategies.LevelReduced, plays("hi")), "agent:transient"},
		"by a person":       {middleware.Wrap(plays(errSick)).Intervene(always(strategies.Decision{Action: strategies.ActionAnswer, Value: "hi"})), "agent:transient"},
		"none went before":  {middleware.Wrap(plays("hi")).Retry(promptly), ""},
		"all that there is": {middleware.Wrap(plays(errSick)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			out := built(t, tc.chain).Outcome(t.Context(), "")
			var failed []string
			for _, a := range out.Failed {
				failed = append(failed, a.Agent+":"+a.Class.String())
			}
			expect(t, "failed before", strings.Join(failed, " "), tc.want)
		})
	}
}
