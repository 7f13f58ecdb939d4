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

func TestDegrade(t *testing.T) {
	t.Run("it tries the rungs from reduced to emergency, in whatever order they were given", func(t *testing.T) {
		told := &diary{}
		g := built(t, middleware.Wrap(plays(errSick)).
			Degrade(strategies.LevelEmergency, plays("nothing to say")).
			Degrade(strategies.LevelReduced, plays(errGone)).
			Degrade(strategies.LevelMinimal, panicsWith("ouch")).
			Degrade(strategies.LevelReduced, plays(errShort)).Observe(told))
		o := g.Outcome(t.Context(), "hello")
		expect(t, "answer", o.Value, "nothing to say")
		expect(t, "level", o.Level, strategies.LevelEmergency)
		expect(t, "strategy", o.Strategy, strategies.StrategyDegradation)
		expect(t, "served by", o.ServedBy, "emergency answer")
		expect(t, "attempts", o.Attempts, 5)
		expect(t, "events", told.read(), "attempt_failed rung_failed rung_failed rung_failed recovered")
		var failed []error
		for _, e := range told.events[1:4] {
			failed = append(failed, e.Err)
		}
		expectIs(t, failed[0], errGone)
		expectIs(t, failed[1], errShort)
		expect(t, "class of the panic", told.events[3].Class, strategies.ClassPanic)
	})
	t.Run("it leaves the agent's count of failures", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).Degrade(strategies.LevelReduced, plays("sorry")))
		asked(t, g, "sorry")
		asked(t, g, "sorry")
		expect(t, "failures", g.Health().Failures, 2)
	})
	t.Run("it keeps every failure when no rung answers", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).Fallback("other", plays(errShort)).Degrade(strategies.LevelMinimal, plays(errGone)))
		err := failing(t, g)
		re := recoveryOf(t, err)
		expectIs(t, err, errSick, errShort, errGone)
		expect(t, "attempts", attemptsOf(re), "agent:transient other:transient minimal answer:transient")
		expect(t, "required", re.Strategy, strategies.StrategyDegradation)
	})
	t.Run("it lets a rung's interrupt pass", func(t *testing.T) {
		last := plays("sorry")
		g := built(t, middleware.Wrap(plays(errSick)).Degrade(strategies.LevelReduced, plays(passThrough)).Degrade(strategies.LevelMinimal, last))
		expect(t, "untouched", failing(t, g) == passThrough, true) //nolint:errorlint // it must be the very same
		expect(t, "calls", last.called(), 0)
	})
	t.Run("it tries no rung after the caller has left, and says so", func(t *testing.T) {
		for name, ladder := range map[string]*strategies.Ladder{"free": {}, "pinned": pinned(strategies.LevelReduced)} {
			ctx, cancel := context.WithCancel(t.Context())
			last := plays("sorry")
			leaves := stepFunc(func(context.Context, string) (string, error) { cancel(); return "", errGone })
			g := built(t, middleware.Wrap(plays(errSick)).Degrade(strategies.LevelReduced, plays(leaves)).Degrade(strategies.LevelMinimal, last).Ladder(ladder))
			_, err := g.Run(ctx, "hello")
			expectIs(t, err, errGone, context.Canceled)
			expect(t, name+": class", recoveryOf(t, err).Class, strategies.ClassCanceled)
			expect(t, name+": required", recoveryOf(t, err).Strategy, strategies.StrategyNone)
			expect(t, name+": calls", last.called(), 0)
			expect(t, name+": level", ladder.Level() == strategies.LevelMinimal, false)
		}
	})
	t.Run("it bounds a rung without layers of its own by the attempt's timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			g := built(t, middleware.Wrap(plays(errSick)).Timeout(time.Second).Degrade(strategies.LevelReduced, plays(stepFunc(hangs))).Degrade(strategies.LevelMinimal, plays("sorry")))
			asked(t, g, "sorry")
			expect(t, "elapsed", time.Since(start), time.Second)
		})
	})
	t.Run("it calls a guarded rung without its retries", func(t *testing.T) {
		small := plays(errGone)
		g := built(t, middleware.Wrap(plays(errSick)).Degrade(strategies.LevelReduced, built(t, middleware.Wrap(small).Named("small").Retry(promptly))))
		failing(t, g)
		expect(t, "calls", small.called(), 1)
	})
	t.Run("a rung that answers beside its error is cut down to the error, also by hand", func(t *testing.T) {
		for _, err := range []error{errGone, passThrough} {
			r := middleware.Chain(plays(errSick), middleware.Degrade(&middleware.Owner{}, pinned(strategies.LevelReduced), middleware.Rung[string, string]{Level: strategies.LevelReduced, Runner: plays(err)}))
			expectIs(t, failing(t, r), err)
		}
	})
}

