package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// What a hostile reader of the documentation tries first.

func TestHostileTypedNilsOfOurOwnErrors(t *testing.T) {
	for _, err := range []error{
		(*strategies.RecoveryError)(nil), (*strategies.OpenError)(nil), (*strategies.TimeoutError)(nil), (*strategies.FullError)(nil), (*strategies.PaceError)(nil),
		(*strategies.PanicError)(nil), (*strategies.StreamError)(nil), (*strategies.StreamLimitError)(nil), (*strategies.StallError)(nil),
		(*strategies.AgentError)(nil), (*strategies.AnswerError)(nil), (*strategies.InvalidAnswerError)(nil), (*strategies.InterventionError)(nil),
		(*strategies.ConfigError)(nil),
	} {
		t.Run(fmt.Sprintf("%T", err), func(t *testing.T) {
			b := &strategies.Breaker{Failures: 1}
			seen := &diary{}
			g := built(t, middleware.Wrap(plays(err)).Retry(promptly).CircuitBreaker(b).Timeout(time.Second).Observe(seen).Observe(middleware.Slog(quiet())).
				Degrade(strategies.LevelReduced, plays(fmt.Errorf("wrapped: %w", err))).Intervene(always(strategies.Decision{})))
			o := g.Outcome(t.Context(), "hello")
			if o.Err == nil || o.Value != "" || o.Err.Error() == "" {
				t.Errorf("outcome %+v", o)
			}
			if text, err := json.Marshal(o); err != nil || len(text) == 0 {
				t.Errorf("JSON %s, %v", text, err)
			}
			_ = g.Health()
			stream := streaming(t, middleware.WrapStream(voices(script{err})).Retry(promptly).CircuitBreaker(&strategies.Breaker{Failures: 1}))
			_, last := hear(stream.Stream(t.Context(), "tell"))
			expect(t, "the stream fails", last != nil, true)
		})
	}
}

func TestHostileHugeNumbers(t *testing.T) {
	const long = time.Duration(math.MaxInt64)
	chain := func(retries, failures, trials, slots int, base time.Duration) *middleware.Builder[string, string] {
		return middleware.Wrap(plays(errSick, errSick, "hi")).
			Retry(strategies.Retry{MaxRetries: retries, Backoff: strategies.Exponential{Base: base, Factor: math.MaxFloat64, Cap: long}, Budget: &strategies.Budget{Capacity: math.MaxInt, Refund: math.MaxInt}}).
			CircuitBreaker(&strategies.Breaker{Failures: failures, Trials: trials, OpenFor: long, MaxOpenFor: long, TrialTimeout: long, SlowStart: long, SlowCall: long, MaxHold: long}).
			Bulkhead(&strategies.Bulkhead{MaxConcurrent: slots, MaxWait: long}).
			HardTimeout(long, math.MaxInt).Deadline(long).Fallback("sage", plays("from the sage")).
			Intervene(middleware.Intervention{Ask: always(strategies.Decision{}).Ask, Deadline: long, Rounds: math.MaxInt})
	}
	_, err := chain(math.MaxInt, 1<<32, 1<<32, math.MaxInt, 1).Build()
	expectIs(t, err, strategies.ErrConfig)
	for _, setting := range []string{"Retry.MaxRetries", "Exponential.Base", "Breaker.Failures", "Breaker.Trials", "Bulkhead.MaxConcurrent"} {
		expect(t, "refused: "+setting, strings.Contains(fmt.Sprint(err), setting), true)
	}
	synctest.Test(t, func(t *testing.T) {
		g := built(t, chain(1000, math.MaxInt32, 100, 1<<20, time.Millisecond))
		o := g.Outcome(t.Context(), "hello")
		expect(t, "error", o.Err, nil)
		e := g.Explain()
		if e.Calls <= 0 || e.Time < 0 || e.TimeAsked < 0 || e.Questions < 0 {
			t.Errorf("Explain has gone round the corner: %+v", e)
		}
		expect(t, "drawn", e.String() != "" && e.Mermaid() != "", true)
	})
	for _, b := range []*strategies.Breaker{{Failures: 1 << 32}, {Failures: math.MaxInt}, {Window: time.Hour, MinCalls: 1 << 32}, {Trials: 1 << 32}} {
		synctest.Test(t, func(t *testing.T) {
			g, err := middleware.Wrap(plays(errSick)).CircuitBreaker(b).Build()
			if err != nil {
				expectIs(t, err, strategies.ErrConfig)
				return
			}
			for range 3 {
				failing(t, g)
			}
			if b.Failures > 3 || b.MinCalls > 3 {
				expect(t, fmt.Sprint(b, " after three failures"), b.State(), strategies.StateClosed)
			}
			for range 3 {
				failing(t, g)
			}
			for range 3 { // Trials more than fit: it must let calls through all the same
				time.Sleep(10 * time.Minute)
				failing(t, g)
			}
		})
	}
}

