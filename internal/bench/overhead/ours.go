package overhead

import (
	"context"
	"iter"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

var ours = System{
	Name: Ours,
	Config: "Wrap(agent).Retry(Retry{Backoff: Delays{0}, Budget: one that never runs dry}).CircuitBreaker(&Breaker{OpenFor: 1h}).Run for each call;\n" +
		"Fallback(…), Timeout(1m); full chain: Fallback, Degrade(Reduced, …), Intervene(…), Observe(…); everything else as it is by default, classification of errors included",
	Guard: func(agent Agent, p Policies) Op {
		breaker := &strategies.Breaker{OpenFor: openFor}
		b := settled(middleware.WrapFunc(agent), breaker)
		if p.Timeout {
			b.Timeout(limit)
		}
		if p.Fallback {
			b.Fallback("archivist", middleware.Func(standIn))
		}
		if p.Full {
			b.Degrade(strategies.LevelReduced, middleware.Func(reduced)).
				Intervene(middleware.Intervention{Ask: strategies.IntervenorFunc(nobody)}).
				Observe(middleware.ObserverFunc(func(_ context.Context, e middleware.Event) { observed(e.Err) }))
		}
		guarded, err := b.Build()
		if err != nil {
			panic(err) // a setting above is wrong
		}
		for range failures {
			if !p.Open {
				break
			}
			permit, err := breaker.Allow()
			if err != nil {
				panic(err)
			}
			permit.Failure(errSick)
		}
		return func(ctx context.Context) (string, error) { return guarded.Run(ctx, request) }
	},
}

// settled gives a chain the settings of every case.
func settled(b *middleware.Builder[string, string], breaker *strategies.Breaker) *middleware.Builder[string, string] {
	return b.Retry(strategies.Retry{Backoff: strategies.Delays{0}, Budget: &strategies.Budget{Capacity: 1 << 40}}).CircuitBreaker(breaker)
}

// stream is an agent that says n numbers, in the usual layers.
func stream(n int, idle bool) func(ctx context.Context) iter.Seq2[int, error] {
	agent := middleware.StreamFunc(func(context.Context, string) iter.Seq2[int, error] { return counting(n) })
	b := middleware.WrapStream(agent).
		Retry(strategies.Retry{}).
		CircuitBreaker(&strategies.Breaker{}).
		Fallback("archivist", agent)
	if idle {
		b.Idle(time.Minute)
	}
	guarded, err := b.Build()
	if err != nil {
		panic(err) // a setting above is wrong
	}
	return func(ctx context.Context) iter.Seq2[int, error] { return guarded.Stream(ctx, request) }
}

// nobody decides nothing.
func nobody(context.Context, strategies.Incident) (strategies.Decision, error) {
	return strategies.Decision{}, nil
}
