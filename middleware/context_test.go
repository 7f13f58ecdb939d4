package middleware_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func TestAttempt(t *testing.T) {
	t.Run("it is 1 outside of every chain", func(t *testing.T) {
		expect(t, "attempt", middleware.CallOf(t.Context()).Attempt(), 1)
	})
	t.Run("it counts the attempts of one agent, and begins anew for a stand-in and a rung", func(t *testing.T) {
		var heard []string
		hears := func(who string) *play {
			return plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
				heard = append(heard, fmt.Sprint(who, middleware.CallOf(ctx).Attempt()))
				return "", errSick
			}))
		}
		failing(t, built(t, middleware.Wrap(hears("agent")).Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{0}}).
			Fallback("other", hears("other")).Degrade(strategies.LevelReduced, hears("rung"))))
		expect(t, "attempts", heard, []string{"agent1", "agent2", "agent3", "other1", "rung1"})
	})
}

func TestLevel(t *testing.T) {
	t.Run("it is full outside of every chain", func(t *testing.T) {
		expect(t, "level", middleware.CallOf(t.Context()).Level(), strategies.LevelFull)
	})
	t.Run("a rung reads its own", func(t *testing.T) {
		for _, level := range strategies.Levels()[1:] {
			asked(t, built(t, middleware.Wrap(plays(errSick)).Degrade(level, plays(stepFunc(levels)))), level.String())
		}
	})
	t.Run("the agent and its stand-ins read where the ladder stands", func(t *testing.T) {
		ladder := &strategies.Ladder{}
		agent := plays(stepFunc(levels), errSick)
		g := built(t, middleware.Wrap(agent).Fallback("other", plays(stepFunc(levels))).Ladder(ladder).Degrade(strategies.LevelEmergency, plays("no")))
		asked(t, g, "full")
		ladder.Degrade(strategies.LevelMinimal, "by hand")
		o := g.Outcome(t.Context(), "hello")
		expect(t, "answer of the stand-in", o.Value, "minimal")
		expect(t, "level", o.Level, strategies.LevelMinimal)
		expect(t, "strategy", o.Strategy, strategies.StrategyFallback)
	})
}
