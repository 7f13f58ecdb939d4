package middleware

import (
	"context"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// EventKind says what an [Event] is about.
type EventKind uint8

const (
	// EventAttemptFailed: the agent failed once, or a layer refused to call it.
	EventAttemptFailed EventKind = iota + 1
	// EventRetryScheduled: it is asked again after Delay.
	EventRetryScheduled
	// EventRetriesEnded: it is not asked again; Stop says why.
	EventRetriesEnded
	// EventStandInCalled: the agent ServedBy is asked instead.
	EventStandInCalled
	// EventStandInFailed: so it did.
	EventStandInFailed
	// EventRungFailed: the reduced answer of Level failed too.
	EventRungFailed
	// EventPersonAsked: an incident is put before a person.
	EventPersonAsked
	// EventPersonDecided: a decision came; Detail says which.
	EventPersonDecided
	// EventRecovered: the call is answered, by Strategy, at Level, from ServedBy.
	EventRecovered
	// EventFailed: nobody could answer; Err is what the caller gets.
	EventFailed
	// EventBreakerChanged: Detail says from what to what.
	EventBreakerChanged
	// EventLevelChanged: the ladder moved to Level.
	EventLevelChanged
	// EventAnsweredLate: the agent answered after its timeout; the answer is kept.
	EventAnsweredLate
	// EventStreamContinued: a stream that was cut off is gone on with.
	EventStreamContinued
	// EventHiddenRequests: an attempt sent more than one request; see the httphint
	// adapter.
	EventHiddenRequests
	// EventWorkAbandoned: a hard timeout left an attempt running behind.
	EventWorkAbandoned

	kinds
)

var kindNames = [kinds]string{
	"", "attempt_failed", "retry_scheduled", "retries_ended", "stand_in_called", "stand_in_failed", "rung_failed",
	"person_asked", "person_decided", "recovered", "failed", "breaker_changed", "level_changed",
	"answered_late", "stream_continued", "hidden_requests", "work_abandoned",
}

// String returns the kind as it appears in logs: lower case with underscores.
func (k EventKind) String() string {
	if k > 0 && k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// Event is something a layer did. Fields that do not belong to its Kind are
// zero. An event never carries a request or an answer.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Agent    string // whose call it is
	ServedBy string // who was, or is, asked in fact
	Attempt  int    // 1 is the first call of an agent
	Class    strategies.Class
	Strategy strategies.Strategy
	Level    strategies.Level
	Delay    time.Duration // until the retry; of a breaker, how long it stays open
	Stop     strategies.Stop
	Detail   string
	Err      error
}

// Observer is told of events. It is called on the goroutine of the call, in
// order within a call and concurrently between calls, so it must be quick, must
// be safe for concurrent use and must not panic. A call that goes well causes
// no event and costs an observer nothing.
type Observer interface {
	Observe(ctx context.Context, event Event)
}

// ObserverFunc makes a function an [Observer].
type ObserverFunc func(ctx context.Context, event Event)

// Observe calls f.
func (f ObserverFunc) Observe(ctx context.Context, event Event) { f(ctx, event) }

// observers tells several in turn.
type observers []Observer

func (o observers) Observe(ctx context.Context, event Event) {
	for _, each := range o {
		each.Observe(ctx, event)
	}
}
