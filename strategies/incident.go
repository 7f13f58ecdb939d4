package strategies

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Incident is what a person is told when everything else has failed.
type Incident struct {
	// ID names the question, and no other one: not after a restart, nor in another
	// replica (a UUID of version 7). A late answer to it is refused.
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
	// Answers are the types that the value of an [ActionAnswer] may have: one, or of
	// a stream that of a chunk and that of several. Empty: it is not known. See Check.
	Answers []reflect.Type `json:"-"`
	// Ticket names the parked call that the question belongs to, if it was parked
	// before. See [Parker].
	Ticket string
}

// Check says what is wrong with a decision before it is taken, so that the question
// can stay open: no such action, an agent that cannot be asked, or an answer of
// another type than the caller expects. Whoever takes decisions from people asks it.
func (i Incident) Check(d Decision) error {
	switch {
	case int(d.Action) >= len(actionNames):
		return &InterventionError{Incident: i.ID, Problem: fmt.Sprintf("knows no action %d", d.Action)}
	case d.Action == ActionUseAgent && !slices.Contains(i.Agents, d.Agent):
		return &InterventionError{Incident: i.ID, Problem: fmt.Sprintf("names an unknown agent %q; known are %q", d.Agent, i.Agents)}
	case d.Action == ActionAnswer && len(i.Answers) > 0 && !i.takes(reflect.TypeOf(d.Value)):
		return &InterventionError{Incident: i.ID, Problem: fmt.Sprintf("answers with a %T where %s is wanted", d.Value, i.wanted())}
	}
	return nil
}

func (i Incident) takes(t reflect.Type) bool {
	return t != nil && slices.ContainsFunc(i.Answers, t.AssignableTo)
}

func (i Incident) wanted() string {
	var names []string
	for _, t := range i.Answers {
		names = append(names, t.String())
	}
	return "a " + strings.Join(names, " or a ")
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
// counts as no decision. Decide may be called concurrently, and on a goroutine of
// its own. Once ctx has ended it should return: it is waited for a tenth of a second,
// and then left behind. What it decides after ctx has ended is refused.
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
