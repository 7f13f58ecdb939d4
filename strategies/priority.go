package strategies

import (
	"container/list"
	"fmt"
	"time"
)

// Priority is how urgently somebody waits for a call: where many wait, for a slot
// of a [Bulkhead] or for their turn of a [Pace], the more urgent ones go first, and
// those of one priority in order.
//
// Nobody starves: at most seven turns in a row pass over the one who has waited
// longest. So with n before it, of whatever priority, a call has its turn among the
// next 8·(n+1), unless its own time is over before. Slots that are kept back for
// [PriorityInteractive] are no turns of others.
type Priority int8

const (
	// PriorityBatch is a job that nobody looks at.
	PriorityBatch Priority = -1
	// PriorityNormal is a call whose priority nobody has said.
	PriorityNormal Priority = 0
	// PriorityInteractive is a call that a person waits for.
	PriorityInteractive Priority = 1
)

var priorityNames = [ranks]string{"interactive", "normal", "batch"}

// String returns the priority's name.
func (p Priority) String() string { return priorityNames[p.rank()] }

// MarshalText returns the name.
func (p Priority) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a name back.
func (p *Priority) UnmarshalText(text []byte) error {
	for rank, name := range priorityNames {
		if name == string(text) {
			*p = Priority(1 - rank)
			return nil
		}
	}
	return fmt.Errorf("understudy: %q is no priority: use one of %q", text, priorityNames)
}

const (
	ranks   = 3
	passing = 7 // turns in a row that may pass over the oldest
)

// rank is the place of a priority: 0 is the most urgent. What is beyond the
// constants is as the nearest one.
func (p Priority) rank() int { return min(max(1-int(p), 0), ranks-1) }

// waiter is one who waits in a line.
type waiter struct {
	rank   int
	age    uint64        // the smaller, the older
	tokens int64         // of a pace
	until  time.Time     // of a pace: when its time is over
	turn   chan struct{} // closed when it has its turn, or is refused
	err    error         // why it is refused; nil: it is not
	at     *list.Element // nil: it is in no line any more
}

// line is who waits: by rank, and in order. It is guarded by its owner's lock.
type line struct {
	queues [ranks]list.List
	tokens [ranks]int64
	count  int
	ages   uint64
	passed int // turns in a row that the oldest was not given
}

func (l *line) push(w *waiter) {
	l.ages++
	l.count++
	w.age, w.turn = l.ages, make(chan struct{})
	w.at = l.queues[w.rank].PushBack(w)
	l.tokens[w.rank] += w.tokens
}

// remove takes a waiter out, and says whether it was in.
func (l *line) remove(w *waiter) bool {
	if w.at == nil {
		return false
	}
	l.queues[w.rank].Remove(w.at)
	l.tokens[w.rank] -= w.tokens
	w.at = nil
	if l.count--; l.count == 0 {
		l.passed = 0
	}
	return true
}

func (l *line) head(rank int) *waiter {
	if e := l.queues[rank].Front(); e != nil {
		return e.Value.(*waiter)
	}
	return nil
}

// oldest has waited longest; nil: nobody waits.
func (l *line) oldest(below int) (oldest *waiter) {
	for rank := range below {
		if w := l.head(rank); w != nil && (oldest == nil || w.age < oldest.age) {
			oldest = w
		}
	}
	return oldest
}

// overtakes says whether somebody waits who is less urgent than a rank.
func (l *line) overtakes(rank int) bool {
	for r := rank + 1; r < ranks; r++ {
		if l.queues[r].Len() > 0 {
			return true
		}
	}
	return false
}

// older counts those who are older than w, which has so many before it in its own
// queue. It stops at a number that is enough to say that they are many.
func (l *line) older(w *waiter, own int) int {
	n := own
	for rank := range ranks {
		if rank == w.rank {
			continue
		}
		for e := l.queues[rank].Front(); e != nil && e.Value.(*waiter).age < w.age && n < l.count/passing; e = e.Next() {
			n++
		}
	}
	return n
}

// next is whose turn it is, of the ranks below one: the most urgent, unless the
// oldest has been passed over too often. It stays in the line.
func (l *line) next(below int) *waiter {
	if l.due() {
		return l.oldest(below)
	}
	for rank := range below {
		if w := l.head(rank); w != nil {
			return w
		}
	}
	return nil
}

// due says that the oldest must not be passed over again.
func (l *line) due() bool { return l.passed >= passing }

// serve gives a waiter its turn.
func (l *line) serve(w *waiter) {
	if w == l.oldest(ranks) {
		l.passed = 0
	} else {
		l.passed++
	}
	l.remove(w)
	close(w.turn)
}
