package middleware_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func asItIs(req string) string { return req }

func TestCoalesce(t *testing.T) {
	slow := func(answer any) *play {
		return plays(stepFunc(func(ctx context.Context, req string) (string, error) {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
			if err, ok := answer.(error); ok {
				return "", err
			}
			return answer.(string), nil
		}))
	}
	// together makes n calls at once and returns their outcomes.
	together := func(t *testing.T, g *middleware.Guarded[string, string], n int, ctx context.Context, req string) []outcome {
		outcomes := make([]outcome, n)
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() { outcomes[i] = g.Outcome(ctx, req) })
		}
		all.Wait()
		return outcomes
	}
	t.Run("it asks the agent once for calls that are identical and at the same time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent, spent := slow("hi"), 0
			for _, o := range together(t, built(t, middleware.Wrap(agent).Coalesce(asItIs)), 100, t.Context(), "hello") {
				spent += o.Usage.Calls
				o.Usage = strategies.Usage{}
				expect(t, "outcome", o, outcome{Value: "hi", ServedBy: "agent", Attempts: 1, Elapsed: time.Second})
			}
			expect(t, "calls", agent.called(), 1)
			expect(t, "calls that the outcomes tell of", spent, 1) // by the one who began it
		})
	})
	t.Run("it gives everybody the same failure, and the same recovery", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, o := range together(t, built(t, middleware.Wrap(slow(errSick)).Coalesce(asItIs)), 50, t.Context(), "hello") {
				expectIs(t, o.Err, errSick, strategies.ErrRecovery)
			}
			for _, o := range together(t, built(t, middleware.Wrap(slow(errSick)).Coalesce(asItIs).Degrade(strategies.LevelReduced, plays("so so"))), 50, t.Context(), "hello") {
				expect(t, "level", o.Level, strategies.LevelReduced)
				expect(t, "strategy", o.Strategy, strategies.StrategyDegradation)
			}
		})
	})
	t.Run("it shares nothing between keys, after the end, or without a key", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent := slow("hi")
			g := built(t, middleware.Wrap(agent).Coalesce(asItIs))
			asked(t, g, "hi")
			together(t, g, 2, t.Context(), "")
			expect(t, "calls", agent.called(), 3)
		})
	})
	t.Run("each caller may leave without ending it for the others; the last one ends it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent := slow("hi")
			g := built(t, middleware.Wrap(agent).Coalesce(asItIs))
			hurried, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			var patient outcome
			var all sync.WaitGroup
			all.Go(func() {
				o := g.Outcome(hurried, "hello")
				expectIs(t, o.Err, context.DeadlineExceeded)
				expect(t, "left after", o.Elapsed, 100*time.Millisecond)
			})
			synctest.Wait()
			all.Go(func() { patient = g.Outcome(t.Context(), "hello") })
			all.Wait()
			expect(t, "answer", patient.Value, "hi")
			expect(t, "calls", agent.called(), 1)

			var ended atomic.Bool
			waits := built(t, middleware.Wrap(plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
				<-ctx.Done()
				ended.Store(true)
				return "", context.Cause(ctx)
			}))).Coalesce(asItIs))
			for _, o := range together(t, waits, 10, hurriedly(t), "hello") {
				expectIs(t, o.Err, context.DeadlineExceeded)
			}
			synctest.Wait()
			expect(t, "ended with the last of them", ended.Load(), true)
		})
	})
	t.Run("a panic, a Goexit and a key that panics are failures, and leave nobody waiting", func(t *testing.T) {
		for name, agent := range map[string]stepFunc{
			"panic":  func(context.Context, string) (string, error) { panic("ouch") },
			"goexit": func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil },
		} {
			err := failing(t, built(t, middleware.Wrap(plays(agent)).Coalesce(asItIs)))
			var p *strategies.PanicError
			expect(t, name, errors.As(err, &p), true)
		}
		err := failing(t, built(t, middleware.Wrap(plays("hi")).Coalesce(func(string) string { panic("ouch") })))
		expectIs(t, err, strategies.ErrRecovery)
		_, err = middleware.Wrap(plays("hi")).Coalesce(nil).Build()
		expectIs(t, err, strategies.ErrConfig)
	})
}

func hurriedly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// A shared call that leads back to itself, or two that lead to each other, end.
func TestCoalesceDoesNotWaitForItself(t *testing.T) {
	same := func(string) string { return "same" }
	t.Run("by a stand-in that asks the agent again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var g *middleware.Guarded[string, string]
			agent := plays(errSick, "better")
			g = built(t, middleware.Wrap(agent).Coalesce(same).Fallback("echo", middleware.Func(
				func(ctx context.Context, req string) (string, error) { return g.Run(ctx, req) })))
			asked(t, g, "better")
			expect(t, "calls", agent.called(), 2)
		})
	})
	t.Run("each by the other, at the same time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var pair [2]*middleware.Guarded[string, string]
			var calls atomic.Int64
			for i := range pair {
				agent := plays(stepFunc(func(ctx context.Context, req string) (string, error) {
					calls.Add(1)
					time.Sleep(time.Second)
					return pair[1-i].Run(ctx, req)
				}), stepFunc(func(context.Context, string) (string, error) {
					calls.Add(1)
					return "well", nil
				}))
				pair[i] = built(t, middleware.Wrap(agent).Named([]string{"one", "two"}[i]).Coalesce(same))
			}
			var all sync.WaitGroup
			for _, g := range pair {
				all.Go(func() { asked(t, g, "well") })
			}
			all.Wait()
			expect(t, "calls, for one of the two shares", calls.Load(), int64(3))
		})
	})
}
