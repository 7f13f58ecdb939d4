package middleware_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func equals(t testing.TB, n int, s middleware.PoolSettings[string]) benchRunner {
	var members []member
	for i := range n {
		members = append(members, member{Name: fmt.Sprint(i), Agent: middleware.Func(echo)})
	}
	return built(t, middleware.Wrap[string, string](pooled(t, s, members...)).Retry(strategies.Retry{}))
}

func oneOf(t testing.TB) benchRunner {
	return built(t, middleware.Wrap(middleware.Func(echo)).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{}))
}

func BenchmarkPool(b *testing.B) {
	for _, n := range []int{2, 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { measureRunner(b, equals(b, n, middleware.PoolSettings[string]{}), false) })
	}
	b.Run("a plain chain", func(b *testing.B) { measureRunner(b, oneOf(b), false) })
}

// What the choice of one of 16 costs beside a plain chain, turn by turn in one run, the
// best of many rounds of each; and what two looks at the clock are of it, without
// which nobody can know who is slow.
func BenchmarkPoolBesideAChain(b *testing.B) {
	ctx := context.Background()
	pool, plain := equals(b, 16, middleware.PoolSettings[string]{}), oneOf(b)
	base := time.Now()
	rounds := []struct {
		name string
		call func()
		best time.Duration
	}{
		{name: "pool-ns", call: func() { _, _ = pool.Run(ctx, "go on") }},
		{name: "chain-ns", call: func() { _, _ = plain.Run(ctx, "go on") }},
		{name: "clock-ns", call: func() { _, _ = time.Since(base), time.Since(base) }},
	}
	const calls = 2000
	for b.Loop() {
		for i := range rounds {
			r := &rounds[i]
			start := time.Now()
			for range calls {
				r.call()
			}
			if took := time.Since(start); r.best == 0 || took < r.best {
				r.best = took
			}
		}
	}
	for _, r := range rounds {
		b.ReportMetric(float64(r.best)/calls, r.name)
	}
	b.ReportMetric(float64(rounds[0].best-rounds[1].best)/calls, "choice-ns")
}

func TestPoolAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates on its own account")
	}
	ctx := t.Context()
	for name, s := range map[string]middleware.PoolSettings[string]{
		"the better of two":          {},
		"in order":                   inOrder(),
		"a conversation that stays":  {Stay: func(req string) string { return req }},
		"weights, and a wait so far": {MaxWait: time.Second},
	} {
		pool := equals(t, 16, s)
		if _, err := pool.Run(ctx, "go on"); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(200, func() { _, _ = pool.Run(ctx, "go on") }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
