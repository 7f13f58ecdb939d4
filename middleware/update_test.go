package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func updated[Req, Resp any](t *testing.T, g *middleware.Guarded[Req, Resp], b *middleware.Builder[Req, Resp]) {
	t.Helper()
	if err := g.Update(b); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func TestUpdate(t *testing.T) {
	bubble := func(it string, f func(t *testing.T)) {
		t.Run("it "+it, func(t *testing.T) { synctest.Test(t, f) })
	}
	sick := func() *middleware.Builder[string, string] { return middleware.Wrap(plays(errSick)).Named("bard") }

	bubble("keeps an open breaker open, by both of its names", func(t *testing.T) {
		old, next := &strategies.Breaker{Failures: 2}, &strategies.Breaker{Failures: 1}
		g := built(t, sick().CircuitBreaker(old))
		failing(t, g)
		failing(t, g)
		updated(t, g, middleware.Wrap(plays("a song")).CircuitBreaker(next))
		expectIs(t, failing(t, g), strategies.ErrRejected)
		expect(t, "health", g.Health().Breaker, strategies.StateOpen)
		next.Reset()
		asked(t, g, "a song")
		expect(t, "state of the old name", old.State(), strategies.StateClosed)
		updated(t, g, middleware.Wrap(plays(errSick)).CircuitBreaker(next)) // the same again
		failing(t, g)
		expect(t, "opens by the new number", old.State(), strategies.StateOpen)
	})
	bubble("keeps a hold, and takes a breaker of another name as it is", func(t *testing.T) {
		limited := strategies.WithRetryAfter(time.Hour, ofClass(strategies.ClassRateLimited))
		g := built(t, middleware.Wrap(plays(limited)).CircuitBreaker(&strategies.Breaker{Name: "key"}))
		failing(t, g)
		updated(t, g, middleware.Wrap(plays("a song")).CircuitBreaker(&strategies.Breaker{Name: "key", MaxHold: time.Minute}))
		failing(t, g)
		expect(t, "held", g.Health().RetryAfter > 59*time.Minute, true)
		updated(t, g, middleware.Wrap(plays("a song")).CircuitBreaker(&strategies.Breaker{Name: "other key"}))
		asked(t, g, "a song")
	})
	bubble("lets calls under way end by the old settings", func(t *testing.T) {
		agent, open := gate()
		g := built(t, middleware.Wrap(agent).Timeout(10*time.Second).Fallback("old", plays("from the old")))
		first := make(chan string)
		go func() { answer, _ := g.Run(t.Context(), "first"); first <- answer }()
		synctest.Wait()
		updated(t, g, middleware.Wrap(agent).Timeout(time.Minute).Fallback("new", plays("from the new")))
		start := time.Now()
		expect(t, "first call", <-first, "from the old")
		expect(t, "after", time.Since(start), 10*time.Second)
		asked(t, g, "from the new")
		expect(t, "after", time.Since(start), 70*time.Second)
		close(open)
		asked(t, g, "hi")
	})
	bubble("keeps what is spent: retries, the budget, the count of failures", func(t *testing.T) {
		budget := &strategies.Budget{Capacity: 100, RetryCost: 10}
		agent := plays(errSick)
		g := built(t, middleware.Wrap(agent).Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}, Budget: budget}))
		failing(t, g)
		expect(t, "left", budget.Left(), 90)
		updated(t, g, middleware.Wrap(agent).Retry(strategies.Retry{MaxRetries: 3, Backoff: strategies.Delays{0}}))
		failing(t, g)
		expect(t, "calls: its retries stay spent", agent.called(), 3)
		h := g.Health()
		expect(t, "health", fmt.Sprint(h.Failures, " ", h.Spent, " ", h.LastError), "2 true the agent is sick")
		expect(t, "left, of 500 now", budget.Left(), 490)
	})
	bubble("keeps the slots of calls in flight, and what a pace has let through", func(t *testing.T) {
		agent, open := gate()
		g := built(t, middleware.Wrap(agent).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1}))
		first := make(chan error)
		go func() { _, err := g.Run(t.Context(), "first"); first <- err }()
		synctest.Wait()
		updated(t, g, middleware.Wrap(agent).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Second}))
		expectIs(t, failing(t, g), strategies.ErrRejected)
		expect(t, "in flight", g.Health().InFlight, 1)
		close(open)
		expect(t, "first call", <-first, nil)
		expect(t, "in flight", g.Health().InFlight, 0)
		asked(t, g, "hi")

		paced := built(t, middleware.Wrap(agent).Pace(&strategies.Pace{RequestsPerMinute: 60, Burst: time.Second, NoWait: true}))
		asked(t, paced, "hi")
		updated(t, paced, middleware.Wrap(agent).Pace(&strategies.Pace{RequestsPerMinute: 120, Burst: time.Second, NoWait: true}))
		failing(t, paced)
		time.Sleep(time.Second)
		asked(t, paced, "hi")
	})
	bubble("tells the old observers of no change any more, and the new ones of each once", func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		old, stays, next := &diary{}, &diary{}, &diary{}
		g := built(t, sick().CircuitBreaker(b).Observe(old).Observe(stays))
		updated(t, g, sick().CircuitBreaker(b).Observe(stays).Observe(next))
		failing(t, g)
		expect(t, "told of by the old", old.read(), "")
		expect(t, "told of by who stays", stays.only(t, middleware.EventBreakerChanged).To, "open")
		expect(t, "told of by the new", next.only(t, middleware.EventBreakerChanged).To, "open")
	})
	bubble("changes how the agent stands in for others, and is the same agent to them", func(t *testing.T) {
		sage := built(t, middleware.Wrap(plays("old wisdom")).Named("sage").Timeout(time.Second))
		bard := built(t, sick().Fallback("sage", sage).Degrade(strategies.LevelReduced, plays("a hum")))
		patient := built(t, sick().Fallback("sage", middleware.WithRetries(sage)))
		asked(t, bard, "old wisdom")
		seen := ""
		updated(t, sage, middleware.Wrap(plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
			seen += fmt.Sprint(middleware.CallOf(ctx).Attempt())
			return "", errGone
		}))).Named("sage").CircuitBreaker(&strategies.Breaker{Failures: 3}).Retry(promptly))
		asked(t, bard, "a hum")
		failing(t, patient)
		expect(t, "attempts of the sage, with its breaker", seen, "112")
		expect(t, "breaker", sage.Health().Breaker, strategies.StateOpen)
	})
	bubble("stands in after an update as before: what its principal failed with is not booked on it too", func(t *testing.T) {
		refused := ofClass(strategies.ClassTransient)
		sage := built(t, middleware.Wrap(plays("wisdom")).Named("sage"))
		bard := built(t, middleware.Wrap(plays(refused)).Named("bard").Fallback("sage", sage))
		updated(t, sage, middleware.Wrap(plays(refused)).CircuitBreaker(&strategies.Breaker{Failures: 1}))
		failing(t, bard)
		expect(t, "breaker", sage.Health().Breaker, strategies.StateClosed)
		failing(t, sage)
		expect(t, "breaker, asked itself", sage.Health().Breaker, strategies.StateOpen)
	})
	bubble("does not recover an agent twice in one tree because it was updated in between", func(t *testing.T) {
		var bard *middleware.Guarded[string, string]
		calls := 0
		settings := func() *middleware.Builder[string, string] {
			return middleware.WrapFunc(func(context.Context, string) (string, error) { calls++; return "", errSick }).Named("bard").
				Fallback("helper", middleware.Func(func(ctx context.Context, req string) (string, error) {
					return bard.Run(ctx, req)
				}))
		}
		bard = built(t, settings())
		failing(t, bard)
		expect(t, "calls", calls, 2)
		helper := middleware.Func(func(ctx context.Context, req string) (string, error) {
			updated(t, bard, settings())
			return bard.Run(ctx, req)
		})
		calls = 0
		updated(t, bard, middleware.WrapFunc(func(context.Context, string) (string, error) { calls++; return "", errSick }).Fallback("helper", helper))
		failing(t, bard)
		expect(t, "calls", calls, 2)
	})
	bubble("keeps two calls with one id one call", func(t *testing.T) {
		var acts atomic.Int64
		pay := middleware.WrapTool("pay", strategies.EffectOnce, func(context.Context, string) (string, error) { acts.Add(1); return "paid", nil }).
			Key(func(s string) string { return s })
		open := make(chan struct{})
		settings := func() *middleware.Builder[string, string] {
			return middleware.WrapFunc(func(ctx context.Context, req string) (string, error) { <-open; return pay.Run(ctx, req) }).Effects(middleware.Effects{})
		}
		g := built(t, settings())
		ctx := middleware.WithCallID(t.Context(), "order 7")
		answers := make(chan string, 3)
		run := func() { answer, _ := g.Run(ctx, "rent"); answers <- answer }
		go run()
		synctest.Wait()
		updated(t, g, settings())
		go run()
		synctest.Wait()
		close(open)
		expect(t, "answers", []string{<-answers, <-answers}, []string{"paid", "paid"})
		run() // the journal that nobody has named is still there
		expect(t, "later", <-answers, "paid")
		expect(t, "payments", acts.Load(), 1)
	})
	bubble("keeps the bound of what a hard timeout leaves behind", func(t *testing.T) {
		open := make(chan struct{})
		deaf := func() *middleware.Builder[string, string] {
			return middleware.WrapFunc(func(context.Context, string) (string, error) { <-open; return "late", nil })
		}
		g := built(t, deaf().HardTimeout(time.Second, 2))
		failing(t, g)
		updated(t, g, deaf().HardTimeout(time.Second, 1))
		expectIs(t, failing(t, g), strategies.ErrRejected)
		expect(t, "left behind", g.Health().LeftBehind, 1)
		close(open)
		synctest.Wait()
		asked(t, g, "late")
	})
	t.Run("it changes nothing if the settings are wrong", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays("a song")).Named("bard"))
		for it, b := range map[string]*middleware.Builder[string, string]{
			"no builder": nil, "no agent": middleware.Wrap[string, string](nil), "nonsense": middleware.Wrap(plays("x")).Timeout(-1),
			"another name": middleware.Wrap(plays("x")).Named("sage"),
		} {
			if _, ok := errors.AsType[*strategies.ConfigError](g.Update(b)); !ok {
				t.Errorf("%s: no ConfigError", it)
			}
		}
		asked(t, g, "a song")
		if err := (*middleware.Guarded[string, string])(nil).Update(middleware.Wrap(plays("x"))); err == nil {
			t.Error("one that was not built was updated")
		}
	})
	t.Run("it is known by the same owner, which tells of the new settings", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays("a song")).Named("bard"))
		owner := g.Owner()
		updated(t, g, middleware.Wrap(plays("a song")).Retry(strategies.Retry{MaxRetries: 2}).Timeout(time.Second).CircuitBreaker(&strategies.Breaker{}))
		expect(t, "owner", g.Owner() == owner, true)
		expect(t, "calls", owner.Explain().Calls, 3)
		expect(t, "name", g.Name(), "bard")
		breaker := owner.Breaker()
		updated(t, g, middleware.Wrap(plays("a song")).CircuitBreaker(&strategies.Breaker{Name: "other"}))
		expect(t, "a breaker of another name, and nobody who parks", owner.Breaker() != breaker && !owner.Parks(), true)
	})
}

func TestUpdateOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		words := func(all ...string) *middleware.StreamBuilder[string, string] {
			return middleware.WrapStreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
				return func(yield func(string, error) bool) {
					for _, w := range all {
						time.Sleep(time.Second)
						if ctx.Err() != nil || !yield(w, nil) {
							return
						}
					}
				}
			})
		}
		read := func(s middleware.Streamer[string, string]) string {
			all, err := middleware.Collect(s.Stream(t.Context(), "sing"))
			return fmt.Sprint(all, err)
		}
		breaker := &strategies.Breaker{}
		g, err := words("old", "song").Complete(func(w string) bool { return w == "song" }).CircuitBreaker(breaker).Build()
		if err != nil {
			t.Fatal(err)
		}
		other, err := words().Fallback("bard", g).Build()
		if err != nil {
			t.Fatal(err)
		}
		under := make(chan string)
		go func() { under <- read(g) }()
		time.Sleep(1500 * time.Millisecond)
		next := &strategies.Breaker{Failures: 1}
		if err := g.Update(words("new").CircuitBreaker(next)); err != nil {
			t.Fatal(err)
		}
		expect(t, "the stream under way", <-under, "[old song] <nil>")
		expect(t, "the next", read(g), "[new] <nil>")
		expect(t, "as a stand-in", read(other), "[new] <nil>")
		breaker.Isolate()
		expect(t, "the breaker under its new name", next.State(), strategies.StateIsolated)
		if g.Update(nil) == nil || g.Update(words("x").Idle(-1)) == nil || (*middleware.GuardedStream[string, string])(nil).Update(words("x")) == nil {
			t.Error("what is wrong is refused")
		}
	})
}

