// Humanintheloop puts what no agent could answer before the person at the terminal.
//
//	go run ./humanintheloop
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

const (
	dog     = "May the dog come in?"
	silence = "The captain's table is reserved. Somebody will come to you."
)

func run(ctx context.Context, in io.Reader, out io.Writer) error {
	steward, err := middleware.WrapFunc(newSteward()).
		Named("steward").
		Intervene(middleware.Intervention{
			Ask:      &inbox.Terminal{In: in, Out: out, By: "the captain"},
			Deadline: 30 * time.Second,
			Default:  strategies.Decision{Action: strategies.ActionAnswer, Value: silence, By: "house rules"},
		}).
		Build()
	if err != nil {
		return err
	}
	for _, guest := range []string{dog, "Is there a ship tonight?", "Who sits over there?"} {
		fmt.Fprintf(out, "\nGuest: %s\n", guest)
		o := steward.Outcome(ctx, guest)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case o.Err != nil:
			fmt.Fprintf(out, "Nobody answers: %v\n", o.Err)
		default:
			fmt.Fprintf(out, "Steward: %s\n(by %s, strategy %s)\n", o.Value, o.ServedBy, o.Strategy)
		}
	}
	return nil
}

// newSteward returns an agent that needs help with everything. What it says of itself, that it
// cannot recover, keeps the machine from asking again; a person may still think otherwise, and
// about the dog they are right.
func newSteward() func(context.Context, string) (string, error) {
	asked := map[string]int{}
	return func(_ context.Context, question string) (string, error) {
		if asked[question]++; asked[question] == 2 && question == dog {
			return "If it wipes its feet.", nil
		}
		return "", &strategies.AgentError{Agent: "steward", Err: errors.New("not in the house rules")}
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
