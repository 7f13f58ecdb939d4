package strategies

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// trial is one call let through a half-open breaker. It is settled once,
// whoever does it: the call itself, or the next caller who finds it overdue.
type trial struct {
	gen uint64

	// guarded by trials.mu
	since   int64
	limit   time.Duration
	settled bool
	overdue bool        // settled as failed because it did not end in time
	idle    func() bool // it waits for its reader; nil: it never does
}

// trials are the slots of a half-open breaker. They are touched only while it
// is not closed. A trial that succeeded or failed keeps its slot for as long as
// the half-open time lasts: a slot that was free before the outcome has changed
// the state would let one call too many through.
type trials struct {
	mu    sync.Mutex
	taken []*trial
	gen   uint64 // the generation the slots belong to
}

// settle says whether the outcome of a trial is still to be booked, and whether
// it was given up before.
func (t *trials) settle(which *trial, overdue bool) (first, givenUp bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first, givenUp = !which.settled, which.overdue
	which.settled, which.overdue = true, first && overdue
	return first, givenUp
}

// free gives back the slot of a trial that has no outcome.
func (t *trials) free(which *trial) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.taken, which); i >= 0 && !which.settled {
		which.settled = true
		t.taken = slices.Delete(t.taken, i, i+1)
	}
}

func (t *trials) prolong(which *trial, bounded bool, idle func() bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if which.idle = idle; bounded {
		which.since = math.MaxInt64 // never overdue
	}
}

func (t *trials) extend(which *trial, limit time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	which.limit = limit
}

// busy says whether a trial of generation gen is under way.
func (t *trials) busy(gen uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.gen == gen && slices.ContainsFunc(t.taken, func(o *trial) bool { return !o.settled })
}

// left is how long all slots will be taken, at most; 0: one is free.
func (t *trials) left(now int64, most int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.taken) < most {
		return 0
	}
	left := time.Duration(0)
	for _, o := range t.taken {
		if d := o.limit - time.Duration(now-o.since); !o.settled && o.since <= now && (left == 0 || d < left) {
			left = max(d, 0)
		}
	}
	return left
}

// freeIdle gives back the slot of a trial that waits for its reader. What its
// outcome says is a call's like any other then.
func (t *trials) freeIdle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, o := range t.taken {
		if !o.settled && o.idle != nil && o.idle() {
			o.settled = true
			t.taken = slices.Delete(t.taken, i, i+1)
			return true
		}
	}
	return false
}

// begin takes a slot in generation gen if fewer than most are taken. Otherwise
// it returns the oldest trial under way that can be overdue, and takes none.
//
// stale: the state has changed since gen was read. This is checked under the
// lock. Otherwise a slot could be taken that was freed after the half-open time
// had ended.
func (t *trials) begin(word *atomic.Uint64, gen uint64, now int64, limit time.Duration, most int) (taken, oldest *trial, left time.Duration, stale bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if generation(word.Load()) != gen {
		return nil, nil, 0, true
	}
	if gen != t.gen {
		// Slots of earlier half-open times do not count any more.
		t.gen, t.taken = gen, nil
	}
	if len(t.taken) >= most {
		if i := slices.IndexFunc(t.taken, func(o *trial) bool { return !o.settled && o.since <= now }); i >= 0 {
			oldest, left = t.taken[i], t.taken[i].limit-time.Duration(now-t.taken[i].since)
		}
		return nil, oldest, left, false
	}
	taken = &trial{gen: gen, since: now, limit: limit}
	t.taken = append(t.taken, taken)
	return taken, nil, 0, false
}

// tryTrial takes a slot of a breaker that is half-open, or open with its time
// passed. Without one it says which state refused, and for how long still; a
// breaker that has closed meanwhile needs no slot. A trial that is overdue is
// settled as failed, which opens the breaker again.
func (b *Breaker) tryTrial() (t *trial, gen uint64, state State, left time.Duration) {
	for {
		if w := b.word.Load(); State(w&stateMask) != StateClosed {
			if s := b.shared.Load(); s != nil {
				if ok, wait := s.mayTry(); !ok {
					s.want()
					return nil, generation(w), StateHalfOpen, wait
				}
			}
		}
		b.engine.Load().tryHalfOpen()
		b.changes.deliver()
		w := b.word.Load()
		gen, state = generation(w), State(w&stateMask)
		switch state {
		case StateClosed:
			return nil, gen, state, 0
		case StateOpen:
			if left = b.openLeft(); left > 0 {
				return nil, gen, state, left
			}
			continue
		}
		now := b.now()
		taken, oldest, over, stale := b.trials.begin(&b.word, gen, now, b.trialTimeout(), b.engine.Load().trials)
		switch {
		case stale:
			continue
		case taken != nil:
			if s := b.shared.Load(); s != nil {
				if ok, wait := s.mayTry(); !ok { // the lease was given away in this very moment
					b.trials.free(taken)
					return nil, gen, StateHalfOpen, wait
				}
			}
			return taken, gen, state, 0
		}
		if b.trials.freeIdle() {
			continue
		}
		if left = 0; oldest != nil {
			if left = over; left <= 0 {
				b.settleTrial(oldest, errHung)
				continue
			}
		}
		return nil, gen, state, left
	}
}

// settleTrial books the outcome of a trial, once.
func (b *Breaker) settleTrial(t *trial, err error) {
	first, givenUp := b.trials.settle(t, err == errHung)
	if !first {
		if givenUp && err == nil {
			b.revive() // it has answered all the same
		}
		return
	}
	if err != nil {
		b.failed(err)
	}
	// Another trial's record takes the engine's slot for an instant; ours is
	// due, so it is tried until the state has moved on.
	for generation(b.word.Load()) == t.gen && !b.engine.Load().record(t.gen, err) {
	}
}
