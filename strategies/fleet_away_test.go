package strategies_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/farstore"
	"github.com/understudy-go/understudy/strategies"
)

// What is told about a fleet.
func (m *member) told() *[]strategies.FleetKind {
	var kinds []strategies.FleetKind
	m.fleet.Watch(func(c strategies.FleetChange) { kinds = append(kinds, c.Kind) })
	return &kinds
}

func TestFleetAway(t *testing.T) {
	inFleet(t, "it is said once, and what has happened meanwhile is told when it is back", 2, func(t *testing.T, _ *cloud, all []*member) {
		told := all[0].told()
		all[0].wire.Cut(true)
		settle(time.Minute)
		if h := all[0].fleet.Health(); !h.Away || !errors.Is(h.Err, farstore.ErrCut) || time.Since(h.Since) < 50*time.Second {
			t.Errorf("health: %+v", h)
		}
		for i := range 100 { // the last state is kept, and no more
			all[0].Hold(time.Duration(i+1)*time.Minute, errDead)
			all[0].Isolate()
		}
		all[0].ladder.Pin(strategies.LevelReduced, "")
		if h := all[0].fleet.Health(); h.Unpublished != 2 {
			t.Errorf("%d unpublished", h.Unpublished)
		}
		settle(time.Minute)
		all[1].want(strategies.StateClosed)
		all[0].wire.Cut(false)
		settle(10 * time.Second)
		all[1].want(strategies.StateIsolated)
		if level, pinned := all[1].ladder.State(); level != strategies.LevelReduced || !pinned {
			t.Errorf("level %v, pinned %v", level, pinned)
		}
		all[0].Reset()
		settle(quarter)
		all[1].want(strategies.StateClosed)
		if got, want := fmt.Sprint(*told), fmt.Sprint([]strategies.FleetKind{strategies.FleetAway, strategies.FleetBack}); got != want {
			t.Errorf("told %v, want %v", got, want)
		}
		if h := all[0].fleet.Health(); h.Away || h.Err != nil || h.Unpublished != 0 {
			t.Errorf("health: %+v", h)
		}
	})
	inFleet(t, "of what happens on both sides the later one stands", 2, func(t *testing.T, _ *cloud, all []*member) {
		all[0].wire.Cut(true)
		settle(10 * time.Second)
		all[0].Isolate()
		settle(time.Second)
		all[1].Isolate()
		settle(time.Second)
		all[1].Reset()
		all[0].wire.Cut(false)
		settle(15 * time.Second)
		for _, m := range all {
			m.want(strategies.StateClosed)
		}
		all[0].wire.Cut(true)
		settle(10 * time.Second)
		all[1].Reset()
		settle(time.Second)
		all[0].Isolate()
		all[0].wire.Cut(false)
		settle(15 * time.Second)
		for _, m := range all {
			m.want(strategies.StateIsolated)
		}
	})
	inFleet(t, "each tries for itself", 3, func(t *testing.T, _ *cloud, all []*member) {
		for _, m := range all {
			m.wire.Cut(true)
		}
		settle(10 * time.Second)
		for _, m := range all {
			for range 4 {
				m.call(errDead)
			}
			m.want(strategies.StateClosed)
			m.call(errDead)
			m.want(strategies.StateOpen)
		}
		settle(30*time.Second + 1)
		for _, m := range all {
			if !m.call(nil) {
				t.Error("refused")
			}
			m.want(strategies.StateClosed)
		}
	})
	inFleet(t, "a store that does not answer holds nobody up", 2, func(t *testing.T, _ *cloud, all []*member) {
		for _, m := range all {
			m.wire.Hang(true)
			for range 5 {
				m.call(errDead)
			}
		}
		settle(30*time.Second + 1)
		for _, m := range all {
			began := time.Now()
			if !m.call(nil) || time.Since(began) > 0 {
				t.Errorf("refused, or %v slower", time.Since(began))
			}
		}
	})
	t.Run("it was never there", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := &cloud{}
			m := &member{Breaker: &strategies.Breaker{Name: "openai", NoJitter: true}, t: t, wire: wireTo(t, c, 1, 0, 0)}
			m.wire.Cut(true)
			m.fleet = &strategies.Fleet{Store: m.wire, Name: "shop"}
			told := m.told()
			if err := m.fleet.Share(m.Breaker); err != nil {
				t.Fatal(err)
			}
			defer m.fleet.Close()
			m.Isolate()
			settle(time.Hour)
			if h := m.fleet.Health(); !h.Away || h.Err == nil || len(*told) != 1 {
				t.Errorf("health %+v, told %v", h, *told)
			}
			if n := m.wire.Ops(); n > 3600 {
				t.Errorf("%d operations in an hour", n)
			}
			m.wire.Cut(false)
			settle(10 * time.Second)
			if h := m.fleet.Health(); h.Away || h.Unpublished != 0 {
				t.Errorf("health %+v", h)
			}
		})
	})
}

