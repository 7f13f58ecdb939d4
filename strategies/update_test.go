package strategies_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

var errDown = errors.New("down")

func fails(t *testing.T, b *strategies.Breaker, times int) {
	t.Helper()
	for range times {
		p, err := b.Allow()
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		p.Failure(errDown)
	}
}

func same[V comparable](t *testing.T, what string, got, want V) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func good(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBreakerUpdate(t *testing.T) {
	bubble := func(it string, f func(t *testing.T)) {
		t.Run("it "+it, func(t *testing.T) { synctest.Test(t, f) })
	}
	bubble("keeps the failures in a row, and opens by the new number", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 5}
		fails(t, b, 3)
		good(t, b.Update(&strategies.Breaker{Failures: 4}))
		same(t, "state", b.State(), strategies.StateClosed)
		fails(t, b, 1)
		same(t, "state", b.State(), strategies.StateOpen)
	})
	bubble("keeps them when what the engine was made with changes too", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 5}
		fails(t, b, 4)
		good(t, b.Update(&strategies.Breaker{Failures: 5, OpenFor: 7 * time.Second, NoJitter: true, Trials: 2}))
		fails(t, b, 1)
		same(t, "state", b.State(), strategies.StateOpen)
		same(t, "open for", b.RetryAfter(), 7*time.Second)
		time.Sleep(8 * time.Second)
		for n := range 2 {
			p, err := b.Allow()
			good(t, err)
			p.Success()
			same(t, "closed after the second trial", b.State() == strategies.StateClosed, n == 1)
		}
	})
	bubble("opens at once with a number that has been reached, and not before the next failure", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 9}
		fails(t, b, 6)
		good(t, b.Update(&strategies.Breaker{Failures: 2, OpenFor: time.Second}))
		same(t, "state", b.State(), strategies.StateClosed)
		fails(t, b, 1)
		same(t, "state", b.State(), strategies.StateOpen)
	})
	bubble("keeps an open time that has begun, and a hold", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1, OpenFor: time.Minute, NoJitter: true}
		fails(t, b, 1)
		good(t, b.Update(&strategies.Breaker{Failures: 1, OpenFor: time.Second, NoJitter: true, MaxOpenFor: time.Second}))
		same(t, "open for", b.RetryAfter(), time.Minute)
		time.Sleep(time.Minute + 1)
		fails(t, b, 1) // the trial: the engine's own time is still the old one
		same(t, "open for, again", b.RetryAfter(), time.Minute)
		time.Sleep(time.Minute + 1)
		p, err := b.Allow()
		good(t, err)
		p.Success()
		fails(t, b, 1)
		same(t, "open for, by the new settings", b.RetryAfter(), time.Second)

		held := &strategies.Breaker{}
		held.Hold(time.Hour, errDown)
		good(t, held.Update(&strategies.Breaker{MaxHold: time.Second}))
		same(t, "held for", held.RetryAfter(), time.Hour)
	})
	bubble("is not wedged by fewer trials while it is half-open", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1, Trials: 3, OpenFor: time.Second}
		fails(t, b, 1)
		time.Sleep(2 * time.Second)
		first, err := b.Allow()
		good(t, err)
		first.Success()
		good(t, b.Update(&strategies.Breaker{Failures: 1, Trials: 1, OpenFor: time.Second}))
		for range 2 {
			p, err := b.Allow()
			good(t, err)
			p.Success()
		}
		same(t, "state", b.State(), strategies.StateClosed)
	})
	bubble("counts in a window what it had counted in a row, and the other way round", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 5}
		fails(t, b, 4)
		good(t, b.Update(&strategies.Breaker{Window: time.Minute, MinCalls: 6, Ratio: 0.8}))
		p, err := b.Allow()
		good(t, err)
		p.Success() // of a closed breaker that must see every success now
		same(t, "state", b.State(), strategies.StateClosed)
		fails(t, b, 1) // five of six
		same(t, "state", b.State(), strategies.StateOpen)

		b = &strategies.Breaker{Window: time.Minute, MinCalls: 100}
		fails(t, b, 4)
		good(t, b.Update(&strategies.Breaker{Failures: 5}))
		fails(t, b, 1)
		same(t, "state", b.State(), strategies.StateOpen)
	})
	bubble("is told of under both names", func(t *testing.T) {
		b, to := &strategies.Breaker{Name: "own"}, &strategies.Breaker{Name: "other", Failures: 2}
		good(t, b.Update(to))
		if to.Itself() != b || b.Itself() != b {
			t.Error("the settings given are another name of the breaker")
		}
		var told atomic.Int64
		defer to.Watch(func(c strategies.BreakerChange) { told.Add(1) })()
		fails(t, to, 2)
		same(t, "state", b.State(), strategies.StateOpen)
		same(t, "state by the other name", to.State(), strategies.StateOpen)
		same(t, "told", told.Load(), 1)
		_, err := to.Allow()
		open, _ := errors.AsType[*strategies.OpenError](err)
		same(t, "name", open.Breaker, "own")
		to.Reset()
		to.Isolate()
		same(t, "state", b.State(), strategies.StateIsolated)
		to.Reset()
		good(t, b.Update(&strategies.Breaker{Failures: 1})) // and again
		fails(t, to, 1)
		same(t, "state", b.State(), strategies.StateOpen)
		same(t, "cause", to.LastFailure(), error(errDown))
	})
	t.Run("it refuses what is in use, and nonsense, and changes nothing then", func(t *testing.T) {
		b, used, watched := &strategies.Breaker{Failures: 1}, &strategies.Breaker{Failures: 9}, &strategies.Breaker{Failures: 9}
		used.Isolate()
		defer watched.Watch(func(strategies.BreakerChange) {})()
		for _, to := range []*strategies.Breaker{nil, used, watched, {Failures: -1}} {
			if _, ok := errors.AsType[*strategies.ConfigError](b.Update(to)); !ok {
				t.Errorf("%v: no ConfigError", to)
			}
		}
		good(t, b.Update(b))
		fails(t, b, 1)
		same(t, "state", b.State(), strategies.StateOpen)
	})
}

