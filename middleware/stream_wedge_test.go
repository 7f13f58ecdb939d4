package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// No sequence of what agents and readers do leaves a slot taken, a breaker stuck
// or a goroutine behind, and every reader sees exactly one end.
func TestStreamNoWedge(t *testing.T) {
	seeds := uint64(4000)
	if testing.Short() {
		seeds = 400
	}
	ignore := goleak.IgnoreCurrent()
	var ends [5]int
	for seed := range seeds {
		ok := t.Run("", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wedge{rng: rand.New(rand.NewPCG(seed, 1))}
				w.run(t)
				for i := range w.ends {
					ends[i] += int(w.ends[i].Load())
				}
			})
		})
		if !ok {
			t.Fatalf("seed %d", seed)
		}
	}
	// The scenes must not all be alike.
	for i, n := range ends {
		if n < int(seeds)/10 {
			t.Errorf("only %d of the readers %s", n, endings[i])
		}
	}
	goleak.VerifyNone(t, ignore)
}

var endings = [...]string{"heard the end", "got an error", "broke out", "panicked", "ended their goroutine"}

// wedge is one random scene: a chain, agents that do anything, and readers that
// do.
type wedge struct {
	rng     *rand.Rand
	mu      sync.Mutex // of rng
	healthy atomic.Bool
	ends    [5]atomic.Int32
}

func (w *wedge) n(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *wedge) chance(percent int) bool { return w.n(100) < percent }

func (w *wedge) run(t *testing.T) {
	breaker := &strategies.Breaker{Failures: 1 + w.n(3), OpenFor: 3 * time.Second, NoJitter: true, TrialTimeout: 5 * time.Second, Trials: 1 + w.n(2)}
	slots := &strategies.Bulkhead{MaxConcurrent: 1 + w.n(4), MaxWait: time.Duration(w.n(2)) * time.Second}
	g := streaming(t, w.chain(t, breaker, slots))
	var readers sync.WaitGroup
	for range 1 + w.n(5) {
		pause, r := time.Duration(w.n(3000))*time.Millisecond, w.reader()
		readers.Go(func() {
			time.Sleep(pause)
			w.reads(t, g, r)
		})
	}
	readers.Wait()
	synctest.Wait()
	expect(t, "slots taken", slots.InFlight(), 0)

	// What is healthy again is let through again, and closes the breaker.
	w.healthy.Store(true)
	for range breaker.Trials {
		time.Sleep(time.Hour)
		seen, err := hear(g.Stream(t.Context(), "again"))
		expect(t, "a healthy agent says", seen, "hello . end")
		expectIs(t, err, nil)
	}
	expect(t, "breaker", breaker.State(), strategies.StateClosed)
	expect(t, "slots taken", slots.InFlight(), 0)
}

func (w *wedge) chain(t *testing.T, breaker *strategies.Breaker, slots *strategies.Bulkhead) *streamBuilder {
	b := middleware.WrapStreamFunc(w.agent).CircuitBreaker(breaker).Bulkhead(slots)
	maybe := func(f func()) {
		if w.chance(50) {
			f()
		}
	}
	maybe(func() {
		b.Retry(strategies.Retry{MaxRetries: 1 + w.n(2), Backoff: strategies.Delays{time.Duration(w.n(1500)) * time.Millisecond}})
	})
	maybe(func() { b.Timeout(time.Duration(500+w.n(3000)) * time.Millisecond) })
	maybe(func() { b.Idle(time.Duration(100+w.n(900)) * time.Millisecond) })
	maybe(func() { b.Deadline(time.Duration(5+w.n(10)) * time.Second) })
	maybe(func() { b.Complete(period) })
	maybe(func() { b.Validate(noBad) })
	maybe(func() { b.Fallback("sage", middleware.StreamFunc(w.agent)) })
	maybe(func() {
		b.Fallback("guarded", streaming(t, middleware.WrapStreamFunc(w.agent).Named("guarded").Bulkhead(slots).Retry(promptly).Idle(time.Second)))
	})
	maybe(func() { b.Degrade(strategies.LevelMinimal, middleware.StreamFunc(w.agent)) })
	maybe(func() {
		b.Intervene(middleware.Intervention{Deadline: time.Second, Rounds: 1, Ask: strategies.IntervenorFunc(func(ctx context.Context, i strategies.Incident) (strategies.Decision, error) {
			return []strategies.Decision{{}, retryNow, answer([]string{"by", "hand"})}[w.n(3)], nil
		})})
	})
	switch w.n(4) {
	case 0:
		b.Buffer(2 + w.n(5))
	case 1:
		b.Continue(1+w.n(3), func(_ context.Context, req string, _ []string) (string, bool) { return req, w.chance(90) })
	case 2:
		b.Commit(func(c string) bool { return c != "" })
	}
	return b
}

