package middleware_test

import (
	"fmt"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// A chain with a state for each of 10,000 keys beside the same chain with one for all,
// what a key's first call costs, and an update.
func BenchmarkBy(b *testing.B) {
	chain := func(with func(*middleware.Builder[string, string])) *middleware.Guarded[string, string] {
		return wholeChain(b, with)
	}
	keys := func(k middleware.Keys) func(*middleware.Builder[string, string]) {
		return func(c *middleware.Builder[string, string]) { c.By(tenant, k) }
	}
	requests := make([]string, 10_000)
	for n := range requests {
		requests[n] = fmt.Sprintf("%d:sing", n)
	}
	ask := func(b *testing.B, g *middleware.Guarded[string, string]) {
		for _, r := range requests {
			_, _ = g.Run(b.Context(), r)
		}
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			_, _ = g.Run(b.Context(), requests[n*7919%len(requests)])
		}
	}
	b.Run("plain", func(b *testing.B) { ask(b, chain(nil)) })
	b.Run("by key", func(b *testing.B) { ask(b, chain(keys(middleware.Keys{}))) })
	b.Run("as many chains", func(b *testing.B) { // what a program would do without By
		all := make([]*middleware.Guarded[string, string], len(requests))
		for n := range all {
			all[n] = chain(nil)
		}
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			at := n * 7919 % len(requests)
			_, _ = all[at].Run(b.Context(), requests[at])
		}
	})
	b.Run("one key", func(b *testing.B) {
		g := chain(keys(middleware.Keys{}))
		b.ReportAllocs()
		for b.Loop() {
			_, _ = g.Run(b.Context(), "ann:sing")
		}
	})
	b.Run("with an allowance", func(b *testing.B) {
		ask(b, chain(keys(middleware.Keys{Allowance: strategies.UsageLimits{Calls: 1 << 40}})))
	})
	b.Run("first call", func(b *testing.B) { ask(b, chain(keys(middleware.Keys{Most: 1}))) })
	b.Run("update", func(b *testing.B) {
		g := chain(nil)
		b.ReportAllocs()
		for b.Loop() {
			if err := g.Update(middleware.WrapFunc(echo).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{})); err != nil {
				b.Fatal(err)
			}
		}
	})
}
