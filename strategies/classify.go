package strategies

import "time"

// Rule looks at one error (with all it wraps) and says its class, or
// [ClassUnclassified] to leave it to the next rule. It may be called
// concurrently. A rule that panics has no opinion.
type Rule func(err error) Class

// Classifier turns an error into a [Verdict]. The zero value and nil both mean
// the default table. A classifier is read-only once it is in use and may be
// shared by any number of agents.
type Classifier struct {
	// Rules are asked first, in order; the first opinion wins.
	Rules []Rule

	// Verdicts replaces rows of the class table: which layers may act
	// (Retry, Fallback, Degrade, Intervene), Trips and MaxRetries. What a class
	// is cannot be replaced: Class, RetryAfter, Pass, Final and Refused of a row
	// given here are ignored, and Counted, Holds, Loud and Renew can be added to a row,
	// but not taken away. So a row that leaves these fields out breaks no promise.
	Verdicts map[Class]Verdict

	// HoldsBreaker is asked about an error that would hold the breaker for all who
	// share it, a rate limit or an exhausted quota. False says that it concerns
	// one key, one user or one request only: the breaker is left alone, and a
	// retry waits as the provider says all the same. nil: everyone is held. It may
	// be called concurrently; a panic counts as true.
	HoldsBreaker func(err error) bool
}

// Classify is the default [Classifier] asked about err. A nil error has the zero
// Verdict.
func Classify(err error) Verdict { return (*Classifier)(nil).Classify(err) }

// ClassifyAfter is [Classify] for whoever reads a stream: sent says whether some of
// it has reached anybody. What has cannot be taken back, so a failure behind it is
// [ClassCutOff] and final, whatever it would have been before; a loop that asks
// Classify alone says the beginning of an answer twice. An interrupt stays one.
// The stream layers of package middleware do this themselves.
func ClassifyAfter(err error, sent bool) Verdict {
	return (*Classifier)(nil).ClassifyAfter(err, sent)
}

// ClassifyAfter is Classify for whoever reads a stream; see the function.
func (c *Classifier) ClassifyAfter(err error, sent bool) Verdict {
	v := c.Classify(err)
	if err == nil || !sent || v.Pass || v.Class == ClassCutOff {
		return v
	}
	trips := v.Trips
	v = c.VerdictOf(ClassCutOff)
	v.Trips = v.Trips || trips
	return v
}

// Classify says what err means. A nil error has the zero Verdict.
//
// The rules come first; then, walking the error tree from the outside in, what
// our own errors and [WithClass] say, what a provider's error says by its shape,
// and last the standard library's timeouts. What is left is [ClassTransient].
//
// Of a stream it does not know whether any of it has been read: ask ClassifyAfter.
//
// It knows no context. Whether the caller still waits, and whose limit ran out,
// is known to the layers, which ask their own contexts before they ask for a
// verdict. So an error that says "canceled" is transient here: some other call
// was canceled, and that is no reason to give up ours.
//
// Errors of other packages are read with care. A rule, or a method of an error,
// that panics is taken to have said nothing; an error that wraps itself is read
// until a bound is reached. Classify itself does not panic.
//
// It costs nothing until there is an error: some nanoseconds for our own errors
// and plain ones, a few microseconds when an SDK's error must be read by
// reflection.
func (c *Classifier) Classify(err error) Verdict {
	if err == nil {
		return Verdict{}
	}
	if c == nil || len(c.Rules) == 0 { // our own frequent errors, at once
		switch e := err.(type) { //nolint:errorlint // the tree is walked below
		case *OpenError:
			if e != nil && e.State != StateHeld {
				return c.verdict(ClassRejected, e.RetryAfter)
			}
		case *FullError:
			return c.verdict(ClassRejected, 0)
		case *PaceError:
			if e != nil {
				return c.verdict(ClassRejected, e.Wait)
			}
		}
	}
	class, hint := c.judge(err)
	if class == ClassCutOff {
		v := c.VerdictOf(class)
		v.Trips = v.Trips || c.cutTrips(err)
		return v
	}
	v := c.verdict(class, hint)
	if v.Holds && c != nil && c.HoldsBreaker != nil {
		v.Holds = c.holds(err)
	}
	return v
}

func (c *Classifier) holds(err error) (holds bool) {
	holds = true
	defer func() { _ = recover() }()
	return c.HoldsBreaker(err)
}

func (c *Classifier) verdict(class Class, hint time.Duration) (v Verdict) {
	v = c.VerdictOf(class)
	if hint > 0 && !v.Pass && !v.Final {
		v.RetryAfter = hint
	}
	return v
}

// VerdictOf returns this classifier's verdict of a class: its row of the table.
func (c *Classifier) VerdictOf(class Class) Verdict {
	if c == nil || c.Verdicts == nil {
		return VerdictOf(class)
	}
	is := VerdictOf(class)
	row, ok := c.Verdicts[is.Class]
	if !ok {
		return is
	}
	row.Class, row.RetryAfter = is.Class, 0
	row.Pass, row.Final, row.Refused, row.Free = is.Pass, is.Final, is.Refused, is.Free
	row.Counted, row.Holds, row.Loud = row.Counted || is.Counted, row.Holds || is.Holds, row.Loud || is.Loud
	row.Renew = row.Renew || is.Renew
	return row
}

func (c *Classifier) judge(err error) (Class, time.Duration) {
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
	if class == ClassUnclassified || class == ClassCanceled {
		// A Canceled of another call is no reason: our caller still waits.
		class = ClassTransient
	}
	return class, hint
}

func opinion(rule Rule, err error) (class Class) {
	defer func() { _ = recover() }()
	return rule(err)
}

// cutTrips says whether the failure behind a stream that was cut off counts
// against the breaker. A stream in a stream is looked through.
func (c *Classifier) cutTrips(err error) bool {
	for range maxErrors {
		cut := findCut(err)
		if cut == nil || cut.Err == nil {
			return false
		}
		err = cut.Err
		if class, _ := c.judge(err); class != ClassCutOff {
			return c.VerdictOf(class).Trips
		}
	}
	return false
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

func (e *classError) Error() string               { return e.err.Error() }
func (e *classError) Unwrap() error               { return e.err }
func (e *classError) RecoveryClass() Class        { return e.class }
func (e *classError) RecoveryHint() time.Duration { return e.hint }
