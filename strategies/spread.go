package strategies

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Spread chooses one of several equals: agents that can do the same, such as the
// regions, keys or vendors of one model. The zero value compares two that are taken
// at random and prefers the one with less to do and the shorter latency (the power of
// two choices; Mitzenmacher, IEEE TPDS 12(10), 2001; the latency is a moving average
// that rises at once and sinks slowly, as finagle's "peak EWMA" does). Of two that
// are about as good it prefers the one that was asked less of late, so that limits
// which all of them have are met by all at the same time.
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
	began   time.Time
	draws   atomic.Uint64
}

// Roomy is a limit that several calls share: a [Pace], a [Bulkhead].
type Roomy interface {
	// Room is the share of it that is left: 1 is all of it, 0 that a call would wait.
	Room() float64
}

// spreadMember is one of them, in lines of the cache of its own.
type spreadMember struct {
	weight float64
	limits []Roomy

	calls   atomic.Uint64 // in flight in the lower bits, asked in all in the upper
	latency atomic.Int64  // ns; 0: not known
	at      atomic.Int64  // when it was last changed
	quiet   atomic.Int64  // since when it has calls and answers none
	epoch   atomic.Int64
	// How often it had been asked when this epoch began, and when the last one did.
	mark, markBefore atomic.Uint64
	_                [40]byte
}

const (
	// maxMembers is how many a Spread chooses from.
	maxMembers = 256

	// spreadHalf is how long it takes a latency to count half while others are met, and
	// staleHalf while the member is not asked.
	spreadHalf = 10 * time.Second
	staleHalf  = 2 * time.Minute

	// asGood: who is nearly as quick and as busy is as good, or the better of two that
	// differ by a hair would have all of the calls.
	asGood = 1.5

	// scarce is the room from which on a member is preferred less.
	scarce = 0.2

	askedOnce    = 1 << 24
	inFlightMask = askedOnce - 1
)

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
	s.began, s.members = time.Now(), make([]spreadMember, len(weights))
	total := 0.0
	s.equal = true
	for i, w := range weights {
		if !(w > 0) || math.IsInf(w, 0) {
			p.add(fmt.Sprintf("Spread member %d", i), fmt.Sprintf("has weight %v", w), "use a number above 0, such as 1")
		}
		s.members[i].weight = w
		total, s.equal = total+w, s.equal && w == weights[0]
	}
	for i := range s.members { // against the mean, so that it counts calls
		s.members[i].weight *= float64(len(weights)) / total
	}
	return p.err()
}

// Within says that a member has limits of its own: the less room they leave, the
// less it is preferred. It is called before the first choice.
func (s *Spread) Within(i int, limits ...Roomy) {
	s.members[i].limits = append(s.members[i].limits, limits...)
}

// Now is the time that the other methods are given: since Join, by the monotonic
// clock, which is cheaper to read than the time of day.
func (s *Spread) Now() time.Duration { return time.Since(s.began) }

// Among are some of the members, by their numbers: at most 256.
type Among [4]uint64

// Has says whether a member is one of them.
func (a *Among) Has(i int) bool { return a[i>>6&3]&(1<<(i&63)) != 0 }

// Add makes a member one of them.
func (a *Among) Add(i int) { a[i>>6&3] |= 1 << (i & 63) }

// Drop takes a member out.
func (a *Among) Drop(i int) { a[i>>6&3] &^= 1 << (i & 63) }

// Count returns how many they are.
func (a *Among) Count() int {
	return bits.OnesCount64(a[0]) + bits.OnesCount64(a[1]) + bits.OnesCount64(a[2]) + bits.OnesCount64(a[3])
}

// First returns the first of them; -1: there is none.
func (a *Among) First() int { return a.nth(0) }

// nth returns the n-th of them.
func (a *Among) nth(n int) int {
	for word, w := range a {
		if here := bits.OnesCount64(w); n >= here {
			n -= here
			continue
		}
		for ; n > 0; n-- {
			w &= w - 1
		}
		return word<<6 + bits.TrailingZeros64(w)
	}
	return -1
}

// Choose returns one of those that may be asked now; -1: there is none.
func (s *Spread) Choose(among *Among, now time.Duration) int {
	n := among.Count()
	if n <= 1 || s.InOrder {
		return among.First()
	}
	luck := s.random()
	first := s.draw(among, -1, n, uint32(luck))
	second := s.draw(among, first, n-1, uint32(luck>>32))
	if s.better(second, first, int64(now)) {
		return second
	}
	return first
}

// draw takes one of n at random, by its weight, but not the one that was taken
// already.
func (s *Spread) draw(among *Among, taken, n int, luck uint32) int {
	if !s.equal {
		return s.drawByWeight(among, taken, luck)
	}
	if i := int(uint64(luck) * uint64(len(s.members)) >> 32); i != taken && among.Has(i) {
		return i // nearly always, and one of all of them is soon found
	}
	luck = luck*0x9E3779B1 + 0x7F4A7C15
	i := int(uint64(luck) * uint64(n) >> 32)
	if taken < 0 {
		return among.nth(i)
	}
	rest := *among
	rest.Drop(taken)
	return rest.nth(i)
}

