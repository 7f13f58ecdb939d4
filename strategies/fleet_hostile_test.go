package strategies_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

var errHostile = errors.New("errHostile")

// fickle can be away, and can hang.
type fickle struct {
	strategies.Store
	away, hang atomic.Bool
	ops        atomic.Int64
}

func (s *fickle) no(ctx context.Context) error {
	s.ops.Add(1)
	if s.hang.Load() {
		<-ctx.Done()
		return errors.Join(strategies.ErrUnavailable, ctx.Err())
	}
	if s.away.Load() {
		return strategies.ErrUnavailable
	}
	return nil
}
func (s *fickle) Get(ctx context.Context, k string) (strategies.Record, error) {
	if err := s.no(ctx); err != nil {
		return strategies.Record{}, err
	}
	return s.Store.Get(ctx, k)
}
func (s *fickle) Put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	if err := s.no(ctx); err != nil {
		return strategies.Record{}, err
	}
	return s.Store.Put(ctx, w)
}
func (s *fickle) Delete(ctx context.Context, k string, r uint64) error {
	if err := s.no(ctx); err != nil {
		return err
	}
	return s.Store.Delete(ctx, k, r)
}
func (s *fickle) List(ctx context.Context, p string) ([]strategies.Record, error) {
	if err := s.no(ctx); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, p)
}
func (s *fickle) Now(ctx context.Context) (time.Time, error) {
	if err := s.no(ctx); err != nil {
		return time.Time{}, err
	}
	return s.Store.Now(ctx)
}

type sharer struct {
	f  *strategies.Fleet
	b  *strategies.Breaker
	st *fickle
}

func sharers(t *testing.T, n int, st strategies.Store, mk func() *strategies.Breaker) []*sharer {
	t.Helper()
	var all []*sharer
	for i := range n {
		zs := &fickle{Store: st}
		r := &sharer{f: &strategies.Fleet{Store: zs, Name: "shop", Replica: fmt.Sprint("r", i)}, b: mk(), st: zs}
		if err := r.f.Share(r.b); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	time.Sleep(5 * time.Second)
	synctest.Wait()
	return all
}

func closeAll(all []*sharer) {
	for _, r := range all {
		_ = r.f.Close()
	}
}

func callSo(b *strategies.Breaker, err error) error {
	p, e := b.Allow()
	if e != nil {
		return e
	}
	if err != nil {
		p.Failure(err)
	} else {
		p.Success()
	}
	return nil
}

func openAIBreaker() *strategies.Breaker {
	return &strategies.Breaker{Name: "openai", NoJitter: true, MaxOpenFor: 30 * time.Second}
}

func TestHostileFleetHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		all := sharers(t, 3, st, openAIBreaker)
		defer closeAll(all)
		all[0].b.Hold(5*time.Minute, errHostile)
		time.Sleep(300 * time.Millisecond)
		for i, r := range all {
			if d := r.b.RetryAfter(); d < 299*time.Second || d > 5*time.Minute {
				t.Error(i, d, r.b.State())
			}
		}
		all[1].b.Hold(time.Minute, errHostile) // shorter: stays
		time.Sleep(300 * time.Millisecond)
		if d := all[0].b.RetryAfter(); d < 4*time.Minute {
			t.Error(d)
		}
		all[2].b.Hold(10*time.Hour, errHostile) // MaxHold
		time.Sleep(300 * time.Millisecond)
		for i, r := range all {
			if d := r.b.RetryAfter(); i < 2 && d > time.Hour || d < 59*time.Minute {
				t.Error(i, d)
			}
		}
		// newcomer
		n := sharers(t, 1, st, openAIBreaker)
		defer closeAll(n)
		if d := n[0].b.RetryAfter(); d < 59*time.Minute {
			t.Error("newcomer", d)
		}
		all[1].b.Reset()
		time.Sleep(time.Second)
		for i, r := range append(all, n...) {
			if s := r.b.State(); s != strategies.StateClosed {
				t.Error(i, s, r.b.RetryAfter())
			}
		}
		all[1].b.Isolate()
		time.Sleep(time.Second)
		for i, r := range append(all, n...) {
			if r.b.State() == strategies.StateClosed {
				t.Error(i)
			}
		}
		n2 := sharers(t, 1, st, openAIBreaker)
		defer closeAll(n2)
		if n2[0].b.State() == strategies.StateClosed {
			t.Error("newcomer is not isolated")
		}
		time.Sleep(48 * time.Hour)
		n3 := sharers(t, 1, st, openAIBreaker)
		defer closeAll(n3)
		if n3[0].b.State() == strategies.StateClosed {
			t.Error("newcomer after two days is not isolated")
		}
		n3[0].b.Reset()
		time.Sleep(time.Second)
		for i, r := range append(all, n...) {
			if r.b.State() != strategies.StateClosed {
				t.Error(i)
			}
		}
	})
}

