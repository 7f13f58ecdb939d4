package strategies

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
)

// Effect is what a tool does to the world, and so whether it may be called twice.
type Effect uint8

const (
	// EffectOnce must happen once: a payment, a mail. It is the default of a tool
	// that nobody described.
	EffectOnce Effect = iota
	// EffectIdempotent may be asked for again under the same key: the destination
	// knows it, and does it once.
	EffectIdempotent
	// EffectReadOnly changes nothing.
	EffectReadOnly

	effects
)

var effectNames = [effects]string{"once", "idempotent", "read_only"}

// EffectState is what is known of an effect.
type EffectState uint8

const (
	// EffectDispatched was written down before the tool was called, and nothing has
	// been heard of it since.
	EffectDispatched EffectState = iota
	// EffectDone has happened; the result is kept.
	EffectDone
	// EffectNotDone did not happen, for certain: it may be asked for again.
	EffectNotDone
	// EffectUncertain may have happened, or not.
	EffectUncertain
	// EffectUndone has happened and was undone.
	EffectUndone
	// EffectReplayed has happened before; who asked for it again got its result. No
	// journal holds this state: it is for an outcome.
	EffectReplayed
	// EffectRefused was not dispatched: drift, an approval that was not given, a
	// journal that cannot be written. No journal holds it either.
	EffectRefused

	effectStates
)

var effectStateNames = [effectStates]string{"dispatched", "done", "not_done", "uncertain", "undone", "replayed", "refused"}

// EffectRecord is one entry of a [Journal]: one effect of one call. Call, Tool and
// Key say which.
type EffectRecord struct {
	Call, Tool, Key string
	State           EffectState
	// Args and Result are JSON. Result is kept of what is done.
	Args, Result json.RawMessage `json:",omitempty"`
	// Agent asked for it, in its so many-th attempt of the call.
	Agent   string
	Attempt int
	Time    time.Time
}

// Journal is where effects are written down: before they are dispatched, and again
// with what came of them. It must be safe for concurrent use. A durable one
// outlives the process, so that what was begun and never ended is found again.
type Journal interface {
	// Begin writes a record in the state [EffectDispatched], unless there is one of
	// the same Call, Tool and Key already that is not [EffectNotDone]. It returns the
	// record that stands, and whether it is the one that was given. It must do so in
	// one step: of two who begin at once one must lose. An error means that nothing
	// is dispatched.
	Begin(ctx context.Context, r EffectRecord) (stands EffectRecord, begun bool, err error)
	// End replaces a record that was begun.
	End(ctx context.Context, r EffectRecord) error
	// Effects returns the records of a call, in the order in which they began.
	Effects(ctx context.Context, call string) ([]EffectRecord, error)
}

// MemoryJournal is a [Journal] for as long as the process lives. The zero value
// keeps the last 10,000 calls that had effects. It is safe for concurrent use.
type MemoryJournal struct {
	// Calls is how many calls are kept; the oldest is forgotten first. 0: 10,000.
	Calls int

	mu    sync.Mutex
	calls map[string][]EffectRecord
	order []string
}

// Begin writes a record down, if there is none.
func (j *MemoryJournal) Begin(ctx context.Context, r EffectRecord) (EffectRecord, bool, error) {
	if err := ctx.Err(); err != nil {
		return EffectRecord{}, false, context.Cause(ctx)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	r.State = EffectDispatched
	all := j.calls[r.Call]
	if old := find(all, &r); old != nil {
		if old.State != EffectNotDone {
			return *old, false, nil
		}
		*old = r
		return r, true, nil
	}
	if all == nil {
		j.room(r.Call)
		all = make([]EffectRecord, 0, 4)
	}
	j.calls[r.Call] = append(all, r)
	return r, true, nil
}

func (j *MemoryJournal) room(call string) {
	if j.calls == nil {
		j.calls = map[string][]EffectRecord{}
	}
	if most := orDefault(max(j.Calls, 0), 10_000); len(j.order) >= most {
		delete(j.calls, j.order[0])
		j.order = j.order[1:]
	}
	j.order = append(j.order, call)
}

// find looks for the record of an effect, the latest first.
func find(all []EffectRecord, r *EffectRecord) *EffectRecord {
	for i := len(all) - 1; i >= 0; i-- {
		if old := &all[i]; old.Key == r.Key && old.Tool == r.Tool {
			return old
		}
	}
	return nil
}

// End replaces a record.
func (j *MemoryJournal) End(_ context.Context, r EffectRecord) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if old := find(j.calls[r.Call], &r); old != nil {
		*old = r
		return nil
	}
	return fmt.Errorf("understudy: the journal has no record of %s %q: it was forgotten, or never begun", r.Tool, r.Key)
}