// What a random history of failures, successes and updates must do to a breaker that
// counts in a row: it opens at the failure that reaches the number of now.
func TestBreakerUpdateLosesNoCount(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 14))
		is := strategies.Breaker{Failures: 1 + r.IntN(6)}
		b, inRow := is.Anew(), 0
		for step := range 60 {
			switch k := r.IntN(10); {
			case k < 5:
				fails(t, b, 1)
				if inRow++; (b.State() == strategies.StateOpen) != (inRow >= is.Failures) {
					t.Fatalf("seed %d, step %d: %v after %d failures in a row of %d", seed, step, b.State(), inRow, is.Failures)
				}
				if inRow >= is.Failures {
					b.Reset()
					inRow = 0
				}
			case k < 7:
				p, err := b.Allow()
				good(t, err)
				p.Success()
				inRow = 0
			default:
				is = strategies.Breaker{Failures: 1 + r.IntN(6), OpenFor: time.Duration(1+r.IntN(3)) * time.Second, Trials: 1 + r.IntN(2)}
				good(t, b.Update(is.Anew()))
			}
		}
	}
}

func TestBreakerUpdateUnderLoad(t *testing.T) {
	// 960 failures by many, and updates that replace the engine all the time: a
	// breaker that opens at the 961st in a row must stay closed, and open at that.
	const callers, each = 8, 120
	b := &strategies.Breaker{Failures: callers*each + 1}
	var group sync.WaitGroup
	ended := make(chan struct{})
	for range callers {
		group.Go(func() {
			for range each {
				if p, err := b.Allow(); err == nil {
					p.Failure(errDown)
				}
			}
		})
	}
	updates := 0
	go func() { group.Wait(); close(ended) }()
	for running := true; running; updates++ {
		select {
		case <-ended:
			running = false
		default:
		}
		good(t, b.Update(&strategies.Breaker{Failures: callers*each + 1, OpenFor: time.Duration(1+updates%2) * time.Second}))
	}
	same(t, "state", b.State(), strategies.StateClosed)
	fails(t, b, 1)
	if b.State() != strategies.StateOpen {
		t.Errorf("of %d failures in a row some were lost in %d updates", callers*each+1, updates)
	}
}

func TestBudgetUpdate(t *testing.T) {
	b, to := &strategies.Budget{}, &strategies.Budget{Capacity: 100, RetryCost: 50}
	b.Take(strategies.ClassTransient)
	good(t, b.Update(to))
	same(t, "left", b.Left(), 95)
	same(t, "left by the other name", to.Left(), 95)
	same(t, "a retry by the new price", to.Take(strategies.ClassTransient), true)
	same(t, "left", b.Left(), 45)
	same(t, "a second one", b.Take(strategies.ClassTransient), false)
	to.Success()
	same(t, "left", b.Left(), 46)
	if b.Update(to) != nil || to.Itself() != b {
		t.Error("what is another name of it already is no news")
	}
	other := &strategies.Budget{}
	other.Take(strategies.ClassTransient)
	if b.Update(other) == nil || b.Update(nil) == nil || b.Update(&strategies.Budget{Capacity: 1}) == nil {
		t.Error("what is in use, nothing and nonsense are refused")
	}
	good(t, b.Update(&strategies.Budget{Capacity: 10, RetryCost: 5})) // less than is spent already
	same(t, "left", b.Left(), 0)
}

func TestBulkheadUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Bulkhead{MaxConcurrent: 2, MaxWait: time.Minute}
		good(t, b.Acquire(t.Context()))
		good(t, b.Acquire(t.Context()))
		waits := make(chan error, 1)
		go func() { waits <- b.Acquire(t.Context()) }()
		synctest.Wait()
		more := &strategies.Bulkhead{MaxConcurrent: 3}
		good(t, b.Update(more))
		good(t, <-waits) // there is room for it now
		same(t, "in flight", more.InFlight(), 3)
		good(t, b.Update(&strategies.Bulkhead{MaxConcurrent: 1}))
		for range 3 {
			if err := more.Acquire(t.Context()); err == nil {
				t.Error("a slot beyond the new limit")
			}
			more.Release()
		}
		same(t, "in flight", b.InFlight(), 0)
		good(t, more.Acquire(t.Context()))
		if err := b.Update(&strategies.Bulkhead{}); err == nil {
			t.Error("a bulkhead without slots was taken")
		}
		used := &strategies.Bulkhead{MaxConcurrent: 1}
		good(t, used.Acquire(t.Context()))
		if err := b.Update(used); err == nil {
			t.Error("one that is in use was taken for settings")
		}
	})
}

func TestPaceUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := func(p *strategies.Pace) error {
			_, err := p.Acquire(t.Context(), strategies.PriorityNormal, 0)
			return err
		}
		p := &strategies.Pace{RequestsPerMinute: 60, Burst: 10 * time.Second, NoWait: true}
		for range 10 {
			good(t, turn(p))
		}
		if turn(p) == nil {
			t.Fatal("an eleventh")
		}
		to := &strategies.Pace{RequestsPerMinute: 600, Burst: 10 * time.Second, MaxWait: time.Minute}
		good(t, p.Update(to))
		start := time.Now()
		good(t, turn(to)) // nothing was given as a present
		same(t, "waited", time.Since(start), 100*time.Millisecond)
		same(t, "what is remembered", p.Remembers(), strategies.MemoryHolds)
		time.Sleep(time.Minute)
		same(t, "what is remembered after a rest", p.Remembers(), strategies.MemoryNothing)
		good(t, p.Update(&strategies.Pace{RequestsPerMinute: 60, Burst: 2 * time.Second, NoWait: true}))
		good(t, turn(p))
		good(t, turn(to))
		if turn(p) == nil {
			t.Error("more than the new burst")
		}
		calls, tokens := to.Rate()
		same(t, "rate", [2]float64{calls, tokens}, [2]float64{60, 0})
		if p.Update(&strategies.Pace{}) == nil {
			t.Error("a pace without a limit was taken")
		}
	})
	t.Run("a rate that was lowered stays so, and those who wait get their turn by the new one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &strategies.Pace{RequestsPerMinute: 60, Burst: time.Second}
			turn, err := p.Acquire(t.Context(), strategies.PriorityNormal, 0)
			good(t, err)
			turn.Settle(strategies.VerdictOf(strategies.ClassRateLimited))
			good(t, p.Update(&strategies.Pace{RequestsPerMinute: 600, Burst: time.Second}))
			calls, _ := p.Rate()
			same(t, "rate", calls, 420)

			slow := &strategies.Pace{RequestsPerMinute: 1, MaxWait: time.Minute}
			_, err = slow.Acquire(t.Context(), strategies.PriorityNormal, 0)
			good(t, err)
			waits := make(chan error, 1)
			start := time.Now()
			go func() { _, err := slow.Acquire(context.Background(), strategies.PriorityNormal, 0); waits <- err }()
			synctest.Wait()
			good(t, slow.Update(&strategies.Pace{RequestsPerMinute: 60}))
			good(t, <-waits)
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("who waited got its turn after %v", took)
			}
		})
	})
}

func TestLadderAndHedgeUpdate(t *testing.T) { synctest.Test(t, ladderAndHedge) }

