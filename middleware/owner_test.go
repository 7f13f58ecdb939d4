package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// A chain put together by hand keeps the promises of a built one, because its
// layers know by their owner whose failure they see.
func TestOwner(t *testing.T) {
	t.Run("a reduced answer of the agent is not passed off as a stand-in's own", func(t *testing.T) {
		told := &diary{}
		owner := &middleware.Owner{Name: "bard", Observer: told}
		var chain middleware.Runner[string, string]
		asksBack := middleware.Func(func(ctx context.Context, req string) (string, error) { return chain.Run(ctx, req) })
		rung := middleware.Rung[string, string]{Level: strategies.LevelReduced, Runner: plays("so so")}
		agent := plays(errSick)
		chain = middleware.Chain(agent, middleware.Degrade(owner, nil, rung), middleware.Fallback(owner, standIn{Name: "b", Agent: asksBack}))
		answer, err := chain.Run(t.Context(), "hello")
		expect(t, "answer", answer, "so so")
		expect(t, "error", err, nil)
		end := told.only(t, middleware.EventRecovered)
		expect(t, "how", fmt.Sprint(end.Strategy, " ", end.Level, " ", end.ServedBy), "degradation reduced reduced answer")
		expect(t, "calls", agent.called(), 2)
	})
	t.Run("what comes out of it is what a built chain gives", func(t *testing.T) {
		owner := &middleware.Owner{Name: "bard"}
		by := middleware.Chain(plays(errSick), middleware.Degrade(owner, nil, middleware.Rung[string, string]{Level: strategies.LevelReduced, Runner: plays(errGone)}),
			middleware.Retry[string, string](owner, promptly), middleware.CircuitBreaker[string, string](owner, &strategies.Breaker{}), middleware.Recover[string, string](owner))
		g := built(t, middleware.Wrap(plays(errSick)).Named("bard").Degrade(strategies.LevelReduced, plays(errGone)).Retry(promptly).CircuitBreaker(&strategies.Breaker{}))
		got, want := recoveryOf(t, failing(t, by)), recoveryOf(t, failing(t, g))
		expect(t, "attempts", attemptsOf(got), attemptsOf(want))
		expect(t, "text", got.Error(), want.Error())
	})
	t.Run("it explains itself, and knows the agent's health, by hand too", func(t *testing.T) {
		owner := &middleware.Owner{Name: "bard"}
		b := &strategies.Breaker{}
		r := middleware.Chain(plays("hi"), middleware.Retry[string, string](owner, promptly), middleware.CircuitBreaker[string, string](owner, b))
		asked(t, r, "hi")
		b.Isolate()
		expect(t, "state", owner.Health().Breaker, strategies.StateIsolated)
		var rows []string
		for _, row := range owner.Explain().Rows {
			rows = append(rows, row.Stage.String())
		}
		expect(t, "layers", fmt.Sprint(rows), "[retry breaker agent]")
	})
	t.Run("a layer without one says so", func(t *testing.T) {
		err := failing(t, middleware.Chain(plays("hi"), middleware.Retry[string, string](nil, promptly)))
		expectIs(t, err, strategies.ErrConfig)
		expectIs(t, failing(t, middleware.Chain(plays("hi"), middleware.Fallback(nil, standIn{Name: "b", Agent: plays("ho")}))), strategies.ErrConfig)
	})
}

// Agents that name each other as plain functions: each one is recovered once in
// a tree of calls, so n of them make at most n² - n + 1 calls.
func TestFunctionStandInsDoNotStorm(t *testing.T) {
	for n := 2; n <= 8; n++ {
		t.Run(fmt.Sprint(n, " agents"), func(t *testing.T) {
			var calls atomic.Int64
			agents := make([]*middleware.Guarded[string, string], n)
			for i := range agents {
				b := middleware.WrapFunc(func(context.Context, string) (string, error) {
					calls.Add(1)
					return "", errSick
				}).Named(fmt.Sprint("a", i))
				for j := range agents {
					if j != i {
						b.Fallback(fmt.Sprint("a", j), middleware.Func(func(ctx context.Context, req string) (string, error) { return agents[j].Run(ctx, req) }))
					}
				}
				agents[i] = built(t, b)
			}
			failing(t, agents[0])
			if most := int64(n*n - n + 1); calls.Load() > most {
				t.Errorf("%d calls, want at most %d", calls.Load(), most)
			}
			found := false
			for _, note := range agents[0].Explain().Notes {
				found = found || note != "" && n > 1 && len(note) > 20
			}
			expect(t, "Explain says that it cannot know", found, true)
		})
	}
}

// An honest stand-in may ask a helper twice, and a person may have it all done
// again: neither is a circle.
func TestHonestHelpersAreNotRefused(t *testing.T) {
	helper := built(t, middleware.Wrap(plays(errSick)).Named("helper").Fallback("other", plays("helped")))
	twice := middleware.Func(func(ctx context.Context, req string) (string, error) {
		a, err := helper.Run(ctx, req)
		if err != nil {
			return "", err
		}
		b, _ := helper.Run(ctx, req) // asked again: it answers, or fails, but is not recovered twice
		return a + b, nil
	})
	asked(t, built(t, middleware.Wrap(plays(errSick)).Fallback("twice", twice)), "helped")
	agent := middleware.Func(func(ctx context.Context, req string) (string, error) {
		a, _ := helper.Run(ctx, req)
		b, _ := helper.Run(ctx, req)
		return a + " " + b, nil
	})
	expect(t, "by the agent itself", built(t, middleware.Wrap(agent)).Outcome(t.Context(), "").Value, "helped helped")
}

