package strategies

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// StoreJournal is a [Journal] over a [Store]: what was done outlives the process, and
// of two replicas that begin an effect at once one begins it.
//
// A write that the store did not answer may have been done or not, so nothing is
// dispatched after one; what is found of it later is an uncertain effect. A record that
// cannot be read is an error, never overlooked. Each Begin and End is one or two
// operations.
//
// It is safe for concurrent use; its fields must not be changed once it is in use.
type StoreJournal struct {
	// Store outlives the process: not memory, but in tests. Required.
	Store Store
	// Name is the same in all replicas, and another for each program that uses the
	// store. Required.
	Name string
	// Keep is how long a call's effects are known after they were written last. 0: 30
	// days.
	Keep time.Duration
	// MostResult is the largest result that is kept, in bytes. Of a larger one it is
	// kept that the effect was done, and End returns an error: who asks for the effect
	// again is told that its result cannot be read. 0: 64 KiB.
	MostResult int
	// Seal, if it is not nil, is given each record before it is stored, and Unseal when
	// it is read: arguments and results may be nobody else's business.
	Seal, Unseal func(record []byte) ([]byte, error)
}

var _ Journal = (*StoreJournal)(nil)

// journaled is what is stored.
type journaled struct {
	Effect EffectRecord
	Begun  time.Time
	Token  string // of the Begin that made it
}

const (
	mostCall     = 120
	journalTries = 16
)

// Validate says what is missing.
func (j *StoreJournal) Validate() error {
	var p problems
	if j.Store == nil {
		p.add("StoreJournal.Store", "is nil", "give it a store that outlives the process")
	}
	if j.Name == "" {
		p.add("StoreJournal.Name", "is empty", "give it a name that all replicas of this program share")
	}
	p.also(shareable("StoreJournal.Name", j.Name))
	negative(&p, "StoreJournal.Keep", j.Keep, "leave it 0 for 30 days")
	negative(&p, "StoreJournal.MostResult", j.MostResult, "leave it 0 for 64 KiB")
	if (j.Seal == nil) != (j.Unseal == nil) {
		p.add("StoreJournal.Seal", "and Unseal are not both set", "set both or none")
	}
	return p.err()
}

// prefix of a call's records. A long call is known by its hash.
func (j *StoreJournal) prefix(call string) string {
	name := escaped(call)
	if len(name) > mostCall || strings.HasPrefix(name, "~") || shareable("", call) != nil {
		name = "~" + digest(call)
	}
	return "understudy/journal/v1/" + escaped(j.Name) + "/" + name + "/"
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:20])
}

func (j *StoreJournal) key(r EffectRecord) string { return j.prefix(r.Call) + digest(r.Tool, r.Key) }

// Begin writes a record down, if there is none.
func (j *StoreJournal) Begin(ctx context.Context, r EffectRecord) (stands EffectRecord, begun bool, err error) {
	if err := j.Validate(); err != nil {
		return EffectRecord{}, false, err
	}
	r.State = EffectDispatched
	mine := journaled{Effect: r, Begun: r.Time, Token: rand.Text()}
	revision := uint64(0)
	for range journalTries {
		_, err := j.write(ctx, mine, revision)
		if err == nil {
			return r, true, nil
		}
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnavailable) {
			return EffectRecord{}, false, err
		}
		is, at, readErr := j.read(ctx, j.key(r))
		switch {
		case errors.Is(readErr, ErrNotFound) && errors.Is(err, ErrConflict):
			revision = 0
		case readErr != nil:
			return EffectRecord{}, false, errors.Join(err, readErr)
		case is.Token == mine.Token:
			return r, true, nil // it was done, and the answer lost
		case errors.Is(err, ErrUnavailable):
			return EffectRecord{}, false, err
		case is.Effect.State != EffectNotDone:
			return is.Effect, false, nil
		default:
			revision = at
		}
	}
	return EffectRecord{}, false, fmt.Errorf("understudy: %d others have begun %s %q meanwhile", journalTries, r.Tool, r.Key)
}

// End replaces a record that was begun.
func (j *StoreJournal) End(ctx context.Context, r EffectRecord) error {
	if err := j.Validate(); err != nil {
		return err
	}
	var large error
	if most := orDefault(j.MostResult, 64<<10); len(r.Result) > most {
		large = fmt.Errorf("understudy: the result of %s has %d bytes, at most %d are kept: %w", r.Tool, len(r.Result), most, ErrTooLarge)
		r.Result = nil
	}
	for range journalTries {
		is, at, err := j.read(ctx, j.key(r))
		if errors.Is(err, ErrNotFound) {
			return fmt.Errorf("understudy: the journal has no record of %s %q: it has expired, or was never begun: %w", r.Tool, r.Key, err)
		}
		if err != nil {
			return err
		}
		is.Effect = r
		if _, err = j.write(ctx, is, at); !errors.Is(err, ErrConflict) {
			return errors.Join(large, err)
		}
	}
	return fmt.Errorf("understudy: %d others have written %s %q meanwhile", journalTries, r.Tool, r.Key)
}

// Effects returns what a call has done.
func (j *StoreJournal) Effects(ctx context.Context, call string) ([]EffectRecord, error) {
	if err := j.Validate(); err != nil {
		return nil, err
	}
	records, err := j.Store.List(ctx, j.prefix(call))
	if err != nil {
		return nil, err
	}
	var all []journaled
	for _, r := range records {
		is, err := j.decode(r)
		if err != nil {
			return nil, err
		}
		all = append(all, is)
	}
	slices.SortStableFunc(all, func(a, b journaled) int {
		return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.Token, b.Token))
	})
	var effects []EffectRecord
	for _, is := range all {
		effects = append(effects, is.Effect)
	}
	return effects, nil
}

func (j *StoreJournal) write(ctx context.Context, is journaled, revision uint64) (Record, error) {
	data, err := json.Marshal(is)
	if err == nil && j.Seal != nil {
		data, err = j.Seal(data)
	}
	if err != nil {
		return Record{}, fmt.Errorf("understudy: %s %q cannot be written down: %w", is.Effect.Tool, is.Effect.Key, err)
	}
	return j.Store.Put(ctx, Write{Key: j.key(is.Effect), Value: data, Revision: revision, TTL: orDefault(j.Keep, 30*24*time.Hour)})
}

func (j *StoreJournal) read(ctx context.Context, key string) (is journaled, revision uint64, err error) {
	r, err := j.Store.Get(ctx, key)
	if err != nil {
		return journaled{}, 0, err
	}
	is, err = j.decode(r)
	return is, r.Revision, err
}

func (j *StoreJournal) decode(r Record) (is journaled, err error) {
	data := r.Value
	if j.Unseal != nil {
		data, err = j.Unseal(data)
	}
	if err == nil {
		err = json.Unmarshal(data, &is)
	}
	if err == nil && j.key(is.Effect) != r.Key {
		err = errRecord
	}
	if err != nil {
		return journaled{}, fmt.Errorf("understudy: the journal's record %.200q cannot be read: %w", r.Key, err)
	}
	return is, nil
}
