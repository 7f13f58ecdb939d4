//nolint:errorlint // each error is looked at by itself; the walk unwraps
package strategies

import (
	"context"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/internal/foreign"
)

// maxErrors ends the walk through an error that wraps itself, once or many times.
const maxErrors = 1000

// classed and hinted are how an error says its own class, and when to come back:
// our error types do, and any foreign one may.
type (
	classed interface{ RecoveryClass() Class }
	hinted  interface{ RecoveryHint() time.Duration }
)

// walk goes through the tree of err, outermost first, and returns the first
// class and the first retry hint it meets; of joined errors the longest hint.
func walk(err error) (Class, time.Duration) {
	w := walker{left: maxErrors}
	w.tree(err)
	return w.class, w.hint
}

// walker is one walk: what it has found, and how many errors it may still visit.
type walker struct {
	class Class
	hint  time.Duration
	left  int
}

func (w *walker) done() bool { return w.left <= 0 || w.class != ClassUnclassified && w.hint != 0 }

func (w *walker) found(class Class, hint time.Duration) {
	if w.class == ClassUnclassified {
		w.class = class
	}
	if w.hint == 0 {
		w.hint = hint
	}
}

func (w *walker) tree(err error) {
	for err != nil && !w.done() {
		w.left--
		switch e := err.(type) { // our own: nothing of a stranger runs
		case *OpenError:
			if e != nil {
				w.found(w.refusal(e), e.RetryAfter)
			}
			return // its cause is an older failure: its hint has run out since
		case *RecoveryError:
			if e != nil {
				w.found(e.Class, 0)
				w.attempts(e)
			}
			return
		}
		if !foreign.Bare(err) {
			w.read(err)
		} else if broken(err) {
			w.found(ClassTransient, 0)
		}
		next, branches := errtree.Unwrap(err)
		if len(branches) > 0 {
			w.branches(branches)
			return
		}
		err = next
	}
}

// branches walks errors that were joined, which may be attempts at different
// times. The first class counts, and the longest hint: which of them was said
// last is not known, and no wait is ever made shorter.
func (w *walker) branches(all []error) {
	known, longest := w.hint, time.Duration(0)
	for _, branch := range all {
		if w.left--; w.done() {
			break
		}
		w.tree(branch)
		if known == 0 {
			longest, w.hint = max(longest, w.hint), 0
		}
	}
	if known == 0 {
		w.hint = longest
	}
}

// refusal is the class of a breaker's no; see [OpenError.RecoveryClass]. It
// walks on the same budget, for a cause may lead back to its own breaker.
func (w *walker) refusal(e *OpenError) Class {
	if e.State != StateHeld {
		return ClassRejected
	}
	cause := walker{left: w.left, hint: 1} // the class is all it looks for
	cause.tree(e.Cause)
	w.left = cause.left
	if VerdictOf(cause.class).Holds {
		return cause.class
	}
	return ClassRejected
}

// attempts walks what a RecoveryError unwraps to, in that order.
func (w *walker) attempts(e *RecoveryError) {
	for i := len(e.Attempts) - 1; i >= 0 && !w.done(); i-- {
		w.tree(e.Attempts[i].Err)
	}
	w.tree(e.Cause)
}

// read asks one error, not what it wraps. Its own word comes before its shape.
func (w *walker) read(err error) {
	if own, ok := err.(classed); ok && w.class == ClassUnclassified {
		w.class = foreign.Ask(own.RecoveryClass)
	}
	if own, ok := err.(hinted); ok && w.hint == 0 {
		w.hint = foreign.Ask(own.RecoveryHint)
	}
	if w.done() {
		return
	}
	class, hint := recognise(err)
	w.found(class, hint)
	if is, ok := err.(interface{ Is(error) bool }); ok && w.class == ClassUnclassified {
		if foreign.Ask(func() bool { return is.Is(context.DeadlineExceeded) }) {
			// Somebody's deadline, and not our caller's: the agent was too slow.
			w.class = ClassTimeout
		}
	}
}

// findCut returns the first [StreamError] in the tree of err, or nil. errors.As
// is not used: it has no bound, and lets a panic through.
func findCut(err error) *StreamError {
	left := maxErrors
	return findCutIn(err, &left)
}

func findCutIn(err error, left *int) *StreamError {
	for err != nil && *left > 0 {
		*left--
		if cut, ok := err.(*StreamError); ok && cut != nil {
			return cut
		}
		next, branches := errtree.Unwrap(err)
		for _, branch := range branches {
			if *left--; *left <= 0 {
				return nil
			}
			if cut := findCutIn(branch, left); cut != nil {
				return cut
			}
		}
		err = next
	}
	return nil
}