func TestHostileHints(t *testing.T) {
	for _, d := range []time.Duration{math.MaxInt64, math.MinInt64, -1, 1} {
		synctest.Test(t, func(t *testing.T) {
			b := &strategies.Breaker{}
			g := built(t, middleware.Wrap(plays(strategies.WithRetryAfter(d, ofClass(strategies.ClassRateLimited)), "hi")).CircuitBreaker(b).
				Retry(strategies.Retry{}).Fallback("sage", plays("from the sage")))
			o := g.Outcome(t.Context(), "hello")
			expect(t, fmt.Sprint("answered after a hint of ", d), o.Err, nil)
			if o.Elapsed < 0 || o.Elapsed > time.Hour || b.RetryAfter() < 0 || b.RetryAfter() > 2*time.Hour {
				t.Errorf("a hint of %v: took %v, held for %v", d, o.Elapsed, b.RetryAfter())
			}
		})
	}
}

// oddContext is nobody's good citizen.
type oddContext struct {
	context.Context
	done chan struct{}
	err  error
	due  time.Time
}

func (c oddContext) Done() <-chan struct{}       { return c.done }
func (c oddContext) Err() error                  { return c.err }
func (c oddContext) Deadline() (time.Time, bool) { return c.due, !c.due.IsZero() }

func TestHostileContexts(t *testing.T) {
	closed := make(chan struct{})
	close(closed)
	errOwn := errors.New("my own end")
	for name, ctx := range map[string]context.Context{
		"ended with an error of its own":   oddContext{context.Background(), closed, errOwn, time.Time{}},
		"a deadline passed, and not ended": oddContext{context.Background(), nil, nil, time.Now().Add(-time.Hour)},
		"a deadline in the far future":     oddContext{context.Background(), nil, nil, time.Now().Add(math.MaxInt64)},
		"the first day of the year one":    oddContext{context.Background(), nil, nil, time.Time{}.Add(1)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, agent := range []*play{plays("hi"), plays(errSick)} {
				g := built(t, middleware.Wrap(agent).Retry(promptly).CircuitBreaker(&strategies.Breaker{}).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Second}).
					Timeout(time.Minute).DeadlineReserving(time.Hour, time.Second).Coalesce(asItIs).Fallback("sage", plays(errGone)).
					Degrade(strategies.LevelReduced, plays("a word")).Intervene(always(strategies.Decision{})))
				o := g.Outcome(ctx, "hello")
				if (o.Err == nil) != (o.Value != "") {
					t.Errorf("outcome %+v", o)
				}
				_, err := middleware.Collect(streaming(t, middleware.WrapStream(voices(script{"a", "b"})).Idle(time.Second).Deadline(time.Minute)).Stream(ctx, "tell"))
				if ctx.Err() != nil && err == nil {
					t.Error("a stream without an end")
				}
			}
		})
	}
	t.Run("one that is done before: nobody stands in", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errOwn)
		sage, rung := plays("hi"), plays("hi")
		g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) { return "", ctx.Err() }).Retry(promptly).
			Fallback("sage", sage).Degrade(strategies.LevelReduced, rung).Intervene(always(strategies.Decision{Action: strategies.ActionRetryNow})))
		_, err := g.Run(ctx, "hello")
		expectIs(t, err, context.Canceled, errOwn)
		expect(t, "class", recoveryOf(t, err).Class, strategies.ClassCanceled)
		expect(t, "calls", sage.called()+rung.called(), 0)
	})
}

