package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// evilTree is an error of random shape, whose leaves bite.
func evilTree(rng *rand.Rand, depth int) error {
	if depth == 0 || rng.IntN(4) == 0 {
		ring := &ringError{}
		ring.next = fmt.Errorf("again: %w", ring)
		return []error{(*nilError)(nil), rudeError{}, listError{errSick}, ring, errSick, context.Canceled}[rng.IntN(6)]
	}
	inner := evilTree(rng, depth-1)
	switch rng.IntN(5) {
	case 0:
		return &ringError{next: inner}
	case 1:
		return errors.Join(inner, evilTree(rng, depth-1))
	case 2:
		return strategies.WithRetryAfter(time.Second, inner)
	case 3:
		return strategies.WithClass(strategies.Classes()[rng.IntN(len(strategies.Classes()))], inner)
	default:
		return &nilError{err: inner}
	}
}

// Whatever an agent, a stand-in, a rung or a check returns: no panic gets through,
// the caller has an answer or an error with a text, and no slot of the breaker is
// lost.
func TestPropertyEvilErrorsTakeNoSlot(t *testing.T) {
	trees := 0
	for seed := range uint64(400) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 16))
			well := false
			evil := func(context.Context, string) (string, error) {
				if well {
					return "hi", nil
				}
				trees++
				return "no answer", evilTree(rng, 4)
			}
			b := &strategies.Breaker{Failures: 1 + rng.IntN(3), Trials: 1 + rng.IntN(2), MaxHold: time.Minute}
			chain := middleware.WrapFunc(evil).CircuitBreaker(b).Observe(&diary{}).Observe(middleware.Slog(quiet()))
			if rng.IntN(2) == 0 {
				chain.Retry(promptly)
			}
			if rng.IntN(2) == 0 {
				chain.Timeout(time.Minute)
			}
			if rng.IntN(2) == 0 {
				chain.Fallback("sage", middleware.Func(evil))
			}
			if rng.IntN(2) == 0 {
				chain.Degrade(strategies.LevelReduced, middleware.Func(evil))
			}
			if rng.IntN(2) == 0 {
				chain.Validate(func(ctx context.Context, _, _ string) error { _, err := evil(ctx, ""); return err })
			}
			g := built(t, chain)
			for range 10 {
				answer, err := g.Run(t.Context(), "hello")
				if err != nil && (answer != "" || fmt.Sprint(err) == "") {
					t.Fatalf("seed %d: %q and %v", seed, answer, err)
				}
				time.Sleep(time.Duration(rng.IntN(90)) * time.Second)
			}
			well = true
			for calls := 0; b.State() != strategies.StateClosed; calls++ {
				if calls == 10 {
					t.Fatalf("seed %d: a slot is taken: the breaker is %v after ten good calls", seed, b.State())
				}
				time.Sleep(b.RetryAfter() + time.Nanosecond)
				_, _ = g.Run(t.Context(), "hello")
			}
			if answer, err := g.Run(t.Context(), "hello"); answer != "hi" {
				t.Fatalf("seed %d: well again, and %v", seed, err)
			}
		})
	}
	t.Logf("400 chains, %d errors", trees)
}

// What events say is what the outcome says: one recovery a call, the same server,
// strategy and level; and of a call that nobody answered, one event for each
// attempt of its account.
func TestPropertyEventsTellWhatWas(t *testing.T) {
	recovered, failed := 0, 0
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 28))
		coin := func() bool { return rng.IntN(2) == 0 }
		sick := func(share int) middleware.Runner[string, string] {
			return middleware.Func(func(context.Context, string) (string, error) {
				if rng.IntN(100) < share {
					return "", errSick
				}
				return "hi", nil
			})
		}
		seen := &diary{}
		chain := middleware.Wrap(sick(85)).Named("bard").Observe(seen)
		if coin() {
			chain.Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{0}})
		}
		if coin() {
			ladder := &strategies.Ladder{}
			if coin() {
				ladder.Degrade(strategies.LevelReduced, "by hand")
			}
			chain.Ladder(ladder)
		}
		chain.Degrade(strategies.LevelReduced, sick(80))
		if coin() {
			chain.Fallback("sage", sick(80))
		}
		if coin() {
			chain.Intervene(middleware.Intervention{Ask: strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
				if coin() {
					return strategies.Decision{Action: strategies.ActionRetryNow, By: "pat"}, nil
				}
				return strategies.Decision{}, nil
			})})
		}
		g := built(t, chain)
		for range 5 {
			before := len(seen.since(0))
			o := g.Outcome(t.Context(), "hello")
			var told []middleware.Event
			steps := 0
			for _, e := range seen.since(before) {
				switch e.Kind {
				case middleware.EventRecovered:
					told = append(told, e)
				case middleware.EventAttemptFailed, middleware.EventStandInFailed, middleware.EventRungFailed:
					steps++
				}
			}
			var re *strategies.RecoveryError
			switch {
			case errors.As(o.Err, &re):
				failed++
				if len(told) != 0 || steps != len(re.Attempts) {
					t.Fatalf("seed %d: %d recoveries, %d steps told, %d attempts: %v", seed, len(told), steps, len(re.Attempts), o.Err)
				}
			case o.Strategy == strategies.StrategyNone:
				if len(told) != 0 {
					t.Fatalf("seed %d: a recovery is told of %+v", seed, o)
				}
			default:
				recovered++
				if len(told) != 1 || told[0].ServedBy != o.ServedBy || told[0].Strategy != o.Strategy || told[0].Level != o.Level {
					t.Fatalf("seed %d: told %+v, and it was %+v", seed, told, o)
				}
			}
		}
	}
	t.Logf("500 chains, %d calls recovered, %d failed", recovered, failed)
}

func (d *diary) since(n int) []middleware.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events[n:]
}
