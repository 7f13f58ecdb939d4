package temporal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"
	sdk "go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/temporal"
	"github.com/understudy-go/understudy/strategies"
)

var errSick = errors.New("the agent is sick")

// scene is a workflow with one agent, in an environment that skips time.
type scene struct {
	*testsuite.TestWorkflowEnvironment
	t        *testing.T
	calls    int
	paid     int
	answered bool // a retry answers
}

func begin(t *testing.T, defaults strategies.Decision) *scene {
	t.Helper()
	suite := &testsuite.WorkflowTestSuite{}
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	s := &scene{t: t, TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), answered: true}
	pay := middleware.WrapTool("pay", strategies.EffectOnce, func(context.Context, string) (string, error) { s.paid++; return "paid", nil })
	guarded, err := middleware.WrapFunc(func(ctx context.Context, order string) (string, error) {
		s.calls++
		if _, err := pay.Run(ctx, order); err != nil {
			return "", err
		}
		if s.calls == 1 || !s.answered {
			return "", errSick
		}
		return "refunded " + order, nil
	}).Named("cashier").
		Roster(troupe{}).
		Effects(middleware.Effects{Journal: &strategies.MemoryJournal{}}).
		Intervene(middleware.Intervention{
			Ask: temporal.Ask{Show: func(i strategies.Incident) string { return fmt.Sprint(i.Request) }}, Park: true, Deadline: 72 * time.Hour, Default: defaults,
		}).
		Build()
	if err != nil {
		t.Fatal(err)
	}
	cashier := temporal.New(guarded)
	s.RegisterActivityWithOptions(cashier.Activity, activity.RegisterOptions{Name: cashier.Name()})
	s.RegisterWorkflowWithOptions(func(ctx workflow.Context, order string) (string, error) {
		ctx, err := temporal.WithQuestions(ctx)
		if err != nil {
			return "", err
		}
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		return cashier.Run(ctx, order)
	}, workflow.RegisterOptions{Name: "refund"})
	return s
}

type troupe struct{}

func (troupe) Names() []string { return []string{"manager"} }
func (troupe) Lookup(name string) (middleware.Runner[string, string], bool) {
	return middleware.Func(func(_ context.Context, order string) (string, error) { return "the manager on " + order, nil }), name == "manager"
}

// open are the questions that the query shows.
func (s *scene) open() []temporal.Question {
	s.t.Helper()
	value, err := s.QueryWorkflow(temporal.QuestionsQuery)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []temporal.Question
	if err := value.Get(&all); err != nil {
		s.t.Fatal(err)
	}
	return all
}

// says signals a decision after so long, about the question that is open then.
func (s *scene) says(after time.Duration, d temporal.Decision) {
	s.RegisterDelayedCallback(func() {
		if d.Question == "" {
			all := s.open()
			if len(all) != 1 {
				s.t.Errorf("%d questions are open after %v, want one", len(all), after)
				return
			}
			d.Question = all[0].ID
		}
		s.SignalWorkflow(temporal.DecisionSignal, d)
	}, after)
}

func (s *scene) run() (string, error) {
	s.ExecuteWorkflow("refund", "order 17")
	if !s.IsWorkflowCompleted() {
		s.t.Fatal("the workflow did not end")
	}
	if err := s.GetWorkflowError(); err != nil {
		return "", err
	}
	var got string
	err := s.GetWorkflowResult(&got)
	return got, err
}

const day = 24 * time.Hour

func TestAPersonDecidesAfterDays(t *testing.T) {
	for name, tc := range map[string]struct {
		d     temporal.Decision
		want  string
		calls int
	}{
		"a retry asks the agent again":                {temporal.Decision{Action: "retry", By: "Ada"}, "refunded order 17", 2},
		"an answer is given, and the agent not asked": {temporal.Decision{Action: "answer", Value: json.RawMessage(`"by hand"`)}, "by hand", 1},
		"another agent is asked":                      {temporal.Decision{Action: "use agent", Agent: "manager"}, "the manager on order 17", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t, strategies.Decision{})
			s.says(2*day, tc.d)
			got, err := s.run()
			if err != nil || got != tc.want || s.calls != tc.calls || s.paid != 1 {
				t.Errorf("got %q, %v after %d calls and %d payments; want %q after %d and 1", got, err, s.calls, s.paid, tc.want, tc.calls)
			}
		})
	}
	t.Run("an abort ends it with all that went wrong, and Temporal does not retry it", func(t *testing.T) {
		s := begin(t, strategies.Decision{})
		s.says(2*day, temporal.Decision{Action: "abort", By: "Ada", Reason: "too dear"})
		_, err := s.run()
		var failed *sdk.ApplicationError
		if !errors.As(err, &failed) || failed.Type() != temporal.FailureType || !failed.NonRetryable() {
			t.Fatalf("got %v", err)
		}
		var class string
		var attempts []temporal.Attempt
		if err := failed.Details(&class, &attempts); err != nil || class != "transient" || len(attempts) != 1 || attempts[0].Error != errSick.Error() {
			t.Errorf("details: %q, %+v, %v", class, attempts, err)
		}
		if s.calls != 1 {
			t.Errorf("%d calls", s.calls)
		}
	})
}

