// Quickstart wraps one unreliable agent and asks it three questions, on a worse day each time.
//
//	go run ./quickstart
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func run(ctx context.Context, out io.Writer) error {
	// newNarrator returns any func(context.Context, Req) (Resp, error); both types are inferred.
	narrator, err := middleware.WrapFunc(newNarrator()).Named("narrator").
		Retry(strategies.Retry{}).                                    // 3 more attempts, after 1 s, 2 s, 4 s
		CircuitBreaker(&strategies.Breaker{}).                        // after 5 failures in a row: left alone for 30 s
		Timeout(30*time.Second).                                      // for each attempt
		Fallback("archivist", middleware.Func(archivist)).            // another agent that can answer
		Degrade(strategies.LevelReduced, middleware.Func(innkeeper)). // a simpler answer, marked as such
		Build()
	if err != nil {
		return err // all that is wrong with the settings, before the first call
	}
	for _, question := range []string{"Who is at the door?", "What does she want?", "Do we let her in?"} {
		o := narrator.Outcome(ctx, question) // or: answer, err := narrator.Run(ctx, question)
		fmt.Fprintf(out, "%s\n  %s\n  by %s, strategy %s, %d attempts\n", question, o.Value, o.ServedBy, o.Strategy, o.Attempts)
		if o.Err != nil {
			return o.Err // who failed, each attempt, and what is required now
		}
	}
	return nil
}

// newNarrator returns an agent that fails by script, as one that calls a model fails by chance:
// a torn connection first, which passes, and then a key that has expired, which does not.
func newNarrator() func(ctx context.Context, question string) (string, error) {
	calls := 0
	return func(context.Context, string) (string, error) {
		switch calls++; calls {
		case 1:
			return "", errors.New("connection reset by peer")
		case 2:
			return "A stranger in a wet cloak, and no horse.", nil
		default:
			return "", strategies.WithClass(strategies.ClassUnauthorized, errors.New("401 key expired"))
		}
	}
}

func archivist(_ context.Context, question string) (string, error) {
	if question == "What does she want?" {
		return "Her name is in the guest book, eleven years ago. She never paid.", nil
	}
	return "", strategies.WithClass(strategies.ClassOverloaded, errors.New("503 no capacity"))
}

func innkeeper(context.Context, string) (string, error) {
	return "(The innkeeper shrugs. It is your door tonight.)", nil
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
