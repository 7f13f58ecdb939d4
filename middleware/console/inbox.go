package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// Inbox is where questions wait for a person: an [inbox.Inbox] is one, and [Desk] makes
// one of a desk. What each method promises is said there. A refusal (the question is
// over, somebody else has it, that is no answer) is a [strategies.InterventionError],
// whose text people read.
type Inbox interface {
	List(ctx context.Context, q inbox.Query) (inbox.Page, error)
	Get(ctx context.Context, id string) (inbox.Entry, error)
	Claim(ctx context.Context, id, by string, stands time.Duration) (inbox.Entry, error)
	Release(ctx context.Context, id, by string) (inbox.Entry, error)
	Resolve(ctx context.Context, id string, d strategies.Decision) (inbox.Entry, error)
}

// Desk makes an [Inbox] of a desk. show makes a text of what was asked; nil: it is not
// shown. Claims live in it, so make one for a desk, and give it to all its consoles. It
// remembers the last 200 decisions that were made through it. Whoever reads the desk's
// channel besides is free to.
func Desk(d *inbox.Desk, show func(i strategies.Incident) string) Inbox {
	return &desk{desk: d, show: show, claims: map[string]inbox.Claim{}, closed: ring[inbox.Entry]{most: 200}}
}

type desk struct {
	desk *inbox.Desk
	show func(strategies.Incident) string

	mu     sync.Mutex
	claims map[string]inbox.Claim // of questions that were open lately
	closed ring[inbox.Entry]
}

func (d *desk) List(_ context.Context, q inbox.Query) (inbox.Page, error) {
	page := inbox.Page{Entries: []inbox.Entry{}, Now: time.Now().UTC()}
	if q.Limit = min(max(q.Limit, 0), 500); q.Limit == 0 {
		q.Limit = pageSize
	}
	switch {
	case q.Closed:
		d.mu.Lock()
		all := slices.Clone(d.closed.all)
		d.mu.Unlock()
		all = wanted(all, q, func(e inbox.Entry) string { return e.Agent })
		from := 0
		if q.After != "" { // they are in the order in which they were decided
			if from = slices.IndexFunc(all, func(e inbox.Entry) bool { return e.ID == q.After }) + 1; from == 0 {
				from = len(all) // forgotten, and so are those behind it
			}
		}
		page.Total = len(all)
		page.Entries, page.Next = cut(all[from:], q.Limit, func(e inbox.Entry) string { return e.ID })
	case !q.Parked:
		all := d.desk.Open() // by their ids, which is the oldest first
		d.mu.Lock()
		d.forget(len(all))
		d.mu.Unlock()
		all = wanted(all, q, func(i strategies.Incident) string { return i.Agent })
		page.Total = len(all)
		from := slices.IndexFunc(all, func(i strategies.Incident) bool {
			return q.After == "" || !q.Newest && i.ID > q.After || q.Newest && i.ID < q.After
		})
		if from < 0 {
			break
		}
		var some []strategies.Incident
		some, page.Next = cut(all[from:], q.Limit, func(i strategies.Incident) string { return i.ID })
		for _, i := range some {
			page.Entries = append(page.Entries, d.entry(i))
		}
	}
	return page, nil
}

// wanted are those of an agent, in the order that is wanted. They are the caller's own.
func wanted[T any](all []T, q inbox.Query, agent func(T) string) []T {
	if q.Agent != "" {
		all = slices.DeleteFunc(all, func(v T) bool { return agent(v) != q.Agent })
	}
	if q.Newest {
		slices.Reverse(all)
	}
	return all
}

// cut is a page, and what the next one begins behind; "": there is none.
func cut[T any](all []T, limit int, id func(T) string) (page []T, next string) {
	if len(all) > limit {
		all = all[:limit]
		next = id(all[limit-1])
	}
	return all, next
}

// forget drops the claims of questions that are over, once there are many. The lock is
// held.
func (d *desk) forget(open int) {
	if len(d.claims) > 2*open+16 {
		for id := range d.claims {
			if !d.desk.Waiting(id) {
				delete(d.claims, id)
			}
		}
	}
}

