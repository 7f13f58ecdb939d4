package middleware_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// The baselines that docs/choosing-settings.md gives to copy: each builds, says
// what it does at worst, and keeps its promise on a bad day.
func TestBaselines(t *testing.T) {
	model, spare, apology := plays(errSick), plays("from the spare"), plays("sorry")
	desk := inbox.NewDesk(16)
	check := func(t *testing.T, e middleware.Explanation, bounded bool) {
		expect(t, "bounded in time", e.Bounded, bounded)
		expect(t, "calls", e.Calls > 0, true)
	}
	t.Run("chat", func(t *testing.T) {
		chat := middleware.Wrap(model).
			Named("chat").
			Retry(strategies.Retry{MaxRetries: 2, Jitter: 0.25}).
			CircuitBreaker(&strategies.Breaker{}).
			Timeout(20*time.Second).
			DeadlineReserving(45*time.Second, time.Second). // of the caller's own deadline a second stays for the apology
			Fallback("other provider", spare).
			Degrade(strategies.LevelMinimal, apology)
		check(t, built(t, chat).Explain(), true)
	})
	t.Run("batch", func(t *testing.T) {
		batch := middleware.Wrap(model).
			Named("batch").
			Retry(strategies.Retry{MaxRetries: 5, Backoff: strategies.Exponential{Base: 2 * time.Second, Cap: time.Minute}, Jitter: 0.5}).
			CircuitBreaker(&strategies.Breaker{OpenFor: time.Minute}).
			Bulkhead(&strategies.Bulkhead{MaxConcurrent: 8, MaxWait: 10 * time.Minute}).
			Timeout(5 * time.Minute).
			Intervene(middleware.Intervention{Ask: desk, Deadline: time.Hour})
		check(t, built(t, batch).Explain(), true)
	})
	t.Run("an agent with tools", func(t *testing.T) {
		// No Retry and no stand-in around the whole: its tools would act twice.
		agent := middleware.Wrap(model).
			Named("orders").
			CircuitBreaker(&strategies.Breaker{}).
			Timeout(2 * time.Minute).
			Intervene(middleware.Intervention{Ask: desk})
		g := built(t, agent)
		check(t, g.Explain(), true)
		expect(t, "calls", g.Explain().Calls, 1)
	})
	t.Run("a local model", func(t *testing.T) {
		local := middleware.Wrap(model).
			Named("local").
			Retry(strategies.Retry{MaxRetries: 1}).
			Bulkhead(&strategies.Bulkhead{MaxConcurrent: 2, MaxWait: 30 * time.Second}).
			HardTimeout(2*time.Minute, 2) // a stuck runtime does not look at its context
		check(t, built(t, local).Explain(), true)
	})
	t.Run("streaming", func(t *testing.T) {
		says := func(chunk string) bool { return chunk != "" }
		ends := func(chunk string) bool { return chunk == "." }
		speaker := middleware.StreamFunc(func(context.Context, string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) { yield("", errSick) }
		})
		spareSpeaker := middleware.Chunks[string]("well met", ".")
		stream := middleware.WrapStream(speaker).
			Named("stream").
			Commit(says).Complete(ends). // which chunk is speech, and which is the end
			Retry(strategies.Retry{MaxRetries: 2}).
			CircuitBreaker(&strategies.Breaker{}).
			Timeout(10*time.Second). // until it speaks
			Idle(20*time.Second).
			Fallback("other provider", spareSpeaker)
		check(t, streaming(t, stream).Explain(), false)
	})
}
