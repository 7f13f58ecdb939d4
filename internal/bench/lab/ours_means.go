package lab

import (
	"context"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// given adds the means of a day, each with its defaults.
func given(b *middleware.Builder[Request, Answer], env Env) *middleware.Builder[Request, Answer] {
	m := env.Means
	if m.Pace > 0 {
		pace := &strategies.Pace{TokensPerMinute: m.Pace, MaxWait: turnWait}
		b.Pace(pace).
			PaceTokens(func(_ context.Context, req Request) int { return req.Guess }).
			Use(middleware.StageTimeout, func(next middleware.Runner[Request, Answer]) middleware.Runner[Request, Answer] {
				return middleware.Func(func(ctx context.Context, req Request) (Answer, error) {
					answer, err := next.Run(ctx, req)
					pace.Learn(answer.Header, time.Now()) // as a client does by httphint
					return answer, err
				})
			})
	}
	if m.Hedge {
		b.Hedge(&strategies.Hedge{ReadOnly: true})
	}
	if m.Told {
		b.RetryVia(func(_ context.Context, req Request, failure middleware.Failure) (Request, error) {
			req.Told = failure.Reason() != ""
			return req, nil
		})
	}
	if m.Calls > 0 {
		b.UsageLimits(strategies.UsageLimits{Calls: m.Calls})
	}
	if m.Adaptive > 0 {
		b.Bulkhead(&strategies.Bulkhead{MaxConcurrent: m.Adaptive, Adaptive: true, MaxWait: slotWait})
	}
	return b
}
