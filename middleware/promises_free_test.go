package middleware_test

import (
	"context"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// wholeChain is every layer but those that need a context of their own.
func wholeChain(tb testing.TB, with func(b *middleware.Builder[string, string])) *middleware.Guarded[string, string] {
	tb.Helper()
	b := middleware.WrapFunc(func(_ context.Context, req string) (string, error) { return req, nil }).Named("narrator").
		Retry(strategies.Retry{}).
		CircuitBreaker(&strategies.Breaker{}).
		Bulkhead(&strategies.Bulkhead{MaxConcurrent: 64}).
		Validate(func(_ context.Context, _, answer string) error { return nil }).
		Fallback("archivist", plays("a record")).
		Degrade(strategies.LevelReduced, plays("a word")).Ladder(&strategies.Ladder{}).
		Intervene(middleware.Intervention{Ask: inbox.NewDesk()}).
		Observe(&diary{})
	if with != nil {
		with(b)
	}
	return built(tb, b)
}

// Allocations are exact; time is the benchmarks' business.
func TestPromise7FreeWhenHealthy(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates on its own account")
	}
	ctx := t.Context()
	allocs := func(call func()) float64 { return testing.AllocsPerRun(500, call) }
	run := func(g *middleware.Guarded[string, string]) float64 {
		return allocs(func() {
			if answer, err := g.Run(ctx, "go on"); answer != "go on" || err != nil {
				t.Fatal(answer, err)
			}
		})
	}
	limit := allocs(func() {
		_, cancel := context.WithTimeout(ctx, time.Minute)
		cancel()
	})
	limits := allocs(func() { // a context in a context costs more than twice one
		outer, cancel := context.WithTimeout(ctx, time.Hour)
		_, cancelInner := context.WithTimeout(outer, time.Minute)
		cancelInner()
		cancel()
	})
	if limit == 0 {
		t.Fatal("context.WithTimeout is measured as free: so would be everything")
	}
	for name, tc := range map[string]struct {
		with func(b *middleware.Builder[string, string])
		most float64
	}{
		"the whole chain":        {nil, 0},
		"with a second observer": {func(b *middleware.Builder[string, string]) { b.Observe(&diary{}) }, 0},
		"with a shared tally":    {func(b *middleware.Builder[string, string]) { b.Tally(&strategies.Tally{}) }, 0},
		"with Timeout":           {func(b *middleware.Builder[string, string]) { b.Timeout(time.Minute) }, limit},
		"with Pace":              {func(b *middleware.Builder[string, string]) { b.Pace(&strategies.Pace{RequestsPerMinute: 1 << 30}) }, 0},
		"with UsageLimits":       {func(b *middleware.Builder[string, string]) { b.UsageLimits(strategies.UsageLimits{Calls: 1 << 30}) }, 1},
		"with Timeout and Deadline": {
			func(b *middleware.Builder[string, string]) { b.Timeout(time.Minute).Deadline(time.Hour) }, limits,
		},
	} {
		t.Run("it allocates no more than it says: "+name, func(t *testing.T) {
			g := wholeChain(t, tc.with)
			n := run(g)
			if n > tc.most {
				t.Errorf("%v allocations a call, want at most %v", n, tc.most)
			}
			if o := allocs(func() { g.Outcome(ctx, "go on") }); o > n+2 {
				t.Errorf("%v allocations a call of Outcome, want at most 2 beyond the %v of Run", o, n)
			}
		})
	}
	t.Run("it allocates nothing with a rolling window", func(t *testing.T) {
		b := middleware.WrapFunc(func(_ context.Context, req string) (string, error) { return req, nil }).
			Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{Window: time.Minute}).Fallback("archivist", plays("a record"))
		if n := run(built(t, b)); n != 0 {
			t.Errorf("%v allocations a call", n)
		}
	})
	t.Run("it allocates nothing after it has recovered", func(t *testing.T) {
		agent := plays(errSick, "go on")
		b := middleware.Wrap(agent).Retry(promptly).CircuitBreaker(&strategies.Breaker{}).Fallback("archivist", plays("a record"))
		g := built(t, b)
		asked(t, g, "go on")
		if n := run(g); n != 0 {
			t.Errorf("%v allocations a call", n)
		}
	})
}
