package middleware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func TestDesk(t *testing.T) {
	t.Run("it hands over incidents and takes decisions", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk := middleware.NewDesk(1)
			g := built(t, middleware.Wrap(plays(errSick)).Intervene(asking(desk)))
			go func() {
				incident := <-desk.Incidents()
				time.Sleep(time.Minute)
				if err := desk.Resolve(incident.ID, answer("by hand")); err != nil {
					t.Error(err)
				}
			}()
			o := g.Outcome(t.Context(), "hello")
			expect(t, "answer", o.Value, "by hand")
			expect(t, "elapsed", o.Elapsed, time.Minute)
		})
	})
	t.Run("it refuses a decision that is too late, repeated or about nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk := middleware.NewDesk(1)
			refused := func(id string) {
				t.Helper()
				problem, ok := errors.AsType[*strategies.InterventionError](desk.Resolve(id, retryNow))
				if !ok || problem.Incident != id {
					t.Errorf("refusal = %v, want an InterventionError about %s", problem, id)
				}
			}
			g := built(t, middleware.Wrap(plays(errSick)).Intervene(middleware.Intervention{Ask: desk, Deadline: time.Second}))
			refused("agent-1")
			failing(t, g) // expires
			refused((<-desk.Incidents()).ID)
			done := make(chan error)
			go func() { _, err := g.Run(t.Context(), "hello"); done <- err }()
			id := (<-desk.Incidents()).ID
			expect(t, "first decision", desk.Resolve(id, answer("hi")), nil)
			refused(id)
			expect(t, "call", <-done, nil)
			refused(id)
		})
	})
	t.Run("an incident beyond its room waits until its question expires", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk, start := middleware.NewDesk(-1), time.Now() // no room at all
			g := built(t, middleware.Wrap(plays(errSick)).Intervene(middleware.Intervention{Ask: desk, Deadline: time.Second}))
			failing(t, g)
			expect(t, "elapsed", time.Since(start), time.Second)
			select {
			case i := <-desk.Incidents():
				t.Errorf("an expired incident was handed over: %s", i)
			default:
			}
		})
	})
	t.Run("it ends with its context, with the cause", func(t *testing.T) {
		hangUp := errors.New("hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(hangUp)
		_, err := middleware.NewDesk(1).Decide(ctx, strategies.Incident{ID: "x"})
		expectIs(t, err, hangUp)
	})
	t.Run("it keeps incidents of one name apart by refusing the second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			desk := middleware.NewDesk(2)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { _, _ = desk.Decide(ctx, strategies.Incident{ID: "x"}) }()
			synctest.Wait()
			_, err := desk.Decide(t.Context(), strategies.Incident{ID: "x"})
			expect(t, "refused", err != nil, true)
			cancel()
			synctest.Wait()
			expect(t, "waiting", len(desk.Incidents()), 1)
		})
	})
	t.Run("the zero desk fails the question, not the process", func(t *testing.T) {
		err := failing(t, built(t, middleware.Wrap(plays(errSick)).Intervene(asking(&middleware.Desk{}))))
		expectIs(t, err, errSick)
		if _, ok := errors.AsType[*strategies.InterventionError](err); !ok {
			t.Errorf("error = %v, want an InterventionError in it", err)
		}
	})
}
