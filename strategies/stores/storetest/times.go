package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

const soon = 300 * time.Millisecond

var timeChecks = []Check{
	{"a record expires by the store's clock, not before and not after", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		create(ctx, t, s, "stays", "")
		before := now(ctx, t, s)
		r := put(ctx, t, s, strategies.Write{Key: "goes", Value: []byte("1"), TTL: soon})
		after := now(ctx, t, s)
		const slack = 5 * time.Millisecond // for rounding
		if r.Expires.Before(before.Add(soon-slack)) || r.Expires.After(after.Add(soon+slack)) {
			t.Fatalf("put between %v and %v for %v, it expires at %v", before, after, soon, r.Expires)
		}
		has(ctx, t, s, r)
		expires(ctx, t, s, r)
		lists(ctx, t, s, "", "stays")
		_, err := s.Put(ctx, strategies.Write{Key: "goes", Revision: r.Revision})
		fails(t, "Put expecting what has expired", err, strategies.ErrConflict)
		fails(t, "Delete of what has expired", s.Delete(ctx, "goes", r.Revision), strategies.ErrNotFound)
		again := create(ctx, t, s, "goes", "2")
		if again.Revision <= r.Revision {
			t.Fatalf("revision %d after %d", again.Revision, r.Revision)
		}
		has(ctx, t, s, again)
	}},
	{"each write says anew when the record expires", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		longer := put(ctx, t, s, strategies.Write{Key: "longer", TTL: soon})
		ever := put(ctx, t, s, strategies.Write{Key: "ever", TTL: soon})
		shorter := put(ctx, t, s, strategies.Write{Key: "shorter", TTL: time.Hour})
		late := longer.Expires
		longer = put(ctx, t, s, strategies.Write{Key: "longer", TTL: time.Hour, Revision: longer.Revision})
		ever = put(ctx, t, s, strategies.Write{Key: "ever", Revision: ever.Revision})
		shorter = put(ctx, t, s, strategies.Write{Key: "shorter", TTL: soon, Revision: shorter.Revision})
		expires(ctx, t, s, shorter)
		waitFor(ctx, t, s, late.Add(soon))
		has(ctx, t, s, longer)
		has(ctx, t, s, ever)
	}},
	{"what expired is anybody's, and one gets it", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		expires(ctx, t, s, put(ctx, t, s, strategies.Write{Key: "a", TTL: soon}))
		oneWins(t, "create", func(int) error {
			_, err := s.Put(ctx, strategies.Write{Key: "a", TTL: time.Hour})
			return err
		}, strategies.ErrConflict)
	}},
	{"a deleted record does not expire again", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		r := put(ctx, t, s, strategies.Write{Key: "a", TTL: soon})
		if err := s.Delete(ctx, "a", r.Revision); err != nil {
			t.Fatal(err)
		}
		again := create(ctx, t, s, "a", "2")
		waitFor(ctx, t, s, r.Expires.Add(soon))
		has(ctx, t, s, again)
	}},
	{"a time to live that is none is refused", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		for _, ttl := range []time.Duration{-1, -time.Hour, 30, time.Microsecond} {
			_, err := s.Put(ctx, strategies.Write{Key: "a", TTL: ttl})
			fails(t, ttl.String(), err, strategies.ErrConfig)
		}
		lists(ctx, t, s, "")
		for _, ttl := range []time.Duration{10 * 365 * 24 * time.Hour} {
			has(ctx, t, s, put(ctx, t, s, strategies.Write{Key: "a", TTL: ttl}))
		}
	}},
	{"the clock goes forward as fast as time does", func(t testing.TB, open Open) {
		ctx, s := opened(t, open)
		began, first := time.Now(), now(ctx, t, s)
		last := first
		for range 10 {
			time.Sleep(20 * time.Millisecond)
			next := now(ctx, t, s)
			if next.Before(last) {
				t.Fatalf("%v, then %v", last, next)
			}
			last = next
		}
		if went, took := last.Sub(first), time.Since(began); went > took+20*time.Millisecond || went < 150*time.Millisecond {
			t.Fatalf("in %v it went %v", took, went)
		}
	}},
}

func now(ctx context.Context, t testing.TB, s strategies.Store) time.Time {
	t.Helper()
	at, err := s.Now(ctx)
	if err != nil || at.IsZero() {
		t.Fatalf("Now: %v, %v", at, err)
	}
	return at
}

// waitFor a time of the store's clock.
func waitFor(ctx context.Context, t testing.TB, s strategies.Store, at time.Time) {
	t.Helper()
	for began := time.Now(); now(ctx, t, s).Before(at); {
		if time.Since(began) > patience {
			t.Fatalf("it is not %v yet, by the store's clock", at)
		}
		time.Sleep(soon / 10)
	}
}

// expires waits until a record is gone: it must be there before its time and not after.
func expires(ctx context.Context, t testing.TB, s strategies.Store, r strategies.Record) {
	t.Helper()
	for began := time.Now(); ; {
		before := now(ctx, t, s)
		_, err := s.Get(ctx, r.Key)
		after := now(ctx, t, s)
		switch {
		case err == nil && !before.Before(r.Expires):
			t.Fatalf("%q was read at %v or later, it expires at %v", r.Key, before, r.Expires)
		case err == nil && time.Since(began) > patience:
			t.Fatalf("%q is still there, by a clock that says %v", r.Key, after)
		case err == nil:
			time.Sleep(5 * time.Millisecond)
			continue
		case !errors.Is(err, strategies.ErrNotFound):
			t.Fatalf("Get(%q): %v", r.Key, err)
		case after.Before(r.Expires):
			t.Fatalf("%q was gone at %v or before, it expires at %v", r.Key, after, r.Expires)
		}
		return
	}
}
