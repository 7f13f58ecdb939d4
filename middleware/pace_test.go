package middleware_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func TestPace(t *testing.T) {
	bubble := func(it string, f func(t *testing.T)) {
		t.Run("it "+it, func(t *testing.T) { synctest.Test(t, f) })
	}
	bubble("lets a call wait for its turn", func(t *testing.T) {
		p := &strategies.Pace{RequestsPerMinute: 60, Burst: time.Second}
		g := built(t, middleware.Wrap(plays("hi")).Pace(p))
		start := time.Now()
		for range 4 {
			asked(t, g, "hi")
		}
		expect(t, "elapsed", time.Since(start), 3*time.Second)
	})
	bubble("refuses at once what comes too late, a stand-in answers, and the breaker sees nothing", func(t *testing.T) {
		agent, breaker := plays("hi"), &strategies.Breaker{Failures: 1}
		g := built(t, middleware.Wrap(agent).Named("bard").Retry(strategies.Retry{}).CircuitBreaker(breaker).
			Pace(&strategies.Pace{RequestsPerMinute: 6, Burst: time.Second, MaxWait: time.Second}).Fallback("other", plays("stand-in")))
		start := time.Now()
		asked(t, g, "hi")
		asked(t, g, "stand-in")
		expect(t, "elapsed", time.Since(start), 0)
		expect(t, "breaker", breaker.State(), strategies.StateClosed)
		expect(t, "calls", agent.called(), 1)
	})
	bubble("says whose pace it is, and how long it would have had to wait", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays("hi")).Named("bard").Pace(&strategies.Pace{RequestsPerMinute: 6, Burst: time.Second, NoWait: true}))
		asked(t, g, "hi")
		err := failing(t, g)
		late, ok := errors.AsType[*strategies.PaceError](err)
		if !ok {
			t.Fatalf("error = %v, want a PaceError", err)
		}
		expect(t, "refusal", *late, strategies.PaceError{What: `pace "bard"`, Wait: 10 * time.Second})
		expect(t, "class", recoveryOf(t, err).Class, strategies.ClassRejected)
	})
	bubble("takes no wait for a turn for slowness", func(t *testing.T) {
		breaker := &strategies.Breaker{Failures: 1, SlowCall: time.Second}
		g := built(t, middleware.Wrap(plays("hi")).CircuitBreaker(breaker).Pace(&strategies.Pace{RequestsPerMinute: 6, Burst: time.Second}))
		for range 3 {
			asked(t, g, "hi")
		}
		expect(t, "breaker", breaker.State(), strategies.StateClosed)
	})
	bubble("lets nobody wait who would have no time left for the call", func(t *testing.T) {
		for _, breaker := range []bool{false, true} {
			agent := plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
				select {
				case <-time.After(10 * time.Second):
					return "hi", nil
				case <-ctx.Done():
					return "", ctx.Err()
				}
			}))
			b := middleware.Wrap(agent).Pace(&strategies.Pace{RequestsPerMinute: 60, Burst: time.Second}).Fallback("other", plays("stand-in"))
			if breaker {
				b.CircuitBreaker(&strategies.Breaker{})
			}
			g := built(t, b)
			for range 20 { // it learns that a call takes 10 s
				asked(t, g, "hi")
			}
			within := func(d time.Duration) (string, time.Duration) {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				go func() { _, _ = g.Run(t.Context(), "") }() // takes the turn that there is
				synctest.Wait()
				start := time.Now()
				answer, err := g.Run(ctx, "")
				expect(t, "error", err, nil)
				return answer, time.Since(start)
			}
			answer, took := within(10 * time.Second)
			expect(t, "in too short a time", answer, "stand-in")
			expect(t, "told after", took, 0)
			time.Sleep(time.Minute)
			answer, took = within(12 * time.Second)
			expect(t, "in time", answer, "hi")
			expect(t, "waited and answered after", took, 11*time.Second)
			time.Sleep(time.Minute)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+1)
			answer, err := g.Run(ctx, "") // who need not wait is not held up
			cancel()
			expect(t, "error", err, nil)
			expect(t, "without a wait", answer, "hi")
		}
	})
	bubble("learns from rate limits, also without a breaker", func(t *testing.T) {
		limit := strategies.WithClass(strategies.ClassRateLimited, errors.New("slow down"))
		p := &strategies.Pace{RequestsPerMinute: 100}
		for _, b := range []*middleware.Builder[string, string]{
			middleware.Wrap(plays(limit)).Pace(p),
			middleware.Wrap(plays(limit)).Pace(p).CircuitBreaker(&strategies.Breaker{}),
		} {
			failing(t, built(t, b))
		}
		if calls, _ := p.Rate(); calls < 48.9 || calls > 49.1 {
			t.Errorf("%v calls a minute", calls)
		}
		failing(t, built(t, middleware.Wrap(plays(errSick)).Pace(p)))
		if calls, _ := p.Rate(); calls < 48.9 || calls > 49.1 {
			t.Errorf("%v calls a minute after an error of another kind", calls)
		}
	})
	bubble("gives the turn back of a call that was not made", func(t *testing.T) {
		p := &strategies.Pace{RequestsPerMinute: 6, Burst: time.Second, NoWait: true}
		slots := &strategies.Bulkhead{MaxConcurrent: 1}
		g := built(t, middleware.Wrap(plays("hi")).Pace(p).Bulkhead(slots))
		expect(t, "slot", slots.Acquire(t.Context()), nil)
		if _, ok := errors.AsType[*strategies.FullError](failing(t, g)); !ok {
			t.Error("it was not full")
		}
		slots.Release()
		asked(t, g, "hi")
	})
	bubble("counts tokens as they are estimated, of streams too", func(t *testing.T) {
		p := &strategies.Pace{TokensPerMinute: 60, Burst: 10 * time.Second}
		length := func(_ context.Context, req string) int { return len(req) }
		g := built(t, middleware.Wrap(plays("hi")).Pace(p).PaceTokens(length))
		s, err := middleware.WrapStreamFunc(func(context.Context, string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) { yield("hi", nil) }
		}).Pace(p).PaceTokens(length).Build()
		expect(t, "build", err, nil)
		start := time.Now()
		_, err = g.Run(t.Context(), "0123456789")
		expect(t, "error", err, nil)
		for _, err := range s.Stream(t.Context(), "0123") {
			expect(t, "error", err, nil)
		}
		expect(t, "elapsed", time.Since(start), 4*time.Second)
		broken := built(t, middleware.Wrap(plays("hi")).Pace(p).PaceTokens(func(context.Context, string) int { panic("ouch") }))
		expect(t, "class", recoveryOf(t, failing(t, broken)).Class, strategies.ClassPanic)
	})
	bubble("is explained, and tells its health", func(t *testing.T) {
		p := &strategies.Pace{RequestsPerMinute: 6, TokensPerMinute: 600, Burst: time.Second}
		g := built(t, middleware.Wrap(plays("hi")).Timeout(time.Second).Pace(p))
		asked(t, g, "hi")
		go func() { _, _ = g.Run(t.Context(), "hi") }()
		synctest.Wait()
		h := g.Health()
		expect(t, "waiting", h.Waiting, 1)
		expect(t, "calls", h.CallsPerMinute, 6.0)
		expect(t, "tokens", h.TokensPerMinute, 600.0)
		e := g.Explain()
		if text := e.String(); !strings.Contains(text, "6 calls and 600 tokens a minute, waits up to 1m0s for a turn") || e.Time != 61*time.Second {
			t.Errorf("it says %v and\n%s", e.Time, text)
		}
		time.Sleep(time.Minute)
	})
	t.Run("it refuses what is not there", func(t *testing.T) {
		_, err := middleware.Wrap(plays("hi")).Pace(nil).PaceTokens(nil).Build()
		if err == nil || !strings.Contains(err.Error(), "Pace ") || !strings.Contains(err.Error(), "PaceTokens") {
			t.Errorf("error = %v", err)
		}
		expectIs(t, failingRaw(t, middleware.Chain(plays("hi"), middleware.Pace[string, string](&middleware.Owner{}, &strategies.Pace{}, nil))), strategies.ErrConfig)
	})
}

