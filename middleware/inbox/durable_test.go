package inbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/inboxtest"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

func opened(t *testing.T, store strategies.Store, s inbox.Settings) *inbox.Inbox {
	t.Helper()
	box, err := inbox.Open(store, s)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = box.Close() })
	return box
}

// listed waits for n entries.
func listed(t *testing.T, box *inbox.Inbox, n int) []inbox.Entry {
	t.Helper()
	for range 1000 {
		p, err := box.List(t.Context(), inbox.Query{})
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if len(p.Entries) == n {
			return p.Entries
		}
		time.Sleep(10 * time.Millisecond) // in a bubble
	}
	t.Fatalf("never %d entries", n)
	return nil
}

type reply struct {
	text string
	err  error
}

func calls(t *testing.T, g *middleware.Guarded[string, string], req string) <-chan reply {
	return callsWith(t.Context(), g, req)
}

func callsWith(ctx context.Context, g *middleware.Guarded[string, string], req string) <-chan reply {
	done := make(chan reply, 1)
	go func() { text, err := g.Run(ctx, req); done <- reply{text, err} }()
	return done
}

func show(i strategies.Incident) string { return fmt.Sprint(i.Request) }

func TestInboxDecides(t *testing.T) {
	bubble := func(name string, test func(t *testing.T, store strategies.Store)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &memory.Store{}
				defer store.Close()
				test(t, store)
			})
		})
	}
	bubble("in another process than the one that asks", func(t *testing.T, store strategies.Store) {
		asks, decides := opened(t, store, inbox.Settings{Show: show}), opened(t, store, inbox.Settings{})
		g := asking(t, middleware.Intervention{Ask: asks, Deadline: time.Minute})
		done := calls(t, g, "Is the gate open?")
		e := listed(t, decides, 1)[0]
		expect(t, "request", e.Request, "Is the gate open?")
		expect(t, "agent", e.Agent, "agent")
		expect(t, "attempts", e.Attempts, []inbox.Attempt{{Agent: "agent", Class: strategies.ClassTransient, Error: errSick.Error()}})
		expect(t, "answers", e.Answers, []string{"string"})
		expect(t, "deadline", e.Deadline.Sub(e.Opened), 59*time.Second)
		after, err := decides.Resolve(t.Context(), e.ID, answer("It is."))
		expect(t, "error", err, nil)
		expect(t, "state", after.State, inbox.StateDecided)
		expect(t, "answer", <-done, reply{text: "It is."})
		time.Sleep(time.Second)
		p, err := asks.List(t.Context(), inbox.Query{Closed: true})
		expect(t, "error", err, nil)
		expect(t, "kept", p.Total, 1)
		expect(t, "by", p.Entries[0].Decision.By, "Ada")
		listed(t, decides, 0)
	})
	bubble("once: the second is told by whom and when", func(t *testing.T, store strategies.Store) {
		box := opened(t, store, inbox.Settings{})
		done := calls(t, asking(t, middleware.Intervention{Ask: box}), "hello")
		e := listed(t, box, 1)[0]
		_, err := box.Resolve(t.Context(), e.ID, strategies.Decision{Action: strategies.ActionAnswer, Value: "first", By: "Ada", Reason: "I know"})
		expect(t, "error", err, nil)
		for range 2 { // at once, and when the record was put away
			_, err = box.Resolve(t.Context(), e.ID, retryNow)
			expectRefused(t, err, e.ID, "was decided before, by Ada at "+time.Now().Truncate(time.Minute).Format("2006-01-02T15:04"))
			closed, ok := errors.AsType[*inbox.ClosedError](err)
			expect(t, "the entry", ok && closed.Entry.Decision.Reason == "I know", true)
			expect(t, "answer", (<-done).text, "first")
			done = closedWith("first")
			time.Sleep(time.Second)
		}
	})
	bubble("no wrong type: the question stays open", func(t *testing.T, store strategies.Store) {
		box, other := opened(t, store, inbox.Settings{}), opened(t, store, inbox.Settings{})
		done := calls(t, asking(t, middleware.Intervention{Ask: box, Rounds: 1}), "hello")
		e := listed(t, other, 1)[0]
		for _, b := range []*inbox.Inbox{box, other} {
			_, err := b.Resolve(t.Context(), e.ID, answer(42))
			expectRefused(t, err, e.ID, "answers with a int where a string is wanted")
			_, err = b.Resolve(t.Context(), e.ID, answer(nil))
			expectRefused(t, err, e.ID, "it is nothing")
			_, err = b.Resolve(t.Context(), e.ID, strategies.Decision{Action: strategies.ActionUseAgent, Agent: "ghost"})
			expectRefused(t, err, e.ID, "names an unknown agent")
			_, err = b.Resolve(t.Context(), e.ID, strategies.Decision{Action: 77})
			expectRefused(t, err, e.ID, "knows no action")
		}
		_, err := box.Resolve(t.Context(), e.ID, answer(json.RawMessage("42")))
		expectRefused(t, err, e.ID, "is no string")
		_, err = other.Resolve(t.Context(), e.ID, answer(json.RawMessage(`"as JSON"`)))
		expect(t, "error", err, nil)
		expect(t, "answer", <-done, reply{text: "as JSON"})
	})
	bubble("nothing when the question expires", func(t *testing.T, store strategies.Store) {
		box := opened(t, store, inbox.Settings{})
		agent := &sick{}
		g := built(t, middleware.Wrap(agent).Intervene(middleware.Intervention{Ask: box, Deadline: time.Minute}))
		done := calls(t, g, "hello")
		e := listed(t, box, 1)[0]
		time.Sleep(time.Minute)
		expectIs(t, (<-done).err, context.DeadlineExceeded)
		time.Sleep(time.Second)
		_, err := box.Resolve(t.Context(), e.ID, retryNow)
		expectRefused(t, err, e.ID, "has expired")
		got, err := box.Get(t.Context(), e.ID)
		expect(t, "error", err, nil)
		expect(t, "state", got.State, inbox.StateExpired)
		expect(t, "calls", agent.called(), 1)
	})
	bubble("nothing when the caller has gone", func(t *testing.T, store strategies.Store) {
		box := opened(t, store, inbox.Settings{})
		ctx, cancel := context.WithCancel(t.Context())
		done := callsWith(ctx, asking(t, middleware.Intervention{Ask: box}), "hello")
		e := listed(t, box, 1)[0]
		cancel()
		expectIs(t, (<-done).err, context.Canceled)
		time.Sleep(time.Second)
		_, err := box.Resolve(t.Context(), e.ID, retryNow)
		expectRefused(t, err, e.ID, "was withdrawn")
		listed(t, box, 0)
	})
	bubble("by a quorum: two people who say the same", func(t *testing.T, store strategies.Store) {
		box := opened(t, store, inbox.Settings{Quorum: 2})
		done := calls(t, asking(t, middleware.Intervention{Ask: box}), "hello")
		e := listed(t, box, 1)[0]
		says := func(by string, d strategies.Decision, want inbox.State) {
			t.Helper()
			d.By = by
			got, err := box.Resolve(t.Context(), e.ID, d)
			expect(t, "error", err, nil)
			expect(t, by, got.State, want)
		}
		_, err := box.Resolve(t.Context(), e.ID, strategies.Decision{Action: strategies.ActionRetryNow})
		expectRefused(t, err, e.ID, "needs 2 people")
		says("Ada", answer("yes"), inbox.StateOpen)
		says("Ada", answer("yes"), inbox.StateOpen) // one person is one
		says("Bob", answer("no"), inbox.StateOpen)
		says("Bob", retryNow, inbox.StateOpen)
		says("Cleo", answer("yes"), inbox.StateDecided)
		expect(t, "answer", <-done, reply{text: "yes"})
	})
	bubble("an abort by one of two", func(t *testing.T, store strategies.Store) {
		box := opened(t, store, inbox.Settings{Quorum: 2})
		done := calls(t, asking(t, middleware.Intervention{Ask: box}), "hello")
		e := listed(t, box, 1)[0]
		got, err := box.Resolve(t.Context(), e.ID, strategies.Decision{By: "Ada", Reason: "too dear"})
		expect(t, "error", err, nil)
		expect(t, "state", got.State, inbox.StateDecided)
		expect(t, "says why", strings.Contains((<-done).err.Error(), "aborted by Ada: too dear"), true)
	})
	bubble("what is claimed, by whoever it is", func(t *testing.T, store strategies.Store) {
		box := opened(t, store, inbox.Settings{})
		done := calls(t, asking(t, middleware.Intervention{Ask: box}), "hello")
		e := listed(t, box, 1)[0]
		got, err := box.Claim(t.Context(), e.ID, "Ada", time.Minute)
		expect(t, "error", err, nil)
		expect(t, "claimed", got.Claimed(time.Now()), "Ada")
		_, err = box.Claim(t.Context(), e.ID, "Bob", 0)
		expectRefused(t, err, e.ID, "is claimed by Ada until")
		expect(t, "typed", errors.As(err, new(*inbox.ClaimedError)), true)
		_, err = box.Release(t.Context(), e.ID, "Bob")
		expectRefused(t, err, e.ID, "is claimed by Ada until")
		time.Sleep(time.Minute)
		got, err = box.Claim(t.Context(), e.ID, "Bob", 0)
		expect(t, "error", err, nil)
		expect(t, "claimed then", got.Claimed(time.Now()), "Bob")
		_, err = box.Resolve(t.Context(), e.ID, answer("hi"))
		expect(t, "error", err, nil)
		expect(t, "answer", <-done, reply{text: "hi"})
	})
	bubble("for nobody once the process that asked has died", func(t *testing.T, store strategies.Store) {
		cut := &inboxtest.Line{Store: store}
		dies, lives := opened(t, cut, inbox.Settings{}), opened(t, store, inbox.Settings{})
		_ = calls(t, asking(t, middleware.Intervention{Ask: dies, Deadline: 5 * time.Minute}), "hello")
		e := listed(t, lives, 1)[0]
		time.Sleep(time.Minute)
		listed(t, lives, 1)
		cut.Cut()
		time.Sleep(45 * time.Second)
		got, err := lives.Get(t.Context(), e.ID)
		expect(t, "error", err, nil)
		expect(t, "state", got.State, inbox.StateOrphaned)
		_, err = lives.Resolve(t.Context(), e.ID, retryNow)
		expectRefused(t, err, e.ID, "of a process that is gone")
		time.Sleep(10 * time.Minute)
	})
	bubble("also after the store was away for long: nobody is taken for dead who lives", func(t *testing.T, store strategies.Store) {
		flaky := &inboxtest.Line{Store: store}
		one, two := opened(t, flaky, inbox.Settings{}), opened(t, flaky, inbox.Settings{})
		done := calls(t, asking(t, middleware.Intervention{Ask: one, Deadline: time.Hour}), "hello")
		e := listed(t, two, 1)[0]
		flaky.Cut()
		time.Sleep(10 * time.Minute)
		flaky.Mend()
		time.Sleep(time.Minute)
		_, err := two.Resolve(t.Context(), e.ID, answer("hi"))
		expect(t, "error", err, nil)
		expect(t, "answer", <-done, reply{text: "hi"})
	})
}

