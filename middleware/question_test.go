package middleware_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// deafAsk is an Ask that does not look at its context, and decides in the end.
func deafAsk(d time.Duration, decision strategies.Decision) strategies.IntervenorFunc {
	return func(context.Context, strategies.Incident) (strategies.Decision, error) {
		time.Sleep(d)
		return decision, nil
	}
}

const grace = 100 * time.Millisecond

func TestADeafAskHoldsNobody(t *testing.T) {
	t.Run("the question ends on time, and what is decided later is refused and told of", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			agent, told := plays(errSick), &diary{}
			g := built(t, middleware.Wrap(agent).Named("bard").Observe(told).
				Intervene(middleware.Intervention{Ask: deafAsk(time.Hour, answer("too late")), Deadline: time.Minute, Default: answer("we will call you back")}))
			o := g.Outcome(t.Context(), "hello")
			expect(t, "answer", o.Value, "we will call you back")
			expect(t, "elapsed", o.Elapsed, time.Minute+grace)
			expect(t, "left behind", g.Health().LeftBehind, 1)
			expect(t, "told of", told.only(t, middleware.EventWorkAbandoned).Count, 1)
			time.Sleep(time.Hour)
			expect(t, "left behind in the end", g.Health().LeftBehind, 0)
			late := told.only(t, middleware.EventDecisionRefused)
			expect(t, "incident", late.Incident, told.only(t, middleware.EventPersonAsked).Incident)
			expect(t, "by", late.By, "Ada")
			expect(t, "decision", late.Decision, "answer")
			expect(t, "says why", strings.Contains(late.Err.Error(), "too late"), true)
			expect(t, "calls", agent.called(), 1)
		})
	})
	t.Run("one that is only a little late holds it for as long, and is refused too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			told := &diary{}
			g := built(t, middleware.Wrap(plays(errSick)).Observe(told).
				Intervene(middleware.Intervention{Ask: deafAsk(time.Minute+time.Millisecond, answer("too late")), Deadline: time.Minute}))
			o := g.Outcome(t.Context(), "hello")
			expectIs(t, o.Err, errSick, context.DeadlineExceeded)
			expect(t, "elapsed", o.Elapsed, time.Minute+time.Millisecond)
			told.only(t, middleware.EventDecisionRefused)
		})
	})
	t.Run("a caller who cancels is not held either", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			g := built(t, middleware.Wrap(plays(errSick)).Intervene(asking(deafAsk(time.Hour, retryNow))))
			_, err := g.Run(ctx, "hello")
			expectIs(t, err, errSick, context.Canceled)
			expect(t, "elapsed", time.Since(start), time.Second+grace)
			time.Sleep(time.Hour)
		})
	})
	t.Run("while sixteen are left behind nobody is asked, and then again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var asked atomic.Int64 // those that are left behind count too
			ask := strategies.IntervenorFunc(func(ctx context.Context, i strategies.Incident) (strategies.Decision, error) {
				asked.Add(1)
				return deafAsk(time.Hour, retryNow)(ctx, i)
			})
			g := built(t, middleware.Wrap(plays(errSick)).Intervene(middleware.Intervention{Ask: ask, Deadline: time.Minute, Default: answer("later")}))
			for range 20 {
				got, err := g.Run(t.Context(), "hello")
				expect(t, "error", err, nil)
				expect(t, "answer", got, "later")
			}
			expect(t, "asked", asked.Load(), int64(16))
			expect(t, "left behind", g.Health().LeftBehind, 16)
			time.Sleep(time.Hour)
			expect(t, "left behind in the end", g.Health().LeftBehind, 0)
			_, _ = g.Run(t.Context(), "hello")
			expect(t, "asked then", asked.Load(), int64(17))
			time.Sleep(time.Hour)
		})
	})
	t.Run("a question about an effect ends on time too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			told, paid := &diary{}, 0
			pay := middleware.WrapTool("pay", strategies.EffectOnce, func(context.Context, int) (string, error) { paid++; return "paid", nil }).
				Approve(deafAsk(time.Hour, retryNow), time.Minute)
			g := built(t, middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) { return pay.Run(ctx, 100) }).
				Effects(middleware.Effects{}).Observe(told))
			start := time.Now()
			_, err := g.Run(t.Context(), "hello")
			expect(t, "approved", err == nil, false)
			expect(t, "elapsed", time.Since(start), time.Minute+grace)
			time.Sleep(time.Hour)
			expect(t, "paid", paid, 0)
			told.only(t, middleware.EventDecisionRefused)
		})
	})
	t.Run("an Ask that ends its goroutine is no decision", func(t *testing.T) {
		ask := strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
			runtime.Goexit()
			return retryNow, nil
		})
		err := failing(t, built(t, middleware.Wrap(plays(errSick)).Intervene(asking(ask))))
		expect(t, "says so", strings.Contains(err.Error(), "ended its goroutine"), true)
	})
}

// An http.TimeoutHandler answers its client at the deadline of the context, and does
// not cancel it before: a decision that comes then would be acted on unseen.
func TestInterveneWithCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, told := plays(errSick), &diary{}
		var open strategies.Incident
		ask := strategies.IntervenorFunc(func(ctx context.Context, i strategies.Incident) (strategies.Decision, error) {
			open = i
			<-ctx.Done()
			return retryNow, nil
		})
		g := built(t, middleware.Wrap(agent).Observe(told).Intervene(middleware.Intervention{Ask: ask, WithCaller: true, Default: answer("nobody reads this")}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := g.Run(ctx, "hello")
		expectIs(t, err, errSick, context.DeadlineExceeded)
		expect(t, "class", recoveryOf(t, err).Class, strategies.ClassCanceled)
		expect(t, "elapsed", time.Since(start), time.Minute)
		expect(t, "deadline that was shown", open.Deadline.Sub(start), time.Minute)
		expect(t, "calls", agent.called(), 1)
		told.only(t, middleware.EventDecisionRefused)
		decided := told.only(t, middleware.EventPersonDecided)
		expect(t, "no default is told of", decided.Decision, "abort")
		if problem, ok := errors.AsType[*strategies.InterventionError](decided.Err); !ok || !strings.Contains(problem.Problem, "withdrawn") {
			t.Errorf("the event says %v", decided.Err)
		}
		expect(t, "explained", strings.Contains(g.Explain().String(), "ends with its caller's deadline"), true)
	})
}

// Ids are those of no other question: not of another agent of the name, nor of the
// same one after a restart.
func TestIncidentsHaveIDsOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	ask := strategies.IntervenorFunc(func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
		if seen[i.ID] || i.ID == "" {
			t.Errorf("%q was asked before", i.ID)
		}
		seen[i.ID] = true
		return retryNow, nil
	})
	for range 3 { // rebuilt, as after a restart
		failing(t, built(t, middleware.Wrap(plays(errSick)).Named("bard").Intervene(asking(ask))))
	}
	expect(t, "questions", len(seen), 9)
}
