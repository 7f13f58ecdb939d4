package console_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/console"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// What an event costs the call that causes it, and that a call which goes well costs
// the same with a console and without.
func BenchmarkObserve(b *testing.B) {
	board, err := console.New(console.Settings{Agents: func() []*middleware.Owner { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("event", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			board.Observe(b.Context(), middleware.Event{Kind: middleware.EventAttemptFailed, Agent: "bard", Call: fmt.Sprint(n / 8), Time: time.Now(), Err: errSick})
		}
	})
	agent := func(context.Context, int) (int, error) { return 0, nil }
	for _, with := range []bool{false, true} {
		builder := middleware.WrapFunc(agent).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{})
		if with {
			builder.Observe(board)
		}
		g, err := builder.Build()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(map[bool]string{true: "healthy, with a console", false: "healthy, without"}[with], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = g.Run(b.Context(), 1)
			}
		})
	}
}

// A page of 10,000 open questions of a desk.
func BenchmarkPageOfMany(b *testing.B) {
	d := newDesk()
	in := console.Desk(d, func(i strategies.Incident) string { return fmt.Sprint(i.Request) })
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	for n := range 10_000 {
		go func() {
			_, _ = d.Decide(ctx, strategies.Incident{ID: fmt.Sprintf("%05d", n), Agent: "bard", Request: n})
		}()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(d.Open()) < 10_000 {
		<-tick.C
	}
	for b.Loop() {
		page, err := in.List(b.Context(), inbox.Query{After: "05000", Limit: 50})
		if err != nil || page.Total != 10_000 || len(page.Entries) != 50 || page.Entries[0].ID != "05001" {
			b.Fatalf("%d of %d, %v", len(page.Entries), page.Total, err)
		}
	}
}

// A console costs a call that goes well nothing.
func TestAHealthyCallCostsNothing(t *testing.T) {
	board, err := console.New(console.Settings{Agents: func() []*middleware.Owner { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	g, err := middleware.WrapFunc(func(context.Context, int) (int, error) { return 0, nil }).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{}).Observe(board).Build()
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = g.Run(t.Context(), 1) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
