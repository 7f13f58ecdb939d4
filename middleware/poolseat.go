package middleware

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// seat is a member as the choice knows it.
type seat[Req any] struct {
	// What a healthy call reads stands together.
	breaker *strategies.Breaker
	keyed   *strategies.Breaker // of the key that it shares with others; nil: with nobody
	guarded *Owner              // nil: it brings no layers of its own
	lends   bool                // the pool asks the breaker for leave; the member's own chain does not
	back    atomic.Int64        // 0: it is well; see the states below
	allowed atomic.Int64        // how many at a time, of one that comes back
	unwell  atomic.Int64        // when it last was, since the pool began; 0: never

	name, domain, key string
	weight            float64
	can               func(Req) bool
	limits            []strategies.Roomy
	missing           bool
}

// A member that was shut and may be asked again is given one call first: back is
// when that must have ended, and in the past when it told nothing good. If it goes
// well, back is below 0, and says until when the number of its calls is bounded.

const (
	// probeTime is how long a first call may keep the others away.
	probeTime = time.Minute
	// returnTime is how long the slow start takes at most; so many calls at a time are
	// everybody.
	returnTime = 30 * time.Second
	everybody  = 32
)

func (m *seat[Req]) defaults() {
	if m.weight == 0 {
		m.weight = 1
	}
	if m.domain == "" {
		m.domain = m.name
	}
	m.lends = true
	if o := m.guarded; o != nil {
		for _, p := range o.chain() {
			switch own := p.(type) {
			case *breakerPart:
				if m.breaker == nil || m.breaker == own.breaker {
					m.breaker, m.lends = own.breaker, false
				}
			case *pacePart:
				m.limits = append(m.limits, own.pace)
			case *bulkheadPart:
				m.limits = append(m.limits, own.slots)
			}
		}
	}
	if m.breaker == nil {
		m.breaker = &strategies.Breaker{Name: m.name}
	}
}

// shut is for how long a member may not be asked, as its breakers have it; the
// longest time there is: until somebody says so.
func (m *seat[Req]) shut() time.Duration {
	wait := shutOf(m.breaker)
	if m.keyed != nil {
		wait = max(wait, shutOf(m.keyed))
	}
	return wait
}

func shutOf(b *strategies.Breaker) time.Duration {
	switch b.State() {
	case strategies.StateClosed:
		return 0
	case strategies.StateIsolated:
		return math.MaxInt64
	}
	return b.RetryAfter()
}

// open says whether a member may be asked now, as far as can be told without asking:
// probe that it would be the first call after it was shut.
func (m *seat[Req]) open(now time.Duration, inFlight int, pressing bool) (open, probe bool) {
	closed := m.breaker.State() == strategies.StateClosed && (m.keyed == nil || m.keyed.State() == strategies.StateClosed)
	back := m.back.Load()
	if closed && back == 0 {
		return true, false
	}
	switch {
	case !closed:
		return m.shut() <= 0 && back < int64(now), true
	case back > int64(now):
		return false, false // somebody else finds out
	case back > 0: // the first call told nothing
		return true, true
	case -back < int64(now):
		m.back.CompareAndSwap(back, 0)
		return true, false
	}
	return pressing || int64(inFlight) < m.allowed.Load(), false
}

// full says whether the limits of a member leave no room.
func (m *seat[Req]) full() bool {
	for _, l := range m.limits {
		if l.Room() <= 0 {
			return true
		}
	}
	return false
}

// probed books how the first call ended, or that it has begun to speak.
func (m *seat[Req]) probed(now time.Duration, good bool) {
	back := m.back.Load()
	switch {
	case back <= 0:
	case good:
		m.allowed.Store(2)
		m.back.CompareAndSwap(back, -int64(now+returnTime))
	default:
		m.back.CompareAndSwap(back, 1)
	}
}

// comesBack books that a member has answered while it comes back.
func (m *seat[Req]) comesBack(probe bool, now time.Duration) {
	if probe {
		m.probed(now, true)
	} else {
		m.answers()
	}
}

// answers lets one more through at a time.
func (m *seat[Req]) answers() {
	if back := m.back.Load(); back < 0 && m.allowed.Add(1) >= everybody {
		m.back.CompareAndSwap(back, 0)
	}
}

// leave asks the breakers for leave to make a call.
func (m *seat[Req]) leave() (own, key strategies.Permit, ok bool) {
	var err error
	if m.lends {
		if own, err = m.breaker.Allow(); err != nil {
			return own, key, false
		}
	}
	if m.keyed != nil {
		if key, err = m.keyed.Allow(); err != nil {
			own.Neutral()
			return own, key, false
		}
	}
	return own, key, true
}
