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

// watchedJournal shows the context in which it is told what came of an effect.
type watchedJournal struct {
	strategies.MemoryJournal
	end func(ctx context.Context)
}

func (j *watchedJournal) End(ctx context.Context, r strategies.EffectRecord) error {
	j.end(ctx)
	return j.MemoryJournal.End(ctx, r)
}

// What came of an effect is written down when its caller has left, in a context that
// ends by itself.
func TestTheContextOfAJournal(t *testing.T) {
	ends := func(t *testing.T, end func(ctx context.Context), after func()) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			ctx, leave := context.WithCancel(middleware.WithCallID(t.Context(), "order 7"))
			pay := middleware.WrapTool("pay", strategies.EffectOnce, func(context.Context, int) (int, error) { leave(); return 1, nil })
			journal := &watchedJournal{end: end}
			g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (int, error) { return pay.Run(ctx, 7) }).
				Effects(middleware.Effects{Journal: journal}))
			_, _ = g.Run(ctx, "go on")
			if all, _ := journal.Effects(t.Context(), "order 7"); len(all) != 1 || all[0].State != strategies.EffectDone {
				t.Errorf("the journal has %+v", all)
			}
			after()
		})
	}
	t.Run("it lives when the caller has left, and knows the call", func(t *testing.T) {
		ends(t, func(ctx context.Context) {
			if ctx.Err() != nil || context.Cause(ctx) != nil || middleware.CallOf(ctx).ID() != "order 7" {
				t.Errorf("%v, %v, call %q", ctx.Err(), context.Cause(ctx), middleware.CallOf(ctx).ID())
			}
		}, func() {})
	})
	t.Run("it ends after ten seconds, with whatever is made from it", func(t *testing.T) {
		ends(t, func(ctx context.Context) {
			began := time.Now()
			if until, ok := ctx.Deadline(); !ok || until.Sub(began) != 10*time.Second {
				t.Errorf("its deadline is in %v", until.Sub(began))
			}
			child, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-child.Done()
			if took := time.Since(began); took != 10*time.Second || !errors.Is(ctx.Err(), context.DeadlineExceeded) || !errors.Is(child.Err(), context.DeadlineExceeded) {
				t.Errorf("after %v: %v, its child %v", took, ctx.Err(), child.Err())
			}
			select {
			case <-ctx.Done():
			default:
				t.Error("it is not done")
			}
		}, func() {})
	})
	t.Run("its end is seen by who only asks for it", func(t *testing.T) {
		ends(t, func(ctx context.Context) {
			time.Sleep(10 * time.Second)
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				t.Errorf("%v, %v", ctx.Err(), context.Cause(ctx))
			}
		}, func() {})
	})
	for _, waits := range []bool{false, true} {
		t.Run("it is over when the journal has been told", func(t *testing.T) {
			var kept context.Context
			ends(t, func(ctx context.Context) {
				if kept = ctx; waits {
					ctx.Done()
				}
			}, func() {
				<-kept.Done()
				if !errors.Is(kept.Err(), context.Canceled) {
					t.Errorf("%v", kept.Err())
				}
			})
		})
	}
}

// The price that the documentation of WrapTool names.
func TestWhatAJournaledToolAllocates(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates too")
	}
	price := func(effects int) float64 {
		pay := middleware.WrapTool("pay", strategies.EffectOnce, func(_ context.Context, order int) (int, error) { return order, nil })
		g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (int, error) {
			for i := range effects {
				if _, err := pay.Run(ctx, i); err != nil {
					return 0, err
				}
			}
			return 0, nil
		}).Effects(middleware.Effects{Journal: &strategies.MemoryJournal{Calls: 10}}))
		return testing.AllocsPerRun(500, func() { _, _ = g.Run(t.Context(), "go on") })
	}
	if one, many := price(1), price(21); (many-one)/20 > 6 {
		t.Errorf("%v allocations an effect: the documentation says 6", (many-one)/20)
	}
}
