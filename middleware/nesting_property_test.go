package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// nest is agents that call each other: each one those after it, by random ways,
// whole and streaming, through breakers that several of them share.
type nest struct {
	t      *testing.T
	rng    *rand.Rand
	sick   atomic.Bool
	agents []func(ctx context.Context) error // each through its own layers

	breakers            []*strategies.Breaker
	edges, streams      int
	shared, byHand      int
	coalesced, detached int
	twice               int
}

func (n *nest) coin() bool { return n.rng.IntN(2) == 0 }

// work is what an agent does: it fails while all are sick, and asks those it
// calls, one after the other or all at once. What they fail with it wraps, or hides
// where there is one breaker alone: who hides another's refusal says it failed itself.
func (n *nest) work(self int) func(ctx context.Context) error {
	var calls []int
	for j := self + 1; j < len(n.agents); j++ {
		if n.coin() {
			calls = append(calls, j)
			n.edges++
		}
	}
	first, atOnce, opaque, takes := n.coin(), n.rng.IntN(4) == 0, len(n.breakers) == 1 && n.coin(), time.Duration(n.rng.IntN(300))*time.Millisecond
	asks := func(ctx context.Context) error {
		errs := make([]error, len(calls))
		var all sync.WaitGroup
		for i, j := range calls {
			if atOnce {
				all.Go(func() { errs[i] = n.agents[j](ctx) })
			} else if errs[i] = n.agents[j](ctx); errs[i] != nil {
				break
			}
		}
		all.Wait()
		err := errors.Join(errs...)
		if err != nil && opaque {
			return errors.New(err.Error())
		}
		return err
	}
	return func(ctx context.Context) error {
		time.Sleep(takes)
		if first {
			if err := asks(ctx); err != nil {
				return err
			}
		}
		if n.sick.Load() {
			return errSick
		}
		if !first {
			return asks(ctx)
		}
		return nil
	}
}

// build makes the agents, the last one first.
func (n *nest) build() {
	n.agents = make([]func(context.Context) error, 2+n.rng.IntN(4))
	for range 1 + n.rng.IntN(3) {
		b := &strategies.Breaker{Failures: 1 + n.rng.IntN(3), Trials: 1 + n.rng.IntN(2), OpenFor: time.Duration(1+n.rng.IntN(30)) * time.Second}
		if n.coin() {
			b.MaxOpenFor = b.OpenFor
		}
		if n.rng.IntN(3) == 0 {
			b.SlowStart = 10 * time.Hour
		}
		n.breakers = append(n.breakers, b)
	}
	uses := map[*strategies.Breaker]int{}
	for i := len(n.agents) - 1; i >= 0; i-- {
		b := n.breakers[n.rng.IntN(len(n.breakers))]
		if uses[b]++; uses[b] > 1 {
			n.shared++
		}
		work := n.work(i)
		switch n.rng.IntN(4) {
		case 0:
			n.agents[i] = n.stream(i, b, work)
		case 1:
			n.agents[i] = n.hand(i, b, work)
		default:
			n.agents[i] = n.whole(i, b, work)
		}
	}
}

func (n *nest) whole(i int, b *strategies.Breaker, work func(context.Context) error) func(context.Context) error {
	chain := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) { return "well", work(ctx) }).Named(fmt.Sprint("a", i)).CircuitBreaker(b)
	if n.coin() {
		chain.Retry(promptly)
	}
	if n.rng.IntN(3) == 0 {
		n.coalesced++
		chain.Coalesce(func(string) string { return "same" })
	}
	switch n.rng.IntN(4) {
	case 0:
		chain.Timeout(time.Minute)
	case 1:
		n.detached++
		chain.HardTimeout(time.Minute, 100)
	}
	if n.rng.IntN(4) == 0 {
		chain.Around(middleware.Stage(n.rng.IntN(int(middleware.StageAgent)+1)), func(ctx context.Context, next func(context.Context) error) error {
			ctx, _ = middleware.Trace(ctx)
			return next(ctx)
		})
	}
	if n.rng.IntN(4) == 0 {
		chain.Fallback("understudy", middleware.Func(func(ctx context.Context, _ string) (string, error) { return "well", work(ctx) }))
	}
	if n.rng.IntN(4) == 0 {
		chain.Deadline(5 * time.Minute)
	}
	g := built(n.t, chain)
	if n.coin() {
		return func(ctx context.Context) error { return g.Outcome(ctx, "").Err }
	}
	return func(ctx context.Context) error { _, err := g.Run(ctx, ""); return err }
}

