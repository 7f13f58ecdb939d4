package middleware_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

type member = middleware.Member[string, string]

// region is a member that counts its calls, and fails as it is told.
type region struct {
	calls atomic.Int64
	takes time.Duration
	fails atomic.Pointer[error]
}

func (r *region) Run(ctx context.Context, req string) (string, error) {
	r.calls.Add(1)
	if r.takes > 0 {
		select {
		case <-time.After(r.takes):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	if err := r.fails.Load(); err != nil {
		return "", *err
	}
	return "hi", nil
}

func (r *region) fail(err error) { r.fails.Store(&err) }

func (r *region) heal() { r.fails.Store(nil) }

func pooled(t testing.TB, s middleware.PoolSettings[string], members ...member) *middleware.PoolAgent[string, string] {
	t.Helper()
	p, err := middleware.Pool(s, members...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func inOrder() middleware.PoolSettings[string] {
	return middleware.PoolSettings[string]{Spread: &strategies.Spread{InOrder: true}}
}

func TestPool(t *testing.T) {
	limited := strategies.WithRetryAfter(20*time.Second, ofClass(strategies.ClassRateLimited))
	for _, tc := range []struct {
		it    string
		err   error
		calls [2]int64 // of the first and the second member, in two calls
		after time.Duration
	}{
		{"a key that is limited is left out, and its wait is nothing to the others", limited, [2]int64{1, 2}, 0},
		{"a key that was refused is tried until its breaker opens, and another is asked at once", ofClass(strategies.ClassUnauthorized), [2]int64{2, 2}, 0},
		{"an empty account is left out", ofClass(strategies.ClassQuotaExhausted), [2]int64{1, 2}, 0},
		{"a failure is tried with another member", errSick, [2]int64{2, 2}, 0},
	} {
		t.Run(tc.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first, second := &region{}, &region{}
				first.fail(tc.err)
				g := built(t, middleware.Wrap(pooled(t, inOrder(), member{Name: "first", Agent: first}, member{Name: "second", Agent: second})).Retry(strategies.Retry{}))
				start := time.Now()
				asked(t, g, "hi")
				asked(t, g, "hi")
				expect(t, "calls", [2]int64{first.calls.Load(), second.calls.Load()}, tc.calls)
				expect(t, "after", time.Since(start).Round(time.Microsecond), tc.after)
			})
		})
	}
	t.Run("what concerns the request is not tried with others, and shuts nobody", func(t *testing.T) {
		first, second := &region{}, &region{}
		first.fail(ofClass(strategies.ClassContextOverflow))
		g := built(t, middleware.Wrap(pooled(t, inOrder(), member{Name: "first", Agent: first}, member{Name: "second", Agent: second})).Retry(promptly))
		expect(t, "class", recoveryOf(t, failing(t, g)).Class, strategies.ClassContextOverflow)
		expect(t, "calls", second.calls.Load(), 0)
	})
	t.Run("a poisoned request is booked once a call", func(t *testing.T) {
		breakers := []*strategies.Breaker{{Failures: 3}, {Failures: 3}, {Failures: 3}}
		var members []member
		for i, b := range breakers {
			r := &region{}
			r.fail(&refusal{500, "boom"})
			members = append(members, member{Name: fmt.Sprint("m", i), Agent: r, Breaker: b})
		}
		g := built(t, middleware.Wrap(pooled(t, inOrder(), members...)).Retry(strategies.Retry{Backoff: strategies.Delays{0}}))
		for range 6 {
			failing(t, g)
		}
		expect(t, "the last of them, after 6 calls of 4 attempts each", breakers[2].State(), strategies.StateClosed)
	})
	t.Run("a client that turns its keys by itself is asked again at once", func(t *testing.T) {
		for name, wrap := range map[string]func(*region, *strategies.Breaker) *middleware.Builder[string, string]{
			"alone": func(r *region, b *strategies.Breaker) *middleware.Builder[string, string] {
				return middleware.Wrap[string, string](r).CircuitBreaker(b)
			},
			"in a pool": func(r *region, b *strategies.Breaker) *middleware.Builder[string, string] {
				return middleware.Wrap[string, string](pooled(t, inOrder(), member{Name: "only", Agent: r, Breaker: b}))
			},
		} {
			for _, class := range []strategies.Class{strategies.ClassRateLimited, strategies.ClassQuotaExhausted} {
				synctest.Test(t, func(t *testing.T) {
					r, b := &region{}, &strategies.Breaker{Keys: 3}
					r.fail(strategies.WithRetryAfter(55*time.Second, ofClass(class)))
					g := built(t, wrap(r, b).Retry(strategies.Retry{}))
					start := time.Now()
					go func() { // the second key is well
						for r.calls.Load() < 1 {
							time.Sleep(time.Nanosecond)
						}
						r.heal()
					}()
					asked(t, g, "hi")
					if took := time.Since(start); took > time.Second || b.State() != strategies.StateClosed {
						t.Errorf("%s, %v: answered after %v, %v", name, class, took, b.State())
					}
				})
			}
		}
	})
	t.Run("what concerns a key concerns all who share it, and a model that is gone only its member", func(t *testing.T) {
		for _, tc := range []struct {
			class      strategies.Class
			asked      string // in one call
			second     strategies.State
			inTwoCalls string
		}{
			{strategies.ClassRateLimited, "a1 b", strategies.StateHeld, "a1 b b"},
			{strategies.ClassUnauthorized, "a1 b", strategies.StateOpen, "a1 b b"},
			{strategies.ClassNotFound, "a1 a2", strategies.StateClosed, "a1 a2 a2"},
		} {
			var who []string
			agent := func(name string, err error) middleware.Runner[string, string] {
				return middleware.Func(func(context.Context, string) (string, error) { who = append(who, name); return "hi", err })
			}
			p := pooled(t, inOrder(),
				member{Name: "a1", Key: "a", Agent: agent("a1", ofClass(tc.class)), Breaker: &strategies.Breaker{Failures: 1}},
				member{Name: "a2", Key: "a", Agent: agent("a2", nil)}, member{Name: "b", Agent: agent("b", nil)})
			g := built(t, middleware.Wrap[string, string](p).Retry(promptly))
			asked(t, g, "hi")
			expect(t, tc.class.String()+": asked", strings.Join(who, " "), tc.asked)
			if tc.class != strategies.ClassUnauthorized { // that takes five
				expect(t, tc.class.String()+": the other of the key", p.Health()[1].Breaker, tc.second)
				asked(t, g, "hi")
				expect(t, tc.class.String()+": in two calls", strings.Join(who, " "), tc.inTwoCalls)
			}
		}
	})
	t.Run("a choice of the user's own is made among those that may be asked", func(t *testing.T) {
		a, b, c := &region{}, &region{}, &region{}
		shut := &strategies.Breaker{}
		shut.Isolate()
		var seen []string
		s := inOrder()
		s.Choose = func(req string, among []middleware.MemberHealth) int {
			seen = nil
			for _, m := range among {
				seen = append(seen, m.Name)
			}
			switch req {
			case "panic":
				panic("no")
			case "beyond":
				return 7
			}
			return len(among) - 1
		}
		p := pooled(t, s, member{Name: "a", Agent: a}, member{Name: "b", Agent: b}, member{Name: "c", Agent: c, Breaker: shut})
		for _, req := range []string{"last", "panic", "beyond"} {
			if _, err := p.Run(t.Context(), req); err != nil {
				t.Error(err)
			}
		}
		expect(t, "among", strings.Join(seen, " "), "a b")
		expect(t, "calls", [3]int64{a.calls.Load(), b.calls.Load(), c.calls.Load()}, [3]int64{2, 1, 0})
	})
	t.Run("a member that hangs is booked with the chain's own limit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hangs := &region{takes: time.Hour}
			p := pooled(t, inOrder(), member{Name: "a", Agent: hangs, Breaker: &strategies.Breaker{Failures: 2}}, member{Name: "b", Agent: &region{}})
			g := built(t, middleware.Wrap[string, string](p).Retry(promptly).Timeout(5*time.Second))
			for range 3 {
				asked(t, g, "hi")
			}
			expect(t, "calls", hangs.calls.Load(), 2)
			expect(t, "breaker", p.Health()[0].Breaker, strategies.StateOpen)
		})
	})
	t.Run("one that comes back gets one call, then two at a time, and one more for each answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{NoJitter: true}
			a := &region{takes: time.Second}
			p := pooled(t, inOrder(), member{Name: "a", Agent: a, Breaker: b}, member{Name: "b", Agent: &region{takes: time.Second}})
			b.Hold(10*time.Second, errSick)
			time.Sleep(10 * time.Second)
			var all sync.WaitGroup
			for i, want := range []int64{1, 3, 7, 15} {
				for range 20 {
					all.Go(func() { _, _ = p.Run(t.Context(), "") })
				}
				all.Wait()
				if n := a.calls.Load(); n != want {
					t.Errorf("round %d: it has had %d calls, want %d", i, n, want)
				}
			}
		})
	})
	t.Run("what is too long a wait for the pool is one for the chain's retries, if it is a rate limit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{NoJitter: true}
			p := pooled(t, inOrder(), member{Name: "a", Agent: &region{}, Breaker: b})
			g := built(t, middleware.Wrap[string, string](p).Retry(strategies.Retry{}))
			b.Hold(25*time.Second, ofClass(strategies.ClassRateLimited))
			start := time.Now()
			asked(t, g, "hi")
			if took := time.Since(start); took < 25*time.Second || took > 30*time.Second {
				t.Errorf("after %v", took)
			}
			b.Hold(25*time.Second, ofClass(strategies.ClassQuotaExhausted))
			start = time.Now()
			failing(t, g)
			expect(t, "a quota is not waited for: after", time.Since(start), 0)
		})
	})
	t.Run("who waits for the first call of another to one that comes back is told of its end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{NoJitter: true}
			p := pooled(t, inOrder(), member{Name: "a", Agent: &region{takes: 100 * time.Millisecond}, Breaker: b})
			b.Hold(5*time.Second, errSick)
			start := time.Now()
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					if _, err := p.Run(t.Context(), ""); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			expect(t, "all were answered after", time.Since(start).Round(time.Millisecond), 5*time.Second+200*time.Millisecond)
		})
	})
	t.Run("a member that is guarded: its pace and its bulkhead are seen, its retries are left out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := &region{takes: time.Second}, &region{takes: time.Second}
			a.fail(errSick)
			first := built(t, middleware.Wrap[string, string](a).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{Failures: 1}))
			second := built(t, middleware.Wrap[string, string](b).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Minute}))
			p := pooled(t, inOrder(), member{Name: "a", Agent: first}, member{Name: "b", Agent: second})
			g := built(t, middleware.Wrap[string, string](p).Retry(promptly))
			asked(t, g, "hi")
			expect(t, "calls", [2]int64{a.calls.Load(), b.calls.Load()}, [2]int64{1, 1})
			expect(t, "breaker", p.Health()[0].Breaker, strategies.StateOpen)
			a.heal()
			first2 := built(t, middleware.Wrap[string, string](a))
			p = pooled(t, middleware.PoolSettings[string]{}, member{Name: "b", Agent: second}, member{Name: "a", Agent: first2})
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() { _, _ = p.Run(t.Context(), "") })
				synctest.Wait()
			}
			if n := p.Health()[0].InFlight; n > 1 {
				t.Errorf("%d wait for a slot, and the other has room", n)
			}
			all.Wait()
		})
	})
	t.Run("another domain is tried first", func(t *testing.T) {
		var asked []string
		make1 := func(name, domain string, fails bool) member {
			return member{Name: name, Domain: domain, Agent: middleware.Func(func(context.Context, string) (string, error) {
				asked = append(asked, name)
				if fails {
					return "", errSick
				}
				return "hi", nil
			})}
		}
		g := built(t, middleware.Wrap(pooled(t, inOrder(), make1("east-1", "east", true), make1("east-2", "east", true), make1("west-1", "west", true), make1("west-2", "west", false))).
			Retry(strategies.Retry{Backoff: strategies.Delays{0}}))
		if _, err := g.Run(t.Context(), ""); err != nil {
			t.Error(err)
		}
		expect(t, "asked", strings.Join(asked, " "), "east-1 west-1 east-2 west-2")
	})
	t.Run("all are held: it waits for the first that comes back, if that fits", func(t *testing.T) {
		for _, tc := range []struct {
			most, limit time.Duration
			answer      string
			after       time.Duration
		}{
			{0, time.Minute, "hi", 3 * time.Second},
			{time.Second, time.Minute, "", 0},
			{0, time.Second, "", 0},
		} {
			synctest.Test(t, func(t *testing.T) {
				r := &region{}
				slow, fast := &strategies.Breaker{NoJitter: true}, &strategies.Breaker{NoJitter: true}
				slow.Hold(time.Hour, errSick)
				fast.Hold(3*time.Second, errSick)
				s := inOrder()
				s.MaxWait = tc.most
				p := pooled(t, s, member{Name: "slow", Agent: r, Breaker: slow}, member{Name: "fast", Agent: r, Breaker: fast})
				ctx, cancel := context.WithTimeout(t.Context(), tc.limit)
				defer cancel()
				start := time.Now()
				answer, err := p.Run(ctx, "")
				expect(t, "answer", answer, tc.answer)
				if took := time.Since(start); took < tc.after || took > tc.after+2*time.Second {
					t.Errorf("after %v, want %v", took, tc.after)
				}
				if tc.answer == "" {
					expectIs(t, err, strategies.ErrRejected)
				}
			})
		}
	})
	t.Run("only who can is asked", func(t *testing.T) {
		small, large := &region{}, &region{}
		p := pooled(t, inOrder(), member{Name: "small", Agent: small, Can: func(req string) bool { return len(req) < 5 }}, member{Name: "large", Agent: large, Can: func(req string) bool { return len(req) < 50 }})
		for _, req := range []string{"a", "a longer one"} {
			if _, err := p.Run(t.Context(), req); err != nil {
				t.Error(err)
			}
		}
		expect(t, "calls", [2]int64{small.calls.Load(), large.calls.Load()}, [2]int64{1, 1})
		_, err := p.Run(t.Context(), strings.Repeat("x", 100))
		expect(t, "class", strategies.Classify(err).Class, strategies.ClassBadRequest)
	})
	t.Run("a conversation stays with who answered it, until that is unwell", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := &region{takes: time.Millisecond}, &region{takes: time.Millisecond}
			s := middleware.PoolSettings[string]{Stay: func(req string) string { return req }, MaxStays: 100}
			g := built(t, middleware.Wrap(pooled(t, s, member{Name: "a", Agent: a}, member{Name: "b", Agent: b})).Retry(promptly))
			for range 40 {
				if _, err := g.Run(t.Context(), "chat"); err != nil {
					t.Fatal(err)
				}
			}
			if x, y := a.calls.Load(), b.calls.Load(); x*y != 0 {
				t.Errorf("%d and %d: the voice changed", x, y)
			}
			for i := range 1000 {
				if _, err := g.Run(t.Context(), fmt.Sprint("chat", i)); err != nil {
					t.Fatal(err)
				}
			}
			if a.calls.Load() < 100 || b.calls.Load() < 100 {
				t.Error("new conversations go to one member only")
			}
		})
	})
	t.Run("a member that panics or ends its goroutine is booked", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		p := pooled(t, inOrder(), member{Name: "a", Breaker: b, Agent: middleware.Func(func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil })})
		var all sync.WaitGroup
		all.Go(func() { _, _ = p.Run(t.Context(), "") })
		all.Wait()
		expect(t, "breaker", b.State(), strategies.StateOpen)
		expect(t, "in flight", p.Health()[0].InFlight, 0)
	})
	for name, build := range map[string]func() error{
		"no member":      func() error { _, err := middleware.Pool[string, string](inOrder()); return err },
		"a nameless one": func() error { _, err := middleware.Pool(inOrder(), member{Agent: &region{}}); return err },
		"a nil agent":    func() error { _, err := middleware.Pool(inOrder(), member{Name: "a"}); return err },
		"a name twice": func() error {
			_, err := middleware.Pool(inOrder(), member{Name: "a", Agent: &region{}}, member{Name: "a", Agent: &region{}})
			return err
		},
		"a weight below 0": func() error {
			_, err := middleware.Pool(inOrder(), member{Name: "a", Agent: &region{}, Weight: -1})
			return err
		},
		"a weight of NaN": func() error {
			_, err := middleware.Pool(inOrder(), member{Name: "a", Agent: &region{}, Weight: math.NaN()})
			return err
		},
		"a wait below 0": func() error {
			_, err := middleware.Pool(middleware.PoolSettings[string]{MaxWait: -1}, member{Name: "a", Agent: &region{}})
			return err
		},
	} {
		t.Run("it refuses "+name, func(t *testing.T) { expectIs(t, build(), strategies.ErrConfig) })
	}
	t.Run("Explain tells of it, whole and streamed", func(t *testing.T) {
		whole := pooled(t, inOrder(), member{Name: "a", Agent: &region{}}, member{Name: "b", Agent: &region{}})
		streamed := streamPool(t, middleware.PoolSettings[string]{MaxWait: time.Second}, streamMember{Name: "a", Agent: voices(script{"."})}, streamMember{Name: "b", Agent: voices(script{"."})})
		for text, want := range map[string]string{
			built(t, middleware.Wrap[string, string](whole)).Explain().String():              "the first that may be asked of a, b; a retry asks another, and an attempt waits up to 10s for one",
			streaming(t, middleware.WrapStream[string, string](streamed)).Explain().String(): "the better of two of a, b; a retry asks another, and an attempt waits up to 1s for one",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("it says\n%s\nand not %q", text, want)
			}
		}
	})
	t.Run("one that was not built says so", func(t *testing.T) {
		_, err := (*middleware.PoolAgent[string, string])(nil).Run(t.Context(), "")
		expectIs(t, err, strategies.ErrConfig)
	})
}

