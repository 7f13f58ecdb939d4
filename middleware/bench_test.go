package middleware_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// The agent answers at once, so that what is measured is the layers. Run with
// -cpu 1,2 to see what is contended; a time is never asserted, see
// TestPromise7FreeWhenHealthy for what is.

type benchRunner = middleware.Runner[string, string]

func echo(_ context.Context, req string) (string, error) { return req, nil }

// measure runs the benchmark alone and from all processors at once.
func measure(b *testing.B, call func(ctx context.Context)) {
	b.Run("alone", func(b *testing.B) {
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			call(ctx)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		ctx := b.Context()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				call(ctx)
			}
		})
	})
}

func measureRunner(b *testing.B, r benchRunner, fails bool) {
	b.Helper()
	if _, err := r.Run(b.Context(), "go on"); (err != nil) != fails {
		b.Fatalf("error = %v, a failure is expected: %v", err, fails)
	}
	measure(b, func(ctx context.Context) { _, _ = r.Run(ctx, "go on") })
}

func BenchmarkAgent(b *testing.B) { measureRunner(b, middleware.Func(echo), false) }

// bareBreakers are the engine by itself, as one would use it without us.
var bareBreakers = map[string]gobreaker.Settings{
	"consecutive": {},
	"window":      {Interval: 10 * time.Second, BucketPeriod: time.Second},
}

func bareBreaker(s gobreaker.Settings) func(ctx context.Context) {
	cb := gobreaker.NewCircuitBreaker[string](s)
	return func(ctx context.Context) {
		_, _ = cb.Execute(func() (string, error) { return echo(ctx, "go on") })
	}
}

func BenchmarkGobreaker(b *testing.B) {
	for name, s := range bareBreakers {
		b.Run(name, func(b *testing.B) { measure(b, bareBreaker(s)) })
	}
}

// BenchmarkLayer is each layer alone around the agent.
func BenchmarkLayer(b *testing.B) {
	s := &middleware.Owner{Name: "narrator"}
	rung := middleware.Rung[string, string]{Level: strategies.LevelReduced, Runner: plays("a word")}
	standIn := middleware.StandIn[middleware.Runner[string, string]]{Name: "archivist", Agent: plays("a record")}
	for _, layer := range []struct {
		name string
		with middleware.Middleware[string, string]
	}{
		{"recover", middleware.Recover[string, string](s)},
		{"validate", middleware.Validate(func(_ context.Context, _, _ string) error { return nil })},
		{"timeout", middleware.Timeout[string, string](s, time.Minute)},
		{"hard timeout", middleware.HardTimeout[string, string](s, time.Minute, 8)},
		{"bulkhead", middleware.Bulkhead[string, string](s, &strategies.Bulkhead{MaxConcurrent: 64})},
		{"adaptive bulkhead", middleware.Bulkhead[string, string](s, &strategies.Bulkhead{MaxConcurrent: 64, Adaptive: true})},
		{"pace", middleware.Pace[string, string](s, &strategies.Pace{RequestsPerMinute: math.MaxInt32}, nil)},
		{"usage limits", middleware.UsageLimits[string, string](s, strategies.UsageLimits{Calls: math.MaxInt})},
		{"breaker", middleware.CircuitBreaker[string, string](s, &strategies.Breaker{})},
		{"breaker with a window", middleware.CircuitBreaker[string, string](s, &strategies.Breaker{Window: 10 * time.Second})},
		{"retry", middleware.Retry[string, string](s, strategies.Retry{})},
		{"fallback", middleware.Fallback(s, standIn)},
		{"deadline", middleware.Deadline[string, string](s, time.Minute, 0)},
		{"degrade", middleware.Degrade(s, &strategies.Ladder{}, rung)},
		{"intervene", middleware.Intervene[string, string](s, always(strategies.Decision{}), nil)},
	} {
		b.Run(layer.name, func(b *testing.B) { measureRunner(b, middleware.Chain(middleware.Func(echo), layer.with), false) })
	}
}

// promised is the chain of promise 7.
func promised(b *testing.B, breaker *strategies.Breaker, with func(*middleware.Builder[string, string])) *middleware.Guarded[string, string] {
	b.Helper()
	chain := middleware.WrapFunc(echo).Retry(strategies.Retry{}).CircuitBreaker(breaker).Fallback("archivist", plays("a record")).
		Degrade(strategies.LevelReduced, plays("a word")).Intervene(always(strategies.Decision{})).Observe(&diary{})
	if with != nil {
		with(chain)
	}
	return built(b, chain)
}

func breakerOf(name string) *strategies.Breaker {
	if name == "window" {
		return &strategies.Breaker{Window: 10 * time.Second}
	}
	return &strategies.Breaker{}
}

