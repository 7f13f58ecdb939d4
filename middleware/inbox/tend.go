package inbox

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// The janitor looks after what nobody else does: questions that have expired, those of
// processes that are gone, parked calls that are to be gone on with, and records that
// have ended and not been put away. Every process does all of it; the revisions let one
// of them succeed.

// tend runs it until the inbox is closed.
func (b *Inbox) tend() {
	timer := time.NewTimer(b.s.Heartbeat)
	defer timer.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.wake:
		case <-timer.C:
		}
		timer.Reset(b.round())
	}
}

// chore is something that is due about an entry.
type chore struct {
	key string
	e   Entry
}

// round does what is due, and returns when to look again.
func (b *Inbox) round() time.Duration {
	now, due, wait := b.life.guess(), []chore(nil), b.s.Heartbeat
	m := &b.mirror
	m.mu.Lock()
	sure := m.known && time.Since(m.since) >= b.life.ttl && b.life.settled() // who lives has had the time to say so
	for key, e := range m.entries {
		if next := e.escalates(b.looked, now); next > 0 {
			wait = min(wait, next)
		} else if next < 0 {
			m.changed(key) // another group is asked now
		}
		left, is := b.due(e, key, now, sure, m.alive)
		if is {
			due = append(due, chore{key, e})
		} else if left > 0 {
			wait = min(wait, left)
		}
	}
	m.mu.Unlock()
	b.looked = now
	for _, c := range due {
		if b.ctx.Err() != nil {
			return wait
		}
		ctx, cancel := b.patient(b.ctx)
		if err := b.do(ctx, c.e, now); err != nil && !errors.Is(err, strategies.ErrConflict) && !errors.Is(err, strategies.ErrNotFound) {
			b.trouble(err)
			wait = min(wait, b.s.Heartbeat/4)
		}
		cancel()
	}
	return max(wait, time.Millisecond)
}

// due says whether something is to be done about an entry, or in how long it will be.
func (b *Inbox) due(e Entry, key string, now time.Time, sure bool, alive map[string]bool) (time.Duration, bool) {
	late := 2 * b.s.Heartbeat // for what somebody else should have done
	b.mu.Lock()
	held, running := b.held[key], b.runs[key] != nil
	agent, full := b.agents[e.Agent] != nil, len(b.runs) >= b.s.Running
	b.mu.Unlock()
	mine := e.Process == b.s.Process
	dead := sure && e.Process != "" && !mine && !alive[e.Process]
	switch {
	case e.over():
		return until(now, e.Closed.Add(late), mine && !held)
	case e.State == StateOpen && e.Ticket != "":
		return until(now, e.Deadline, false)
	case e.State == StateOpen:
		if mine {
			return late, !held && now.After(e.Opened.Add(late))
		}
		return until(now, e.Deadline.Add(late), dead)
	case !e.resumable() || running || !agent || full || !b.life.alive():
		return 0, false
	}
	return 0, e.Stage == StageWaiting || dead || mine
}

func until(now, then time.Time, already bool) (time.Duration, bool) {
	return then.Sub(now), already || !now.Before(then)
}

// do does what is due about an entry, if the store still says so.
func (b *Inbox) do(ctx context.Context, e Entry, now time.Time) error {
	switch {
	case e.over():
		r, err := b.get(ctx, e.ID)
		if err != nil {
			return err
		}
		return b.putAway(ctx, r)
	case e.State == StateOpen && !now.Before(e.Deadline):
		return b.end(ctx, e.ID, StateExpired, "", false)
	case e.State == StateOpen && e.Process == b.s.Process:
		return b.end(ctx, e.ID, StateWithdrawn, "", false)
	case e.State == StateOpen && b.gone(ctx, e.Process):
		return b.end(ctx, e.ID, StateOrphaned, "", false)
	case e.resumable():
		if e.Stage == StageRunning && e.Process != b.s.Process && !b.gone(ctx, e.Process) {
			return nil
		}
		return b.resume(ctx, e)
	}
	return nil
}

// later ends a question whose caller is gone, without keeping the caller.
func (b *Inbox) later(key, id string, as State, reason string) {
	end := func() {
		ctx, cancel := b.patient(context.WithoutCancel(b.ctx))
		defer cancel()
		err := b.end(ctx, id, as, reason, true)
		if err != nil && !errors.Is(err, strategies.ErrNotFound) {
			b.trouble(err)
		}
	}
	if !b.spawn(end) {
		end()
	}
}

// end ends a question as that, unless it has ended otherwise, and puts it away. unheard
// says that nobody will act on a decision that has been made.
func (b *Inbox) end(ctx context.Context, id string, as State, reason string, unheard bool) error {
	for {
		r, err := b.get(ctx, id)
		if err != nil {
			return err
		}
		if r.ID != id {
			return nil // a later question of the call
		}
		switch {
		case r.State == StateOpen:
			now, err := b.now(ctx)
			if err != nil {
				return err
			}
			if as == StateExpired && now.Before(r.Deadline) && !unheard {
				return nil // by the store's clock it is not
			}
			r.close(as, now)
			r.Reason = reason
		case unheard && r.State == StateDecided && !r.Unheard:
			r.Unheard = true
		default:
			return b.putAway(ctx, r)
		}
		err = b.put(ctx, r, r.Revision)
		switch {
		case err == nil:
			return b.putAway(ctx, r)
		case !errors.Is(err, strategies.ErrConflict):
			return err
		}
		if _, err := b.store.Get(ctx, b.openKey(id)); errors.Is(err, strategies.ErrNotFound) {
			return nil // it was put away meanwhile
		}
	}
}

// putAway moves a record that is over to those that are kept, without what nobody needs
// any more.
func (b *Inbox) putAway(ctx context.Context, r *record) error {
	if !r.over() {
		return nil
	}
	at := r.Revision
	kept := *r
	kept.Value, kept.Marks = nil, nil
	if r.Parked != nil {
		p := *r.Parked
		p.Request = nil
		kept.Parked = &p
	}
	value, err := kept.encode()
	if err != nil {
		return err
	}
	_, err = b.store.Put(ctx, strategies.Write{Key: b.keptKey(r.ID), Value: value, TTL: b.s.Keep})
	if err != nil && !errors.Is(err, strategies.ErrConflict) {
		return err
	}
	err = b.store.Delete(ctx, b.openKey(r.ID), at)
	if errors.Is(err, strategies.ErrNotFound) || errors.Is(err, strategies.ErrConflict) {
		return nil
	}
	return err
}

// spawn runs something on a goroutine of the inbox's; false: it is closed.
func (b *Inbox) spawn(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return false
	}
	b.own.Add(1)
	go func() { defer b.own.Done(); f() }()
	return true
}
