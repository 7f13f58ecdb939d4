package redis_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/redis"
)

// One of the fleet finds a provider down, and the others need not find out themselves.
func Example() {
	server := miniredis.NewMiniRedis() // in your program: the Redis that you have
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	ctx := context.Background()

	client := goredis.NewUniversalClient(&goredis.UniversalOptions{Addrs: []string{server.Addr()}})
	defer client.Close()
	store, err := redis.Open(ctx, client, redis.Name("tavern"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	_, err = store.Put(ctx, strategies.Write{
		Key:      "breaker/openai",
		Value:    []byte("open"),
		Revision: strategies.AnyRevision,
		TTL:      30 * time.Second,
	})
	fmt.Println(err)
	r, err := store.Get(ctx, "breaker/openai")
	fmt.Printf("%s %v\n", r.Value, err)
	// Output:
	// <nil>
	// open <nil>
}