func TestHostileLookUps(t *testing.T) {
	type standIns = []middleware.StandIn[middleware.Runner[string, string]]
	var nobody *play
	var g *middleware.Guarded[string, string]
	for name, found := range map[string]func(context.Context) standIns{
		"nothing":      func(context.Context) standIns { return nil },
		"a nil runner": func(context.Context) standIns { return standIns{{Name: "x"}, {Name: "sage", Agent: plays("hi")}} },
		"a typed nil": func(context.Context) standIns {
			return standIns{{Name: "x", Agent: nobody}, {Name: "sage", Agent: plays("hi")}}
		},
		"no name": func(context.Context) standIns { return standIns{{Agent: plays("hi")}} },
		"the agent": func(context.Context) standIns {
			return standIns{{Name: "other", Agent: g}, {Name: "agent", Agent: plays("hi")}}
		},
		"the same twice": func(context.Context) standIns {
			p := plays(errGone)
			return standIns{{Name: "x", Agent: p}, {Name: "x", Agent: p}}
		},
		"a panic": func(context.Context) standIns { panic(errGone) },
		"an unbuilt one": func(context.Context) standIns {
			return standIns{{Name: "x", Agent: &middleware.Guarded[string, string]{}}}
		},
		"a nil guarded": func(context.Context) standIns {
			return standIns{{Name: "x", Agent: (*middleware.Guarded[string, string])(nil)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g = built(t, middleware.Wrap(plays(errSick)).FallbackFrom(found).Intervene(always(strategies.Decision{Action: strategies.ActionUseAgent, Agent: "x"})))
			_ = g.Explain().String()
			o := g.Outcome(t.Context(), "hello")
			if (o.Err == nil) != (o.Value == "hi") {
				t.Errorf("outcome %+v", o)
			}
			if o.Err != nil {
				expectIs(t, o.Err, errSick)
			}
		})
	}
}

func TestHostileExplainOfACircle(t *testing.T) {
	type standIns = []middleware.StandIn[middleware.Runner[string, string]]
	var pair [2]*middleware.Guarded[string, string]
	for i := range pair {
		pair[i] = built(t, middleware.Wrap(plays(errSick)).Named(fmt.Sprint("a", i)).Retry(promptly).FallbackFrom(func(context.Context) standIns {
			if pair[1-i] == nil {
				return nil
			}
			return standIns{{Name: fmt.Sprint("a", 1-i), Agent: pair[1-i]}}
		}))
	}
	e := pair[0].Explain()
	expect(t, "calls", e.Calls, 5)
	expect(t, "drawn", e.String() != "" && e.Mermaid() != "", true)
	failing(t, pair[0])
}

func TestHostileDecisions(t *testing.T) {
	for name, d := range map[string]strategies.Decision{
		"an action that is none":    {Action: 99},
		"an answer of another type": {Action: strategies.ActionAnswer, Value: 7},
		"no answer":                 {Action: strategies.ActionAnswer},
		"an agent without a name":   {Action: strategies.ActionUseAgent},
		"an unknown agent":          {Action: strategies.ActionUseAgent, Agent: "nobody"},
		"the agent itself":          {Action: strategies.ActionUseAgent, Agent: "agent"},
		"a retry, over and over":    {Action: strategies.ActionRetryNow},
		"a stand-in, over and over": {Action: strategies.ActionUseAgent, Agent: "sage"},
	} {
		t.Run(name, func(t *testing.T) {
			agent, sage := plays(errSick), plays(errGone)
			how := always(d)
			how.Rounds = 3
			err := failing(t, built(t, middleware.Wrap(agent).Fallback("sage", sage).Intervene(how)))
			expectIs(t, err, errSick, strategies.ErrRecovery)
			if agent.called() > 4 || sage.called() > 4 {
				t.Errorf("%d and %d calls for three rounds", agent.called(), sage.called())
			}
		})
	}
}

// An observer and a watcher may call everything; they run outside of every lock.
func TestHostileObserversCallBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		ladder := &strategies.Ladder{}
		var g *middleware.Guarded[string, string]
		depth, told := 0, 0
		back := middleware.ObserverFunc(func(ctx context.Context, e middleware.Event) {
			told++
			_, _, _ = g.Health(), g.Explain(), fmt.Sprint(e)
			if depth++; depth < 3 && told < 30 {
				_, _ = g.Run(ctx, "from within")
				_ = g.Outcome(context.WithoutCancel(ctx), "from within")
				b.Reset()
				b.Isolate()
				b.Reset()
				ladder.Pin(strategies.LevelMinimal, "by an observer")
				ladder.Restore(strategies.LevelFull)
			}
			depth--
		})
		g = built(t, middleware.Wrap(plays(errSick)).CircuitBreaker(b).Ladder(ladder).Degrade(strategies.LevelReduced, plays(errGone)).Retry(promptly).Fallback("sage", plays(errGone)).Observe(back))
		failing(t, g)
		expect(t, "told", told > 10, true)
	})
}

