package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// writing is one effect being written down, in one piece with the call that its
// tool sees and with what others who ask for it wait for.
type writing[Args, Result any] struct {
	t    *Tool[Args, Result]
	j    *job
	args Args
	c    call
	f    effectFlight
	rec  strategies.EffectRecord
}

// once does the effect, or gives back what another one who asked for it has done.
func (w *writing[Args, Result]) once(id effectID, raw json.RawMessage) (none Result, _ error) {
	for {
		w.j.mu.Lock()
		f := w.j.flights[id]
		if f == nil {
			if w.j.flights == nil {
				w.j.flights = map[effectID]*effectFlight{}
			}
			w.j.flights[id] = &w.f
			w.j.mu.Unlock()
			return w.lead(id, raw)
		}
		if !f.over {
			if f.wake == nil {
				f.wake = make(chan struct{})
			}
			wake := f.wake
			w.j.mu.Unlock()
			select {
			case <-wake:
				continue
			case <-w.c.Done():
				return none, context.Cause(&w.c)
			}
		}
		value, err := f.result, f.err
		w.j.mu.Unlock()
		if err != nil {
			return none, err
		}
		w.j.replayed(&w.c, id)
		result, _ := value.(Result)
		return result, nil
	}
}

// errEnded is seen by nobody but in an [strategies.UncertainError].
var errEnded = errors.New("understudy: the goroutine that called the tool has ended")

// lead does the effect for all who ask for it at once. Also a Goexit in the tool
// ends it.
func (w *writing[Args, Result]) lead(id effectID, raw json.RawMessage) (result Result, err error) {
	again, ended := false, false
	defer func() {
		if !ended { // Goexit: whether it has acted is not known
			err = &strategies.UncertainError{Tool: id.tool, Key: id.key, Err: errEnded}
		}
		w.j.mu.Lock()
		defer w.j.mu.Unlock()
		w.f.over, w.f.err = true, err
		if w.f.result = result; again {
			delete(w.j.flights, id) // the next one may try
		}
		if w.f.wake != nil {
			close(w.f.wake)
		}
	}()
	result, again, err = w.perform(id, raw)
	ended = true
	return result, err
}

// perform is one effect from its first word in the journal to its last. again says
// that nothing was done.
func (w *writing[Args, Result]) perform(id effectID, raw json.RawMessage) (none Result, again bool, _ error) {
	w.rec = strategies.EffectRecord{
		Call: w.j.id, Tool: id.tool, Key: id.key, State: strategies.EffectDispatched, Args: raw, Agent: w.c.owner.name(),
		Attempt: max(w.c.attempt, 1), Time: time.Now(),
	}
	if err := w.drift(); err != nil {
		w.note(strategies.EffectRefused)
		return none, true, err
	}
	stands, begun, err := w.begin()
	if err != nil {
		w.note(strategies.EffectRefused)
		return none, true, err
	}
	if !begun {
		return w.found(stands)
	}
	return w.dispatch()
}

// journalTime bounds what is written once the caller has left.
const journalTime = 10 * time.Second

func (w *writing[Args, Result]) begin() (stands strategies.EffectRecord, begun bool, err error) {
	err = protect(func() (err error) {
		stands, begun, err = w.j.effects.Journal.Begin(&w.c, w.rec)
		return err
	})
	if err != nil {
		return stands, false, &strategies.JournalError{Tool: w.rec.Tool, Err: err}
	}
	return stands, begun, nil
}

// end writes down what came of it, also when the caller has left. What cannot be
// written is remembered by the call itself, and found dispatched by a later one.
func (w *writing[Args, Result]) end(state strategies.EffectState, result json.RawMessage) {
	w.rec.State, w.rec.Result = state, result
	if w.c.Err() == nil && protect(func() error { return w.j.effects.Journal.End(&w.c, w.rec) }) == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(&w.c), journalTime)
	defer cancel()
	_ = protect(func() error { return w.j.effects.Journal.End(ctx, w.rec) })
}

