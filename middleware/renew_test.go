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

// keyed is an agent behind a key: it answers while the key is the right one.
type keyed struct {
	key, right atomic.Int64
	calls      atomic.Int64
	takes      time.Duration
}

func (k *keyed) Run(context.Context, string) (string, error) {
	k.calls.Add(1)
	key := k.key.Load()
	time.Sleep(k.takes)
	if key != k.right.Load() {
		return "", strategies.WithClass(strategies.ClassUnauthorized, errors.New("401: the key has expired"))
	}
	return "hi", nil
}

func TestRenew(t *testing.T) {
	bubble := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
	}
	bubble("an expired key is renewed, and the caller never knows", func(t *testing.T) {
		k, told, breaker := &keyed{}, &diary{}, &strategies.Breaker{Failures: 1}
		k.right.Store(1)
		var seen middleware.Failure
		g := built(t, middleware.Wrap(k).Retry(promptly).CircuitBreaker(breaker).Observe(told).Renew(func(_ context.Context, f middleware.Failure) error {
			seen = f
			k.key.Store(k.right.Load())
			return nil
		}))
		asked(t, g, "hi")
		expect(t, "calls", k.calls.Load(), 2)
		expect(t, "breaker", breaker.State(), strategies.StateClosed)
		expect(t, "what it is told", [2]any{seen.Class, seen.Attempts}, [2]any{strategies.ClassUnauthorized, 1})
		expect(t, "its error", seen.Err.Error(), "401: the key has expired")
		expect(t, "events", told.read(), "renewed")
	})
	bubble("it is renewed once a call, and not for ever", func(t *testing.T) {
		k, renewals := &keyed{}, 0
		k.right.Store(9)
		g := built(t, middleware.Wrap(k).Retry(promptly).Renew(func(context.Context, middleware.Failure) error { renewals++; return nil }))
		expect(t, "class", recoveryOf(t, failing(t, g)).Class, strategies.ClassUnauthorized)
		expect(t, "calls and renewals", [2]int{int(k.calls.Load()), renewals}, [2]int{2, 1})
	})
	bubble("all who meet the same refusal wait for one renewal", func(t *testing.T) {
		k, renewals := &keyed{takes: time.Second}, atomic.Int64{}
		k.right.Store(1)
		g := built(t, middleware.Wrap(k).Renew(func(context.Context, middleware.Failure) error {
			time.Sleep(10 * time.Second)
			renewals.Add(1)
			k.key.Store(1)
			return nil
		}))
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				asked(t, g, "hi")
			})
		}
		all.Wait()
		expect(t, "renewals", renewals.Load(), 1)
	})
	bubble("a failed renewal is shared too, and both reasons are within reach", func(t *testing.T) {
		k, renewals, down := &keyed{takes: time.Second}, atomic.Int64{}, errors.New("the token service is down")
		k.right.Store(1)
		g := built(t, middleware.Wrap(k).Fallback("sage", plays(errSick)).Renew(func(context.Context, middleware.Failure) error {
			time.Sleep(time.Second)
			renewals.Add(1)
			return down
		}))
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := g.Run(t.Context(), "")
				expectIs(t, err, down, strategies.ErrRecovery)
				if _, ok := errors.AsType[*middleware.RenewError](err); !ok {
					t.Errorf("no RenewError in %v", err)
				}
				expect(t, "class", strategies.Classify(err).Class, strategies.ClassUnauthorized)
			})
		}
		all.Wait()
		expect(t, "renewals", renewals.Load(), 1)
	})
	bubble("who leaves while he renews leaves it to the next one", func(t *testing.T) {
		k, renewals := &keyed{}, atomic.Int64{}
		k.right.Store(1)
		g := built(t, middleware.Wrap(k).Renew(func(ctx context.Context, _ middleware.Failure) error {
			renewals.Add(1)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Minute):
				k.key.Store(1)
				return nil
			}
		}))
		hasty, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { _, err := g.Run(hasty, ""); gone <- err }()
		synctest.Wait()
		answered := make(chan error)
		go func() { _, err := g.Run(t.Context(), ""); answered <- err }()
		synctest.Wait()
		leave()
		expectIs(t, <-gone, context.Canceled)
		expect(t, "error of the one who stayed", <-answered, nil)
		expect(t, "renewals", renewals.Load(), 2)
	})
	bubble("one that panics or ends its goroutine keeps nobody waiting", func(t *testing.T) {
		k, first := &keyed{}, atomic.Bool{}
		k.right.Store(1)
		g := built(t, middleware.Wrap(k).Renew(func(context.Context, middleware.Failure) error {
			if first.CompareAndSwap(false, true) {
				time.Sleep(time.Second)
				runtime.Goexit()
			}
			panic("no token")
		}))
		go func() { _, _ = g.Run(t.Context(), "") }()
		synctest.Wait()
		_, err := g.Run(t.Context(), "")
		if p, ok := errors.AsType[*strategies.PanicError](err); !ok || p.Value != "no token" {
			t.Errorf("got %v", err)
		}
	})
	bubble("another class is nobody's to renew", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).Renew(func(context.Context, middleware.Failure) error {
			t.Error("it was renewed")
			return nil
		}))
		failing(t, g)
	})
	t.Run("nothing to renew with is refused", func(t *testing.T) {
		_, err := middleware.Wrap(plays("hi")).Renew(nil).Build()
		expectIs(t, err, strategies.ErrConfig)
	})
}
