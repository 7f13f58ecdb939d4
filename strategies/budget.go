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

	// spent counts what is missing from the bucket, so that zero is full.
	spent atomic.Int64
}

func (b *Budget) capacity() int64 { return int64(orDefault(b.Capacity, 500)) }

// Take takes the tokens for a retry of an attempt that failed with class.
// False: there are not enough, do not retry.
func (b *Budget) Take(class Class) bool {
	cost := int64(orDefault(b.RetryCost, 5))
	if class == ClassTimeout {
		cost = int64(orDefault(b.TimeoutCost, 10))
	}
	for {
		spent := b.spent.Load()
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
		if b.spent.CompareAndSwap(spent, max(0, spent-int64(orDefault(b.Refund, 1)))) {
			return
		}
	}
}

// Left returns the tokens in the bucket.
func (b *Budget) Left() int { return int(b.capacity() - b.spent.Load()) }

// Size returns the tokens of a full bucket.
func (b *Budget) Size() int { return int(b.capacity()) }

// Validate refuses negative numbers and a bucket too small for one retry.
func (b *Budget) Validate() error {
	var p problems
	negative(&p, "Budget.Capacity", b.Capacity, "leave it 0 for 500")
	negative(&p, "Budget.RetryCost", b.RetryCost, "leave it 0 for 5")
	negative(&p, "Budget.TimeoutCost", b.TimeoutCost, "leave it 0 for 10")
	negative(&p, "Budget.Refund", b.Refund, "leave it 0 for 1")
	if b.Capacity >= 0 && b.capacity() < int64(orDefault(b.RetryCost, 5)) {
		p.add("Budget.Capacity", "is less than one retry costs", "raise it, or lower Budget.RetryCost")
	}
	return p.err()
}
