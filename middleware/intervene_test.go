package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// says is a person who makes up their mind beforehand: one decision a round,
// the last one for all further ones.
func says(decisions ...strategies.Decision) strategies.Intervenor {
	return strategies.IntervenorFunc(func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
		return decisions[min(i.Round, len(decisions))-1], nil
	})
}

// silent never decides.
var silent = strategies.IntervenorFunc(func(ctx context.Context, _ strategies.Incident) (strategies.Decision, error) {
	<-ctx.Done()
	return strategies.Decision{Action: strategies.ActionRetryNow}, ctx.Err()
})

var retryNow = strategies.Decision{Action: strategies.ActionRetryNow}

func asking(ask strategies.Intervenor) middleware.Intervention {
	return middleware.Intervention{Ask: ask}
}

func answer(v any) strategies.Decision {
	return strategies.Decision{Action: strategies.ActionAnswer, Value: v, By: "Ada"}
}

func use(name string) strategies.Decision {
	return strategies.Decision{Action: strategies.ActionUseAgent, Agent: name}
}

func TestIntervene(t *testing.T) {
	for _, tc := range []struct {
		name     string
		steps    []any
		decide   []strategies.Decision
		want     string
		servedBy string
		attempts string // of the failure
		problem  string // in the failure
	}{
		{name: "it asks nobody while the agent answers", steps: []any{"hi"}, want: "hi", servedBy: "bard"},
		{name: "a retry asks the agent again", steps: []any{errSick, "hi"}, decide: []strategies.Decision{retryNow}, want: "hi", servedBy: "bard"},
		{name: "an answer is given to the caller", steps: []any{errSick}, decide: []strategies.Decision{answer("by hand")}, want: "by hand", servedBy: "Ada"},
		{name: "an answer by nobody is a person's", steps: []any{errSick}, decide: []strategies.Decision{{Action: strategies.ActionAnswer, Value: "by hand"}}, want: "by hand", servedBy: "a person"},
		{name: "another agent is asked by its name", steps: []any{errSick}, decide: []strategies.Decision{use("sage")}, want: "from the sage", servedBy: "sage"},
		{name: "an abort ends it", steps: []any{errSick}, decide: []strategies.Decision{{By: "Ada", Reason: "not worth it"}}, attempts: "bard:transient", problem: "aborted by Ada: not worth it"},
		{name: "the zero decision aborts", steps: []any{errSick}, decide: []strategies.Decision{{}}, attempts: "bard:transient", problem: "aborted"},
		{name: "an unknown action aborts", steps: []any{errSick}, decide: []strategies.Decision{{Action: 99}}, attempts: "bard:transient", problem: "aborted"},
		{name: "an answer of the wrong type is asked about again", steps: []any{errSick}, decide: []strategies.Decision{answer(42), answer("by hand")}, want: "by hand", servedBy: "Ada"},
		{name: "an answer of nothing is of the wrong type", steps: []any{errSick}, decide: []strategies.Decision{answer(nil), {}}, attempts: "bard:transient Ada:transient", problem: "answers with a <nil> where a string is wanted"},
		{name: "an unknown agent is asked about again", steps: []any{errSick}, decide: []strategies.Decision{use("fool"), use("sage")}, want: "from the sage", servedBy: "sage"},
		{name: "an unknown agent is told with those that are known", steps: []any{errSick}, decide: []strategies.Decision{use("fool")}, attempts: "bard:transient fool:transient fool:transient fool:transient", problem: `names an unknown agent "fool"; known are ["mime" "mute" "sage"]`},
		{name: "it asks three times and no more", steps: []any{errSick}, decide: []strategies.Decision{retryNow}, attempts: "bard:transient bard:transient bard:transient bard:transient"},
		{name: "an agent that panics is a decision that failed", steps: []any{errSick}, decide: []strategies.Decision{use("mime"), answer("by hand")}, want: "by hand", servedBy: "Ada"},
		{name: "an agent that fails is a decision that failed", steps: []any{errSick}, decide: []strategies.Decision{use("mute"), {}}, attempts: "bard:transient mute:transient"},
		{name: "what only a person can help goes straight to a person", steps: []any{&strategies.AgentError{Agent: "bard", Err: errSick}}, decide: []strategies.Decision{answer("by hand")}, want: "by hand", servedBy: "Ada"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := built(t, middleware.Wrap(plays(tc.steps...)).Named("bard").Roster(troupe{
				"sage": plays("from the sage"), "mute": plays(errGone), "mime": panicsWith("ouch"), "bard": plays("never listed"),
			}).Intervene(asking(says(tc.decide...))))
			o := g.Outcome(t.Context(), "hello")
			expect(t, "answer", o.Value, tc.want)
			expect(t, "served by", o.ServedBy, tc.servedBy)
			if tc.attempts == "" {
				expect(t, "error", o.Err, nil)
				if len(tc.decide) > 0 {
					expect(t, "strategy", o.Strategy, strategies.StrategyUserIntervention)
					expect(t, "failures", g.Health().Failures, 0)
				}
				return
			}
			re := recoveryOf(t, o.Err)
			expect(t, "attempts", attemptsOf(re), tc.attempts)
			expect(t, "required", re.Strategy, strategies.StrategyUserIntervention)
			expectIs(t, re, strategies.ErrRecovery)
			if tc.problem != "" {
				problem, ok := errors.AsType[*strategies.InterventionError](re)
				if !ok || problem.Problem != tc.problem {
					t.Errorf("problem = %+v, want %q", problem, tc.problem)
				}
			}
		})
	}
}

