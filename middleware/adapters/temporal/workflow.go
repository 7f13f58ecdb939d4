package temporal

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/understudy-go/understudy/strategies"
)

// questions are those of one workflow that are open.
type questions struct {
	open  []Question
	heard map[string]workflow.Channel // where the decisions about each go
	calls int
}

type questionsKey struct{}

// WithQuestions lets the agents of a workflow ask: it shows their questions by the query
// [QuestionsQuery], and brings each decision of the signal [DecisionSignal] to the question
// that it names. Call it once, at the beginning of the workflow, and give its context to
// [Agent.Run].
func WithQuestions(ctx workflow.Context) (workflow.Context, error) {
	q := &questions{heard: map[string]workflow.Channel{}}
	err := workflow.SetQueryHandler(ctx, QuestionsQuery, func() ([]Question, error) { return append([]Question{}, q.open...), nil })
	if err != nil {
		return ctx, err
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		signals := workflow.GetSignalChannel(ctx, DecisionSignal)
		for {
			var d Decision
			if !signals.Receive(ctx, &d) {
				return
			}
			if to := q.heard[d.Question]; to == nil || !to.SendAsync(d) {
				workflow.GetLogger(ctx).Warn("understudy: a decision about a question that is not open was refused", "question", d.Question, "by", d.By)
			}
		}
	})
	return workflow.WithValue(ctx, questionsKey{}, q), nil
}

// Run runs the agent as an activity, with the activity options of the context, and asks
// a person if it comes to that: it waits for the decision, or until the question expires,
// for as long as that takes. An error is the activity's, or the workflow's own end.
func (a *Agent[Req, Resp]) Run(ctx workflow.Context, req Req) (resp Resp, err error) {
	q, _ := ctx.Value(questionsKey{}).(*questions)
	if q == nil {
		return resp, &strategies.ConfigError{Setting: "temporal.Agent.Run ctx", Problem: "is not that of WithQuestions", Fix: "begin the workflow with ctx, err := temporal.WithQuestions(ctx)"}
	}
	q.calls++
	of := workflow.GetInfo(ctx).WorkflowExecution
	step := Step[Req]{Request: req, Call: fmt.Sprintf("%s/%s/%d", of.ID, of.RunID, q.calls)}
	for {
		var answer Answer[Resp]
		if err := workflow.ExecuteActivity(ctx, a.Name(), step).Get(ctx, &answer); err != nil {
			return resp, err
		}
		if answer.Question == nil {
			return answer.Value, nil
		}
		step.Question = answer.Question
		if step.Decision, err = ask[Resp](ctx, q, answer.Question); err != nil {
			return resp, err
		}
	}
}

// ask waits for a decision that can be carried out; nil: nobody decided in time.
func ask[Resp any](ctx workflow.Context, q *questions, about *Question) (decision *Decision, err error) {
	to := workflow.NewBufferedChannel(ctx, 16)
	q.heard[about.ID] = to
	q.open = append(q.open, *about)
	defer func() {
		delete(q.heard, about.ID)
		q.open = slices.DeleteFunc(q.open, func(other Question) bool { return other.ID == about.ID })
	}()
	timing, stop := workflow.WithCancel(ctx)
	defer stop()
	expires := workflow.NewTimer(timing, about.Deadline.Sub(workflow.Now(ctx)))
	over := false
	selector := workflow.NewSelector(ctx).
		AddFuture(expires, func(f workflow.Future) { over, err = true, f.Get(ctx, nil) }).
		AddReceive(to, func(c workflow.ReceiveChannel, _ bool) {
			var d Decision
			c.Receive(ctx, &d)
			if _, wrong := read[Resp](about, d); wrong != nil {
				workflow.GetLogger(ctx).Warn("understudy: a decision was refused, and the question stays open", "by", d.By, "error", wrong)
				return
			}
			decision = &d
		})
	for !over && decision == nil {
		selector.Select(ctx)
	}
	if err != nil { // the workflow was cancelled
		return nil, err
	}
	return decision, nil
}
