package inboxtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"

	"github.com/understudy-go/understudy/strategies"
)

// Journal is a [strategies.Journal] in a store, for processes that die.
type Journal struct{ Store strategies.Store }

func (j Journal) key(r strategies.EffectRecord) string {
	sum := sha256.Sum256([]byte(r.Tool + "\x00" + r.Key))
	return "journal/" + r.Call + "/" + hex.EncodeToString(sum[:8])
}

// Begin writes a record, if there is none.
func (j Journal) Begin(ctx context.Context, r strategies.EffectRecord) (strategies.EffectRecord, bool, error) {
	r.State = strategies.EffectDispatched
	value, err := json.Marshal(r)
	if err != nil {
		return r, false, err
	}
	w := strategies.Write{Key: j.key(r), Value: value}
	for {
		_, err := j.Store.Put(ctx, w)
		if !errors.Is(err, strategies.ErrConflict) {
			return r, err == nil, err
		}
		there, err := j.Store.Get(ctx, w.Key)
		if err != nil {
			return r, false, err
		}
		var old strategies.EffectRecord
		if err := json.Unmarshal(there.Value, &old); err != nil || old.State != strategies.EffectNotDone {
			return old, false, err
		}
		w.Revision = there.Revision
	}
}

// End replaces a record.
func (j Journal) End(ctx context.Context, r strategies.EffectRecord) error {
	value, err := json.Marshal(r)
	if err == nil {
		_, err = j.Store.Put(ctx, strategies.Write{Key: j.key(r), Value: value, Revision: strategies.AnyRevision})
	}
	return err
}

// Effects returns the records of a call.
func (j Journal) Effects(ctx context.Context, call string) (all []strategies.EffectRecord, err error) {
	list, err := j.Store.List(ctx, "journal/"+call+"/")
	for _, sr := range list {
		var r strategies.EffectRecord
		if err := json.Unmarshal(sr.Value, &r); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b strategies.EffectRecord) int { return a.Time.Compare(b.Time) })
	return all, err
}
