package strategies

import (
	"slices"
	"sync"
	"time"
)

// trial is one call let through a half-open breaker. Its slot is free again
// when it is settled, whoever settles it: the call itself, or the next caller
// who finds it overdue.
type trial struct {
	gen   uint64
	since int64
}

// trials are the slots of a half-open breaker. They are touched only while it
// is not closed.
type trials struct {
	mu     sync.Mutex
	active []*trial
	gen    uint64 // the generation that passed belongs to
	passed int    // trials of gen that succeeded
}

// end frees a slot; false if it was free already.
func (t *trials) end(which *trial) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.active, which)
	if i < 0 {
		return false
	}
	t.active = slices.Delete(t.active, i, i+1)
	return true
}

// begin takes a slot in generation gen if fewer than most are taken or passed.
// Otherwise it returns the oldest trial, and takes none. Stale: gen itself is
// over.
func (t *trials) begin(gen uint64, now int64, most int) (taken, oldest *trial, stale bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if gen < t.gen {
		return nil, nil, true
	}
	if gen > t.gen {
		// Slots of earlier half-open times do not count any more.
		t.gen, t.passed, t.active = gen, 0, nil
	}
	if len(t.active)+t.passed >= most {
		if len(t.active) > 0 {
			oldest = t.active[0]
		}
		return nil, oldest, false
	}
	taken = &trial{gen: gen, since: now}
	t.active = append(t.active, taken)
	return taken, nil, false
}

func (t *trials) pass(gen uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gen == gen {
		t.passed++
	}
}

// allowTrial lets a call through a breaker that is half-open, or open with its
// time passed, if a slot is free. An overdue trial is settled as failed, which
// opens the breaker again.
func (b *Breaker) allowTrial() (Permit, error) {
	for {
		b.engine.Load().tryHalfOpen()
		b.changes.deliver()
		w := b.word.Load()
		gen := w >> generationAt
		switch State(w & stateMask) {
		case StateClosed:
			return Permit{breaker: b, gen: gen}, nil
		case StateOpen:
			if left := b.openUntil.Load() - b.now(); left >= 0 {
				return Permit{}, b.refuse(StateOpen, max(time.Duration(left), 1))
			}
			continue
		}
		now := b.now()
		taken, oldest, stale := b.trials.begin(gen, now, b.trialCount())
		switch {
		case stale:
			continue
		case taken != nil:
			return Permit{breaker: b, gen: gen, trial: taken}, nil
		}
		left := time.Duration(0)
		if oldest != nil {
			if left = b.trialTimeout() - time.Duration(now-oldest.since); left <= 0 {
				b.settleTrial(oldest, errHung)
				continue
			}
		}
		return Permit{}, b.refuse(StateHalfOpen, left)
	}
}

// settleTrial books the outcome of a trial, once.
func (b *Breaker) settleTrial(t *trial, err error) {
	if !b.trials.end(t) {
		return // settled as overdue
	}
	if err == nil {
		b.trials.pass(t.gen)
	} else {
		b.failed(err)
	}
	// Another trial's record takes the engine's slot for an instant; ours is
	// due, so it is tried until the state has moved on.
	for b.word.Load()>>generationAt == t.gen && !b.engine.Load().record(t.gen, err) {
	}
}
