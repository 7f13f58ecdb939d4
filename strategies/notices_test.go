package strategies_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// A breaker under hand: held, isolated, reset, watched.

func TestBreakerHold(t *testing.T) {
	quick := func() *strategies.Breaker { return &strategies.Breaker{Failures: 2, NoJitter: true} }
	errLimit := strategies.WithClass(strategies.ClassRateLimited, errors.New("slow down"))

	inBench(t, "lets nothing through until the time a provider named", quick(), func(b *bench) {
		b.Hold(time.Minute, errLimit)
		b.state(strategies.StateHeld)
		if open := b.refused(strategies.StateHeld, time.Minute); open.Cause != errLimit {
			b.t.Errorf("the cause is %v", open.Cause)
		}
		time.Sleep(time.Minute - 1)
		b.refused(strategies.StateHeld, 1)
		time.Sleep(time.Nanosecond)
		b.succeed()
		b.moves(strategies.StateHeld, strategies.StateClosed)
		if c := b.changes[0]; c.OpenFor != time.Minute || c.Cause != errLimit {
			b.t.Errorf("told of %+v", c)
		}
	})
	inBench(t, "is no failure", quick(), func(b *bench) {
		b.fail(1)
		b.Hold(sec, errLimit)
		time.Sleep(sec)
		b.state(strategies.StateHeld) // reading changes nothing
		b.succeed()
		b.fail(1)
		b.state(strategies.StateClosed)
		if b.LastFailure() != errBoom {
			b.t.Errorf("last failure %v", b.LastFailure())
		}
	})
	inBench(t, "is extended, never cut short, and told of once", quick(), func(b *bench) {
		b.Hold(sec, errLimit)
		b.Hold(time.Minute, errBoom)
		b.Hold(sec, errLimit)
		if open := b.refused(strategies.StateHeld, time.Minute); open.Cause != errBoom {
			b.t.Errorf("the cause is %v", open.Cause)
		}
		b.moves(strategies.StateHeld)
	})
	inBench(t, "tells callers to come back one after the other, none too early, all within a tenth", quick(), func(b *bench) {
		b.Hold(time.Minute, errLimit)
		told := map[time.Duration]bool{}
		for range 20 {
			_, err := b.Allow()
			after := strategies.Classify(err).RetryAfter
			if told[after] || after < time.Minute || after > 66*time.Second {
				b.t.Errorf("told to come back after %v", after)
			}
			told[after] = true
		}
	})
	inBench(t, "does nothing for no time", quick(), func(b *bench) {
		b.Hold(0, errLimit)
		b.Hold(-time.Hour, errLimit)
		b.succeed()
		b.moves()
	})
	inBench(t, "needs no cause", quick(), func(b *bench) {
		b.Hold(sec, nil)
		if open := b.refused(strategies.StateHeld, sec); open.Cause != nil {
			b.t.Errorf("the cause is %v", open.Cause)
		}
	})
	inBench(t, "can be for ever", quick(), func(b *bench) {
		b.succeed()
		time.Sleep(sec)
		b.Hold(forever, errLimit)
		time.Sleep(100 * 365 * 24 * time.Hour)
		if _, err := b.Allow(); strategies.Classify(err).Class != strategies.ClassRateLimited {
			b.t.Errorf("got %v", err)
		}
	})
	inBench(t, "keeps an open time that is longer", quick(), func(b *bench) {
		b.fail(2)
		b.Hold(sec, errLimit)
		b.refused(strategies.StateHeld, openFor)
		time.Sleep(sec)
		b.refused(strategies.StateOpen, openFor-sec)
		b.moves(strategies.StateOpen, strategies.StateHeld, strategies.StateOpen)
		if c := b.changes[2]; c.OpenFor != openFor-sec || c.Cause != errBoom {
			b.t.Errorf("told of %+v", c)
		}
		time.Sleep(openFor)
		b.succeed()
		b.state(strategies.StateClosed)
	})
	inBench(t, "books the calls that were under way", quick(), func(b *bench) {
		p, q := b.allow(), b.allow()
		b.Hold(sec, errLimit)
		p.Failure(errBoom)
		q.Failure(errBoom)
		b.state(strategies.StateHeld)
		b.refused(strategies.StateHeld, openFor)
		time.Sleep(sec)
		b.refused(strategies.StateOpen, openFor-sec)
		b.moves(strategies.StateHeld, strategies.StateOpen)
	})
	inBench(t, "books a success that was under way", quick(), func(b *bench) {
		b.fail(1)
		p := b.allow()
		b.Hold(sec, errLimit)
		p.Success()
		time.Sleep(sec)
		b.fail(1)
		b.state(strategies.StateClosed)
	})
	inBench(t, "lets a trial end that was under way", quick(), func(b *bench) {
		b.fail(2)
		time.Sleep(openFor + 1)
		trial := b.allow()
		b.Hold(sec, errLimit)
		trial.Success()
		b.state(strategies.StateHeld)
		time.Sleep(sec)
		b.succeed()
		b.state(strategies.StateClosed)
		b.moves(strategies.StateOpen, strategies.StateHalfOpen, strategies.StateHeld, strategies.StateClosed)
	})
	inBench(t, "is ended by a reset", quick(), func(b *bench) {
		b.Hold(time.Hour, errLimit)
		b.Reset()
		b.succeed()
		b.Hold(sec, errLimit) // shorter than the one that is forgotten
		b.refused(strategies.StateHeld, sec)
	})
}

