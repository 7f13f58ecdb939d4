package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

func TestParkedCalls(t *testing.T) {
	bubble := func(name string, test func(t *testing.T, store strategies.Store)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &memory.Store{}
				defer store.Close()
				test(t, store)
			})
		})
	}
	park := func(t *testing.T, box *inbox.Inbox, agent middleware.Runner[string, string]) *middleware.Guarded[string, string] {
		return built(t, middleware.Wrap(agent).Named("bard").Identify().Intervene(middleware.Intervention{Ask: box, Park: true, Deadline: 72 * time.Hour}))
	}
	ticket := func(t *testing.T, err error) string {
		t.Helper()
		pending, ok := errors.AsType[*strategies.PendingError](err)
		if !ok {
			t.Fatalf("got %v, want a ticket", err)
		}
		return pending.Ticket
	}
	bubble("are answered by whoever resumes them", func(t *testing.T, store strategies.Store) {
		kept := inbox.Settings{Keep: time.Hour}
		web, worker := opened(t, store, kept), opened(t, store, kept)
		g := park(t, web, &sick{})
		_, err := g.Run(t.Context(), "May I have a refund?")
		id := ticket(t, err)
		_, err = inbox.Result[string](t.Context(), web, id)
		expectIs(t, err, strategies.ErrPending)
		agent := &second{}
		expect(t, "Resume", inbox.Resume(worker, park(t, worker, agent)), nil)
		time.Sleep(5 * time.Hour)
		_, err = web.Resolve(t.Context(), id, strategies.Decision{Action: strategies.ActionRetryNow, By: "Ada"})
		expect(t, "error", err, nil)
		got, err := inbox.Wait[string](t.Context(), web, id)
		expect(t, "error", err, nil)
		expect(t, "answer", got, "yes: May I have a refund?")
		expect(t, "calls", agent.called(), 1)
		got, err = inbox.Result[string](t.Context(), worker, id)
		expect(t, "error", err, nil)
		expect(t, "answer", got, "yes: May I have a refund?")
		e, err := web.Get(t.Context(), id)
		expect(t, "error", err, nil)
		expect(t, "stage", e.Stage, inbox.StageDone)
		expect(t, "request", e.Request, "")
		time.Sleep(2 * time.Hour)
		_, err = inbox.Result[string](t.Context(), worker, id)
		expectRefused(t, err, id, "is not known")
	})
	bubble("are answered by the person, and the agent is not called", func(t *testing.T, store strategies.Store) {
		box, agent := opened(t, store, inbox.Settings{}), &sick{}
		g := park(t, box, agent)
		expect(t, "Resume", inbox.Resume(box, g), nil)
		_, err := g.Run(t.Context(), "hello")
		id := ticket(t, err)
		_, err = box.Resolve(t.Context(), id, answer("by hand"))
		expect(t, "error", err, nil)
		got, err := inbox.Wait[string](t.Context(), box, id)
		expect(t, "error", err, nil)
		expect(t, "answer", got, "by hand")
		expect(t, "calls", agent.called(), 1)
	})
	bubble("expire, which is no yes", func(t *testing.T, store strategies.Store) {
		box, agent := opened(t, store, inbox.Settings{}), &sick{}
		g := park(t, box, agent)
		expect(t, "Resume", inbox.Resume(box, g), nil)
		_, err := g.Run(t.Context(), "hello")
		id, start := ticket(t, err), time.Now()
		_, err = inbox.Wait[string](t.Context(), box, id)
		expectIs(t, err, strategies.ErrRecovery)
		re, _ := errors.AsType[*strategies.RecoveryError](err)
		expect(t, "class", re.Class, strategies.ClassTransient)
		expect(t, "says why", strings.Contains(err.Error(), "no decision in time"), true)
		expect(t, "after", time.Since(start).Truncate(time.Minute), 72*time.Hour)
		expect(t, "calls", agent.called(), 1)
	})
	bubble("ask again under the same ticket, and refuse what was said to the first question", func(t *testing.T, store strategies.Store) {
		box, agent := opened(t, store, inbox.Settings{}), &sick{}
		g := park(t, box, agent)
		expect(t, "Resume", inbox.Resume(box, g), nil)
		_, err := g.Run(t.Context(), "hello")
		id := ticket(t, err)
		_, err = box.Resolve(t.Context(), id, strategies.Decision{Action: strategies.ActionRetryNow, By: "Ada"})
		expect(t, "error", err, nil)
		p, err := box.List(t.Context(), inbox.Query{}) // who has decided sees so
		expect(t, "error", err, nil)
		expect(t, "is open", slices.ContainsFunc(p.Entries, func(e inbox.Entry) bool { return e.ID == id }), false)
		e := listed(t, box, 1)[0]
		expect(t, "id", e.ID, id+".2")
		expect(t, "ticket", e.Ticket, id)
		expect(t, "round", e.Round, 2)
		expect(t, "earlier", e.Earlier[0].By, "Ada")
		_, err = box.Resolve(t.Context(), id, answer("of yesterday"))
		expectRefused(t, err, id, "was decided before, by Ada")
		_, err = box.Resolve(t.Context(), id+".3", answer("of tomorrow"))
		expectRefused(t, err, id+".3", "is not known")
		_, err = box.Resolve(t.Context(), e.ID, answer("by hand"))
		expect(t, "error", err, nil)
		got, err := inbox.Wait[string](t.Context(), box, id)
		expect(t, "error", err, nil)
		expect(t, "answer", got, "by hand")
		expect(t, "calls", agent.called(), 2)
	})
	bubble("are taken over from a process that died with them", func(t *testing.T, store strategies.Store) {
		cut := &inboxtest.Line{Store: store}
		dies, lives := opened(t, cut, inbox.Settings{}), opened(t, store, inbox.Settings{})
		begun, other := make(chan struct{}, 1), &second{}
		stuck := park(t, dies, middleware.Func(func(ctx context.Context, req string) (string, error) {
			select {
			case begun <- struct{}{}:
			default:
			}
			<-ctx.Done()
			return "", context.Cause(ctx)
		}))
		_, err := park(t, lives, &sick{}).Run(t.Context(), "hello")
		id := ticket(t, err)
		expect(t, "Resume", inbox.Resume(dies, stuck), nil)
		time.Sleep(time.Minute)
		_, err = lives.Resolve(t.Context(), id, strategies.Decision{Action: strategies.ActionRetryNow, By: "Ada"})
		expect(t, "error", err, nil)
		<-begun
		expect(t, "Resume", inbox.Resume(lives, park(t, lives, other)), nil)
		time.Sleep(time.Minute)
		expect(t, "not while it lives", other.called(), 0)
		cut.Cut()
		got, err := inbox.Wait[string](t.Context(), lives, id)
		expect(t, "error", err, nil)
		expect(t, "answer", got, "yes: hello")
		expect(t, "calls", other.called(), 1)
	})
	bubble("go to another process when theirs is closed", func(t *testing.T, store strategies.Store) {
		one, two := opened(t, store, inbox.Settings{}), opened(t, store, inbox.Settings{})
		begun := make(chan struct{}, 1)
		stuck := park(t, one, middleware.Func(func(ctx context.Context, req string) (string, error) {
			select {
			case begun <- struct{}{}:
			default:
			}
			<-ctx.Done()
			return "", context.Cause(ctx)
		}))
		_, err := park(t, two, &sick{}).Run(t.Context(), "hello")
		id := ticket(t, err)
		expect(t, "Resume", inbox.Resume(one, stuck), nil)
		_, _ = two.Resolve(t.Context(), id, retryNow)
		<-begun
		expect(t, "Resume", inbox.Resume(two, park(t, two, &second{})), nil)
		start := time.Now()
		expect(t, "Close", one.Close(), nil)
		got, err := inbox.Wait[string](t.Context(), two, id)
		expect(t, "error", err, nil)
		expect(t, "answer", got, "yes: hello")
		expect(t, "at once", time.Since(start) < time.Second, true)
	})
	bubble("can be withdrawn", func(t *testing.T, store strategies.Store) {
		box, agent := opened(t, store, inbox.Settings{}), &sick{}
		g := park(t, box, agent)
		expect(t, "Resume", inbox.Resume(box, g), nil)
		_, err := g.Run(t.Context(), "hello")
		id := ticket(t, err)
		_, err = box.Withdraw(t.Context(), id, "Ada", "she called")
		expect(t, "error", err, nil)
		_, err = inbox.Wait[string](t.Context(), box, id)
		expect(t, "says why", fmt.Sprint(err), "understudy: the call was withdrawn by Ada: she called")
		_, err = box.Resolve(t.Context(), id, retryNow)
		expectRefused(t, err, id, "was withdrawn at")
	})
	bubble("can be withdrawn also when nobody goes on with them", func(t *testing.T, store strategies.Store) {
		box := opened(t, store, inbox.Settings{})
		_, err := park(t, box, &sick{}).Run(t.Context(), "hello")
		id := ticket(t, err)
		_, err = box.Resolve(t.Context(), id, retryNow)
		expect(t, "error", err, nil)
		time.Sleep(time.Hour)
		p, err := box.List(t.Context(), inbox.Query{Parked: true})
		expect(t, "error", err, nil)
		expect(t, "parked", p.Total, 1)
		_, err = box.Withdraw(t.Context(), id, "Ada", "the agent is gone")
		expect(t, "error", err, nil)
		_, err = inbox.Result[string](t.Context(), box, id)
		expect(t, "says why", fmt.Sprint(err), "understudy: the call was withdrawn by Ada: the agent is gone")
		_, err = box.Withdraw(t.Context(), id, "Ada", "again")
		expectRefused(t, err, id, "was withdrawn at")
	})
	bubble("keep their ticket when they are made again, unless they have failed", func(t *testing.T, store strategies.Store) {
		one, two := opened(t, store, inbox.Settings{}), opened(t, store, inbox.Settings{})
		ctx := middleware.WithCallID(t.Context(), "order 17")
		_, err := park(t, one, &sick{}).Run(ctx, "hello")
		id := ticket(t, err)
		_, err = park(t, two, &sick{}).Run(ctx, "hello")
		expect(t, "ticket", ticket(t, err), id)
		listed(t, two, 1)
		_, err = park(t, two, &sick{}).Run(middleware.WithCallID(t.Context(), "order 18"), "hello")
		expect(t, "of another call", ticket(t, err) == id, false)
		_, err = two.Withdraw(t.Context(), id, "Ada", "")
		expect(t, "error", err, nil)
		_, err = park(t, one, &sick{}).Run(ctx, "hello")
		expect(t, "anew", ticket(t, err) == id, false)
	})
	bubble("are not kept if they are too large", func(t *testing.T, store strategies.Store) {
		box := opened(t, store, inbox.Settings{MaxRequest: 10})
		_, err := park(t, box, &sick{}).Run(t.Context(), "more than ten")
		expect(t, "says why", strings.Contains(fmt.Sprint(err), "at most 10 are kept (Settings.MaxRequest)"), true)
		expectIs(t, err, strategies.ErrRecovery)
	})
}

// second answers, and counts how often it was asked.
type second struct{ sick }

func (s *second) Run(ctx context.Context, req string) (string, error) {
	_, _ = s.sick.Run(ctx, req)
	return "yes: " + req, nil
}
