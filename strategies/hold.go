package strategies

import (
	"math"
	"sync"
	"time"
)

// Hold lets nothing through for d, because cause said so: a Retry-After or an
// exhausted quota is a fact for every caller of this upstream, not only for the
// one who was told. A hold is only ever extended. It is no failure.
func (b *Breaker) Hold(d time.Duration, cause error) {
	b = b.Itself()
	if d <= 0 || b.init() != nil {
		return
	}
	defer b.changes.deliver()
	b.changing.Lock()
	defer b.changing.Unlock()
	until := after(b.now(), d)
	if until <= b.heldUntil.Load() {
		return
	}
	b.heldUntil.Store(until)
	b.holdCause.Store(&cause)
	b.change(BreakerChange{OpenFor: d, Cause: cause}, func(w uint64) uint64 { return w | heldBit })
}

// release ends a hold whose time has passed.
func (b *Breaker) release() {
	defer b.changes.deliver()
	b.changing.Lock()
	defer b.changing.Unlock()
	if b.heldUntil.Load() > b.now() {
		return // held anew in this very moment
	}
	var note BreakerChange
	if State(b.word.Load()&stateMask) == StateOpen {
		note.OpenFor, note.Cause = b.openLeft(), b.LastFailure()
	}
	b.change(note, func(w uint64) uint64 { return w &^ heldBit })
}

// spread tells each caller that a hold refuses to come back up to a tenth later
// than the one before: they have all been told the same instant, and together
// would run into the same limit again. Steps of the golden ratio fill the tenth
// evenly, however many they are.
func (b *Breaker) spread(left time.Duration) time.Duration {
	_, step := math.Modf(float64(b.waiting.Add(1)-1) * math.Phi)
	return scale(left, 1+step/10)
}

// hold is for how long a failure of this verdict holds the breaker: as long as
// the provider says, within bounds, and otherwise for a time that grows.
func (b *Breaker) hold(v Verdict) time.Duration {
	most := orDefault(b.conf().MaxHold, time.Hour)
	if v.Class == ClassQuotaExhausted {
		if v.RetryAfter > 0 {
			return min(v.RetryAfter, max(most, mostQuotaReset))
		}
		return b.quota.next(firstQuotaHold, mostQuotaHold)
	}
	if v.RetryAfter > 0 {
		return min(v.RetryAfter, most)
	}
	return min(b.limited.next(firstLimitHold, mostLimitHold), most)
}

// turn books a limit of one key, of a client that turns several by itself. last says
// that all of them are at their limits, as it seems; the verdict has the shortest hint
// then.
func (b *Breaker) turn(v Verdict, err error) (_ Verdict, last bool) {
	b = b.Itself()
	keys := int64(b.conf().Keys)
	if keys < 2 {
		return v, true
	}
	n := b.turned.Add(1)
	if least := b.shortest.Load(); n == 1 || v.RetryAfter > 0 && (least == 0 || int64(v.RetryAfter) < least) {
		b.shortest.Store(int64(v.RetryAfter))
	}
	if n < keys {
		b.stamp(b.word.Load(), err) // the next success is recorded, and clears the count
		return v, false
	}
	b.turned.Store(0)
	v.RetryAfter = time.Duration(b.shortest.Load())
	return v, true
}

// quotaMemory is how long a limit is held when the provider does not say when it
// passes: a first time, and twice as long each time it is found still there, up to
// a most. A quota may be a matter of hours, a rate limit of seconds.
type quotaMemory struct {
	mu    sync.Mutex
	last  time.Duration
	until time.Time
}

const (
	firstQuotaHold = time.Minute
	mostQuotaHold  = 5 * time.Minute
	mostQuotaReset = 24 * time.Hour // a reset that is known may be far
	firstLimitHold = time.Second
	mostLimitHold  = time.Minute
)

func (q *quotaMemory) next(first, most time.Duration) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	switch over := now.Sub(q.until); {
	case q.last == 0 || over > q.last: // it was well for longer than it was held
		q.last = first
	case over < 0: // a call that was under way when the hold began
		return q.until.Sub(now)
	default:
		q.last = min(2*q.last, most)
	}
	q.until = now.Add(q.last)
	return q.last
}

// remembers says whether the next limit would be held for longer than the first.
func (q *quotaMemory) remembers() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.last > 0 && time.Since(q.until) <= q.last
}

func (q *quotaMemory) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last, q.until = 0, time.Time{}
}
