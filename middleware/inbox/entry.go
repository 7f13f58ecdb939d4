package inbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// State is how it stands with a question. It reads and writes as its word.
type State string

const (
	// StateOpen: it can be decided.
	StateOpen State = "open"
	// StateDecided: by Entry.Decision.
	StateDecided State = "decided"
	// StateExpired: nobody decided in time. The default of the chain took effect, which is
	// never a retry.
	StateExpired State = "expired"
	// StateWithdrawn: its caller has gone, or somebody withdrew it.
	StateWithdrawn State = "withdrawn"
	// StateOrphaned: the process whose caller waited for it is gone.
	StateOrphaned State = "orphaned"
)

// Stage is how it stands with a parked call.
type Stage string

const (
	// StageWaiting: for a decision, or for a process that goes on with the call.
	StageWaiting Stage = "waiting"
	// StageRunning: a process goes on with it.
	StageRunning Stage = "running"
	// StageDone: its answer, or its failure, can be had under the ticket.
	StageDone Stage = "done"
)

// Entry is a question as people see it. It holds no request and no answer but what
// Settings.Show lets them see. All times are of the store's clock. All texts may be
// hostile: providers, users and agents wrote them.
type Entry struct {
	ID      string `json:"id"`
	State   State  `json:"state"`
	Agent   string `json:"agent"`
	Call    string `json:"call,omitempty"`    // the id of the call, if it has one
	Request string `json:"request,omitempty"` // as Settings.Show shows it
	// Class and Attempts are what went wrong; More is how many attempts in the middle
	// are left out.
	Class    strategies.Class `json:"class"`
	Attempts []Attempt        `json:"attempts,omitempty"`
	More     int              `json:"more,omitempty"`
	// Agents may be named by a [strategies.ActionUseAgent]; Answers are the Go types
	// that the value of an [strategies.ActionAnswer] may have: "string" is a text, of
	// anything else give JSON, as a json.RawMessage.
	Agents   []string  `json:"agents,omitempty"`
	Answers  []string  `json:"answers,omitempty"`
	Round    int       `json:"round"`
	Opened   time.Time `json:"opened"`
	Deadline time.Time `json:"deadline"`
	// Process holds the caller; of a parked call it is who goes on with it.
	Process string `json:"process,omitempty"`

	// Quorum is how many must say the same, Votes what was said so far.
	Quorum int    `json:"quorum"`
	Votes  []Vote `json:"votes,omitempty"`
	// Groups are who is asked when, counted from Opened; see Entry.Group.
	Groups []Group `json:"groups,omitempty"`
	// Claim says who is at it; nil: nobody.
	Claim *Claim `json:"claim,omitempty"`

	// Closed is when it ended, and Decision what was decided, by whom and why. Reason
	// says why it was withdrawn. Unheard: the call had ended when the decision
	// reached it, and nobody acted on it.
	Closed   time.Time `json:"closed,omitzero"`
	Decision *Vote     `json:"decision,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Unheard  bool      `json:"unheard,omitempty"`

	// Ticket and Stage are of a parked call; Failure is what it failed with. Earlier
	// are the decisions about its questions before this one.
	Ticket  string `json:"ticket,omitempty"`
	Stage   Stage  `json:"stage,omitempty"`
	Failure string `json:"failure,omitempty"`
	Earlier []Vote `json:"earlier,omitempty"`

	// Revision is the store's, of this state.
	Revision uint64 `json:"revision,omitempty"`
}

// Attempt is one that failed, with the text of its error.
type Attempt struct {
	Agent string           `json:"agent"`
	Class strategies.Class `json:"class"`
	Error string           `json:"error,omitempty"`
}

// Vote is what somebody said, without the answer they gave.
type Vote struct {
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at"`
	Action string    `json:"action"` // the word of a [strategies.Action]
	Agent  string    `json:"agent,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Claim says that somebody is at a question, so that others need not be. It keeps
// nobody from deciding.
type Claim struct {
	By    string    `json:"by"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
}

// Group is who is asked at that time: the last group whose time has come, or "".
func (e Entry) Group(now time.Time) string {
	name := ""
	for _, g := range e.Groups {
		if now.Sub(e.Opened) >= g.After {
			name = g.Name
		}
	}
	return name
}

// escalates is how long it is until another group is asked; negative: one is since a
// time; 0: there is none.
func (e *Entry) escalates(since, now time.Time) time.Duration {
	if e.State != StateOpen || len(e.Groups) < 2 {
		return 0
	}
	for _, g := range e.Groups {
		at := e.Opened.Add(g.After)
		if at.After(now) {
			return at.Sub(now)
		}
		if at.After(since) && g.After > 0 {
			return -1
		}
	}
	return 0
}

