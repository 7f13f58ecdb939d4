// Package temporal lets a person be asked in the middle of a Temporal workflow, for days
// if need be: the agent is an activity, the decision a signal, and nobody waits.
//
//	cashier, err := middleware.Wrap(agent).Named("cashier").
//		Effects(middleware.Effects{Journal: journal}). // what its tools do is done once
//		Intervene(middleware.Intervention{Ask: temporal.Ask{}, Park: true, Deadline: 72 * time.Hour}).
//		Build()
//	refunds := temporal.New(cashier)
//
//	w.RegisterActivityWithOptions(refunds.Activity, activity.RegisterOptions{Name: refunds.Name()})
//
//	func RefundWorkflow(ctx workflow.Context, order string) (string, error) {
//		ctx, err := temporal.WithQuestions(ctx)
//		...
//		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
//		return refunds.Run(ctx, order)
//	}
//
// A call that nobody could answer ends its activity with a [Question], which the workflow
// keeps, shows by a query, and waits with:
//
//	workflow                          worker                         a person
//	   │ activity ──────────────────► agent, with all its layers
//	   │ ◄──────────── a question ─── nobody could answer
//	   │ query understudy-questions ◄──────────────────────────────── reads it
//	   │ signal understudy-decision ◄──────────────────────────────── decides
//	   │ activity, with the decision ► goes on where it was left
//	   │ ◄──────────────── answer ───
//
// A decision is taken for the question whose id it names, and for no other. One that
// cannot be carried out leaves the question open, and so does a second one; both are
// logged. A question that expires is the default of the chain, which is never a retry.
//
// # Who retries
//
// The layers do, so an error of the activity is not retryable for Temporal, and has the
// type [FailureType]. A worker that dies is Temporal's to replace: the activity runs again
// under the same call id, so that the journal of the effects knows what was done.
//
// # What it costs
//
// One activity a question more, whose input and result stand in the history of the
// workflow: the request, the answer, and what Show says. Questions and decisions are JSON
// by Temporal's data converter, which may encrypt them.
package temporal
