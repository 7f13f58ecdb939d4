// Customchain puts a user's own middleware into a chain: at a named stage of the documented
// order, and in a chain put together by hand.
//
//	go run ./customchain
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// trace sees no requests and no answers, so it fits around agents of any types: it makes the
// call and looks at the error.
func trace(out io.Writer, where string) func(ctx context.Context, next func(context.Context) error) error {
	return func(ctx context.Context, next func(context.Context) error) error {
		err := next(ctx)
		attempt := middleware.CallOf(ctx).Attempt()
		if err != nil {
			fmt.Fprintf(out, "  %s: attempt %d failed: %v\n", where, attempt, err)
			return err
		}
		fmt.Fprintf(out, "  %s: attempt %d answered\n", where, attempt)
		return nil
	}
}

// redact changes requests on their way in: no agent and no stand-in sees what it takes out. A
// middleware that sees values has their types. It gets the next runner once, when the chain is
// built, and returns the runner that stands in front of it.
func redact(secret string) middleware.Middleware[string, string] {
	return func(next middleware.Runner[string, string]) middleware.Runner[string, string] {
		return middleware.Func(func(ctx context.Context, req string) (string, error) {
			return next.Run(ctx, strings.ReplaceAll(req, secret, "[secret]"))
		})
	}
}

func run(ctx context.Context, out io.Writer) error {
	const question = "Is 'swordfish' the password?"
	retry := strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{50 * time.Millisecond}}

	fmt.Fprintln(out, "own layers at stages of the documented order:")
	guarded, err := middleware.WrapFunc(newAgent(2)).
		Named("narrator").
		Retry(retry).
		Use(middleware.StageObserve, redact("swordfish")). // outside of everything
		Around(middleware.StageRetry, trace(out, "outside of retry")).
		Around(middleware.StageAgent, trace(out, "next to the agent")).
		Build()
	if err != nil {
		return err
	}
	answer, err := guarded.Run(ctx, question)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, answer)

	fmt.Fprintln(out, "\na chain by hand, first layer outermost:")
	owner := &middleware.Owner{Name: "archivist"} // the same for all layers of one agent
	chain := middleware.Chain(middleware.Func(newAgent(1)),
		redact("swordfish"),
		middleware.Retry[string, string](owner, retry),
		middleware.Around[string, string](trace(out, "inside of retry")),
		middleware.Timeout[string, string](owner, time.Second),
		middleware.Recover[string, string](owner),
	)
	if answer, err = chain.Run(ctx, question); err != nil {
		return err
	}
	fmt.Fprintln(out, answer)
	return nil
}

// newAgent returns an agent that fails so many times and then repeats what it was asked.
func newAgent(failures int) func(context.Context, string) (string, error) {
	return func(_ context.Context, req string) (string, error) {
		if failures--; failures >= 0 {
			return "", errors.New("connection refused")
		}
		return "You ask: " + req, nil
	}
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
