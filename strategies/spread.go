package strategies

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
)

// Spread chooses one of several equals: agents that can do the same, such as the
// regions, keys or vendors of one model. The zero value compares two that are taken
// at random and prefers the one with less to do and the shorter latency (the power of
// two choices; Mitzenmacher, IEEE TPDS 12(10), 2001; the latency is a moving average
// that rises at once and sinks slowly, as finagle's "peak EWMA" does).
//
// A Spread is used by pointer. Its fields must not be changed once it is in use. It is
// safe for concurrent use, and to choose costs tens of nanoseconds and no allocation.
type Spread struct {
	// InOrder asks the first that may be asked, and the next only if it may not.
	InOrder bool
	// Seed makes the choice the same in each run, for tests. 0: random.
	Seed uint64

	members []spreadMember
	equal   bool // all weigh the same
	draws   atomic.Uint64
}

type spreadMember struct {
	weight   float64
	inFlight atomic.Int64
	latency  atomic.Uint64 // bits of a float64, seconds
	at       atomic.Int64  // when it was last changed, Unix ns
	asked    atomic.Int64
}

// maxMembers is how many a Spread chooses from.
const maxMembers = 256

// spreadHalf is how long it takes a latency that was met once to count half.
const spreadHalf = 10 * time.Second

// Join makes room for members, each with a weight: a share of the calls, as far as
// they are equally quick. It is called once, before the first choice. Weights must be
// above 0.
func (s *Spread) Join(weights ...float64) error {
	var p problems
	if len(weights) == 0 {
		p.add("Spread", "has no members", "give it at least one")
	}
	if len(weights) > maxMembers {
		p.add("Spread", fmt.Sprintf("has %d members", len(weights)), fmt.Sprintf("use at most %d", maxMembers))
	}
	s.members, s.equal = make([]spreadMember, len(weights)), true
	for i, w := range weights {
		if !(w > 0) || math.IsInf(w, 0) {
			p.add(fmt.Sprintf("Spread member %d", i), fmt.Sprintf("has weight %v", w), "use a number above 0, such as 1")
		}
		s.members[i].weight = w
		s.equal = s.equal && w == weights[0]
	}
	return p.err()
}

// Among are some of the members, by their numbers: at most 256.
type Among [4]uint64

// Has says whether a member is one of them.
func (a *Among) Has(i int) bool { return a[i/64]&(1<<(i%64)) != 0 }

// Add makes a member one of them.
func (a *Among) Add(i int) { a[i/64] |= 1 << (i % 64) }

// Drop takes a member out.
func (a *Among) Drop(i int) { a[i/64] &^= 1 << (i % 64) }

// Count returns how many they are.
func (a *Among) Count() int {
	return bits.OnesCount64(a[0]) + bits.OnesCount64(a[1]) + bits.OnesCount64(a[2]) + bits.OnesCount64(a[3])
}

// Choose returns one of those that may be asked now; -1: there is none. now is the
// time, which the caller needs anyway.
func (s *Spread) Choose(among Among, now time.Time) int {
	n := among.Count()
	switch {
	case n == 0:
		return -1
	case n == 1 || s.InOrder:
		return among.nth(0)
	}
	first := s.draw(&among, n)
	among.Drop(first)
	second := s.draw(&among, n-1)
	// What is nearly as good is as good, or the better of two that differ by a hair
	// would have all of the calls.
	if at := now.UnixNano(); s.cost(first, at) <= 1.5*s.cost(second, at) {
		return first
	}
	return second
}

// draw takes one of n at random, by its weight.
func (s *Spread) draw(among *Among, n int) int {
	if s.equal {
		return among.nth(int(s.random() * float64(n)))
	}
	total, last := 0.0, -1
	for i := range s.members {
		if among.Has(i) {
			total += s.members[i].weight
		}
	}
	at := s.random() * total
	for i := range s.members {
		if !among.Has(i) {
			continue
		}
		if last = i; at < s.members[i].weight {
			return i
		}
		at -= s.members[i].weight
	}
	return last
}