// A replica's own clock says nothing: the store's counts.
func TestFleetStoresClock(t *testing.T) {
	for _, ahead := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c := &cloud{Ahead: ahead}
			a, b := join(t, c, 1, time.Millisecond, 0), join(t, c, 2, time.Millisecond, 0)
			settle(time.Second)
			a.Hold(time.Minute, errDead)
			settle(quarter)
			b.want(strategies.StateHeld)
			if left := b.RetryAfter(); left < 59*time.Second || left > time.Minute {
				t.Errorf("held for %v with a clock %v ahead", left, ahead)
			}
			b.Reset()
			settle(quarter)
			a.want(strategies.StateClosed)
		})
	}
}

func TestFleetAtRest(t *testing.T) {
	inFleet(t, "at rest", 20, func(t *testing.T, _ *cloud, all []*member) {
		rate := rates(all, 10*time.Minute, func() {
			for _, m := range all {
				m.call(nil)
			}
		})
		t.Logf("%.3f operations a second", rate)
		if rate > 0.2 {
			t.Errorf("%.3f operations a second, at most 0.2", rate)
		}
	})
	inFleet(t, "with an agent that fails now and then", 20, func(t *testing.T, _ *cloud, all []*member) {
		rnd := rand.New(rand.NewPCG(1, 2))
		alone := map[*member]*member{}
		var opened, openedAlone atomic.Int64
		for _, m := range all {
			alone[m] = &member{Breaker: &strategies.Breaker{NoJitter: true}}
			m.Watch(func(c strategies.BreakerChange) {
				if c.To == strategies.StateOpen {
					opened.Add(1)
				}
			})
			alone[m].Watch(func(c strategies.BreakerChange) {
				if c.To == strategies.StateOpen {
					openedAlone.Add(1)
				}
			})
		}
		rate := rates(all, 5*time.Minute, func() {
			for range all { // at odd times: who calls in step with others is no replica
				m, err := all[rnd.IntN(len(all))], error(nil)
				if rnd.IntN(7) == 0 {
					err = errDead
				}
				m.call(err)
				alone[m].call(err)
				settle(time.Duration(rnd.IntN(10_000)) * time.Microsecond)
			}
		})
		t.Logf("%.3f operations a second", rate)
		if rate > 5 {
			t.Errorf("%.3f operations a second, at most 5", rate)
		}
		t.Logf("opened %d times, and %d times alone", opened.Load(), openedAlone.Load())
		if opened.Load() > openedAlone.Load()+2 {
			t.Error("sharing opens breakers that would not have opened")
		}
	})
	inFleet(t, "with a program that cannot make up its mind", 2, func(t *testing.T, _ *cloud, all []*member) {
		rate := rates(all[:1], 10*time.Second, func() {
			for i := range 10 {
				if all[0].Isolate(); i%2 == 0 {
					all[0].Reset()
				}
				all[0].ladder.Pin(strategies.Level(i%4), "")
				settle(time.Millisecond)
			}
		})
		t.Logf("%.3f operations a second", rate)
		if rate > 6.5 { // fifteen at once, and then five a second at most
			t.Errorf("%.3f operations a second", rate)
		}
		settle(5 * time.Second)
		if all[1].State() != all[0].State() || all[1].ladder.Level() != all[0].ladder.Level() {
			t.Errorf("%s and %s", all[0].State(), all[1].State())
		}
	})
	inFleet(t, "with an agent that is down", 20, func(t *testing.T, _ *cloud, all []*member) {
		rate := rates(all, 5*time.Minute, func() {
			for _, m := range all {
				m.call(errDead)
			}
		})
		t.Logf("%.3f operations a second", rate)
		if rate > 5 {
			t.Errorf("%.3f operations a second, at most 5", rate)
		}
	})
}

// rates is how many operations a second a replica makes, while calls are made ten times
// a second.
func rates(all []*member, d time.Duration, calls func()) float64 {
	before, began := 0, time.Now()
	for _, m := range all {
		before += m.wire.Ops()
	}
	for time.Since(began) < d {
		calls()
		settle(100 * time.Millisecond)
	}
	n := -before
	for _, m := range all {
		n += m.wire.Ops()
	}
	return float64(n) / float64(len(all)) / d.Seconds()
}

