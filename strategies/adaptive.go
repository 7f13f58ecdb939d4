package strategies

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Settle tells an Adaptive bulkhead how a call went that had a slot: how long it
// took, and the verdict of its failure, the zero Verdict if it was answered. Calls that
// failed say nothing about how many calls an agent bears, unless it was too slow or
// overloaded. Without Adaptive it does nothing.
//
// What it does: answers are looked at by the twenty, or by twice as many as there
// are slots. If the slots were used, their typical latency (the geometric mean) is
// compared with that under half the load: up to 1.2 times of it there are a
// twentieth more slots, at least one, and from 1.35 times on a tenth fewer. Now and
// then, also after the first answers, half of the slots are closed for a while to see
// what the latency under half the load is; and if it is so much better that as many
// calls are answered, they stay closed. A timeout or an overload takes away three
// slots in ten, once for all calls that were under way.
//
// The ratio of two latencies as the measure is the gradient of Netflix's
// concurrency-limits (GradientLimit, 2018), which takes the lowest latency seen for
// that without load, and so never learns that of a model that was busy from the
// start. Probing is that of its VegasLimit; more slots by steps and fewer by a factor
// are Chiu and Jain's (1989).
func (b *Bulkhead) Settle(took time.Duration, v Verdict) {
	crowded := v.Class == ClassTimeout || v.Class == ClassOverloaded
	if v.Class != ClassUnclassified && !crowded || !b.Adapts() {
		return
	}
	if b = b.Itself(); b.ready.Load() == nil {
		return // nobody has had a slot
	}
	if w := b.word.Load(); w&someoneBit != 0 {
		b.adapt.taken(math.MaxInt32)
	} else {
		b.adapt.taken(int(w & takenMask))
	}
	slots, changed := b.adapt.add(time.Now(), took, crowded)
	if !changed {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit.Store(int32(slots))
	b.serve()
}

// Adapts says whether it is Adaptive, by its settings as they are now.
func (b *Bulkhead) Adapts() bool { return b.conf().Adaptive }

// Limit returns how many slots there are at present: MaxConcurrent, or fewer if it is
// Adaptive.
func (b *Bulkhead) Limit() int {
	is := b.conf()
	if b = b.Itself(); is.Adaptive && b.ready.Load() == nil {
		return min(adaptFirst, is.MaxConcurrent)
	}
	return b.open(is)
}

// adapts makes new settings those by which it adapts. It is called under the lock.
func (b *Bulkhead) adapts(to *Bulkhead) {
	if to.Adaptive {
		b.limit.Store(int32(b.adapt.within(to.MaxConcurrent)))
	}
}

const (
	adaptFirst  = 4    // slots, at first
	adaptFew    = 20   // answers
	adaptWell   = 1.2  // times the latency under half the load
	adaptIll    = 1.35 // from here on it bears fewer
	adaptUp     = 0.05
	adaptDown   = 0.1
	adaptUseful = 1.65 // half of the calls at a time, and so much faster: as many are answered
	adaptProbe  = 20   // looks between two probes
)

// adaptive finds out how many calls at a time an agent bears. It keeps logarithms of
// latencies: what an agent is slowed by multiplies them all, however much they vary.
type adaptive struct {
	peak   atomic.Int32 // slots that were taken at a time; all of them, if somebody found none
	mu     sync.Mutex
	most   float64
	slots  float64
	rising bool    // it has not been too many yet
	light  float64 // the latency under half the load; 0: not known
	last   float64 // the latency at the last look
	looks  int     // until the next probe
	probe  bool    // half of the slots are closed

	since   time.Time // answers to calls that began before are not looked at
	closed  time.Time // of those that began before some were too many already
	sum     float64
	answers int
}

// within bounds the slots, and begins with a few of them.
func (a *adaptive) within(most int) (open int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.most = float64(most); a.slots == 0 {
		a.slots, a.rising, a.looks = adaptFirst, true, 2
	}
	a.slots = min(a.slots, a.most)
	return a.open()
}

// open is how many slots there are.
func (a *adaptive) open() int {
	if a.probe {
		return max(1, int(a.slots/2))
	}
	return int(a.slots)
}

func (a *adaptive) taken(slots int) {
	if n := int32(slots); n > a.peak.Load() {
		a.peak.Store(n)
	}
}

// add looks at a call; changed is true if the number of slots may have changed.
func (a *adaptive) add(now time.Time, took time.Duration, crowded bool) (slots int, changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if began := now.Add(-took); began.Before(a.closed) || !crowded && began.Before(a.since) {
		return 0, false
	}
	a.sum += math.Log(float64(max(took, 1)))
	a.answers++
	switch {
	case crowded:
		a.slots *= paceDecrease
		a.probe, a.rising, a.closed = false, false, now
	case a.answers < max(adaptFew, 2*a.open()):
		return 0, false
	default:
		a.look(a.sum/float64(a.answers), int(a.peak.Load()))
	}
	a.slots = min(max(a.slots, 1), a.most)
	a.since, a.sum, a.answers = now, 0, 0
	a.peak.Store(0)
	return a.open(), true
}

func (a *adaptive) look(latency float64, peak int) {
	full := peak >= a.open()
	switch {
	case a.probe:
		a.probe = false
		a.lightly(latency)
		if a.looks = adaptProbe; full && a.last-latency > math.Log(adaptUseful) {
			a.slots /= 2
			a.looks = 1
		}
	case a.light == 0 || peak <= int(a.slots/2):
		a.lightly(latency)
	case full:
		a.last = latency
		a.step(math.Exp(latency - a.light))
		if a.looks--; a.looks <= 0 && a.slots >= 2 {
			a.probe = true
		}
	}
}

func (a *adaptive) step(slower float64) {
	switch {
	case slower > adaptIll:
		a.slots -= max(1, a.slots*adaptDown)
		a.rising = false
	case slower < adaptWell && a.rising:
		a.slots *= 1.5
	case slower < adaptWell:
		a.slots += max(1, a.slots*adaptUp)
	}
}

// lightly notes a latency under half the load. It is an average, unless it is another
// one altogether.
func (a *adaptive) lightly(latency float64) {
	if a.light == 0 || math.Abs(latency-a.light) > math.Ln2 {
		a.light = latency
		return
	}
	a.light += (latency - a.light) / 2
}
