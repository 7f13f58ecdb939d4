package inbox_test

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// A caller who is gone takes the question along, however the agent is wrapped and
// whoever called it: nothing stays open on the desk, a decision that comes later is
// refused and says why, and the call ends at that moment. A call that others share
// stays open until the last of them has gone.
func TestPropertyACallerWhoIsGoneWithdrawsTheQuestion(t *testing.T) {
	errLeft := errors.New("the guest has left")
	withdrawn, stood, second := 0, 0, 0
	kinds := map[string]int{}
	const seeds = 1000
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			coin := func() bool { return rng.IntN(2) == 0 }
			desk := inbox.NewDesk()
			how := middleware.Intervention{Ask: desk, Deadline: time.Hour}
			fails := func(context.Context, string) (string, error) { return "", errSick }

			kind := []string{"whole", "stream", "nested", "shared", "by hand"}[rng.IntN(5)]
			kinds[kind]++
			var run func(ctx context.Context) error
			callers := 1
			switch kind {
			case "stream":
				g, err := middleware.WrapStreamFunc(func(context.Context, string) iter.Seq2[string, error] {
					return func(yield func(string, error) bool) { yield("", errSick) }
				}).Intervene(how).Build()
				expect(t, "Build", err, nil)
				run = func(ctx context.Context) error { _, err := middleware.Collect(g.Stream(ctx, "hello")); return err }
			case "by hand":
				o := &middleware.Owner{Name: "agent"}
				r := middleware.Chain(middleware.Func(fails), middleware.Intervene[string, string](o, how, nil), middleware.Recover[string, string](o))
				run = func(ctx context.Context) error { _, err := r.Run(ctx, "hello"); return err }
			default:
				b := middleware.WrapFunc(fails).Named("agent").Intervene(how)
				if coin() {
					b.Deadline(time.Minute)
				}
				if coin() {
					b.Degrade(strategies.LevelReduced, middleware.Func(fails))
				}
				if kind == "shared" {
					callers = 1 + rng.IntN(4)
					b.Coalesce(func(req string) string { return req })
				}
				g := built(t, b)
				run = func(ctx context.Context) error { _, err := g.Run(ctx, "hello"); return err }
				if kind == "nested" {
					outer := built(t, middleware.WrapFunc(g.Run).Named("outer").Timeout(10*time.Hour).CircuitBreaker(&strategies.Breaker{Failures: 1}))
					run = func(ctx context.Context) error { _, err := outer.Run(ctx, "hello"); return err }
				}
			}

			var all sync.WaitGroup
			leave := make([]context.CancelCauseFunc, callers)
			ends := make([]time.Time, callers)
			errs := make([]error, callers)
			for i := range callers {
				ctx, cancel := context.WithCancelCause(t.Context())
				if leave[i] = cancel; coin() {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeout(ctx, 2*time.Hour)
					defer stop()
				}
				all.Go(func() { errs[i] = run(ctx); ends[i] = time.Now() })
			}
			id := (<-desk.Incidents()).ID
			synctest.Wait()
			if kind != "shared" && coin() { // a first decision does not help, and a second question is asked
				second++
				if err := desk.Resolve(id, retryNow); err != nil {
					t.Fatalf("seed %d, %s: %v", seed, kind, err)
				}
				id = (<-desk.Incidents()).ID
			}
			for i, cancel := range leave {
				time.Sleep(time.Duration(rng.IntN(600)) * time.Second)
				if synctest.Wait(); !desk.Waiting(id) {
					t.Fatalf("seed %d, %s: withdrawn with %d callers waiting", seed, kind, callers-i)
				}
				stood++
				cancel(errLeft)
			}
			gone := time.Now()
			synctest.Wait()
			if desk.Waiting(id) {
				t.Fatalf("seed %d, %s: the question is open, and nobody waits for it", seed, kind)
			}
			time.Sleep(time.Duration(rng.IntN(3)) * time.Second)
			err := desk.Resolve(id, answer("too late"))
			if problem, ok := errors.AsType[*strategies.InterventionError](err); !ok || problem.Incident != id || !strings.Contains(err.Error(), "was withdrawn") {
				t.Fatalf("seed %d, %s: a late decision: %v", seed, kind, err)
			}
			withdrawn++
			all.Wait()
			for i := range errs {
				if !errors.Is(errs[i], errLeft) && !errors.Is(errs[i], context.Canceled) || ends[i].After(gone) {
					t.Errorf("seed %d, %s: the call ended %v later with %v", seed, kind, ends[i].Sub(gone), errs[i])
				}
			}
			select {
			case left := <-desk.Incidents():
				t.Errorf("seed %d, %s: %v lies on the desk", seed, kind, left.ID)
			default:
			}
		})
	}
	t.Logf("%d desks (%v): %d questions withdrawn, %d of them a second one, found open %d times before", seeds, kinds, withdrawn, second, stood)
}