func TestHostileCoalescers(t *testing.T) {
	t.Run("all who share a call that ends its goroutine hear of it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := built(t, middleware.WrapFunc(func(context.Context, string) (string, error) {
				time.Sleep(time.Second)
				runtime.Goexit()
				return "", nil
			}).Coalesce(asItIs).Fallback("sage", middleware.Func(func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil })))
			var all sync.WaitGroup
			var failed atomic.Int64
			for range 10 {
				all.Go(func() {
					if _, err := g.Run(t.Context(), "x"); errors.Is(err, strategies.ErrRecovery) {
						failed.Add(1)
					}
				})
			}
			all.Wait()
			expect(t, "callers who heard of it", failed.Load(), int64(10))
		})
	})
	t.Run("a call from a goroutine that outlives the shared one joins nobody's end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var g *middleware.Guarded[string, string]
			var late sync.WaitGroup
			g = built(t, middleware.WrapFunc(func(ctx context.Context, req string) (string, error) {
				if req == "first" {
					late.Go(func() {
						time.Sleep(time.Second)
						if _, err := g.Run(context.WithoutCancel(ctx), "second"); err != nil {
							t.Error(err)
						}
					})
				}
				time.Sleep(10 * time.Millisecond)
				return "hi", nil
			}).Coalesce(asItIs))
			_, err := g.Run(t.Context(), "first")
			expect(t, "error", err, nil)
			late.Wait()
		})
	})
	t.Run("three that lead to each other, many callers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var ring [3]*middleware.Guarded[string, string]
			for i := range ring {
				ring[i] = built(t, middleware.WrapFunc(func(context.Context, string) (string, error) {
					time.Sleep(time.Duration(i+1) * time.Millisecond)
					return "", errSick
				}).Named(fmt.Sprint("a", i)).Coalesce(func(string) string { return "all" }).
					Fallback("next", middleware.Func(func(ctx context.Context, req string) (string, error) { return ring[(i+1)%3].Run(ctx, req) })))
			}
			var all sync.WaitGroup
			for n := range 60 {
				all.Go(func() {
					time.Sleep(time.Duration(n%7) * time.Millisecond)
					failing(t, ring[n%3])
				})
			}
			all.Wait()
		})
	})
}

func TestHostileStreams(t *testing.T) {
	g := streaming(t, middleware.WrapStream(voices(script{"a", "b"})).Retry(promptly).CircuitBreaker(&strategies.Breaker{}).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 2}))
	t.Run("one sequence, ranged over within itself, is two calls", func(t *testing.T) {
		s := g.Stream(t.Context(), "tell")
		var all []string
		for a := range s {
			for b := range s {
				all = append(all, a+b)
			}
		}
		expect(t, "heard", strings.Join(all, " "), "aa ab ba bb")
		expect(t, "slots taken", g.Health().InFlight, 0)
	})
	t.Run("pulled, and stopped before the first and in the middle", func(t *testing.T) {
		for n := range 3 {
			next, stop := iter.Pull2(g.Stream(t.Context(), "tell"))
			for range n {
				next()
			}
			stop()
			expect(t, "slots taken", g.Health().InFlight, 0)
		}
	})
	t.Run("an outcome that is asked for before, and in the middle", func(t *testing.T) {
		s, how := g.Outcome(t.Context(), "tell")
		expect(t, "before", how(), middleware.StreamOutcome{})
		for range s {
			expect(t, "ended", how().Ended, false)
		}
		expect(t, "chunks", how().Chunks, 2)
	})
	t.Run("rules that panic fail the attempt, and take no slot", func(t *testing.T) {
		boom := func(string) bool { panic(errGone) }
		for name, b := range map[string]*streamBuilder{
			"Commit":        middleware.WrapStream(voices(script{"a"})).Commit(boom),
			"Complete":      middleware.WrapStream(voices(script{"a"})).Complete(boom),
			"Validate":      middleware.WrapStream(voices(script{"a"})).Validate(func(context.Context, string, string) error { panic(errGone) }),
			"ValidateWhole": middleware.WrapStream(voices(script{"a"})).Buffer(3).ValidateWhole(func(context.Context, string, []string) error { panic(errGone) }),
		} {
			slots := &strategies.Bulkhead{MaxConcurrent: 1}
			_, err := middleware.Collect(streaming(t, b.Bulkhead(slots)).Stream(t.Context(), "tell"))
			if !errors.Is(err, errGone) || slots.InFlight() != 0 {
				t.Errorf("%s: %v, %d slots taken", name, err, slots.InFlight())
			}
		}
	})
}

