package strategies_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// watched is what can be watched, in one form for both.
var watched = []struct {
	name string
	of   func() (watch func(listener func()) (stop func()), change func())
}{
	{"a breaker", func() (func(func()) func(), func()) {
		b := &strategies.Breaker{}
		open := false
		return func(l func()) func() { return b.Watch(func(strategies.BreakerChange) { l() }) }, func() {
			if open = !open; open {
				b.Isolate()
			} else {
				b.Reset()
			}
		}
	}},
	{"a ladder", func() (func(func()) func(), func()) {
		l := &strategies.Ladder{}
		return func(f func()) func() { return l.Watch(func(strategies.LevelChange) { f() }) }, func() {
			if !l.Degrade(strategies.LevelReduced, "") {
				l.Restore(strategies.LevelFull)
			}
		}
	}},
}

const watchers = 100_000

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestWatchersWhoLeaveLeaveNothing(t *testing.T) {
	for _, w := range watched {
		t.Run("it keeps nothing of those who came and went: "+w.name, func(t *testing.T) {
			watch, change := w.of()
			change()
			told := 0
			before := heap()
			stops := make([]func(), 0, 100) // kept: a stop must not keep its listener
			for i := range watchers {
				big := make([]byte, 1<<10)
				stop := watch(func() { told += len(big) })
				stop()
				if i%(watchers/100) == 0 {
					stops = append(stops, stop)
				}
			}
			if grown := int64(heap()) - int64(before); grown > 100<<10 {
				t.Errorf("%d watchers left %d bytes", watchers, grown)
			}
			change()
			if told != 0 {
				t.Error("one who had left was told")
			}
			runtime.KeepAlive(stops)
			runtime.KeepAlive(watch)
		})
		t.Run("it keeps nothing of those who were there together: "+w.name, func(t *testing.T) {
			watch, change := w.of()
			change()
			before := heap()
			told, stops, began := 0, make([]func(), watchers), time.Now()
			for i := range stops {
				stops[i] = watch(func() { told++ })
			}
			change()
			if told != watchers {
				t.Errorf("%d were told, want %d", told, watchers)
			}
			for _, stop := range stops {
				stop()
				stop() // again: nothing
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("it took %v: it grows with their number", d)
			}
			stops = nil
			if grown := int64(heap()) - int64(before); grown > 100<<10 {
				t.Errorf("%d watchers left %d bytes", watchers, grown)
			}
			change()
			if told != watchers {
				t.Error("one who had left was told")
			}
			runtime.KeepAlive(watch)
		})
	}
	t.Run("it tells those who stay in the order in which they came", func(t *testing.T) {
		for _, w := range watched {
			watch, change := w.of()
			var told []int
			var stops []func()
			for i := range 10 {
				stops = append(stops, watch(func() { told = append(told, i) }))
			}
			for _, i := range []int{0, 2, 3, 4, 5, 7, 9} {
				stops[i]()
			}
			change()
			if len(told) != 3 || told[0] != 1 || told[1] != 6 || told[2] != 8 {
				t.Errorf("%s told %v", w.name, told)
			}
		}
	})
	t.Run("it tells a listener nothing that was stopped by the one before it", func(t *testing.T) {
		for _, w := range watched {
			watch, change := w.of()
			var stop func()
			watch(func() { stop() })
			stop = watch(func() { t.Errorf("%s told it", w.name) })
			change()
		}
	})
}
