package strategies

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Bulkhead bounds how many calls are in flight at a time. It stands inside
// retry, so that nobody holds a slot through a backoff, and inside the breaker,
// which does not count its rejections.
//
// A Bulkhead is used by pointer and may be shared by agents of any type. Its
// fields must not be changed once it is in use. Waiters are served by their
// [Priority], and in order. A free slot costs one atomic operation, and to give it
// back another.
type Bulkhead struct {
	// Name appears in errors. "": the agent's name.
	Name string
	// MaxConcurrent is the number of slots. Required.
	MaxConcurrent int
	// MaxWait is how long a call may wait for a slot. 0: not at all.
	MaxWait time.Duration
	// Reserve is how many of the slots are kept for [PriorityInteractive]: of those that
	// an Adaptive one leaves open, the same share. 0: none.
	Reserve int
	// Adaptive finds out how many of the slots the agent bears, and closes the others:
	// for a model of one's own, whose answers take the longer the more it works on at a
	// time. It begins with 4, and needs some hundred answers under load. A chain tells
	// it how its calls went; somebody else must, see [Bulkhead.Settle]. It costs a call
	// some looks at the clock and a lock.
	Adaptive bool

	set   inherited[Bulkhead]
	ready atomic.Pointer[Bulkhead] // the settings, once somebody has looked at them
	// word is all that a call reads while nobody waits: how many slots are taken, in
	// the lower half, how many of them not by the interactive, in the upper, and
	// whether somebody waits. While somebody does, it is written to under mu only.
	word  atomic.Uint64
	limit atomic.Int32 // how many slots are open, if it is Adaptive
	mu    sync.Mutex
	line  line
	adapt adaptive
}

const (
	oneTaken    = 1
	oneOrdinary = 1 << 31
	takenMask   = oneOrdinary - 1
	someoneBit  = 1 << 63
)

// Acquire takes a slot. The error is a [FullError] after MaxWait, or, with the
// context's cause within, if that ended first; or a [ConfigError]. An error takes no slot.
func (b *Bulkhead) Acquire(ctx context.Context) error { return b.AcquireAs(ctx, PriorityNormal) }

// AcquireAs is Acquire for a call of a priority. [Bulkhead.ReleaseAs] with the same
// gives the slot back.
func (b *Bulkhead) AcquireAs(ctx context.Context, p Priority) error {
	is := b.ready.Load()
	for ; is == nil; is = b.ready.Load() {
		if b = b.Itself(); b.ready.Load() == nil {
			if err := b.init(); err != nil {
				return err
			}
		}
	}
	rank := p.rank()
	for {
		w := b.word.Load()
		if w&someoneBit != 0 || !b.fits(is, w, rank) {
			break
		}
		if b.word.CompareAndSwap(w, w+slot(rank)) {
			if is.Adaptive {
				b.adapt.taken(int(w&takenMask) + 1)
			}
			return nil
		}
	}
	if is.Adaptive {
		b.adapt.taken(is.MaxConcurrent)
	}
	if is.MaxWait <= 0 {
		return b.full(0, nil)
	}
	if ctx == nil {
		return &ConfigError{Setting: "Bulkhead.Acquire ctx", Problem: "is nil", Fix: "give it a context, such as context.Background()"}
	}
	return b.wait(ctx, rank, is.MaxWait)
}

// fits says whether there is a slot for a rank, by these settings.
func (b *Bulkhead) fits(is *Bulkhead, w uint64, rank int) bool {
	open := b.open(is)
	return int(w&takenMask) < open && (rank == 0 || is.Reserve == 0 || int(w>>31&takenMask) < open-is.Reserve*open/is.MaxConcurrent)
}

// open is how many slots there are at present, by these settings.
func (b *Bulkhead) open(is *Bulkhead) int {
	if is.Adaptive {
		return min(int(b.limit.Load()), is.MaxConcurrent)
	}
	return is.MaxConcurrent
}

