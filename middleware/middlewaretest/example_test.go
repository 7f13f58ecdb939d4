package middlewaretest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// An agent that fails once, and is asked again.
func ExampleScript() {
	agent := middlewaretest.Script(
		middlewaretest.Fail(errors.New("connection reset")),
		middlewaretest.Answer("The door creaks open."),
	)
	narrator := must(middleware.Wrap(agent).
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}).
		Build())

	fmt.Println(narrator.Run(context.Background(), "Who is at the door?"))
	for _, call := range agent.Calls() {
		fmt.Printf("attempt %d: %q, %v\n", call.Attempt, call.Answer, call.Err)
	}
	// Output:
	// The door creaks open. <nil>
	// attempt 1: "", connection reset
	// attempt 2: "The door creaks open.", <nil>
}

type (
	Question struct{ Text string }
	Scene    struct{ Place string }
	Narrator struct{} // the agent in production
)

func (*Narrator) Run(context.Context, Question) (Scene, error) {
	return Scene{}, errors.New("no network")
}

// The types come from the agent that is not there.
func ExampleInPlaceOf() {
	agent := middlewaretest.InPlaceOf((*Narrator)(nil),
		middlewaretest.Panic("index out of range"),
		middlewaretest.Answer(Scene{Place: "a hall"}),
	)
	narrator := must(middleware.Wrap(agent).Build())

	_, err := narrator.Run(context.Background(), Question{"Where am I?"})
	fmt.Println(err)
	fmt.Println(narrator.Run(context.Background(), Question{"Where am I?"}))
	// Output:
	// understudy: agent "agent" failed (panic) after 1 attempt: agent: understudy: agent panicked: index out of range
	// {a hall} <nil>
}

// A step can take its time, be deaf to its context, and be done more than once.
func ExampleStep() {
	agent := middlewaretest.Script(
		middlewaretest.Fail(errors.New("overloaded")).Times(2),
		middlewaretest.Answer("slow").After(time.Millisecond),
		middlewaretest.Do(func(_ context.Context, question string) (string, error) { return "You ask: " + question, nil }),
	)
	for range 4 {
		answer, err := agent.Run(context.Background(), "Why?")
		fmt.Printf("%q, %v\n", answer, err)
	}
	// Output:
	// "", overloaded
	// "", overloaded
	// "slow", <nil>
	// "You ask: Why?", <nil>
}

// Chaos stands innermost, so all layers are put to the test. The seed makes the
// run the same every time.
func ExampleChaos() {
	agent := middlewaretest.Script(middlewaretest.Answer("The door creaks open."))
	chaos := &middlewaretest.Chaos[string, string]{Seed: 42, Error: 0.2, Panic: 0.1, BadAnswer: 0.1}
	narrator := must(middleware.Wrap(agent).
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}).
		Validate(func(_ context.Context, _, answer string) error {
			if answer == "" {
				return errors.New("empty")
			}
			return nil
		}).
		Fallback("archivist", middlewaretest.Script(middlewaretest.Answer("The archive says: a door."))).
		Use(middleware.StageAgent, chaos.Middleware).
		Build())

	answered := 0
	for range 1000 {
		if _, err := narrator.Run(context.Background(), "Who is at the door?"); err == nil {
			answered++
		}
	}
	fmt.Println("answered:", answered)
	fmt.Println(chaos.Counts())
	// Output:
	// answered: 1000
	// 1252 calls: 764 left alone, 246 errors, 0 delayed, 0 hung, 131 panics, 111 bad answers
}

// What happened, one line an event.
func ExampleRecorder() {
	var events middlewaretest.Recorder
	narrator := must(middleware.Wrap(middlewaretest.Script(middlewaretest.Fail(errors.New("connection reset")))).
		Named("narrator").
		Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}).
		Fallback("archivist", middlewaretest.Script(middlewaretest.Answer("The archive says: a door."))).
		Observe(&events).
		Build())

	fmt.Println(narrator.Run(context.Background(), "Who is at the door?"))
	fmt.Print(events.String())
	fmt.Println("stand-ins called:", events.Count(middleware.EventStandInCalled))
	// Output:
	// The archive says: a door. <nil>
	// attempt_failed narrator attempt=1 class=transient err="connection reset"
	// retry_scheduled narrator attempt=2 class=transient err="connection reset"
	// attempt_failed narrator attempt=2 class=transient err="connection reset"
	// retries_ended narrator attempt=2 class=transient stop=retries_exhausted err="connection reset"
	// stand_in_called narrator served_by=archivist class=transient
	// recovered narrator served_by=archivist attempt=3 class=transient strategy=fallback
	// stand-ins called: 1
}

// logging is a layer of one's own.
func logging[Req, Resp any]() middleware.Middleware[Req, Resp] {
	return func(next middleware.Runner[Req, Resp]) middleware.Runner[Req, Resp] {
		return middleware.Func(func(ctx context.Context, req Req) (Resp, error) {
			resp, err := next.Run(ctx, req)
			_ = err // would be logged
			return resp, err
		})
	}
}

// The suite runs as subtests of a test, one a rule.
func ExampleConform() {
	_ = func(t *testing.T) { // TestLoggingConforms
		middlewaretest.Conform(t, logging[string, string])
	}
	_ = func(t *testing.T) { // TestImpatientRetryConforms
		middlewaretest.Conform(t, func() middleware.Middleware[string, string] {
			return middleware.Retry[string, string](&middleware.Owner{}, strategies.Retry{MaxRetries: 1})
		}, middlewaretest.AllowRetries)
	}
}

// The program of the package documentation.
func TestNarratorIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the delays cost no real time
		agent := middlewaretest.Script(
			middlewaretest.Fail(errors.New("connection reset")),
			middlewaretest.Hang(),
			middlewaretest.Answer("The door creaks open."),
		)
		var events middlewaretest.Recorder
		narrator, err := middleware.Wrap(agent).
			Named("narrator").
			Retry(strategies.Retry{}).
			Timeout(30 * time.Second).
			Observe(&events).
			Build()
		if err != nil {
			t.Fatal(err)
		}
		answer, err := narrator.Run(t.Context(), "Who is at the door?")
		if err != nil || answer != "The door creaks open." {
			t.Errorf("got %q, %v", answer, err)
		}
		if n := agent.Called(); n != 3 {
			t.Errorf("the agent was called %d times, want 3", n)
		}
		t.Log(events.String())
	})
}

func TestTheLayerOfTheExampleConforms(t *testing.T) { middlewaretest.Conform(t, logging) }
