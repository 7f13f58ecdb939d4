package strategies_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// Several trials, a window, a slow start: whatever the settings, in a fleet all close again.
func TestHostileFleetOfEverySetting(t *testing.T) {
	for name, mk := range map[string]func() *strategies.Breaker{
		"trials": func() *strategies.Breaker { b := openAIBreaker(); b.Trials = 3; return b },
		"window": func() *strategies.Breaker {
			return &strategies.Breaker{Name: "openai", Window: time.Minute, MinCalls: 5}
		},
		"growth": func() *strategies.Breaker {
			return &strategies.Breaker{Name: "openai", MaxOpenFor: 10 * time.Minute, SlowStart: time.Minute}
		},
		"defaults": func() *strategies.Breaker { return &strategies.Breaker{Name: "openai"} },
		"one":      func() *strategies.Breaker { return &strategies.Breaker{Name: "openai", Failures: 1} },
		"short":    func() *strategies.Breaker { return &strategies.Breaker{Name: "openai", OpenFor: 50 * time.Millisecond} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &memory.Store{}
				defer st.Close()
				all := sharers(t, 5, st, mk)
				defer closeAll(all)
				bad, calls := true, 0
				round := func(n int) (let int) {
					for range n {
						for _, r := range all {
							err := error(nil)
							if bad {
								err = errHostile
							}
							if callSo(r.b, err) == nil {
								let++
							}
							time.Sleep(20 * time.Millisecond)
						}
						time.Sleep(400 * time.Millisecond)
					}
					return let
				}
				calls = round(600)
				t.Log("let through in 5 minutes of an outage:", calls)
				bad = false
				round(2000)
				for i, r := range all {
					if r.b.State() != strategies.StateClosed {
						t.Error(i, r.b.State(), r.b.RetryAfter())
					}
				}
				if n := round(10); n != 50 {
					t.Error("let through at the end:", n)
				}
			})
		})
	}
}

// Replicas come and go while everything is called, with races looked for.
func TestHostileFleetChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for round := range 6 {
					b, l, bu := openAIBreaker(), &strategies.Ladder{Name: "l"}, &strategies.Budget{}
					p := &strategies.Pace{RequestsPerMinute: 6000}
					f := &strategies.Fleet{Store: st, Name: "shop"}
					if err := f.Share(b, l, bu, p); err != nil {
						t.Error(err)
					}
					stop := f.Watch(func(strategies.FleetChange) { _ = f.Health() })
					var in sync.WaitGroup
					in.Go(func() {
						for range 50 {
							_ = b.Update(&strategies.Breaker{Name: "openai", Failures: 2 + i})
							_ = bu.Update(&strategies.Budget{Capacity: 100 + 10*i})
							_ = p.Update(&strategies.Pace{RequestsPerMinute: 600 * (1 + i)})
							time.Sleep(30 * time.Millisecond)
						}
					})
					in.Go(func() {
						for k := range 100 {
							switch (k + i) % 9 {
							case 0:
								b.Hold(time.Second, errHostile)
							case 1:
								b.Reset()
							case 2:
								l.Pin(strategies.LevelReduced, "x")
							case 3:
								l.Restore(strategies.LevelFull)
							case 4:
								b.Isolate()
							default:
								_ = callSo(b, errHostile)
								_ = bu.Take(strategies.ClassTransient)
								_ = f.Health()
							}
							time.Sleep(15 * time.Millisecond)
						}
					})
					time.Sleep(time.Duration(round*700) * time.Millisecond)
					if round%2 == 0 {
						_ = f.Close()
					}
					in.Wait()
					stop()
					_ = f.Close()
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Hour)
		all := sharers(t, 3, st, openAIBreaker)
		defer closeAll(all)
		if n := all[0].f.Health().Replicas; n != 3 {
			t.Error("replicas that live:", n)
		}
		all[0].b.Reset()
		time.Sleep(time.Second)
		for i, r := range all {
			if r.b.State() != strategies.StateClosed {
				t.Error(i, r.b.State())
			}
		}
	})
}
