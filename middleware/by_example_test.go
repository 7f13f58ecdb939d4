package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

type letter struct{ tenant, text string }

func clerk(_ context.Context, l letter) (string, error) {
	if l.text == "" {
		return "", errors.New("nothing to read")
	}
	return "read", nil
}

func ExampleBuilder_By() {
	reader, err := middleware.WrapFunc(clerk).Named("clerk").
		CircuitBreaker(&strategies.Breaker{Failures: 2}).
		Bulkhead(&strategies.Bulkhead{MaxConcurrent: 4}).
		By(func(l letter) string { return l.tenant }, middleware.Keys{
			Shared:    []middleware.Stage{middleware.StageBulkhead},    // four at a time, of all tenants together
			Allowance: strategies.UsageLimits{Calls: 1000, Money: 5e6}, // for each, and each day
		}).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for range 2 {
		_, _ = reader.Run(ctx, letter{tenant: "ann"})
	}
	_, refused := reader.Run(ctx, letter{"ann", "dear Ann"})
	answer, _ := reader.Run(ctx, letter{"bob", "dear Bob"})
	fmt.Println("ann is refused:", errors.Is(refused, strategies.ErrRejected))
	fmt.Println("bob:", answer)
	for _, tenant := range []string{"ann", "bob"} {
		fmt.Println(tenant, "is", reader.Owner().HealthByKey()[tenant].Breaker)
	}
	// Output:
	// ann is refused: true
	// bob: read
	// ann is open
	// bob is closed
}

func ExampleGuarded_Update() {
	breaker := &strategies.Breaker{Failures: 5}
	narrator, err := middleware.WrapFunc(func(context.Context, string) (string, error) { return "once", nil }).Named("narrator").
		CircuitBreaker(breaker).Timeout(30 * time.Second).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	breaker.Isolate() // it is being repaired

	err = narrator.Update(middleware.WrapFunc(func(context.Context, string) (string, error) { return "upon a time", nil }).
		CircuitBreaker(&strategies.Breaker{Failures: 3}).Timeout(10 * time.Second))
	fmt.Println(err, narrator.Health().Breaker)
	breaker.Reset()
	answer, _ := narrator.Run(context.Background(), "begin")
	fmt.Println(answer)
	// Output:
	// <nil> isolated
	// upon a time
}