func ladderAndHedge(t *testing.T) {
	l, to := &strategies.Ladder{}, &strategies.Ladder{ClimbAfter: 1, MinimumStay: 2 * time.Millisecond, Actions: map[strategies.Level][]string{strategies.LevelReduced: {"talk"}}}
	l.Degrade(strategies.LevelReduced, "night")
	good(t, l.Update(to))
	same(t, "level by the other name", to.Level(), strategies.LevelReduced)
	same(t, "allows", l.Allows("fight"), false)
	same(t, "reasons", len(to.Reasons()), 1)
	to.Pin(strategies.LevelMinimal, "by hand")
	same(t, "pinned", l.Pinned(), true)
	same(t, "restored", to.Restore(strategies.LevelFull), true)
	to.Succeeded()
	to.Failed()
	same(t, "degraded", to.Degrade(strategies.LevelReduced, "again"), true)
	time.Sleep(3 * time.Millisecond)
	l.Succeeded()
	same(t, "level after one success", l.Level(), strategies.LevelFull)
	moved := &strategies.Ladder{}
	moved.Degrade(strategies.LevelReduced, "x")
	if l.Update(moved) == nil || l.Update(nil) == nil || l.Update(&strategies.Ladder{ClimbAfter: -1}) == nil {
		t.Error("what is in use, nothing and nonsense are refused")
	}

	h := &strategies.Hedge{}
	for range 40 {
		h.Begin()
		h.Answered(time.Second)
	}
	other := &strategies.Hedge{MaxRatio: 1}
	good(t, h.Update(other))
	after, ok := other.Begin()
	same(t, "learned", after, time.Second)
	same(t, "known", ok, true)
	if h.Update(nil) == nil || h.Update(&strategies.Hedge{After: -1}) == nil {
		t.Error("nothing and nonsense are refused")
	}
}

// A field that is added must be one of Anew's, or a copy for each tenant lacks it.
func TestAnewHasEverySetting(t *testing.T) {
	fill := func(v reflect.Value) {
		for i := range v.NumField() {
			f := v.Field(i)
			if !f.CanSet() {
				continue
			}
			switch f.Kind() {
			case reflect.String:
				f.SetString("x")
			case reflect.Int, reflect.Int64:
				f.SetInt(int64(7 + i))
			case reflect.Float64:
				f.SetFloat(0.25 + float64(i))
			case reflect.Bool:
				f.SetBool(true)
			default:
				t.Fatalf("%s: say here how to fill it", v.Type().Field(i).Name)
			}
		}
	}
	check := func(was, is any) {
		a, b := reflect.ValueOf(was).Elem(), reflect.ValueOf(is).Elem()
		for i := range a.NumField() {
			if name := a.Type().Field(i).Name; a.Type().Field(i).IsExported() && !a.Field(i).Equal(b.Field(i)) {
				t.Errorf("%s.%s is lost", a.Type().Name(), name)
			}
		}
	}
	breaker, budget, bulkhead, pace := &strategies.Breaker{}, &strategies.Budget{}, &strategies.Bulkhead{}, &strategies.Pace{}
	for _, s := range []any{breaker, budget, bulkhead, pace} {
		fill(reflect.ValueOf(s).Elem())
	}
	check(breaker, breaker.Anew())
	check(budget, budget.Anew())
	check(bulkhead, bulkhead.Anew())
	check(pace, pace.Anew())
}

func TestBreakerRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := func(b *strategies.Breaker, when string, want strategies.Memory) {
			t.Helper()
			same(t, when, b.Remembers(), want)
		}
		b := &strategies.Breaker{Failures: 2, OpenFor: 30 * time.Second, NoJitter: true}
		is(b, "new", strategies.MemoryNothing)
		fails(t, b, 1)
		is(b, "one failure", strategies.MemoryCounts)
		fails(t, b, 1)
		is(b, "open", strategies.MemoryHolds)
		time.Sleep(31 * time.Second)
		is(b, "due for a trial", strategies.MemoryHolds)
		time.Sleep(30 * time.Second)
		is(b, "left alone as long again", strategies.MemoryNothing)
		p, err := b.Allow()
		good(t, err)
		p.Success()
		is(b, "on probation", strategies.MemoryHolds)
		time.Sleep(31 * time.Second)
		is(b, "well", strategies.MemoryNothing)

		h := &strategies.Breaker{}
		h.Hold(time.Second, errDown)
		is(h, "held", strategies.MemoryHolds)
		time.Sleep(2 * time.Second)
		is(h, "after the hold", strategies.MemoryNothing)
		h.Isolate()
		is(h, "isolated", strategies.MemoryHolds)
	})
}
