package middleware_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func asIs(_ context.Context, s string) (string, error) { return s, nil }

func calls(n int) strategies.UsageLimits { return strategies.UsageLimits{Calls: n} }

// limitOf is the limit that ended a call.
func limitOf(t *testing.T, err error) *strategies.LimitError {
	t.Helper()
	limit, ok := errtree.As[*strategies.LimitError](err)
	if !ok {
		t.Fatalf("no limit in %v", err)
	}
	return limit
}

func TestUsageLimits(t *testing.T) {
	free := middleware.Free(middleware.Func(func(context.Context, string) (string, error) { return "for free", nil }))
	soon := strategies.Retry{MaxRetries: 5, Backoff: strategies.Delays{time.Minute}}
	t.Run("it ends the retries, and does not wait for one that cannot be afforded", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent, log, start := plays(errSick), &diary{}, time.Now()
			o := built(t, middleware.Wrap(agent).Named("bard").Retry(soon).UsageLimits(calls(2)).Observe(log)).Outcome(t.Context(), "hello")
			expect(t, "calls", agent.called(), 2)
			expect(t, "time", time.Since(start), time.Minute)
			expectIs(t, o.Err, strategies.ErrLimit, strategies.ErrRecovery, errSick)
			expect(t, "stop", recoveryOf(t, o.Err).Stop, strategies.StopLimit)
			expect(t, "class", recoveryOf(t, o.Err).Class, strategies.ClassTransient)
			expect(t, "whose", limitOf(t, o.Err).By, "bard")
			expect(t, "usage", o.Usage, strategies.Usage{Calls: 2})
			expect(t, "usage of the event", log.only(t, middleware.EventFailed).Usage, strategies.Usage{Calls: 2})
		})
	})
	t.Run("it does not begin what it cannot afford: no stand-in, no rung, but for what is free", func(t *testing.T) {
		agent, sage, mini := plays(errSick), plays("wise"), plays("short")
		b := middleware.Wrap(agent).UsageLimits(calls(1)).Fallback("sage", sage).Degrade(strategies.LevelReduced, mini)
		err := failing(t, built(t, b))
		expectIs(t, err, strategies.ErrLimit, strategies.ErrRejected)
		expect(t, "the last word", recoveryOf(t, err).Last(), errSick) // is what the agent said
		asked(t, built(t, b.Degrade(strategies.LevelEmergency, free)), "for free")
		asked(t, built(t, b.Fallback("cache", free)), "for free")
		expect(t, "calls of others", sage.called()+mini.called(), 0)
	})
	t.Run("it is not the agent's failure", func(t *testing.T) {
		b, tally := &strategies.Breaker{Failures: 1}, &strategies.Tally{}
		g := built(t, middleware.Wrap(plays("hi")).Named("bard").CircuitBreaker(b).Tally(tally))
		ctx := middleware.WithUsageLimits(t.Context(), calls(1))
		for range 3 {
			_, _ = g.Run(ctx, "hello")
		}
		expect(t, "state", b.State(), strategies.StateClosed)
		expect(t, "failures", g.Health().Failures, 0)
	})
	t.Run("it charges what nested agents do to all around them, and keeps each limit", func(t *testing.T) {
		inner := built(t, middleware.Wrap(plays(errSick, errSick, "hi")).Named("inner").Retry(promptly))
		outer := func(n int) *middleware.Guarded[string, string] {
			return built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
				middleware.CallOf(ctx).Spent(strategies.Usage{TokensIn: 10})
				return inner.Run(ctx, req)
			}).Named("outer").UsageLimits(calls(n)))
		}
		o := outer(10).Outcome(t.Context(), "hello")
		expect(t, "usage", o.Usage, strategies.Usage{Calls: 4, TokensIn: 10})
		tree := middleware.WithUsageLimits(t.Context(), calls(3))
		ctx := middleware.WithUsageLimits(tree, calls(2))
		_, _ = outer(10).Run(ctx, "hello")
		_, err := outer(10).Run(ctx, "hello")
		expect(t, "the inner limit", *limitOf(t, err), strategies.LimitError{Limit: "calls", Max: 2, Spent: 2, Usage: strategies.Usage{Calls: 2, TokensIn: 10}})
		_, _ = outer(10).Run(tree, "hello")
		_, err = outer(10).Run(tree, "hello")
		expect(t, "the outer one", limitOf(t, err).Max, 3)
		expect(t, "of the tree", middleware.CallOf(tree).Usage(), strategies.Usage{Calls: 3, TokensIn: 20})
	})
	t.Run("it charges a person's retry, and leaves them their answer", func(t *testing.T) {
		agent := plays(errSick)
		g := built(t, middleware.Wrap(agent).UsageLimits(calls(2)).Intervene(asking(says(retryNow, retryNow, answer("by hand")))))
		asked(t, g, "by hand")
		expect(t, "calls", agent.called(), 2)
	})
	t.Run("it charges an agent that a person names", func(t *testing.T) {
		named := plays("named")
		g := built(t, middleware.Wrap(plays(errSick)).UsageLimits(calls(1)).Roster(troupe{"sage": named}).
			Intervene(asking(says(strategies.Decision{Action: strategies.ActionUseAgent, Agent: "sage"}))))
		expectIs(t, failing(t, g), strategies.ErrLimit)
		expect(t, "calls", named.called(), 0)
	})
	t.Run("it charges tokens and money when they are known, of failed attempts too", func(t *testing.T) {
		for _, limits := range []strategies.UsageLimits{{TokensIn: 100}, {TokensOut: 40}, {Tokens: 130}, {Money: 9}} {
			agent := plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
				middleware.CallOf(ctx).Spent(strategies.Usage{TokensIn: 50, TokensOut: 20, Money: 5})
				return "", errSick
			}))
			failing(t, built(t, middleware.Wrap(agent).Retry(promptly).UsageLimits(limits)))
			expect(t, limits.String(), agent.called(), 2)
		}
	})
	t.Run("it begins nothing after its time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent := plays(deaf(time.Minute, "late"), "early")
			ctx := middleware.WithUsageLimits(t.Context(), strategies.UsageLimits{Time: time.Minute})
			g := built(t, middleware.Wrap(agent))
			_, err := g.Run(ctx, "hello")
			expectIs(t, err, nil)
			_, err = g.Run(ctx, "hello")
			expect(t, "error", limitOf(t, err).Error(), "understudy: the usage limit of this tree of agents is reached: 1m0s of 1m0s time")
		})
	})
	t.Run("it is exact, however many come at once", func(t *testing.T) {
		agent := plays("hi")
		g := built(t, middleware.Wrap(agent))
		ctx := middleware.WithUsageLimits(middleware.WithUsageLimits(t.Context(), calls(40)), calls(50))
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { _, _ = g.Run(ctx, "hello") })
		}
		all.Wait()
		expect(t, "calls", agent.called(), 40)
		expect(t, "usage", middleware.CallOf(ctx).Usage().Calls, 40)
	})
	t.Run("it takes a report at any time, and no nonsense", func(t *testing.T) {
		var kept middleware.Call
		g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
			kept = middleware.CallOf(ctx)
			kept.Spent(strategies.Usage{Calls: -5, TokensIn: -1, TokensOut: -1, TokensCached: -1, Money: -1})
			return "hi", nil
		}))
		o := g.Outcome(t.Context(), "hello")
		expect(t, "usage", o.Usage, strategies.Usage{Calls: 1})
		kept.Spent(strategies.Usage{TokensIn: 7})
		expect(t, "usage after the end", kept.Usage(), strategies.Usage{Calls: 1, TokensIn: 7})
		asked(t, g, "hi") // nobody measures it
		kept.Spent(strategies.Usage{TokensIn: 7})
		expect(t, "nobody's usage", kept.Usage(), strategies.Usage{})
		middleware.Call{}.Spent(strategies.Usage{TokensIn: 7})
		expect(t, "usage outside of every call", middleware.Call{}.Usage(), strategies.Usage{})
	})
	t.Run("it charges once what is guarded twice", func(t *testing.T) {
		inner := built(t, middleware.Wrap(plays("hi")).Named("inner"))
		for name, agent := range map[string]middleware.Runner[string, string]{
			"guarded": inner, "adapted": middleware.Adapt(inner, asIs, asIs), "by hand": middleware.Chain(plays("hi"), middleware.Recover[string, string](&middleware.Owner{})),
			"a chain of a chain": middleware.Chain(middleware.Chain(plays("hi"), middleware.Recover[string, string](&middleware.Owner{})), middleware.Recover[string, string](&middleware.Owner{})),
		} {
			expect(t, name, built(t, middleware.Wrap(agent).Named("outer")).Outcome(t.Context(), "hello").Usage.Calls, 1)
			expect(t, name+", as a stand-in", built(t, middleware.Wrap(plays(errSick)).Fallback("sage", agent)).Outcome(t.Context(), "hello").Usage.Calls, 2)
			expect(t, name+", as a rung", built(t, middleware.Wrap(plays(errSick)).Degrade(strategies.LevelMinimal, agent)).Outcome(t.Context(), "hello").Usage.Calls, 2)
		}
	})
	t.Run("it stays where a middleware traces, or gives an id", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).Retry(promptly).Identify().UsageLimits(calls(2)).
			Around(middleware.StageRetry, func(ctx context.Context, next func(context.Context) error) error {
				ctx, _ = middleware.Trace(ctx)
				return next(middleware.WithCallID(ctx, "again"))
			}))
		expect(t, "usage", g.Outcome(middleware.WithCallID(t.Context(), "job-1"), "hello").Usage.Calls, 2)
	})
	t.Run("it can be put into a chain by hand", func(t *testing.T) {
		o, agent := &middleware.Owner{Name: "bard"}, plays(errSick)
		r := middleware.Chain(agent, middleware.UsageLimits[string, string](o, calls(2)), middleware.Degrade(o, nil, middleware.Rung[string, string]{Level: strategies.LevelMinimal, Runner: plays("sorry")}),
			middleware.Retry[string, string](o, promptly))
		_, err := r.Run(t.Context(), "hello")
		expectIs(t, err, strategies.ErrLimit, errSick)
		expect(t, "calls", agent.called(), 2)
		_, err = middleware.Chain(agent, middleware.UsageLimits[string, string](o, strategies.UsageLimits{})).Run(t.Context(), "hello")
		expectIs(t, err, strategies.ErrConfig)
	})
	t.Run("it refuses limits that make no sense", func(t *testing.T) {
		_, err := middleware.Wrap(plays("hi")).UsageLimits(calls(-1)).Build()
		expectIs(t, err, strategies.ErrConfig)
		agent := plays("hi")
		_, err = built(t, middleware.Wrap(agent)).Run(middleware.WithUsageLimits(t.Context(), calls(-1)), "hello")
		expectIs(t, err, strategies.ErrConfig)
		expect(t, "calls", agent.called(), 0)
		//lint:ignore SA1012 it is what is tested
		expect(t, "nothing in nothing", middleware.WithUsageLimits(nil, calls(1)), nil)
	})
	t.Run("it is explained, and bounds the worst case", func(t *testing.T) {
		e := built(t, middleware.Wrap(plays("hi")).Retry(strategies.Retry{MaxRetries: 9}).UsageLimits(strategies.UsageLimits{Calls: 4, Money: 250_000})).Explain()
		expect(t, "calls", e.Calls, 4)
		for _, want := range []string{"observe                          at most 4 calls, 0.25 in money, nested agents included", "; nothing begins after 4 calls, 0.25 in money"} {
			if !strings.Contains(e.String(), want) {
				t.Errorf("%q is not in\n%s", want, e)
			}
		}
	})
}

