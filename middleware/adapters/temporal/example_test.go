package temporal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/temporal"
)

func Example() {
	guarded, err := middleware.WrapFunc(func(context.Context, string) (string, error) { return "", errors.New("no rule for this") }).
		Named("refunds").
		Intervene(middleware.Intervention{Ask: temporal.Ask{}, Park: true, Deadline: 72 * time.Hour}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	refunds := temporal.New(guarded)

	refund := func(ctx workflow.Context, order string) (string, error) {
		ctx, err := temporal.WithQuestions(ctx)
		if err != nil {
			return "", err
		}
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
		return refunds.Run(ctx, order) // minutes, or days
	}

	suite := &testsuite.WorkflowTestSuite{} // in a program: worker.New(…)
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterWorkflow(refund)
	env.RegisterActivityWithOptions(refunds.Activity, activity.RegisterOptions{Name: refunds.Name()})

	env.RegisterDelayedCallback(func() { // a person, two days later
		var open []temporal.Question
		value, _ := env.QueryWorkflow(temporal.QuestionsQuery)
		_ = value.Get(&open)
		fmt.Println(open[0].Agent, "asks:", open[0].Attempts[0].Error)
		env.SignalWorkflow(temporal.DecisionSignal, temporal.Decision{
			Question: open[0].ID, Action: "answer", Value: json.RawMessage(`"You get it back."`), By: "Ada",
		})
	}, 48*time.Hour)

	env.ExecuteWorkflow(refund, "order 17")
	var answer string
	fmt.Println(env.GetWorkflowResult(&answer), answer)
	// Output:
	// refunds asks: no rule for this
	// <nil> You get it back.
}
