package strategies_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

func ExampleClassify() {
	for _, err := range []error{
		errors.New("something new"),
		fmt.Errorf("read stream: %w", io.ErrUnexpectedEOF),
		context.DeadlineExceeded, // of the attempt: the caller still waits
		strategies.WithClass(strategies.ClassBlocked, errors.New("refused")),
		&strategies.AgentError{Agent: "narrator", Err: errors.New("the story is lost")},
	} {
		v := strategies.Classify(err)
		fmt.Printf("%-13v retry %-5v stand-in %-5v person %v\n", v.Class, v.Retry, v.Fallback, v.Intervene)
	}
	// Output:
	// transient     retry true  stand-in true  person true
	// transient     retry true  stand-in true  person true
	// timeout       retry true  stand-in true  person true
	// blocked       retry false stand-in false person true
	// unrecoverable retry false stand-in false person true
}

func ExampleClassifier() {
	errCampaignOver := errors.New("the campaign is over")
	classifier := &strategies.Classifier{
		// A rule has an opinion on some errors and leaves the others.
		Rules: []strategies.Rule{func(err error) strategies.Class {
			if errors.Is(err, errCampaignOver) {
				return strategies.ClassBadRequest
			}
			return strategies.ClassUnclassified
		}},
		// Another model may answer what this one refuses.
		Verdicts: map[strategies.Class]strategies.Verdict{
			strategies.ClassBlocked: {Fallback: true, Degrade: true},
		},
	}
	over := classifier.Classify(fmt.Errorf("turn 7: %w", errCampaignOver))
	refused := classifier.Classify(strategies.WithClass(strategies.ClassBlocked, errors.New("no")))
	fmt.Println(over.Class, over.Retry)
	fmt.Println(refused.Class, refused.Fallback)
	// Output:
	// bad_request false
	// blocked true
}

func ExampleWithClass() {
	// An agent that knows what happened says so; the text stays what it was.
	err := strategies.WithClass(strategies.ClassRateLimited, errors.New("too many dragons"))
	err = strategies.WithRetryAfter(20*time.Second, err)
	v := strategies.Classify(err)
	fmt.Println(err)
	fmt.Println(v.Class, v.RetryAfter)
	// Output:
	// too many dragons
	// rate_limited 20s
}

func ExampleRetry() {
	retry := strategies.Retry{} // 3 retries, after 1 s, 2 s, 4 s
	state := strategies.RetryState{
		Verdict: strategies.Classify(errors.New("connection reset")),
		Bounded: true, TimeLeft: 5 * time.Second, // until the caller's deadline
	}
	for ; ; state.Retries++ {
		wait, stop := retry.Next(state)
		if stop != "" {
			fmt.Println("no:", stop)
			break
		}
		fmt.Println("wait", wait)
		state.TimeLeft -= wait
	}
	fmt.Println("at worst", retry.Worst(false).Plain)
	// Output:
	// wait 1s
	// wait 2s
	// no: the next attempt would miss the deadline
	// at worst 7s
}

func ExampleRetry_perAgent() {
	// One retry a failed call, its delay growing from call to call.
	retry := strategies.Retry{Allowance: strategies.AllowancePerAgent}
	var tally strategies.Tally
	for range 4 {
		failures, _ := tally.Of("narrator").Failed()
		wait, stop := retry.Next(strategies.RetryState{
			Verdict: strategies.VerdictOf(strategies.ClassTransient), Failures: failures,
		})
		fmt.Printf("%d %v %q\n", failures, wait, stop)
	}
	// Output:
	// 1 1s ""
	// 2 2s ""
	// 3 4s ""
	// 4 0s "retries spent by earlier calls, until the agent succeeds"
}

func ExampleExponential() {
	backoff := strategies.Exponential{Base: time.Second, Factor: 3, Cap: 20 * time.Second}
	for n := 1; n <= 5; n++ {
		fmt.Print(backoff.Delay(n), " ")
	}
	// Output: 1s 3s 9s 20s 20s
}

func ExampleDelays() {
	backoff := strategies.Delays{0, time.Second, 5 * time.Second} // at once first
	for n := 1; n <= 5; n++ {
		fmt.Print(backoff.Delay(n), " ")
	}
	// Output: 0s 1s 5s 5s 5s
}

func ExampleBudget() {
	budget := &strategies.Budget{Capacity: 20} // shared by whoever should share it
	fmt.Println(budget.Take(strategies.ClassTransient), budget.Left())
	fmt.Println(budget.Take(strategies.ClassTimeout), budget.Left()) // these cost double
	fmt.Println(budget.Take(strategies.ClassTimeout), budget.Left())
	budget.Success()
	fmt.Println(budget.Left())
	// Output:
	// true 15
	// true 5
	// false 5
	// 6
}

