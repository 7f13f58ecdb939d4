package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// A call that goes well passes several layers in one step. That is to be seen by
// nobody: the same chain with something of the user's between all layers, where each
// is passed by itself, does the same.
func TestLayersThatArePassedTogetherActAlike(t *testing.T) {
	failures := []error{
		errSick, context.Canceled, strategies.WithClass(strategies.ClassBlocked, errSick), strategies.WithClass(strategies.ClassBadRequest, errSick),
		strategies.WithClass(strategies.ClassInterrupt, errSick), strategies.WithClass(strategies.ClassCutOff, errSick), strategies.Unrecoverable(errSick),
	}
	answers, recovered := 0, 0
	for seed := range uint64(2000) {
		told := [2][]string{}
		for i := range told {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				play := func(name string) middleware.Runner[string, string] {
					return middleware.Func(func(ctx context.Context, _ string) (string, error) {
						told[i] = append(told[i], fmt.Sprintf("%s, attempt %d, level %s", name, middleware.CallOf(ctx).Attempt(), middleware.CallOf(ctx).Level()))
						switch n := rng.IntN(10); {
						case n < 4:
							return name, nil
						case n == 8: // slow, and the caller may have a deadline
							select {
							case <-ctx.Done():
								return "", context.Cause(ctx)
							case <-time.After(29 * time.Second):
								return name, nil
							}
						case n == 9:
							panic("lost")
						default:
							return "", failures[rng.IntN(len(failures))]
						}
					})
				}
				b := middleware.Wrap(play("narrator")).CircuitBreaker(&strategies.Breaker{Failures: 2, NoJitter: true})
				if rng.IntN(2) == 0 {
					b.Retry(strategies.Retry{MaxRetries: 1 + rng.IntN(2)})
				}
				if rng.IntN(2) == 0 {
					b.Fallback("archivist", play("archivist"))
				}
				if rng.IntN(2) == 0 {
					b.Degrade(strategies.LevelReduced, play("innkeeper"))
				}
				if rng.IntN(4) == 0 {
					b.Ladder(&strategies.Ladder{}).Degrade(strategies.LevelEmergency, play("whistle"))
					b.Degrade(strategies.LevelMinimal, play("candle"))
				}
				if rng.IntN(2) == 0 {
					b.Intervene(middleware.Intervention{Rounds: 2, Ask: strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
						return strategies.Decision{Action: strategies.ActionRetryNow}, nil
					})})
				}
				if rng.IntN(3) == 0 {
					b.Deadline(20 * time.Second)
				}
				if i == 1 {
					for at := middleware.StageObserve; at < middleware.StageAgent; at++ {
						b.Use(at, func(next middleware.Runner[string, string]) middleware.Runner[string, string] {
							return middleware.Func(func(ctx context.Context, req string) (string, error) { return next.Run(ctx, req) })
						})
					}
				}
				g := built(t, b)
				ctx, began := t.Context(), time.Now()
				if rng.IntN(3) == 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Minute)
					defer cancel()
				}
				for range 4 {
					out := g.Outcome(ctx, "go on")
					told[i] = append(told[i], fmt.Sprintf("%q %s by %q at %s, %d attempts, %d failed, %v", out.Value, out.Strategy, out.ServedBy, out.Level, out.Attempts, len(out.Failed), out.Err))
					told[i] = append(told[i], fmt.Sprintf("%+v after %v", g.Health(), time.Since(began)))
					if out.Err == nil {
						answers++
					}
					if out.Strategy != strategies.StrategyNone && out.Err == nil {
						recovered++
					}
					var re *strategies.RecoveryError
					if errors.As(out.Err, &re) {
						for _, a := range re.Attempts {
							told[i] = append(told[i], fmt.Sprint(a.Agent, a.Class, a.Err))
						}
					}
				}
			})
		}
		if !reflect.DeepEqual(told[0], told[1]) {
			t.Fatalf("seed %d: together\n%q\none by one\n%q", seed, told[0], told[1])
		}
	}
	if answers < 1000 || recovered < 500 {
		t.Errorf("%d answers, %d of them recovered: that says little", answers, recovered)
	}
}