// found is what stands in the journal already, of this call in an earlier life, or
// of one that was left open.
func (w *writing[Args, Result]) found(r strategies.EffectRecord) (none Result, again bool, _ error) {
	w.rec = r
	switch r.State {
	case strategies.EffectDone, strategies.EffectUndone:
		var result Result
		if len(r.Result) > 0 {
			if err := json.Unmarshal(r.Result, &result); err != nil {
				return none, false, w.uncertain(fmt.Errorf("it was done, and its result cannot be read: %w", err))
			}
		}
		w.note(strategies.EffectReplayed)
		return result, false, nil
	}
	return w.settle(nil)
}

// dispatch calls the tool.
func (w *writing[Args, Result]) dispatch() (none Result, again bool, _ error) {
	if err := w.approved(); err != nil {
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
	result, err := w.t.ask(&w.c, w.args)
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
	raw, err := json.Marshal(result)
	if err != nil {
		raw = nil // this process remembers the value itself
	}
	w.end(strategies.EffectDone, raw)
	w.noteDone(result)
	return result, false, nil
}

// settle finds out about an effect that nobody has heard of: from its destination,
// and then from a person.
func (w *writing[Args, Result]) settle(failed error) (none Result, again bool, _ error) {
	ctx := context.WithoutCancel(&w.c)
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

// drift says why the effect is not this attempt's to ask for, or nil.
func (w *writing[Args, Result]) drift() error {
	if w.j.effects.Drift == DriftAllowed {
		return nil
	}
	whole, own := w.j.asks(&w.c)
	w.j.mu.Lock()
	var done []string
	for _, n := range w.j.done {
		if n.Tool != w.rec.Tool || n.State != strategies.EffectDone && n.State != strategies.EffectUncertain {
			continue
		}
		if n.Key == w.rec.Key {
			w.j.mu.Unlock()
			return nil // seen before: it is given back
		}
		if n.whole != whole || n.base != nil && n.base == w.c.base && n.own != own {
			done = append(done, n.Key)
		}
	}
	w.j.mu.Unlock()
	if len(done) == 0 {
		return nil
	}
	drift := &strategies.DriftError{Tool: w.rec.Tool, Key: w.rec.Key, Done: done}
	if w.j.effects.Drift == DriftAsked && w.decided("an earlier attempt has done something like it: retry does it as well", drift).Action == strategies.ActionRetryNow {
		return nil
	}
	return drift
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
	ctx, cancel := context.WithTimeoutCause(&w.c, stands, &strategies.TimeoutError{Limit: "intervention", After: stands})
	defer cancel()
	deadline, _ := ctx.Deadline()
	open := &strategies.UncertainError{Tool: w.rec.Tool, Key: w.rec.Key, Err: failed}
	incident := strategies.Incident{
		ID: w.j.id + "/" + w.rec.Tool, Call: w.j.id, Agent: w.c.owner.name(), Request: EffectQuestion{w.rec.Tool, w.rec.Key, w.rec.Args, what}, Round: 1, Deadline: deadline,
		Err: &strategies.RecoveryError{Agent: w.c.owner.name(), Strategy: strategies.StrategyUserIntervention, Class: open.RecoveryClass(), Cause: failed},
	}
	if err := protect(func() (err error) { d, err = person.Decide(ctx, incident); return err }); err != nil || ctx.Err() != nil {
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
	if w.c.Err() != nil {
		return strategies.NotDone(context.Cause(&w.c))
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
	w.j.book(&w.c, r, nil)
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
	w.j.book(&w.c, w.rec, undo)
}

// replayed books that a result was given back by this process's own memory.
func (j *job) replayed(c *call, id effectID) {
	j.book(c, strategies.EffectRecord{Call: j.id, Tool: id.tool, Key: id.key, State: strategies.EffectReplayed, Agent: c.owner.name(), Attempt: max(c.attempt, 1), Time: time.Now()}, nil)
}

func (j *job) book(c *call, r strategies.EffectRecord, undo func(context.Context) error) {
	whole, own := j.asks(c)
	j.mu.Lock()
	j.done = append(j.done, effectNote{EffectRecord: r, whole: whole, own: own, base: c.base, undo: undo})
	j.mu.Unlock()
	if c.owner.Observer != nil {
		c.owner.emit(c, 0, Event{Kind: EventEffect, Attempt: r.Attempt, Detail: r.Tool, To: r.State.String()})
	}
}
