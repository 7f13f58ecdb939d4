package middleware

import (
	"context"
	"log/slog"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
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
	// EventStandInFailed: the stand-in failed too.
	EventStandInFailed
	// EventRungFailed: the reduced answer of Level failed too.
	EventRungFailed
	// EventPersonAsked: an incident is put before a person.
	EventPersonAsked
	// EventPersonDecided: a decision came.
	EventPersonDecided
	// EventRecovered: the call is answered, by Strategy, at Level, from ServedBy.
	EventRecovered
	// EventFailed: nobody could answer; Err is what the caller gets.
	EventFailed
	// EventBreakerChanged: from From to To.
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
	// EventRenewed: a credential was renewed, for all who waited; Err says that it
	// was not.
	EventRenewed
	// EventHedged: ServedBy is asked too, for the agent takes longer than Delay.
	EventHedged
	// EventEffect: a tool's effect came to the state in To; Detail is the tool.
	EventEffect
	// EventWorkAbandoned: a hard timeout left an attempt running behind, or the end of
	// a question an Ask that is deaf to it.
	EventWorkAbandoned
	// EventDecisionRefused: a person decided after the question had ended. Nobody acts
	// on it. It may come when the call has ended, on the goroutine of the Ask.
	EventDecisionRefused
	// EventParked: a person is asked, and the caller got a ticket, which is Detail.
	EventParked

	kinds
)

var kindNames = [kinds]string{
	"", "attempt_failed", "retry_scheduled", "retries_ended", "stand_in_called", "stand_in_failed", "rung_failed",
	"person_asked", "person_decided", "recovered", "failed", "breaker_changed", "level_changed",
	"answered_late", "stream_continued", "hidden_requests", "renewed", "hedged", "effect", "work_abandoned",
	"decision_refused", "parked",
}

// String returns the kind as it appears in logs: lower case with underscores.
func (k EventKind) String() string {
	if k > 0 && k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText returns the word of String.
func (k EventKind) MarshalText() ([]byte, error) { return textOf("event kind", k, k > 0 && k < kinds) }

// UnmarshalText reads a word back.
func (k *EventKind) UnmarshalText(text []byte) error {
	return readText("event kind", text, kindNames[:], func(i int) { *k = EventKind(i) })
}

// Event is something a layer did. Fields that do not belong to its Kind are
// zero. An event never carries a request or an answer.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Agent    string // whose call it is
	Key      string // of an agent that keeps one state for each: whose; "": of all, or none
	Call     string // the call's id: the same in all its events; "" if no call caused it
	Parent   string // the id of the call that caused this one, as far as it is known
	ServedBy string // who was, or is, asked in fact
	Attempt  int    // 1 is the first call of an agent
	Class    strategies.Class
	Strategy strategies.Strategy
	Level    strategies.Level
	Delay    time.Duration // until the retry; of a breaker, how long it stays open
	Stop     strategies.Stop
	Count    int              // of what the kind is about: rounds, continuations, requests, attempts left behind
	From, To string           // of a change: states of a breaker, levels of a ladder
	Incident string           // the question's id
	Decision string           // what the person said: the word of a [strategies.Action]
	By       string           // who decided
	Detail   string           // for people to read, never for programs
	Usage    strategies.Usage // of EventRecovered and EventFailed: what the call has cost, if it is measured
	Err      error            // whole; see ErrorText

	show *func(text string) string // instead of [strategies.Redact]; nil: that. By pointer, for events can be compared
}

// Observer is told of events. It is called on the goroutine of the call, in
// order within a call and concurrently between calls, so it must be quick, must
// be safe for concurrent use and must not panic. A call that goes well causes
// no event and costs an observer nothing.
//
// Give the same observer, not a new one each time, to the chains that share a
// breaker or a ladder: what happens to that is told once to each observer.
type Observer interface {
	Observe(ctx context.Context, event Event)
}

// ObserverFunc makes a function an [Observer]. Each call makes another observer.
func ObserverFunc(observe func(ctx context.Context, event Event)) Observer {
	if observe == nil {
		return nil
	}
	return &observerFunc{observe}
}

// observerFunc is used by pointer: functions cannot be told apart.
type observerFunc struct{ observe func(context.Context, Event) }

func (f *observerFunc) Observe(ctx context.Context, event Event) { f.observe(ctx, event) }

// observers tells several in turn.
type observers []Observer

func (o observers) Observe(ctx context.Context, event Event) {
	for _, each := range o {
		each.Observe(ctx, event)
	}
}

