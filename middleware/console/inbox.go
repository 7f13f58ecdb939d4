package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Inbox is where questions wait for a person: a desk, by way of [Desk], or one that
// lasts. It must be safe for concurrent use. A refusal (the question is over, somebody
// else has it) is a [strategies.InterventionError], whose text people read.
type Inbox interface {
	// Open returns the questions that are open, those that expire first in front:
	// after so many, and at most so many. total is how many there are.
	Open(ctx context.Context, after, most int) (page []Question, total int, err error)
	// Question returns one, also one that is over, as long as it is known.
	Question(ctx context.Context, id string) (Question, error)
	// Claim says that somebody looks after a question, in the place of whoever did so
	// before: from, "" for nobody. It is refused if that is another one by now. by ""
	// gives it back.
	Claim(ctx context.Context, id, by, from string) error
	// Decide decides a question. It is refused if that is no longer open, and if
	// somebody other than decision.By has claimed it.
	Decide(ctx context.Context, id string, decision strategies.Decision) error
}

// Question is an incident on its way to a decision.
type Question struct {
	strategies.Incident
	Claimed string // by whom; "": by nobody
	// Over says what became of it: "" is open; else decided, expired, withdrawn, or
	// another word. Decision is what was decided, and Closed when it ended.
	Over     string
	Decision strategies.Decision
	Closed   time.Time
}

// Desktop is what a desk can do; [github.com/understudy-go/understudy/middleware/inbox.Desk]
// is one.
type Desktop interface {
	Open() []strategies.Incident
	Resolve(id string, decision strategies.Decision) error
}

// Desk makes an [Inbox] of a desk. Claims live in it: make one for a desk, and give it
// to all its consoles. It remembers the last 200 decisions that were made through it.
// Whoever reads the desk's channel besides is free to.
func Desk(d Desktop) Inbox {
	return &desk{desk: d, claims: map[string]string{}, decided: ring[Question]{most: 200}}
}

type desk struct {
	desk Desktop

	mu      sync.Mutex
	claims  map[string]string // of questions that were open lately
	decided ring[Question]
}

func (d *desk) Open(_ context.Context, after, most int) (page []Question, total int, err error) {
	open := d.desk.Open()
	slices.SortFunc(open, func(a, b strategies.Incident) int {
		return cmp.Or(a.Deadline.Compare(b.Deadline), cmp.Compare(a.ID, b.ID))
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(open)
	total = len(open)
	from := min(max(after, 0), total)
	for _, i := range open[from:min(from+max(most, 0), total)] {
		page = append(page, Question{Incident: i, Claimed: d.claims[i.ID]})
	}
	return page, total, nil
}

// forget drops the claims of questions that are over, once there are many.
func (d *desk) forget(open []strategies.Incident) {
	if len(d.claims) <= 2*len(open)+16 {
		return
	}
	kept := make(map[string]string, len(open))
	for _, i := range open {
		if by := d.claims[i.ID]; by != "" {
			kept[i.ID] = by
		}
	}
	d.claims = kept
}

// find returns a question that is open.
func (d *desk) find(id string) (strategies.Incident, bool) {
	open := d.desk.Open()
	if n := slices.IndexFunc(open, func(i strategies.Incident) bool { return i.ID == id }); n >= 0 {
		return open[n], true
	}
	return strategies.Incident{}, false
}

func (d *desk) Question(_ context.Context, id string) (Question, error) {
	i, open := d.find(id)
	d.mu.Lock()
	defer d.mu.Unlock()
	if open {
		return Question{Incident: i, Claimed: d.claims[id]}, nil
	}
	if q, known := d.before(id); known {
		return q, nil
	}
	return Question{}, d.over(id)
}

func (d *desk) Claim(_ context.Context, id, by, from string) error {
	_, open := d.find(id)
	d.mu.Lock()
	defer d.mu.Unlock()
	is := d.claims[id]
	switch {
	case !open:
		return d.over(id)
	case is != from && is != by:
		return claimed(id, is)
	case by == "":
		delete(d.claims, id)
	default:
		d.claims[id] = by
	}
	return nil
}

func (d *desk) Decide(_ context.Context, id string, decision strategies.Decision) error {
	i, open := d.find(id)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !open {
		return d.over(id)
	}
	if by := d.claims[id]; by != "" && by != decision.By {
		return claimed(id, by)
	}
	if err := d.desk.Resolve(id, decision); err != nil {
		if _, known := d.before(id); known {
			return d.over(id) // somebody was faster, just now
		}
		return err
	}
	delete(d.claims, id)
	d.decided.add(Question{Incident: i, Over: "decided", Decision: decision, Closed: time.Now().UTC()})
	return nil
}

func claimed(id, by string) error {
	if by == "" {
		return &strategies.InterventionError{Incident: id, Problem: "is claimed by nobody any more"}
	}
	return &strategies.InterventionError{Incident: id, Problem: fmt.Sprintf("is claimed by %s: take it over first", by)}
}

// before returns a question that was decided here.
func (d *desk) before(id string) (Question, bool) {
	for _, q := range slices.Backward(d.decided.all) {
		if q.ID == id {
			return q, true
		}
	}
	return Question{}, false
}

// over is why a question cannot be decided any more.
func (d *desk) over(id string) error {
	problem := "is not open: it was decided elsewhere, has expired, was withdrawn, or was never asked here"
	if q, known := d.before(id); known {
		problem = fmt.Sprintf("was decided by %s at %s (%s): the first decision counts", q.Decision.By, q.Closed.Format("15:04:05 MST"), q.Decision.Action)
	}
	return &strategies.InterventionError{Incident: id, Problem: problem}
}

// refused says whether an error is an inbox's way to say no.
func refused(err error) bool {
	var no *strategies.InterventionError
	return errors.As(err, &no)
}

// lookAtInbox counts what is open. It runs while live is busy.
func (c *Console) lookAtInbox(ctx context.Context) {
	if c.set.Inbox == nil {
		return
	}
	l := &c.live
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var page []Question
	var err error
	if problem := safely(func() { page, l.open, err = c.set.Inbox.Open(ctx, 0, pageSize) }); problem != nil {
		err = problem
	}
	if l.trouble = c.says(err); err != nil {
		return
	}
	rev := fnv.New64a()
	fmt.Fprintf(rev, "%d", l.open)
	for _, q := range page {
		fmt.Fprintf(rev, "|%q%q", q.ID, q.Claimed)
	}
	l.openRev = fmt.Sprintf("%x", rev.Sum64())
}
