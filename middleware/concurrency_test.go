package middleware_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// ledger counts events: by kind, those of refused attempts apart, and those of
// recoveries by strategy.
type ledger struct {
	kinds      [32]atomic.Int64
	refused    atomic.Int64
	strategies [8]atomic.Int64
}

func (l *ledger) Observe(_ context.Context, e middleware.Event) {
	switch {
	case e.Kind == middleware.EventAttemptFailed && errors.Is(e.Err, strategies.ErrRejected): // a held breaker's is of another class
		l.refused.Add(1)
		return
	case e.Kind == middleware.EventRecovered:
		l.strategies[e.Strategy].Add(1)
	}
	l.kinds[e.Kind].Add(1)
}

func (l *ledger) of(k middleware.EventKind) int64 { return l.kinds[k].Load() }
func (l *ledger) by(s strategies.Strategy) int64  { return l.strategies[s].Load() }

// faulty is a request with the faults it will meet.
type faulty struct {
	mu     sync.Mutex
	rng    *rand.Rand
	cancel context.CancelFunc
	calls  [3]atomic.Int64 // of the agent, the stand-in, the rung
}

func (f *faulty) draw(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rng.IntN(n)
}

// serve answers after a moment, or injects one fault in three.
func (f *faulty) serve(ctx context.Context, who int) (string, error) {
	f.calls[who].Add(1)
	time.Sleep(time.Duration(1+f.draw(20)) * 100 * time.Millisecond)
	answer := []string{"a tale", "a record", "a word"}[who]
	switch f.draw(21) {
	case 0, 1:
		return "", errSick
	case 2:
		return "", errList{errSick}
	case 3:
		panic("a fault")
	case 4:
		<-ctx.Done()
		return "", ctx.Err()
	case 5:
		f.cancel()
		return "", ctx.Err()
	case 6:
		return "", strategies.WithRetryAfter(2*time.Second, ofClass(strategies.ClassRateLimited))
	default:
		return answer, nil
	}
}

// Ten thousand calls at a time through one chain: each gets one answer or one
// typed error, and what the events say adds up to what was done and what the
// callers saw.
func TestTenThousandConcurrentCallsAddUp(t *testing.T) {
	const calls = 10_000
	waves := 1
	if raceDetector {
		waves = 4 // it bears 8,128 goroutines
	}
	synctest.Test(t, func(t *testing.T) {
		var told ledger
		var inFlight, peak atomic.Int64
		var actor [3]middleware.Runner[*faulty, string]
		for who := range actor {
			actor[who] = middleware.Func(func(ctx context.Context, f *faulty) (string, error) {
				n := inFlight.Add(1)
				defer inFlight.Add(-1)
				for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
				}
				return f.serve(ctx, who)
			})
		}
		slots := &strategies.Bulkhead{MaxConcurrent: calls * 9 / 10 / waves} // so that some find it full
		breaker := &strategies.Breaker{Failures: 12, OpenFor: time.Second}
		g := built(t, middleware.Wrap(actor[0]).Named("narrator").Observe(&told).
			Retry(strategies.Retry{Budget: &strategies.Budget{Capacity: 4 * calls}, Jitter: 0.5}).
			CircuitBreaker(breaker).Bulkhead(slots).Timeout(10*time.Second).
			Fallback("archivist", actor[1]).Degrade(strategies.LevelReduced, actor[2]))

		var agents, standIns, rungs, attempts, direct, recovered, failed atomic.Int64
		call := func(f *faulty) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f.cancel = cancel
			out := g.Outcome(ctx, f)
			answer := map[string]string{"narrator": "a tale", "archivist": "a record", "reduced answer": "a word"}[out.ServedBy]
			_, typed := out.Err.(*strategies.RecoveryError)
			switch {
			case out.Value != answer || typed == (answer != ""):
				t.Errorf("a call ends with %+v", out)
			case typed:
				failed.Add(1)
			case out.Strategy == strategies.StrategyNone:
				direct.Add(1)
			default:
				recovered.Add(1)
			}
			made := f.calls[0].Load() + f.calls[1].Load() + f.calls[2].Load()
			if int64(out.Attempts) < made { // the others were refused
				t.Errorf("%d calls were made, the outcome says %d", made, out.Attempts)
			}
			agents.Add(f.calls[0].Load())
			standIns.Add(f.calls[1].Load())
			rungs.Add(f.calls[2].Load())
			attempts.Add(int64(out.Attempts))
		}
		for wave := range waves {
			var wg sync.WaitGroup
			for n := range calls / waves {
				f := &faulty{rng: rand.New(rand.NewPCG(uint64(wave), uint64(n)))}
				wg.Go(func() { call(f) })
			}
			wg.Wait()
			time.Sleep(breaker.RetryAfter() + 1)
		}

		same := func(what string, got, want int64) {
			t.Helper()
			if got != want || got == 0 {
				t.Errorf("%s: %d, want %d and some", what, got, want)
			}
		}
		same("calls that ended", direct.Load()+recovered.Load()+failed.Load(), calls)
		same("events of recoveries", told.of(middleware.EventRecovered), recovered.Load())
		same("events of failed calls", told.of(middleware.EventFailed), failed.Load())
		same("calls of the agent", agents.Load(), direct.Load()+told.by(strategies.StrategyRetry)+told.of(middleware.EventAttemptFailed))
		same("calls of the stand-in", standIns.Load(), told.of(middleware.EventStandInCalled))
		same("ends of the stand-in", standIns.Load(), told.by(strategies.StrategyFallback)+told.of(middleware.EventStandInFailed))
		same("calls of the rung", rungs.Load(), told.by(strategies.StrategyDegradation)+told.of(middleware.EventRungFailed))
		same("attempts in outcomes", attempts.Load(), agents.Load()+standIns.Load()+rungs.Load()+told.refused.Load())
		if peak.Load() < int64(calls/waves/2) || told.refused.Load() == 0 {
			t.Errorf("at most %d calls at a time, %d refused: that is no crowd", peak.Load(), told.refused.Load())
		}
		expect(t, "slots taken in the end", slots.InFlight(), 0)
		t.Logf("direct %d, recovered %d, failed %d; agent %d, stand-in %d, rung %d, refused %d; peak %d", direct.Load(), recovered.Load(),
			failed.Load(), agents.Load(), standIns.Load(), rungs.Load(), told.refused.Load(), peak.Load())
	})
}
