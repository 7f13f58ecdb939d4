package inbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-go/understudy/internal/ids"
	"github.com/understudy-go/understudy/strategies"
)

// Query says which entries are listed. The zero value lists the open ones, the oldest
// first.
type Query struct {
	// Closed lists what has ended, and is kept, instead of what is open. It reads all
	// records from the store, while what is open is in memory.
	Closed bool
	// Parked lists the parked calls that have been decided, or have expired, and are
	// not done yet, instead of what is open.
	Parked bool
	// Agent, Group and Claimed keep the entries of that agent, those that the group is
	// asked about now, and those that somebody of that name is at. "": all.
	Agent, Group, Claimed string
	// Newest turns the order round.
	Newest bool
	// After continues behind a page: its Next.
	After string
	// Limit is how many entries a page has at most. 0: 50; at most 500.
	Limit int
}

// Page is a part of a list.
type Page struct {
	Entries []Entry `json:"entries"`
	// Next is for Query.After; "": this was the last one.
	Next string `json:"next,omitempty"`
	// Total counts all that the query matches.
	Total int `json:"total"`
	// Stale says that the store is away, and the list perhaps old.
	Stale bool `json:"stale,omitempty"`
	// Now is the store's clock, as far as it is known, for what remains of a deadline.
	Now time.Time `json:"now"`
}

// List returns a page of entries. What is open comes from memory, and is what the
// store has told by now; the first call waits until it has told all.
func (b *Inbox) List(ctx context.Context, q Query) (Page, error) {
	if err := b.ready(ctx); err != nil {
		return Page{}, err
	}
	q.Limit = min(max(q.Limit, 0), 500)
	if q.Limit == 0 {
		q.Limit = 50
	}
	now := b.life.guess()
	if q.Closed {
		return b.listKept(ctx, q, now)
	}
	select {
	case <-b.mirror.current:
	case <-ctx.Done():
		return Page{}, context.Cause(ctx)
	case <-b.ctx.Done():
		return Page{}, errClosed
	}
	m := &b.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	p := q.page(len(m.keys), func(i int) (string, Entry) { return m.keys[i], m.entries[m.keys[i]] }, b.prefix("open"), now, func(e Entry) bool {
		if q.Parked {
			return e.resumable()
		}
		return e.State == StateOpen
	})
	p.Stale = !m.known
	return p, nil
}

func (b *Inbox) listKept(ctx context.Context, q Query, now time.Time) (Page, error) {
	all, err := b.store.List(ctx, b.prefix("kept"))
	if err != nil {
		return Page{}, err
	}
	return q.page(len(all), func(i int) (string, Entry) {
		r, err := decode(all[i])
		if err != nil {
			return all[i].Key, Entry{}
		}
		return all[i].Key, r.Entry
	}, b.prefix("kept"), now, func(e Entry) bool { return e.ID != "" }), nil
}

// page goes through sorted entries.
func (q Query) page(n int, at func(i int) (key string, e Entry), prefix string, now time.Time, keep func(Entry) bool) Page {
	p := Page{Entries: []Entry{}, Now: now}
	for i := range n {
		if q.Newest {
			i = n - 1 - i
		}
		key, e := at(i)
		if !keep(e) || !q.matches(e, now) {
			continue
		}
		p.Total++
		id := strings.TrimPrefix(key, prefix)
		if q.After != "" && (q.Newest && id >= q.After || !q.Newest && id <= q.After) {
			continue
		}
		if len(p.Entries) < q.Limit {
			p.Entries = append(p.Entries, e.copied())
		} else if p.Next == "" {
			p.Next = base(p.Entries[q.Limit-1].ID)
		}
	}
	return p
}

func (q Query) matches(e Entry, now time.Time) bool {
	return (q.Agent == "" || e.Agent == q.Agent) && (q.Group == "" || e.Group(now) == q.Group) && (q.Claimed == "" || e.Claimed(now) == q.Claimed)
}

// copied is the caller's own.
func (e Entry) copied() Entry {
	e.Attempts, e.Agents, e.Answers = slices.Clone(e.Attempts), slices.Clone(e.Agents), slices.Clone(e.Answers)
	e.Votes, e.Groups, e.Earlier = slices.Clone(e.Votes), slices.Clone(e.Groups), slices.Clone(e.Earlier)
	if e.Claim != nil {
		c := *e.Claim
		e.Claim = &c
	}
	if e.Decision != nil {
		d := *e.Decision
		e.Decision = &d
	}
	return e
}

