package strategies

import (
	"sync"
	"time"
)

// ramp is a slow start: after a long outage a growing number of calls is let
// through at a time, one more for each that succeeds, until its time is over or
// nobody is refused any more.
type ramp struct {
	until int64 // since the breaker started

	mu       sync.Mutex
	allowed  int
	inFlight int
}

// So many at a time are everybody: the slow start is over.
const rampedUp = 512

// take says whether a call is let through.
func (r *ramp) take() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inFlight >= r.allowed {
		return false
	}
	r.inFlight++
	return true
}

// end gives a place back; true means that the slow start is over.
func (r *ramp) end(good bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight--
	if good {
		r.allowed++
	}
	return r.allowed >= rampedUp
}

// allowRamp lets a call through a closed breaker that is starting slowly.
func (b *Breaker) allowRamp(w uint64) (Permit, error) {
	r := b.ramp.Load()
	if r == nil || b.now() >= r.until {
		b.endRamp(r)
		return Permit{breaker: b, gen: generation(w)}, nil
	}
	if !r.take() {
		return Permit{}, b.refuse(StateHalfOpen, rampRetry)
	}
	return Permit{breaker: b, gen: generation(w), special: &special{ramp: r}}, nil
}

// rampRetry is when it makes sense to ask again: places become free all the time.
const rampRetry = time.Second

func (b *Breaker) endRamp(r *ramp) {
	if b.ramp.CompareAndSwap(r, nil) || r == nil {
		for {
			w := b.word.Load()
			if w&rampBit == 0 || b.ramp.Load() != nil || b.word.CompareAndSwap(w, w&^rampBit) {
				return
			}
		}
	}
}

// longOutage is one after which a service may come back with cold caches.
const longOutage = 5 * time.Minute

// slowStart is how long the slow start of a breaker that closes now may take; 0:
// there is none.
func (b *Breaker) slowStart() time.Duration {
	if d := b.conf().SlowStart; d > 0 {
		return d
	}
	if b.maxOpenFor() > b.openFor() && b.now()-b.outageAt.Load() >= int64(longOutage) {
		return 30 * time.Second
	}
	return 0
}

// beginRamp returns the bit that a breaker which closes now begins with.
func (b *Breaker) beginRamp() uint64 {
	d := b.slowStart()
	if d == 0 {
		b.ramp.Store(nil)
		return 0
	}
	b.ramp.Store(&ramp{until: after(b.now(), d), allowed: b.trialCount()})
	return rampBit
}

// revive closes a breaker that is not closed, because its agent has answered after
// all: a trial that was given up, or a call that a person wanted made.
func (b *Breaker) revive() {
	if b.shut() {
		if s := b.shared.Load(); s != nil {
			s.tried(true, 0, 0)
		}
	}
}

// shut closes a breaker, and says whether it was not closed.
func (b *Breaker) shut() bool {
	b.changing.Lock()
	defer b.changing.Unlock()
	if State(b.word.Load()&stateMask) == StateClosed {
		return false
	}
	b.closedAt.Store(b.now())
	b.suspicion.Store(0)
	add := b.closing()
	b.change(BreakerChange{}, func(w uint64) uint64 {
		return (generation(w)+1)<<generationAt | w&(isolatedBit|heldBit|readyBit) | add
	})
	b.engine.Store(newEngine(b))
	b.engine.Load().renew()
	return true
}

// closing is the bits that a breaker which closes now begins with.
func (b *Breaker) closing() (add uint64) {
	if b.conf().Window == 0 && b.maxOpenFor() > b.openFor() {
		add |= probationBit
	}
	return add | b.beginRamp()
}
