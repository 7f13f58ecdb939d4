package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Streams by key, updated while they are read: none is lost, mixed or counted twice.
func TestHostileStreamsUpdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		version := func(v string) *middleware.StreamBuilder[string, string] {
			return middleware.WrapStreamFunc(func(ctx context.Context, q string) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					for range 5 {
						if !yield(v+tenantOf(q), nil) {
							return
						}
						time.Sleep(3 * time.Millisecond)
					}
					if tenantOf(q) == "bad" {
						yield("", errDrowned)
					}
				}
			}).CircuitBreaker(&strategies.Breaker{Failures: 3}).Timeout(time.Second).Idle(time.Second).
				Bulkhead(&strategies.Bulkhead{MaxConcurrent: 4, MaxWait: time.Minute}).
				By(tenantOf, middleware.Keys{Most: 6})
		}
		g, err := version("a").Named("s").Build()
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				k := []string{"x", "y", "bad", "w"}[i%4]
				for j := range 30 {
					n, first := 0, ""
					for c, err := range g.Stream(t.Context(), k+":1") {
						if err != nil {
							if k != "bad" {
								t.Error(k, err)
							}
							break
						}
						if first == "" {
							first = c
						}
						if c != first || c[1:] != k {
							t.Error(c, first, k)
						}
						if n++; j%6 == 5 && n == 2 {
							break
						}
					}
				}
			})
		}
		for i := range 40 {
			time.Sleep(11 * time.Millisecond)
			if err := g.Update(version(string(rune('b' + i%20)))); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		for k, h := range g.Owner().HealthByKey() {
			if h.InFlight != 0 || h.Waiting != 0 || k != "bad" && h.Breaker != strategies.StateClosed || k == "bad" && h.Breaker != strategies.StateOpen {
				t.Errorf("%s %+v", k, h)
			}
		}
	})
}

// Two calls of one id, while the chain is updated: made once.
func TestHostileUpdateKeepsIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int32
		b := func() *middleware.Builder[string, string] {
			return middleware.WrapFunc(func(context.Context, string) (string, error) {
				made.Add(1)
				time.Sleep(time.Second)
				return "done", nil
			}).Effects(middleware.Effects{})
		}
		g, err := b().Named("n").Build()
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if v, err := g.Run(middleware.WithCallID(t.Context(), "1"), "q"); v != "done" || err != nil {
					t.Error(v, err)
				}
			})
			time.Sleep(50 * time.Millisecond)
			if err := g.Update(b()); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		if made.Load() != 1 {
			t.Error("made", made.Load())
		}
	})
}

// Isolation and a level survive an update, also for keys; waiting calls get room at once.
func TestHostileUpdateKeepsState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		br, bh := &strategies.Breaker{Name: "up"}, &strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Hour}
		slow := func(ctx context.Context, q string) (string, error) {
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
			}
			return q, nil
		}
		g, err := middleware.WrapFunc(slow).Named("n").CircuitBreaker(br).Bulkhead(bh).By(tenantOf, middleware.Keys{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if _, err := g.Run(t.Context(), fmt.Sprint("k:", i)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if h := g.Owner().HealthByKey()["k"]; h.InFlight != 1 || h.Waiting != 2 {
			t.Errorf("%+v", h)
		}
		if err := g.Update(middleware.WrapFunc(slow).CircuitBreaker(&strategies.Breaker{Name: "up", Failures: 2}).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 3, MaxWait: time.Hour}).By(tenantOf, middleware.Keys{})); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wg.Wait()
		br.Isolate()
		if err := g.Update(middleware.WrapFunc(slow).CircuitBreaker(&strategies.Breaker{Name: "up", Failures: 7})); err != nil {
			t.Fatal(err)
		}
		var oe *strategies.OpenError
		if _, err := g.Run(t.Context(), ":x"); !errors.As(err, &oe) {
			t.Error("the isolation is lost:", err)
		}
	})
}

func TestHostileCheckStream(t *testing.T) {
	asked := 0
	g, err := middleware.WrapStreamFunc(func(context.Context, string) iter.Seq2[string, error] {
		asked++
		return func(yield func(string, error) bool) {
			for range 1000 {
				if !yield("The same sentence, over and over again, until the tokens run out. ", nil) {
					return
				}
				asked++
			}
		}
	}).Named("n").Check(func(string) func(string) strategies.Answer {
		var a strategies.Answer
		return func(c string) strategies.Answer {
			a.Text += c
			return a
		}
	}, strategies.NoLoops{}).Build()
	if err != nil {
		t.Fatal(err)
	}
	all, err := middleware.Collect(g.Stream(t.Context(), "q"))
	if err == nil || len(all) > 40 || len(all) == 0 {
		t.Error(len(all), err)
	}
	h, err := middleware.WrapFunc(func(context.Context, string) (string, error) { return "x", nil }).Named("n").
		Check(func(string, string) strategies.Answer { panic("read") }, strategies.WholeAnswer{}).Build()
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Run(t.Context(), "q")
	var pe *strategies.PanicError
	if !errors.As(err, &pe) {
		t.Error(err)
	}
	if _, err := middleware.WrapFunc(func(context.Context, string) (string, error) { return "x", nil }).Check(nil, nil).Build(); !errors.Is(err, strategies.ErrConfig) {
		t.Error(err)
	}
}
