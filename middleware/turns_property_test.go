package middleware_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// turns is a stream with random limits, whose agent is well, and its readers.
type turns struct {
	rng     *rand.Rand
	breaker *strategies.Breaker
	g       *middleware.GuardedStream[string, string]
	mood    string // of the agent: well, sick or hung
	words   int
	limited bool          // it has a limit by which a hung agent is found out
	early   bool          // it speaks before it hangs
	gap     time.Duration // between its words, where nothing bounds the whole
}

func (w *turns) coin() bool { return w.rng.IntN(2) == 0 }

func (w *turns) agent(ctx context.Context, _ string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		switch w.mood {
		case "sick":
			yield("", errSick)
		case "hung":
			if w.early && !yield("hm", nil) {
				return
			}
			<-ctx.Done()
			yield("", ctx.Err())
		default:
			for range w.words {
				if !yield("word", nil) {
					return
				}
				time.Sleep(w.gap)
			}
			yield(".", nil)
		}
	}
}

func (w *turns) build(t *testing.T) {
	w.breaker = &strategies.Breaker{Failures: 1 + w.rng.IntN(3), Trials: 1 + w.rng.IntN(2), MaxOpenFor: 30 * time.Second, OpenFor: 30 * time.Second}
	if w.coin() {
		w.breaker.TrialTimeout = 20 * time.Second
	}
	if w.rng.IntN(4) == 0 {
		w.breaker.SlowCall = 4 * time.Second
	}
	w.words, w.early = 1+w.rng.IntN(5), w.coin()
	chain := middleware.WrapStreamFunc(w.agent).CircuitBreaker(w.breaker)
	timeout, idle := w.coin(), w.coin()
	if timeout {
		chain.Timeout(5 * time.Second)
	}
	if idle {
		chain.Idle(5 * time.Second)
	}
	w.limited = timeout && !w.early || idle && w.early
	if w.rng.IntN(3) == 0 {
		w.limited = true
		chain.Deadline(time.Duration(10+w.rng.IntN(3600)) * time.Second)
	} else if w.coin() {
		w.gap = 700 * time.Millisecond
	}
	if w.coin() {
		chain.Complete(period)
	}
	if w.rng.IntN(3) == 0 {
		chain.Validate(noBad)
	}
	if w.rng.IntN(3) == 0 {
		chain.Retry(promptly)
	}
	switch w.rng.IntN(5) {
	case 0:
		chain.Commit(func(c string) bool { return c != "hm" })
		w.limited = w.limited && (timeout || !w.early)
	case 1:
		chain.Buffer(20)
	case 2:
		chain.Continue(2, func(_ context.Context, req string, _ []string) (string, bool) { return req, true })
	}
	w.g = streaming(t, chain)
}

// reads is one reader, who takes his time at each word, or leaves, or has little
// of it.
func (w *turns) reads(ctx context.Context) string {
	pause := []time.Duration{0, 0, time.Second, 3 * time.Second, 7 * time.Second, time.Minute, 3 * time.Minute}[w.rng.IntN(7)]
	leaves := -1
	if w.rng.IntN(3) == 0 {
		leaves = w.rng.IntN(3)
	}
	if w.rng.IntN(4) == 0 && w.gap == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(1+w.rng.IntN(100))*time.Second)
		defer cancel()
	}
	heard := 0
	for _, err := range w.g.Stream(ctx, "tell") {
		if err != nil {
			return "cut off"
		}
		time.Sleep(pause)
		if heard++; leaves >= 0 && heard > leaves {
			return "left"
		}
	}
	return "heard all"
}

// What a slow reader costs is never the agent's fault, whatever ran out: the
// breaker of an agent that speaks at once stays shut to nobody. A reader who stalls
// in the middle of a trial keeps nobody else out. And an agent that hangs is found
// out all the same.
func TestPropertyWhoseTurnItWas(t *testing.T) {
	const seeds = 1500
	ends := map[string]int{}
	stalls, hung, found := 0, 0, 0
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			w := &turns{rng: rand.New(rand.NewPCG(seed, 5))}
			w.build(t)
			fail := func(format string, args ...any) {
				t.Helper()
				t.Fatalf("seed %d: %s\n%s", seed, fmt.Sprintf(format, args...), w.g.Explain())
			}
			for range 12 {
				end := w.reads(t.Context())
				if ends[end]++; w.breaker.State() != strategies.StateClosed {
					fail("a reader who %s has opened the breaker: %v", end, w.breaker.LastFailure())
				}
			}

			// An outage, and a trial whose reader stalls for as long as the test lasts.
			shut := func() {
				w.mood = "sick"
				for w.breaker.State() == strategies.StateClosed {
					_, _ = hear(w.g.Stream(t.Context(), "tell"))
				}
				time.Sleep(40 * time.Second)
				w.mood = ""
			}
			shut()
			released := make(chan struct{})
			release := sync.OnceFunc(func() { close(released) })
			defer release()
			var all, there sync.WaitGroup
			at := w.rng.IntN(w.words)
			for range w.breaker.Trials {
				stalls++
				there.Add(1)
				all.Go(func() {
					heard := 0
					for range w.g.Stream(t.Context(), "tell") {
						if heard++; heard == at+1 {
							there.Done()
							<-released
						}
					}
				})
			}
			there.Wait()
			time.Sleep(time.Duration(w.rng.IntN(200)) * time.Second)
			for i := range w.breaker.Trials {
				if seen, err := hear(w.g.Stream(t.Context(), "tell")); err != nil {
					fail("while the reader of a trial stalls another one hears %q: %v (the %d.)", seen, err, i+1)
				}
			}
			if w.breaker.State() != strategies.StateClosed {
				fail("while the reader of a trial stalls the breaker is %v", w.breaker.State())
			}
			time.Sleep(time.Duration(w.rng.IntN(5000)) * time.Second)
			release()
			all.Wait()
			if w.breaker.State() != strategies.StateClosed {
				fail("a reader who stalled in a trial has opened the breaker: %v", w.breaker.LastFailure())
			}

			if !w.limited {
				return
			}
			hung++
			w.mood = "hung"
			for range 2*w.breaker.Failures + 2 {
				if _, err := hear(w.g.Stream(t.Context(), "tell")); err == nil {
					fail("an agent that hangs has answered")
				}
			}
			if found++; w.breaker.State() == strategies.StateClosed {
				fail("an agent that hangs is not found out")
			}
		})
	}
	t.Logf("%d streams: readers %v; %d stalled in a trial; %d agents hung, %d found out", seeds, ends, stalls, hung, found)
}