// Get returns the entry of an id as the store has it, open or ended.
func (b *Inbox) Get(ctx context.Context, id string) (Entry, error) {
	if err := errors.Join(b.ready(ctx), checkID(id)); err != nil {
		return Entry{}, err
	}
	r, err := b.get(ctx, id)
	if err != nil {
		return Entry{}, refused(id, err)
	}
	return r.Entry, nil
}

// Claim says that somebody is at a question, for so long; 0: 5 minutes. It keeps nobody
// from deciding: it tells others that they need not. Whoever has claimed it may claim
// it again. The error is an [strategies.InterventionError], with a [ClaimedError] if
// somebody else is at it, and a [ClosedError] if it has ended.
func (b *Inbox) Claim(ctx context.Context, id, by string, stands time.Duration) (Entry, error) {
	if by == "" || stands < 0 {
		return Entry{}, &strategies.InterventionError{Incident: id, Problem: "cannot be claimed by nobody, nor for a negative time"}
	}
	if stands == 0 {
		stands = 5 * time.Minute
	}
	by = short(by, maxText)
	return b.change(ctx, id, func(r *record, now time.Time) error {
		if who := r.Claimed(now); who != "" && who != by {
			return &ClaimedError{r.Entry}
		}
		r.Claim = &Claim{By: by, At: now, Until: now.Add(stands)}
		return nil
	})
}

// Release takes a claim back. One of somebody else's stays, which is a [ClaimedError].
func (b *Inbox) Release(ctx context.Context, id, by string) (Entry, error) {
	by = short(by, maxText)
	return b.change(ctx, id, func(r *record, now time.Time) error {
		if who := r.Claimed(now); who != "" && who != by {
			return &ClaimedError{r.Entry}
		}
		r.Claim = nil
		return nil
	})
}

// Withdraw ends a question without a decision. Its caller gets an error; a parked call
// is over, and has failed, also one that was decided and that no process goes on with.
func (b *Inbox) Withdraw(ctx context.Context, id, by, reason string) (Entry, error) {
	e, err := b.changeMarked(ctx, id, "", func(r *record, _ time.Time) bool { return r.Stage == StageWaiting }, func(r *record, now time.Time) error {
		r.close(StateWithdrawn, now)
		if r.Reason = "by " + cmp.Or(by, "a person"); reason != "" {
			r.Reason += ": " + reason
		}
		if r.Reason = short(r.Reason, maxText); r.Parked != nil {
			r.done(nil, &failure{Text: "understudy: the call was withdrawn " + r.Reason, Class: strategies.ClassCanceled, Plain: true})
		}
		return nil
	})
	b.nudge()
	return e, err
}

// Resolve decides a question. Nil says that the decision was recorded, the first one and
// in time by the store's clock; with a quorum, that the vote was: Entry.State says
// whether it has come to a decision. Only what two people say alike makes one, and each
// of them once: a second vote of the same person takes the place of the first. To abort
// needs no second.
//
// The value of an answer is of the type that the agent's callers expect, or JSON of it
// as a [json.RawMessage]. A decision that cannot be carried out, such as one of another
// type, is refused, and the question stays open. A process that has not seen the agent
// knows the name of the type only: JSON for a type of the program's is taken as it is
// then, and the Codec is given the json.RawMessage.
//
// The error is a [strategies.InterventionError], with a [ClosedError] within reach if
// the question has ended. An error that matches [strategies.ErrUnavailable] leaves it
// open whether the decision was recorded: ask Get, or decide again.
func (b *Inbox) Resolve(ctx context.Context, id string, d strategies.Decision) (Entry, error) {
	if err := errors.Join(b.ready(ctx), checkID(id)); err != nil {
		return Entry{}, err
	}
	mine := mark{ID: ids.New()}
	return b.changeMarked(ctx, id, mine.ID, (*record).open, func(r *record, now time.Time) error {
		if r.Quorum > 1 && d.By == "" {
			return &strategies.InterventionError{Incident: id, Problem: fmt.Sprintf("needs %d people, and it is not said who this is: set Decision.By", r.Quorum)}
		}
		var err error
		if mine.Value, err = b.checkDecision(r, d); err != nil {
			return err
		}
		v := Vote{By: short(d.By, maxText), At: now, Action: d.Action.String(), Agent: d.Agent, Reason: short(d.Reason, maxText)}
		r.vote(v, mine, d.Action, b.sameAnswer(r))
		return nil
	})
}

