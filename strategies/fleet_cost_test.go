package strategies_test

import (
	"context"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// healthy returns a call that goes well, through all that a fleet shares; with and
// without one.
func healthy(tb testing.TB, shared bool) func() {
	tb.Helper()
	b, budget, ladder := &strategies.Breaker{Name: "openai"}, &strategies.Budget{}, &strategies.Ladder{Name: "shop"}
	if shared {
		store := &memory.Store{}
		fleet := &strategies.Fleet{Store: store, Name: "shop"}
		if err := fleet.Share(b, budget, ladder, &strategies.Pace{RequestsPerMinute: 60}); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _, _ = fleet.Close(), store.Close() })
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for fleet.Health().Away { // begun is what is measured
			<-tick.C
		}
	}
	return func() {
		p, err := b.Allow()
		if err != nil {
			tb.Fatal(err)
		}
		p.Success()
		budget.Success()
		ladder.Succeeded()
	}
}

func TestFleetCostsNothingWhileHealthy(t *testing.T) {
	without, with := healthy(t, false), healthy(t, true)
	if n := testing.AllocsPerRun(1000, with); n >= 1 { // its goroutines may make one in a thousand calls
		t.Errorf("%v allocations a call", n)
	}
	const calls = 200_000
	best := map[bool]time.Duration{}
	for range 15 { // the least of each, by turns
		for shared, call := range map[bool]func(){false: without, true: with} {
			began := time.Now()
			for range calls {
				call()
			}
			if took := time.Since(began); best[shared] == 0 || took < best[shared] {
				best[shared] = took
			}
		}
	}
	more := (best[true] - best[false]).Seconds() * 1e9 / calls
	t.Logf("%.1f ns without, %+.1f ns with", best[false].Seconds()*1e9/calls, more)
	if more > 5 {
		t.Errorf("%.1f ns more, at most 5", more)
	}
}

func BenchmarkFleet(b *testing.B) {
	for name, shared := range map[string]bool{"healthy, without": false, "healthy, with": true} {
		b.Run(name, func(b *testing.B) {
			call := healthy(b, shared)
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}

// A fleet leaves nothing behind: TestMain looks for goroutines. It ends at once, also
// while the store does not answer.
func TestFleetCloses(t *testing.T) {
	for name, store := range map[string]strategies.Store{"a store": &memory.Store{}, "one that never answers": deaf{}, "one whose watch does not end": endless{&memory.Store{}}} {
		t.Run(name, func(t *testing.T) {
			b := &strategies.Breaker{Name: "openai"}
			f := &strategies.Fleet{Store: store, Name: "shop"}
			if err := f.Share(b); err != nil {
				t.Fatal(err)
			}
			b.Isolate()
			began := time.Now()
			if err := f.Close(); err != nil || time.Since(began) > 5*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			b.Reset() // it goes on by itself
			if _, err := b.Allow(); err != nil {
				t.Error(err)
			}
			other := &strategies.Fleet{Store: store, Name: "shop"}
			if err := other.Share(b); err != nil {
				t.Errorf("what was shared cannot be shared again: %v", err)
			}
			_ = other.Close()
			_ = store.Close()
		})
	}
}

// deaf is a store that never answers.
type deaf struct{ strategies.Store }

func (deaf) Now(ctx context.Context) (time.Time, error) {
	<-ctx.Done()
	return time.Time{}, &strategies.StoreError{Op: "now", Err: strategies.ErrUnavailable, Cause: ctx.Err()}
}

func (deaf) Close() error { return nil }

// endless is a store whose watch does not end with its context.
type endless struct{ *memory.Store }

func (endless) Watch(context.Context, string) (<-chan strategies.Change, error) {
	return make(chan strategies.Change), nil
}
