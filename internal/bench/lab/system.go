package lab

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Ask is how a caller, or a layer, puts a request.
type Ask func(ctx context.Context, req Request) (Answer, error)

// Env is what a system is given to work with.
type Env struct {
	Primary Ask
	StandIn Ask           // nil: there is none
	Timeout time.Duration // of an attempt
	Opened  func()        // to be called when the primary's breaker opens
	Means   Means         // to be used if the system has them
}

// System is a way to recover.
type System struct {
	Name   string
	Config string // how it is configured, for people
	Build  func(Env) Ask
}

// Systems are all that are compared, in the order of the results.
func Systems() []System {
	return []System{none, origin, retryGo, byHand, failsafeGo, ours, oursTuned}
}

// Every system has the same number of retries and the same first delays.
const retries = 3

var delays = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}

var errBad = errors.New("the answer is no good")

// checked makes a bad answer an error.
func checked(ask Ask) Ask {
	return func(ctx context.Context, req Request) (Answer, error) {
		answer, err := ask(ctx, req)
		if err == nil && !answer.Good {
			return Answer{}, errBad
		}
		return answer, err
	}
}

// limited gives each call a timeout.
func limited(timeout time.Duration, ask Ask) Ask {
	return func(ctx context.Context, req Request) (Answer, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return ask(ctx, req)
	}
}

var none = System{
	Name:   "none",
	Config: "one call; the caller's patience is the only limit",
	Build:  func(env Env) Ask { return env.Primary },
}

var origin = System{
	Name: "origin",
	Config: "the recovery manager this library comes from: one retry a failed call, its delay (1s, 2s, 4s) growing with the agent's count of failures,\n" +
		"none above 3 until a recovery deletes the count; then the stand-in, once; every error is worth it; each attempt under the timeout; no breaker, no check of answers",
	Build: func(env Env) Ask {
		var mu sync.Mutex
		failures := 0
		recovered := func() {
			mu.Lock()
			defer mu.Unlock()
			failures = 0
		}
		primary := limited(env.Timeout, env.Primary)
		return func(ctx context.Context, req Request) (Answer, error) {
			answer, err := primary(ctx, req)
			if err == nil {
				return answer, nil
			}
			mu.Lock()
			failures++
			count := failures
			mu.Unlock()
			if count <= retries {
				if err := sleep(ctx, delays[count-1]); err != nil {
					return Answer{}, err
				}
				if answer, err = primary(ctx, req); err == nil {
					recovered()
					return answer, nil
				}
			}
			if env.StandIn != nil {
				if answer, err = limited(env.Timeout, env.StandIn)(ctx, req); err == nil {
					recovered()
				}
			}
			return answer, err
		}
	},
}