// vote books a vote, and closes the question if it is decided.
func (r *record) vote(v Vote, m mark, action strategies.Action, same func(a, b *payload) bool) {
	for i := range r.Votes {
		if r.Votes[i].By == v.By && v.By != "" {
			r.Votes, r.Marks = slices.Delete(r.Votes, i, i+1), slices.Delete(r.Marks, i, i+1)
			break
		}
	}
	r.Votes, r.Marks = append(r.Votes, v), append(r.Marks, m)
	alike := 0
	for i, other := range r.Votes {
		if other.Action == v.Action && other.Agent == v.Agent && same(r.Marks[i].Value, m.Value) {
			alike++
		}
	}
	if alike < r.Quorum && action != strategies.ActionAbort {
		return
	}
	r.close(StateDecided, v.At)
	r.Decision, r.Action, r.Value = &v, action, m.Value
	for i := range r.Marks {
		r.Marks[i].Value = nil // what the others said is of no use any more
	}
}

// close ends a question.
func (r *record) close(s State, now time.Time) {
	r.State, r.Closed, r.Claim = s, now, nil
}

// change changes an open question by what is there now, and again if somebody was
// faster.
func (b *Inbox) change(ctx context.Context, id string, change func(r *record, now time.Time) error) (Entry, error) {
	return b.changeMarked(ctx, id, "", (*record).open, change)
}

// open says whether a question can be decided.
func (r *record) open(now time.Time) bool { return r.State == StateOpen && now.Before(r.Deadline) }

func (b *Inbox) changeMarked(ctx context.Context, id, mark string, may func(r *record, now time.Time) bool, change func(r *record, now time.Time) error) (Entry, error) {
	if err := errors.Join(b.ready(ctx), checkID(id)); err != nil {
		return Entry{}, err
	}
	for {
		r, err := b.get(ctx, id)
		if err != nil {
			return Entry{}, refused(id, err)
		}
		if mark != "" && r.marked(mark) {
			return r.Entry, nil // the store gave no answer, and has done it
		}
		now, err := b.now(ctx)
		if err != nil {
			return Entry{}, refused(id, err)
		}
		switch {
		case r.ID != id: // a later question of the call
			return Entry{}, refused(id, r.earlier(id))
		case r.open(now), may(r, now):
		case r.State != StateOpen:
			return r.Entry, refused(id, &ClosedError{r.Entry})
		default:
			r.close(StateExpired, r.Deadline) // as it will be
			return r.Entry, refused(id, &ClosedError{r.Entry})
		}
		if err := change(r, now); err != nil {
			return r.Entry, refused(id, err)
		}
		err = b.put(ctx, r, r.Revision)
		switch {
		case err == nil:
			return r.Entry, nil
		case errors.Is(err, strategies.ErrConflict):
		case mark != "" && errors.Is(err, strategies.ErrUnavailable) && ctx.Err() == nil:
			if r, err2 := b.get(ctx, id); err2 == nil && r.marked(mark) {
				return r.Entry, nil
			}
			return Entry{}, refused(id, err)
		default:
			return Entry{}, refused(id, err)
		}
	}
}

func (r *record) marked(id string) bool {
	return slices.ContainsFunc(r.Marks, func(m mark) bool { return m.ID == id })
}

// earlier says how an earlier question of a parked call has ended.
func (r *record) earlier(id string) error {
	n := 1
	if id != base(id) {
		n, _ = strconv.Atoi(id[uuidLength+1:])
	}
	if n < 1 || n > len(r.Earlier) {
		return strategies.ErrNotFound
	}
	e := Entry{ID: id, State: StateDecided, Agent: r.Agent, Call: r.Call, Ticket: r.Ticket, Decision: &r.Earlier[n-1], Closed: r.Earlier[n-1].At}
	if e.Decision.Action == string(StateExpired) {
		e.State, e.Decision = StateExpired, nil
	}
	return &ClosedError{e}
}

// protect runs code of the user's.
func protect(what string, f func() error) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case error:
			err = fmt.Errorf("understudy: %s panicked: %w", what, v)
		default:
			err = fmt.Errorf("understudy: %s panicked: %v", what, v)
		}
	}()
	return f()
}

func (b *Inbox) ready(ctx context.Context) error {
	if err := b.unusable(); err != nil {
		return err
	}
	if ctx == nil {
		return &strategies.ConfigError{Setting: "Inbox ctx", Problem: "is nil", Fix: "give it a context, such as context.Background()"}
	}
	if b.ctx.Err() != nil {
		return errClosed
	}
	return nil
}
