package strategies_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// What has happened before it is shared is told too.
func TestFleetSharesWhatIsKnownBefore(t *testing.T) {
	for name, tc := range map[string]struct {
		before func(m *member)
		want   strategies.State
		level  strategies.Level
	}{
		"isolated": {func(m *member) { m.Isolate() }, strategies.StateIsolated, strategies.LevelFull},
		"held":     {func(m *member) { m.Hold(time.Minute, errDead) }, strategies.StateHeld, strategies.LevelFull},
		"pinned": {func(m *member) {
			m.ladder.Pin(strategies.LevelReduced, strings.Repeat("ü", 300))
		}, strategies.StateClosed, strategies.LevelReduced},
	} {
		inFleet(t, name, 1, func(t *testing.T, c *cloud, all []*member) {
			m := &member{Breaker: &strategies.Breaker{Name: "openai"}, ladder: &strategies.Ladder{Name: "shop"}}
			tc.before(m)
			f := &strategies.Fleet{Store: wireTo(t, c, 9, time.Millisecond, 0), Name: "shop"}
			if err := f.Share(m.Breaker, m.ladder); err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			settle(quarter)
			all[0].want(tc.want)
			if level := all[0].ladder.Level(); level != tc.level {
				t.Errorf("level %v", level)
			}
			if why := all[0].ladder.Reasons(); tc.level != strategies.LevelFull && (len(why) != 1 || len(why[0].Text) != 200) {
				t.Errorf("reasons %v", why)
			}
		})
	}
}

func TestFleetWindow(t *testing.T) {
	inFleet(t, "a ratio in a window is suspected too", 1, func(t *testing.T, c *cloud, _ []*member) {
		var all []*strategies.Breaker
		for i := range 10 {
			b := &strategies.Breaker{Name: "windowed", Window: time.Minute, NoJitter: true}
			f := &strategies.Fleet{Store: wireTo(t, c, uint64(20+i), time.Millisecond, 0), Name: "shop"}
			if err := f.Share(b); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
			all = append(all, b)
		}
		settle(5 * time.Second)
		calls := 0
		for i := 0; all[9].State() == strategies.StateClosed && calls < 100; i++ {
			if (&member{Breaker: all[i%9], t: t}).call(errDead) {
				calls++
			}
			settle(10 * time.Millisecond)
		}
		if calls > 12 {
			t.Errorf("%d calls until one that made none is open", calls)
		}
		_, err := all[9].Allow()
		var cause *strategies.SharedError
		if !errors.As(err, &cause) || cause.RecoveryClass() != strategies.ClassTransient || !strings.Contains(cause.Error(), "several replicas") {
			t.Errorf("the cause is %v", err)
		}
	})
}

// moody is a store that panics.
type moody struct{ strategies.Store }

func (moody) Now(context.Context) (time.Time, error) { panic("not today") }
func (moody) Close() error                           { return nil }

// What is somebody else's may panic, and ends nobody's program.
func TestFleetOutlivesPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &strategies.Fleet{Store: moody{}, Name: "shop"}
		b := &strategies.Breaker{Name: "openai"}
		f.Watch(func(strategies.FleetChange) { panic("not today either") })
		if err := f.Share(b); err != nil {
			t.Fatal(err)
		}
		settle(time.Minute)
		if h := f.Health(); !h.Away || !strings.Contains(h.Err.Error(), "not today") {
			t.Errorf("health %+v", h)
		}
		_ = f.Close()
	})
	inFleet(t, "a listener", 2, func(t *testing.T, _ *cloud, all []*member) {
		all[1].Watch(func(c strategies.BreakerChange) {
			if c.To == strategies.StateIsolated {
				panic("I was not told to expect this")
			}
		})
		all[0].Isolate()
		settle(quarter)
		all[0].Reset()
		all[0].Hold(time.Minute, errDead)
		settle(quarter)
		all[1].want(strategies.StateHeld)
		if h := all[1].fleet.Health(); h.Skipped != 1 {
			t.Errorf("%d skipped", h.Skipped)
		}
	})
}

// Share is all or nothing.
func TestFleetShareIsAllOrNothing(t *testing.T) {
	f := &strategies.Fleet{Store: wireTo(t, &cloud{}, 1, 0, 0), Name: "shop"}
	defer f.Close()
	b, l, budget := &strategies.Breaker{Name: "a"}, &strategies.Ladder{Name: "a"}, &strategies.Budget{}
	if err := f.Share(b, l, budget, budget); !errors.Is(err, strategies.ErrConfig) {
		t.Errorf("got %v", err)
	}
	if err := f.Share(b, l, l); !errors.Is(err, strategies.ErrConfig) {
		t.Errorf("got %v", err)
	}
	if err := f.Share(b, l, budget); err != nil {
		t.Errorf("what was taken back is not taken: %v", err)
	}
}

// What happens at one moment happened in order.
func TestFleetKeepsTheOrderOfOneMoment(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(b *strategies.Breaker)
		want strategies.State
	}{
		"reset, then held":     {func(b *strategies.Breaker) { b.Reset(); b.Hold(time.Minute, errDead) }, strategies.StateHeld},
		"held, then reset":     {func(b *strategies.Breaker) { b.Hold(time.Minute, errDead); b.Reset() }, strategies.StateClosed},
		"reset, then isolated": {func(b *strategies.Breaker) { b.Reset(); b.Isolate() }, strategies.StateIsolated},
		"isolated, then reset": {func(b *strategies.Breaker) { b.Isolate(); b.Reset() }, strategies.StateClosed},
	} {
		inFleet(t, name, 2, func(_ *testing.T, _ *cloud, all []*member) {
			tc.do(all[0].Breaker)
			settle(quarter)
			all[0].want(tc.want)
			all[1].want(tc.want)
			all[1].Isolate() // and over again, after more is known
			settle(quarter)
			tc.do(all[0].Breaker)
			settle(quarter)
			all[1].want(tc.want)
		})
	}
}