func TestWhatIsAskedIsShown(t *testing.T) {
	s := begin(t, strategies.Decision{})
	s.RegisterDelayedCallback(func() {
		q := s.open()[0]
		if q.Agent != "cashier" || q.Request != "order 17" || q.Class != "transient" || q.Round != 1 || len(q.Attempts) != 1 || q.Agents[0] != "manager" {
			t.Errorf("the question: %+v", q)
		}
	}, time.Hour)
	s.says(day, temporal.Decision{Action: "retry"})
	if _, err := s.run(); err != nil {
		t.Error(err)
	}
	if left := s.open(); len(left) != 0 {
		t.Errorf("still open: %+v", left)
	}
}

func TestExpiryIsNoYes(t *testing.T) {
	s := begin(t, strategies.Decision{Action: strategies.ActionAnswer, Value: "we will call you back"})
	start := s.Now()
	s.says(73*time.Hour, temporal.Decision{Question: "any", Action: "retry"})
	got, err := s.run()
	if err != nil || got != "we will call you back" || s.calls != 1 {
		t.Errorf("got %q, %v after %d calls", got, err, s.calls)
	}
	if took := s.Now().Sub(start).Round(time.Minute); took < 71*time.Hour || took > 73*time.Hour {
		t.Errorf("after %v", took)
	}
}

func TestADecisionIsOfOneQuestion(t *testing.T) {
	s := begin(t, strategies.Decision{})
	s.answered = false
	var first string
	s.RegisterDelayedCallback(func() { first = s.open()[0].ID }, time.Hour)
	s.says(time.Hour+1, temporal.Decision{Question: "01932c07-209c-7f3a-9d4e-3a5f0e8b7c21", Action: "retry"}) // nobody's
	s.says(2*time.Hour, temporal.Decision{Action: "answer", Value: json.RawMessage(`42`)})                    // of another type
	s.says(3*time.Hour, temporal.Decision{Action: "answer"})                                                  // of nothing
	s.says(4*time.Hour, temporal.Decision{Action: "use agent", Agent: "ghost"})
	s.says(5*time.Hour, temporal.Decision{Action: "approve"})
	s.RegisterDelayedCallback(func() {
		if s.calls != 1 || len(s.open()) != 1 || s.open()[0].ID != first {
			t.Errorf("%d calls, open: %+v", s.calls, s.open())
		}
	}, 6*time.Hour)
	s.says(7*time.Hour, temporal.Decision{Action: "retry"}) // which fails in its turn
	s.RegisterDelayedCallback(func() {
		q := s.open()[0]
		if q.Round != 2 || q.ID != first+".2" || q.Ticket != first {
			t.Errorf("the second question: %+v", q)
		}
		s.SignalWorkflow(temporal.DecisionSignal, temporal.Decision{Question: first, Action: "answer", Value: json.RawMessage(`"to the first"`)})
	}, 8*time.Hour)
	s.says(9*time.Hour, temporal.Decision{Action: "answer", Value: json.RawMessage(`"to the second"`)})
	got, err := s.run()
	if err != nil || got != "to the second" || s.calls != 2 || s.paid != 1 {
		t.Errorf("got %q, %v after %d calls and %d payments", got, err, s.calls, s.paid)
	}
}

func TestACancelledWorkflowWaitsNoLonger(t *testing.T) {
	s := begin(t, strategies.Decision{Action: strategies.ActionAnswer, Value: "nobody reads this"})
	s.RegisterDelayedCallback(s.CancelWorkflow, day)
	_, err := s.run()
	var canceled *sdk.CanceledError
	if !errors.As(err, &canceled) || s.calls != 1 {
		t.Errorf("got %v after %d calls", err, s.calls)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	ask := temporal.Ask{}
	if _, err := ask.Decide(t.Context(), strategies.Incident{}); !errors.Is(err, strategies.ErrConfig) {
		t.Errorf("without Park: %v", err)
	}
	if _, err := ask.Park(t.Context(), strategies.Incident{}); !errors.Is(err, strategies.ErrConfig) {
		t.Errorf("outside of an activity: %v", err)
	}
}