// The end of one hold must not end another that begins in the same moment.
func TestBreakerHoldAtTheEndOfAHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 300 {
			var b strategies.Breaker
			b.Hold(sec, errBoom)
			time.Sleep(sec)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { b.Allow() })
			}
			all.Go(func() { b.Hold(time.Minute, errBoom) })
			all.Wait()
			if b.State() != strategies.StateHeld || b.RetryAfter() != time.Minute {
				t.Fatalf("it is %v for %v", b.State(), b.RetryAfter())
			}
		}
	})
}

func TestBreakerIsolate(t *testing.T) {
	quick := func() *strategies.Breaker { return &strategies.Breaker{Failures: 2, NoJitter: true} }
	inBench(t, "lets nothing through until it is reset", quick(), func(b *bench) {
		b.Isolate()
		b.Isolate()
		time.Sleep(1000 * time.Hour)
		b.refused(strategies.StateIsolated, 0)
		if b.RetryAfter() != 0 {
			b.t.Errorf("it names a time: %v", b.RetryAfter())
		}
		b.Reset()
		b.succeed()
		b.moves(strategies.StateIsolated, strategies.StateClosed)
	})
	inBench(t, "outranks a hold and an open time, which nobody is told of", quick(), func(b *bench) {
		p, q := b.allow(), b.allow()
		b.Isolate()
		b.Hold(sec, errBoom)
		p.Failure(errBoom)
		q.Failure(errBoom)
		b.state(strategies.StateIsolated)
		b.refused(strategies.StateIsolated, 0)
		if b.RetryAfter() != 0 {
			b.t.Errorf("it names a time: %v", b.RetryAfter())
		}
		b.Reset()
		b.succeed()
		b.moves(strategies.StateIsolated, strategies.StateClosed)
	})
}

func TestBreakerReset(t *testing.T) {
	quick := func() *strategies.Breaker {
		return &strategies.Breaker{Failures: 2, NoJitter: true, OpenFor: sec, MaxOpenFor: time.Hour}
	}
	inBench(t, "closes an open breaker and forgets its cause", quick(), func(b *bench) {
		b.fail(2)
		b.Reset()
		b.succeed()
		if b.LastFailure() != nil {
			b.t.Errorf("last failure %v", b.LastFailure())
		}
		b.moves(strategies.StateOpen, strategies.StateClosed)
	})
	inBench(t, "forgets the failures of a closed breaker, and tells nobody", quick(), func(b *bench) {
		b.fail(1)
		b.Reset()
		b.fail(1)
		b.state(strategies.StateClosed)
		b.moves()
	})
	inBench(t, "forgets how often its trials have failed", quick(), func(b *bench) {
		b.fail(2)
		for range 3 {
			time.Sleep(b.RetryAfter() + 1)
			b.fail(1)
		}
		b.Reset()
		b.fail(2)
		b.refused(strategies.StateOpen, sec)
	})
}

func TestBreakerReadsChangeNothing(t *testing.T) {
	b := &strategies.Breaker{Failures: 1, NoJitter: true}
	inBench(t, "stays open after its time until somebody calls", b, func(b *bench) {
		b.fail(1)
		time.Sleep(time.Hour)
		for range 3 {
			b.state(strategies.StateOpen)
			if b.RetryAfter() != 0 || b.LastFailure() != errBoom || b.Validate() != nil || b.String() == "" {
				b.t.Error("it has lost something")
			}
		}
		b.moves(strategies.StateOpen)
	})
}

