package strategies

import (
	"cmp"
	"context"
	"reflect"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
)

// Rule looks at one error (with all it wraps) and says its class, or
// [ClassUnclassified] to leave it to the next rule. It may be called
// concurrently; one that panics has no opinion.
type Rule func(err error) Class

// Classifier turns an error into a [Verdict]. The zero value and nil both mean
// the default table. A classifier is read-only once it is in use and may be
// shared by any number of agents.
type Classifier struct {
	// Rules are asked first, in order; the first opinion wins.
	Rules []Rule

	// Verdicts replaces rows of the class table: which layers may act. What a
	// failure of the class is by its nature stays as it is (Class, RetryAfter, and
	// Pass to Loud): an interrupt passes, and nothing is said twice, whatever is
	// decided.
	Verdicts map[Class]Verdict
}

// Classify is the default [Classifier] asked about an error. A nil error has the
// zero Verdict.
func Classify(err error) Verdict { return (*Classifier)(nil).Classify(err) }

// Classify says what err means. Whose context ended is not asked here: the layer
// that has set a limit knows its own.
//
// The rules come first. Then, walking the error tree from the outside in, comes
// what our own errors and [WithClass] say, what a provider's error says by its
// shape, and last the standard library's timeouts. What is left is
// [ClassTransient].
//
// Foreign code runs here: rules, and the methods of errors. A panic in it, as of
// a nil pointer that is an error, is no opinion; an error that wraps itself is
// followed for a while and no longer.
//
// It costs nothing until there is an error: a few ns for our own, about 100 ns for
// a plain one, a few microseconds when an SDK's error must be read by reflection.
func (c *Classifier) Classify(err error) Verdict {
	if err == nil {
		return Verdict{}
	}
	class, hint := c.class(err)
	v := c.VerdictOf(class)
	v.RetryAfter = max(hint, 0)
	if v.Final {
		if cut, ok := errtree.As[*StreamError](err); ok {
			v.Trips = c.Classify(cut.Err).Trips
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
			row.Pass, row.Final, row.Counted, row.Refused, row.Holds, row.Loud = v.Pass, v.Final, v.Counted, v.Refused, v.Holds, v.Loud
			return row
		}
	}
	return v
}

func (c *Classifier) class(err error) (Class, time.Duration) {
	class := ClassUnclassified
	if c != nil {
		for _, rule := range c.Rules {
			if class = opinion(rule, err); class != ClassUnclassified {
				break
			}
		}
	}
	// The tree is walked even when a rule has spoken: the hint may be in it.
	found, hint := walk(err)
	if class == ClassUnclassified {
		class = found
	}
	switch class {
	case ClassInterrupt, ClassCutOff:
		hint = 0
	case ClassUnclassified, ClassCanceled:
		// A Canceled of another call is no reason: our caller still waits.
		class = ClassTransient
	}
	return class, hint
}

// opinion asks a rule; one that panics has none.
func opinion(rule Rule, err error) (class Class) {
	defer func() {
		if recover() != nil { // a nil rule panics too
			class = ClassUnclassified
		}
	}()
	return rule(err)
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
	switch e := err.(type) { // our own most frequent ones, which need no walk
	case *OpenError:
		if e != nil && e.State != StateHeld {
			return ClassRejected, e.RetryAfter
		}
	case *FullError:
		return ClassRejected, 0
	}
	left := errtree.Most
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
		c, h := look(err)
		if class == ClassUnclassified {
			class = c
		}
		if hint == 0 {
			hint = h
		}
		if class != ClassUnclassified && hint != 0 {
			return class, hint
		}
		inner, branches := errtree.Unwrap(err)
		for _, branch := range branches {
			c, h := walkTree(branch, left)
			class, hint = cmp.Or(class, c), cmp.Or(hint, h)
		}
		err = inner
	}
	return class, hint
}

// look asks one error, whatever it does.
func look(err error) (c Class, h time.Duration) {
	defer func() { _ = recover() }()
	if own, ok := err.(classed); ok {
		c = own.RecoveryClass()
	}
	if own, ok := err.(hinted); ok {
		h = own.RecoveryHint()
	}
	if c != ClassUnclassified && h != 0 {
		return c, h
	}
	shape, after := recognise(err)
	c, h = cmp.Or(c, shape), cmp.Or(h, after)
	if is, ok := err.(interface{ Is(error) bool }); ok && c == ClassUnclassified && is.Is(context.DeadlineExceeded) {
		// Somebody's deadline, and not our caller's: the agent was too slow.
		c = ClassTimeout
	}
	return c, h
}

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

func (e *classError) Error() string               { return errtree.Text(e.err) }
func (e *classError) Unwrap() error               { return e.err }
func (e *classError) RecoveryClass() Class        { return e.class }
func (e *classError) RecoveryHint() time.Duration { return e.hint }
