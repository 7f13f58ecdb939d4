package strategies_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

func TestBulkhead(t *testing.T) {
	bubble := func(it string, f func(t *testing.T)) {
		t.Run("it "+it, func(t *testing.T) { synctest.Test(t, f) })
	}
	take := func(t *testing.T, b *strategies.Bulkhead) {
		t.Helper()
		if err := b.Acquire(t.Context()); err != nil {
			t.Fatalf("a free slot was refused: %v", err)
		}
	}

	bubble("lets so many in and no more, at once", func(t *testing.T) {
		b := &strategies.Bulkhead{Name: "model", MaxConcurrent: 2}
		take(t, b)
		take(t, b)
		begin := time.Now()
		err := b.Acquire(t.Context())
		full, ok := errors.AsType[*strategies.FullError](err)
		if !ok || *full != (strategies.FullError{What: `bulkhead "model"`, Limit: 2}) || time.Since(begin) != 0 {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		if b.InFlight() != 2 {
			t.Errorf("%d in flight: a refusal takes no slot", b.InFlight())
		}
	})
	bubble("gives a slot to the next when one is released", func(t *testing.T) {
		b := &strategies.Bulkhead{MaxConcurrent: 1}
		take(t, b)
		b.Release()
		take(t, b)
		if b.InFlight() != 1 {
			t.Errorf("%d in flight", b.InFlight())
		}
	})
	bubble("waits for a slot", func(t *testing.T) {
		b := &strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Minute}
		take(t, b)
		time.AfterFunc(59*time.Second, b.Release)
		begin := time.Now()
		take(t, b)
		if waited := time.Since(begin); waited != 59*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
	bubble("waits no longer than it may", func(t *testing.T) {
		b := &strategies.Bulkhead{Name: "model", MaxConcurrent: 1, MaxWait: time.Minute}
		take(t, b)
		begin := time.Now()
		err := b.Acquire(t.Context())
		full, ok := errors.AsType[*strategies.FullError](err)
		if !ok || *full != (strategies.FullError{What: `bulkhead "model"`, Limit: 1, Waited: time.Minute}) || time.Since(begin) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
	})
	bubble("stops waiting when the caller leaves, and says why", func(t *testing.T) {
		b := &strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Minute}
		take(t, b)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(sec, func() { cancel(errBoom) })
		begin := time.Now()
		if err := b.Acquire(ctx); !errors.Is(err, errBoom) || !errors.Is(err, strategies.ErrRejected) || time.Since(begin) != sec {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		b.Release()
		if b.InFlight() != 0 {
			t.Errorf("%d in flight: who left has taken a slot along", b.InFlight())
		}
	})
	bubble("serves waiters in order", func(t *testing.T) {
		b := &strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Hour}
		take(t, b)
		var mu sync.Mutex
		var order []int
		for i := range 5 {
			go func() {
				if b.Acquire(t.Context()) == nil {
					mu.Lock()
					order = append(order, i)
					mu.Unlock()
					b.Release()
				}
			}()
			synctest.Wait()
		}
		b.Release()
		synctest.Wait()
		if len(order) != 5 {
			t.Fatalf("%d of 5 were served", len(order))
		}
		for i, who := range order {
			if who != i {
				t.Errorf("served in order %v", order)
				break
			}
		}
	})
	bubble("gives no slot away for a release without acquire", func(t *testing.T) {
		b := &strategies.Bulkhead{MaxConcurrent: 1}
		b.Release()
		take(t, b)
		b.Release()
		b.Release()
		take(t, b)
		if err := b.Acquire(t.Context()); !errors.Is(err, strategies.ErrRejected) {
			t.Errorf("got %v: a second slot has come from nowhere", err)
		}
	})
	bubble("answers each call with what is wrong with its settings", func(t *testing.T) {
		b := &strategies.Bulkhead{}
		for range 2 {
			wantSetting(t, b.Acquire(t.Context()), "Bulkhead.MaxConcurrent")
		}
		b.Release()
		if b.InFlight() != 0 {
			t.Errorf("%d in flight", b.InFlight())
		}
	})
}

// Through any mix of waiting, leaving and timing out, there are never more in
// than allowed, and in the end nobody.
func TestBulkheadUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Bulkhead{MaxConcurrent: 3, MaxWait: 5 * time.Millisecond}
		var in, most, served, refused atomic.Int64
		var all sync.WaitGroup
		for g := range 12 {
			all.Go(func() {
				for i := range 100 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+(g+i)%9)*time.Millisecond)
					if b.Acquire(ctx) == nil {
						n := in.Add(1)
						for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
						}
						time.Sleep(time.Duration(1+i%4) * time.Millisecond)
						in.Add(-1)
						b.Release()
						served.Add(1)
					} else {
						refused.Add(1)
					}
					cancel()
				}
			})
		}
		all.Wait()
		if most.Load() != 3 || b.InFlight() != 0 {
			t.Errorf("at most %d at a time, %d at the end", most.Load(), b.InFlight())
		}
		if served.Load() == 0 || refused.Load() == 0 {
			t.Errorf("%d served, %d refused: the case shows nothing", served.Load(), refused.Load())
		}
	})
}

func TestBulkheadValidate(t *testing.T) {
	for _, tt := range []struct {
		it       string
		bulkhead *strategies.Bulkhead
		setting  string
	}{
		{"accepts one slot", &strategies.Bulkhead{MaxConcurrent: 1}, ""},
		{"refuses the zero value, for nobody knows your limit", &strategies.Bulkhead{}, "Bulkhead.MaxConcurrent"},
		{"refuses negative slots", &strategies.Bulkhead{MaxConcurrent: -1}, "Bulkhead.MaxConcurrent"},
		{"refuses slots without limit", &strategies.Bulkhead{MaxConcurrent: math.MaxInt}, "Bulkhead.MaxConcurrent"},
		{"refuses a negative wait", &strategies.Bulkhead{MaxConcurrent: 1, MaxWait: -1}, "Bulkhead.MaxWait"},
	} {
		t.Run("it "+tt.it, func(t *testing.T) { wantSetting(t, tt.bulkhead.Validate(), tt.setting) })
	}
}

func TestBulkheadString(t *testing.T) {
	b := &strategies.Bulkhead{MaxConcurrent: 4, MaxWait: sec}
	if got, want := b.String(), "4 at a time, waits 1s for a slot"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
