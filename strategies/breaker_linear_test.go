package strategies_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/understudy-go/understudy/strategies"
)

// Under concurrency there is no one history to compare with. So short histories
// are recorded, with begin and end of every step, and it is shown that some order
// of the steps that respects them makes a plain breaker do what ours did.

// plainBreaker is gobreaker with its time standing still, small enough to be
// copied at each fork of the search. That it is one is tested below.
type plainBreaker struct {
	failures, trials int  // settings
	due              bool // the open time has passed

	state                strategies.State
	gen                  int
	inRow, slots, passed int
}

func (m *plainBreaker) to(s strategies.State) {
	m.state, m.gen, m.inRow, m.slots, m.passed = s, m.gen+1, 0, 0, 0
}

// allow returns whether a call is let through; it belongs to generation m.gen.
func (m *plainBreaker) allow() bool {
	if m.state == strategies.StateOpen && m.due {
		m.due = false
		m.to(strategies.StateHalfOpen)
	}
	if m.state == strategies.StateHalfOpen {
		if m.slots >= m.trials {
			return false
		}
		m.slots++
	}
	return m.state != strategies.StateOpen
}

func (m *plainBreaker) end(gen int, outcome error) {
	switch {
	case gen != m.gen:
	case outcome == errNeutral:
		m.slots--
	case m.state == strategies.StateHalfOpen && outcome != nil:
		m.to(strategies.StateOpen)
	case m.state == strategies.StateHalfOpen:
		if m.passed++; m.passed >= m.trials {
			m.to(strategies.StateClosed)
		}
	case outcome == nil:
		m.inRow = 0
	default:
		if m.inRow++; m.inRow >= m.failures {
			m.to(strategies.StateOpen)
		}
	}
}

func TestThePlainBreakerIsAGobreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(2000) {
			rnd := rand.New(rand.NewPCG(seed, 11))
			m := plainBreaker{failures: 1 + rnd.IntN(3), trials: 1 + rnd.IntN(3)}
			engine := gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
				MaxRequests: uint32(m.trials), Timeout: sec,
				IsExcluded:  func(err error) bool { return err == errNeutral },
				ReadyToTrip: func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= m.failures },
			})
			type call struct {
				gen  int
				done func(error)
			}
			var calls []call
			for range 40 {
				switch rnd.IntN(5) {
				case 0:
					if rnd.IntN(3) == 0 && m.state == strategies.StateOpen {
						time.Sleep(sec + 1)
						m.due = true
					}
				case 1, 2:
					done, err := engine.Allow()
					if ok := m.allow(); ok != (err == nil) {
						t.Fatalf("seed %d: the model lets a call through: %v, gobreaker says %v", seed, ok, err)
					}
					if err == nil {
						calls = append(calls, call{m.gen, done})
					}
				default:
					if n := len(calls); n > 0 {
						c, outcome := calls[n-1], []error{nil, errBoom, errBoom, errNeutral}[rnd.IntN(4)]
						calls = calls[:n-1]
						c.done(outcome)
						m.end(c.gen, outcome)
					}
				}
			}
		}
	})
}

// step is one thing that was done to a breaker, and what came of it.
type step struct {
	begin, end int64 // ticks of one clock
	call       int   // which call it belongs to, of its own worker
	ends       bool  // it ends that call; else it asks for leave
	outcome    error
	through    bool
}

func (s step) String() string {
	if s.ends {
		return fmt.Sprintf("[%d-%d end %d: %v]", s.begin, s.end, s.call, s.outcome)
	}
	return fmt.Sprintf("[%d-%d begin %d: through %v]", s.begin, s.end, s.call, s.through)
}

