package strategies

import (
	"fmt"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
)

// StallError is a limit that ran out while this process stood still: it fired far
// later than it was due. The machine slept, or the process was stopped.
type StallError struct {
	Limit string        // which limit: "attempt", "idle"
	After time.Duration // how long it was
	Late  time.Duration // how much later than due it fired
	Err   error         // what the agent said when it was stopped; may be nil
}

func (e *StallError) Error() string {
	s := fmt.Sprintf("understudy: this process stood still: the %s limit of %v fired %v late", e.Limit, e.After, e.Late.Round(time.Millisecond))
	if e.Err != nil {
		s += ": " + errtree.Text(e.Err)
	}
	return s
}

// Unwrap returns what the agent said.
func (e *StallError) Unwrap() error { return e.Err }

// RecoveryClass is [ClassStalled].
func (e *StallError) RecoveryClass() Class { return ClassStalled }
