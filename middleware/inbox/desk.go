package inbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Desk puts incidents before people by way of a channel: a web page, a chat bot
// or a test takes them from Incidents and gives each decision to Resolve. It is
// a [strategies.Intervenor], safe for concurrent use, and may be shared by
// all agents of a process.
//
// A question is open from the moment the agent asks it, until it is decided, its
// time runs out, or its caller goes. Only while it is open is it on the desk, and can
// it be decided, whether somebody has read it by then or not.
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
// costs some 60 bytes each, and the texts of the ID and of who decided.
const remembered = 1024

// question is one that is open.
type question struct {
	incident strategies.Incident
	done     <-chan struct{}
	deadline time.Time // zero: none
	answer   chan strategies.Decision
}

// closed is a question that is no longer open.
type closed struct {
	id     string
	ending ending
	by     string // who decided
	at     time.Time
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

// NewDesk returns an empty desk.
func NewDesk() *Desk {
	return &Desk{incidents: make(chan strategies.Incident), open: map[string]*question{}}
}

// Incidents returns the channel the incidents arrive on, each once, in the order in
// which they were asked. It is never closed; of a nil or zero Desk it is nil, and
// nothing ever arrives. What nobody has read when its question ends is not there any
// more.
func (d *Desk) Incidents() <-chan strategies.Incident {
	if d == nil {
		return nil
	}
	return d.incidents
}

// Open returns the incidents whose questions are open, the oldest first, whether
// somebody has read them from Incidents or not.
func (d *Desk) Open() []strategies.Incident {
	if d.unusable() != nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []strategies.Incident
	for _, q := range d.open {
		if q.over() == unknown {
			all = append(all, q.incident)
		}
	}
	slices.SortFunc(all, func(a, b strategies.Incident) int { return strings.Compare(a.ID, b.ID) })
	return all
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
// nothing was decided: the question has expired, was decided before (by whom, and
// when), was withdrawn because its caller has gone, or is unknown. A decision that
// cannot be carried out, such as an answer of the wrong type, is refused too, and
// leaves the question open: see [strategies.Incident.Check]. A decision that is
// refused is not kept for a later incident.
func (d *Desk) Resolve(id string, decision strategies.Decision) error {
	if err := d.unusable(); err != nil {
		return &strategies.InterventionError{Incident: id, Problem: "cannot be decided", Err: err}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	q, ok := d.open[id]
	if !ok {
		return d.ending(id).refusal(id)
	}
	if why := q.over(); why != unknown {
		return closed{ending: why}.refusal(id) // Decide is about to notice
	}
	if err := q.incident.Check(decision); err != nil {
		return err
	}
	d.close(closed{id: id, ending: decided, by: decision.By})
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
	q := &question{incident: incident, done: ctx.Done(), answer: make(chan strategies.Decision, 1)}
	q.deadline, _ = ctx.Deadline()
	if !d.ask(incident.ID, q) {
		return strategies.Decision{}, &strategies.InterventionError{
			Incident: incident.ID, Problem: "is open already: give each question an ID of its own",
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
	d.close(closed{id: id, ending: why})
	return true
}

func (d *Desk) close(c closed) {
	delete(d.open, c.id)
	c.at = time.Now()
	if len(d.past) < remembered {
		d.past = append(d.past, closed{})
	}
	d.past[d.next] = c
	d.next = (d.next + 1) % remembered
}

// ending is how the last question of that ID ended, if the desk still knows.
func (d *Desk) ending(id string) closed {
	for i := range d.past { // the newest first
		if c := d.past[(d.next-1-i+len(d.past))%len(d.past)]; c.id == id {
			return c
		}
	}
	return closed{}
}

func (d *Desk) unusable() error {
	if d != nil && d.incidents != nil {
		return nil
	}
	return &strategies.ConfigError{Setting: "Desk", Problem: "is nil or was not made by NewDesk", Fix: "make it with inbox.NewDesk()"}
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

func (c closed) refusal(id string) error {
	problem := endings[c.ending]
	if c.ending == decided {
		problem += fmt.Sprintf(" (by %s at %s)", cmp.Or(c.by, "a person"), c.at.Format(time.TimeOnly))
	}
	return &strategies.InterventionError{Incident: id, Problem: problem}
}
