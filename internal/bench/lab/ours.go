package lab

import (
	"context"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

var ours = System{
	Name: "understudy",
	Config: "Wrap(primary).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{NoJitter: true}).Timeout(…).Validate(…).Fallback(…): the defaults;\n" +
		"jitter of the open time off, so that results can be repeated. Where the day gives them: Pace with a MaxWait of 100s that reads what answers say is left, Hedge, RetryVia, UsageLimits, an Adaptive Bulkhead with a MaxWait of 1m; the rest are defaults",
	Build: func(env Env) Ask {
		b := middleware.Wrap(runner(env.Primary)).
			Named(Primary).
			Retry(strategies.Retry{}).
			CircuitBreaker(watched(&strategies.Breaker{NoJitter: true}, env)).
			Timeout(env.Timeout).
			Validate(good)
		if env.StandIn != nil {
			b.Fallback(StandIn, runner(env.StandIn))
		}
		return build(given(b, env))
	},
}

var oursTuned = System{
	Name: "understudy, tuned",
	Config: "the same; breaker with a Window of 1m (twice the timeout of an attempt) at Ratio 0.2 and 3 Trials, which leaves a brown-out sooner; a stand-in with a breaker of its own;\n" +
		"Deadline of twice the timeout, 60s; Degrade to a fixed answer, which counts as degraded",
	Build: func(env Env) Ask {
		b := middleware.Wrap(runner(env.Primary)).
			Named(Primary).
			Retry(strategies.Retry{}).
			CircuitBreaker(watched(&strategies.Breaker{Window: 2 * env.Timeout, Ratio: 0.2, Trials: 3, NoJitter: true}, env)).
			Timeout(env.Timeout).
			Deadline(2*env.Timeout).
			Validate(good).
			Degrade(strategies.LevelReduced, runner(canned))
		if env.StandIn != nil {
			standIn, err := middleware.Wrap(runner(env.StandIn)).
				Named(StandIn).
				CircuitBreaker(&strategies.Breaker{NoJitter: true}).
				Timeout(env.Timeout).
				Validate(good).
				Build()
			if err != nil {
				panic(err) // the settings are constants
			}
			b.Fallback(StandIn, standIn)
		}
		return build(given(b, env))
	},
}

const cannedName = "canned"

func canned(context.Context, Request) (Answer, error) {
	return Answer{By: cannedName, Good: true}, nil
}

func good(_ context.Context, _ Request, answer Answer) error {
	if !answer.Good {
		return errBad
	}
	return nil
}

func runner(ask Ask) middleware.Runner[Request, Answer] {
	return middleware.Func(ask)
}

func watched(b *strategies.Breaker, env Env) *strategies.Breaker {
	b.Watch(func(c strategies.BreakerChange) {
		if c.To == strategies.StateOpen {
			env.Opened()
		}
	})
	return b
}

func build(b *middleware.Builder[Request, Answer]) Ask {
	guarded, err := b.Build()
	if err != nil {
		panic(err) // the settings are constants
	}
	return guarded.Run
}
