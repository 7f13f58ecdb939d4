package middleware

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// MarshalText writes what Error returns: in JSON an error is its text.
func (e *UndoError) MarshalText() ([]byte, error) { return []byte(errtree.Text(e)), nil }

// MarshalText writes what Error returns: in JSON an error is its text.
func (e *RenewError) MarshalText() ([]byte, error) { return []byte(errtree.Text(e)), nil }

// eventJSON is an event in JSON. The keys are those of [Event.Attributes].
type eventJSON struct {
	Kind     EventKind           `json:"kind"`
	Time     time.Time           `json:"time,omitzero"`
	Agent    string              `json:"agent"`
	Key      string              `json:"key,omitempty"`
	Call     string              `json:"call,omitempty"`
	Parent   string              `json:"parent,omitempty"`
	ServedBy string              `json:"served_by,omitempty"`
	Attempt  int                 `json:"attempt,omitempty"`
	Class    strategies.Class    `json:"class,omitzero"`
	Strategy strategies.Strategy `json:"strategy,omitzero"`
	Level    *strategies.Level   `json:"degradation_level,omitempty"`
	Delay    string              `json:"delay,omitempty"`
	Stop     strategies.Stop     `json:"stop,omitempty"`
	Count    int                 `json:"count,omitempty"`
	From     string              `json:"from,omitempty"`
	To       string              `json:"to,omitempty"`
	Incident string              `json:"incident,omitempty"`
	Decision string              `json:"decision,omitempty"`
	By       string              `json:"by,omitempty"`
	Detail   string              `json:"detail,omitempty"`
	Usage    *strategies.Usage   `json:"usage,omitempty"`
	Error    string              `json:"error,omitempty"`
}

// MarshalJSON writes the fields that are set, by the keys of [Event.Attributes],
// with words for numbers, and detail and error as texts, redacted: see
// [Event.ErrorText].
func (e Event) MarshalJSON() ([]byte, error) {
	j := eventJSON{
		Kind: e.Kind, Time: e.Time, Agent: e.Agent, Key: e.Key, Call: e.Call, Parent: e.Parent, ServedBy: e.ServedBy, Attempt: e.Attempt,
		Class: e.Class, Strategy: e.Strategy, Stop: e.Stop, Count: e.Count, From: e.From, To: e.To,
		Incident: e.Incident, Decision: e.Decision, By: e.By, Detail: e.readable(e.Detail), Error: e.ErrorText(),
	}
	if e.Level != strategies.LevelFull || e.Kind == EventLevelChanged {
		j.Level = &e.Level
	}
	if e.Delay != 0 {
		j.Delay = e.Delay.String()
	}
	if e.Usage != (strategies.Usage{}) {
		j.Usage = &e.Usage
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON has written. The error is its text.
func (e *Event) UnmarshalJSON(text []byte) error {
	var j eventJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	delay, err := duration(j.Delay)
	if err != nil {
		return err
	}
	*e = Event{
		Kind: j.Kind, Time: j.Time, Agent: j.Agent, Key: j.Key, Call: j.Call, Parent: j.Parent, ServedBy: j.ServedBy, Attempt: j.Attempt,
		Class: j.Class, Strategy: j.Strategy, Delay: delay, Stop: j.Stop, Count: j.Count, From: j.From, To: j.To,
		Incident: j.Incident, Decision: j.Decision, By: j.By, Detail: j.Detail,
	}
	if j.Level != nil {
		e.Level = *j.Level
	}
	if j.Usage != nil {
		e.Usage = *j.Usage
	}
	if j.Error != "" {
		e.Err = errors.New(j.Error)
	}
	return nil
}

// UnmarshalJSON reads what MarshalJSON has written.
func (h *Health) UnmarshalJSON(text []byte) error {
	type plain Health
	var j struct {
		plain
		RetryAfter string
	}
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	wait, err := duration(j.RetryAfter)
	if err != nil {
		return err
	}
	*h = Health(j.plain)
	h.RetryAfter = wait
	return nil
}

// MarshalJSON writes times as text.
func (h MemberHealth) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name            string
		Breaker         strategies.State
		RetryAfter      string
		Returning       bool
		Room            float64
		InFlight, Asked int
		Latency         string
	}{h.Name, h.Breaker, h.RetryAfter.String(), h.Returning, h.Room, h.InFlight, h.Asked, h.Latency.String()})
}

// MarshalJSON writes times as text.
func (e Explanation) MarshalJSON() ([]byte, error) {
	type plain Explanation
	return json.Marshal(struct {
		plain
		Time, TimeAsked string
	}{plain(e), e.Time.String(), e.TimeAsked.String()})
}

// MarshalJSON writes words for numbers, and the error as its text, redacted.
func (f Failure) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Class      strategies.Class
		RetryAfter string
		Attempts   int
		Err        string `json:",omitempty"`
	}{f.Class, f.RetryAfter.String(), f.Attempts, strategies.Redact(errtree.Text(f.Err))})
}

// duration reads a time as MarshalJSON writes it; "" is none.
func duration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	return time.ParseDuration(text)
}
