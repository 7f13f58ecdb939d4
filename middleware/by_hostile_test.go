package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

var errDrowned = errors.New("z is down")

func tenantOf(s string) string { k, _, _ := strings.Cut(s, ":"); return k }

func TestHostileByPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		g, err := middleware.WrapFunc(func(context.Context, string) (string, error) { calls++; return "ok", nil }).
			Named("n").Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{}).
			Fallback("other", middleware.Func(func(context.Context, string) (string, error) { return "other", nil })).
			Degrade(strategies.LevelReduced, middleware.Func(func(context.Context, string) (string, error) { return "reduced", nil })).
			By(func(s string) string {
				if s == "boom" {
					panic("key")
				}
				return s
			}, middleware.Keys{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		o := g.Outcome(t.Context(), "boom")
		var pe *strategies.PanicError
		if o.Err == nil {
			t.Error("a key function that panics fails the call, it is said; got", o.Value)
		} else if !errors.As(o.Err, &pe) {
			t.Error(o.Err)
		}
		if calls != 0 {
			t.Error("the agent was asked")
		}
		if v, err := g.Run(t.Context(), "x"); v != "ok" || err != nil {
			t.Error(v, err)
		}
		s, err := middleware.WrapStreamFunc(func(context.Context, string) iter.Seq2[string, error] {
			return func(y func(string, error) bool) { y("ok", nil) }
		}).Named("s").CircuitBreaker(&strategies.Breaker{}).By(func(s string) string { panic(errDrowned) }, middleware.Keys{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		_, err = middleware.Collect(s.Stream(t.Context(), "x"))
		if !errors.As(err, &pe) || !errors.Is(err, errDrowned) {
			t.Error(err)
		}
	})
}

func TestHostileByEviction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		br := &strategies.Breaker{Failures: 2, NoJitter: true, OpenFor: time.Hour, MaxOpenFor: time.Hour}
		g, err := middleware.WrapFunc(func(_ context.Context, s string) (string, error) {
			if strings.HasSuffix(s, "bad") {
				return "", errDrowned
			}
			return s, nil
		}).Named("n").CircuitBreaker(br).By(tenantOf, middleware.Keys{Most: 10, Idle: time.Minute}).Build()
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, _ = g.Run(t.Context(), "victim:bad")
		}
		for i := range 10000 {
			if _, err := g.Run(t.Context(), fmt.Sprint("k", i, ":x")); err != nil {
				t.Fatal(err)
			}
			if n := g.Health().Keys; n > 10 {
				t.Fatal("keys", n)
			}
		}
		h := g.Owner().HealthByKey()
		if h["victim"].Breaker != strategies.StateOpen {
			t.Errorf("%+v", h["victim"])
		}
		var oe *strategies.OpenError
		if _, err := g.Run(t.Context(), "victim:x"); !errors.As(err, &oe) {
			t.Error(err)
		}
		time.Sleep(30 * time.Minute)
		if _, err := g.Run(t.Context(), "victim:x"); !errors.As(err, &oe) {
			t.Error("after idle", err)
		}
		// fill with open ones
		for i := range 30 {
			for range 3 {
				_, _ = g.Run(t.Context(), fmt.Sprint("b", i, ":bad"))
			}
		}
		hh := g.Health()
		if hh.Keys > 10 {
			t.Error(hh.Keys)
		}
		if hh.Crowded == 0 {
			t.Error("crowded is not counted")
		}
		time.Sleep(90 * time.Minute)
		if _, err := g.Run(t.Context(), "victim:x"); err != nil {
			t.Error(err)
		}
		if _, err := g.Run(t.Context(), "innocent:x"); err != nil {
			t.Error(err)
		}
	})
}

func TestHostileByAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := middleware.WrapFunc(func(_ context.Context, s string) (string, error) { return s, nil }).Named("n").
			By(tenantOf, middleware.Keys{Most: 5, Allowance: strategies.UsageLimits{Calls: 3}}).Build()
		if err != nil {
			t.Fatal(err)
		}
		run := func(k string) error { _, err := g.Run(t.Context(), k); return err }
		for i := range 5 {
			err := run("a:x")
			var le *strategies.LimitError
			if (i >= 3) != (err != nil) {
				t.Error(i, err)
			}
			if i >= 3 && (!errors.As(err, &le) || le.Key != "a" || le.Wait <= 0 || le.Wait > 24*time.Hour) {
				t.Errorf("%v %+v", err, le)
			}
		}
		for i := range 100 { // a flood does not give a its allowance back
			_ = run(fmt.Sprint("f", i, ":x"))
		}
		if err := run("a:x"); err == nil {
			t.Error("a flood of other keys gave the allowance back")
		}
		time.Sleep(24*time.Hour + time.Second)
		if err := run("a:x"); err != nil {
			t.Error(err)
		}
		// by stream, concurrently
		s, err := middleware.WrapStreamFunc(func(context.Context, string) iter.Seq2[string, error] {
			return func(y func(string, error) bool) { _ = y("a", nil) && y("b", nil) }
		}).Named("s").By(tenantOf, middleware.Keys{Allowance: strategies.UsageLimits{Calls: 10}}).Build()
		if err != nil {
			t.Fatal(err)
		}
		var ok atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if all, err := middleware.Collect(s.Stream(t.Context(), "a:1")); err == nil && len(all) == 2 {
					ok.Add(1)
				}
			})
		}
		wg.Wait()
		if ok.Load() != 10 {
			t.Error(ok.Load())
		}
	})
}

func TestHostileByConcurrent(t *testing.T) {
	var ev atomic.Int64
	g, err := middleware.WrapFunc(func(_ context.Context, s string) (string, error) {
		if strings.HasSuffix(s, "bad") {
			return "", errDrowned
		}
		return s, nil
	}).Named("n").Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).CircuitBreaker(&strategies.Breaker{Failures: 3, OpenFor: time.Millisecond}).
		Bulkhead(&strategies.Bulkhead{MaxConcurrent: 50}).
		Observe(middleware.ObserverFunc(func(_ context.Context, e middleware.Event) { ev.Add(1); _ = e.Key })).
		By(tenantOf, middleware.Keys{Most: 8, Idle: time.Millisecond}).Build()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 400 {
				suffix := ":good"
				if rand.IntN(3) == 0 {
					suffix = ":bad"
				}
				_, _ = g.Run(context.Background(), fmt.Sprint("k", rand.IntN(20), suffix))
				_ = g.Health()
				if rand.IntN(20) == 0 {
					_ = g.Owner().HealthByKey()
					g.Owner().Forgive()
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 60 {
			err := g.Update(middleware.WrapFunc(func(_ context.Context, s string) (string, error) { return s, nil }).
				Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{0}}).
				CircuitBreaker(&strategies.Breaker{Failures: 2 + i%4}).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 10 + i}).
				By(tenantOf, middleware.Keys{Most: 4 + i%9}))
			if err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if h := g.Health(); h.InFlight != 0 || h.Waiting != 0 {
		t.Error(h.InFlight, h.Waiting)
	}
	for k, h := range g.Owner().HealthByKey() {
		if h.InFlight != 0 || h.Waiting != 0 {
			t.Error(k, h.InFlight, h.Waiting)
		}
	}
}

func TestHostileUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		br := &strategies.Breaker{Failures: 5, NoJitter: true}
		bad := func(context.Context, string) (string, error) { return "", errDrowned }
		g, err := middleware.WrapFunc(bad).Named("n").CircuitBreaker(br).Build()
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, _ = g.Run(t.Context(), "x")
		}
		// wrong settings change nothing
		if err := g.Update(middleware.WrapFunc(bad).CircuitBreaker(&strategies.Breaker{Failures: -2})); err == nil {
			t.Error("accepted")
		}
		if err := g.Update(middleware.WrapFunc(bad).Named("other").CircuitBreaker(&strategies.Breaker{Failures: 2})); err == nil {
			t.Error("accepted")
		}
		if err := g.Update(nil); err == nil {
			t.Error("nil accepted")
		}
		nb := &strategies.Breaker{Failures: 4, NoJitter: true}
		if err := g.Update(middleware.WrapFunc(bad).CircuitBreaker(nb)); err != nil {
			t.Fatal(err)
		}
		_, _ = g.Run(t.Context(), "x")
		if br.State() != strategies.StateOpen || nb.State() != strategies.StateOpen {
			t.Error(br.State(), nb.State())
		}
		// without a breaker
		if err := g.Update(middleware.WrapFunc(func(context.Context, string) (string, error) { return "ok", nil })); err != nil {
			t.Fatal(err)
		}
		if v, err := g.Run(t.Context(), "x"); v != "ok" {
			t.Error(v, err)
		}
		// same builder twice
		b := middleware.WrapFunc(func(context.Context, string) (string, error) { return "2", nil }).CircuitBreaker(&strategies.Breaker{})
		for range 3 {
			if err := g.Update(b); err != nil {
				t.Error(err)
			}
		}
		if v, err := g.Run(t.Context(), "x"); v != "2" {
			t.Error(v, err)
		}
	})
}
