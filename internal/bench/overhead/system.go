package overhead

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Op is one unit of work. It is safe for concurrent use where its case is
// measured from many goroutines.
type Op func(ctx context.Context) (string, error)

// Agent is what is called.
type Agent func(ctx context.Context, req string) (string, error)

// Policies are what a system is asked to put around an agent: retry and breaker
// always, the rest if it has it.
type Policies struct {
	Fallback bool
	Timeout  bool
	// Full is the chain of promise 7: a reduced answer behind the stand-in, a
	// person behind that, and an observer that is told of every recovery.
	Full bool
	// Open has the breaker open before the first call, for an hour.
	Open bool
}

// System is one way to guard an agent.
type System struct {
	Name   string
	Config string // how it is configured, for people
	Guard  func(agent Agent, p Policies) Op
}

// Names of systems that are spoken of elsewhere.
const (
	Bare    = "bare call"
	Breaker = "gobreaker"
	ByHand  = "retry-go+gobreaker"
	Ours    = "understudy"
	Without = Ours + ", without" // the same call without what the case is about
)

const (
	retries  = 3
	failures = 5 // in a row open a breaker
	openFor  = time.Hour
	limit    = time.Minute // of an attempt: it never ends one here
	request  = "go on"
	second   = "the archivist's answer"
	canned   = "a canned answer"
)

var errSick = errors.New("the agent is sick")

// Systems are all that are measured, in the order of the table.
func Systems() []System {
	return []System{bare, bareBreaker, byHand, failsafeGo, fortifyChain, ours}
}

var bare = System{
	Name:   Bare,
	Config: "the agent called through a function value, without anything; where an answer takes two calls, by a loop",
	Guard: func(agent Agent, _ Policies) Op {
		return func(ctx context.Context) (answer string, err error) {
			for range retries + 1 {
				if answer, err = agent(ctx, request); err == nil {
					break
				}
			}
			return answer, err
		}
	},
}

// healthy answers at once; echo is its innards.
func healthy() Agent { return echo }

func echo(_ context.Context, req string) (string, error) { return req, nil }

// watchful looks at its context before it answers.
func watchful() Agent {
	return func(ctx context.Context, req string) (string, error) {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		default:
			return req, nil
		}
	}
}

// flaky fails every other call, from one goroutine.
func flaky() Agent {
	calls := 0
	return func(ctx context.Context, req string) (string, error) {
		if calls++; calls%2 == 1 {
			return "", errSick
		}
		return echo(ctx, req)
	}
}

func standIn(context.Context, string) (string, error) { return second, nil }

func reduced(context.Context, string) (string, error) { return canned, nil }

// counting says its numbers; no clock, no allocation.
func counting(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}