// explained searches for an order of the steps of all workers in which m does
// the same; gens are the generations of each worker's calls on the way there.
func explained(m plainBreaker, workers [][]step, gens []map[int]int, dead map[string]bool) bool {
	rest := int64(-1)
	for _, steps := range workers {
		if len(steps) > 0 && (rest < 0 || steps[0].end < rest) {
			rest = steps[0].end
		}
	}
	if rest < 0 {
		return true
	}
	key := fmt.Sprint(m, gens)
	for _, steps := range workers {
		key += fmt.Sprint(" ", len(steps))
	}
	if dead[key] {
		return false
	}
	for w, steps := range workers {
		if len(steps) == 0 || steps[0].begin > rest {
			continue // another step had ended before this one began
		}
		s, next := steps[0], m
		if s.ends {
			next.end(gens[w][s.call], s.outcome)
		} else if next.allow() != s.through {
			continue
		}
		had, known := gens[w][s.call]
		if !s.ends {
			gens[w][s.call] = next.gen
		}
		workers[w] = steps[1:]
		if explained(next, workers, gens, dead) {
			return true
		}
		workers[w] = steps
		if delete(gens[w], s.call); known {
			gens[w][s.call] = had
		}
	}
	dead[key] = true
	return false
}

// worker plays a few calls, two of them under way at a time, and records them.
func worker(b *strategies.Breaker, rnd *rand.Rand, clock *atomic.Int64, calls int) (steps []step) {
	permits := map[int]strategies.Permit{}
	finish := func(i int) {
		p, ok := permits[i]
		if !ok {
			return
		}
		s := step{call: i, ends: true, outcome: []error{nil, nil, errBoom, errBoom, errBoom, errNeutral}[rnd.IntN(6)]}
		s.begin = clock.Add(1)
		switch s.outcome {
		case nil:
			p.Success()
		case errNeutral:
			p.Neutral()
		default:
			p.Failure(s.outcome)
		}
		s.end = clock.Add(1)
		steps = append(steps, s)
		delete(permits, i)
	}
	for i := range calls {
		s := step{call: i, begin: clock.Add(1)}
		p, err := b.Allow()
		s.end, s.through = clock.Add(1), err == nil
		if steps = append(steps, s); err == nil {
			permits[i] = p
		}
		if rnd.IntN(3) == 0 {
			runtime.Gosched()
		}
		if rnd.IntN(2) == 0 {
			finish(i)
		}
		finish(i - 1)
	}
	finish(calls - 1)
	return steps
}

func TestBreakerIsAPlainOneUnderConcurrency(t *testing.T) {
	rounds := uint64(1500)
	if testing.Short() {
		rounds = 300
	}
	synctest.Test(t, func(t *testing.T) {
		opened, trials := 0, 0
		for seed := range rounds {
			rnd := rand.New(rand.NewPCG(seed, 13))
			m := plainBreaker{failures: 1 + rnd.IntN(4), trials: 1 + rnd.IntN(3)}
			b := &strategies.Breaker{Failures: m.failures, Trials: m.trials, MaxOpenFor: openFor, NoJitter: true}
			if seed%2 == 0 { // half of the histories begin when an open time has passed
				trials++
				for range m.failures {
					p, _ := b.Allow()
					p.Failure(errBoom)
				}
				time.Sleep(openFor + 1)
				m.state, m.due = strategies.StateOpen, true
			}
			var clock atomic.Int64
			var all sync.WaitGroup
			workers := make([][]step, 4)
			var ready atomic.Int32
			for w := range 3 {
				rnd := rand.New(rand.NewPCG(seed, uint64(w)))
				all.Go(func() {
					for ready.Add(1); ready.Load() < 3; { // begin together
						runtime.Gosched()
					}
					workers[w] = worker(b, rnd, &clock, 3)
				})
			}
			all.Wait()
			// What is left must show too: one more failure each, until it opens.
			workers[3] = probe(b, &clock, m.failures+1)
			if b.State() == strategies.StateOpen {
				opened++
			}
			gens := []map[int]int{{}, {}, {}, {}}
			if !explained(m, workers, gens, map[string]bool{}) {
				var text strings.Builder
				for w, steps := range workers {
					fmt.Fprintf(&text, "\nworker %d: %v", w, steps)
				}
				t.Fatalf("seed %d: no order of these steps makes a plain breaker (%d failures, %d trials, due %v) do the same:%s",
					seed, m.failures, m.trials, m.due, text.String())
			}
		}
		if opened < int(rounds)/4 || trials < int(rounds)/4 {
			t.Errorf("%d of %d histories opened: they show nothing", opened, rounds)
		}
	})
}

