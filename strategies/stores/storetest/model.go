package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/strategies"
)

var modelChecks = []Check{
	{"random histories are those of a map", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		m := &model{rand: rand.New(rand.NewPCG(seed, 0)), store: s, there: map[string]strategies.Record{}, high: map[string]uint64{}}
		for i := range 600 {
			if err := m.step(ctx); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, i, err)
			}
		}
		w := watch(ctx, t, s, "")
		w.until("the mark", func() bool { return w.marks == 1 })
		if !sameRevisions(w.there, m.there) {
			t.Fatalf("seed %d: a watch tells %d records, there are %d", seed, len(w.there), len(m.there))
		}
	}},
}

// model is what a store must be: a map.
type model struct {
	rand  *rand.Rand
	store strategies.Store
	there map[string]strategies.Record
	high  map[string]uint64
}

var parts = []string{"a", "b", "a/", "/", "*", ">", " ", "ü", "%", "."}

func (m *model) key() string {
	key := parts[m.rand.IntN(len(parts))]
	if m.rand.IntN(2) == 0 {
		key += parts[m.rand.IntN(len(parts))]
	}
	return key
}

// revision is mostly right.
func (m *model) revision(key string) uint64 {
	switch m.rand.IntN(8) {
	case 0:
		return 0
	case 1:
		return strategies.AnyRevision
	case 2:
		return m.high[key] // of what was deleted, perhaps
	case 3:
		return m.there[key].Revision + 1
	}
	return m.there[key].Revision
}

func (m *model) step(ctx context.Context) error {
	key := m.key()
	revision := m.revision(key)
	was, there := m.there[key]
	var want error
	switch m.rand.IntN(6) {
	case 0, 1, 2:
		value := fmt.Appendf(nil, "%x", m.rand.Uint64())
		if revision != strategies.AnyRevision && revision != was.Revision {
			want = strategies.ErrConflict
		}
		r, err := m.store.Put(ctx, strategies.Write{Key: key, Value: value, Revision: revision})
		if !errors.Is(err, want) {
			return fmt.Errorf("Put(%q, %d) of %d: got %v, want %v", key, revision, was.Revision, err, want)
		}
		if err == nil {
			if r.Revision <= m.high[key] {
				return fmt.Errorf("Put(%q): revision %d after %d", key, r.Revision, m.high[key])
			}
			m.there[key], m.high[key] = strategies.Record{Key: key, Value: value, Revision: r.Revision}, r.Revision
		}
	case 3:
		switch {
		case !there:
			want = strategies.ErrNotFound
		case revision != strategies.AnyRevision && revision != was.Revision:
			want = strategies.ErrConflict
		}
		err := m.store.Delete(ctx, key, revision)
		if !errors.Is(err, want) {
			return fmt.Errorf("Delete(%q, %d) of %d: got %v, want %v", key, revision, was.Revision, err, want)
		}
		if err == nil {
			delete(m.there, key)
		}
	case 4:
		if !there {
			want = strategies.ErrNotFound
		}
		r, err := m.store.Get(ctx, key)
		if !errors.Is(err, want) {
			return fmt.Errorf("Get(%q): got %v, want %v", key, err, want)
		}
		return m.compare(r, was)
	case 5:
		return m.list(ctx, []string{"", key}[m.rand.IntN(2)])
	}
	return nil
}

func (m *model) list(ctx context.Context, prefix string) error {
	var want []string
	for key := range m.there {
		if strings.HasPrefix(key, prefix) {
			want = append(want, key)
		}
	}
	slices.Sort(want)
	all, err := m.store.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("List(%q): %w", prefix, err)
	}
	if got := keys(all); !slices.Equal(got, want) {
		return fmt.Errorf("List(%q): got %q, want %q", prefix, got, want)
	}
	for _, r := range all {
		if err := m.compare(r, m.there[r.Key]); err != nil {
			return err
		}
	}
	return nil
}

func (m *model) compare(got, want strategies.Record) error {
	if got.Key != want.Key || string(got.Value) != string(want.Value) || got.Revision != want.Revision || !got.Expires.IsZero() {
		return fmt.Errorf("got %s, want %s", shown(got), shown(want))
	}
	return nil
}