// troupe is a roster.
type troupe map[string]middleware.Runner[string, string]

func (tr troupe) Names() []string {
	var names []string
	for n := range tr {
		names = append(names, n)
	}
	return names
}

func (tr troupe) Lookup(name string) (middleware.Runner[string, string], bool) {
	r, ok := tr[name]
	return r, ok
}

func TestInterveneByClass(t *testing.T) {
	for _, class := range strategies.Classes() {
		if class == strategies.ClassCanceled {
			continue // a matter of the context, not of the error
		}
		t.Run(class.String(), func(t *testing.T) {
			_, err := built(t, middleware.Wrap(plays(ofClass(class))).Intervene(asking(says(answer("by hand"))))).Run(t.Context(), "hello")
			expect(t, "recovered", err == nil, strategies.VerdictOf(class).Intervene)
		})
	}
}

func TestInterveneTellsThePerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var incidents []strategies.Incident
		ask := strategies.IntervenorFunc(func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
			incidents = append(incidents, i)
			return retryNow, nil
		})
		told := &diary{}
		g := built(t, middleware.Wrap(plays(errSick)).Named("bard").Fallback("sage", plays(errGone)).Observe(told).
			Roster(troupe{"fool": plays("ha"), "sage": plays("twice")}).
			Intervene(middleware.Intervention{Ask: ask, Rounds: 2, Deadline: time.Minute}))
		err := failing(t, g)
		failing(t, g)
		expect(t, "questions", len(incidents), 4)
		for i, in := range incidents {
			expect(t, "is of its own", slices.ContainsFunc(incidents[:i], func(other strategies.Incident) bool { return other.ID == in.ID }), false)
			expect(t, "answers", in.Answers, []reflect.Type{reflect.TypeFor[string]()})
			expect(t, "agent", in.Agent, "bard")
			expect(t, "request", in.Request, any("hello"))
			expect(t, "agents", in.Agents, []string{"fool", "sage"})
			expect(t, "round", in.Round, i%2+1)
			expect(t, "deadline", time.Until(in.Deadline), time.Minute)
			expect(t, "required", in.Err.Strategy, strategies.StrategyUserIntervention)
		}
		expect(t, "told at first", attemptsOf(incidents[0].Err), "bard:transient sage:transient")
		expect(t, "told then", attemptsOf(incidents[1].Err), "bard:transient sage:transient bard:transient sage:transient")
		expect(t, "the caller gets all", len(recoveryOf(t, err).Attempts), 6)
	})
}

func TestInterveneDeadline(t *testing.T) {
	for _, tc := range []struct {
		name    string
		how     middleware.Intervention
		want    string
		elapsed time.Duration
	}{
		{"silence aborts after five minutes", middleware.Intervention{Ask: silent}, "", 5 * time.Minute},
		{"the deadline can be set", middleware.Intervention{Ask: silent, Deadline: time.Hour}, "", time.Hour},
		{"the default may be an answer", middleware.Intervention{Ask: silent, Default: answer("we will call you back")}, "we will call you back", 5 * time.Minute},
		{"the default may be another agent", middleware.Intervention{Ask: silent, Default: use("sage")}, "from the sage", 5 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				agent := plays(errSick)
				told := &diary{}
				g := built(t, middleware.Wrap(agent).Named("bard").Fallback("sage", plays(errGone, "from the sage")).Intervene(tc.how).Observe(told))
				o := g.Outcome(t.Context(), "hello")
				expect(t, "answer", o.Value, tc.want)
				expect(t, "elapsed", o.Elapsed, tc.elapsed)
				expect(t, "calls", agent.called(), 1) // silence never approves another
				e := told.only(t, middleware.EventPersonDecided)
				expect(t, "the event says why", strings.Contains(e.Err.Error(), "no decision in time"), true)
				if tc.want == "" {
					expectIs(t, o.Err, errSick, context.DeadlineExceeded)
					expect(t, "limit", timeoutOf(t, o.Err).Limit, "intervention")
				}
			})
		})
	}
}

