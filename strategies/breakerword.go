package strategies

import (
	"math"
	"time"
)

// The word, from the lowest bit: two bits of engine state, a bit each for
// isolated, held, ready, probation and slow start, a stamp, and the generation.
//
// The ready bit says that the settings have been looked at and the engine made,
// so that nonsense is refused by the first call at no price for the others.
//
// The stamp is 0 on a clean record and a new number after every failure: a
// success that finds a stamp is recorded and clears that very stamp, so a
// failure that came in between is not lost. The generation counts changes of
// state: a call that began in an older one is not recorded, so a late failure
// cannot open a half-open breaker again.
const (
	stateMask    = 0b0011
	isolatedBit  = 0b0100
	heldBit      = 0b1000
	readyBit     = 0b10000
	probationBit = 0b100000
	rampBit      = 0b1000000
	closedMask   = stateMask | isolatedBit | heldBit | readyBit | probationBit | rampBit // readyBit alone: let through
	stampOne     = 1 << 7
	stampMask    = (1<<32 - 1) &^ closedMask
	generationAt = 32
)

func generation(w uint64) uint64 { return w >> generationAt }

func visible(w uint64) State {
	switch {
	case w&isolatedBit != 0:
		return StateIsolated
	case w&heldBit != 0:
		return StateHeld
	}
	return State(w & stateMask)
}

// change moves the word and queues a note, which is delivered outside of every
// lock. b.changing is held, so notes come in the order of the changes. A change
// behind a hold is not visible, so it makes no note.
func (b *Breaker) change(note BreakerChange, next func(w uint64) uint64) {
	w := b.word.Load()
	for !b.word.CompareAndSwap(w, next(w)) {
		w = b.word.Load()
	}
	note.From, note.To = visible(w), visible(next(w))
	if note.From != note.To {
		note.Breaker, note.At = b.Name, time.Now()
		b.changes.add(note)
	}
}

// stamp marks the word after a recorded failure, or clears the stamp that the
// word had before a recorded success.
func (b *Breaker) stamp(before uint64, err error) {
	if err == nil {
		if before&stampMask != 0 {
			b.word.CompareAndSwap(before, before&^stampMask)
		}
		return
	}
	for {
		w := b.word.Load()
		if generation(w) != generation(before) {
			return // this failure, or another, changed the state
		}
		next := w + stampOne
		if next&stampMask == 0 || generation(next) != generation(w) {
			next = w&^stampMask | stampOne // wrapped around
		}
		if b.word.CompareAndSwap(w, next) {
			return
		}
	}
}

// The times of a breaker, all counted from b.started.

func (b *Breaker) now() int64 { return int64(time.Since(b.started)) }

func after(now int64, d time.Duration) int64 {
	if until := now + int64(d); until >= 0 {
		return until
	}
	return math.MaxInt64
}

// openLeft is what is left of the open time, 0 if it has passed: strictly, as
// the engine has it.
func (b *Breaker) openLeft() time.Duration {
	if left := b.openUntil.Load() - b.now(); left >= 0 {
		return time.Duration(max(left, 1))
	}
	return 0
}

// onProbation says whether the breaker has been closed for less long than it
// had been open before.
func (b *Breaker) onProbation() bool { return b.now()-b.closedAt.Load() < b.wasOpenFor.Load() }

// nextOpenFor is the open time of the breaker that opens now.
func (b *Breaker) nextOpenFor() time.Duration {
	d, most := b.openFor(), b.maxOpenFor()
	for n := b.streak.Load(); n > 0 && d < most; n-- {
		d = min(scale(d, 2), most)
	}
	if !b.conf().NoJitter {
		d = jitterUp(d, orDefault(b.conf().Jitter, 0.1))
	}
	return max(d, b.engine.Load().openFor)
}

func (b *Breaker) failed(err error) { b.lastCause.Store(&err) }
