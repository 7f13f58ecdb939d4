package strategies

import (
	"context"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
)

// What our own layers say: a breaker that is open, a bulkhead that is full, a
// limit that ran out.

// OpenError is a circuit breaker that let no call through.
type OpenError struct {
	Breaker    string
	State      State
	RetryAfter time.Duration // until the breaker lets a trial through; 0: unknown
	Cause      error         // the failure that opened or held it; may be nil
}

func (e *OpenError) Error() string {
	s := fmt.Sprintf("understudy: circuit breaker %q is %s", e.Breaker, e.State)
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(" for another %v", e.RetryAfter.Round(time.Millisecond))
	}
	if e.Cause != nil {
		s += fmt.Sprintf(": last failure: %v", e.Cause)
	}
	return s
}

// Unwrap returns the failure that opened the breaker.
func (e *OpenError) Unwrap() error { return e.Cause }

// Is makes an OpenError match [ErrRejected].
func (e *OpenError) Is(target error) bool { return target == ErrRejected }

// RecoveryClass is [ClassRejected]: go on at once. A breaker that is held because
// the provider named a time (see [Breaker.Hold]) rejects with that failure's
// class instead, so that a rate limit is waited for and a quota is not.
func (e *OpenError) RecoveryClass() Class {
	class, _ := walk(e)
	return class
}

// RecoveryHint is the time until the next try makes sense.
func (e *OpenError) RecoveryHint() time.Duration { return e.RetryAfter }

// FullError is a bulkhead, or another limit on calls in flight, without a free
// slot.
type FullError struct {
	What   string // what is full, in a few words: `bulkhead "gpu"`
	Limit  int    // how many it holds
	Waited time.Duration
	Err    error // what ended the wait before its time: a context; may be nil
}

func (e *FullError) Error() string {
	what := e.What
	if what == "" {
		what = "bulkhead"
	}
	text := fmt.Sprintf("understudy: %s is full: %s in flight (waited %v)", what, plural(e.Limit, "call"), e.Waited)
	if e.Err != nil {
		text += ": " + errtree.Text(e.Err)
	}
	return text
}

// Unwrap returns what ended the wait.
func (e *FullError) Unwrap() error { return e.Err }

// Is makes a FullError match [ErrRejected].
func (e *FullError) Is(target error) bool { return target == ErrRejected }

// RecoveryClass is [ClassRejected].
func (e *FullError) RecoveryClass() Class { return ClassRejected }

// PaceError is a call that a [Pace] would have let wait for too long.
type PaceError struct {
	What   string        // whose pace, in a few words: `pace "openai"`
	Wait   time.Duration // until its turn would have come, as things stood
	Waited time.Duration // until it was refused
	Err    error         // what ended the wait before its time: a context; may be nil
}

func (e *PaceError) Error() string {
	what := e.What
	if what == "" {
		what = "pace"
	}
	text := fmt.Sprintf("understudy: %s has no turn in time: the next is in %v (waited %v)", what, e.Wait.Round(time.Millisecond), e.Waited.Round(time.Millisecond))
	if e.Err != nil {
		text += ": " + errtree.Text(e.Err)
	}
	return text
}

// Unwrap returns what ended the wait.
func (e *PaceError) Unwrap() error { return e.Err }

// Is makes a PaceError match [ErrRejected].
func (e *PaceError) Is(target error) bool { return target == ErrRejected }

// RecoveryClass is [ClassRejected].
func (e *PaceError) RecoveryClass() Class { return ClassRejected }

// RecoveryHint is the time until the turn would have come.
func (e *PaceError) RecoveryHint() time.Duration { return e.Wait }

// TimeoutError is a limit of ours that ran out, never the caller's own. It is a
// context.DeadlineExceeded to errors.Is and a net.Error-like Timeout() to those
// who ask by method.
type TimeoutError struct {
	Limit string        // which one: "attempt", "deadline", "trial", "intervention"
	After time.Duration // how long it was
	Err   error         // what the agent said when it was stopped; may be nil
}

func (e *TimeoutError) Error() string {
	s := fmt.Sprintf("understudy: %s timeout after %v", e.Limit, e.After)
	if e.Err != nil && e.Err != context.DeadlineExceeded {
		s += fmt.Sprintf(": %v", e.Err)
	}
	return s
}

// Unwrap returns what the agent said.
func (e *TimeoutError) Unwrap() error { return e.Err }

// Is makes a TimeoutError match context.DeadlineExceeded.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout is always true.
func (e *TimeoutError) Timeout() bool { return true }

// RecoveryClass is [ClassTimeout].
func (e *TimeoutError) RecoveryClass() Class { return ClassTimeout }
