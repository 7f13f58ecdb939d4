package middleware_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// lasts is an agent that answers after a while, unless it is told to stop.
func lasts(d time.Duration, end any) stepFunc {
	return func(ctx context.Context, _ string) (string, error) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if err, ok := end.(error); ok {
			return "", err
		}
		return end.(string), nil
	}
}

func TestHedge(t *testing.T) {
	hedged := func() *strategies.Hedge { return &strategies.Hedge{After: time.Second, MaxRatio: 1, ReadOnly: true} }
	for _, tc := range []struct {
		it     string
		chain  func() *builder
		answer string
		after  time.Duration
		events string
	}{
		{"a quick answer asks nobody else", func() *builder { return middleware.Wrap(plays(lasts(time.Second/2, "hi"))) }, "hi", time.Second / 2, ""},
		{"a slow one asks a stand-in too, and the first answer wins", func() *builder {
			return middleware.Wrap(plays(lasts(time.Hour, "late"))).Fallback("sage", plays(lasts(time.Second, "sage")))
		}, "sage", 2 * time.Second, "hedged recovered"},
		{"the agent may still be first", func() *builder {
			return middleware.Wrap(plays(lasts(2*time.Second, "hi"))).Fallback("sage", plays(lasts(time.Hour, "sage")))
		}, "hi", 2 * time.Second, "hedged"},
		{"without a stand-in it is asked itself once more", func() *builder {
			return middleware.Wrap(plays(lasts(time.Hour, "late"), lasts(time.Second, "hi")))
		}, "hi", 2 * time.Second, "hedged"},
		{"a second that fails leaves the first its time", func() *builder {
			return middleware.Wrap(plays(lasts(5*time.Second, "hi"))).Fallback("sage", plays(lasts(time.Second, errGone)))
		}, "hi", 5 * time.Second, "hedged"},
		{"a first that fails leaves the second its time", func() *builder {
			return middleware.Wrap(plays(lasts(2*time.Second, errSick))).Fallback("sage", plays(lasts(3*time.Second, "sage")))
		}, "sage", 4 * time.Second, "hedged recovered"},
		{"one whose breaker is open is not asked", func() *builder {
			b := &strategies.Breaker{}
			b.Isolate()
			return middleware.Wrap(plays(lasts(3*time.Second, "hi"))).Fallback("sage", built(t, middleware.Wrap(plays("sage")).Named("sage").CircuitBreaker(b)))
		}, "hi", 3 * time.Second, ""},
		{"if both fail, the others stand in", func() *builder {
			return middleware.Wrap(plays(lasts(2*time.Second, errSick))).Fallback("sage", plays(lasts(2*time.Second, errGone))).Fallback("third", plays("third"))
		}, "third", 3 * time.Second, "hedged attempt_failed stand_in_failed stand_in_called recovered"},
		{"a panic in the second is one's own", func() *builder {
			return middleware.Wrap(plays(lasts(3*time.Second, "hi"))).Fallback("sage", plays(stepFunc(func(context.Context, string) (string, error) { panic("no") })))
		}, "hi", 3 * time.Second, "hedged"},
	} {
		t.Run(tc.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := &diary{}
				g := built(t, tc.chain().Hedge(hedged()).Observe(told))
				start := time.Now()
				answer, err := g.Run(t.Context(), "")
				expect(t, "error", err, nil)
				expect(t, "answer", answer, tc.answer)
				expect(t, "after", time.Since(start), tc.after)
				synctest.Wait()
				if !strings.HasPrefix(told.read(), tc.events) || tc.events == "" && told.read() != "" {
					t.Errorf("events: %s, want %s", told.read(), tc.events)
				}
			})
		})
	}
	t.Run("the one that lost is nobody's failure", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{Failures: 1}
			g := built(t, middleware.Wrap(plays(lasts(time.Hour, "late"))).CircuitBreaker(b).Retry(promptly).Fallback("sage", plays("sage")).Hedge(hedged()))
			for range 5 {
				asked(t, g, "sage")
			}
			synctest.Wait()
			expect(t, "breaker", b.State(), strategies.StateClosed)
			expect(t, "failures", g.Health().Failures, 0)
		})
	})
	t.Run("second calls are bounded by a ratio", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			sage := plays("sage")
			g := built(t, middleware.Wrap(plays(lasts(2*time.Second, "hi"))).Fallback("sage", sage).
				Hedge(&strategies.Hedge{After: time.Second, MaxRatio: 0.05, ReadOnly: true}))
			for range 1000 {
				_, _ = g.Run(t.Context(), "")
			}
			if n := sage.called(); n < 49 || n > 60 {
				t.Errorf("%d of 1000 calls were made twice", n)
			}
		})
	})
	t.Run("it learns what is slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := &strategies.Hedge{MaxRatio: 1, ReadOnly: true}
			n := 0
			agent := stepFunc(func(ctx context.Context, req string) (string, error) {
				if n++; n%20 == 0 {
					return lasts(time.Minute, "late")(ctx, req)
				}
				return lasts(time.Second, "hi")(ctx, req)
			})
			g := built(t, middleware.Wrap(plays(agent)).Fallback("sage", plays(lasts(time.Second, "sage"))).Hedge(h))
			var slowest time.Duration
			for i := range 400 {
				start := time.Now()
				_, _ = g.Run(t.Context(), "")
				if i > 40 {
					slowest = max(slowest, time.Since(start))
				}
			}
			if slowest > 3*time.Second {
				t.Errorf("the slowest took %v: the tail is a minute", slowest)
			}
		})
	})
	t.Run("an effect is done once by the two of them", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &bank{}
			tool := middleware.WrapTool("pay", strategies.EffectOnce, func(ctx context.Context, p payment) (string, error) {
				time.Sleep(3 * time.Second)
				return b.pay(ctx, p)
			})
			h := hedged()
			h.ReadOnly = false
			g := built(t, middleware.Wrap(orders(tool, lasts(time.Hour, ""))).Fallback("sage", orders(tool, "")).Hedge(h).Effects(middleware.Effects{}))
			asked(t, g, "receipt hello")
			synctest.Wait()
			expect(t, "paid", b.of("hello"), 1)
		})
	})
	t.Run("many at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := built(t, middleware.Wrap(middleware.Func(lasts(3*time.Second, "hi"))).Fallback("sage", middleware.Func(lasts(time.Second, "sage"))).Hedge(hedged()))
			var all sync.WaitGroup
			for range 500 {
				all.Go(func() {
					if _, err := g.Run(t.Context(), ""); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		})
	})
	t.Run("a caller who leaves ends both", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := built(t, middleware.Wrap(plays(lasts(time.Hour, "hi"))).Fallback("sage", plays(lasts(time.Hour, "sage"))).Hedge(hedged()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := g.Run(ctx, "")
			expect(t, "ended by the caller", errors.Is(err, context.DeadlineExceeded), true)
		})
	})
	for name, b := range map[string]*builder{
		"what may not be asked twice": middleware.Wrap(plays("hi")).Hedge(&strategies.Hedge{}),
		"nil":                         middleware.Wrap(plays("hi")).Hedge(nil),
		"a time below nothing":        middleware.Wrap(plays("hi")).Hedge(&strategies.Hedge{ReadOnly: true, After: -1}),
		"a quantile that is none":     middleware.Wrap(plays("hi")).Hedge(&strategies.Hedge{ReadOnly: true, Quantile: 2}),
		"a ratio that is none":        middleware.Wrap(plays("hi")).Hedge(&strategies.Hedge{ReadOnly: true, MaxRatio: 1.5}),
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			_, err := b.Build()
			expectIs(t, err, strategies.ErrConfig)
		})
	}
}