// Severity says how loud the event is, for every logger alike: slog.LevelError is
// what nobody could answer, or what somebody must look at, slog.LevelWarn what
// failed on the way, and slog.LevelInfo the rest. What was refused before anybody was
// called is slog.LevelDebug, until the call ends: a breaker that opens is told of once,
// so a call that meets an open one and is answered by a stand-in is one line.
func (e Event) Severity() slog.Level {
	v := strategies.VerdictOf(e.Class)
	switch e.Kind {
	case EventAttemptFailed, EventRetriesEnded, EventStandInCalled, EventStandInFailed, EventRungFailed:
		if v.Refused {
			return slog.LevelDebug
		}
	}
	switch e.Kind {
	case EventFailed, EventAttemptFailed, EventStandInFailed, EventRungFailed:
		switch {
		case e.Class == strategies.ClassCanceled: // a caller who left is no failure of ours
			return slog.LevelInfo
		case e.Kind == EventFailed, v.Loud:
			return slog.LevelError
		}
		return slog.LevelWarn
	case EventRecovered:
		if e.Strategy == strategies.StrategyDegradation {
			return slog.LevelWarn
		}
	case EventRetriesEnded, EventPersonAsked, EventLevelChanged, EventStreamContinued, EventHiddenRequests, EventWorkAbandoned, EventDecisionRefused:
		return slog.LevelWarn
	case EventBreakerChanged:
		if e.Delay > 0 {
			return slog.LevelWarn // opened, or held
		}
	}
	return slog.LevelInfo
}

// ErrorText is the text of Err as it may be written to a log, and "" without an
// error. Secrets and persons are taken out and its length is bounded, by
// [strategies.Redact] or what [Redacted] says instead.
func (e Event) ErrorText() string {
	if e.Err == nil {
		return ""
	}
	return e.readable(errtree.Text(e.Err))
}

func (e Event) readable(text string) string {
	if e.show == nil {
		return strategies.Redact(text)
	}
	shown := "(not shown: the function given to Redacted panicked)"
	_ = protect(func() error { shown = (*e.show)(text); return nil })
	return shown
}

// Redacted hands events to an observer whose texts (error, detail) are made readable by
// show, where every observer of ours uses [strategies.Redact] otherwise. Which one a
// company needs is its own affair:
//
//	middleware.Redacted(middleware.Slog(logger), func(text string) string { return text }) // the whole text
//	middleware.Redacted(middleware.Slog(logger), func(string) string { return "" })        // none
//
// show is called on the goroutine of the call, and must be safe for concurrent use. Of a
// nil observer or a nil show it is nil, which a builder's Observe refuses.
func Redacted(o Observer, show func(text string) string) Observer {
	if isNil(o) || show == nil {
		return nil
	}
	return ObserverFunc(func(ctx context.Context, e Event) {
		e.show = &show
		o.Observe(ctx, e)
	})
}

// Attributes calls add for each field of the event that is set, by the keys that
// every logger uses, in a fixed order. Texts that a provider or a person has written,
// detail and error, are redacted: see ErrorText.
func (e Event) Attributes(add func(key string, value any)) {
	text := func(key, value string) {
		if value != "" {
			add(key, value)
		}
	}
	add("agent", e.Agent)
	text("key", e.Key)
	text("call", e.Call)
	text("parent", e.Parent)
	if e.ServedBy != e.Agent {
		text("served_by", e.ServedBy)
	}
	if e.Attempt > 0 {
		add("attempt", e.Attempt)
	}
	if e.Class != 0 {
		add("class", e.Class.String())
	}
	if e.Strategy != strategies.StrategyNone {
		add("strategy", e.Strategy.String())
	}
	if e.Level != strategies.LevelFull || e.Kind == EventLevelChanged {
		add("degradation_level", e.Level.String()) // "level" is the loggers' own key
	}
	if e.Delay > 0 {
		add("delay", e.Delay.String())
	}
	text("stop", string(e.Stop))
	if e.Count > 0 {
		add("count", e.Count)
	}
	text("from", e.From)
	text("to", e.To)
	text("incident", e.Incident)
	text("decision", e.Decision)
	text("by", e.By)
	if e.Detail != "" {
		text("detail", e.readable(e.Detail))
	}
	number := func(key string, value int64) {
		if value > 0 {
			add(key, value)
		}
	}
	number("usage_calls", int64(e.Usage.Calls))
	number("usage_tokens_in", int64(e.Usage.TokensIn))
	number("usage_tokens_out", int64(e.Usage.TokensOut))
	number("usage_tokens_cached", int64(e.Usage.TokensCached))
	number("usage_money", e.Usage.Money)
	text("error", e.ErrorText())
}