// Updates in the middle of everything: each call is answered once, each failure is
// counted, the slots come back, and what is watched is what the last settings watch.
func TestUpdateUnderLoad(t *testing.T) {
	const callers, each = 8, 300
	agent := middleware.Func(func(_ context.Context, req string) (string, error) {
		if req == "fail" {
			return "", errSick
		}
		return req, nil
	})
	told := &diary{}
	settings := func(n int) *middleware.Builder[string, string] {
		return middleware.Wrap(agent).Named("bard").Observe(told).
			Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}, Budget: &strategies.Budget{Capacity: 1 << 20, RetryCost: 1, Refund: 1 + n%2}}).
			CircuitBreaker(&strategies.Breaker{Failures: callers*each*2 + 1, OpenFor: time.Duration(1+n%3) * time.Second}).
			Bulkhead(&strategies.Bulkhead{MaxConcurrent: 100 + n%3, MaxWait: time.Minute}).
			Timeout(time.Duration(10+n%2) * time.Second)
	}
	g := built(t, settings(0))
	var group sync.WaitGroup
	var answered, lost atomic.Int64
	for c := range callers {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(c), 5))
			for range each {
				req := "fail"
				if r.IntN(3) > 0 {
					req = "sing"
				}
				answer, err := g.Run(t.Context(), req)
				switch {
				case req == "sing" && err == nil && answer == "sing":
					answered.Add(1)
				case req == "fail" && errors.Is(err, errSick):
					lost.Add(1)
				default:
					t.Errorf("%q: %q, %v", req, answer, err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { group.Wait(); close(ended) }()
	updates := 0
	for running := true; running; updates++ {
		select {
		case <-ended:
			running = false
		default:
			updated(t, g, settings(updates))
			runtime.Gosched()
		}
	}
	expect(t, "calls", answered.Load()+lost.Load(), int64(callers*each))
	h := g.Health()
	expect(t, "in flight and waiting", h.InFlight+h.Waiting, 0)
	t.Logf("%d updates", updates)
}

func TestUpdateLosesNoFailure(t *testing.T) {
	const callers, each = 8, 110
	settings := func(n int) *middleware.Builder[string, string] {
		return middleware.Wrap(plays(errSick)).CircuitBreaker(&strategies.Breaker{Failures: callers*each + 1, OpenFor: time.Duration(1+n%3) * time.Minute})
	}
	g := built(t, settings(0))
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range each {
				_, _ = g.Run(t.Context(), "sing")
			}
		})
	}
	ended := make(chan struct{})
	go func() { group.Wait(); close(ended) }()
	for n := 0; ; n++ {
		updated(t, g, settings(n))
		select {
		case <-ended:
			expect(t, "failures", g.Health().Failures, callers*each)
			expect(t, "state", g.Health().Breaker, strategies.StateClosed)
			failing(t, g)
			expect(t, "state at one more", g.Health().Breaker, strategies.StateOpen)
			return
		default:
		}
	}
}

// What a chain that has been updated leaves behind, and what it costs.
func TestUpdateLeavesNothingBehind(t *testing.T) {
	breaker := &strategies.Breaker{}
	g := built(t, middleware.Wrap(plays("a song")).CircuitBreaker(breaker))
	for n := range 2000 {
		updated(t, g, middleware.Wrap(plays("a song")).CircuitBreaker(breaker).Observe(&diary{}).Timeout(time.Duration(1+n%5)*time.Second))
	}
	size := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := size()
	for n := range 5000 {
		updated(t, g, middleware.Wrap(plays("a song")).CircuitBreaker(breaker).Observe(&diary{}).Timeout(time.Duration(1+n%5)*time.Second))
	}
	if after := size(); after > before+256<<10 {
		t.Errorf("5,000 updates leave %d kB behind", (after-before)>>10)
	}
	runtime.KeepAlive(g)
}
