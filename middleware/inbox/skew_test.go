package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/farstore"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

// An inbox does the same however far its own clock is from the store's, and what it
// writes down for others is of the store's clock.
func TestInboxSkewedClocks(t *testing.T) {
	for _, ahead := range []time.Duration{-2 * time.Hour, 0, 2 * time.Hour} {
		bubble := func(name string, test func(t *testing.T, c *farstore.Cloud, wire func() *farstore.Wire)) {
			t.Run(fmt.Sprint(ahead, "/", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, seed := &farstore.Cloud{Ahead: ahead}, uint64(0)
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					test(t, c, func() *farstore.Wire {
						seed++
						return c.Wire(ctx, seed, 2*time.Millisecond, 0)
					})
				})
			})
		}
		bubble("a question expires when it should", func(t *testing.T, _ *farstore.Cloud, wire func() *farstore.Wire) {
			line := wire()
			asks, other := opened(t, line, inbox.Settings{}), opened(t, wire(), inbox.Settings{})
			defer asks.Close()
			defer other.Close()
			time.Sleep(time.Minute)
			began := time.Now()
			done := calls(t, asking(t, middleware.Intervention{Ask: asks, Deadline: 10 * time.Minute}), "hello")
			e := listed(t, other, 1)[0]
			about(t, "opened", e.Opened, began.Add(ahead))
			about(t, "deadline", e.Deadline, began.Add(ahead+10*time.Minute))
			page, err := other.List(t.Context(), inbox.Query{})
			expect(t, "error", err, nil)
			about(t, "now", page.Now, time.Now().Add(ahead))
			e, err = other.Claim(t.Context(), e.ID, "Ada", time.Minute)
			expect(t, "error", err, nil)
			expect(t, "claimed", e.Claimed(time.Now().Add(ahead+50*time.Second)), "Ada")
			expect(t, "claimed", e.Claimed(time.Now().Add(ahead+61*time.Second)), "")
			inboxRecords(t, line, ahead)
			time.Sleep(9 * time.Minute)
			listed(t, other, 1)
			<-done
			about(t, "expired", time.Now(), began.Add(10*time.Minute))
			time.Sleep(time.Minute)
			got, err := other.Get(t.Context(), e.ID)
			expect(t, "error", err, nil)
			expect(t, "state", got.State, inbox.StateExpired)
			about(t, "closed", got.Closed, began.Add(ahead+10*time.Minute))
			inboxRecords(t, line, ahead)
		})
		bubble("who is gone is found gone, and who lives is not", func(t *testing.T, _ *farstore.Cloud, wire func() *farstore.Wire) {
			line := wire()
			beat := inbox.Settings{Heartbeat: 10 * time.Second}
			dies, other := opened(t, line, beat), opened(t, wire(), beat)
			defer dies.Close()
			defer other.Close()
			time.Sleep(time.Minute)
			done := calls(t, asking(t, middleware.Intervention{Ask: dies, Deadline: 6 * time.Hour}), "hello")
			id := listed(t, other, 1)[0].ID
			time.Sleep(3 * time.Hour)
			expect(t, "still open", listed(t, other, 1)[0].State, inbox.StateOpen)
			line.Cut(true)
			time.Sleep(15 * time.Second)
			expect(t, "a heartbeat was missed", listed(t, other, 1)[0].State, inbox.StateOpen)
			time.Sleep(time.Minute)
			got, err := other.Get(t.Context(), id)
			expect(t, "error", err, nil)
			expect(t, "state", got.State, inbox.StateOrphaned)
			about(t, "closed", got.Closed, time.Now().Add(ahead-50*time.Second))
			line.Cut(false)
			<-done
		})
		bubble("a parked call is gone on with, and expires", func(t *testing.T, _ *farstore.Cloud, wire func() *farstore.Wire) {
			line := wire()
			web, worker := opened(t, line, inbox.Settings{Keep: time.Hour}), opened(t, wire(), inbox.Settings{Keep: time.Hour})
			defer web.Close()
			defer worker.Close()
			parks := func(agent middleware.Runner[string, string]) *middleware.Guarded[string, string] {
				return built(t, middleware.Wrap(agent).Named("bard").Identify().Intervene(middleware.Intervention{Ask: web, Park: true, Deadline: time.Hour}))
			}
			ticket := func(err error) string {
				pending, ok := errors.AsType[*strategies.PendingError](err)
				expect(t, "is pending", ok, true)
				return pending.Ticket
			}
			g := parks(&sick{})
			agent := &second{}
			expect(t, "Resume", inbox.Resume(worker, parks(agent)), nil)
			_, err := g.Run(t.Context(), "one")
			first := ticket(err)
			_, err = g.Run(t.Context(), "two")
			late, began := ticket(err), time.Now()
			time.Sleep(50 * time.Minute)
			_, err = worker.Resolve(t.Context(), first, strategies.Decision{Action: strategies.ActionRetryNow, By: "Ada"})
			expect(t, "error", err, nil)
			got, err := inbox.Wait[string](t.Context(), web, first)
			expect(t, "error", err, nil)
			expect(t, "answer", got, "yes: one")
			_, err = inbox.Wait[string](t.Context(), web, late)
			expectIs(t, err, strategies.ErrRecovery)
			about(t, "expired", time.Now(), began.Add(time.Hour))
			expect(t, "calls", agent.called(), 1)
			inboxRecords(t, line, ahead)
		})
	}
}

func about(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if off := got.Sub(want); off.Abs() > 45*time.Second {
		t.Errorf("%s: %v, which is %v from %v", what, got, off, want)
	}
}

// inboxRecords wants each moment in each record to be of the store's clock.
func inboxRecords(t *testing.T, store strategies.Store, ahead time.Duration) {
	t.Helper()
	all, err := store.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, r := range all {
		var value map[string]any
		if json.Unmarshal(r.Value, &value) != nil {
			continue // a sign of life, or where a call is
		}
		for name, v := range value {
			text, _ := v.(string)
			if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
				found++
				if off := at.Sub(time.Now().Add(ahead)); off.Abs() > 65*time.Minute {
					t.Errorf("%q: %s is %v from the store's clock", r.Key, name, off)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no record has a moment in it")
	}
}
