package strategies_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

func paid(key string, at int) strategies.EffectRecord {
	return strategies.EffectRecord{Call: "job 7/a", Tool: "pay", Key: key, Args: json.RawMessage(`{"sum":5}`), Agent: "clerk", Attempt: 1, Time: time.Unix(int64(at), 0).UTC()}
}

// Both journals keep one contract.
func TestJournals(t *testing.T) {
	for name, journal := range map[string]func() strategies.Journal{
		"in memory": func() strategies.Journal { return &strategies.MemoryJournal{} },
		"over a store": func() strategies.Journal {
			return &strategies.StoreJournal{Store: &memory.Store{}, Name: "shop"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, j := t.Context(), journal()
			var begun atomic.Int64
			var all sync.WaitGroup
			for i := range 16 {
				all.Add(1)
				go func() {
					defer all.Done()
					r := paid("A1", 1)
					r.Attempt = i
					if _, ok, err := j.Begin(ctx, r); err != nil {
						t.Error(err)
					} else if ok {
						begun.Add(1)
					}
				}()
			}
			all.Wait()
			if n := begun.Load(); n != 1 {
				t.Errorf("%d of 16 have begun it", n)
			}
			done := paid("A1", 2)
			done.State, done.Result = strategies.EffectDone, json.RawMessage(`"receipt"`)
			if err := j.End(ctx, done); err != nil {
				t.Fatal(err)
			}
			if stands, ok, err := j.Begin(ctx, paid("A1", 3)); ok || err != nil || stands.State != strategies.EffectDone || string(stands.Result) != `"receipt"` {
				t.Errorf("%+v, begun %v, %v", stands, ok, err)
			}
			if _, ok, err := j.Begin(ctx, paid("A0", 4)); !ok || err != nil {
				t.Errorf("begun %v, %v", ok, err)
			}
			undone := paid("A0", 5)
			undone.State = strategies.EffectNotDone
			if err := j.End(ctx, undone); err != nil {
				t.Fatal(err)
			}
			if _, ok, err := j.Begin(ctx, paid("A0", 6)); !ok || err != nil {
				t.Errorf("what was not done may be begun: %v, %v", ok, err)
			}
			effects, err := j.Effects(ctx, "job 7/a")
			if err != nil || len(effects) != 2 || effects[0].Key != "A1" || effects[1].Key != "A0" || effects[1].State != strategies.EffectDispatched {
				t.Errorf("%+v, %v", effects, err)
			}
			if none, err := j.Effects(ctx, "job 7"); err != nil || len(none) != 0 {
				t.Errorf("another call has %+v, %v", none, err)
			}
			if err := j.End(ctx, paid("never begun", 1)); err == nil {
				t.Error("what was never begun has ended")
			}
			gone, cancel := context.WithCancel(ctx)
			cancel()
			if _, ok, err := j.Begin(gone, paid("late", 1)); ok || err == nil {
				t.Errorf("begun %v, %v", ok, err)
			}
		})
	}
}

// forgetful is a store that writes, and loses the answer.
type forgetful struct {
	memory.Store
	lose atomic.Bool
}

func (s *forgetful) Put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	r, err := s.Store.Put(ctx, w)
	if s.lose.Swap(false) && err == nil {
		return strategies.Record{}, &strategies.StoreError{Op: "put", Err: strategies.ErrUnavailable}
	}
	return r, err
}

func TestStoreJournal(t *testing.T) {
	ctx := t.Context()
	store := &forgetful{}
	journal := func() *strategies.StoreJournal { return &strategies.StoreJournal{Store: store, Name: "shop"} }

	t.Run("an answer that was lost is looked for", func(t *testing.T) {
		store.lose.Store(true)
		if _, ok, err := journal().Begin(ctx, paid("lost", 1)); !ok || err != nil {
			t.Errorf("begun %v, %v", ok, err)
		}
	})
	t.Run("another process finds what was dispatched and not ended", func(t *testing.T) {
		if stands, ok, err := journal().Begin(ctx, paid("lost", 2)); ok || err != nil || stands.State != strategies.EffectDispatched || stands.Attempt != 1 {
			t.Errorf("%+v, begun %v, %v", stands, ok, err)
		}
	})
	t.Run("a large result is no longer known, and that it was done is", func(t *testing.T) {
		j := journal()
		j.MostResult = 10
		r := paid("lost", 3)
		r.State, r.Result = strategies.EffectDone, json.RawMessage(`"a long receipt"`)
		if err := j.End(ctx, r); !errors.Is(err, strategies.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
		if stands, _, _ := j.Begin(ctx, paid("lost", 4)); stands.State != strategies.EffectDone || stands.Result != nil {
			t.Errorf("%+v", stands)
		}
	})
	t.Run("what is sealed is nobody else's business", func(t *testing.T) {
		j := journal()
		flip := func(b []byte) ([]byte, error) {
			b = bytes.Clone(b)
			for i := range b {
				b[i] ^= 0x55
			}
			return b, nil
		}
		j.Seal, j.Unseal = flip, flip
		r := paid("secret", 1)
		r.Call = "job 8"
		if _, ok, err := j.Begin(ctx, r); !ok || err != nil {
			t.Fatal(ok, err)
		}
		all, _ := store.List(ctx, "")
		for _, r := range all {
			if strings.Contains(string(r.Value), "secret") || strings.Contains(r.Key, "secret") {
				t.Errorf("it can be read: %s", r.Value)
			}
		}
		if effects, err := j.Effects(ctx, "job 8"); err != nil || len(effects) != 1 || effects[0].Key != "secret" {
			t.Errorf("%+v, %v", effects, err)
		}
		if _, err := journal().Effects(ctx, "job 8"); err == nil {
			t.Error("who cannot read it overlooks it")
		}
		if _, ok, err := journal().Begin(ctx, r); ok || err == nil {
			t.Errorf("who cannot read it begins it: %v, %v", ok, err)
		}
	})
	t.Run("calls of odd names are kept apart", func(t *testing.T) {
		long := strings.Repeat("x", 1000)
		for i, call := range []string{"a/b", "a", "a%2Fb", "~x", long, long + "y", "\xff", ""} {
			r := paid(fmt.Sprint(i), i)
			r.Call = call
			if _, ok, err := journal().Begin(ctx, r); !ok || err != nil {
				t.Errorf("%.20q: %v, %v", call, ok, err)
			}
		}
		for i, call := range []string{"a/b", "a", "a%2Fb", "~x", long, long + "y"} {
			if all, err := journal().Effects(ctx, call); err != nil || len(all) != 1 || all[0].Key != fmt.Sprint(i) {
				t.Errorf("%.20q has %+v, %v", call, all, err)
			}
		}
	})
	t.Run("wrong settings", func(t *testing.T) {
		j := &strategies.StoreJournal{Keep: -1, Seal: func(b []byte) ([]byte, error) { return b, nil }}
		err := j.Validate()
		for _, want := range []string{"Store is nil", "Name is empty", "Keep is negative", "Unseal are not both"} {
			if !errors.Is(err, strategies.ErrConfig) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not say %q", err, want)
			}
		}
		if _, ok, err := j.Begin(ctx, paid("A1", 1)); ok || !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("begun %v, %v", ok, err)
		}
	})
}
