package strategies

import (
	"sync"
	"sync/atomic"
)

// Tally counts the failed calls of each agent by name: one more a call whose
// first attempt failed, deleted when a retry or a stand-in recovers it or the
// agent succeeds by itself. It also remembers who has spent its retries.
//
// The zero value is ready. It is used by pointer; look-ups of known names take
// no lock. A name is never forgotten, so names must come from a bounded set.
type Tally struct {
	counts sync.Map // name → *Count
}

// Of returns the count of an agent, made on first use. Layers keep the pointer,
// so a call looks up nothing.
func (t *Tally) Of(name string) *Count {
	if c, ok := t.counts.Load(name); ok {
		return c.(*Count)
	}
	c, _ := t.counts.LoadOrStore(name, &Count{})
	return c.(*Count)
}

// Failures returns the count of an agent; 0 for an unknown name.
func (t *Tally) Failures(name string) int {
	if c, ok := t.counts.Load(name); ok {
		return c.(*Count).Failures()
	}
	return 0
}

// Reset deletes the count of an agent and gives it its retries back.
func (t *Tally) Reset(name string) {
	if c, ok := t.counts.Load(name); ok {
		c.(*Count).Succeeded()
	}
}

// Count is one agent's entry in a [Tally]. Its zero value is a clean record.
type Count struct {
	// bits holds the number of failed calls above one bit that says whether
	// the retries are spent, so that a healthy call reads one word.
	bits atomic.Uint64
}

const (
	spentBit   = 1
	oneFailure = 2
)

// Failed books a call whose first attempt failed; it returns the new count, and
// whether the retries were spent already.
func (c *Count) Failed() (failures int, spent bool) {
	b := c.bits.Add(oneFailure)
	return int(b / oneFailure), b&spentBit != 0
}

// Spend notes that a call used up its retries in vain.
func (c *Count) Spend() { c.bits.Or(spentBit) }

// Recovered deletes the failures: a stand-in answered for the agent. Spent
// retries stay spent, for the agent itself has not succeeded.
func (c *Count) Recovered() { c.bits.And(spentBit) }

// Succeeded deletes all: the agent itself has answered. On a clean record it
// costs one atomic load.
func (c *Count) Succeeded() {
	if c.bits.Load() != 0 {
		c.bits.Store(0)
	}
}

// Failures returns the number of failed calls since the last recovery.
func (c *Count) Failures() int { return int(c.bits.Load() / oneFailure) }

// Spent says whether an earlier call used up the retries.
func (c *Count) Spent() bool { return c.bits.Load()&spentBit != 0 }