func TestBreakerWatch(t *testing.T) {
	quick := func() *strategies.Breaker { return &strategies.Breaker{Failures: 1, NoJitter: true} }
	inBench(t, "lets a listener call anything", quick(), func(b *bench) {
		calls := 0
		b.Watch(func(c strategies.BreakerChange) {
			calls++
			if got := b.State(); got != c.To {
				b.t.Errorf("told of %v, it is %v", c.To, got)
			}
			b.RetryAfter()
			b.LastFailure()
			stop := b.Watch(func(strategies.BreakerChange) {})
			defer stop()
			switch c.To {
			case strategies.StateOpen:
				b.refused(strategies.StateOpen, openFor)
				b.Isolate()
			case strategies.StateIsolated:
				b.Reset()
			case strategies.StateClosed:
				p := b.allow()
				p.Success()
				if calls < 10 {
					p := b.allow()
					p.Failure(errBoom)
				}
			default:
				b.t.Errorf("told of %v", c.To)
			}
		})
		b.fail(1)
		if calls != 12 {
			b.t.Errorf("called %d times", calls)
		}
		b.state(strategies.StateClosed)
	})
	inBench(t, "calls listeners in the order in which they came, until they leave", quick(), func(b *bench) {
		var heard []string
		first := b.Watch(func(strategies.BreakerChange) { heard = append(heard, "first") })
		b.Watch(nil)() // nobody, and nobody leaves
		second := b.Watch(func(strategies.BreakerChange) { heard = append(heard, "second") })
		b.Isolate()
		first()
		first()
		b.Reset()
		second()
		b.Isolate()
		if len(heard) != 3 || heard[0] != "first" || heard[1] != "second" || heard[2] != "second" {
			b.t.Errorf("heard %v", heard)
		}
	})
	inBench(t, "goes on after a listener that panicked", quick(), func(b *bench) {
		stop := b.Watch(func(strategies.BreakerChange) { panic("listener") })
		func() {
			defer func() {
				if recover() != "listener" {
					b.t.Error("the panic is gone")
				}
			}()
			b.Isolate()
		}()
		stop()
		b.Reset()
		b.moves(strategies.StateIsolated, strategies.StateClosed)
	})
}

// However many change it at a time, a listener is told of one unbroken way, and
// never twice at once: the race detector sees it, for nothing guards the count.
func TestBreakerWatchIsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &strategies.Breaker{Failures: 1, OpenFor: time.Millisecond, NoJitter: true}
		at, told, broken := strategies.StateClosed, 0, 0
		b.Watch(func(c strategies.BreakerChange) {
			if c.From != at || c.From == c.To {
				broken++
			}
			at = c.To
			told++
		})
		var all sync.WaitGroup
		for g := range 6 {
			all.Go(func() {
				for i := range 400 {
					switch (g + i) % 8 {
					case 0:
						b.Hold(time.Millisecond, errBoom)
					case 1:
						b.Isolate()
					case 2:
						b.Reset()
					case 3:
						time.Sleep(time.Millisecond)
					default:
						if p, err := b.Allow(); err == nil {
							if i%3 == 0 {
								p.Failure(errBoom)
							} else {
								p.Success()
							}
						}
					}
				}
			})
		}
		all.Wait()
		if broken > 0 || told < 100 {
			t.Errorf("%d of %d changes did not begin where the one before had ended", broken, told)
		}
		if at != b.State() {
			t.Errorf("the last notice says %v, the breaker is %v", at, b.State())
		}
	})
}

// A reset that meets an opening leaves one or the other, never a breaker that
// says one thing and does another.
func TestBreakerResetUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 300 {
			b := &strategies.Breaker{Failures: 2, NoJitter: true}
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					for range 4 {
						if p, err := b.Allow(); err == nil {
							p.Failure(errBoom)
						}
					}
				})
			}
			all.Go(b.Reset)
			all.Wait()
			time.Sleep(openFor + 1)
			p, err := b.Allow()
			if err != nil {
				t.Fatalf("after its open time: %v", err)
			}
			p.Success()
			for range 2 {
				p, err := b.Allow()
				if err != nil {
					t.Fatalf("after a success: %v", err)
				}
				p.Failure(errBoom)
			}
			if b.State() != strategies.StateOpen {
				t.Fatalf("after two failures it is %v", b.State())
			}
		}
	})
}

// Peers' defect D18: exactly as many trials as allowed, whoever comes how.
func TestBreakerTrialsAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for round := range 200 {
			trials := 1 + round%4
			b := &strategies.Breaker{Failures: 1, NoJitter: true, Trials: trials}
			p, _ := b.Allow()
			p.Failure(errBoom)
			time.Sleep(openFor + 1)
			var through atomic.Int64
			var all sync.WaitGroup
			for g := range 8 {
				all.Go(func() {
					p, err := b.Allow()
					if err != nil {
						return
					}
					through.Add(1)
					if round%2 == 0 && g%2 == 0 {
						p.Failure(errBoom) // and nobody slips into its slot
					}
				})
			}
			all.Wait()
			// A breaker that opens again on the way lets fewer through, never more.
			if n := int(through.Load()); n > trials || n < trials && b.State() != strategies.StateOpen {
				t.Fatalf("%d of %d trials", n, trials)
			}
		}
	})
}