// What cannot be read is reported, and left alone.
func TestFleetForeignRecords(t *testing.T) {
	const prefix = "understudy/fleet/v1/shop/w/"
	good := `{"at":1,"by":"x"}`
	for key, value := range map[string]string{
		"facts/openai":     `{"hold":`,
		"vote/openai/x":    `[]`,
		"well/openai":      `{"at":-1,"by":"x"}`,
		"want/openai":      `null`,
		"level/shop":       `{"at":1,"by":"x","pinned":true,"level":"sideways"}`,
		"trial/openai":     `{}`, // a lease that never ends
		"incantation/shop": good, // of no kind
	} {
		inFleet(t, key, 2, func(t *testing.T, c *cloud, all []*member) {
			told := all[1].told()
			if key == "incantation/shop" {
				key = "incantation/openai"
			}
			if _, err := all[0].wire.Put(context.Background(), strategies.Write{Key: prefix + key, Value: []byte(value), Revision: strategies.AnyRevision}); err != nil {
				t.Fatal(err)
			}
			settle(time.Second)
			if h := all[1].fleet.Health(); h.Skipped != 1 || len(*told) != 1 || (*told)[0] != strategies.FleetSkipped {
				t.Errorf("skipped %d, told %v", h.Skipped, *told)
			}
			// All goes on, over it.
			all[0].Hold(time.Minute, errDead)
			all[0].ladder.Pin(strategies.LevelMinimal, "")
			settle(time.Second)
			all[1].want(strategies.StateHeld)
			if level, _ := all[1].ladder.State(); level != strategies.LevelMinimal {
				t.Errorf("level %v", level)
			}
			all[0].Reset()
			for range 5 {
				all[1].call(errDead)
			}
			settle(29 * time.Second)
			for range 60 {
				all[1].call(nil)
				settle(50 * time.Millisecond)
			}
			all[1].want(strategies.StateClosed)
		})
	}
	inFleet(t, "nonsense that is well formed", 2, func(t *testing.T, c *cloud, all []*member) {
		far := fmt.Sprint(time.Now().Add(360 * 24 * time.Hour).UnixMicro())
		for _, value := range []string{
			`{"hold":{"at":` + far + `,"by":"x","until":` + far + `,"class":"unheard_of"},"later":{"a":1}}`,
			`{"isolated":{"at":` + far + `,"by":"x"}}`,
			`{"trial":{"at":` + far + `,"by":"x","until":` + far + `,"streak":1000}}`,
		} {
			if _, err := all[0].wire.Put(context.Background(), strategies.Write{Key: prefix + "facts/openai", Value: []byte(value), Revision: strategies.AnyRevision}); err != nil {
				t.Fatal(err)
			}
			settle(time.Second)
			if left := all[1].RetryAfter(); left > time.Hour {
				t.Errorf("nobody asks for %v", left)
			}
			all[1].Reset() // what a person does comes after what is there
			settle(time.Second)
			for _, m := range all {
				m.want(strategies.StateClosed)
			}
		}
	})
}

func TestFleetSettings(t *testing.T) {
	store := wireTo(t, &cloud{}, 1, 0, 0)
	b := &strategies.Breaker{Name: "openai"}
	shared := &strategies.Fleet{Store: store, Name: "other"}
	taken := &strategies.Breaker{Name: "taken"}
	if err := shared.Share(taken); err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	closed := &strategies.Fleet{Store: store, Name: "shop"}
	if err := closed.Share(); err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	_ = closed.Close()
	for name, tc := range map[string]struct {
		fleet *strategies.Fleet
		parts []strategies.Shareable
		want  string
	}{
		"no store":               {&strategies.Fleet{Name: "shop"}, nil, "Fleet.Store is nil"},
		"no name":                {&strategies.Fleet{Store: store}, nil, "Fleet.Name is empty"},
		"a name that is no text": {&strategies.Fleet{Store: store, Name: "\xff"}, nil, "no valid UTF-8"},
		"a long name":            {&strategies.Fleet{Store: store, Name: strings.Repeat("/", 100)}, nil, "too long"},
		"a breaker of no name":   {nil, []strategies.Shareable{&strategies.Breaker{}}, "Breaker.Name is empty"},
		"a ladder of no name":    {nil, []strategies.Shareable{&strategies.Ladder{}}, "Ladder.Name is empty"},
		"nil":                    {nil, []strategies.Shareable{nil}, "is given nil"},
		"a nil breaker":          {nil, []strategies.Shareable{(*strategies.Breaker)(nil)}, "is given nil"},
		"a nil pace":             {nil, []strategies.Shareable{(*strategies.Pace)(nil)}, "is given nil"},
		"a wrong setting":        {nil, []strategies.Shareable{&strategies.Breaker{Name: "a", Failures: -1}}, "Breaker.Failures is negative"},
		"two of one name":        {nil, []strategies.Shareable{b, &strategies.Breaker{Name: "openai"}}, "shared already"},
		"one of another fleet":   {nil, []strategies.Shareable{taken}, "another fleet"},
		"after Close":            {closed, nil, "after Close"},
	} {
		t.Run(name, func(t *testing.T) {
			f := tc.fleet
			if f == nil {
				f = &strategies.Fleet{Store: store, Name: "shop"}
				defer f.Close()
			}
			err := f.Share(tc.parts...)
			if !errors.Is(err, strategies.ErrConfig) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	f := &strategies.Fleet{Store: store, Name: "shop"}
	defer f.Close()
	if err := f.Share(b); err != nil {
		t.Errorf("what was refused beside others is not taken: %v", err)
	}
}