func BenchmarkChain(b *testing.B) {
	b.Run("retry to intervene", func(b *testing.B) { measureRunner(b, promised(b, breakerOf("consecutive"), nil), false) })
	b.Run("with a window", func(b *testing.B) { measureRunner(b, promised(b, breakerOf("window"), nil), false) })
	b.Run("and validate, bulkhead, ladder", func(b *testing.B) { measureRunner(b, wholeChain(b, nil), false) })
	b.Run("with Timeout", func(b *testing.B) {
		measureRunner(b, promised(b, breakerOf("consecutive"), func(c *middleware.Builder[string, string]) { c.Timeout(time.Minute) }), false)
	})
	b.Run("with Pace", func(b *testing.B) {
		measureRunner(b, promised(b, breakerOf("consecutive"), func(c *middleware.Builder[string, string]) {
			c.Pace(&strategies.Pace{RequestsPerMinute: math.MaxInt32})
		}), false)
	})
	b.Run("with UsageLimits", func(b *testing.B) {
		measureRunner(b, promised(b, breakerOf("consecutive"), func(c *middleware.Builder[string, string]) {
			c.UsageLimits(strategies.UsageLimits{Calls: math.MaxInt})
		}), false)
	})
	b.Run("Outcome", func(b *testing.B) {
		g := promised(b, breakerOf("consecutive"), nil)
		measure(b, func(ctx context.Context) { g.Outcome(ctx, "go on") })
	})
}

func BenchmarkWithTimeout(b *testing.B) {
	measure(b, func(ctx context.Context) {
		_, cancel := context.WithTimeout(ctx, time.Minute)
		cancel()
	})
}

// BenchmarkFailurePath is a call that costs something: an attempt that fails, a
// retry without delay, an answer.
func BenchmarkFailurePath(b *testing.B) {
	// A budget that ran dry would have the stand-in measured.
	policy := strategies.Retry{Backoff: strategies.Delays{0}, Budget: &strategies.Budget{Capacity: 1 << 40}}
	g := built(b, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
		if middleware.CallOf(ctx).Attempt() == 1 {
			return "", errSick
		}
		return req, nil
	}).Retry(policy).CircuitBreaker(&strategies.Breaker{Failures: 1 << 30}).Fallback("archivist", plays("a record")))
	if out := g.Outcome(b.Context(), "go on"); out.Strategy != strategies.StrategyRetry {
		b.Fatalf("%+v", out)
	}
	measureRunner(b, g, false)
}

// BenchmarkRejection is a call that an open breaker refuses.
func BenchmarkRejection(b *testing.B) {
	breaker := &strategies.Breaker{}
	breaker.Isolate()
	b.Run("to an error", func(b *testing.B) {
		measureRunner(b, built(b, middleware.WrapFunc(echo).Retry(strategies.Retry{}).CircuitBreaker(breaker)), true)
	})
	b.Run("to a stand-in", func(b *testing.B) {
		standIn := middleware.Func(echo)
		measureRunner(b, built(b, middleware.WrapFunc(echo).Retry(strategies.Retry{}).CircuitBreaker(breaker).Fallback("archivist", standIn)), false)
	})
	b.Run("by gobreaker", func(b *testing.B) {
		cb := gobreaker.NewCircuitBreaker[string](gobreaker.Settings{ReadyToTrip: func(gobreaker.Counts) bool { return true }, Timeout: time.Hour})
		_, _ = cb.Execute(func() (string, error) { return "", errSick })
		measure(b, func(context.Context) { _, _ = cb.Execute(func() (string, error) { return "go on", nil }) })
	})
}

// BenchmarkRatio measures the chain of promise 7 and the bare engine in turns of
// the same run, so that a busy machine slows both, and reports the medians.
func BenchmarkRatio(b *testing.B) {
	const turn = 1000
	for name, s := range bareBreakers {
		b.Run(name, func(b *testing.B) {
			g, bare, ctx := promised(b, breakerOf(name), nil), bareBreaker(s), b.Context()
			var ours, theirs []time.Duration
			for b.Loop() {
				start := time.Now()
				for range turn {
					_, _ = g.Run(ctx, "go on")
				}
				middle := time.Now()
				for range turn {
					bare(ctx)
				}
				ours, theirs = append(ours, middle.Sub(start)), append(theirs, time.Since(middle))
			}
			median := func(turns []time.Duration) float64 {
				slices.Sort(turns)
				return float64(turns[len(turns)/2]) / turn
			}
			b.ReportMetric(0, "ns/op") // of two thousand calls: it says nothing
			b.ReportMetric(median(ours), "chain-ns/call")
			b.ReportMetric(median(theirs), "gobreaker-ns/call")
			b.ReportMetric(median(ours)/median(theirs), "ratio")
		})
	}
}

// BenchmarkEffect is a tool that does nothing, bare and written down in memory. Each
// effect is another one, and the journal forgets old calls.
func BenchmarkEffect(b *testing.B) {
	type args struct{ Order int }
	bare := func(_ context.Context, a args) (int, error) { return a.Order, nil }
	run := func(b *testing.B, tool middleware.Runner[args, int], with func(*middleware.Builder[string, string])) {
		chain := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
			for i := range 8 {
				if _, err := tool.Run(ctx, args{i}); err != nil {
					return "", err
				}
			}
			return "", nil
		})
		with(chain)
		g := built(b, chain)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = g.Run(b.Context(), "")
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/8, "ns/effect")
	}
	b.Run("bare", func(b *testing.B) { run(b, middleware.Func(bare), func(*middleware.Builder[string, string]) {}) })
	b.Run("journaled", func(b *testing.B) {
		run(b, middleware.WrapTool("pay", strategies.EffectOnce, bare), func(c *middleware.Builder[string, string]) {
			c.Effects(middleware.Effects{Journal: &strategies.MemoryJournal{Calls: 100}})
		})
	})
}