func (n *nest) hand(i int, b *strategies.Breaker, work func(context.Context) error) func(context.Context) error {
	n.byHand++
	o := &middleware.Owner{Name: fmt.Sprint("a", i)}
	layers := []middleware.Middleware[string, string]{
		middleware.Retry[string, string](o, promptly), middleware.CircuitBreaker[string, string](o, b), middleware.Recover[string, string](o),
	}
	if n.coin() {
		layers = layers[1:]
	}
	if n.rng.IntN(3) == 0 { // of its model, and of the provider
		n.twice++
		layers = append([]middleware.Middleware[string, string]{middleware.CircuitBreaker[string, string](o, n.breakers[n.rng.IntN(len(n.breakers))])}, layers...)
	}
	if n.rng.IntN(3) == 0 {
		layers = append([]middleware.Middleware[string, string]{middleware.Coalesce[string, string](o, func(string) string { return "same" })}, layers...)
	}
	r := middleware.Chain(middleware.Func(func(ctx context.Context, _ string) (string, error) { return "well", work(ctx) }), layers...)
	return func(ctx context.Context) error { _, err := r.Run(ctx, ""); return err }
}

func (n *nest) stream(i int, b *strategies.Breaker, work func(context.Context) error) func(context.Context) error {
	n.streams++
	early := n.coin() // it calls the others after its first word
	chain := middleware.WrapStreamFunc(func(ctx context.Context, _ string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			if early && !n.sick.Load() && !yield("first", nil) {
				return
			}
			if err := work(ctx); err != nil {
				yield("", err)
				return
			}
			yield("well", nil)
		}
	}).Named(fmt.Sprint("a", i)).CircuitBreaker(b)
	if n.coin() {
		chain.Retry(promptly)
	}
	if n.coin() {
		chain.Timeout(time.Minute)
	}
	if n.coin() {
		chain.Idle(time.Minute)
	}
	g := streaming(n.t, chain)
	return func(ctx context.Context) error { _, err := middleware.Collect(g.Stream(ctx, "")); return err }
}

// outage calls agents that all fail, for a while, some at the same time.
func (n *nest) outage() (failed int) {
	n.sick.Store(true)
	for end := time.Now().Add(time.Duration(n.rng.IntN(900)) * time.Second); time.Now().Before(end); {
		var all sync.WaitGroup
		for range 1 + n.rng.IntN(3) {
			i := n.rng.IntN(len(n.agents))
			all.Go(func() { _ = n.agents[i](n.t.Context()) })
			failed++
		}
		if n.coin() {
			all.Wait()
		}
		time.Sleep(time.Duration(n.rng.IntN(20_000)) * time.Millisecond)
		all.Wait()
	}
	n.sick.Store(false)
	return failed
}