// nth returns the n-th of them.
func (a *Among) nth(n int) int {
	for word, w := range a {
		for ; w != 0; w &= w - 1 {
			if n == 0 {
				return word*64 + bits.TrailingZeros64(w)
			}
			n--
		}
	}
	return -1
}

func (s *Spread) random() float64 {
	if s.Seed == 0 {
		return rand.Float64()
	}
	x := s.Seed + s.draws.Add(1)*0x9E3779B97F4A7C15 // splitmix64
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return float64((x^x>>31)>>11) / (1 << 53)
}

// cost is what a member is expected to take, with what it has to do already. One
// that nobody knows costs nothing: it is tried.
func (s *Spread) cost(i int, at int64) float64 {
	m := &s.members[i]
	return float64(m.inFlight.Load()+1) * m.now(at) / m.weight
}

// now is the latency as it counts at a time: one that was met long ago counts less.
func (m *spreadMember) now(at int64) float64 {
	met := math.Float64frombits(m.latency.Load())
	if met == 0 {
		return 0
	}
	past := time.Duration(at - m.at.Load())
	if past < time.Second {
		return met
	}
	return met * math.Exp2(-float64(past)/float64(6*spreadHalf))
}

// Began counts a call to a member.
func (s *Spread) Began(i int) {
	s.members[i].inFlight.Add(1)
	s.members[i].asked.Add(1)
}

// Ended counts the end of a call at a time, and how long its answer took; 0: it was
// none.
func (s *Spread) Ended(i int, at time.Time, took time.Duration) {
	m := &s.members[i]
	m.inFlight.Add(-1)
	if took <= 0 {
		return
	}
	now := at.UnixNano()
	seconds := took.Seconds()
	for {
		bits := m.latency.Load()
		old := math.Float64frombits(bits)
		next := seconds // a peak counts at once
		if old > seconds {
			keep := math.Exp2(-float64(time.Duration(now-m.at.Load())) / float64(spreadHalf))
			keep = min(max(keep, 0.5), 0.9)
			next = old*keep + seconds*(1-keep)
		}
		if m.latency.CompareAndSwap(bits, math.Float64bits(next)) {
			m.at.Store(now)
			return
		}
	}
}

// Load is what a Spread knows of one member.
type Load struct {
	InFlight int
	Asked    int           // in all
	Latency  time.Duration // as it counts now; 0: it is not known
}

// Load returns what is known of a member.
func (s *Spread) Load(i int) Load {
	m := &s.members[i]
	return Load{InFlight: int(m.inFlight.Load()), Asked: int(m.asked.Load()), Latency: time.Duration(m.now(time.Now().UnixNano()) * float64(time.Second))}
}

// MemberError is the failure of one member of a pool.
type MemberError struct {
	Member string
	Err    error
	// Another says that another member may be asked at once.
	Another bool
}

func (e *MemberError) Error() string { return fmt.Sprintf("%s: %s", e.Member, errtree.Text(e.Err)) }

// Unwrap returns the member's own error.
func (e *MemberError) Unwrap() error { return e.Err }

// RecoveryClass is the class of the member's own error; but a key that was refused or
// is used up, or a model that is gone, is no reason not to ask another member, if
// there is one: then it is [ClassTransient].
func (e *MemberError) RecoveryClass() Class {
	v := Classify(e.Err)
	if e.Another && !v.Retry && v.Fallback && (v.Holds || v.Loud) {
		return ClassTransient
	}
	return ClassUnclassified
}

// RecoveryHint is next to nothing if another member may be asked: how long this one
// wants to be left alone is nothing to it.
func (e *MemberError) RecoveryHint() time.Duration {
	if e.Another {
		return AtOnce
	}
	return 0
}

// AtOnce is the shortest hint that there is. It is no provider's.
const AtOnce = time.Nanosecond

// NoMemberError is a request that no member of a pool can serve.
type NoMemberError struct{}

func (*NoMemberError) Error() string {
	return "understudy: no member of the pool can serve such a request: look at what Can says"
}

// RecoveryClass is [ClassBadRequest]: a stand-in may.
func (*NoMemberError) RecoveryClass() Class { return ClassBadRequest }
