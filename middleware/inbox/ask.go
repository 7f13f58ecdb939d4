package inbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Decide asks, and waits for the decision. Layers call it. When the context ends, so
// does the question: as expired at its deadline, and as withdrawn before.
func (b *Inbox) Decide(ctx context.Context, i strategies.Incident) (strategies.Decision, error) {
	if err := b.ready(ctx); err != nil {
		return strategies.Decision{}, err
	}
	r, err := b.question(ctx, i)
	if err != nil {
		return strategies.Decision{}, err
	}
	r.Process = b.s.Process
	// A decision needs a moment to reach its call, which takes none after the deadline.
	left := r.Deadline.Sub(r.Opened)
	r.Deadline = r.Deadline.Add(-min(left/20, time.Second))
	key := b.openKey(r.ID)
	if !b.hold(key, true) {
		return strategies.Decision{}, &strategies.InterventionError{Incident: r.ID, Problem: "is open already: give each question an ID of its own"}
	}
	defer b.hold(key, false)
	changed, leave := b.mirror.wait(key)
	defer leave()
	if err := b.create(ctx, r); err != nil {
		b.later(key, r.ID, b.endingOf(ctx), "its caller could not ask") // it may have been written
		return strategies.Decision{}, err
	}
	retry := time.NewTimer(0) // again, if it could not be read
	defer retry.Stop()
	for {
		select {
		case <-changed:
			retry.Reset(0)
		case <-retry.C:
			got, err := b.get(ctx, r.ID)
			switch {
			case err != nil && ctx.Err() == nil:
				b.trouble(err)
				retry.Reset(b.s.Heartbeat / 5)
			case err != nil || got.State == StateOpen:
			default:
				b.nudge()
				return b.heard(got, i.Answers)
			}
		case <-ctx.Done():
			b.later(key, r.ID, b.endingOf(ctx), "")
			return strategies.Decision{}, context.Cause(ctx)
		case <-b.ctx.Done():
			b.later(key, r.ID, StateWithdrawn, "the process that asked has ended")
			return strategies.Decision{}, errClosed
		}
	}
}

// heard is what became of a question that somebody waited for.
func (b *Inbox) heard(r *record, types []reflect.Type) (strategies.Decision, error) {
	if r.State != StateDecided {
		return strategies.Decision{}, &strategies.InterventionError{Incident: r.ID, Problem: "was not decided", Err: &ClosedError{r.Entry}}
	}
	return b.decision(r, types), nil
}

// decision is what was decided. An answer that cannot be read stays as it was written,
// which is of no type that anybody wants: the layer asks again.
func (b *Inbox) decision(r *record, types []reflect.Type) strategies.Decision {
	d := strategies.Decision{Action: r.Action, Agent: r.Decision.Agent, By: r.Decision.By, Reason: r.Decision.Reason}
	if r.Action == strategies.ActionAnswer {
		value, err := b.decodeAnswer(r.Value, types)
		if err != nil {
			b.trouble(fmt.Errorf("understudy: the answer to %s cannot be read: %w", r.ID, err))
			value = unreadable{}
		}
		d.Value = value
	}
	return d
}

type unreadable struct{}

func (b *Inbox) endingOf(ctx context.Context) State {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return StateExpired
	}
	return StateWithdrawn
}

// hold notes that a caller waits for a question, so that nobody of this process takes
// it for one that is left behind.
func (b *Inbox) hold(key string, is bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !is {
		delete(b.held, key)
		return true
	}
	if b.held[key] {
		return false
	}
	b.held[key] = true
	return true
}

// question makes a record of an incident.
func (b *Inbox) question(ctx context.Context, i strategies.Incident) (*record, error) {
	if err := checkID(i.ID); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	b.learn(i.Agent, i.Answers)
	select { // others must see that we are alive before they see a question of ours
	case <-b.life.first:
	default:
		wait, cancel := context.WithTimeout(ctx, b.s.Patience)
		defer cancel()
		select {
		case <-b.life.first:
		case <-wait.Done():
		}
	}
	now, err := b.insist(ctx)
	if err != nil {
		return nil, err
	}
	r := &record{Entry: Entry{
		ID: i.ID, State: StateOpen, Agent: short(i.Agent, maxName), Call: i.Call, Round: max(i.Round, 1),
		Opened: now, Quorum: b.s.Quorum, Groups: b.s.Groups,
	}}
	left := 5 * time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	r.Deadline = now.Add(left)
	if i.Err != nil {
		r.Class = i.Err.Class
		r.Attempts, r.More = attempts(i.Err.Attempts)
	}
	for _, name := range i.Agents[:min(len(i.Agents), maxNames)] {
		r.Agents = append(r.Agents, short(name, maxName))
	}
	for _, t := range i.Answers {
		r.Answers = append(r.Answers, t.String())
	}
	if b.s.Show != nil {
		if err := protect("Settings.Show", func() error { r.Request = short(b.s.Show(i), maxShown); return nil }); err != nil {
			r.Request = short(err.Error(), maxShown)
		}
	}
	return r, nil
}

// learn notes of what types the answers of an agent are.
func (b *Inbox) learn(agent string, types []reflect.Type) {
	if len(types) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.types[agent] = types
}

// insist asks for the time until the store answers, for as long as it is worth it.
func (b *Inbox) insist(ctx context.Context) (now time.Time, err error) {
	err = b.again(ctx, func(ctx context.Context) (err error) { now, err = b.now(ctx); return err })
	return now, err
}

// create writes a question, and is patient with a store that is away.
func (b *Inbox) create(ctx context.Context, r *record) error {
	value, err := r.encode()
	if err != nil {
		return err
	}
	return b.again(ctx, func(ctx context.Context) error {
		_, err := b.store.Put(ctx, strategies.Write{Key: b.openKey(r.ID), Value: value})
		if errors.Is(err, strategies.ErrConflict) { // perhaps our own, to which nobody answered
			got, err2 := b.get(ctx, r.ID)
			if err2 != nil || got.Process != r.Process || !got.Opened.Equal(r.Opened) {
				return &strategies.InterventionError{Incident: r.ID, Problem: "is open already: give each question an ID of its own", Err: err}
			}
			return nil
		}
		return err
	})
}

// again repeats what the store did not answer.
func (b *Inbox) again(ctx context.Context, try func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, b.s.Patience)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		err := try(ctx)
		if err == nil || !errors.Is(err, strategies.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-b.ctx.Done():
			timer.Stop()
			return errClosed
		}
	}
}