// Agents that call each other, whatever breakers they share, are answered again
// after an outage: in the time that the breakers they pass are open, one after the
// other, at most. A slow start lets a call in with all that it calls.
func TestPropertyASharedBreakerNeverWedges(t *testing.T) {
	const seeds = 1500
	var total nest
	failed, rounds, late := 0, 0, time.Duration(0)
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			n := &nest{t: t, rng: rand.New(rand.NewPCG(seed, 71))}
			n.build()
			failed += n.outage()
			bound := time.Minute
			for _, b := range n.breakers {
				bound += 2 * 5 * b.OpenFor // the longest open time is four of them, and a tenth
			}
			callers := n.agents
			if n.coin() { // all others are called by this one alone
				callers = callers[:1]
			}
			alone := n.coin()
			start := time.Now()
			var wrong error
			for well := 0; well < 3; { // three times in a row, everybody
				wrong = nil
				errs := make([]error, len(callers))
				var all sync.WaitGroup
				for i, a := range callers {
					if alone {
						errs[i] = a(t.Context())
					} else {
						stagger := time.Duration(n.rng.IntN(4000)) * time.Millisecond
						all.Go(func() { time.Sleep(stagger); errs[i] = a(t.Context()) })
					}
				}
				all.Wait()
				if well++; errors.Join(errs...) != nil {
					well = 0
					for i, err := range errs {
						if err != nil {
							wrong = fmt.Errorf("a%d: %w", i, err)
						}
					}
				}
				if rounds++; time.Since(start) > bound && wrong != nil {
					t.Fatalf("seed %d: %v after the outage not everybody is answered: %v", seed, time.Since(start), wrong)
				}
				time.Sleep(time.Second)
			}
			late = max(late, time.Since(start))
			total.edges, total.streams, total.shared = total.edges+n.edges, total.streams+n.streams, total.shared+n.shared
			total.byHand, total.coalesced, total.detached, total.twice = total.byHand+n.byHand, total.coalesced+n.coalesced, total.detached+n.detached, total.twice+n.twice
		})
	}
	t.Logf("%d nests, %d calls of one agent by another, %d shared breakers, %d streams, %d by hand (%d with two breakers), %d coalesced, %d on a goroutine; %d failed calls, %d rounds until all were well, at most %v",
		seeds, total.edges, total.shared, total.streams, total.byHand, total.twice, total.coalesced, total.detached, failed, rounds, late)
}

// A person's word is leave for all that the agent calls, too.
func TestAPersonsWordIsATrialOfTheWholeCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		sick := true
		helper := built(t, middleware.WrapFunc(func(context.Context, string) (string, error) {
			if sick {
				return "", errSick
			}
			return "helped", nil
		}).Named("helper").CircuitBreaker(b))
		outer := built(t, middleware.WrapFunc(helper.Run).Named("outer").CircuitBreaker(b).Intervene(middleware.Intervention{
			Ask: strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
				sick = false
				return strategies.Decision{Action: strategies.ActionRetryNow}, nil
			}),
		}))
		asked(t, outer, "helped")
		expect(t, "state", b.State(), strategies.StateClosed)
	})
}

// A trial's leave ends with it: what it leaves behind is let through no more than
// others.
func TestATrialsLeaveEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		agent := plays("helped")
		helper := built(t, middleware.Wrap(agent).Named("helper").CircuitBreaker(b))
		var kept context.Context
		outer := built(t, middleware.Wrap(plays(errSick, stepFunc(func(ctx context.Context, req string) (string, error) {
			kept = context.WithoutCancel(ctx)
			_, _ = helper.Run(ctx, req)
			return "", errSick
		}))).Named("outer").CircuitBreaker(b))
		failing(t, outer)
		time.Sleep(time.Minute)
		failing(t, outer)
		expect(t, "calls of the trial", agent.called(), 1)
		_, err := helper.Run(kept, "hello")
		expectIs(t, err, strategies.ErrRejected)
		expect(t, "calls after it", agent.called(), 1)
	})
}

// What an operator said stands, also for what a trial calls.
func TestATrialDoesNotPassAnIsolation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1}
		agent := plays("helped")
		helper := built(t, middleware.Wrap(agent).Named("helper").CircuitBreaker(b))
		outer := built(t, middleware.Wrap(plays(errSick, stepFunc(func(ctx context.Context, req string) (string, error) {
			b.Isolate()
			return helper.Run(ctx, req)
		}))).Named("outer").CircuitBreaker(b))
		failing(t, outer)
		time.Sleep(time.Minute)
		failing(t, outer)
		expect(t, "calls", agent.called(), 0)
	})
}