func TestPoolShares(t *testing.T) {
	t.Run("shares follow weights", func(t *testing.T) {
		for seed := range uint64(5) {
			synctest.Test(t, func(t *testing.T) {
				regions := []*region{{takes: time.Second}, {takes: time.Second}, {takes: time.Second}}
				p := pooled(t, middleware.PoolSettings[string]{Spread: &strategies.Spread{Seed: seed + 1}},
					member{Name: "a", Agent: regions[0], Weight: 1}, member{Name: "b", Agent: regions[1], Weight: 2}, member{Name: "c", Agent: regions[2], Weight: 4})
				const calls = 7000
				var all sync.WaitGroup
				for i := range calls {
					all.Go(func() {
						time.Sleep(time.Duration(i) * 20 * time.Millisecond)
						_, _ = p.Run(t.Context(), "")
					})
				}
				all.Wait()
				for i, want := range []float64{1. / 7, 2. / 7, 4. / 7} {
					if got := float64(regions[i].calls.Load()) / calls; math.Abs(got-want) > 0.06 {
						t.Errorf("seed %d: member %d has %.3f of the calls, want %.3f", seed, i, got, want)
					}
				}
			})
		}
	})
	t.Run("a slow member gets little", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			slow, a, b := &region{takes: 10 * time.Second}, &region{takes: time.Second}, &region{takes: time.Second}
			p := pooled(t, middleware.PoolSettings[string]{Spread: &strategies.Spread{Seed: 7}}, member{Name: "slow", Agent: slow}, member{Name: "a", Agent: a}, member{Name: "b", Agent: b})
			var all sync.WaitGroup
			for i := range 3000 {
				all.Go(func() {
					time.Sleep(time.Duration(i) * 50 * time.Millisecond)
					_, _ = p.Run(t.Context(), "")
				})
			}
			all.Wait()
			if n := slow.calls.Load(); n > 150 {
				t.Errorf("the slow member has %d of 3000 calls", n)
			}
		})
	})
	t.Run("nobody is asked while it is held", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			held := &strategies.Breaker{NoJitter: true}
			a, b := &region{}, &region{}
			p := pooled(t, middleware.PoolSettings[string]{}, member{Name: "a", Agent: a, Breaker: held}, member{Name: "b", Agent: b})
			held.Hold(time.Minute, errSick)
			for range 500 {
				_, _ = p.Run(t.Context(), "")
			}
			expect(t, "calls while held", a.calls.Load(), 0)
			time.Sleep(2 * time.Minute)
			for range 500 {
				_, _ = p.Run(t.Context(), "")
			}
			if a.calls.Load() == 0 {
				t.Error("it never came back")
			}
		})
	})
	t.Run("every call that somebody can answer is answered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			regions := []*region{{takes: 10 * time.Millisecond}, {takes: 10 * time.Millisecond}, {takes: 10 * time.Millisecond}}
			p := pooled(t, middleware.PoolSettings[string]{Spread: &strategies.Spread{Seed: 3}},
				member{Name: "a", Agent: regions[0]}, member{Name: "b", Agent: regions[1]}, member{Name: "c", Agent: regions[2]})
			g := built(t, middleware.Wrap(p).Retry(strategies.Retry{Budget: &strategies.Budget{Capacity: 1 << 30}}))
			for round := range 300 {
				for i, r := range regions {
					if i == round/20%3 {
						r.heal() // one at least is well
						continue
					}
					switch round % 4 {
					case 0:
						r.fail(errSick)
					case 1:
						r.fail(strategies.WithRetryAfter(5*time.Second, ofClass(strategies.ClassRateLimited)))
					case 2:
						r.fail(ofClass(strategies.ClassUnauthorized))
					default:
						r.heal()
					}
				}
				open := p.Health()[round/20%3].Breaker == strategies.StateClosed
				if _, err := g.Run(t.Context(), ""); err != nil && open {
					t.Errorf("round %d: %v", round, err)
				}
				time.Sleep(3 * time.Second)
			}
		})
	})
}