func TestHostileZeroValues(t *testing.T) {
	var settings *middleware.Settings
	var b middleware.Builder[string, string]
	_, err := b.Retry(promptly).Fallback("x", nil).FallbackFrom(nil).Use(99, nil).Coalesce(nil).With(settings).Degrade(99, nil).Build()
	expectIs(t, err, strategies.ErrConfig)
	var sb middleware.StreamBuilder[string, string]
	_, err = sb.Retry(promptly).Fallback("x", nil).Commit(nil).With(settings).Degrade(99, nil).Keep(-1).Build()
	expectIs(t, err, strategies.ErrConfig)

	var g *middleware.Guarded[string, string]
	for _, g := range []*middleware.Guarded[string, string]{g, {}} {
		_, err := g.Run(t.Context(), "hello")
		expectIs(t, err, strategies.ErrConfig)
		_, _, _ = g.Health(), g.Explain().String(), g.Name()
	}
	expect(t, "attempt", middleware.CallOf(context.Background()).Attempt(), 1)
	_, how := middleware.Trace(t.Context())
	expect(t, "level", how.Level(), strategies.LevelFull)

	for name, f := range map[string]func(){
		"Success": func() { var p strategies.Permit; p.Success() },
		"Failure": func() { var p strategies.Permit; p.Failure(errSick) },
		"Expired": func() { var p strategies.Permit; p.Expired(errSick) },
		"Neutral": func() { var p strategies.Permit; p.Neutral() },
		"Settle":  func() { var p strategies.Permit; p.Settle(strategies.VerdictOf(strategies.ClassRateLimited), errSick) },
	} {
		func() {
			defer func() { expect(t, "panic of the zero Permit's "+name, recover(), nil) }()
			f()
		}()
	}
	var none context.Context
	expect(t, "attempt of no context", middleware.CallOf(none).Attempt(), 1)
	traced, _ := middleware.Trace(none)
	expect(t, "traced, without one", traced.Err(), nil)
	_, err = middleware.Collect[string](nil)
	expect(t, "a nil stream is an error", err != nil, true)
	var unbuilt middleware.GuardedStream[string, string]
	stream, out := unbuilt.Outcome(t.Context(), "tell")
	for _, err := range stream {
		expectIs(t, err, strategies.ErrConfig)
	}
	expectIs(t, out().Err, strategies.ErrConfig)
	slots := &strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Second}
	expect(t, "a slot", slots.Acquire(none), nil)
	expectIs(t, slots.Acquire(none), strategies.ErrConfig)

	own := &middleware.Settings{}
	own.Retry(promptly)
	done := make(chan error)
	go func() {
		_, err := middleware.Wrap(plays(errSick)).With(own.With(own)).Build() // itself: set twice, and no circle
		done <- err
	}()
	expectIs(t, <-done, strategies.ErrConfig)
}

// One agent wrapped again and again, and its own stand-in by way of another name.
func TestHostileNesting(t *testing.T) {
	agent := plays(errSick)
	g := built(t, middleware.Wrap(agent).Retry(promptly))
	var r middleware.Runner[string, string] = g
	for range 200 {
		r = built(t, middleware.Wrap(r).CircuitBreaker(&strategies.Breaker{}).Timeout(time.Minute))
	}
	err := failing(t, r)
	expectIs(t, err, errSick)
	expect(t, "calls", agent.called(), 4)
	if n := len(err.Error()); n > 100_000 {
		t.Errorf("an error of %d bytes", n)
	}
}
