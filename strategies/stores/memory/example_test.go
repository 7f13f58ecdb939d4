package memory_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// Two replicas want to send the same letter. One may: the other is told so.
func Example() {
	ctx := context.Background()
	var store strategies.Store = &memory.Store{}
	defer store.Close()

	send := func(replica string) {
		lease, err := store.Put(ctx, strategies.Write{
			Key:   "lease/letter 17",
			Value: []byte(replica),
			TTL:   30 * time.Second, // if it dies, another may
		})
		if errors.Is(err, strategies.ErrConflict) {
			fmt.Println(replica, "leaves it to the other")
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(replica, "sends the letter")
		lease, err = store.Put(ctx, strategies.Write{Key: lease.Key, Value: []byte("sent by " + replica), Revision: lease.Revision})
		fmt.Printf("%s, %v\n", lease.Value, err)
	}
	send("replica 1")
	send("replica 2")
	// Output:
	// replica 1 sends the letter
	// sent by replica 1, <nil>
	// replica 2 leaves it to the other
}

// A watch begins with what is there.
func ExampleStore_Watch() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store := &memory.Store{}
	defer store.Close()
	breaker, _ := store.Put(ctx, strategies.Write{Key: "breaker/openai", Value: []byte("closed")})

	changes, err := store.Watch(ctx, "breaker/")
	if err != nil {
		fmt.Println(err)
		return
	}
	for c := range changes {
		switch c.Kind {
		case strategies.ChangePut:
			fmt.Printf("%s is %s\n", c.Record.Key, c.Record.Value)
		case strategies.ChangeGone:
			fmt.Printf("%s is forgotten\n", c.Record.Key)
			return
		case strategies.ChangeCurrent:
			fmt.Println("that is all; what follows is new")
			_ = store.Delete(ctx, breaker.Key, breaker.Revision)
		case strategies.ChangeLost:
			fmt.Println("what I know may be old:", c.Err)
		}
	}
	// Output:
	// breaker/openai is closed
	// that is all; what follows is new
	// breaker/openai is forgotten
}