func closedWith(text string) <-chan reply {
	c := make(chan reply, 1)
	c <- reply{text: text}
	return c
}

func TestInboxWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory.Store{}
		defer store.Close()
		box, other := opened(t, store, inbox.Settings{}), opened(t, store, inbox.Settings{})
		first := calls(t, asking(t, middleware.Intervention{Ask: box}), "hello")
		e := listed(t, other, 1)[0]
		ctx, cancel := context.WithCancel(t.Context())
		changes, err := other.Watch(ctx)
		expect(t, "error", err, nil)
		next := func(kind inbox.ChangeKind, state inbox.State) inbox.Entry {
			t.Helper()
			c := <-changes
			expect(t, "kind", c.Kind, kind)
			expect(t, "state", c.Entry.State, state)
			return c.Entry
		}
		expect(t, "id", next(inbox.ChangeEntry, inbox.StateOpen).ID, e.ID)
		next(inbox.ChangeCurrent, "")
		_, _ = box.Claim(t.Context(), e.ID, "Ada", 0)
		expect(t, "claim", next(inbox.ChangeEntry, inbox.StateOpen).Claim.By, "Ada")
		_, _ = box.Resolve(t.Context(), e.ID, answer("hi"))
		<-first
		time.Sleep(time.Second) // it is put away by then
		expect(t, "decision", next(inbox.ChangeEntry, inbox.StateDecided).Decision.By, "Ada")
		cancel()
		for range changes {
		}
	})
}

func TestAClosedInboxResumesNobody(t *testing.T) {
	store := &memory.Store{}
	defer store.Close()
	box := opened(t, store, inbox.Settings{})
	g := built(t, middleware.Wrap[string, string](&sick{}).Named("bard").Identify().Intervene(middleware.Intervention{Ask: box, Park: true, Deadline: time.Hour}))
	expect(t, "Close", box.Close(), nil)
	expect(t, "refused", inbox.Resume(box, g) != nil, true)
}
