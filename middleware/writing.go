package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/internal/ids"
	"github.com/understudy-go/understudy/strategies"
)

// writing is one effect being written down.
type writing[Args, Result any] struct {
	t    *Tool[Args, Result]
	c    *call
	j    *job
	args Args
	rec  strategies.EffectRecord
}

// journalTime bounds what is written after the effect: its caller may have left.
const journalTime = 10 * time.Second

func (w *writing[Args, Result]) begin() (stands strategies.EffectRecord, begun bool, err error) {
	err = protect(func() (err error) {
		stands, begun, err = w.j.effects.Journal.Begin(w.c, w.rec)
		return err
	})
	if err == nil && (stands.Call != w.rec.Call || stands.Tool != w.rec.Tool || stands.Key != w.rec.Key) {
		err = fmt.Errorf("it takes this effect for another one: %s %s of call %s", stands.Tool, stands.Key, stands.Call)
	}
	if err != nil {
		return stands, false, &strategies.JournalError{Tool: w.rec.Tool, Err: err}
	}
	return stands, begun, nil
}

// end writes down what came of it, also when the caller has left. What cannot be
// written is remembered by the call itself, and found dispatched by a later one.
func (w *writing[Args, Result]) end(state strategies.EffectState, result json.RawMessage) {
	w.rec.State, w.rec.Result = state, result
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.c), journalTime)
	defer cancel()
	_ = protect(func() error { return w.j.effects.Journal.End(ctx, w.rec) })
}

// found is what stands in the journal already, of this call in an earlier life, or
// of one that was left open.
func (w *writing[Args, Result]) found(r strategies.EffectRecord) (none Result, again bool, _ error) {
	w.rec = r
	switch r.State {
	case strategies.EffectUndone:
		w.note(strategies.EffectRefused)
		return none, true, strategies.Unrecoverable(fmt.Errorf("understudy: what tool %q did (key %s) was undone: ask for it again in a call with another id", r.Tool, r.Key))
	case strategies.EffectDone:
		var result Result
		if err := protect(func() error { return json.Unmarshal(r.Result, &result) }); err != nil {
			return none, false, w.uncertain(fmt.Errorf("it was done, and its result cannot be read: %w", err))
		}
		w.note(strategies.EffectReplayed)
		return result, false, nil
	}
	return w.settle(nil)
}

// dispatch calls the tool.
func (w *writing[Args, Result]) dispatch() (none Result, again bool, _ error) {
	err := w.approved()
	if err == nil {
		err = w.gone()
	}
	if err != nil {
		w.end(strategies.EffectNotDone, nil)
		w.note(strategies.EffectRefused)
		return none, true, err
	}
	left := true // if the tool ends its goroutine, this stays so
	defer func() {
		if left {
			w.end(strategies.EffectUncertain, nil)
			w.doubt()
		}
	}()
	result, err := w.t.ask(w.c, w.args)
	left = false
	switch {
	case err == nil:
		return w.did(result)
	case w.c.owner.Classifier.NothingDone(err):
		w.end(strategies.EffectNotDone, nil)
		return none, true, err
	}
	return w.settle(err)
}

// did books an effect that has happened.
func (w *writing[Args, Result]) did(result Result) (Result, bool, error) {
	var raw json.RawMessage
	if err := protect(func() (err error) { raw, err = json.Marshal(result); return err }); err != nil {
		raw = nil // this process remembers the value itself
	}
	w.end(strategies.EffectDone, raw)
	w.noteDone(result)
	return result, false, nil
}

