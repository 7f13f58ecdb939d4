package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

func fails(context.Context, string) (string, error) { return "", errors.New("connection reset") }

// One goroutine, or one page, serves the questions of all agents.
func ExampleDesk() {
	desk := inbox.NewDesk(16)
	go func() {
		for incident := range desk.Incidents() {
			fmt.Println(incident.ID, "asks:", incident.Request)
			err := desk.Resolve(incident.ID, strategies.Decision{Action: strategies.ActionAnswer, Value: "It is closed.", By: "Ada"})
			if err != nil { // too late, or somebody else was faster
				fmt.Println(err)
			}
		}
	}()
	guarded, err := middleware.WrapFunc(fails).Named("narrator").
		Intervene(middleware.Intervention{Ask: desk, Deadline: time.Minute}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	o := guarded.Outcome(context.Background(), "Is the gate open?")
	fmt.Println(o.Value, o.Strategy, o.ServedBy)
	// Output:
	// narrator-1 asks: Is the gate open?
	// It is closed. user_intervention Ada
}

func ExampleTerminal() {
	guarded, _ := middleware.WrapFunc(fails).Named("narrator").
		Fallback("archivist", middleware.Func(fails)).
		Intervene(middleware.Intervention{Ask: &inbox.Terminal{
			In:  strings.NewReader("a It is closed.\n"), // os.Stdin
			Out: os.Stdout,
		}}).
		Build()
	fmt.Println(guarded.Run(context.Background(), "Is the gate open?"))
	// Output:
	// incident narrator-1: agent "narrator" could not answer (transient)
	//   narrator     connection reset
	//   archivist    connection reset
	//   no decision within 5m0s counts as none
	// [r]etry, [a]nswer TEXT, [u]se archivist, e[x]it
	// > It is closed. <nil>
}
