package strategies

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"time"
)

// Rule looks at one error (with all it wraps) and says its class, or
// [ClassUnclassified] to leave it to the next rule. It must not panic and may be
// called concurrently.
type Rule func(err error) Class

// Classifier turns an error into a [Verdict]. The zero value and nil both mean
// the default table. A classifier is read-only once it is in use and may be
// shared by any number of agents.
type Classifier struct {
	// Rules are asked first, in order; the first opinion wins.
	Rules []Rule

	// Verdicts replaces whole rows of the class table. The Class and
	// RetryAfter of a row given here are ignored.
	Verdicts map[Class]Verdict
}

// Classify is the default [Classifier] asked about an error whose caller still
// waits. A nil error has the zero Verdict.
func Classify(err error) Verdict {
	return (*Classifier)(nil).Classify(context.Background(), err)
}

// Classify says what err means to a layer whose context is ctx. The end of ctx
// outranks whatever the error says, for nobody waits for another attempt then:
// [ClassCanceled] if the caller's context ended, [ClassTimeout] if it was a deadline of
// our own (see [TimeoutError]). Interrupts and streams already cut off outrank even
// that.
//
// Next come the rules; then, walking the error tree from the outside in, what
// our own errors and [WithClass] say, what a provider's error says by its shape,
// and last the standard library's timeouts. What is left is [ClassTransient].
//
// It costs nothing until there is an error: about 100 ns for a plain one, a
// few microseconds when an SDK's error must be read by reflection.
func (c *Classifier) Classify(ctx context.Context, err error) Verdict {
	if err == nil {
		return Verdict{}
	}
	class, hint := c.class(ctx, err)
	v := c.VerdictOf(class)
	v.RetryAfter = max(hint, 0)
	if class == ClassCutOff {
		if cut, ok := errors.AsType[*StreamError](err); ok {
			v.Trips = c.Classify(ctx, cut.Err).Trips
		}
	}
	return v
}

// VerdictOf returns this classifier's verdict of a class: its row of the table.
func (c *Classifier) VerdictOf(class Class) Verdict {
	v := VerdictOf(class)
	if c != nil {
		if row, ok := c.Verdicts[v.Class]; ok {
			row.Class, row.RetryAfter = v.Class, 0
			return row
		}
	}
	return v
}

func (c *Classifier) class(ctx context.Context, err error) (Class, time.Duration) {
	class, hint := ClassUnclassified, time.Duration(0)
	if c != nil {
		for _, rule := range c.Rules {
			if class = rule(err); class != ClassUnclassified {
				break
			}
		}
	}
	// The tree is walked even when a rule has spoken: the hint may be in it.
	found, hint := walk(err)
	if class == ClassUnclassified {
		class = found
	}
	if class == ClassInterrupt || class == ClassCutOff {
		return class, 0
	}
	if ctx != nil && ctx.Err() != nil {
		// Our own deadline ends a context too; its cause tells the two apart.
		if _, ours := errors.AsType[*TimeoutError](context.Cause(ctx)); ours {
			return ClassTimeout, hint
		}
		return ClassCanceled, 0
	}
	if class == ClassUnclassified || class == ClassCanceled {
		// A Canceled of another call is no reason: our caller still waits.
		class = ClassTransient
	}
	return class, hint
}

// classed and hinted are how an error says its own class, and when to come back:
// our error types do, and any foreign one may.
type (
	classed interface{ RecoveryClass() Class }
	hinted  interface{ RecoveryHint() time.Duration }
)

// walk goes through the tree of err, outermost first, and returns the first
// class and the first retry hint it meets.
func walk(err error) (Class, time.Duration) {
	left := maxErrors
	return walkTree(err, &left)
}

func walkTree(err error, left *int) (Class, time.Duration) {
	class, hint := ClassUnclassified, time.Duration(0)
	for err != nil && *left > 0 {
		*left--
		if reflect.TypeOf(err) == plainError { // has no method to ask, and wraps nothing
			c, _ := recognise(err)
			return cmp.Or(class, c), hint
		}
		var c Class
		var h time.Duration
		if own, ok := err.(classed); ok {
			c = own.RecoveryClass()
		}
		if own, ok := err.(hinted); ok {
			h = own.RecoveryHint()
		}
		if c == ClassUnclassified || h == 0 {
			shape, after := recognise(err)
			if c == ClassUnclassified {
				c = shape
			}
			if is, ok := err.(interface{ Is(error) bool }); ok && c == ClassUnclassified && is.Is(context.DeadlineExceeded) {
				// Somebody's deadline, and not our caller's: the agent was too slow.
				c = ClassTimeout
			}
			if h == 0 {
				h = after
			}
		}
		if class == ClassUnclassified {
			class = c
		}
		if hint == 0 {
			hint = h
		}
		if class != ClassUnclassified && hint != 0 {
			return class, hint
		}
		switch w := err.(type) {
		case interface{ Unwrap() error }:
			err = w.Unwrap()
		case interface{ Unwrap() []error }:
			for _, branch := range w.Unwrap() {
				c, h := walkTree(branch, left)
				if class == ClassUnclassified {
					class = c
				}
				if hint == 0 {
					hint = h
				}
			}
			return class, hint
		default:
			return class, hint
		}
	}
	return class, hint
}

// maxErrors ends the walk through an error that wraps itself, once or many times.
const maxErrors = 1000

// WithClass marks err as of a class, whatever its shape says: the simplest way
// for an agent to tell the layers what happened. A nil err stays nil.
func WithClass(class Class, err error) error {
	if err == nil {
		return nil
	}
	return &classError{class: class, err: err}
}

// WithRetryAfter adds a hint to err: not before d from now. A nil err stays nil.
func WithRetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &classError{hint: d, err: err}
}

type classError struct {
	class Class
	hint  time.Duration
	err   error
}

func (e *classError) Error() string               { return e.err.Error() }
func (e *classError) Unwrap() error               { return e.err }
func (e *classError) RecoveryClass() Class        { return e.class }
func (e *classError) RecoveryHint() time.Duration { return e.hint }
