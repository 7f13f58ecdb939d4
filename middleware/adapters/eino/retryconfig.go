package eino

import (
	"context"
	"time"

	"github.com/cloudwego/eino/adk"

	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

// RetryConfig makes eino's own retry follow our policy, for those who want to
// keep it: the classifier says what is retried (nil: the default one), and a
// retry is never made before its Retry-After, beyond the budget, or too late for
// the deadline. A message that is no whole answer is retried too, and an error in
// the end, unless it ended for one of the reasons in accept; see [ChatModel.Accept].
//
// eino then retries a stream that was cut off after its first words as well, and
// tells its readers of it in an [adk.WillRetryError]. When no retry is left the
// error is a [RetriesError]. Leave Retry out of a handler beside it.
//
// It has no count of failed calls and no breaker: PerAgent is refused.
func RetryConfig(policy strategies.Retry, classifier *strategies.Classifier, accept ...string) (*adk.ModelRetryConfig, error) {
	if err := policy.Validate(); err != nil {
		return nil, err
	}
	if policy.Allowance != strategies.AllowancePerCall {
		return nil, &strategies.ConfigError{Setting: "Retry.Allowance", Problem: "is PerAgent", Fix: "eino keeps no count of an agent's failed calls: use PerCall, or a Handler"}
	}
	if policy.Budget == nil {
		policy.Budget = &strategies.Budget{}
	}
	return &adk.ModelRetryConfig{
		MaxRetries: policy.Max(),
		ShouldRetry: func(ctx context.Context, r *adk.RetryContext) *adk.RetryDecision {
			return decide(ctx, r, &policy, classifier, accept)
		},
		// For a decision without a delay of its own: at once.
		BackoffFunc: func(context.Context, int) time.Duration { return 0 },
	}, nil
}

func decide(ctx context.Context, r *adk.RetryContext, policy *strategies.Retry, classifier *strategies.Classifier, accept []string) *adk.RetryDecision {
	err := r.Err
	if err == nil {
		heard := answer{accept: accept, tools: offered(nil, r.Options)}
		heard.add(look(r.OutputMessage))
		if err = heard.judge(r.OutputMessage); err == nil {
			policy.Budget.Success()
			return nil
		}
	}
	err = hinted(ctx, explain(err))
	verdict := classifier.Classify(err)
	if ctx.Err() != nil && !verdict.Pass {
		verdict = classifier.VerdictOf(strategies.ClassCanceled) // nobody waits any more
	}
	if verdict.Pass {
		return untaken(r, err)
	}
	// Whether an earlier retry waited for a hint is not known here: the first alone is
	// believed to be shorter than the schedule.
	state := strategies.RetryState{Verdict: verdict, Retries: r.RetryAttempt - 1, Hinted: r.RetryAttempt > 1}
	if deadline, ok := ctx.Deadline(); ok {
		state.Bounded, state.TimeLeft = true, time.Until(deadline)
	}
	delay, stop := policy.Next(state)
	switch stop {
	case "":
		return &adk.RetryDecision{Retry: true, Backoff: delay, RejectReason: verdict.Class.String()}
	case strategies.StopExhausted:
		exhausted := &adk.RetryExhaustedError{LastErr: err, TotalRetries: state.Retries}
		return &adk.RetryDecision{RewriteError: &RetriesError{Err: exhausted, Last: err}}
	}
	return untaken(r, err)
}

// untaken leaves the model's own error as it is, and makes one of an answer that
// must not be taken.
func untaken(r *adk.RetryContext, err error) *adk.RetryDecision {
	if r.Err == nil {
		return &adk.RetryDecision{RewriteError: err}
	}
	return nil
}

// hinted adds what the last response said, if [Hints] is among the handlers.
func hinted(ctx context.Context, err error) error {
	if hint := httphint.From(ctx); hint != nil && hint.Seen().Status >= 400 {
		return &httphint.Error{Seen: hint.Seen(), Err: err}
	}
	return err
}

// Hints is a handler that notes what the provider's responses say, for a
// [RetryConfig]: eino's models drop the Retry-After. Their HTTP client needs an
// [httphint.Transport]. A [Handler] needs no Hints.
func Hints() adk.ChatModelAgentMiddleware { return hints{} }

type hints struct {
	*adk.BaseChatModelAgentMiddleware
}

func (hints) BeforeModelRewriteState(ctx context.Context, state *adk.ChatModelAgentState, _ *adk.ModelContext) (context.Context, *adk.ChatModelAgentState, error) {
	ctx, _ = httphint.With(ctx)
	return ctx, state, nil
}
