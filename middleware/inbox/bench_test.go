package inbox_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// A page of what is open, with 10,000 open, and one in a store that it is read from.
func BenchmarkList(b *testing.B) {
	store := &memory.Store{}
	defer store.Close()
	box, err := inbox.Open(store, inbox.Settings{Show: func(strategies.Incident) string { return "Is the gate open?" }})
	if err != nil {
		b.Fatal(err)
	}
	defer box.Close()
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	i := incident()
	const open = 10_000
	for n := range open {
		i.ID = fmt.Sprintf("01932c07-209c-7f3a-9d4e-%012d", n)
		if _, err := box.Park(ctx, i); err != nil {
			b.Fatal(err)
		}
	}
	changes, err := box.Watch(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for range open {
		<-changes
	}
	for name, q := range map[string]inbox.Query{
		"first page": {}, "last page": {After: fmt.Sprintf("01932c07-209c-7f3a-9d4e-%012d", open-51)}, "newest of an agent": {Agent: "bard", Newest: true, Limit: 500},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				p, err := box.List(ctx, q)
				if err != nil || p.Total != open {
					b.Fatal(p.Total, err)
				}
			}
		})
	}
	b.Run("the store's own list, for comparison", func(b *testing.B) {
		for b.Loop() {
			if _, err := store.List(ctx, "inbox/v1/open/"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// From a decision to its caller, and all that it takes to ask.
func BenchmarkDecision(b *testing.B) {
	store := &memory.Store{}
	defer store.Close()
	box, err := inbox.Open(store, inbox.Settings{})
	if err != nil {
		b.Fatal(err)
	}
	defer box.Close()
	changes, err := box.Watch(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for c := range changes {
			if c.Kind == inbox.ChangeEntry && c.Entry.State == inbox.StateOpen {
				_, _ = box.Resolve(b.Context(), c.Entry.ID, retryNow)
			}
		}
	}()
	i := incident()
	n := 0
	for b.Loop() {
		n++
		i.ID = fmt.Sprint("x-", n)
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		if _, err := box.Decide(ctx, i); err != nil {
			b.Fatal(err)
		}
		cancel()
	}
}