func ExampleBreaker() {
	breaker := &strategies.Breaker{Name: "openai", Failures: 2}
	breaker.Watch(func(c strategies.BreakerChange) { fmt.Printf("%v -> %v\n", c.From, c.To) })

	for range 2 {
		permit, err := breaker.Allow()
		if err != nil {
			fmt.Println(err)
			return
		}
		permit.Failure(errors.New("bad gateway")) // or Success, or Neutral
	}
	_, err := breaker.Allow()
	fmt.Println("rejected:", errors.Is(err, strategies.ErrRejected))
	fmt.Println("because:", breaker.LastFailure())

	breaker.Reset()
	_, err = breaker.Allow()
	fmt.Println(err)
	// Output:
	// closed -> open
	// rejected: true
	// because: bad gateway
	// open -> closed
	// <nil>
}

func ExampleTally() {
	var tally strategies.Tally
	narrator := tally.Of("narrator") // a layer keeps the pointer
	narrator.Failed()
	narrator.Failed()
	narrator.Spend()
	fmt.Println(narrator.Failures(), narrator.Spent())

	narrator.Recovered() // a stand-in answered
	fmt.Println(narrator.Failures(), narrator.Spent())

	tally.Reset("narrator") // or it succeeded by itself
	fmt.Println(narrator.Failures(), narrator.Spent())
	// Output:
	// 2 true
	// 0 true
	// 0 false
}

func ExampleLadder() {
	ladder := &strategies.Ladder{Actions: map[strategies.Level][]string{
		strategies.LevelMinimal: {"look", "talk"},
	}}
	ladder.Degrade(strategies.LevelMinimal, "the world model is down")
	ladder.Degrade(strategies.LevelReduced, "the narrator is slow") // never up again by this

	fmt.Println(ladder.Level(), ladder.Allows("talk"), ladder.Allows("fight"))
	for _, reason := range ladder.Reasons() {
		fmt.Println("-", reason.Text)
	}
	ladder.Restore(strategies.LevelFull)
	fmt.Println(ladder.Level(), ladder.Allows("fight"))
	// Output:
	// minimal true false
	// - the world model is down
	// - the narrator is slow
	// full true
}

func ExampleBulkhead() {
	bulkhead := &strategies.Bulkhead{Name: "gpu", MaxConcurrent: 1}
	ctx := context.Background()
	if err := bulkhead.Acquire(ctx); err == nil {
		defer bulkhead.Release()
	}
	fmt.Println(bulkhead.InFlight())
	fmt.Println(bulkhead.Acquire(ctx))
	// Output:
	// 1
	// understudy: bulkhead "gpu" is full: 1 call in flight (waited 0s)
}

func ExampleAgentError() {
	err := error(&strategies.AgentError{Agent: "narrator", Err: errors.New("the story is lost")})
	fmt.Println(err)
	fmt.Println(strategies.Classify(err).Class)

	// What is recoverable is judged by its cause.
	err = &strategies.AgentError{Agent: "narrator", Recoverable: true, Err: context.DeadlineExceeded}
	fmt.Println(strategies.Classify(err).Class)
	// Output:
	// understudy: agent "narrator": unrecoverable: the story is lost
	// unrecoverable
	// timeout
}

func ExampleRecoveryError() {
	err := error(&strategies.RecoveryError{
		Agent: "narrator", Class: strategies.ClassTransient, Strategy: strategies.StrategyDegradation, Stop: strategies.StopExhausted,
		Attempts: []strategies.Attempt{
			{Agent: "narrator", Class: strategies.ClassTransient, Err: io.ErrUnexpectedEOF},
			{Agent: "archivist", Class: strategies.ClassTimeout, Err: context.DeadlineExceeded},
		},
	})
	fmt.Println(err)
	// Every attempt's own error is within reach.
	fmt.Println(errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded))
	if recovery, ok := errors.AsType[*strategies.RecoveryError](err); ok {
		fmt.Println(recovery.Strategy, len(recovery.Attempts))
	}
	// Output:
	// understudy: agent "narrator" failed (transient) after 2 attempts, no more retries: retries used up: archivist: context deadline exceeded
	// true true
	// degradation 2
}

func ExampleIntervenorFunc() {
	operator := strategies.IntervenorFunc(func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
		if len(i.Agents) == 0 {
			return strategies.Decision{}, nil // the zero decision aborts
		}
		return strategies.Decision{Action: strategies.ActionUseAgent, Agent: i.Agents[0], By: "mira"}, nil
	})
	for _, agents := range [][]string{nil, {"archivist"}} {
		decision, err := operator.Decide(context.Background(), strategies.Incident{ID: "i1", Agents: agents})
		fmt.Printf("%v %q %v\n", decision.Action, decision.Agent, err)
	}
	// Output:
	// abort "" <nil>
	// use agent "archivist" <nil>
}
