package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// RunReplicas tests two stores that are opened on the same records, as two replicas of a
// program have them. Stores whose records are their own need no such test.
func RunReplicas(t *testing.T, open func(t testing.TB) (a, b strategies.Store)) {
	for _, c := range replicaChecks {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t)
			t.Cleanup(func() { closeStore(t, a); closeStore(t, b) })
			ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
			defer cancel()
			c.run(ctx, t, a, b)
		})
	}
}

var replicaChecks = []struct {
	name string
	run  func(ctx context.Context, t testing.TB, a, b strategies.Store)
}{
	{"what one writes the other reads and cannot overwrite", func(ctx context.Context, t testing.TB, a, b strategies.Store) {
		r := create(ctx, t, a, "x", "1")
		has(ctx, t, b, r)
		_, err := b.Put(ctx, strategies.Write{Key: "x"})
		fails(t, "a second creation", err, strategies.ErrConflict)
		r = put(ctx, t, b, strategies.Write{Key: "x", Value: []byte("2"), Revision: r.Revision})
		has(ctx, t, a, r)
		lists(ctx, t, a, "", "x")
		readsFollow(ctx, t, a, b)
	}},
	{"together they lose nothing", func(ctx context.Context, t testing.TB, a, b strategies.Store) {
		count(ctx, t, []strategies.Store{a, b}, 10)
	}},
	{"what one writes the other is told", func(ctx context.Context, t testing.TB, a, b strategies.Store) {
		w := watch(ctx, t, b, "")
		w.until("the mark", func() bool { return w.marks == 1 })
		for i := range 20 {
			w.knows(create(ctx, t, a, fmt.Sprint("k", i), "1"))
		}
		if err := a.Delete(ctx, "k3", strategies.AnyRevision); err != nil {
			t.Fatal(err)
		}
		w.until("the deletion", func() bool { return len(w.there) == 19 })
		r := put(ctx, t, a, strategies.Write{Key: "k3", TTL: soon})
		w.knows(r)
		w.until("the expiry", func() bool { return len(w.there) == 19 })
	}},
	{"a lease has one holder at a time", func(ctx context.Context, t testing.TB, a, b strategies.Store) {
		type term struct{ from, to time.Time }
		terms := make(chan term, 100)
		parallel(t, 4, func(g int) error {
			s := []strategies.Store{a, b}[g%2]
			for held := 0; held < 3; {
				r, err := s.Put(ctx, strategies.Write{Key: "lease", Value: fmt.Append(nil, g), TTL: 40 * time.Millisecond})
				if err != nil {
					time.Sleep(3 * time.Millisecond)
					continue
				}
				terms <- term{r.Expires.Add(-40 * time.Millisecond), r.Expires}
				held++
			}
			return nil
		})
		close(terms)
		var last term
		for next := range terms {
			if next.from.Before(last.from) {
				continue // the channel's order is the goroutines', not the store's
			}
			if next.from.Before(last.to.Add(-2 * time.Millisecond)) {
				t.Fatalf("a term began at %v, the one before ended at %v", next.from, last.to)
			}
			last = next
		}
	}},
	{"when one is closed the other goes on", func(ctx context.Context, t testing.TB, a, b strategies.Store) {
		r := create(ctx, t, a, "x", "1")
		w := watch(ctx, t, b, "")
		w.knows(r)
		closeStore(t, a)
		has(ctx, t, b, r)
		w.knows(put(ctx, t, b, strategies.Write{Key: "x", Value: []byte("2"), Revision: r.Revision}))
	}},
}
