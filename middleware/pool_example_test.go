package middleware_test

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Three regions of one model: the first is at its limit, and nobody waits for it.
func ExamplePool() {
	ask := func(region string, err error) middleware.Runner[string, string] {
		return middleware.Func(func(context.Context, string) (string, error) { return "answer from " + region, err })
	}
	limited := strategies.WithRetryAfter(20*time.Second, strategies.WithClass(strategies.ClassRateLimited, fmt.Errorf("slow down")))
	pool, err := middleware.Pool(middleware.PoolSettings[string]{Spread: &strategies.Spread{InOrder: true}},
		middleware.Member[string, string]{Name: "east", Agent: ask("east", limited)},
		middleware.Member[string, string]{Name: "west", Agent: ask("west", nil)},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	guarded := middleware.Must(middleware.Wrap[string, string](pool).Retry(strategies.Retry{}).Build())
	fmt.Println(guarded.Run(context.Background(), "Who is at the door?"))
	for _, m := range pool.Health() {
		fmt.Println(m.Name, m.Breaker)
	}
	// Output:
	// answer from west <nil>
	// east held
	// west closed
}

// A conversation stays with the region that has its prompt in a cache; the first key
// is shared by two of them.
func ExamplePoolStream() {
	speak := func(region string, err error) middleware.Streamer[string, string] {
		return middleware.StreamFunc(func(context.Context, string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				if err != nil {
					yield("", err)
				} else if yield("answer from ", nil) {
					yield(region, nil)
				}
			}
		})
	}
	limited := strategies.WithRetryAfter(20*time.Second, strategies.WithClass(strategies.ClassRateLimited, fmt.Errorf("slow down")))
	conversation := func(req string) string { return req[:1] }
	pool, err := middleware.PoolStream(middleware.PoolSettings[string]{Spread: &strategies.Spread{InOrder: true}, Stay: conversation},
		middleware.StreamMember[string, string]{Name: "east", Key: "team", Domain: "east", Agent: speak("east", limited)},
		middleware.StreamMember[string, string]{Name: "east, large", Key: "team", Domain: "east", Agent: speak("east, large", nil)},
		middleware.StreamMember[string, string]{Name: "west", Key: "spare", Domain: "west", Agent: speak("west", nil)},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	guarded, err := middleware.WrapStream(pool).Retry(strategies.Retry{}).Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	stream, outcome := guarded.Outcome(context.Background(), "7: Who is at the door?")
	for chunk := range stream {
		fmt.Print(chunk)
	}
	fmt.Println(", by", outcome().ServedBy)
	for _, m := range pool.Health() {
		fmt.Printf("%s is %v\n", m.Name, m.Breaker)
	}
	// Output:
	// answer from west, by west
	// east is held
	// east, large is held
	// west is closed
}
