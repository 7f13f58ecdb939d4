package nats_test

import (
	"context"
	"fmt"
	"os"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/nats"
)

// A folder, and nothing to install: what was done is known after a crash.
func Example() {
	dir, err := os.MkdirTemp("", "tavern")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	for range 2 { // the process, and the process after it
		store, err := nats.Open(ctx, nats.Embedded(dir))
		if err != nil {
			fmt.Println(err)
			return
		}
		done, err := store.Get(ctx, "done/letter 17")
		if err == nil {
			fmt.Printf("the letter was sent: %s\n", done.Value)
		} else {
			_, err = store.Put(ctx, strategies.Write{Key: "done/letter 17", Value: []byte("by raven")})
			fmt.Println("sending it:", err)
		}
		_ = store.Close()
	}
	// Output:
	// sending it: <nil>
	// the letter was sent: by raven
}