// settle finds out about an effect that nobody has heard of: from its destination,
// and then from a person.
func (w *writing[Args, Result]) settle(failed error) (none Result, again bool, _ error) {
	ctx := context.WithoutCancel(w.c)
	if w.t.verify != nil {
		var result Result
		var done bool
		err := protect(func() (err error) {
			bounded, cancel := context.WithTimeout(ctx, journalTime)
			defer cancel()
			result, done, err = w.t.verify(bounded, w.rec.Key)
			return err
		})
		switch {
		case err == nil && done:
			return w.did(result)
		case err == nil:
			return w.notDone(failed)
		}
		failed = errors.Join(failed, err)
	}
	switch d := w.decided(fmt.Sprintf("tool %q may have acted, and nobody knows whether it did", w.rec.Tool), failed); d.Action {
	case strategies.ActionRetryNow:
		return w.notDone(failed)
	case strategies.ActionAnswer:
		if result, ok := d.Value.(Result); ok {
			return w.did(result)
		}
	}
	w.end(strategies.EffectUncertain, nil)
	return none, false, w.uncertain(failed)
}

// notDone books that nothing has happened. What failed is an error like any other
// then; what an earlier life left open is dispatched now.
func (w *writing[Args, Result]) notDone(failed error) (none Result, again bool, _ error) {
	w.end(strategies.EffectNotDone, nil)
	if failed != nil {
		return none, true, strategies.NotDone(failed)
	}
	w.rec.State, w.rec.Agent, w.rec.Time = strategies.EffectDispatched, w.c.owner.name(), time.Now()
	stands, begun, err := w.begin()
	switch {
	case err != nil:
		return none, true, err
	case !begun && stands.State != strategies.EffectDone:
		return none, false, w.uncertain(nil) // somebody else was faster, and has not ended
	case !begun:
		return w.found(stands)
	}
	return w.dispatch()
}

func (w *writing[Args, Result]) uncertain(err error) error {
	w.doubt()
	return &strategies.UncertainError{Tool: w.rec.Tool, Key: w.rec.Key, Err: errtree.Tame(err)}
}

// doubt marks the whole call: it is neither repeated nor covered up.
func (w *writing[Args, Result]) doubt() {
	w.note(strategies.EffectUncertain)
	w.j.mu.Lock()
	w.j.doubts++
	w.j.mu.Unlock()
}

// gone says that who asks has left: nothing more is begun then.
func (w *writing[Args, Result]) gone() error {
	if w.c.Err() == nil {
		return nil
	}
	return strategies.NotDone(context.Cause(w.c))
}

// drift says why the effect is not this attempt's to ask for, or nil. What another
// attempt has done, may have done or is still doing, and nobody has asked for again
// in this one, is another plan's.
func (w *writing[Args, Result]) drift() error {
	if w.j.effects.Drift == DriftAllowed {
		return nil
	}
	if err := w.remember(); err != nil {
		return &strategies.JournalError{Tool: w.rec.Tool, Err: err}
	}
	this := effectID{w.rec.Tool, w.rec.Key}
	var done []string
	w.j.mu.Lock()
	delete(w.j.before, this)
	for id, f := range w.j.flights {
		if id.tool == this.tool && id != this && f.asker.elsewhere(w.c) {
			done = append(done, id.key)
		}
	}
	for id := range w.j.before {
		if id.tool == this.tool {
			done = append(done, id.key)
		}
	}
	w.j.mu.Unlock()
	slices.Sort(done)
	if len(done) == 0 {
		return nil
	}
	drift := &strategies.DriftError{Tool: w.rec.Tool, Key: w.rec.Key, Done: done}
	if w.j.effects.Drift == DriftAsked && w.decided("an earlier attempt has done something like it: retry does it as well", drift).Action == strategies.ActionRetryNow {
		return nil
	}
	return drift
}

// remember reads what a call whose id was given has done in an earlier life. It is
// read before the first word of this one.
func (w *writing[Args, Result]) remember() error {
	j := w.j
	j.past.Lock()
	defer j.past.Unlock()
	if !j.given {
		return nil
	}
	var all []strategies.EffectRecord
	if err := protect(func() (err error) { all, err = j.effects.Journal.Effects(w.c, j.id); return err }); err != nil {
		return err
	}
	j.given = false
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range all {
		switch r.State {
		case strategies.EffectNotDone, strategies.EffectUndone:
		default:
			if j.before == nil {
				j.before = map[effectID]struct{}{}
			}
			j.before[effectID{r.Tool, r.Key}] = struct{}{}
		}
	}
	return nil
}

