// Sharedbreaker gives two agents of different types one circuit breaker, because they call the
// same provider: what one learns of it the hard way, the other need not.
//
//	go run ./sharedbreaker
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

// Roll is a throw of dice: a request that has nothing in common with a line of text.
type Roll struct{ Dice, Sides int }

// provider is what both agents call.
type provider struct {
	down  bool
	calls int
}

func (p *provider) call() error {
	if p.calls++; p.down {
		return errors.New("503 service unavailable")
	}
	return nil
}

func run(ctx context.Context, out io.Writer) error {
	var upstream provider
	breaker := &strategies.Breaker{Name: "upstream", Failures: 3, OpenFor: 200 * time.Millisecond, NoJitter: true}
	breaker.Watch(func(c strategies.BreakerChange) { fmt.Fprintf(out, "  breaker: %s to %s\n", c.From, c.To) })

	narrator, err := middleware.WrapFunc(func(_ context.Context, line string) (string, error) {
		if err := upstream.call(); err != nil {
			return "", err
		}
		return "You hear: " + line, nil
	}).Named("narrator").CircuitBreaker(breaker).Build()
	if err != nil {
		return err
	}
	dice, err := middleware.WrapFunc(func(_ context.Context, r Roll) (int, error) {
		if err := upstream.call(); err != nil {
			return 0, err
		}
		return r.Dice * r.Sides, nil // these dice are loaded
	}).Named("dice").CircuitBreaker(breaker).Build()
	if err != nil {
		return err
	}

	tell := func(agent string, value any, err error) {
		if err != nil {
			value = "the provider was asked and failed"
			if errors.Is(err, strategies.ErrRejected) {
				value = "spared: the provider was not asked"
			}
		}
		fmt.Fprintf(out, "  %-9s %v\n", agent+":", value)
	}
	speak := func() { v, err := narrator.Run(ctx, "a bell"); tell("narrator", v, err) }
	roll := func() { v, err := dice.Run(ctx, Roll{Dice: 2, Sides: 6}); tell("dice", v, err) }
	act := func(title string, calls ...func()) {
		before := upstream.calls
		fmt.Fprintln(out, title)
		for _, call := range calls {
			call()
		}
		fmt.Fprintf(out, "  calls that reached the provider: %d\n", upstream.calls-before)
	}

	act("All is well.", speak, roll)
	upstream.down = true
	act("The provider goes down, and the narrator finds out.", speak, speak, speak)
	act("The dice learn it from the breaker.", roll, roll)
	upstream.down = false
	select {
	case <-time.After(breaker.RetryAfter()):
	case <-ctx.Done():
		return ctx.Err()
	}
	act("It is back. The first to ask is the trial, for both.", roll, speak)
	return nil
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
