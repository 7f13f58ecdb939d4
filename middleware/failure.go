package middleware

import (
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Failure is what went wrong before somebody is asked again, or somebody else is:
// a retry, a stand-in, a rung, or the function that changes a request for one.
// See [Call.Failure].
type Failure struct {
	// Class is what kind of failure decided that somebody is asked now.
	Class strategies.Class
	// RetryAfter is how long the provider asked to be left alone; 0: it did not say.
	RetryAfter time.Duration
	// Attempts is how many calls have failed so far.
	Attempts int
	// Err is what the last of them said.
	Err error
}

// Window is how large the context window is that a request did not fit into, and
// how much was sent, as far as the provider said so; see [strategies.Overflow].
func (f Failure) Window() (window, sent int) { return strategies.Overflow(f.Err) }

// Failure says what went wrong before this agent was asked: of a retry the
// attempt before, of a stand-in or a rung the call that it helps with. ok is false
// for a first attempt, which nothing went before.
func (c Call) Failure() (f Failure, ok bool) {
	if c.c == nil || c.c.why == nil {
		return Failure{}, false
	}
	return *c.c.why, true
}

// failure is what an account has to tell of so far.
func (a *account) failure() Failure {
	f := Failure{Class: a.verdict.Class, RetryAfter: a.verdict.RetryAfter, Attempts: len(a.re.Attempts)}
	if n := len(a.re.Attempts); n > 0 {
		f.Err = a.re.Attempts[n-1].Err
	}
	return f
}
