package middleware

import (
	"context"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Kind says what an [Event] is about.
type Kind uint8

const (
	// AttemptFailed: the agent failed once, or a layer refused to call it.
	AttemptFailed Kind = iota + 1
	// RetryScheduled: it is asked again after Delay.
	RetryScheduled
	// RetriesEnded: it is not asked again; Stop says why.
	RetriesEnded
	// StandInCalled: the agent ServedBy is asked instead.
	StandInCalled
	// StandInFailed: so it did.
	StandInFailed
	// RungFailed: the reduced answer of Level failed too.
	RungFailed
	// PersonAsked: an incident is put before a person.
	PersonAsked
	// PersonDecided: a decision came; Detail says which.
	PersonDecided
	// Recovered: the call is answered, by Strategy, at Level, from ServedBy.
	Recovered
	// Failed: nobody could answer; Err is what the caller gets.
	Failed
	// BreakerChanged: Detail says from what to what.
	BreakerChanged
	// LevelChanged: the ladder moved to Level.
	LevelChanged
	// AnsweredLate: the agent answered after its timeout; the answer is kept.
	AnsweredLate
	// StreamContinued: a stream that was cut off is gone on with.
	StreamContinued
	// HiddenRequests: an attempt sent more than one request; see the httphint
	// adapter.
	HiddenRequests
	// WorkAbandoned: a hard timeout left an attempt running behind.
	WorkAbandoned

	kinds
)

var kindNames = [kinds]string{
	"", "attempt_failed", "retry_scheduled", "retries_ended", "stand_in_called", "stand_in_failed", "rung_failed",
	"person_asked", "person_decided", "recovered", "failed", "breaker_changed", "level_changed",
	"answered_late", "stream_continued", "hidden_requests", "work_abandoned",
}

// String returns the kind as it appears in logs: lower case with underscores.
func (k Kind) String() string {
	if k > 0 && k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// Event is something a layer did. Fields that do not belong to its Kind are
// zero. An event never carries a request or an answer.
type Event struct {
	Kind     Kind
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