// Claimed says who is at it at that time, or "".
func (e Entry) Claimed(now time.Time) string {
	if e.Claim == nil || !now.Before(e.Claim.Until) {
		return ""
	}
	return e.Claim.By
}

// record is what is kept of a question.
type record struct {
	Version int `json:"v"`
	Entry
	Marks  []mark            `json:"marks,omitempty"` // of the votes
	Action strategies.Action `json:"act,omitempty"`   // that was decided
	Value  *payload          `json:"value,omitempty"` // the answer that was decided
	Parked *parked           `json:"parked,omitempty"`
}

// mark is a vote with what is not shown of it. ID tells one's own write from another's
// after a store gave no answer.
type mark struct {
	ID    string   `json:"id"`
	Value *payload `json:"value,omitempty"`
}

// payload is a value as the codec wrote it.
type payload struct {
	Data []byte `json:"data"`
}

// parked is a call that waits without a caller.
type parked struct {
	Request []byte   `json:"request,omitempty"`
	Asked   int      `json:"asked"`
	Runs    int      `json:"runs,omitempty"` // how often a process went on with it
	Answer  *payload `json:"answer,omitempty"`
	Failure *failure `json:"failure,omitempty"`
}

// failure is the error of a call, as far as it can be written down.
type failure struct {
	Text     string              `json:"text"`
	Class    strategies.Class    `json:"class"`
	Strategy strategies.Strategy `json:"strategy"`
	Attempts []Attempt           `json:"attempts,omitempty"`
	Plain    bool                `json:"plain,omitempty"` // it was no RecoveryError
}

const version = 1

func (r *record) encode() ([]byte, error) {
	r.Version = version
	return json.Marshal(r)
}

func decode(sr strategies.Record) (*record, error) {
	r := &record{}
	if err := json.Unmarshal(sr.Value, r); err != nil {
		return nil, fmt.Errorf("understudy: the record %q is none of an inbox: %w", sr.Key, err)
	}
	if r.Version != version {
		return nil, fmt.Errorf("understudy: the record %q is of version %d, and this program reads %d", sr.Key, r.Version, version)
	}
	r.Revision = sr.Revision
	return r, nil
}

// resumable says whether somebody should go on with a parked call.
func (e *Entry) resumable() bool {
	return e.Ticket != "" && e.Stage != StageDone && (e.State == StateDecided || e.State == StateExpired)
}

// over says whether nothing more will happen to it.
func (e *Entry) over() bool { return e.State != StateOpen && (e.Ticket == "" || e.Stage == StageDone) }

// attempts keeps the first and the last of many.
func attempts(list []strategies.Attempt) (kept []Attempt, more int) {
	if more = max(len(list)-maxKept, 0); more > 0 {
		list = slices.Concat(list[:maxKept/2], list[len(list)-maxKept/2:])
	}
	for _, a := range list {
		kept = append(kept, Attempt{Agent: short(a.Agent, maxName), Class: a.Class, Error: short(words(a.Err), maxText)})
	}
	return kept, more
}

// said is an error of which only the text was kept.
type said string

func (s said) Error() string { return string(s) }

func restored(list []Attempt) (all []strategies.Attempt) {
	for _, a := range list {
		all = append(all, strategies.Attempt{Agent: a.Agent, Class: a.Class, Err: said(cmp.Or(a.Error, "no text was kept"))})
	}
	return all
}

// ClosedError is why a question cannot be decided any more: it has been, by somebody
// who was faster, or it has expired, or was withdrawn. Entry says who, when and why.
type ClosedError struct{ Entry Entry }

func (e *ClosedError) Error() string {
	at := e.Entry.Closed.Format(time.RFC3339)
	switch d := e.Entry.Decision; {
	case e.Entry.State == StateDecided && d != nil:
		text := fmt.Sprintf("was decided before, by %s at %s: %s", cmp.Or(d.By, "a person"), at, d.Action)
		if d.Agent != "" {
			text += " " + d.Agent
		}
		if d.Reason != "" {
			text += " (" + d.Reason + ")"
		}
		return text
	case e.Entry.State == StateExpired:
		return "has expired at " + at + ": nobody decided in time"
	case e.Entry.State == StateOrphaned:
		return "is of a process that is gone since " + at + ": nobody waits for it"
	default:
		return "was withdrawn at " + at + ": " + cmp.Or(e.Entry.Reason, "its caller has gone")
	}
}

// ClaimedError is why a question cannot be claimed: somebody else is at it.
type ClaimedError struct{ Entry Entry }

func (e *ClaimedError) Error() string {
	if e.Entry.Claim == nil {
		return "is claimed by somebody else"
	}
	return fmt.Sprintf("is claimed by %s until %s", e.Entry.Claim.By, e.Entry.Claim.Until.Format(time.RFC3339))
}
