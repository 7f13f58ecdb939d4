package strategies

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// This is the only file that knows gobreaker, the engine that decides when a
// breaker opens and closes. Four of its traits shape what is below.
//
//   - A slot of its half-open state is taken for as long as Execute runs, for
//     ever after a Goexit. So no agent is ever called inside Execute: outcomes
//     are recorded after the fact, in an instant, and trials are counted here.
//   - It runs its callbacks under its lock. So ours only writes atomics and
//     queues a note, which is delivered outside.
//   - Its open time is fixed and cannot be read. So the engine's own is the
//     shortest, OpenFor, and jitter, growth and RetryAfter are [Breaker]'s.
//   - Reading its state may change it. So health is read from Breaker.word,
//     and the engine's State is called only to make that change.

var (
	errNeutral = errors.New("understudy: not to be counted")
	errAborted = errors.New("understudy: the call was aborted by a panic or runtime.Goexit")
	errCopied  = errors.New("understudy: what an engine before this one has seen")
	errHung    = errors.New("understudy: a half-open trial did not end in time")
)

const windowBuckets = 10

// engine is one gobreaker. Reset replaces it, for it cannot be reset itself.
type engine struct {
	breaker *Breaker
	cb      *gobreaker.CircuitBreaker[struct{}]

	// What it was made with, and cannot be changed in it.
	openFor, window time.Duration
	trials          int

	mu       sync.RWMutex // held for writing while another takes over what it has seen
	replaced bool
	copying  bool        // it takes over, and must not trip
	tripping atomic.Bool // the next failure opens it
}

// trip opens a closed breaker of generation gen, because of what others have seen.
func (e *engine) trip(gen uint64, err error) {
	e.tripping.Store(true)
	defer e.tripping.Store(false)
	e.record(gen, err)
}

func newEngine(b *Breaker) *engine {
	e := &engine{breaker: b, openFor: b.openFor(), window: b.conf().Window, trials: b.trialCount()}
	settings := gobreaker.Settings{
		Name:          b.Name,
		MaxRequests:   uint32(e.trials),
		Timeout:       e.openFor,
		IsExcluded:    func(err error) bool { return err == errNeutral },
		OnStateChange: func(_ string, from, to gobreaker.State) { e.changed(from, to) },
	}
	if e.window > 0 {
		settings.Interval = e.window
		settings.BucketPeriod = e.window / windowBuckets
		settings.ReadyToTrip = func(c gobreaker.Counts) bool {
			seen := c.TotalSuccesses + c.TotalFailures
			return !e.copying && (e.tripping.Load() || seen >= uint32(b.minCalls()) && float64(c.TotalFailures) >= b.ratio()*float64(seen))
		}
	} else {
		settings.ReadyToTrip = func(c gobreaker.Counts) bool {
			failures := uint32(b.failures())
			if e.copying {
				return false
			}
			// On probation every success is recorded, so there is a ratio to go by.
			return e.tripping.Load() || c.ConsecutiveFailures >= failures || b.word.Load()&probationBit != 0 && b.onProbation() &&
				c.TotalFailures >= failures && 4*c.TotalFailures >= c.TotalSuccesses+c.TotalFailures
		}
	}
	e.cb = gobreaker.NewCircuitBreaker[struct{}](settings)
	return e
}

// record books an outcome of a call of generation gen. The generation is looked
// at again once the engine has let the record in, so that even a change of
// state in that very moment leaves a late outcome uncounted.
func (e *engine) record(gen uint64, err error) (counted bool) {
	e.mu.RLock()
	if e.replaced {
		e.mu.RUnlock()
		return e.breaker.engine.Load().record(gen, err)
	}
	defer e.mu.RUnlock()
	_, _ = e.cb.Execute(func() (struct{}, error) {
		if generation(e.breaker.word.Load()) != gen {
			return struct{}{}, errNeutral
		}
		// Not told from what comes back: not every error can be compared.
		counted = true
		return struct{}{}, err
	})
	return counted
}

// success is the record of a good call of one generation, made ahead: a healthy
// window must see every one of them.
type success struct {
	gen uint64
	cb  *gobreaker.CircuitBreaker[struct{}]
	run func() (struct{}, error)
}

func (s *success) record() { _, _ = s.cb.Execute(s.run) }

