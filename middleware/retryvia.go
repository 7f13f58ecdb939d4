package middleware

import (
	"context"
	"fmt"

	"github.com/understudy-go/understudy/strategies"
)

// RetryVia changes the request before each retry, so that the agent is told what was
// wrong with its last answer: the validator's words, the missing brace, "be shorter".
// change gets the request as it was given, not as an earlier retry changed it, and
// the failure of the attempt before; it returns the request unchanged for failures
// that the agent can do nothing about. An error of change is the attempt's failure.
// Stand-ins are not concerned, see [Builder.FallbackVia]. Of answers that were no good
// there are as many retries as [strategies.Retry].MaxRetries says: that these are worth
// two at most is meant for agents who are asked the same again.
//
// It costs a healthy call nothing but a look at its context.
func (b *Builder[Req, Resp]) RetryVia(change func(ctx context.Context, req Req, failure Failure) (Req, error)) *Builder[Req, Resp] {
	b.settings().once("RetryVia", missing("RetryVia", change == nil))
	b.typed = append(b.typed, typedLayer[Req, Resp]{StageBreaker, func(o *Owner) Middleware[Req, Resp] {
		return func(next Runner[Req, Resp]) Runner[Req, Resp] {
			return &rephrase[Req, Resp]{owner: o, change: change, next: next}
		}
	}})
	return b
}

// RetryVia changes the request before each retry, as [Builder.RetryVia] does.
func (b *StreamBuilder[Req, Chunk]) RetryVia(change func(ctx context.Context, req Req, failure Failure) (Req, error)) *StreamBuilder[Req, Chunk] {
	if change == nil {
		b.chained().RetryVia(nil)
		return b
	}
	b.chained().RetryVia(func(ctx context.Context, call streamCall[Req, Chunk], failure Failure) (_ streamCall[Req, Chunk], err error) {
		call.req, err = change(ctx, call.req, failure)
		return call, err
	})
	return b
}

type rephrase[Req, Resp any] struct {
	owner  *Owner
	change func(context.Context, Req, Failure) (Req, error)
	next   Runner[Req, Resp]
}

func (l *rephrase[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	c := l.owner.own(ctx)
	if c == nil || c.helping || c.attempt < 2 || c.why == nil {
		return l.next.Run(ctx, req)
	}
	other := req
	if err := protect(func() (err error) { other, err = l.change(ctx, req, *c.why); return err }); err != nil {
		var none Resp
		return none, fmt.Errorf("understudy: RetryVia: %w", err)
	}
	return l.next.Run(ctx, other)
}

// Reason is what was wrong with the last answer, for the agent that gave it: what
// the check of [Builder.Validate] said, or why an adapter took it for none. "" if the
// failure was no answer of the agent's.
func (f Failure) Reason() string { return strategies.AnswerFault(f.Err) }

// Answer is the answer that was wrong, as the agent gave it, and its text as far as
// that is known; see [strategies.RefusedAnswer].
func (f Failure) Answer() (answer any, text string) { return strategies.RefusedAnswer(f.Err) }
