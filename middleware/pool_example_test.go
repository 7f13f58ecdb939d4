package middleware_test

import (
	"context"
	"fmt"
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
