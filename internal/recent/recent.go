// Package recent keeps what was asked for last, of many: a bounded table by key that
// drops those first whose loss nobody notices. It is ours because a cache drops what
// was used longest ago, whatever it is: a tenant that is held would escape by staying
// away.
package recent

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// Loss is what it means to drop an entry.
type Loss uint8

const (
	LossNone  Loss = iota // nobody would notice
	LossCount             // something that was counted would be forgotten
	LossHold              // somebody would escape: it is never dropped
)

// Table is a table of entries by key. It is safe for concurrent use.
type Table[V any] struct {
	loss func(V) Loss

	mu      sync.Mutex
	most    int
	idle    time.Duration
	order   list.List // of *Entry[V], the latest first
	where   map[string]*Entry[V]
	now     time.Time // now and then: a look at the clock costs more than the rest
	asked   uint
	crowded int // how often there was no room
}

// Entry is what a table keeps under a key.
type Entry[V any] struct {
	Key   string
	Value V

	uses   atomic.Int32 // by calls under way
	spared bool         // it was passed over once
	last   time.Time    // or somewhat before
	at     *list.Element
}

// New makes a table of at most so many entries. loss is asked about an entry that
// nobody uses, under the table's lock: it must not call the table.
func New[V any](most int, idle time.Duration, loss func(V) Loss) *Table[V] {
	return &Table[V]{loss: loss, most: most, idle: idle, where: map[string]*Entry[V]{}, now: time.Now()}
}

// Enter returns the entry of a key, for use until Leave; nil: there is none.
func (t *Table[V]) Enter(key string) *Entry[V] {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.where[key]
	if e != nil {
		t.use(e)
	}
	return e
}

// between is how many look-ups share a look at the clock.
const between = 64

func (t *Table[V]) use(e *Entry[V]) {
	if t.asked++; t.asked%between == 0 {
		t.now = time.Now()
	}
	e.uses.Add(1)
	e.last, e.spared = t.now, false
	t.order.MoveToFront(e.at)
}

// Leave ends a use.
func (e *Entry[V]) Leave() {
	if e != nil {
		e.uses.Add(-1)
	}
}

// Among how many entries somebody to drop is looked for: a bound of what one call does.
const (
	looksForIdle = 4
	looksForRoom = 64
)

// Add puts a value into the table, for use until Leave. Somebody else's that came first
// is returned instead, with added false; nil if all whom it looked at are in use or hold
// somebody, so that there is no room. dropped are the values that had to go.
func (t *Table[V]) Add(key string, value V) (e *Entry[V], added bool, dropped []V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e = t.where[key]; e != nil {
		t.use(e)
		return e, false, nil
	}
	t.now = time.Now()
	dropped = t.dropIdle(dropped)
	for len(t.where) >= t.most {
		quiet := t.quiet()
		if quiet == nil {
			t.crowded++
			return nil, false, dropped
		}
		dropped = append(dropped, t.remove(quiet))
	}
	e = &Entry[V]{Key: key, Value: value}
	e.at = t.order.PushFront(e)
	t.where[key] = e
	t.use(e)
	return e, true, dropped
}

// dropIdle drops entries that nobody has asked for in a while. What stays is looked at
// last from then on.
func (t *Table[V]) dropIdle(dropped []V) []V {
	for range min(looksForIdle, len(t.where)) {
		e := t.oldest()
		if t.now.Sub(e.last) <= t.idle {
			break
		}
		if e.uses.Load() == 0 && t.loss(e.Value) != LossHold {
			dropped = append(dropped, t.remove(e))
		} else {
			t.order.MoveToFront(e.at)
		}
	}
	return dropped
}

// quiet returns the entry that may go first; nil: none of the oldest.
func (t *Table[V]) quiet() *Entry[V] {
	for range min(looksForRoom, 2*len(t.where)) { // whoever was spared comes by again
		e := t.oldest()
		if e.uses.Load() == 0 {
			switch t.loss(e.Value) {
			case LossNone:
				return e
			case LossCount:
				if e.spared {
					return e
				}
				e.spared = true
			}
		}
		t.order.MoveToFront(e.at)
	}
	return nil
}

func (t *Table[V]) oldest() *Entry[V] { return t.order.Back().Value.(*Entry[V]) }

func (t *Table[V]) remove(e *Entry[V]) V {
	t.order.Remove(e.at)
	delete(t.where, e.Key)
	return e.Value
}

// Resize changes the bounds. A table that is too full gets smaller with the next entry.
func (t *Table[V]) Resize(most int, idle time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most, t.idle = most, idle
}

// Len returns how many entries there are, and how often there was no room for one.
func (t *Table[V]) Len() (entries, crowded int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.where), t.crowded
}

// All returns the values by key.
func (t *Table[V]) All() map[string]V {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[string]V, len(t.where))
	for key, e := range t.where {
		all[key] = e.Value
	}
	return all
}
