package middleware_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// gate is an agent that answers when it is told to.
func gate() (agent *play, open chan struct{}) {
	open = make(chan struct{})
	return plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
		select {
		case <-open:
			return "hi", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})), open
}

func TestBulkhead(t *testing.T) {
	t.Run("it rejects at once when full, without an agent, and frees the slot", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent, open := gate()
			g := built(t, middleware.Wrap(agent).Named("bard").Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1}))
			done := make(chan error)
			go func() { _, err := g.Run(t.Context(), "first"); done <- err }()
			synctest.Wait()
			expect(t, "in flight", g.Health().InFlight, 1)
			err := failing(t, g)
			full, ok := errors.AsType[*strategies.FullError](err)
			if !ok {
				t.Fatalf("error = %v, want a FullError", err)
			}
			expect(t, "rejection", *full, strategies.FullError{What: `bulkhead "bard"`, Limit: 1})
			expect(t, "class", recoveryOf(t, err).Class, strategies.ClassRejected)
			expect(t, "calls", agent.called(), 1)
			close(open)
			expect(t, "first call", <-done, nil)
			expect(t, "in flight", g.Health().InFlight, 0)
			asked(t, g, "hi")
		})
	})
	t.Run("it waits for a slot for as long as allowed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent, open := gate()
			b := &strategies.Bulkhead{Name: "gpu", MaxConcurrent: 1, MaxWait: 3 * time.Second}
			r := middleware.Chain(agent, middleware.Bulkhead[string, string](&middleware.Owner{}, b))
			done := make(chan error)
			go func() { _, err := r.Run(t.Context(), "first"); done <- err }()
			synctest.Wait()
			start := time.Now()
			full, _ := errors.AsType[*strategies.FullError](failingRaw(t, r))
			expect(t, "rejection", *full, strategies.FullError{What: `bulkhead "gpu"`, Limit: 1, Waited: 3 * time.Second})
			expect(t, "elapsed", time.Since(start), 3*time.Second)
			time.AfterFunc(time.Second, func() { close(open) })
			asked(t, r, "hi")
			expect(t, "elapsed in all", time.Since(start), 4*time.Second)
			<-done
		})
	})
	t.Run("a caller who leaves while waiting is no rejection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent, open := gate()
			g := built(t, middleware.Wrap(agent).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Minute}))
			done := make(chan error)
			go func() { _, err := g.Run(t.Context(), "first"); done <- err }()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := g.Run(ctx, "second")
			expect(t, "class", recoveryOf(t, err).Class, strategies.ClassCanceled)
			expectIs(t, err, context.DeadlineExceeded)
			close(open)
			<-done
			expect(t, "in flight", g.Health().InFlight, 0)
		})
	})
	t.Run("its rejections never feed the breaker, and a stand-in is asked at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent, open := gate()
			breaker := &strategies.Breaker{Failures: 1}
			g := built(t, middleware.Wrap(agent).Retry(strategies.Retry{}).CircuitBreaker(breaker).
				Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1}).Fallback("other", plays("stand-in")))
			done := make(chan error)
			go func() { _, err := g.Run(t.Context(), "first"); done <- err }()
			synctest.Wait()
			start := time.Now()
			asked(t, g, "stand-in")
			expect(t, "elapsed", time.Since(start), 0)
			expect(t, "breaker", breaker.State(), strategies.StateClosed)
			close(open)
			<-done
		})
	})
	t.Run("one that adapts is told how attempts went", func(t *testing.T) {
		for _, hard := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				b := &strategies.Bulkhead{MaxConcurrent: 64, Adaptive: true, MaxWait: time.Hour}
				slow := time.Second
				agent := middleware.Func(func(ctx context.Context, _ string) (string, error) {
					select {
					case <-time.After(slow):
						return "hi", nil
					case <-ctx.Done():
						return "", ctx.Err()
					}
				})
				chain := middleware.Wrap(agent).Bulkhead(b)
				if hard {
					chain.HardTimeout(10*time.Second, 100)
				} else {
					chain.Timeout(10 * time.Second)
				}
				g := built(t, chain)
				many := func() {
					var all sync.WaitGroup
					for range 400 {
						all.Go(func() { _, _ = g.Run(t.Context(), "") })
					}
					all.Wait()
				}
				first := b.Limit()
				many()
				raised := b.Limit()
				if raised < 2*first {
					t.Errorf("%d slots of an agent that is never slow, %d at first", raised, first)
				}
				slow = time.Hour
				many()
				if b.Limit() > raised/4 {
					t.Errorf("%d slots of an agent that is always late, %d before", b.Limit(), raised)
				}
				synctest.Wait() // those that were left behind
				expect(t, "in flight", g.Health().InFlight, 0)
			})
		}
	})
	t.Run("it gives the slot back after a panic", func(t *testing.T) {
		b := &strategies.Bulkhead{MaxConcurrent: 1}
		r := middleware.Chain(plays(stepFunc(func(context.Context, string) (string, error) { panic("ouch") })),
			middleware.Recover[string, string](&middleware.Owner{}), middleware.Bulkhead[string, string](&middleware.Owner{}, b))
		failingRaw(t, r)
		expect(t, "in flight", b.InFlight(), 0)
	})
}
