package strategies

import (
	"encoding/json"
	"time"
)

// In JSON, in a log line or in a record each error of this package is its text: not
// an object of its fields, in which the errors behind it would be {}, and the answer
// that it holds would be written out. A [RecoveryError] has fields of its own there.

// MarshalText writes what Error returns.
func (e *AgentError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *PanicError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *InvalidAnswerError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *AnswerError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *StreamError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *StreamLimitError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *InterventionError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *ConfigError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *StallError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *UncertainError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *DriftError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *JournalError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *MemberError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *NoMemberError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *PendingError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *StoreError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *LimitError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *OpenError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *FullError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *PaceError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *TimeoutError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalText writes what Error returns.
func (e *SharedError) MarshalText() ([]byte, error) { return []byte(errorText(e)), nil }

// MarshalJSON writes the states as words, the time as text and the cause as its text.
func (c BreakerChange) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Breaker string    `json:"breaker,omitempty"`
		From    State     `json:"from"`
		To      State     `json:"to"`
		At      time.Time `json:"at"`
		OpenFor string    `json:"open_for,omitempty"`
		Cause   string    `json:"cause,omitempty"`
	}{c.Breaker, c.From, c.To, c.At, timeText(c.OpenFor), errorText(c.Cause)})
}

// MarshalJSON writes the kind as a word and the error as its text.
func (c Change) MarshalJSON() ([]byte, error) {
	var record *Record
	if c.Kind == ChangePut || c.Kind == ChangeGone {
		record = &c.Record
	}
	return json.Marshal(struct {
		Kind   ChangeKind `json:"kind"`
		Record *Record    `json:"record,omitempty"`
		Error  string     `json:"error,omitempty"`
	}{c.Kind, record, errorText(c.Err)})
}

// MarshalJSON writes the kind as a word and the error as its text.
func (c FleetChange) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Kind     FleetKind `json:"kind"`
		At       time.Time `json:"at"`
		Replicas int       `json:"replicas"`
		Error    string    `json:"error,omitempty"`
	}{c.Kind, c.At, c.Replicas, errorText(c.Err)})
}

// MarshalJSON writes the error as its text.
func (h FleetHealth) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Replica     string    `json:"replica"`
		Replicas    int       `json:"replicas"`
		Away        bool      `json:"away,omitempty"`
		Since       time.Time `json:"since,omitzero"`
		Error       string    `json:"error,omitempty"`
		Unpublished int       `json:"unpublished,omitempty"`
		Skipped     int       `json:"skipped,omitempty"`
	}{h.Replica, h.Replicas, h.Away, h.Since, errorText(h.Err), h.Unpublished, h.Skipped})
}

// MarshalJSON writes the incident with words for its numbers and texts for its
// errors. What was asked is not written, for it may be a secret, and may not be
// anything that JSON knows: Request and Requests are for code that says how they
// are shown.
func (i Incident) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID       string         `json:"id"`
		Ticket   string         `json:"ticket,omitempty"`
		Agent    string         `json:"agent"`
		Call     string         `json:"call,omitempty"`
		Round    int            `json:"round,omitempty"`
		Deadline time.Time      `json:"deadline,omitzero"`
		ShutFor  string         `json:"shut_for,omitempty"`
		Agents   []string       `json:"agents,omitempty"`
		Failure  *RecoveryError `json:"failure,omitempty"`
	}{i.ID, i.Ticket, i.Agent, i.Call, i.Round, i.Deadline, timeText(i.ShutFor), i.Agents, i.Err})
}

// timeText is a time as JSON has it: 1m30s, and nothing for none.
func timeText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