// Effects returns what a call has done.
func (j *MemoryJournal) Effects(_ context.Context, call string) ([]EffectRecord, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.calls[call]), nil
}

// UncertainError is an effect that was dispatched and not heard of: it may have
// happened. Nobody repeats it, and nothing covers it up.
type UncertainError struct {
	Tool, Key string
	Err       error // what went wrong; nil: an earlier process did not live to say
}

func (e *UncertainError) Error() string {
	s := fmt.Sprintf("understudy: tool %q may have acted (key %s), and it is not known whether it did: ask its destination before anybody repeats it", e.Tool, e.Key)
	if e.Err != nil {
		s += ": " + errtree.Text(e.Err)
	}
	return s
}

// Unwrap returns what went wrong.
func (e *UncertainError) Unwrap() error { return e.Err }

// RecoveryClass is [ClassUncertain].
func (e *UncertainError) RecoveryClass() Class { return ClassUncertain }

// DriftError is an effect that was refused because an earlier attempt of the call
// had done something like it: the same tool under another key. The model that asked
// for it has planned anew and does not know. Its text says what has been done.
type DriftError struct {
	Tool, Key string
	Done      []string // keys under which the tool has acted, or may have
}

func (e *DriftError) Error() string {
	return fmt.Sprintf("understudy: tool %q was not called (key %s): an earlier attempt of this call has already done it under %s; go on from there, do not do it again",
		e.Tool, e.Key, strings.Join(e.Done, ", "))
}

// RecoveryClass is [ClassUnrecoverable]: only a person can say whether both are
// wanted.
func (e *DriftError) RecoveryClass() Class { return ClassUnrecoverable }

// JournalError is an effect that was not dispatched because it could not be written
// down.
type JournalError struct {
	Tool string
	Err  error
}

func (e *JournalError) Error() string {
	return fmt.Sprintf("understudy: tool %q was not called, for the journal could not be written: %s", e.Tool, errtree.Text(e.Err))
}

// Unwrap returns the journal's error.
func (e *JournalError) Unwrap() error { return e.Err }

// RecoveryClass is [ClassTransient]: nothing was done.
func (e *JournalError) RecoveryClass() Class { return ClassTransient }

// NotDone marks the error of a tool as one that proves that nothing was done, so
// that it may be called again: a card that was declined, for one. A nil err stays
// nil.
func NotDone(err error) error {
	if err == nil {
		return nil
	}
	return &notDone{err}
}

type notDone struct{ err error }

func (e *notDone) Error() string { return e.err.Error() }
func (e *notDone) Unwrap() error { return e.err }

// NothingDone says whether the error of a tool proves that it has not acted: it was
// marked by [NotDone]; it is an interrupt of a framework's, which asks for the tool
// again; the connection was refused, or its other end unknown; a layer of ours refused
// the call; or the destination answered that it refuses the request
// (400, 401, 402, 403, 404, 413, 422, 429 and their like). A timeout, a cut
// connection and a server's own failure prove nothing.
func (c *Classifier) NothingDone(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errtree.As[*notDone](err); ok {
		return true
	}
	if _, ok := errtree.As[*UncertainError](err); ok {
		return false
	}
	if errtree.Is(err, syscall.ECONNREFUSED) || errtree.Is(err, ErrRejected) {
		return true
	}
	switch c.Classify(err).Class {
	case ClassBadRequest, ClassUnauthorized, ClassNotFound, ClassRateLimited, ClassQuotaExhausted, ClassContextOverflow, ClassBlocked, ClassRejected, ClassInterrupt:
		return true
	}
	return false
}