func TestUsageOfStreams(t *testing.T) {
	t.Run("it charges continuations to one call", func(t *testing.T) {
		n := 0
		g := streaming(t, middleware.WrapStreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				n++
				middleware.CallOf(ctx).Spent(strategies.Usage{TokensOut: 1})
				_ = yield("word", nil) && yield("", errSick)
			}
		}).UsageLimits(calls(3)).Continue(9, func(_ context.Context, req string, _ []string) (string, bool) { return req, true }))
		chunks, end := g.Outcome(t.Context(), "hello")
		_, err := middleware.Collect(chunks)
		expectIs(t, err, strategies.ErrLimit, errSick)
		expect(t, "calls", n, 3)
		expect(t, "usage", end().Usage, strategies.Usage{Calls: 3, TokensOut: 3})
	})
	t.Run("it lets fixed chunks and free streams answer", func(t *testing.T) {
		sick := func(context.Context, string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) { yield("", errSick) }
		}
		for _, rung := range []middleware.Streamer[string, string]{middleware.Chunks[string]("sorry"), middleware.FreeStream(middleware.StreamFunc(func(context.Context, string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) { yield("sorry", nil) }
		}))} {
			g := streaming(t, middleware.WrapStreamFunc(sick).UsageLimits(calls(1)).Degrade(strategies.LevelEmergency, rung))
			chunks, err := middleware.Collect(g.Stream(t.Context(), "hello"))
			expectIs(t, err, nil)
			expect(t, "chunks", fmt.Sprint(chunks), "[sorry]")
		}
	})
}

