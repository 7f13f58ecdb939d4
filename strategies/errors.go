package strategies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sentinels to test with errors.Is. Each has a type to inspect with errors.As.
var (
	// ErrConfig is matched by every [ConfigError].
	ErrConfig = errors.New("understudy: wrong setting")
	// ErrRecovery is matched by every [RecoveryError]: nobody could answer.
	ErrRecovery = errors.New("understudy: no recovery")
	// ErrRejected is matched by an [OpenError] and a [FullError]: one of our
	// own layers said no, and no agent was called.
	ErrRejected = errors.New("understudy: call rejected")
)

// ConfigError is a setting that makes no sense. Build returns all of them
// joined; a layer put together by hand answers every call with its own.
type ConfigError struct {
	Setting string // its name as the user wrote it: "Retry.MaxRetries"
	Problem string // what is wrong: "is negative (-1)"
	Fix     string // what to do: "leave it 0 for the default of 3"
}

func (e *ConfigError) Error() string {
	s := "understudy: " + e.Setting + " " + e.Problem
	if e.Fix != "" {
		s += ": " + e.Fix
	}
	return s
}

// Is makes a ConfigError match [ErrConfig].
func (e *ConfigError) Is(target error) bool { return target == ErrConfig }

// RecoveryClass says that a misconfigured call is nobody's to retry.
func (e *ConfigError) RecoveryClass() Class { return ClassBadRequest }

// AgentError is an agent's own account of its failure. Recoverable false (the
// zero value) means that no retry, stand-in or reduced answer can help: the
// call goes straight to user intervention. Recoverable true leaves the class to
// what Err is.
type AgentError struct {
	Agent       string
	Recoverable bool
	Err         error
}

func (e *AgentError) Error() string {
	kind := "recoverable"
	if !e.Recoverable {
		kind = "unrecoverable"
	}
	return fmt.Sprintf("understudy: agent %q: %s: %v", e.Agent, kind, e.Err)
}

// Unwrap returns the error the agent failed with.
func (e *AgentError) Unwrap() error { return e.Err }

// RecoveryClass is [ClassUnrecoverable], or no opinion.
func (e *AgentError) RecoveryClass() Class {
	if e.Recoverable {
		return ClassUnclassified
	}
	return ClassUnrecoverable
}

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
		s += ": last failure: " + e.Cause.Error()
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
}

func (e *FullError) Error() string {
	what := e.What
	if what == "" {
		what = "bulkhead"
	}
	return fmt.Sprintf("understudy: %s is full: %s in flight (waited %v)", what, plural(e.Limit, "call"), e.Waited)
}

// Is makes a FullError match [ErrRejected].
func (e *FullError) Is(target error) bool { return target == ErrRejected }

// RecoveryClass is [ClassRejected].
func (e *FullError) RecoveryClass() Class { return ClassRejected }

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
		s += ": " + e.Err.Error()
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

// PanicError is a panic that became an error, with the stack it came from.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("understudy: agent panicked: %v", e.Value) }

// Unwrap returns the panic's value if that was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// RecoveryClass is [ClassPanic].
func (e *PanicError) RecoveryClass() Class { return ClassPanic }

// InvalidAnswerError is an answer that came and was refused by validation.
type InvalidAnswerError struct{ Err error }

func (e *InvalidAnswerError) Error() string {
	return fmt.Sprintf("understudy: invalid answer: %v", e.Err)
}

// Unwrap returns what the validation said.
func (e *InvalidAnswerError) Unwrap() error { return e.Err }

// RecoveryClass is [ClassInvalidAnswer].
func (e *InvalidAnswerError) RecoveryClass() Class { return ClassInvalidAnswer }

// StreamError is a stream that failed after some of it had reached the caller.
type StreamError struct {
	Agent  string // who was speaking
	Chunks int    // how many chunks of the call had been delivered
	Err    error  // what went wrong
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("understudy: stream of agent %q cut off after %s: %v", e.Agent, plural(e.Chunks, "chunk"), e.Err)
}

// Unwrap returns what went wrong.
func (e *StreamError) Unwrap() error { return e.Err }

// RecoveryClass is [ClassCutOff].
func (e *StreamError) RecoveryClass() Class { return ClassCutOff }

// StreamLimitError is an answer longer than its buffer.
type StreamLimitError struct{ Limit int }

func (e *StreamLimitError) Error() string {
	return fmt.Sprintf("understudy: answer is longer than the buffer of %s: raise Buffer, or deliver it as it comes", plural(e.Limit, "chunk"))
}

// RecoveryClass is [ClassContextOverflow]: the same agent would say as much again,
// another one may be briefer.
func (e *StreamLimitError) RecoveryClass() Class { return ClassContextOverflow }

// Attempt is one call that failed, or that a layer of ours refused to make.
type Attempt struct {
	Agent string
	Class Class
	Err   error
}

// RecoveryError is the end of a call that nobody could answer. It says which
// strategy is now required, and keeps every attempt's own error within reach of
// errors.Is and errors.As, also when a context ended.
type RecoveryError struct {
	// Agent is the one that was called.
	Agent string
	// Strategy is what is required now: [StrategyDegradation] when retries and
	// stand-ins are spent and no rung answered, [StrategyUserIntervention] when only a
	// person can help, [StrategyNone] when nothing would (a bad request, a caller
	// who left).
	Strategy Strategy
	// Class is the class of the failure that decided the way taken.
	Class Class
	// Attempts is every failed call, in order. A call refused by a breaker or
	// a bulkhead is among them.
	Attempts []Attempt
	// Stop says why no further retry was made. "" when none was due.
	Stop Stop
	// Cause is what ended the call beside the attempts: the caller's context,
	// a person's abort. It may be nil.
	Cause error
}

func (e *RecoveryError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "understudy: agent %q failed (%s) after %s", e.Agent, e.Class, plural(len(e.Attempts), "attempt"))
	if e.Stop != "" {
		fmt.Fprintf(&b, ", no more retries: %s", e.Stop)
	}
	if e.Strategy != StrategyNone {
		fmt.Fprintf(&b, "; %s required", e.Strategy)
	}
	if n := len(e.Attempts); n > 0 {
		// The last word is the freshest; the others are in Attempts.
		last := e.Attempts[n-1]
		fmt.Fprintf(&b, ": %s: %v", last.Agent, last.Err)
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, " (%v)", e.Cause)
	}
	return b.String()
}

// Is makes a RecoveryError match [ErrRecovery].
func (e *RecoveryError) Is(target error) bool { return target == ErrRecovery }

// Unwrap returns the error of every attempt, the latest first, then the cause.
// So errors.As finds what the last attempt said before what an earlier one did.
func (e *RecoveryError) Unwrap() []error {
	errs := make([]error, 0, len(e.Attempts)+1)
	for _, a := range slices.Backward(e.Attempts) {
		if a.Err != nil {
			errs = append(errs, a.Err)
		}
	}
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	return errs
}

// RecoveryClass is the class that decided the way taken.
func (e *RecoveryError) RecoveryClass() Class { return e.Class }

func plural(n int, noun string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