// entry is an incident as people see it. It calls code of the user's: no lock is held.
func (d *desk) entry(i strategies.Incident) inbox.Entry {
	e := inbox.Entry{ID: i.ID, State: inbox.StateOpen, Opened: asked(i.ID), Agent: i.Agent, Call: i.Call, Agents: i.Agents, Round: i.Round, Deadline: i.Deadline, Quorum: 1, Ticket: i.Ticket}
	if d.show != nil {
		if problem := safely(func() { e.Request = d.show(i) }); problem != nil {
			e.Request = "(not shown: the function that shows it panicked)"
		}
	}
	for _, t := range i.Answers {
		e.Answers = append(e.Answers, t.String())
	}
	if i.Err != nil {
		e.Class = i.Err.Class
		all := i.Err.Attempts
		e.More = max(0, len(all)-mostAttempts)
		for _, a := range all[e.More:] {
			e.Attempts = append(e.Attempts, inbox.Attempt{Agent: a.Agent, Class: a.Class, Error: strategies.Redact(errtree.Text(a.Err))})
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, ok := d.claims[i.ID]; ok && time.Now().Before(c.Until) {
		e.Claim = &c
	}
	return e
}

// asked is when a question was asked: its id is a UUID of version 7, and begins with the
// time.
func asked(id string) time.Time {
	digits := strings.ReplaceAll(id, "-", "")
	if len(digits) != 32 {
		return time.Time{} // of somebody's own
	}
	ms, err := strconv.ParseInt(digits[:12], 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// find returns a question that is open.
func (d *desk) find(id string) (strategies.Incident, bool) {
	open := d.desk.Open()
	if n := slices.IndexFunc(open, func(i strategies.Incident) bool { return i.ID == id }); n >= 0 {
		return open[n], true
	}
	return strategies.Incident{}, false
}

func (d *desk) Get(_ context.Context, id string) (inbox.Entry, error) {
	if i, open := d.find(id); open {
		return d.entry(i), nil
	}
	if e, known := d.before(id); known {
		return e, nil
	}
	return inbox.Entry{}, d.over(id)
}

func (d *desk) Claim(_ context.Context, id, by string, stands time.Duration) (inbox.Entry, error) {
	return d.claim(id, by, func(c inbox.Claim, ok bool) bool { return !ok || c.By == by }, &inbox.Claim{By: by, At: time.Now().UTC(), Until: time.Now().Add(cmp.Or(stands, 5*time.Minute)).UTC()})
}

func (d *desk) Release(_ context.Context, id, by string) (inbox.Entry, error) {
	return d.claim(id, by, func(c inbox.Claim, ok bool) bool { return !ok || c.By == by }, nil)
}

// claim sets or deletes a claim, if whoever has it may be passed over.
func (d *desk) claim(id, by string, may func(c inbox.Claim, ok bool) bool, next *inbox.Claim) (inbox.Entry, error) {
	i, open := d.find(id)
	if !open {
		return inbox.Entry{}, d.over(id)
	}
	e := d.entry(i)
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.claims[id]
	if ok = ok && time.Now().Before(c.Until); !may(c, ok) {
		e.Claim = &c
		return e, no(id, &inbox.ClaimedError{Entry: e})
	}
	if e.Claim = next; next == nil {
		delete(d.claims, id)
	} else {
		d.claims[id] = *next
	}
	return e, nil
}

func (d *desk) Resolve(_ context.Context, id string, decision strategies.Decision) (inbox.Entry, error) {
	i, open := d.find(id)
	if !open {
		return inbox.Entry{}, d.over(id)
	}
	if raw, ok := decision.Value.(json.RawMessage); ok {
		value, err := typed(i.Answers, raw)
		if err != nil {
			return inbox.Entry{}, no(id, err)
		}
		decision.Value = value
	}
	e := d.entry(i)
	d.mu.Lock() // so that whoever comes second finds who was first
	defer d.mu.Unlock()
	if err := d.desk.Resolve(id, decision); err != nil {
		return e, err
	}
	delete(d.claims, id)
	e.State, e.Claim, e.Closed = inbox.StateDecided, nil, time.Now().UTC()
	e.Decision = &inbox.Vote{By: decision.By, At: e.Closed, Action: decision.Action.String(), Agent: decision.Agent, Reason: decision.Reason}
	d.closed.add(e)
	return e, nil
}

// typed reads JSON as the first type that it can be.
func typed(types []reflect.Type, raw json.RawMessage) (any, error) {
	var names []string
	for _, t := range types {
		if t.Kind() == reflect.Interface && t.NumMethod() == 0 {
			return raw, nil // anything will do
		}
		v := reflect.New(t)
		if json.Unmarshal(raw, v.Interface()) == nil {
			return v.Elem().Interface(), nil
		}
		names = append(names, t.String())
	}
	return nil, &noAnswerError{fmt.Errorf("a %s in JSON is wanted", cmp.Or(strings.Join(names, " or a "), "value"))}
}

// before returns a question that was decided here.
func (d *desk) before(id string) (inbox.Entry, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range slices.Backward(d.closed.all) {
		if e.ID == id {
			return e, true
		}
	}
	return inbox.Entry{}, false
}

// over is why a question cannot be had any more.
func (d *desk) over(id string) error {
	if e, known := d.before(id); known {
		return no(id, &inbox.ClosedError{Entry: e})
	}
	return &strategies.InterventionError{Incident: id, Problem: "is not open: it was decided elsewhere, has expired, was withdrawn, or was never asked here"}
}

func no(id string, why error) error {
	return &strategies.InterventionError{Incident: id, Problem: "cannot be had", Err: why}
}

// refused says whether an error is an inbox's way to say no.
func refused(err error) bool {
	var no *strategies.InterventionError
	return errors.As(err, &no) && !errors.Is(err, strategies.ErrUnavailable)
}

// lookAtInbox counts what is open. It runs while live is busy.
func (c *Console) lookAtInbox(ctx context.Context) {
	if c.set.Inbox == nil {
		return
	}
	l := &c.live
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var page inbox.Page
	var err error
	if problem := safely(func() { page, err = c.set.Inbox.List(ctx, inbox.Query{Limit: pageSize}) }); problem != nil {
		err = problem
	}
	if l.trouble = c.says(err); err != nil {
		return
	}
	if page.Stale {
		l.trouble = "its store is away, and what is shown perhaps old"
	}
	l.open = page.Total
	rev := fnv.New64a()
	fmt.Fprintf(rev, "%d", page.Total)
	for _, e := range page.Entries {
		fmt.Fprintf(rev, "|%q %q %d", e.ID, e.Claimed(page.Now), len(e.Votes))
	}
	l.openRev = fmt.Sprintf("%x", rev.Sum64())
}
