package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// wordy is a streamer: it waits, says its words, and fails with err if it is not nil.
type wordy struct {
	first, between time.Duration
	words          []string
	err            error
	open, opened   atomic.Int32
	deaf           bool
	panics         any
}

func (z *wordy) Stream(ctx context.Context, _ string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		z.open.Add(1)
		z.opened.Add(1)
		defer z.open.Add(-1)
		wait := func(d time.Duration) error {
			if d == 0 {
				return nil
			}
			if z.deaf {
				time.Sleep(d)
				return nil
			}
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := wait(z.first); err != nil {
			yield("", err)
			return
		}
		for _, w := range z.words {
			if !yield(w, nil) {
				return
			}
			if err := wait(z.between); err != nil {
				yield("", err)
				return
			}
		}
		if z.panics != nil {
			panic(z.panics)
		}
		if z.err != nil {
			yield("", z.err)
		}
	}
}

func TestHostilePoolStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		east, west := &wordy{err: errDrowned}, &wordy{words: []string{"a", "b"}}
		pool, err := middleware.PoolStream(middleware.PoolSettings[string]{Spread: &strategies.Spread{InOrder: true}},
			middleware.StreamMember[string, string]{Name: "east", Agent: east},
			middleware.StreamMember[string, string]{Name: "west", Agent: west})
		if err != nil {
			t.Fatal(err)
		}
		g, err := middleware.WrapStream(pool).Named("p").Retry(strategies.Retry{Backoff: strategies.Delays{0}}).Build()
		if err != nil {
			t.Fatal(err)
		}
		seq, told := g.Outcome(t.Context(), "q")
		all, err := middleware.Collect(seq)
		if fmt.Sprint(all) != "[a b]" || err != nil {
			t.Error(all, err)
		}
		if o := told(); len(o.Sources) != 1 || o.Sources[0].Agent != "west" {
			t.Errorf("%+v", o)
		}
		// leave early, many times: says nothing about the member
		east.err = nil
		east.words = []string{"x", "y"}
		for range 30 {
			for range g.Stream(t.Context(), "q") {
				break
			}
		}
		for _, h := range pool.Health() {
			if h.Breaker != strategies.StateClosed || h.InFlight != 0 {
				t.Errorf("%+v", h)
			}
		}
		// panics in the body of the loop pass
		func() {
			defer func() {
				if v := recover(); v != "mine" {
					t.Error(v)
				}
			}()
			for range g.Stream(t.Context(), "q") {
				panic("mine")
			}
		}()
		// panics after the commit
		east.panics = "boom"
		for range 10 {
			all, err := middleware.Collect(g.Stream(t.Context(), "q"))
			if err == nil {
				t.Error(all)
			}
			var pe *strategies.PanicError
			if !errors.As(err, &pe) && fmt.Sprint(all) != "[a b]" {
				t.Error(all, err)
			}
			if err != nil {
				if s, ok := middleware.Sent[string](err); !ok || len(s) != len(all) {
					t.Error(s, ok)
				}
			}
			if pool.Health()[0].Breaker != strategies.StateClosed {
				break
			}
		}
		if pool.Health()[0].Breaker == strategies.StateClosed {
			t.Error("not booked on the member that spoke")
		}
		for _, h := range pool.Health() {
			if h.InFlight != 0 {
				t.Errorf("%+v", h)
			}
		}
	})
}

func TestHostilePoolKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n [3]atomic.Int32
		var bad [3]atomic.Pointer[error]
		fails := func(i int, err error) { bad[i].Store(&err) }
		m := func(i int, key string) middleware.Member[string, string] {
			return middleware.Member[string, string]{Name: fmt.Sprint(i), Key: key, Agent: middleware.Func(func(context.Context, string) (string, error) {
				n[i].Add(1)
				if e := bad[i].Load(); e != nil {
					return "", *e
				}
				return fmt.Sprint(i), nil
			})}
		}
		pool, err := middleware.Pool(middleware.PoolSettings[string]{Spread: &strategies.Spread{InOrder: true}}, m(0, "k"), m(1, "k"), m(2, "other"))
		if err != nil {
			t.Fatal(err)
		}
		g, err := middleware.Wrap(pool).Named("p").Retry(strategies.Retry{Backoff: strategies.Delays{0}}).Build()
		if err != nil {
			t.Fatal(err)
		}
		fails(0, strategies.WithRetryAfter(time.Minute, strategies.WithClass(strategies.ClassRateLimited, errDrowned)))
		v, err := g.Run(t.Context(), "q")
		if v != "2" || err != nil || n[1].Load() != 0 {
			t.Error(v, err, n[1].Load())
		}
		for range 5 {
			if v, err = g.Run(t.Context(), "q"); v != "2" {
				t.Error(v, err)
			}
		}
		if n[0].Load() != 1 {
			t.Error(n[0].Load())
		}
		fails(2, strategies.WithRetryAfter(5*time.Second, strategies.WithClass(strategies.ClassRateLimited, errDrowned)))
		start := time.Now()
		bad2 := time.AfterFunc(3*time.Second, func() { bad[2].Store(nil) })
		defer bad2.Stop()
		v, err = g.Run(t.Context(), "q")
		if v != "2" || err != nil || time.Since(start) < 5*time.Second {
			t.Error("does not wait for the first that comes back")
		}
		// deadline
		fails(2, strategies.WithRetryAfter(5*time.Second, strategies.WithClass(strategies.ClassRateLimited, errDrowned)))
		short, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		_, _ = g.Run(short, "q")
		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err = g.Run(ctx, "q")
		if err == nil || time.Since(start) != 0 {
			t.Error("should be refused at once", err, time.Since(start))
		}
	})
}

func TestHostilePoolWrong(t *testing.T) {
	ok := middleware.Func(func(context.Context, string) (string, error) { return "", nil })
	type M = middleware.Member[string, string]
	for name, ms := range map[string][]M{
		"none": nil, "no name": {{Agent: ok}}, "no agent": {{Name: "a"}}, "twice": {{Name: "a", Agent: ok}, {Name: "a", Agent: ok}},
		"negative": {{Name: "a", Agent: ok, Weight: -1}},
	} {
		if _, err := middleware.Pool(middleware.PoolSettings[string]{}, ms...); !errors.Is(err, strategies.ErrConfig) {
			t.Error(name, err)
		}
	}
	// functions that panic
	pool, err := middleware.Pool(middleware.PoolSettings[string]{
		Choose: func(string, []middleware.MemberHealth) int { panic("choose") },
	}, M{Name: "a", Agent: ok})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = pool.Run(t.Context(), "x"); err != nil { // it is as if there were none
		t.Error(err)
	}
	for _, n := range []int{-7, 99} {
		pool, err = middleware.Pool(middleware.PoolSettings[string]{Choose: func(string, []middleware.MemberHealth) int { return n }}, M{Name: "a", Agent: ok})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = pool.Run(t.Context(), "x"); err != nil {
			t.Error(n, err)
		}
	}
	pool, err = middleware.Pool(middleware.PoolSettings[string]{}, M{Name: "a", Agent: ok, Can: func(string) bool { return false }})
	if err != nil {
		t.Fatal(err)
	}
	_, err = pool.Run(t.Context(), "x")
	if err == nil {
		t.Error("served")
	}
	for range 20 {
		pool, err = middleware.Pool(middleware.PoolSettings[string]{}, M{Name: "a", Agent: ok, Can: func(string) bool { panic("can") }})
		if err != nil {
			t.Fatal(err)
		}
		g, _ := middleware.Wrap(pool).Build()
		_, err = g.Run(t.Context(), "x")
		if err == nil {
			t.Error("can panicked")
		}
		if h := pool.Health()[0]; h.InFlight != 0 {
			t.Error(h)
		}
	}
}

func TestHostilePoolStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ms []middleware.StreamMember[string, string]
		var members []*wordy
		for i := range 6 {
			z := &wordy{first: time.Duration(i) * time.Millisecond, words: []string{"a", "b", "c"}, between: time.Millisecond}
			if i == 4 {
				z.words, z.err = nil, errDrowned
			}
			if i == 5 {
				z.panics = "x"
			}
			members = append(members, z)
			ms = append(ms, middleware.StreamMember[string, string]{Name: fmt.Sprint(i), Agent: z, Key: fmt.Sprint(i / 2)})
		}
		pool, err := middleware.PoolStream(middleware.PoolSettings[string]{Stay: func(s string) string { return s }, MaxStays: 3}, ms...)
		if err != nil {
			t.Fatal(err)
		}
		g, err := middleware.WrapStream(pool).Retry(strategies.Retry{Backoff: strategies.Delays{0}}).Timeout(100*time.Millisecond).
			Continue(2, func(_ context.Context, r string, sent []string) (string, bool) { return r, true }).
			Hedge(&strategies.Hedge{After: 2 * time.Millisecond, MaxRatio: 1, ReadOnly: true}).Build()
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				for j := range 50 {
					ctx, cancel := context.WithCancel(t.Context())
					if j%5 == 0 {
						time.AfterFunc(time.Duration(rand.IntN(5))*time.Millisecond, cancel)
					}
					n := 0
					for range g.Stream(ctx, fmt.Sprint("c", i%9)) {
						n++
						if j%7 == 0 && n == 2 {
							break
						}
					}
					cancel()
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		for i, h := range pool.Health() {
			if h.InFlight != 0 {
				t.Errorf("%d %+v", i, h)
			}
			if members[i].open.Load() != 0 {
				t.Error("still open", i)
			}
		}
	})
}

func TestHostileHedgeStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name string
			a, b *wordy
			want string
			took time.Duration
			err  bool
		}{
			{"the second is quicker", &wordy{first: time.Second, words: []string{"a", "a"}}, &wordy{words: []string{"b", "b"}}, "[b b]", 10 * time.Millisecond, false},
			{"the first is quicker after all", &wordy{first: 20 * time.Millisecond, words: []string{"a", "a"}}, &wordy{first: time.Second, words: []string{"b", "b"}}, "[a a]", 20 * time.Millisecond, false},
			{"the second fails", &wordy{first: 50 * time.Millisecond, words: []string{"a", "a"}}, &wordy{err: errDrowned}, "[a a]", 50 * time.Millisecond, false},
			{"the second panics", &wordy{first: 50 * time.Millisecond, words: []string{"a", "a"}}, &wordy{panics: "p"}, "[a a]", 50 * time.Millisecond, false},
			{"the first fails", &wordy{first: 50 * time.Millisecond, err: errDrowned}, &wordy{first: 100 * time.Millisecond, words: []string{"b"}}, "[b]", 110 * time.Millisecond, false},
			{"both fail", &wordy{first: 50 * time.Millisecond, err: errDrowned}, &wordy{first: 100 * time.Millisecond, err: errDrowned}, "[]", 110 * time.Millisecond, true},
			{"the loser is deaf", &wordy{first: time.Second, words: []string{"a", "a"}, deaf: true}, &wordy{words: []string{"b", "b"}}, "[b b]", time.Second, false},
			{"the first word, then an error", &wordy{first: time.Second}, &wordy{words: []string{"b"}, err: errDrowned}, "[b]", 10 * time.Millisecond, true},
		} {
			g, err := middleware.WrapStream[string, string](c.a).Named("a").Fallback("b", c.b).
				Hedge(&strategies.Hedge{After: 10 * time.Millisecond, MaxRatio: 1, ReadOnly: true}).Build()
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			seq, told := g.Outcome(t.Context(), "q")
			var all []string
			var last error
			for w, err := range seq {
				if err != nil {
					last = err
				} else {
					all = append(all, w)
				}
			}
			if fmt.Sprint(all) != c.want || (last != nil) != c.err || time.Since(start) != c.took {
				t.Error(c.name, all, last, time.Since(start))
			}
			if c.a.open.Load() != 0 || c.b.open.Load() != 0 {
				t.Error(c.name, "still open")
			}
			o := told()
			if !o.Ended || o.Chunks != len(all) || o.Usage.Calls != 2 {
				t.Errorf("%s: %+v", c.name, o)
			}
			if c.b.opened.Load() > 1 {
				t.Error(c.name, "the stand-in was asked", c.b.opened.Load())
			}
		}
	})
}
