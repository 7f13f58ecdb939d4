package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/inbox"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// What is open is listed, claimed and decided in any process that shares the store.
func ExampleInbox() {
	ctx := context.Background()
	store := &memory.Store{} // of a fleet: nats, redis or postgres
	defer store.Close()
	box, err := inbox.Open(store, inbox.Settings{
		Show: func(i strategies.Incident) string { return fmt.Sprint(i.Request) }, // what people may see
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer box.Close()
	guarded, err := middleware.WrapFunc(fails).Named("narrator").
		Intervene(middleware.Intervention{Ask: box, Deadline: time.Hour}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	go func() { // in the console, or in another process
		changes, err := box.Watch(ctx)
		if err != nil {
			return
		}
		for c := range changes {
			if c.Kind != inbox.ChangeEntry || c.Entry.State != inbox.StateOpen {
				continue
			}
			fmt.Println(c.Entry.Agent, "asks:", c.Entry.Request)
			_, err := box.Resolve(ctx, c.Entry.ID, strategies.Decision{Action: strategies.ActionAnswer, Value: "It is closed.", By: "Ada"})
			if second := (*inbox.ClosedError)(nil); errors.As(err, &second) {
				fmt.Println("somebody was faster:", second.Entry.Decision.By)
			}
			return
		}
	}()
	o := guarded.Outcome(ctx, "Is the gate open?")
	fmt.Println(o.Value, o.Strategy, o.ServedBy)
	// Output:
	// narrator asks: Is the gate open?
	// It is closed. user_intervention Ada
}

// The caller gets a ticket at once. The person decides tomorrow, and any process goes
// on with the call.
func ExampleResume() {
	ctx := context.Background()
	store := &memory.Store{}
	defer store.Close()
	box, err := inbox.Open(store, inbox.Settings{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer box.Close()
	refunds, err := middleware.WrapFunc(fails).Named("refunds").
		Effects(middleware.Effects{}). // what its tools do is done once, whoever goes on
		Intervene(middleware.Intervention{Ask: box, Park: true, Deadline: 72 * time.Hour}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := inbox.Resume(box, refunds); err != nil { // in every process that may go on with it
		fmt.Println(err)
		return
	}

	_, err = refunds.Run(middleware.WithCallID(ctx, "order 17"), "May I have my money back?")
	var pending *strategies.PendingError
	if !errors.As(err, &pending) {
		fmt.Println(err)
		return
	}
	fmt.Println("202 Accepted: ask for the ticket")

	_, err = box.Resolve(ctx, pending.Ticket, strategies.Decision{Action: strategies.ActionAnswer, Value: "You may.", By: "Ada"})
	if err != nil {
		fmt.Println(err)
	}
	answer, err := inbox.Wait[string](ctx, box, pending.Ticket) // or Result, which does not wait
	fmt.Println(answer, err)
	// Output:
	// 202 Accepted: ask for the ticket
	// You may. <nil>
}
