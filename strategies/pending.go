package strategies

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrPending is matched by every [PendingError].
var ErrPending = errors.New("understudy: a person has not decided yet")

// PendingError is what the caller of a parked call gets instead of an answer: a
// person is asked, nobody waits, and the answer will be found under the ticket. It
// is no failure: it passes through all layers untouched, as a framework's interrupt
// does.
type PendingError struct {
	Ticket   string
	Agent    string
	Incident string    // the question that is open
	Deadline time.Time // when it expires, and its default takes effect
}

func (e *PendingError) Error() string {
	return fmt.Sprintf("understudy: agent %q waits for a person: its answer will be found under ticket %s", e.Agent, e.Ticket)
}

// Is makes a PendingError match [ErrPending].
func (e *PendingError) Is(target error) bool { return target == ErrPending }

// RecoveryClass is [ClassInterrupt].
func (e *PendingError) RecoveryClass() Class { return ClassInterrupt }

// Parker is an [Intervenor] that can keep a call until a person has decided, instead
// of holding its goroutine. Once it is decided, or has expired, some process goes on
// with the call by a [Resumption].
type Parker interface {
	Intervenor
	// Park keeps the call, and returns its ticket: Incident.Ticket if the call was
	// parked before, and otherwise a new one. An error means that nobody is asked.
	Park(ctx context.Context, incident Incident) (ticket string, err error)
}

// Resumption is what is needed to go on with a parked call, in any process.
type Resumption struct {
	Ticket   string
	Incident string // the question that has ended
	Call     string // the id of the call, which it keeps
	Agent    string // whose call it is
	Round    int    // of the question
	Asked    int    // how many questions the call has asked so far
	// Decision is what was decided. It counts if Err is nil; otherwise nobody decided,
	// Err says why, and the default of the chain takes effect.
	Decision Decision
	Err      error
	Class    Class     // of the failure that was asked about
	Attempts []Attempt // and what had been tried, as far as it was kept
}