// Each failure is judged once, however many layers look at it.
func TestEachFailureIsJudgedOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		build    func(b *builder) *builder
		failures int
	}{
		"of the agent alone": {func(b *builder) *builder { return b }, 1},
		"through all layers": {func(b *builder) *builder {
			return b.Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).CircuitBreaker(&strategies.Breaker{}).
				Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1}).Timeout(1<<40).Deadline(1<<41).
				Fallback("sage", plays(errGone)).Degrade(strategies.LevelReduced, plays(errGone)).Ladder(&strategies.Ladder{}).
				Intervene(always(strategies.Decision{})).Observe(&diary{})
		}, 4},
		"with a guarded stand-in": {func(b *builder) *builder {
			return b.CircuitBreaker(&strategies.Breaker{}).Observe(&diary{})
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var judged atomic.Int64
			c := &strategies.Classifier{Rules: []strategies.Rule{func(error) strategies.Class { judged.Add(1); return 0 }}}
			failing(t, built(t, tc.build(middleware.Wrap(plays(errSick))).Classifier(c)))
			if n := int(judged.Load()); n > tc.failures {
				t.Errorf("%d classifications of %d failures", n, tc.failures)
			}
		})
	}
}

// A failure that code of the user's hands to many callers is written to by none
// of them: the race detector is the judge.
func TestOneFailureForManyCallers(t *testing.T) {
	const callers = 100
	for _, stage := range []middleware.Stage{middleware.StageObserve, middleware.StageIntervene, middleware.StageDegrade, middleware.StageFallback, middleware.StageRetry} {
		t.Run("shared at "+stage.String(), func(t *testing.T) {
			var once sync.Once
			var shared error
			singleflight := func(next middleware.Runner[string, string]) middleware.Runner[string, string] {
				return middleware.Func(func(ctx context.Context, req string) (string, error) {
					once.Do(func() { _, shared = next.Run(ctx, req) })
					return "", shared
				})
			}
			g := built(t, middleware.Wrap(plays(errSick)).Retry(promptly).CircuitBreaker(&strategies.Breaker{}).
				Fallback("sage", plays(errGone)).Degrade(strategies.LevelReduced, plays(errGone)).
				Intervene(always(strategies.Decision{Action: strategies.ActionAbort})).Observe(&diary{}).Use(stage, singleflight))
			var all sync.WaitGroup
			errs := make([]error, callers)
			for i := range callers {
				all.Go(func() { _, errs[i] = g.Run(t.Context(), "hello") })
			}
			all.Wait()
			for _, err := range errs {
				if !errors.Is(err, errSick) || !errors.Is(err, strategies.ErrRecovery) {
					t.Fatalf("error = %v", err)
				}
			}
		})
	}
}

// Chains that are built per call on a shared breaker, ladder and budget leave
// nothing behind, and one change is told once to each observer.
func TestChainsBuiltPerCallLeaveNothing(t *testing.T) {
	breaker, ladder, policy := &strategies.Breaker{}, &strategies.Ladder{}, strategies.Retry{Budget: &strategies.Budget{}}
	var changes atomic.Int64
	told := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
		if e.Kind == middleware.EventBreakerChanged || e.Kind == middleware.EventLevelChanged {
			changes.Add(1)
		}
	})
	agent, rung := plays("hi"), plays("so so")
	build := func() *middleware.Guarded[string, string] {
		g, err := middleware.Wrap(agent).Retry(policy).CircuitBreaker(breaker).Degrade(strategies.LevelReduced, rung).Ladder(ladder).Observe(told).Build()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	heap := func() uint64 {
		for range 4 { // what is dropped is cleaned up after a collection, and freed by the next
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	chains := 100_000
	if testing.Short() || raceDetector {
		chains = 5_000
	}
	build()
	before := heap()
	for range chains {
		build()
	}
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("%d chains left %d bytes behind", chains, grown)
	}
	live := make([]*middleware.Guarded[string, string], 1000)
	for i := range live {
		live[i] = build()
	}
	breaker.Isolate()
	expect(t, "one change of the breaker", changes.Swap(0), 1)
	ladder.Degrade(strategies.LevelMinimal, "by hand")
	expect(t, "one change of the ladder", changes.Swap(0), 1)
	runtime.KeepAlive(live)
}

// BenchmarkBuild is a chain on a shared breaker when the program has built many.
func BenchmarkBuild(b *testing.B) {
	breaker := &strategies.Breaker{}
	agent := plays("hi")
	for _, before := range []int{0, 40_000} {
		b.Run(fmt.Sprint("after ", before), func(b *testing.B) {
			told := &diary{}
			build := func() *middleware.Guarded[string, string] {
				return built(b, middleware.Wrap(agent).Retry(promptly).CircuitBreaker(breaker).Observe(told))
			}
			live := make([]*middleware.Guarded[string, string], before)
			for i := range live {
				live[i] = build()
			}
			b.ReportAllocs()
			for b.Loop() {
				build()
			}
			runtime.KeepAlive(live)
		})
	}
}
