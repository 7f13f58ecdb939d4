package equals

import (
	"context"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

type member = middleware.Member[string, string]

// Ours is a pool with the defaults, and the default retries.
var Ours = System{"understudy", func(members []*Member) Ask {
	return pool(middleware.PoolSettings[string]{Spread: &strategies.Spread{Seed: 1}}, members, func(m *Member) middleware.Runner[string, string] { return m })
}}

// Paced is the same whose members know what their plan allows.
var Paced = System{"understudy, paced", func(members []*Member) Ask {
	return pool(middleware.PoolSettings[string]{Spread: &strategies.Spread{Seed: 1}}, members, func(m *Member) middleware.Runner[string, string] {
		g, err := middleware.Wrap[string, string](m).Named(m.Name).Pace(&strategies.Pace{RequestsPerMinute: 60}).Build()
		if err != nil {
			panic(err) // the settings are constants
		}
		return g
	})
}}

// Staying keeps conversations, and asks the first while it is well.
var Staying = System{"understudy, stay", func(members []*Member) Ask {
	return pool(middleware.PoolSettings[string]{
		Spread: &strategies.Spread{InOrder: true},
		Stay:   func(conversation string) string { return conversation },
	}, members, func(m *Member) middleware.Runner[string, string] { return m })
}}

// Chain is what there was before: the first, and stand-ins in order.
var Chain = System{"understudy, a chain", func(members []*Member) Ask {
	b := middleware.Wrap[string, string](members[0]).CircuitBreaker(&strategies.Breaker{})
	for _, m := range members[1:] {
		b.Fallback(m.Name, m)
	}
	g, err := b.Build()
	if err != nil {
		panic(err) // the settings are constants
	}
	return g.Run
}}

// Urgent is a pool whose members have so many slots each.
func Urgent(slots int) System {
	return System{"understudy, slots", func(members []*Member) Ask {
		return pool(middleware.PoolSettings[string]{}, members, func(m *Member) middleware.Runner[string, string] {
			g, err := middleware.Wrap[string, string](m).Named(m.Name).
				Bulkhead(&strategies.Bulkhead{MaxConcurrent: slots, MaxWait: time.Hour}).Build()
			if err != nil {
				panic(err) // the settings are constants
			}
			return g
		})
	}}
}

func pool(s middleware.PoolSettings[string], members []*Member, agent func(*Member) middleware.Runner[string, string]) Ask {
	var all []member
	for _, m := range members {
		all = append(all, member{Name: m.Name, Agent: agent(m), Breaker: nil})
	}
	p, err := middleware.Pool(s, all...)
	if err != nil {
		panic(err) // the settings are constants
	}
	g, err := middleware.Wrap[string, string](p).Retry(strategies.Retry{}).Build()
	if err != nil {
		panic(err)
	}
	return func(ctx context.Context, conversation string) (string, error) { return g.Run(ctx, conversation) }
}
