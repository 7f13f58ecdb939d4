package middleware_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// keeper keeps calls, and forgets none.
type keeper struct {
	kept []strategies.Incident
	err  error
}

func (k *keeper) Park(_ context.Context, i strategies.Incident) (string, error) {
	if k.err != nil {
		return "", k.err
	}
	if k.kept = append(k.kept, i); i.Ticket != "" {
		return i.Ticket, nil
	}
	return i.ID, nil
}

func (k *keeper) Decide(context.Context, strategies.Incident) (strategies.Decision, error) {
	panic("the call was not parked")
}

// resumption goes on with what was parked last.
func (k *keeper) resumption(d strategies.Decision, err error) strategies.Resumption {
	i := k.kept[len(k.kept)-1]
	ticket := i.Ticket
	if ticket == "" {
		ticket = i.ID
	}
	return strategies.Resumption{
		Ticket: ticket, Incident: i.ID, Call: i.Call, Agent: i.Agent, Round: i.Round, Asked: len(k.kept),
		Decision: d, Err: err, Class: i.Err.Class, Attempts: i.Err.Attempts,
	}
}

func TestPark(t *testing.T) {
	for _, tc := range []struct {
		name     string
		steps    []any
		decision strategies.Decision
		err      error // nobody decided
		want     string
		servedBy string
		calls    int
		problem  string
	}{
		{"a retry asks the agent again", []any{errSick, "hi"}, retryNow, nil, "hi", "bard", 2, ""},
		{"an answer is given, and the agent not asked", []any{errSick}, answer("by hand"), nil, "by hand", "Ada", 1, ""},
		{"another agent is asked", []any{errSick}, use("sage"), nil, "from the sage", "sage", 1, ""},
		{"an abort ends it", []any{errSick}, strategies.Decision{By: "Ada", Reason: "no"}, nil, "", "", 1, "aborted by Ada: no"},
		{"silence is the default, whatever was decided", []any{errSick}, retryNow, context.DeadlineExceeded, "we will call you back", "a person", 1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			box, agent, told := &keeper{}, plays(tc.steps...), &diary{}
			g := built(t, middleware.Wrap(agent).Named("bard").Identify().Observe(told).Roster(troupe{"sage": plays("from the sage")}).
				Intervene(middleware.Intervention{Ask: box, Park: true, Default: strategies.Decision{Action: strategies.ActionAnswer, Value: "we will call you back"}}))
			_, err := g.Run(middleware.WithCallID(t.Context(), "order 17"), "hello")
			pending, ok := errors.AsType[*strategies.PendingError](err)
			if !ok {
				t.Fatalf("got %v, want a ticket", err)
			}
			expectIs(t, err, strategies.ErrPending)
			expect(t, "ticket", pending.Ticket, box.kept[0].ID)
			expect(t, "call", box.kept[0].Call, "order 17")
			expect(t, "request", box.kept[0].Request, any("hello"))
			expect(t, "told of", told.only(t, middleware.EventParked).Detail, pending.Ticket)

			r := box.resumption(tc.decision, tc.err)
			o := g.Outcome(middleware.WithResumption(t.Context(), r), "hello")
			expect(t, "answer", o.Value, tc.want)
			expect(t, "served by", o.ServedBy, tc.servedBy)
			expect(t, "calls", agent.called(), tc.calls)
			if tc.problem != "" {
				problem, ok := errors.AsType[*strategies.InterventionError](o.Err)
				expect(t, "problem", ok && problem.Problem == tc.problem, true)
				expect(t, "attempts", attemptsOf(recoveryOf(t, o.Err)), "bard:transient")
			}
			decided := told.only(t, middleware.EventPersonDecided)
			expect(t, "decided about", decided.Incident, pending.Ticket)
		})
	}
	t.Run("a decision that fails in its turn is asked about again, under the same ticket", func(t *testing.T) {
		box, agent := &keeper{}, plays(errSick)
		g := built(t, middleware.Wrap(agent).Named("bard").Identify().Intervene(middleware.Intervention{Ask: box, Park: true}))
		_, first := g.Run(t.Context(), "hello")
		ticket := ticketOf(t, first)
		for round := 2; round <= 3; round++ {
			_, err := g.Run(middleware.WithResumption(t.Context(), box.resumption(retryNow, nil)), "hello")
			expect(t, "ticket", ticketOf(t, err), ticket)
			last := box.kept[len(box.kept)-1]
			expect(t, "round", last.Round, round)
			expect(t, "call", last.Call, box.kept[0].Call)
			expect(t, "id", last.ID, ticket+"."+[]string{2: "2", 3: "3"}[round])
			expect(t, "attempts", len(last.Err.Attempts), round)
		}
		_, err := g.Run(middleware.WithResumption(t.Context(), box.resumption(retryNow, nil)), "hello")
		expect(t, "attempts", len(recoveryOf(t, err).Attempts), 4) // three rounds, and no more
	})
	t.Run("what an outer agent gets is no failure of its own", func(t *testing.T) {
		box := &keeper{}
		inner := built(t, middleware.Wrap(plays(errSick)).Named("bard").Intervene(middleware.Intervention{Ask: box, Park: true}))
		outer := built(t, middleware.WrapFunc(inner.Run).Named("host").Retry(promptly).Fallback("sage", plays("no")).CircuitBreaker(&strategies.Breaker{Failures: 1}))
		_, err := outer.Run(t.Context(), "hello")
		expect(t, "ticket", ticketOf(t, err), box.kept[0].ID)
		expect(t, "parked", len(box.kept), 1)
		expect(t, "breaker", outer.Health().Breaker, strategies.StateClosed)
	})
	t.Run("one that cannot be kept is what the default says", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).Intervene(middleware.Intervention{Ask: &keeper{err: errGone}, Park: true, Default: answer("later")}))
		asked(t, g, "later")
	})
	t.Run("a resumption is of one call of one agent", func(t *testing.T) {
		box, agent := &keeper{}, plays(errSick)
		g := built(t, middleware.Wrap(agent).Named("bard").Intervene(middleware.Intervention{Ask: box, Park: true}))
		_, _ = g.Run(t.Context(), "hello")
		r := box.resumption(answer("by hand"), nil)
		ctx := middleware.WithResumption(t.Context(), r)
		got, err := g.Run(ctx, "hello")
		expect(t, "error", err, nil)
		expect(t, "first", got, "by hand")
		_, err = g.Run(ctx, "hello") // asked again, and parked
		_ = ticketOf(t, err)
		r.Agent = "somebody else"
		_, err = g.Run(middleware.WithResumption(t.Context(), r), "hello")
		_ = ticketOf(t, err)
	})
	t.Run("what does not go together is refused", func(t *testing.T) {
		for name, how := range map[string]middleware.Intervention{
			"is set, and a strategies.IntervenorFunc does not keep calls": {Ask: says(retryNow), Park: true},
			"is set beside WithCaller":                                    {Ask: &keeper{}, Park: true, WithCaller: true},
		} {
			_, err := middleware.Wrap(plays("hi")).Intervene(how).Build()
			problem, ok := errors.AsType[*strategies.ConfigError](err)
			expect(t, name, ok && problem.Problem == name, true)
		}
		_, err := middleware.WrapStreamFunc(func(context.Context, string) iter.Seq2[string, error] { return nil }).Intervene(middleware.Intervention{Ask: &keeper{}, Park: true}).Build()
		problem, ok := errors.AsType[*strategies.ConfigError](err)
		expect(t, "a stream", ok && problem.Problem == "does not go with a stream", true)
	})
}

func ticketOf(t *testing.T, err error) string {
	t.Helper()
	pending, ok := errors.AsType[*strategies.PendingError](err)
	if !ok {
		t.Fatalf("got %v, want a ticket", err)
	}
	return pending.Ticket
}