func TestHostileFleetSick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		all := sharers(t, 10, st, openAIBreaker)
		defer closeAll(all)
		for range 200 { // an hour of a sick replica, whose others call rarely
			_ = callSo(all[0].b, errHostile)
			time.Sleep(7 * time.Second)
			for i, r := range all[1:] {
				if r.b.State() != strategies.StateClosed {
					t.Fatal(i, r.b.State())
				}
			}
		}
	})
}

func TestHostileFleetAllDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		all := sharers(t, 10, st, openAIBreaker)
		defer closeAll(all)
		calls := 0
		for range 10 {
			for _, r := range all {
				if callSo(r.b, errHostile) == nil {
					calls++
				}
				time.Sleep(300 * time.Millisecond)
			}
		}
		if calls > 8 {
			t.Error("calls", calls)
		}
		for i, r := range all {
			if r.b.State() == strategies.StateClosed {
				t.Error(i)
			}
		}
		// trials
		for round := range 4 {
			time.Sleep(25 * time.Second)
			trials := 0
			for range 60 {
				for _, r := range all {
					if callSo(r.b, errHostile) == nil {
						trials++
					}
				}
				time.Sleep(100 * time.Millisecond)
			}
			t.Log("round", round, "trials", trials)
			if trials > 1 {
				t.Error("trials", trials)
			}
		}
		ok := 0
		for range 600 {
			for _, r := range all {
				if callSo(r.b, nil) == nil {
					ok++
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		for i, r := range all {
			if r.b.State() != strategies.StateClosed {
				t.Error(i, r.b.State())
			}
		}
	})
}

func TestHostileFleetAway(t *testing.T) {
	for _, hang := range []bool{false, true} {
		t.Run(fmt.Sprint(hang), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &memory.Store{}
				defer st.Close()
				all := sharers(t, 3, st, openAIBreaker)
				defer closeAll(all)
				var mu sync.Mutex
				var kinds []strategies.FleetKind
				all[0].f.Watch(func(c strategies.FleetChange) { mu.Lock(); kinds = append(kinds, c.Kind); mu.Unlock() })
				if hang {
					all[0].st.hang.Store(true)
				} else {
					all[0].st.away.Store(true)
				}
				start := time.Now()
				for range 5 {
					_ = callSo(all[0].b, errHostile)
				}
				if all[0].b.State() != strategies.StateOpen || time.Since(start) != 0 {
					t.Error(all[0].b.State(), time.Since(start))
				}
				time.Sleep(40 * time.Second)
				if !all[0].f.Health().Away || all[0].f.Health().Err == nil {
					t.Errorf("%+v", all[0].f.Health())
				}
				if err := callSo(all[0].b, errHostile); err != nil {
					t.Error("no trial of its own:", err)
				}
				all[0].b.Hold(50*time.Minute, errHostile)
				all[1].b.Hold(20*time.Minute, errHostile)
				time.Sleep(10 * time.Minute)
				all[0].st.hang.Store(false)
				all[0].st.away.Store(false)
				time.Sleep(time.Minute)
				if all[0].f.Health().Away {
					t.Errorf("%+v", all[0].f.Health())
				}
				for i, r := range all {
					if d := r.b.RetryAfter(); d < 38*time.Minute || d > 40*time.Minute {
						t.Error(i, d)
					}
				}
				mu.Lock()
				t.Log(kinds)
				if len(kinds) < 2 || kinds[0] != strategies.FleetAway || kinds[1] != strategies.FleetBack {
					t.Error(kinds)
				}
				mu.Unlock()
			})
		})
	}
}

func TestHostileFleetIsolateWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		all := sharers(t, 2, st, openAIBreaker)
		defer closeAll(all)
		all[0].st.away.Store(true)
		time.Sleep(time.Second)
		all[0].b.Isolate()
		time.Sleep(time.Minute)
		all[1].b.Isolate()
		time.Sleep(time.Minute)
		all[1].b.Reset() // later
		time.Sleep(time.Minute)
		all[0].st.away.Store(false)
		time.Sleep(time.Minute)
		for i, r := range all {
			if r.b.State() != strategies.StateClosed {
				t.Error(i, r.b.State())
			}
		}
		all[0].st.away.Store(true)
		time.Sleep(time.Second)
		all[1].b.Isolate()
		time.Sleep(time.Minute)
		all[0].b.Reset()
		time.Sleep(time.Minute)
		all[0].st.away.Store(false)
		time.Sleep(time.Minute)
		for i, r := range all {
			if r.b.State() != strategies.StateClosed {
				t.Error(i, r.b.State())
			}
		}
	})
}