// decided asks a person about the effect. Nobody to ask, no answer in time and a
// failure to ask are a no.
func (w *writing[Args, Result]) decided(what string, err error) (d strategies.Decision) {
	return w.question(w.j.effects.Ask, w.j.effects.AskFor, what, err)
}

func (w *writing[Args, Result]) question(person strategies.Intervenor, stands time.Duration, what string, failed error) (d strategies.Decision) {
	if person == nil {
		return strategies.Decision{}
	}
	if stands == 0 {
		stands = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(w.c, stands, &strategies.TimeoutError{Limit: "intervention", After: stands})
	defer cancel()
	deadline, _ := ctx.Deadline()
	open := &strategies.UncertainError{Tool: w.rec.Tool, Key: w.rec.Key, Err: failed}
	incident := strategies.Incident{
		ID: ids.New(), Call: w.j.id, Agent: w.c.owner.name(), Request: EffectQuestion{w.rec.Tool, w.rec.Key, w.rec.Args, what}, Round: 1, Deadline: deadline,
		Err:     &strategies.RecoveryError{Agent: w.c.owner.name(), Strategy: strategies.StrategyUserIntervention, Class: open.RecoveryClass(), Cause: failed},
		Answers: []reflect.Type{reflect.TypeFor[Result]()},
	}
	d, err := w.c.owner.question(ctx, person, incident, func(late said) {
		w.c.owner.emit(w.c, 0, Event{
			Kind: EventDecisionRefused, Incident: incident.ID, Decision: late.decision.Action.String(), By: late.decision.By, Detail: w.rec.Tool,
			Err: &strategies.InterventionError{Incident: incident.ID, Problem: "was decided after its end: too late is too late"},
		})
	})
	if err != nil || ctx.Err() != nil {
		return strategies.Decision{}
	}
	return d
}

// approved asks for the approval that the tool needs.
func (w *writing[Args, Result]) approved() error {
	if w.t.person == nil {
		return nil
	}
	if d := w.question(w.t.person, w.t.stands, "approve it: retry does it", nil); d.Action != strategies.ActionRetryNow {
		return strategies.NotDone(strategies.Unrecoverable(fmt.Errorf("understudy: tool %q was not approved (key %s)", w.rec.Tool, w.rec.Key)))
	}
	return nil
}

// EffectQuestion is the request of an [strategies.Incident] that is about an effect:
// what a person decides about is this tool with these arguments, and no other.
type EffectQuestion struct {
	Tool, Key string
	Args      json.RawMessage
	What      string
}

// note books an effect for the outcome, and tells of it.
func (w *writing[Args, Result]) note(state strategies.EffectState) {
	r := w.rec
	r.State = state
	w.j.book(w.c, r, nil)
}

func (w *writing[Args, Result]) noteDone(result Result) {
	var undo func(context.Context) error
	if w.t.undo != nil {
		undo = func(ctx context.Context) error {
			if err := protect(func() error { return w.t.undo(ctx, w.args, result) }); err != nil {
				return err
			}
			w.end(strategies.EffectUndone, w.rec.Result)
			w.note(strategies.EffectUndone)
			return nil
		}
	}
	w.j.book(w.c, w.rec, undo)
}

// replayed books that a result was given back by this process's own memory.
func (j *job) replayed(c *call, id effectID) {
	j.book(c, strategies.EffectRecord{Call: j.id, Tool: id.tool, Key: id.key, State: strategies.EffectReplayed, Agent: c.owner.name(), Attempt: max(int(c.attempt), 1), Time: time.Now()}, nil)
}

func (j *job) book(c *call, r strategies.EffectRecord, undo func(context.Context) error) {
	j.mu.Lock()
	j.done = append(j.done, effectNote{EffectRecord: r, undo: undo})
	j.mu.Unlock()
	if c.owner.Observer != nil {
		c.owner.emit(c, 0, Event{Kind: EventEffect, Attempt: r.Attempt, Detail: r.Tool, To: r.State.String()})
	}
}
