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

func TestTimeoutWhileAlive(t *testing.T) {
	// works for n times a step, and says so each time if it is honest.
	works := func(n int, step time.Duration, says bool) stepFunc {
		return func(ctx context.Context, _ string) (string, error) {
			for range n {
				select {
				case <-time.After(step):
				case <-ctx.Done():
					return "", ctx.Err()
				}
				if says {
					middleware.CallOf(ctx).Alive()
				}
			}
			return "hi", nil
		}
	}
	for _, tc := range []struct {
		it     string
		agent  any
		answer string
		after  time.Duration
	}{
		{"progress prolongs the attempt", works(10, 50*time.Second, true), "hi", 500 * time.Second},
		{"an agent that says nothing has its silence", works(10, 50*time.Second, false), "", time.Minute},
		{"a step that is too long ends it", works(2, 2*time.Minute, true), "", time.Minute},
		{"it never lasts longer than the most", works(100, 50*time.Second, true), "", 10 * time.Minute},
		{"a quick one is as ever", works(1, time.Second, false), "hi", time.Second},
	} {
		t.Run(tc.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := built(t, middleware.Wrap(plays(tc.agent)).TimeoutWhileAlive(time.Minute, 10*time.Minute))
				start := time.Now()
				answer, err := g.Run(t.Context(), "")
				expect(t, "answer", answer, tc.answer)
				expect(t, "after", time.Since(start), tc.after)
				if tc.answer == "" {
					late, ok := errors.AsType[*strategies.TimeoutError](err)
					if !ok || late.Limit != "attempt" {
						t.Errorf("got %v", err)
					}
				}
			})
		})
	}
	t.Run("a nested agent's progress prolongs the attempt of whoever asked it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			inner := built(t, middleware.Wrap(plays(works(5, 50*time.Second, true))).Named("inner"))
			g := built(t, middleware.WrapFunc(inner.Run).TimeoutWhileAlive(time.Minute, 10*time.Minute))
			asked(t, g, "hi")
		})
	})
	t.Run("a trial of the breaker has the most", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{Failures: 1, OpenFor: time.Second, NoJitter: true}
			g := built(t, middleware.Wrap(plays(errSick, works(5, 50*time.Second, true))).CircuitBreaker(b).TimeoutWhileAlive(time.Minute, 10*time.Minute))
			failing(t, g)
			time.Sleep(2 * time.Second)
			asked(t, g, "hi")
			expect(t, "breaker", b.State(), strategies.StateClosed)
		})
	})
	t.Run("it is nothing to whoever is in no such chain", func(t *testing.T) {
		middleware.CallOf(t.Context()).Alive()
		asked(t, built(t, middleware.Wrap(plays(works(1, 0, true)))), "hi")
	})
	for name, b := range map[string]*builder{
		"no silence":                middleware.Wrap(plays("hi")).TimeoutWhileAlive(0, time.Minute),
		"no most":                   middleware.Wrap(plays("hi")).TimeoutWhileAlive(time.Minute, 0),
		"a silence above the whole": middleware.Wrap(plays("hi")).TimeoutWhileAlive(time.Hour, time.Minute),
		"a Timeout beside it":       middleware.Wrap(plays("hi")).TimeoutWhileAlive(time.Minute, time.Hour).Timeout(time.Minute),
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			_, err := b.Build()
			expectIs(t, err, strategies.ErrConfig)
		})
	}
}
