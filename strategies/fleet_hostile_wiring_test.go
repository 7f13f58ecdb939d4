package strategies_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

func TestHostileFleetShareErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		var ce *strategies.ConfigError
		fresh := func() *strategies.Fleet { return &strategies.Fleet{Store: st, Name: "x"} }
		try := func(name string, f *strategies.Fleet, parts ...strategies.Shareable) {
			t.Helper()
			func() {
				defer func() {
					if v := recover(); v != nil {
						t.Error(name, "panics", v)
					}
				}()
				err := f.Share(parts...)
				if !errors.As(err, &ce) {
					t.Error(name, err)
				} else {
					t.Log(name, err)
				}
				_ = f.Close()
				_ = f.Close()
				_ = f.Health()
			}()
		}
		try("no store", &strategies.Fleet{Name: "x"}, &strategies.Breaker{Name: "a"})
		try("no name", &strategies.Fleet{Store: st}, &strategies.Breaker{Name: "a"})
		try("no breaker name", fresh(), &strategies.Breaker{})
		try("nil breaker", fresh(), (*strategies.Breaker)(nil))
		try("nil", fresh(), nil)
		try("two of one name", fresh(), &strategies.Breaker{Name: "a"}, &strategies.Breaker{Name: "a"})
		try("bad settings", fresh(), &strategies.Breaker{Name: "a", Failures: -1})
		try("bad ladder", fresh(), &strategies.Ladder{})
		f := fresh()
		b := &strategies.Breaker{Name: "a"}
		if err := f.Share(b); err != nil {
			t.Fatal(err)
		}
		t.Log("same again:", f.Share(b))
		if err := f.Share(&strategies.Breaker{Name: "a"}); !errors.As(err, &ce) {
			t.Error("second of the name:", err)
		}
		t.Log("in another fleet:", (&strategies.Fleet{Store: st, Name: "y"}).Share(b))
		long := make([]byte, 3000)
		for i := range long {
			long[i] = 'x'
		}
		try("long name", fresh(), &strategies.Breaker{Name: string(long)})
		try("long fleet", &strategies.Fleet{Store: st, Name: string(long)}, &strategies.Breaker{Name: "a"})
		{ // what a Share that failed has begun is taken back
			bu := &strategies.Budget{}
			other := &strategies.Fleet{Store: st, Name: "x"}
			if err := other.Share(&strategies.Budget{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			if f.Health().Replicas != 2 {
				t.Error(f.Health().Replicas)
			}
			t.Log(f.Share(bu, &strategies.Breaker{Name: "a"}))
			time.Sleep(5 * time.Second)
			if bu.Size() != 500 {
				t.Error("a budget that is not shared is divided:", bu.Size())
			}
			_ = other.Close()
		}
		t.Log("bad utf8:", fresh().Share(&strategies.Breaker{Name: "\xff/../*"}))
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		t.Log("share after close:", f.Share(&strategies.Breaker{Name: "q"}))
	})
}

func TestHostileFleetUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		all := sharers(t, 3, st, openAIBreaker)
		defer closeAll(all)
		to := openAIBreaker()
		to.Failures = 2
		if err := all[0].b.Update(to); err != nil {
			t.Fatal(err)
		}
		to.Hold(10*time.Minute, errHostile) // another name of it
		time.Sleep(time.Second)
		for i, r := range all {
			if r.b.RetryAfter() < 9*time.Minute {
				t.Error(i, r.b.RetryAfter())
			}
		}
		if to.RetryAfter() < 9*time.Minute {
			t.Error(to.RetryAfter())
		}
		t.Log("sharing the other name:", all[0].f.Share(to))
		// budget
		f0, f1 := &strategies.Fleet{Store: st, Name: "bud"}, &strategies.Fleet{Store: st, Name: "bud"}
		b0, b1 := &strategies.Budget{}, &strategies.Budget{}
		p0, p1 := &strategies.Pace{RequestsPerMinute: 600}, &strategies.Pace{RequestsPerMinute: 600}
		if err := errors.Join(f0.Share(b0, p0), f1.Share(b1, p1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		r, _ := p0.Rate()
		t.Log(b0.Size(), b0.Left(), r)
		if b0.Size() != 250 || b1.Size() != 250 || r != 300 {
			t.Error(b0.Size(), b1.Size(), r)
		}
		if err := b0.Update(&strategies.Budget{Capacity: 1000}); err != nil {
			t.Error(err)
		}
		if err := p0.Update(&strategies.Pace{RequestsPerMinute: 1200}); err != nil {
			t.Error(err)
		}
		r, _ = p0.Rate()
		if b0.Size() != 500 || r != 600 {
			t.Error("after update", b0.Size(), r)
		}
		_ = f1.Close()
		time.Sleep(5 * time.Second)
		r, _ = p0.Rate()
		if b0.Size() != 1000 || r != 1200 {
			t.Error("other one is gone:", b0.Size(), r)
		}
		if b1.Size() != 250 {
			t.Error("keeps its part", b1.Size())
		}
		_ = f0.Close()
	})
}

func TestHostileFleetLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		var ls []*strategies.Ladder
		for range 3 {
			f, l := &strategies.Fleet{Store: st, Name: "x"}, &strategies.Ladder{Name: "l"}
			if err := f.Share(l); err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			ls = append(ls, l)
		}
		time.Sleep(time.Second)
		ls[0].Pin(strategies.LevelMinimal, "sale")
		time.Sleep(time.Second)
		for i, l := range ls {
			if lev, p := l.State(); lev != strategies.LevelMinimal || !p {
				t.Error(i, lev, p)
			}
		}
		ls[1].Restore(strategies.LevelReduced)
		time.Sleep(time.Second)
		for i, l := range ls {
			lev, p := l.State()
			t.Log(i, lev, p)
			if p {
				t.Error("pinned", i)
			}
		}
		ls[1].Restore(strategies.LevelFull)
		ls[0].Pin(strategies.LevelEmergency, "a")
		ls[2].Pin(strategies.LevelReduced, "b")
		time.Sleep(2 * time.Second)
		a, _ := ls[0].State()
		for _, l := range ls {
			if lev, _ := l.State(); lev != a {
				t.Error(lev, a)
			}
		}
		ls[0].Restore(strategies.LevelFull)
		time.Sleep(time.Second)
		for i, l := range ls {
			if lev, p := l.State(); lev != strategies.LevelFull || p {
				t.Error(i, lev, p)
			}
		}
	})
}

func TestHostileFleetRestAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		all := sharers(t, 2, st, openAIBreaker)
		time.Sleep(time.Minute)
		n := all[0].st.ops.Load()
		time.Sleep(1000 * time.Second)
		n = all[0].st.ops.Load() - n
		t.Log("ops in 1000 s:", n)
		if n > 130 {
			t.Error(n)
		}
		// trouble: many failures and successes
		n = all[0].st.ops.Load()
		for range 1000 {
			_ = callSo(all[0].b, errHostile)
			_ = callSo(all[1].b, nil)
			_ = callSo(all[1].b, errHostile)
			_ = callSo(all[0].b, nil)
			time.Sleep(100 * time.Millisecond)
		}
		n = all[0].st.ops.Load() - n
		t.Log("ops in 100 s of trouble:", n)
		if n > 415 {
			t.Error(n)
		}
		all[1].st.hang.Store(true)
		s := time.Now()
		if err := all[1].f.Close(); err != nil {
			t.Log(err)
		}
		if d := time.Since(s); d > time.Second+100*time.Millisecond {
			t.Error("close took", d)
		}
		if all[1].f.Close() != nil {
			t.Error("second close")
		}
		closeAll(all[:1])
		for range 5 {
			_ = callSo(all[0].b, errHostile)
		}
		if all[0].b.State() != strategies.StateOpen {
			t.Error(all[0].b.State())
		}
		time.Sleep(31 * time.Second)
		if err := callSo(all[0].b, nil); err != nil {
			t.Error("no trial after close", err)
		}
		if all[0].b.State() != strategies.StateClosed {
			t.Error(all[0].b.State())
		}
	})
}

// A replica dies while it holds the lease: the others have a trial 20 s later.
func TestHostileFleetLeaseOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		all := sharers(t, 3, st, openAIBreaker)
		defer closeAll(all)
		for range 4 {
			for _, r := range all {
				_ = callSo(r.b, errHostile)
				time.Sleep(200 * time.Millisecond)
			}
		}
		var holder *sharer
		for holder == nil {
			for _, r := range all {
				if p, err := r.b.Allow(); err == nil {
					holder = r
					_ = p // never ends
					break
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		holder.st.away.Store(true) // killed
		start := time.Now()
		for {
			got := false
			for _, r := range all {
				if r != holder && callSo(r.b, nil) == nil {
					got = true
				}
			}
			if got {
				break
			}
			time.Sleep(100 * time.Millisecond)
			if time.Since(start) > 5*time.Minute {
				t.Fatal("never")
			}
		}
		t.Log(time.Since(start))
		if time.Since(start) > 25*time.Second {
			t.Error(time.Since(start))
		}
	})
}

func TestANilFleetIsRefused(t *testing.T) {
	var f *strategies.Fleet
	if err := f.Share(&strategies.Budget{}); !errors.Is(err, strategies.ErrConfig) {
		t.Errorf("Share: %v", err)
	}
	f.Watch(func(strategies.FleetChange) {})()
	if h := f.Health(); h.Replicas != 1 || !h.Away || f.Close() != nil {
		t.Errorf("%+v", h)
	}
}