func (s *Spread) drawByWeight(among *Among, taken int, luck uint32) int {
	total, last := 0.0, -1
	for i := range s.members {
		if i != taken && among.Has(i) {
			total += s.members[i].weight
		}
	}
	at := float64(luck) / (1 << 32) * total
	for i := range s.members {
		if i == taken || !among.Has(i) {
			continue
		}
		if last = i; at < s.members[i].weight {
			return i
		}
		at -= s.members[i].weight
	}
	return last
}

func (s *Spread) random() uint64 {
	if s.Seed == 0 {
		return rand.Uint64()
	}
	x := s.Seed + s.draws.Add(1)*0x9E3779B97F4A7C15 // splitmix64
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// better says whether a should be asked rather than b.
func (s *Spread) better(a, b int, now int64) bool {
	x, y := &s.members[a], &s.members[b]
	lx, ly := x.met(now), y.met(now)
	switch { // nobody knows how quick it is: it is tried, and not by all at once
	case lx == 0 && ly == 0:
		lx, ly = 1, 1
	case lx == 0:
		lx = ly
	case ly == 0:
		ly = lx
	}
	lx, ly = max(lx, x.silent(now)), max(ly, y.silent(now))
	cx, cy := x.cost(lx), y.cost(ly)
	if lx > asGood*ly || ly > asGood*lx || cx > asGood*cy || cy > asGood*cx {
		return cx < cy
	}
	return x.lately(now) < y.lately(now)
}

// cost is what a member is expected to take, with what it has to do already.
func (m *spreadMember) cost(latency float64) float64 {
	cost := (float64(m.calls.Load()&inFlightMask)/m.weight + 1) * latency
	for _, l := range m.limits {
		if room := l.Room(); room < scarce {
			cost /= max(room/scarce, 1e-3)
		}
	}
	return cost
}

// met is the latency as it counts at a time: one that was met long ago counts less,
// until a call finds out whether it is so.
func (m *spreadMember) met(now int64) float64 {
	met := float64(m.latency.Load())
	if past := now - m.at.Load(); past > int64(time.Second) && m.calls.Load()&inFlightMask == 0 {
		met *= math.Exp2(-float64(past) / float64(staleHalf))
	}
	return met
}

// silent is for how long it has had calls and has ended none: so slow it is at least.
func (m *spreadMember) silent(now int64) float64 {
	if m.calls.Load()&inFlightMask == 0 {
		return 0
	}
	return float64(now - m.quiet.Load())
}

// epochBits of the nanoseconds are one epoch, of 8.6 s: what was asked in this one
// counts, and what was asked in the last one counts for less the older it is.
const epochBits = 33

// lately is how often it was asked of late, for its weight.
func (m *spreadMember) lately(now int64) float64 {
	asked, began, before := m.calls.Load()>>24, m.mark.Load(), m.markBefore.Load()
	switch now>>epochBits - m.epoch.Load() {
	case 0:
	case 1:
		began, before = asked, began
	default:
		return 0
	}
	gone := float64(now&(1<<epochBits-1)) / (1 << epochBits)
	return (float64(asked-began) + float64(began-before)*(1-gone)) / m.weight
}

// roll begins a new epoch. Who reads meanwhile may be wrong by a little.
func (m *spreadMember) roll(epoch int64, asked uint64) {
	if was := m.epoch.Load(); was < epoch && m.epoch.CompareAndSwap(was, epoch) {
		before := m.mark.Swap(asked)
		if was+1 < epoch {
			before = asked
		}
		m.markBefore.Store(before)
	}
}

// Began counts a call to a member.
func (s *Spread) Began(i int, now time.Duration) {
	m := &s.members[i]
	calls := m.calls.Add(askedOnce + 1)
	if calls&inFlightMask == 1 {
		m.quiet.Store(int64(now))
	}
	if epoch := int64(now) >> epochBits; epoch != m.epoch.Load() {
		m.roll(epoch, calls>>24-1)
	}
}

// Ended counts the end of a call. How long its answer took is told to Took.
func (s *Spread) Ended(i int, now time.Duration) {
	m := &s.members[i]
	if m.calls.Add(^uint64(0))&inFlightMask > 0 {
		m.quiet.Store(int64(now))
	}
}

// Answered is Ended and Took in one.
func (s *Spread) Answered(i int, now, took time.Duration) {
	s.Ended(i, now)
	s.Took(i, now, took)
}

// Took counts how long an answer took, of a stream its first chunk.
func (s *Spread) Took(i int, now, took time.Duration) {
	m := &s.members[i]
	for {
		old := m.latency.Load()
		next := max(int64(took), 1) // a peak counts at once
		if old > next {
			keep := 1 - float64(int64(now)-m.at.Load())/float64(spreadHalf)
			if keep = min(max(keep, 0.5), 0.9); int64(now)-m.at.Load() > int64(staleHalf)/2 {
				keep = 0.1 // what was so long ago is no measure
			}
			next += int64(float64(old-next) * keep)
		}
		if m.latency.CompareAndSwap(old, next) {
			m.at.Store(int64(now))
			return
		}
	}
}

// Load is what a Spread knows of one member.
type Load struct {
	InFlight int
	Asked    int           // in all
	Latency  time.Duration // of the answers, or of the first chunks, as it counts now; 0: it is not known
}

// Load returns what is known of a member.
func (s *Spread) Load(i int) Load {
	m := &s.members[i]
	calls := m.calls.Load()
	return Load{InFlight: int(calls & inFlightMask), Asked: int(calls >> 24), Latency: time.Duration(m.met(int64(s.Now())))}
}
