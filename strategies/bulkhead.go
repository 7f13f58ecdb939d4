package strategies

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// Bulkhead bounds how many calls are in flight at a time. It stands inside
// retry, so that nobody holds a slot through a backoff, and inside the breaker,
// which does not count its rejections.
//
// A Bulkhead is used by pointer and may be shared by agents of any type. Its
// fields must not be changed once it is in use. Waiters are served in order.
// A free slot costs one uncontended channel send.
type Bulkhead struct {
	// Name appears in errors. "": the agent's name.
	Name string
	// MaxConcurrent is the number of slots. Required.
	MaxConcurrent int
	// MaxWait is how long a call may wait for a slot. 0: not at all.
	MaxWait time.Duration

	once  sync.Once
	slots chan struct{}
}

// Acquire takes a slot. The error is a [FullError] after MaxWait, or, with the
// context's cause within, if that ended first; or a [ConfigError]. An error takes no slot.
func (b *Bulkhead) Acquire(ctx context.Context) error {
	if err := b.init(); err != nil {
		return err
	}
	select {
	case b.slots <- struct{}{}:
		return nil
	default:
	}
	if b.MaxWait <= 0 {
		return &FullError{What: b.what(), Limit: b.MaxConcurrent}
	}
	if ctx == nil {
		return &ConfigError{Setting: "Bulkhead.Acquire ctx", Problem: "is nil", Fix: "give it a context, such as context.Background()"}
	}
	began := time.Now()
	timer := time.NewTimer(b.MaxWait)
	defer timer.Stop()
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return &FullError{What: b.what(), Limit: b.MaxConcurrent, Waited: b.MaxWait}
	case <-ctx.Done():
		return &FullError{What: b.what(), Limit: b.MaxConcurrent, Waited: time.Since(began), Err: context.Cause(ctx)}
	}
}

// what describes the bulkhead in an error; "" if it has no name of its own.
func (b *Bulkhead) what() string {
	if b.Name == "" {
		return ""
	}
	return fmt.Sprintf("bulkhead %q", b.Name)
}

// Release gives a slot back. It belongs in a deferred function.
func (b *Bulkhead) Release() {
	select {
	case <-b.slots:
	default: // a Release without Acquire frees nothing
	}
}

// InFlight returns how many slots are taken.
func (b *Bulkhead) InFlight() int {
	if b.init() != nil {
		return 0
	}
	return len(b.slots)
}

func (b *Bulkhead) init() error {
	b.once.Do(func() {
		if b.Validate() == nil {
			b.slots = make(chan struct{}, b.MaxConcurrent)
		}
	})
	if b.slots == nil {
		return b.Validate()
	}
	return nil
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
	negative(&p, "Bulkhead.MaxWait", b.MaxWait, "leave it 0 for no waiting")
	return p.err()
}

// String describes the settings in a line.
func (b *Bulkhead) String() string {
	return fmt.Sprintf("%d at a time, waits %v for a slot", b.MaxConcurrent, b.MaxWait)
}