// agent speaks a random script, and need not listen.
func (w *wedge) agent(ctx context.Context, _ string) iter.Seq2[string, error] {
	if w.healthy.Load() {
		return func(yield func(string, error) bool) { recite(ctx, script{"hello", "."}, yield) }
	}
	var lines script
	for range w.n(6) {
		switch w.n(20) {
		case 0:
			lines = append(lines, ofClass(strategies.Classes()[w.n(len(strategies.Classes()))]))
		case 1:
			lines = append(lines, stalled{})
		case 2:
			lines = append(lines, func() { panic(errSick) })
		case 3:
			lines = append(lines, func() {
				if w.chance(20) {
					runtime.Goexit()
				}
			})
		case 4:
			lines = append(lines, func(yield func(string, error) bool) { yield("deaf", nil); yield("", errSick); yield("still", nil) })
		case 5:
			lines = append(lines, func(yield func(string, error) bool) {
				defer func() { _ = recover() }() // hides what it broke
				yield("swallows", nil)
			})
		case 6:
			deaf := time.Duration(w.n(4000)) * time.Millisecond
			lines = append(lines, func() { time.Sleep(deaf) })
		case 7, 8, 9:
			lines = append(lines, time.Duration(w.n(1500))*time.Millisecond)
		case 10:
			lines = append(lines, "bad")
		default:
			lines = append(lines, []string{"", "a", "b", "c"}[w.n(4)])
		}
	}
	if w.chance(70) {
		lines = append(lines, ".")
	}
	if w.chance(3) {
		return nil
	}
	return func(yield func(string, error) bool) { recite(ctx, lines, yield) }
}

// reader is what one does: it leaves at a chunk, somehow, or its caller hangs up.
type reader struct {
	leaves, at int // 0: stays
	slow       time.Duration
	hangsUp    time.Duration
}

func (w *wedge) reader() (r reader) {
	if w.chance(50) {
		r.leaves, r.at = 2+w.n(3), w.n(4)
	}
	if w.chance(30) {
		r.slow = time.Duration(w.n(3000)) * time.Millisecond
	}
	if w.chance(30) {
		r.hangsUp = time.Duration(w.n(4000)) * time.Millisecond
	}
	return r
}

type mine struct{ *reader }

func (w *wedge) reads(t *testing.T, g *middleware.GuardedStream[string, string], r reader) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if r.hangsUp == 0 {
		r.hangsUp = time.Minute // nobody waits for ever, whatever was asked for
	}
	defer time.AfterFunc(r.hangsUp, cancel).Stop()
	var seen []string
	end, chunks := -1, 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			switch v := recover().(type) {
			case nil:
			case mine:
				if end = 3; v.reader != &r {
					t.Errorf("a panic of another reader: %v", v)
				}
			default:
				// Only a reader whose panic was swallowed sees another one: the language's own.
				if err, ok := v.(runtime.Error); !ok || !strings.Contains(err.Error(), "range function") || end != 3 {
					t.Errorf("a panic that is nobody's: %v", v)
				}
			}
		}()
		for chunk, err := range g.Stream(ctx, "tell") {
			if end == 1 {
				t.Errorf("something after the error: %q %v", chunk, err)
			}
			seen = append(seen, fmt.Sprint(chunk, err))
			if err != nil {
				if end = 1; chunk != "" || !errors.Is(err, strategies.ErrRecovery) && strategies.Classify(err).Class != strategies.ClassInterrupt {
					t.Errorf("an end of its own kind: %q %v", chunk, err)
				}
				continue // an error is the end: nothing more may come
			}
			time.Sleep(r.slow)
			if chunks++; r.leaves == 0 || chunks <= r.at {
				continue
			}
			switch end = r.leaves; end {
			case 2:
				return
			case 3:
				panic(mine{&r})
			default:
				runtime.Goexit()
			}
		}
		if end < 0 {
			end = 0
		}
	}()
	<-done
	if end < 0 {
		end = 4 // the agent ended the goroutine: nobody can stop that
	}
	w.ends[end].Add(1)
	if n := len(seen); n != chunks && n != chunks+1 {
		t.Errorf("%d chunks and %d events: %q", chunks, n, seen)
	}
}