// A limit costs a healthy call one allocation, and one around a tree none but for
// the place of each call in it.
func TestUsageLimitsAreCheap(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	agent := middleware.Func(func(context.Context, string) (string, error) { return "hi", nil })
	limited := built(t, middleware.Wrap(agent).Retry(promptly).CircuitBreaker(&strategies.Breaker{}).UsageLimits(calls(1<<40)))
	plain := built(t, middleware.Wrap(agent).Retry(promptly).CircuitBreaker(&strategies.Breaker{}))
	tree := middleware.WithUsageLimits(t.Context(), calls(1<<40))
	for _, tc := range []struct {
		what string
		most float64
		call func()
	}{
		{"no limit", 0, func() { _, _ = plain.Run(t.Context(), "") }},
		{"a limit", 1, func() { _, _ = limited.Run(t.Context(), "") }},
		{"a limit, and its outcome", 2, func() { limited.Outcome(t.Context(), "") }},
		{"a limit of the tree", 1, func() { _, _ = plain.Run(tree, "") }},
		{"both", 2, func() { _, _ = limited.Run(tree, "") }},
	} {
		if got := testing.AllocsPerRun(500, tc.call); got > tc.most {
			t.Errorf("%s: %v allocations, want %v at most", tc.what, got, tc.most)
		}
	}
}

