package strategies

import (
	"context"
	"fmt"
	"time"
)

// Incident is what a person is told when everything else has failed.
type Incident struct {
	// ID is the agent's name and a number: unique among agents of different
	// names. A late answer to it is refused.
	ID string
	// Agent is the one that was called, and Request what it was asked.
	Agent   string
	Request any
	// Err is the failure, with every attempt.
	Err *RecoveryError
	// Agents are the names a [ActionUseAgent] decision may give.
	Agents []string
	// Call is the id of the call, if it has one.
	Call string
	// Requests is what an agent of these names will be asked, where that is not
	// Request itself: a stand-in may get a changed one. A person who decides for it
	// decides for that.
	Requests map[string]any
	// ShutFor is how long the agent's breaker will let nothing through, if it is
	// open or held. A decision to retry is a trial, which an open one lets through;
	// a hold is waited for.
	ShutFor time.Duration
	// Round is 1 at the first question of a call, 2 after a decision that
	// failed in its turn, and so on.
	Round int
	// Deadline is when the question expires, and Default takes its place.
	Deadline time.Time
}

// String describes the incident in a line.
func (i Incident) String() string {
	if i.Err == nil {
		return fmt.Sprintf("%s: agent %q failed", i.ID, i.Agent)
	}
	return fmt.Sprintf("%s: agent %q failed (%s): %v", i.ID, i.Agent, i.Err.Class, i.Err)
}

// Action is what a person decides. The zero value aborts: silence, an expired
// question or a lost answer never approves anything.
type Action uint8

const (
	// ActionAbort gives up; the caller gets the [RecoveryError].
	ActionAbort Action = iota
	// ActionRetryNow asks the agent again, with all its layers.
	ActionRetryNow
	// ActionAnswer gives the caller Decision.Value.
	ActionAnswer
	// ActionUseAgent asks the agent Decision.Agent.
	ActionUseAgent
)

var actionNames = [...]string{"abort", "retry", "answer", "use agent"}

// Decision is a person's answer to an [Incident]. The zero value aborts.
type Decision struct {
	Action Action
	Value  any    // for Answer: must be of the agent's answer type
	Agent  string // for UseAgent
	By     string // who decided, for the record
	Reason string // why, for the record
}

// Intervenor puts an incident before a person and returns what they decided.
// ctx ends when the question expires, or when the caller cancels; an error
// counts as no decision. Decide may be called concurrently and should not
// outlive ctx by much: it is waited for.
type Intervenor interface {
	Decide(ctx context.Context, incident Incident) (Decision, error)
}

// IntervenorFunc makes a function an [Intervenor].
type IntervenorFunc func(ctx context.Context, incident Incident) (Decision, error)

// Decide calls f.
func (f IntervenorFunc) Decide(ctx context.Context, incident Incident) (Decision, error) {
	return f(ctx, incident)
}

// InterventionError is a decision that could not be had or carried out.
type InterventionError struct {
	Incident string
	Problem  string // what is wrong: "names an unknown agent \"x\""
	Err      error  // what the intervenor said; may be nil
}

func (e *InterventionError) Error() string {
	s := fmt.Sprintf("understudy: intervention %s: %s", e.Incident, e.Problem)
	if e.Err != nil {
		s += fmt.Sprintf(": %v", e.Err)
	}
	return s
}

// Unwrap returns what the intervenor said.
func (e *InterventionError) Unwrap() error { return e.Err }
