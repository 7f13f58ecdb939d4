package strategies_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

func TestHostileFleetGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		all := sharers(t, 2, st, openAIBreaker)
		defer closeAll(all)
		all[0].b.Hold(time.Minute, errHostile)
		time.Sleep(time.Second)
		recs, _ := st.List(context.Background(), "")
		keys := map[string]string{}
		for _, r := range recs {
			t.Logf("%s = %s", r.Key, r.Value)
			keys[r.Key] = string(r.Value)
		}
		all[0].f.Watch(func(c strategies.FleetChange) {
			if c.Kind == strategies.FleetSkipped {
				panic("listener")
			}
		})
		p := "understudy/fleet/v1/shop/"
		for _, v := range []string{"", "null", "[]", "{", `{"hold":{"until":9223372036854775807,"at":9223372036854775807}}`, strings.Repeat("x", 100000), "\xff\x00", `{"isolated":-9223372036854775808}`, `"a"`, `{"a":{"b":{}}}`} {
			for _, k := range []string{"w/facts/openai", "w/vote/openai/zz", "w/vote/openai/" + all[0].f.Health().Replica, "w/well/openai", "w/trial/openai", "w/want/openai", "w/members", "alive/zz", "w/facts/unknown", "w/nonsense/openai", "w/vote/openai", "w/vote/openai/a/b/c", "w/level/none", "w/", "alive/"} {
				if _, err := st.Put(context.Background(), strategies.Write{Key: p + k, Value: []byte(v), Revision: strategies.AnyRevision, TTL: time.Minute}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(500 * time.Millisecond)
		}
		h := all[0].f.Health()
		t.Logf("%+v", h)
		if all[0].b.RetryAfter() > time.Hour {
			t.Error(all[0].b.RetryAfter())
		}
		time.Sleep(2 * time.Hour)
		for i, r := range all {
			if r.b.RetryAfter() != 0 || callSo(r.b, nil) != nil {
				t.Error(i, r.b.State(), r.b.RetryAfter())
			}
		}
		// still works?
		all[1].b.Isolate()
		time.Sleep(2 * time.Second)
		if all[0].b.State() == strategies.StateClosed {
			t.Error("deaf after garbage")
		}
		all[0].b.Reset()
		time.Sleep(2 * time.Second)
		if all[1].b.State() != strategies.StateClosed {
			t.Error("mute after garbage")
		}
	})
}

// Facts of the far future, of a replica whose clock is wrong or that lies, can be undone.
func TestHostileFleetForged(t *testing.T) {
	for name, mk := range map[string]func(b *strategies.Breaker){
		"isolated": func(b *strategies.Breaker) { b.Isolate() },
		"held":     func(b *strategies.Breaker) { b.Hold(time.Minute, errHostile) },
		"reset":    func(b *strategies.Breaker) { b.Isolate(); b.Reset() },
		"quota": func(b *strategies.Breaker) {
			b.Hold(time.Minute, strategies.WithClass(strategies.ClassQuotaExhausted, errHostile))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := context.Background()
				st := &memory.Store{}
				defer st.Close()
				all := sharers(t, 3, st, openAIBreaker)
				defer closeAll(all)
				const key = "understudy/fleet/v1/shop/w/facts/openai"
				time.Sleep(time.Minute)
				mk(all[0].b)
				time.Sleep(time.Second)
				r, err := st.Get(ctx, key)
				if err != nil {
					t.Fatal(err)
				}
				forged := regexp.MustCompile(`9466848\d{8}`).ReplaceAllString(string(r.Value), "9000000000000000000")
				if forged == string(r.Value) {
					t.Fatal(forged)
				}
				if _, err := st.Put(ctx, strategies.Write{Key: key, Value: []byte(forged), Revision: strategies.AnyRevision}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
				for i, r := range all {
					if d := r.b.RetryAfter(); d > 24*time.Hour {
						t.Error("held for", d, i)
					}
				}
				all[1].b.Reset()
				time.Sleep(2 * time.Second)
				for i, r := range all {
					if s := r.b.State(); s != strategies.StateClosed {
						t.Error("after a reset:", i, s, r.b.RetryAfter())
					}
				}
				all[2].b.Isolate()
				time.Sleep(2 * time.Second)
				for i, r := range all {
					if s := r.b.State(); s == strategies.StateClosed {
						t.Error("after Isolate:", i, s)
					}
				}
				all[0].b.Reset()
				time.Sleep(2 * time.Second)
				for i, r := range all {
					if s := r.b.State(); s != strategies.StateClosed {
						t.Error("after a second reset:", i, s, r.b.RetryAfter())
					}
				}
			})
		})
	}
}

func TestHostileFleetAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		b, bu, l, p := openAIBreaker(), &strategies.Budget{}, &strategies.Ladder{Name: "l"}, &strategies.Pace{RequestsPerMinute: 600}
		for i := range 3 {
			f := &strategies.Fleet{Store: st, Name: "x"}
			if err := f.Share(b, bu, l, p); err != nil {
				t.Fatal(i, err)
			}
			time.Sleep(3 * time.Second)
			b.Hold(time.Minute, errHostile)
			time.Sleep(time.Second)
			other := oneMore(t, st, "x", openAIBreaker())
			if other.b.RetryAfter() == 0 {
				t.Error(i, "the hold is not told")
			}
			if bu.Size() != 250 {
				t.Error(bu.Size())
			}
			if err := errors.Join(other.f.Close(), f.Close()); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Minute)
		}
	})
}

func oneMore(t *testing.T, st strategies.Store, name string, b *strategies.Breaker) *sharer {
	t.Helper()
	zs := &fickle{Store: st}
	r := &sharer{f: &strategies.Fleet{Store: zs, Name: name}, b: b, st: zs}
	if err := r.f.Share(r.b); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	synctest.Wait()
	return r
}

// a restart knows the failures of the last ten minutes
func TestHostileFleetRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		all := sharers(t, 5, st, openAIBreaker)
		for _, r := range all[:4] {
			_ = callSo(r.b, errHostile)
			time.Sleep(3 * time.Second)
		}
		closeAll(all)
		time.Sleep(time.Minute)
		n := oneMore(t, st, "shop", openAIBreaker())
		calls := 0
		for n.b.State() == strategies.StateClosed {
			_ = callSo(n.b, errHostile)
			calls++
		}
		t.Log("calls of the new one until open:", calls)
		if calls > 2 {
			t.Error(calls)
		}
		_ = n.f.Close()
	})
}

// many fleets on one store do not hear each other
func TestHostileFleetsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{}
		defer st.Close()
		var all []*sharer
		for _, n := range []string{"a", "a/b", "a%2Fb", "a/", "A", "a b", "ab", "a%"} {
			all = append(all, oneMore(t, st, n, openAIBreaker()))
		}
		defer closeAll(all)
		for i, r := range all {
			if r.f.Health().Replicas != 1 {
				t.Error(i, r.f.Health().Replicas)
			}
			r.b.Isolate()
			time.Sleep(2 * time.Second)
			for j, o := range all {
				if (o.b.State() != strategies.StateClosed) != (i == j) {
					t.Error(i, j)
				}
			}
			r.b.Reset()
			time.Sleep(2 * time.Second)
		}
		// breakers of one fleet whose names look alike
		f1, f2 := &strategies.Fleet{Store: st, Name: "q"}, &strategies.Fleet{Store: st, Name: "q"}
		var b1, b2 []*strategies.Breaker
		for _, n := range []string{"a", "a/b", "a%2Fb", "A", "a/", "a/a", " a", "a\n", "*"} {
			x, y := &strategies.Breaker{Name: n}, &strategies.Breaker{Name: n}
			b1, b2 = append(b1, x), append(b2, y)
			if err := errors.Join(f1.Share(x), f2.Share(y)); err != nil {
				t.Fatal(err)
			}
		}
		defer f1.Close()
		defer f2.Close()
		time.Sleep(10 * time.Second)
		for i, x := range b1 {
			x.Isolate()
			time.Sleep(2 * time.Second)
			for j, o := range b2 {
				if (o.State() != strategies.StateClosed) != (i == j) {
					t.Errorf("%q %q", x.Name, o.Name)
				}
			}
			x.Reset()
			time.Sleep(2 * time.Second)
		}
	})
}
