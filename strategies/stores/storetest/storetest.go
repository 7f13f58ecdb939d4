package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Open makes an empty store. What it started is stopped by t.Cleanup; the store is closed
// by the check.
type Open func(t testing.TB) strategies.Store

// Check is one sentence of the contract.
type Check struct {
	Name string
	Run  func(t testing.TB, open Open)
}

// Checks are all that Run runs. They begin no subtests, so that each may run in a bubble.
func Checks() []Check {
	return slices.Concat(recordChecks, raceChecks, timeChecks, watchChecks, endChecks, modelChecks)
}

// Run tests a store, each check with one of its own.
func Run(t *testing.T, open func(t testing.TB) strategies.Store) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, open) })
	}
}

// patience is how long a check waits for what must come.
const patience = 30 * time.Second

// opened is a store, closed after the check, and a context that ends it.
func opened(t testing.TB, open Open) (context.Context, strategies.Store) {
	t.Helper()
	s := open(t)
	t.Cleanup(func() { closeStore(t, s) })
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	return ctx, s
}

func closeStore(t testing.TB, s strategies.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func put(ctx context.Context, t testing.TB, s strategies.Store, w strategies.Write) strategies.Record {
	t.Helper()
	r, err := s.Put(ctx, w)
	if err != nil {
		t.Fatalf("Put(%q, revision %d): %v", short(w.Key), w.Revision, err)
	}
	if r.Key != w.Key || r.Revision == 0 || r.Revision == strategies.AnyRevision || string(r.Value) != string(w.Value) || r.Expires.IsZero() != (w.TTL == 0) {
		t.Fatalf("Put(%q, %d bytes, TTL %v) returned key %q, %d bytes, revision %d, expires %v", short(w.Key), len(w.Value), w.TTL, short(r.Key), len(r.Value), r.Revision, r.Expires)
	}
	return r
}

func create(ctx context.Context, t testing.TB, s strategies.Store, key, value string) strategies.Record {
	t.Helper()
	return put(ctx, t, s, strategies.Write{Key: key, Value: []byte(value)})
}

// has wants a record as it was returned by Put.
func has(ctx context.Context, t testing.TB, s strategies.Store, want strategies.Record) {
	t.Helper()
	got, err := s.Get(ctx, want.Key)
	if err != nil {
		t.Fatalf("Get(%q): %v", short(want.Key), err)
	}
	same(t, "Get", got, want)
}

func same(t testing.TB, by string, got, want strategies.Record) {
	t.Helper()
	if got.Key != want.Key || string(got.Value) != string(want.Value) || got.Revision != want.Revision || !got.Expires.Equal(want.Expires) {
		t.Fatalf("%s returned %s, want %s", by, shown(got), shown(want))
	}
}

func fails(t testing.TB, what string, err, want error) {
	t.Helper()
	if err == nil || !errors.Is(err, want) {
		t.Fatalf("%s: got error %v, want %v", what, err, want)
	}
}

func keys(all []strategies.Record) []string {
	found := make([]string, 0, len(all))
	for _, r := range all {
		found = append(found, r.Key)
	}
	return found
}

func lists(ctx context.Context, t testing.TB, s strategies.Store, prefix string, want ...string) {
	t.Helper()
	all, err := s.List(ctx, prefix)
	if err != nil {
		t.Fatalf("List(%q): %v", short(prefix), err)
	}
	if got := keys(all); !slices.Equal(got, want) {
		t.Fatalf("List(%q) has the keys %q, want %q", short(prefix), got, want)
	}
}
