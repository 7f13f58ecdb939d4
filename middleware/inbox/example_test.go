package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
)

func fails(context.Context, string) (string, error) { return "", errors.New("connection reset") }

// One goroutine, or one page, serves the questions of all agents.
func ExampleDesk() {
	desk := inbox.NewDesk()
	go func() {
		for incident := range desk.Incidents() {
			fmt.Println(incident.Agent, "asks:", incident.Request)
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
	// narrator asks: Is the gate open?
	// It is closed. user_intervention Ada
}

func ExampleTerminal() {
	person := newKeyboard("a It is closed.\n", withoutIDs{os.Stdout}) // os.Stdin, os.Stdout
	guarded, _ := middleware.WrapFunc(fails).Named("narrator").
		Fallback("archivist", middleware.Func(fails)).
		Intervene(middleware.Intervention{Ask: &inbox.Terminal{In: person, Out: person}}).
		Build()
	fmt.Println(guarded.Run(context.Background(), "Is the gate open?"))
	// Output:
	// incident 01932c07-209c-7f3a-9d4e-3a5f0e8b7c21: agent "narrator" could not answer (transient)
	//   was asked:
	//   | Is the gate open?
	//   narrator     connection reset
	//   archivist    connection reset
	//   no decision within 5m0s counts as none
	// [r]etry, [a]nswer TEXT, [u]se archivist, e[x]it
	// > It is closed. <nil>
}

// withoutIDs shows the same id for all: a real one is another each time.
type withoutIDs struct{ io.Writer }

var anyID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func (w withoutIDs) Write(p []byte) (int, error) {
	_, err := w.Writer.Write(anyID.ReplaceAll(p, []byte("01932c07-209c-7f3a-9d4e-3a5f0e8b7c21")))
	return len(p), err
}