// renew makes the record for the present generation.
func (e *engine) renew() {
	b := e.breaker
	if e.window == 0 {
		b.good.Store(nil)
		return
	}
	gen := generation(b.word.Load())
	b.good.Store(&success{gen, e.cb, func() (struct{}, error) {
		if generation(b.word.Load()) != gen {
			return struct{}{}, errNeutral
		}
		return struct{}{}, nil
	}})
}

// changed is called by gobreaker under its lock.
func (e *engine) changed(from, to gobreaker.State) {
	b := e.breaker
	b.changing.Lock()
	defer b.changing.Unlock()
	if b.engine.Load() != e {
		return // replaced by Reset; its calls are forgotten
	}
	var note BreakerChange
	switch to {
	case gobreaker.StateOpen:
		if from == gobreaker.StateHalfOpen || b.onProbation() {
			b.streak.Add(1)
		} else {
			b.streak.Store(0)
			b.outageAt.Store(b.now())
		}
		b.ramp.Store(nil)
		note.OpenFor = b.nextOpenFor()
		if last := b.lastCause.Load(); last != nil {
			note.Cause = *last
		}
		b.cause.Store(b.lastCause.Load())
		b.openUntil.Store(after(b.now(), note.OpenFor))
		b.wasOpenFor.Store(int64(note.OpenFor))
		if s := b.shared.Load(); s != nil {
			if from == gobreaker.StateHalfOpen {
				s.tried(false, note.OpenFor, b.streak.Load())
			}
			s.opened()
		}
	case gobreaker.StateClosed:
		b.closedAt.Store(b.now())
		if s := b.shared.Load(); s != nil {
			s.tried(true, 0, 0)
		}
	}
	keep, add := uint64(isolatedBit|heldBit|readyBit), uint64(stateOf(to))
	if to == gobreaker.StateClosed {
		add |= b.closing()
	}
	b.change(note, func(w uint64) uint64 { return (generation(w)+1)<<generationAt | w&keep | add })
	if to == gobreaker.StateClosed && e.outdated() {
		e = newEngine(b) // the settings have changed while it was not closed
		b.engine.Store(e)
	}
	e.renew()
}

// outdated says whether the settings are no longer those that it was made with.
func (e *engine) outdated() bool {
	b := e.breaker
	return e.openFor != b.openFor() || e.window != b.conf().Window || e.trials != b.trialCount()
}

// mostCopied bounds what an engine takes over of each kind.
const mostCopied = 1000

// replace puts an engine with the present settings in the place of a closed one,
// which has seen as much. One that is not closed is replaced when it closes.
func (b *Breaker) replace() {
	e := b.engine.Load()
	e.mu.Lock() // nothing is recorded meanwhile
	defer e.mu.Unlock()
	if e.replaced || !e.outdated() {
		return
	}
	seen := e.cb.Counts() // before the lock below, which the engine takes within its own
	b.changing.Lock()
	defer b.changing.Unlock()
	if b.engine.Load() != e || State(b.word.Load()&stateMask) != StateClosed {
		return
	}
	next := newEngine(b)
	next.copying = true
	next.take(seen)
	next.copying = false
	b.engine.Store(next)
	next.renew()
	e.replaced = true
}

// take books what another engine has seen, in its proportion where that is much.
func (e *engine) take(seen gobreaker.Counts) {
	row := min(seen.ConsecutiveFailures, mostCopied)
	good, bad := seen.TotalSuccesses, seen.TotalFailures-min(seen.ConsecutiveFailures, seen.TotalFailures)
	if most := max(good, bad); most > mostCopied {
		good, bad = uint32(uint64(good)*mostCopied/uint64(most)), uint32(uint64(bad)*mostCopied/uint64(most))
	}
	for _, part := range []struct {
		n   uint32
		err error
	}{{bad, errCopied}, {good, nil}, {row, errCopied}} {
		for range part.n {
			_, _ = e.cb.Execute(func() (struct{}, error) { return struct{}{}, part.err })
		}
	}
}

func stateOf(s gobreaker.State) State {
	switch s {
	case gobreaker.StateHalfOpen:
		return StateHalfOpen
	case gobreaker.StateOpen:
		return StateOpen
	default:
		return StateClosed
	}
}

// tryHalfOpen moves an open engine whose time has passed to half-open.
func (e *engine) tryHalfOpen() { e.cb.State() }
