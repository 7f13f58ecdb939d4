package middleware_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func TestHardTimeout(t *testing.T) {
	t.Run("it leaves a quick answer and a quick failure alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := built(t, middleware.Wrap(plays("hi", errSick)).HardTimeout(time.Second, 1))
			asked(t, g, "hi")
			expectIs(t, failing(t, g), errSick)
			expect(t, "left behind", g.Health().LeftBehind, 0)
		})
	})
	t.Run("it returns on time though the agent is deaf, and drops the late answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			told, start := &diary{}, time.Now()
			g := built(t, middleware.Wrap(plays(deaf(5*time.Second, "late"))).HardTimeout(time.Second, 2).Observe(told))
			late := timeoutOf(t, failing(t, g))
			expect(t, "limit", late, strategies.TimeoutError{Limit: "attempt", After: time.Second})
			expect(t, "elapsed", time.Since(start), time.Second)
			expect(t, "left behind", g.Health().LeftBehind, 1)
			expect(t, "events", told.read(), "work_abandoned attempt_failed failed")
			expect(t, "detail", told.only(t, middleware.EventWorkAbandoned).Detail, "1 left behind")
			time.Sleep(5 * time.Second)
			synctest.Wait()
			expect(t, "left behind after it came back", g.Health().LeftBehind, 0)
		})
	})
	t.Run("it refuses calls while too many are left behind", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent := plays(deaf(10*time.Second, "late"), deaf(10*time.Second, "late"), "back")
			breaker := &strategies.Breaker{Failures: 3}
			g := built(t, middleware.Wrap(agent).Named("bard").HardTimeout(time.Second, 2).CircuitBreaker(breaker))
			failing(t, g)
			failing(t, g)
			err := failing(t, g)
			full, ok := errors.AsType[*strategies.FullError](err)
			if !ok || full.Limit != 2 {
				t.Fatalf("error = %v, want a FullError of 2", err)
			}
			expect(t, "calls", agent.called(), 2)
			expect(t, "breaker", breaker.State(), strategies.StateClosed)
			time.Sleep(10 * time.Second)
			asked(t, g, "back")
		})
	})
	t.Run("it keeps what the agent said when both came at once", func(t *testing.T) {
		for range 50 { // either may win; neither may lose the answer's goroutine or the count
			synctest.Test(t, func(t *testing.T) {
				g := built(t, middleware.Wrap(plays(deaf(time.Second, "just in time"))).HardTimeout(time.Second, 1))
				got, err := g.Run(t.Context(), "hello")
				if (got != "just in time" || err != nil) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Run = %q, %v", got, err)
				}
				synctest.Wait()
				expect(t, "left behind", g.Health().LeftBehind, 0)
			})
		}
	})
	t.Run("nor a failure that came at once with the end", func(t *testing.T) {
		for range 50 {
			synctest.Test(t, func(t *testing.T) {
				g := built(t, middleware.Wrap(plays(deaf(time.Second, errSick))).HardTimeout(time.Second, 1))
				if err := failing(t, g); !errors.Is(err, errSick) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error = %v", err)
				}
				synctest.Wait()
				expect(t, "left behind", g.Health().LeftBehind, 0)
			})
		}
	})
	t.Run("it keeps what an agent said that was stopped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			stopped := stepFunc(func(ctx context.Context, _ string) (string, error) {
				<-ctx.Done()
				return "", errSick
			})
			for range 20 {
				err := failing(t, built(t, middleware.Wrap(plays(stopped)).HardTimeout(time.Second, 1)))
				expect(t, "class", recoveryOf(t, err).Class, strategies.ClassTimeout)
				synctest.Wait()
			}
		})
	})
	t.Run("it returns as soon as the caller leaves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			g := built(t, middleware.Wrap(plays(deaf(time.Minute, "late"))).HardTimeout(30*time.Second, 1))
			_, err := g.Run(ctx, "hello")
			expect(t, "class", recoveryOf(t, err).Class, strategies.ClassCanceled)
			expect(t, "elapsed", time.Since(start), time.Second)
			expect(t, "left behind", g.Health().LeftBehind, 1)
			time.Sleep(time.Minute)
			synctest.Wait()
			expect(t, "left behind", g.Health().LeftBehind, 0)
		})
	})
	t.Run("it makes errors of a panic and of a Goexit, which it runs on its own goroutine", func(t *testing.T) {
		for name, step := range map[string]stepFunc{
			"panic":  func(context.Context, string) (string, error) { panic(errGone) },
			"goexit": func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil },
		} {
			synctest.Test(t, func(t *testing.T) {
				r := middleware.Chain(plays(step), middleware.HardTimeout[string, string](middleware.Scope{}, time.Second, 1))
				err := failingRaw(t, r)
				p, ok := errors.AsType[*strategies.PanicError](err)
				if !ok {
					t.Fatalf("%s: error = %v, want a PanicError", name, err)
				}
				if name == "panic" {
					expectIs(t, err, errGone)
					expect(t, "stack", len(p.Stack) > 0, true)
				}
			})
		}
	})
}
