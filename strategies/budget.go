package strategies

import (
	"sync/atomic"
)

// Budget is a token bucket that bounds the retries of everyone who shares it:
// a retry takes tokens out, a success puts one back. In an outage the bucket
// runs dry and retries end, fleet-wide, however many callers there are.
//
// The numbers of the zero value are those of the AWS SDKs' standard retry mode:
// 500 tokens, 5 a retry, 10 a retry after a timeout, 1 back a success. So a
// process starts with about 100 retries in hand and in the long run may retry
// one call in five.
//
// A Budget is used by pointer, may be shared by agents of any type, and must
// not be copied or changed once in use. A full bucket costs a success one
// atomic load; a call that does not retry takes no lock.
type Budget struct {
	Capacity    int // 0: 500
	RetryCost   int // 0: 5
	TimeoutCost int // a retry after a timeout, which cost more. 0: 10
	Refund      int // a success. 0: 1

	// spent counts what is missing from the bucket, so that zero is full; lent: see Update.
	spent  atomic.Int64
	living atomic.Int64 // replicas that share it; see Fleet
	set    inherited[Budget]
}

// capacity is this replica's part of it: at least one retry's, or none would ever be
// made.
func (b *Budget) capacity() int64 {
	b = b.Itself()
	c := b.conf()
	all := int64(orDefault(c.Capacity, 500))
	if n := b.living.Load(); n > 1 {
		return max(all/n, min(all, int64(max(orDefault(c.RetryCost, 5), orDefault(c.TimeoutCost, 10)))))
	}
	return all
}

func (b *Budget) divide(living int) { b.Itself().living.Store(int64(living)) }

// Take takes the tokens for a retry of an attempt that failed with class.
// False: there are not enough, do not retry.
func (b *Budget) Take(class Class) bool {
	b = b.Itself()
	cost := int64(orDefault(b.conf().RetryCost, 5))
	if class == ClassTimeout {
		cost = int64(orDefault(b.conf().TimeoutCost, 10))
	}
	for {
		spent := b.spent.Load()
		if spent == lent {
			return b.Itself().Take(class)
		}
		if cost > b.capacity()-spent { // no sum, so that no cost overflows
			return false
		}
		if b.spent.CompareAndSwap(spent, spent+cost) {
			return true
		}
	}
}

// Success puts back what a success is worth.
func (b *Budget) Success() {
	for {
		spent := b.spent.Load()
		if spent == 0 {
			return
		}
		if spent == lent {
			b.Itself().Success()
			return
		}
		if b.spent.CompareAndSwap(spent, max(0, spent-int64(orDefault(b.conf().Refund, 1)))) {
			return
		}
	}
}

// Left returns the tokens in the bucket.
func (b *Budget) Left() int {
	b = b.Itself()
	return int(max(0, b.capacity()-max(0, b.spent.Load())))
}

// lent is what is spent of a budget that is another name of one.
const lent = -1

// Update replaces the settings while the budget is in use, and keeps what has been
// spent. to is read for its settings alone, and becomes another name of this budget;
// one from which somebody has taken something is refused with a [ConfigError].
func (b *Budget) Update(to *Budget) error {
	if to == nil {
		return &ConfigError{Setting: "Budget.Update", Problem: "is nil", Fix: "give it a *strategies.Budget with the new settings"}
	}
	if b = b.Itself(); b == to.Itself() {
		return nil
	}
	if err := to.Validate(); err != nil {
		return err
	}
	if !to.set.name.CompareAndSwap(nil, b) {
		return usedAlready("Budget.Update")
	}
	if !to.spent.CompareAndSwap(0, lent) {
		to.set.name.Store(nil)
		return usedAlready("Budget.Update")
	}
	b.set.settings.Store(to)
	return nil
}

// Itself returns the budget that this one is another name of, see Update, or itself.
func (b *Budget) Itself() *Budget { return b.set.who(b) }

// Used says whether anything is missing from the bucket.
func (b *Budget) Used() bool { return b.spent.Load() != 0 }

// Anew returns a budget with the same settings, as they are now, that is full.
func (b *Budget) Anew() *Budget {
	c := b.conf()
	return &Budget{Capacity: c.Capacity, RetryCost: c.RetryCost, TimeoutCost: c.TimeoutCost, Refund: c.Refund}
}

// Remembers says what would be forgotten with the budget.
func (b *Budget) Remembers() Memory {
	if b.Itself().spent.Load() != 0 {
		return MemoryCounts
	}
	return MemoryNothing
}

func (b *Budget) conf() *Budget { b = b.Itself(); return b.set.of(b) }

// Size returns the tokens of a full bucket.
func (b *Budget) Size() int { return int(b.capacity()) }

// Validate refuses negative numbers and a bucket too small for one retry.
func (b *Budget) Validate() error {
	var p problems
	negative(&p, "Budget.Capacity", b.Capacity, "leave it 0 for 500")
	negative(&p, "Budget.RetryCost", b.RetryCost, "leave it 0 for 5")
	negative(&p, "Budget.TimeoutCost", b.TimeoutCost, "leave it 0 for 10")
	negative(&p, "Budget.Refund", b.Refund, "leave it 0 for 1")
	if b.Capacity >= 0 && orDefault(b.Capacity, 500) < orDefault(b.RetryCost, 5) {
		p.add("Budget.Capacity", "is less than one retry costs", "raise it, or lower Budget.RetryCost")
	}
	return p.err()
}
