package overhead

import (
	"context"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/fallback"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// extras are what one more setting costs a call that goes well, beside the same chain
// without it, and beside a peer that has the same. A setting that comes later gets a
// line here.
func extras() []Case {
	return []Case{
		extra("cast", "look-up by name among 100 agents of a cast, and the call", without, func() Op {
			cast, err := roles.NewCast(nil, func(b *middleware.Builder[string, string], _ roles.Agent[string, string]) {
				settled(b, &strategies.Breaker{OpenFor: openFor}).Fallback("archivist", middleware.Func(standIn))
			})
			for i := 0; i < 100 && err == nil; i++ {
				_, err = cast.Register(roles.AsFunc("agent "+strconv.Itoa(i), "clerk", echo))
			}
			if err != nil {
				panic(err)
			}
			return func(ctx context.Context) (string, error) {
				guarded, _ := cast.Agent("agent 42")
				return guarded.Run(ctx, request)
			}
		}, nil),
		extra("identity", "Identify(): the call has an id", without, func() Op {
			return chain(middleware.Func(echo), func(b *middleware.Builder[string, string]) { b.Identify() })
		}, nil),
		extra("journal", "Effects(…): the agent calls one tool, which is written down in memory before and after", func() Op {
			return chain(middleware.Func(echo), nil)
		}, func() Op {
			tool := middleware.WrapTool("pay", strategies.EffectOnce, echo)
			return chain(middleware.Func(tool.Run), func(b *middleware.Builder[string, string]) {
				b.Effects(middleware.Effects{Journal: &strategies.MemoryJournal{Calls: 1000}})
			})
		}, nil),
		extra("pace", "Pace(…), a limit that is far away", without, func() Op {
			return chain(middleware.Func(echo), func(b *middleware.Builder[string, string]) {
				b.Pace(&strategies.Pace{RequestsPerMinute: math.MaxInt32, Burst: time.Minute})
			})
		}, func() Op { return failsafeWith(nil, ratelimiter.NewBursty[string](math.MaxInt32, time.Minute)) }),
		extra("hedge", "Hedge(…), and the answer comes long before a second call is due", without, func() Op {
			return chain(middleware.Func(echo), func(b *middleware.Builder[string, string]) {
				b.Hedge(&strategies.Hedge{After: limit, ReadOnly: true})
			})
		}, func() Op { return failsafeWith(hedgepolicy.NewWithDelay[string](limit), nil) }),
		extra("pool of 16", "Pool(…): one of 16 agents is chosen for the call", without, func() Op {
			members := make([]middleware.Member[string, string], 16)
			for i := range members {
				members[i] = middleware.Member[string, string]{Name: "member " + strconv.Itoa(i), Agent: middleware.Func(echo)}
			}
			pool, err := middleware.Pool(middleware.PoolSettings[string]{}, members...)
			if err != nil {
				panic(err)
			}
			return chain[middleware.Runner[string, string]](pool, nil)
		}, nil),
		extra("by key of 10,000", "By(…): one breaker, budget and count for each of 10,000 keys, asked in turn", without, func() Op {
			keys := make([]string, 10_000)
			for i := range keys {
				keys[i] = "tenant " + strconv.Itoa(i)
			}
			var next atomic.Uint32
			op := chain(middleware.Func(echo), func(b *middleware.Builder[string, string]) {
				b.By(func(string) string { return keys[next.Add(1)%uint32(len(keys))] }, middleware.Keys{})
			})
			for range keys { // the first call of each makes its state
				_, _ = op(context.Background())
			}
			return op
		}, nil),
		extra("shared", "Fleet.Share(breaker): replicas share it over a store", without, func() Op {
			breaker := &strategies.Breaker{Name: "narrator", OpenFor: openFor}
			fleet := &strategies.Fleet{Name: "bench", Store: &memory.Store{}} // until the program ends
			if err := fleet.Share(breaker); err != nil {
				panic(err)
			}
			guarded, err := settled(middleware.WrapFunc(echo), breaker).Fallback("archivist", middleware.Func(standIn)).Build()
			if err != nil {
				panic(err)
			}
			return func(ctx context.Context) (string, error) { return guarded.Run(ctx, request) }
		}, nil),
	}
}

func without() Op { return chain(middleware.Func(echo), nil) }

func extra(name, does string, without, with, peer func() Op) Case {
	c := Case{Name: name, Does: does, rivals: []rival{
		{Without, request, func() worker { return repeat(without()) }},
		{Ours, request, func() worker { return repeat(with()) }},
	}}
	if peer != nil {
		c.rivals = append(c.rivals, rival{"failsafe-go", request, func() worker { return repeat(peer()) }})
	}
	return c
}

// chain is an agent in retry, breaker and fallback, and in what is asked for.
func chain[A middleware.Runner[string, string]](agent A, with func(b *middleware.Builder[string, string])) Op {
	b := settled(middleware.Wrap[string, string](agent), &strategies.Breaker{OpenFor: openFor}).Fallback("archivist", middleware.Func(standIn))
	if with != nil {
		with(b)
	}
	guarded, err := b.Build()
	if err != nil {
		panic(err) // a setting above is wrong
	}
	return func(ctx context.Context) (string, error) { return guarded.Run(ctx, request) }
}

// failsafeWith is the same of failsafe-go's, a policy outside of retry or inside of the
// breaker.
func failsafeWith(outer, inner failsafe.Policy[string]) Op {
	policies := []failsafe.Policy[string]{fallback.NewWithFunc(func(exec failsafe.Execution[string]) (string, error) {
		return standIn(exec.Context(), "")
	})}
	if outer != nil {
		policies = append(policies, outer)
	}
	policies = append(policies,
		retrypolicy.NewBuilder[string]().WithMaxRetries(retries).AbortOnErrors(circuitbreaker.ErrOpen).ReturnLastFailure().Build(),
		circuitbreaker.NewBuilder[string]().WithFailureThreshold(failures).WithDelay(openFor).Build())
	if inner != nil {
		policies = append(policies, inner)
	}
	executor := failsafe.With(policies...)
	return func(ctx context.Context) (string, error) {
		return executor.WithContext(ctx).GetWithExecution(func(exec failsafe.Execution[string]) (string, error) {
			return echo(exec.Context(), request)
		})
	}
}