// probe lets calls fail one after the other.
func probe(b *strategies.Breaker, clock *atomic.Int64, calls int) (steps []step) {
	for i := range calls {
		s := step{call: i, begin: clock.Add(1)}
		p, err := b.Allow()
		s.end, s.through = clock.Add(1), err == nil
		if steps = append(steps, s); err != nil {
			continue
		}
		s = step{call: i, ends: true, outcome: errBoom, begin: clock.Add(1)}
		p.Failure(errBoom)
		s.end = clock.Add(1)
		steps = append(steps, s)
	}
	return steps
}

// The search itself must be able to say no.
func TestTheSearchRefusesWhatNoBreakerDoes(t *testing.T) {
	fail := func(call int, at int64) []step {
		return []step{
			{call: call, begin: at, end: at + 1, through: true},
			{call: call, begin: at + 2, end: at + 3, ends: true, outcome: errBoom},
		}
	}
	m := plainBreaker{failures: 1, trials: 1}
	for _, tt := range []struct {
		it      string
		workers [][]step
		want    bool
	}{
		{"refuses a call let through after the breaker must be open", [][]step{fail(0, 1), fail(0, 10)}, false},
		{"accepts the same if the two overlap", [][]step{fail(0, 1), fail(0, 2)}, true},
		{"refuses a refusal without a failure", [][]step{{{begin: 1, end: 2}}}, false},
		{"accepts a refusal beside a failure", [][]step{fail(0, 1), {{begin: 3, end: 9}}}, true},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got := explained(m, tt.workers, []map[int]int{{}, {}}, map[string]bool{}); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// A healthy window must see every success, and every failure.
func TestBreakerWindowLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, calls = 4, 250
		for _, extra := range []int{0, 1} {
			b := &strategies.Breaker{Window: time.Minute, Ratio: 0.001, MinCalls: workers*calls + extra}
			var all sync.WaitGroup
			for w := range workers {
				all.Go(func() {
					for i := range calls {
						p, err := b.Allow()
						if err != nil {
							return
						}
						if (w+i)%5 == 0 && i < calls-1 {
							p.Failure(errBoom)
						} else {
							p.Success()
						}
					}
				})
			}
			all.Wait()
			if b.State() != strategies.StateClosed {
				t.Fatalf("%d calls opened it, want %d", workers*calls, b.MinCalls)
			}
			p, _ := b.Allow()
			p.Failure(errBoom)
			if b.State() != strategies.StateOpen {
				t.Errorf("%d calls did not open it at %d", workers*calls+1, b.MinCalls)
			}
		}
	})
}

// Whatever is done to it, and however many calls never end, it closes again.
func TestBreakerIsNeverStuck(t *testing.T) {
	for _, window := range []time.Duration{0, time.Minute} {
		t.Run(fmt.Sprintf("it closes again after a storm, window %v", window), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &strategies.Breaker{Failures: 3, Trials: 2, MaxOpenFor: 2 * time.Minute}
				if window > 0 {
					b.Failures, b.MinCalls, b.Window = 0, 3, window
				}
				var all sync.WaitGroup
				for w := range 6 {
					rnd := rand.New(rand.NewPCG(uint64(w), 17))
					all.Go(func() { storm(b, rnd) })
				}
				all.Wait()
				for range 20 {
					if p, err := b.Allow(); err == nil {
						p.Success()
					} else if open, ok := errors.AsType[*strategies.OpenError](err); ok {
						time.Sleep(open.RetryAfter + 1)
					}
				}
				if b.State() != strategies.StateClosed {
					t.Errorf("twenty good calls later it is %v for %v", b.State(), b.RetryAfter())
				}
			})
		})
	}
}

func storm(b *strategies.Breaker, rnd *rand.Rand) {
	for range 300 {
		p, err := b.Allow()
		if rnd.IntN(3) == 0 {
			time.Sleep(time.Duration(rnd.Int64N(int64(time.Minute))))
		}
		if err != nil {
			continue
		}
		switch rnd.IntN(8) {
		case 0: // it never ends
		case 1:
			p.Neutral()
		case 2, 3:
			p.Success()
		case 4:
			p.Success()
			b.Hold(time.Duration(rnd.Int64N(int64(time.Minute))), errBoom)
		default:
			p.Failure(errBoom)
		}
	}
}