func TestInterveneOutlivesTheCallersDeadline(t *testing.T) {
	t.Run("a question stands although the caller's deadline passes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			type key struct{}
			ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "kept"), time.Second)
			defer cancel()
			agent := plays(errSick, stepFunc(func(ctx context.Context, _ string) (string, error) {
				_, bounded := ctx.Deadline()
				return fmt.Sprint(ctx.Value(key{}), " ", bounded, " ", ctx.Err()), nil
			}))
			ask := strategies.IntervenorFunc(func(ctx context.Context, _ strategies.Incident) (strategies.Decision, error) {
				time.Sleep(time.Minute)
				return retryNow, ctx.Err()
			})
			got, err := built(t, middleware.Wrap(agent).Intervene(asking(ask))).Run(ctx, "hello")
			expect(t, "error", err, nil)
			expect(t, "what the agent saw", got, "kept false <nil>")
		})
	})
	t.Run("a caller who cancels ends it at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hangUp := errors.New("hung up")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(hangUp) })
			start := time.Now()
			how := middleware.Intervention{Ask: silent, Default: answer("nobody reads this")}
			_, err := built(t, middleware.Wrap(plays(errSick)).Intervene(how)).Run(ctx, "hello")
			expectIs(t, err, errSick, hangUp)
			expect(t, "class", recoveryOf(t, err).Class, strategies.ClassCanceled)
			expect(t, "required", recoveryOf(t, err).Strategy, strategies.StrategyNone)
			expect(t, "elapsed", time.Since(start), time.Second)
		})
	})
	t.Run("a caller who has left is not asked about", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		ask := strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
			t.Error("a person was asked")
			return strategies.Decision{}, nil
		})
		_, err := built(t, middleware.Wrap(plays(errSick)).Intervene(asking(ask))).Run(ctx, "hello")
		expectIs(t, err, errSick, context.Canceled)
	})
	t.Run("a retry that hangs ends when the caller cancels", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := built(t, middleware.Wrap(plays(errSick, stepFunc(hangs))).Intervene(asking(says(retryNow)))).Run(ctx, "hello")
			expectIs(t, err, errSick, context.Canceled)
			expect(t, "class", recoveryOf(t, err).Class, strategies.ClassCanceled)
		})
	})
}

func TestInterveneSurvivesItsIntervenor(t *testing.T) {
	for name, tc := range map[string]struct {
		ask strategies.IntervenorFunc
		is  error
	}{
		"an error is no decision": {func(context.Context, strategies.Incident) (strategies.Decision, error) {
			return retryNow, errGone
		}, errGone},
		"a panic is no decision": {func(context.Context, strategies.Incident) (strategies.Decision, error) { panic(errShort) }, errShort},
	} {
		t.Run(name, func(t *testing.T) {
			agent := plays(errSick)
			expectIs(t, failing(t, built(t, middleware.Wrap(agent).Intervene(asking(tc.ask)))), errSick, tc.is)
			expect(t, "calls", agent.called(), 1)
			asked(t, built(t, middleware.Wrap(agent).Intervene(middleware.Intervention{Ask: tc.ask, Default: answer("by default")})), "by default")
		})
	}
	t.Run("an interrupt is asked about by nobody, also after a decision", func(t *testing.T) {
		for name, g := range map[string]*middleware.Guarded[string, string]{
			"at first":      built(t, middleware.Wrap(plays(passThrough)).Intervene(asking(says(answer("no"))))),
			"after a retry": built(t, middleware.Wrap(plays(errSick, passThrough)).Intervene(asking(says(retryNow, answer("no"))))),
			"of another agent": built(t, middleware.Wrap(plays(errSick)).Roster(troupe{"sage": plays(passThrough)}).
				Intervene(asking(says(use("sage"), answer("no"))))),
		} {
			expect(t, name, failing(t, g) == passThrough, true) //nolint:errorlint // it must be the very same
		}
	})
	t.Run("by hand it works without a roster", func(t *testing.T) {
		r := middleware.Chain(plays(errSick), middleware.Intervene[string, string](&middleware.Owner{}, asking(says(use("sage"), answer("by hand"))), nil))
		asked(t, r, "by hand")
	})
	t.Run("a guarded agent that is named is called without its retries", func(t *testing.T) {
		inner := plays(errGone)
		sage := built(t, middleware.Wrap(inner).Named("sage").Retry(promptly))
		failing(t, built(t, middleware.Wrap(plays(errSick)).Roster(troupe{"sage": sage}).Intervene(asking(says(use("sage"), strategies.Decision{})))))
		expect(t, "calls", inner.called(), 1)
	})
}