func BenchmarkUsageLimits(b *testing.B) {
	g := promised(b, breakerOf("consecutive"), func(c *middleware.Builder[string, string]) { c.UsageLimits(calls(1 << 40)) })
	measureRunner(b, g, false)
}

// What is read from outside of a step is booked unless somebody within has reported.
func TestSpending(t *testing.T) {
	read := strategies.Usage{TokensIn: 5, TokensOut: 2}
	for it, tc := range map[string]struct {
		within func(ctx context.Context)
		want   strategies.Usage
	}{
		"nobody within":               {func(context.Context) {}, read},
		"somebody within":             {func(ctx context.Context) { middleware.CallOf(ctx).Spent(strategies.Usage{TokensIn: 4}) }, strategies.Usage{TokensIn: 4}},
		"requests alone are no words": {func(ctx context.Context) { middleware.CallOf(ctx).Spent(strategies.Usage{Calls: 1}) }, read.Add(strategies.Usage{Calls: 1})},
		"a guarded agent within that reports": {func(ctx context.Context) {
			_, _ = built(t, middleware.Wrap(plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
				middleware.CallOf(ctx).Spent(strategies.Usage{TokensOut: 9})
				return "", nil
			})))).Run(ctx, "")
		}, strategies.Usage{Calls: 1, TokensOut: 9}},
	} {
		t.Run(it, func(t *testing.T) {
			agent := stepFunc(func(ctx context.Context, _ string) (string, error) {
				for range 2 { // one step does not hide the next
					inner, report := middleware.Spending(ctx)
					before := middleware.CallOf(ctx).Usage()
					tc.within(inner)
					if got := middleware.CallOf(inner).Usage(); got.Calls < before.Calls {
						t.Errorf("within the step the call has cost %v", got)
					}
					report(read)
				}
				return "", nil
			})
			o := built(t, middleware.Wrap(plays(agent))).Outcome(t.Context(), "")
			expect(t, "usage", o.Usage, tc.want.Add(tc.want).Add(strategies.Usage{Calls: 1}))
		})
	}
	inner, report := middleware.Spending(t.Context())
	report(read)
	expect(t, "where nobody measures it is the same context", inner, t.Context())
}
