package middleware_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func TestNilContext(t *testing.T) {
	agent := plays(errSick)
	g := built(t, middleware.Wrap(agent).Retry(promptly).Timeout(time.Second).Fallback("sage", plays("hi")))
	var none context.Context
	_, err := g.Run(none, "hello")
	expectIs(t, err, strategies.ErrConfig)
	expectIs(t, g.Outcome(none, "hello").Err, strategies.ErrConfig)
	by := middleware.Chain(agent, middleware.Retry[string, string](&middleware.Owner{}, promptly), middleware.Timeout[string, string](&middleware.Owner{}, time.Second))
	_, err = by.Run(none, "hello")
	expectIs(t, err, strategies.ErrConfig)
	expect(t, "calls", agent.called(), 0)
}

// A layer that is put together by hand from nonsense answers every call with
// what is wrong, and calls no agent.
func TestLayersOfNonsense(t *testing.T) {
	type layer = middleware.Middleware[string, string]
	type rung = middleware.Rung[string, string]
	var (
		s      = &middleware.Owner{}
		nobody *play
		ladder = &strategies.Ladder{ClimbAfter: -1}
	)
	for _, tc := range []struct {
		setting string
		layer   layer
	}{
		{"Retry.MaxRetries", middleware.Retry[string, string](s, strategies.Retry{MaxRetries: -2})},
		{"Retry.Jitter", middleware.Retry[string, string](s, strategies.Retry{Jitter: math.NaN()})},
		{"Delays", middleware.Retry[string, string](s, strategies.Retry{Backoff: strategies.Delays{}})},
		{"CircuitBreaker", middleware.CircuitBreaker[string, string](s, nil)},
		{"Breaker.Failures", middleware.CircuitBreaker[string, string](s, &strategies.Breaker{Failures: -1})},
		{"Bulkhead", middleware.Bulkhead[string, string](s, nil)},
		{"Bulkhead.MaxConcurrent", middleware.Bulkhead[string, string](s, &strategies.Bulkhead{})},
		{"Timeout", middleware.Timeout[string, string](s, 0)},
		{"Timeout", middleware.Timeout[string, string](s, -time.Second)},
		{"HardTimeout", middleware.HardTimeout[string, string](s, 0, 1)},
		{"HardTimeout leftBehind", middleware.HardTimeout[string, string](s, time.Second, 0)},
		{"Deadline", middleware.Deadline[string, string](s, 0, 0)},
		{"Validate", middleware.Validate[string, string](nil)},
		{"Fallback", middleware.Fallback[string, string](s)},
		{"Fallback", middleware.Fallback(s, standIn{Agent: plays("hi")})},
		{`Fallback "sage"`, middleware.Fallback(s, standIn{Name: "sage"})},
		{`Fallback "sage"`, middleware.Fallback(s, standIn{Name: "sage", Agent: nobody})},
		{`Fallback "agent"`, middleware.Fallback(s, standIn{Name: "agent", Agent: plays("hi")})},
		{"Degrade", middleware.Degrade[string, string](s, nil)},
		{"Degrade", middleware.Degrade(s, nil, rung{Level: strategies.LevelFull, Runner: plays("hi")})},
		{"Degrade", middleware.Degrade(s, nil, rung{Level: 99, Runner: plays("hi")})},
		{"Degrade minimal", middleware.Degrade(s, nil, rung{Level: strategies.LevelMinimal})},
		{"Ladder.ClimbAfter", middleware.Degrade(s, ladder, rung{Level: strategies.LevelMinimal, Runner: plays("hi")})},
		{"Intervene.Ask", middleware.Intervene[string, string](s, middleware.Intervention{}, nil)},
		{"Chain", func(middleware.Runner[string, string]) middleware.Runner[string, string] { return nil }},
		{"Chain", func(middleware.Runner[string, string]) middleware.Runner[string, string] { return nobody }},
	} {
		t.Run(tc.setting, func(t *testing.T) {
			agent := plays("hi")
			r := middleware.Chain(agent, tc.layer)
			for range 2 {
				wrong, ok := errors.AsType[*strategies.ConfigError](failing(t, r))
				if !ok || wrong.Setting != tc.setting || wrong.Problem == "" || wrong.Fix == "" {
					t.Fatalf("error = %+v, want a ConfigError about %s with its problem and fix", wrong, tc.setting)
				}
			}
			expect(t, "calls", agent.called(), 0)
			// It is nobody's to recover either: a stand-in would hide it for good.
			expect(t, "class", recoveryOf(t, failing(t, built(t, middleware.Wrap(r).Retry(promptly).Fallback("sage", plays("hi"))))).Class, strategies.ClassUnrecoverable)
		})
	}
	t.Run("a chain around nothing", func(t *testing.T) {
		for _, layers := range [][]layer{nil, {middleware.Retry[string, string](s, promptly)}, {middleware.Recover[string, string](s)}} {
			expectIs(t, failing(t, middleware.Chain(nil, layers...)), strategies.ErrConfig)
			expectIs(t, failing(t, middleware.Chain[string, string](nobody, layers...)), strategies.ErrConfig)
		}
	})
	t.Run("a layer of nil layers is left out", func(t *testing.T) {
		asked(t, middleware.Chain(plays("hi"), nil, nil), "hi")
	})
}
