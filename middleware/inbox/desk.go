package inbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Desk puts incidents before people by way of a channel: a web page, a chat bot
// or a test takes them from Incidents and gives each decision to Resolve. It is
// a [strategies.Intervenor], safe for concurrent use, and may be shared by
// agents of different names.
//
// A question is open from the moment the agent asks it, until it is decided, its
// time runs out, or its caller goes. Only while it is open can it be decided,
// wherever the incident is at that time: still without room on the desk, on it,
// or in somebody's hands.
//
// Make one with [NewDesk]. A nil or zero Desk answers every question with a
// [strategies.ConfigError].
type Desk struct {
	incidents chan strategies.Incident

	mu   sync.Mutex
	open map[string]*question
	past []closed // the last ones: a ring, once it is full
	next int      // where in it the next one goes
}

// remembered is how many closed questions a desk can still name the end of. It
// costs 24 bytes each, and the text of the ID.
const remembered = 1024

// question is one that is open.
type question struct {
	done     <-chan struct{}
	deadline time.Time // zero: none
	answer   chan strategies.Decision
}

// closed is a question that is no longer open.
type closed struct {
	id     string
	ending ending
}

type ending uint8

const (
	unknown ending = iota
	decided
	expired
	withdrawn
)

var endings = [...]string{
	unknown:   "is not known to this desk: it was never asked here, or long ago",
	decided:   "was decided before: the first decision counts",
	expired:   "has expired: nobody decided in time",
	withdrawn: "was withdrawn: its caller has gone",
}

// NewDesk returns a desk that holds up to waiting incidents nobody has read yet.
// The next one waits for room, at most until its question expires; it can be
// decided without ever lying on the desk.
func NewDesk(waiting int) *Desk {
	return &Desk{incidents: make(chan strategies.Incident, max(waiting, 0)), open: map[string]*question{}}
}

// Incidents returns the channel the incidents arrive on. It is never closed; of
// a nil or zero Desk it is nil, and nothing ever arrives.
//
// An incident stays on it until somebody reads it, also when its question is no
// longer open. Ask [Desk.Waiting] before you bother a person with it.
func (d *Desk) Incidents() <-chan strategies.Incident {
	if d == nil {
		return nil
	}
	return d.incidents
}

// Waiting says whether somebody still waits for a decision about an incident.
func (d *Desk) Waiting(id string) bool {
	if d.unusable() != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	q, ok := d.open[id]
	return ok && q.over() == unknown
}

// Resolve answers an incident. Nil says that the decision came in time and that
// the call has it: only a caller who leaves in that moment does not hear of it.
// The error is a [strategies.InterventionError], which says why
// nothing was decided: the question has expired, was decided before, was
// withdrawn because its caller has gone, or is unknown. A decision that is
// refused is not kept for a later incident.
func (d *Desk) Resolve(id string, decision strategies.Decision) error {
	if err := d.unusable(); err != nil {
		return &strategies.InterventionError{Incident: id, Problem: "cannot be decided", Err: err}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	q, ok := d.open[id]
	if !ok {
		return refusal(id, d.ending(id))
	}
	if why := q.over(); why != unknown {
		return refusal(id, why) // Decide is about to notice
	}
	d.close(id, decided)
	q.answer <- decision // there is room: nobody else finds q in d.open
	return nil
}

// Decide puts an incident on the desk and waits. Layers call it.
func (d *Desk) Decide(ctx context.Context, incident strategies.Incident) (strategies.Decision, error) {
	if err := d.unusable(); err != nil {
		return strategies.Decision{}, err
	}
	if ctx == nil {
		return strategies.Decision{}, &strategies.ConfigError{Setting: "Desk.Decide ctx", Problem: "is nil", Fix: "give it a context, such as context.Background()"}
	}
	if ctx.Err() != nil {
		return strategies.Decision{}, context.Cause(ctx) // nobody is to read about it
	}
	q := &question{done: ctx.Done(), answer: make(chan strategies.Decision, 1)}
	q.deadline, _ = ctx.Deadline()
	if !d.ask(incident.ID, q) {
		return strategies.Decision{}, &strategies.InterventionError{
			Incident: incident.ID, Problem: "is open already: give agents that share a desk different names",
		}
	}
	defer d.leave(incident.ID, q, withdrawn) // whatever happens; no second time
	incidents := d.incidents
	for {
		select {
		case incidents <- incident:
			incidents = nil // it lies there
		case decision := <-q.answer:
			return decision, nil
		case <-q.done:
			why := withdrawn
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				why = expired
			}
			if d.leave(incident.ID, q, why) {
				return strategies.Decision{}, context.Cause(ctx)
			}
			return <-q.answer, nil // Resolve was first, and has said so
		}
	}
}

// ask opens a question, unless one with its ID is open.
func (d *Desk) ask(id string, q *question) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, taken := d.open[id]; taken {
		return false
	}
	d.open[id] = q
	return true
}

// leave closes a question that nobody waits for any more. It says false if it
// was decided before.
func (d *Desk) leave(id string, q *question, why ending) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[id] != q {
		return false
	}
	d.close(id, why)
	return true
}

func (d *Desk) close(id string, why ending) {
	delete(d.open, id)
	if len(d.past) < remembered {
		d.past = append(d.past, closed{})
	}
	d.past[d.next] = closed{id, why}
	d.next = (d.next + 1) % remembered
}

// ending is how the last question of that ID ended, if the desk still knows.
func (d *Desk) ending(id string) ending {
	for i := range d.past { // the newest first
		if c := d.past[(d.next-1-i+len(d.past))%len(d.past)]; c.id == id {
			return c.ending
		}
	}
	return unknown
}

func (d *Desk) unusable() error {
	if d != nil && d.incidents != nil {
		return nil
	}
	return &strategies.ConfigError{Setting: "Desk", Problem: "is nil or was not made by NewDesk", Fix: "make it with inbox.NewDesk(16)"}
}

// over says how an open question has ended although Decide has not noticed yet.
func (q *question) over() ending {
	// The clock before the channel: a timer may be late, and the layer above
	// takes no decision that came with its last tick.
	if !q.deadline.IsZero() && !time.Now().Before(q.deadline) {
		return expired
	}
	select {
	case <-q.done:
		return withdrawn
	default:
		return unknown
	}
}

func refusal(id string, why ending) error {
	return &strategies.InterventionError{Incident: id, Problem: endings[why]}
}