// slot is what a slot of a rank is in the word.
func slot(rank int) uint64 {
	if rank == 0 {
		return oneTaken
	}
	return oneTaken + oneOrdinary
}

func (b *Bulkhead) wait(ctx context.Context, rank int, most time.Duration) error {
	w := &waiter{rank: rank}
	b.mu.Lock()
	b.line.push(w)
	b.word.Or(someoneBit) // from here on, all who come and go do so under the lock
	b.serve()
	b.mu.Unlock()
	began := time.Now()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-w.turn:
		return nil
	case <-timer.C:
		return b.leave(w, most, nil)
	case <-ctx.Done():
		return b.leave(w, time.Since(began), context.Cause(ctx))
	}
}

// serve gives the free slots to those who wait. It is called under the lock.
func (b *Bulkhead) serve() {
	for {
		word, below := b.word.Load(), ranks
		is := b.ready.Load()
		if !b.fits(is, word, ranks-1) {
			below = 1
		}
		w := b.line.next(below)
		if w == nil || !b.fits(is, word, w.rank) {
			break
		}
		b.word.Add(slot(w.rank))
		b.line.serve(w)
	}
	if b.line.count == 0 {
		b.word.And(^uint64(someoneBit))
	}
}

// leave is what becomes of one who waits no longer: in the very moment it may have
// been given a slot all the same.
func (b *Bulkhead) leave(w *waiter, waited time.Duration, cause error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.line.remove(w) {
		return nil
	}
	b.serve()
	return b.full(waited, cause)
}

func (b *Bulkhead) full(waited time.Duration, cause error) error {
	return &FullError{What: b.what(), Limit: b.Limit(), Waited: waited, Err: cause}
}

// what describes the bulkhead in an error; "" if it has no name of its own.
func (b *Bulkhead) what() string {
	if b.Name == "" {
		return ""
	}
	return fmt.Sprintf("bulkhead %q", b.Name)
}

// Release gives a slot back. It belongs in a deferred function.
func (b *Bulkhead) Release() { b.ReleaseAs(PriorityNormal) }

// ReleaseAs gives back a slot that AcquireAs took.
func (b *Bulkhead) ReleaseAs(p Priority) {
	rank := p.rank()
	for {
		w := b.word.Load()
		if w&takenMask == 0 {
			if is := b.Itself(); is != b {
				is.ReleaseAs(p)
			}
			return // a Release without Acquire frees nothing
		}
		if w&someoneBit != 0 {
			b.hand(rank)
			return
		}
		if b.word.CompareAndSwap(w, without(w, rank)) {
			return
		}
	}
}

func without(w uint64, rank int) uint64 {
	if w>>31&takenMask == 0 { // the priorities are not those that it was taken with
		rank = 0
	}
	return w - slot(rank)
}

// hand gives a slot back while others wait.
func (b *Bulkhead) hand(rank int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		w := b.word.Load()
		if w&takenMask == 0 {
			return
		}
		if b.word.CompareAndSwap(w, without(w, rank)) {
			break
		}
	}
	b.serve()
}

// InFlight returns how many slots are taken.
func (b *Bulkhead) InFlight() int { return int(b.Itself().word.Load() & takenMask) }

// Waiting returns how many calls wait for a slot.
func (b *Bulkhead) Waiting() int {
	b = b.Itself()
	if b.word.Load()&someoneBit == 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.line.count
}

func (b *Bulkhead) init() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ready.Load() != nil || b.set.name.Load() != nil {
		return nil
	}
	if err := b.Validate(); err != nil {
		return err
	}
	b.adapts(b)
	b.ready.Store(b)
	return nil
}