// The priority is said once, for all that a call causes: its retries, its stand-ins,
// and the agents that it calls, by whatever way.
func TestPriority(t *testing.T) {
	var seen []strategies.Priority
	note := func(err error) *play {
		return plays(stepFunc(func(ctx context.Context, _ string) (string, error) {
			seen = append(seen, middleware.CallOf(ctx).Priority())
			return "hi", err
		}))
	}
	inner := built(t, middleware.Wrap(note(nil)).Named("inner").Deadline(time.Minute))
	g := built(t, middleware.Wrap(note(errSick)).Coalesce(func(req string) string { return req }).Identify().
		Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{time.Millisecond}}).
		Fallback("other", middleware.Func(func(ctx context.Context, req string) (string, error) {
			seen = append(seen, middleware.CallOf(ctx).Priority())
			traced, _ := middleware.Trace(ctx)
			return inner.Run(traced, req)
		})))
	for _, want := range []strategies.Priority{strategies.PriorityInteractive, strategies.PriorityBatch} {
		seen = nil
		ctx := middleware.WithCallID(middleware.WithPriority(t.Context(), want), "")
		if want == strategies.PriorityBatch {
			ctx = middleware.WithPriority(middleware.WithCallID(t.Context(), "id"), want)
			ctx, _ = middleware.Trace(ctx)
		}
		_, err := g.Run(ctx, "hi")
		expect(t, "error", err, nil)
		if len(seen) < 3 || slices.ContainsFunc(seen, func(p strategies.Priority) bool { return p != want }) {
			t.Errorf("priorities: got %v, want %v", seen, want)
		}
	}
	ctx := middleware.WithPriority(middleware.WithPriority(t.Context(), strategies.PriorityBatch), strategies.PriorityNormal)
	expect(t, "the last word", middleware.CallOf(ctx).Priority(), strategies.PriorityNormal)
	expect(t, "nobody's", middleware.CallOf(t.Context()).Priority(), strategies.PriorityNormal)
	var none context.Context
	if middleware.WithPriority(none, strategies.PriorityBatch) != nil {
		t.Error("made a context of none")
	}
}

func TestPriorityInABulkhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent := plays(stepFunc(func(context.Context, string) (string, error) { time.Sleep(time.Second); return "hi", nil }))
		g := built(t, middleware.Wrap(agent).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Hour}))
		for range 50 {
			go func() { _, _ = g.Run(middleware.WithPriority(t.Context(), strategies.PriorityBatch), "batch") }()
		}
		synctest.Wait()
		expect(t, "waiting", g.Health().Waiting, 49)
		start := time.Now()
		_, err := g.Run(middleware.WithPriority(t.Context(), strategies.PriorityInteractive), "person")
		expect(t, "error", err, nil)
		expect(t, "elapsed", time.Since(start), 2*time.Second)
		time.Sleep(time.Minute)
		expect(t, "in flight", g.Health().InFlight, 0)
	})
}

func BenchmarkPace(b *testing.B) {
	agent := middleware.Func(func(context.Context, string) (string, error) { return "hi", nil })
	for name, paced := range map[string]*strategies.Pace{"without": nil, "with": {RequestsPerMinute: 1 << 30}} {
		b.Run(name, func(b *testing.B) {
			set := middleware.Wrap(agent).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{})
			if paced != nil {
				set.Pace(paced)
			}
			g, err := set.Build()
			if err != nil {
				b.Fatal(err)
			}
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Run(ctx, ""); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