func TestDegradeByClass(t *testing.T) {
	for _, class := range strategies.Classes() {
		if class == strategies.ClassCanceled {
			continue // a matter of the context, not of the error
		}
		t.Run(class.String(), func(t *testing.T) {
			_, err := built(t, middleware.Wrap(plays(ofClass(class))).Degrade(strategies.LevelReduced, plays("sorry"))).Run(t.Context(), "hello")
			expect(t, "recovered", err == nil, strategies.VerdictOf(class).Degrade)
		})
	}
}

func pinned(at strategies.Level) *strategies.Ladder {
	l := &strategies.Ladder{}
	l.Pin(at, "maintenance")
	return l
}

// levels answers with the level it reads from its context.
func levels(ctx context.Context, _ string) (string, error) {
	return middleware.CallOf(ctx).Level().String(), nil
}

func TestLadder(t *testing.T) {
	t.Run("it follows the calls down and climbs back by itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ladder := &strategies.Ladder{ClimbAfter: 2, MinimumStay: time.Minute}
			agent := plays(errSick, stepFunc(levels))
			g := built(t, middleware.Wrap(agent).Ladder(ladder).
				Degrade(strategies.LevelReduced, plays(errGone)).Degrade(strategies.LevelMinimal, plays("sorry")))
			asked(t, g, "sorry")
			expect(t, "level", g.Health().Level, strategies.LevelMinimal)
			expect(t, "reason", ladder.Reasons()[0].Text, `agent "agent": transient`)

			o := g.Outcome(t.Context(), "hello")
			expect(t, "answer", o.Value, "minimal") // the agent was asked first, and told
			expect(t, "level of the answer", o.Level, strategies.LevelMinimal)
			asked(t, g, "minimal") // two successes, but too soon
			time.Sleep(time.Minute)
			asked(t, g, "minimal")
			expect(t, "level", g.Health().Level, strategies.LevelReduced)
			asked(t, g, "reduced")
			time.Sleep(time.Minute)
			asked(t, g, "reduced")
			asked(t, g, "full")
			expect(t, "level", g.Health().Level, strategies.LevelFull)
			expect(t, "reasons", len(ladder.Reasons()), 0)
		})
	})
	t.Run("it skips the rungs above its level", func(t *testing.T) {
		ladder := &strategies.Ladder{}
		ladder.Degrade(strategies.LevelMinimal, "by hand")
		rich := plays("reduced")
		g := built(t, middleware.Wrap(plays(errSick)).Ladder(ladder).Degrade(strategies.LevelReduced, rich).Degrade(strategies.LevelMinimal, plays("minimal")))
		asked(t, g, "minimal")
		expect(t, "calls", rich.called(), 0)
	})
	t.Run("it gets the last rung when it stands below all of them", func(t *testing.T) {
		ladder := &strategies.Ladder{}
		ladder.Degrade(strategies.LevelEmergency, "by hand")
		g := built(t, middleware.Wrap(plays(errSick)).Ladder(ladder).Degrade(strategies.LevelReduced, plays("reduced")))
		o := g.Outcome(t.Context(), "hello")
		expect(t, "answer", o.Value, "reduced")
		expect(t, "level", ladder.Level(), strategies.LevelEmergency)
	})
	t.Run("a failure begins the climb anew", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ladder := &strategies.Ladder{ClimbAfter: 2, MinimumStay: time.Microsecond}
			g := built(t, middleware.Wrap(plays(errSick, "a", errSick, "b", "c")).Ladder(ladder).Degrade(strategies.LevelReduced, plays("sorry")))
			for _, want := range []string{"sorry", "a", "sorry", "b"} {
				asked(t, g, want)
				time.Sleep(time.Second)
			}
			expect(t, "level", ladder.Level(), strategies.LevelReduced)
			asked(t, g, "c")
			expect(t, "level", ladder.Level(), strategies.LevelFull)
		})
	})
	t.Run("while pinned its rung answers at once and the agent is not asked", func(t *testing.T) {
		agent := plays("hi")
		ladder := pinned(strategies.LevelMinimal)
		g := built(t, middleware.Wrap(agent).Ladder(ladder).Degrade(strategies.LevelReduced, plays("reduced")).Degrade(strategies.LevelMinimal, plays(stepFunc(levels))))
		o := g.Outcome(t.Context(), "hello")
		expect(t, "answer", o.Value, "minimal")
		expect(t, "strategy", o.Strategy, strategies.StrategyDegradation)
		expect(t, "attempts", o.Attempts, 1)
		expect(t, "calls", agent.called(), 0)
		ladder.Restore(strategies.LevelFull)
		asked(t, g, "hi")
	})
	t.Run("pinned at full it holds the ladder up, not the answers", func(t *testing.T) {
		ladder := pinned(strategies.LevelFull)
		g := built(t, middleware.Wrap(plays(errSick)).Ladder(ladder).Degrade(strategies.LevelReduced, plays("sorry")))
		asked(t, g, "sorry")
		expect(t, "level", ladder.Level(), strategies.LevelFull)
	})
	t.Run("pinned to a rung that fails, a person may still be asked", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays("hi")).Ladder(pinned(strategies.LevelEmergency)).Degrade(strategies.LevelEmergency, plays(errGone)).
			Intervene(middleware.Intervention{Ask: says(strategies.Decision{Action: strategies.ActionAnswer, Value: "by hand"})}))
		asked(t, g, "by hand")
		re := recoveryOf(t, failing(t, built(t, middleware.Wrap(plays("hi")).Ladder(pinned(strategies.LevelEmergency)).Degrade(strategies.LevelEmergency, plays(errGone)))))
		expect(t, "class", re.Class, strategies.ClassRejected)
		expect(t, "required", re.Strategy, strategies.StrategyDegradation)
		expectIs(t, re, errGone)
	})
	t.Run("agents of different types share one", func(t *testing.T) {
		ladder := &strategies.Ladder{}
		down := built(t, middleware.Wrap(plays(errSick)).Ladder(ladder).Degrade(strategies.LevelReduced, plays("sorry")))
		other := built(t, middleware.WrapFunc(func(ctx context.Context, _ int) (strategies.Level, error) { return middleware.CallOf(ctx).Level(), nil }).
			Ladder(ladder).Degrade(strategies.LevelReduced, middleware.Func(func(context.Context, int) (strategies.Level, error) { return 0, errors.New("no") })))
		asked(t, down, "sorry")
		got, err := other.Run(t.Context(), 1)
		expect(t, "error", err, nil)
		expect(t, "level", got, strategies.LevelReduced)
	})
	t.Run("its moves are events of every agent that holds on to it", func(t *testing.T) {
		told := &diary{}
		built(t, middleware.Wrap(plays("hi")).Named("bard").Ladder(pinned(strategies.LevelFull)).Degrade(strategies.LevelReduced, plays("sorry")).Observe(told))
		ladder := &strategies.Ladder{}
		built(t, middleware.Wrap(plays("hi")).Named("sage").Ladder(ladder).Degrade(strategies.LevelReduced, plays("sorry")).Observe(told))
		ladder.Degrade(strategies.LevelMinimal, "by hand")
		e := told.only(t, middleware.EventLevelChanged)
		expect(t, "agent", e.Agent, "sage")
		expect(t, "level", e.Level, strategies.LevelMinimal)
		expect(t, "detail", e.Detail, "full → minimal: by hand")
	})
}