// Update replaces the settings while the bulkhead is in use: calls in flight keep
// their slots, and who waits keeps its place, and the time that it had. to is read for
// its settings alone, and becomes another name of this bulkhead; one that is in use
// itself is refused with a [ConfigError]. The Name stays. With fewer slots than are
// taken nobody gets one until enough are given back.
func (b *Bulkhead) Update(to *Bulkhead) error {
	if to == nil {
		return &ConfigError{Setting: "Bulkhead.Update", Problem: "is nil", Fix: "give it a *strategies.Bulkhead with the new settings"}
	}
	if b = b.Itself(); b == to.Itself() {
		return nil
	}
	if err := to.Validate(); err != nil {
		return err
	}
	if err := b.init(); err != nil {
		return err
	}
	if !to.lend(b) {
		return usedAlready("Bulkhead.Update")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.adapts(to)
	b.ready.Store(to)
	b.serve()
	return nil
}

func (b *Bulkhead) lend(to *Bulkhead) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready.Load() == nil && b.set.name.CompareAndSwap(nil, to)
}

// Itself returns the bulkhead that this one is another name of, see Update, or itself.
func (b *Bulkhead) Itself() *Bulkhead { return b.set.who(b) }

// Used says whether anybody has asked for a slot.
func (b *Bulkhead) Used() bool { return b.ready.Load() != nil || b.set.name.Load() != nil }

// Anew returns a bulkhead with the same settings, as they are now, that is free.
func (b *Bulkhead) Anew() *Bulkhead {
	c := b.conf()
	return &Bulkhead{Name: b.Itself().Name, MaxConcurrent: c.MaxConcurrent, MaxWait: c.MaxWait, Reserve: c.Reserve, Adaptive: c.Adaptive}
}

// Remembers says what would be forgotten with the bulkhead.
func (b *Bulkhead) Remembers() Memory {
	if b.Itself().word.Load() != 0 {
		return MemoryHolds
	}
	return MemoryNothing
}

// Longest returns how long a call may wait for a slot.
func (b *Bulkhead) Longest() time.Duration { return max(b.conf().MaxWait, 0) }

func (b *Bulkhead) conf() *Bulkhead {
	if b = b.Itself(); b.ready.Load() != nil {
		return b.ready.Load()
	}
	return b
}

// Validate says all that is wrong with the settings, each by its name.
func (b *Bulkhead) Validate() error {
	var p problems
	if b.MaxConcurrent <= 0 {
		p.add("Bulkhead.MaxConcurrent", fmt.Sprintf("is %d", b.MaxConcurrent), "say how many calls may be in flight")
	}
	if b.MaxConcurrent > math.MaxInt32 {
		p.add("Bulkhead.MaxConcurrent", fmt.Sprintf("is %d", b.MaxConcurrent), "leave the bulkhead out for no limit")
	}
	if b.Adaptive && b.MaxConcurrent == 1 {
		p.add("Bulkhead.Adaptive", "has nothing to find out: MaxConcurrent is 1", "say how many calls may be in flight at most")
	}
	negative(&p, "Bulkhead.MaxWait", b.MaxWait, "leave it 0 for no waiting")
	negative(&p, "Bulkhead.Reserve", b.Reserve, "leave it 0 to keep no slot back")
	if b.MaxConcurrent > 0 && b.Reserve >= b.MaxConcurrent {
		p.add("Bulkhead.Reserve", fmt.Sprintf("(%d) leaves none of MaxConcurrent (%d)", b.Reserve, b.MaxConcurrent), "leave a slot for those who are not interactive")
	}
	return p.err()
}

// String describes the settings in a line.
func (b *Bulkhead) String() string {
	b = b.conf()
	s := fmt.Sprintf("%d at a time, waits %v for a slot", b.MaxConcurrent, b.MaxWait)
	if b.Adaptive {
		s = fmt.Sprintf("up to %d at a time, as many as it bears, waits %v for a slot", b.MaxConcurrent, b.MaxWait)
	}
	if b.Reserve > 0 {
		s += fmt.Sprintf(", %d kept for the interactive", b.Reserve)
	}
	return s
}
