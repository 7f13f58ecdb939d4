package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// A price list is a file of your own. The model "*" is any that is not named.
const priceList = `
# model      in     out    cached   (a million tokens, in one currency)
large-1      3      15     0.30
small-1      0.25   1.25   -
*            15     75     -
`

func ExampleBuilder_UsageLimits() {
	prices, err := strategies.ReadPrices(strings.NewReader(priceList))
	if err != nil {
		fmt.Println(err)
		return
	}
	model := func(ctx context.Context, question string) (string, error) {
		spent := strategies.Usage{TokensIn: 40_000, TokensOut: 2_000} // as the provider says
		spent.Money, _ = prices.Of("large-1", spent)
		middleware.CallOf(ctx).Spent(spent)
		return "", errors.New("connection reset")
	}

	researcher, err := middleware.WrapFunc(model).
		Named("researcher").
		Retry(strategies.Retry{MaxRetries: 9, Backoff: strategies.Delays{0}}).
		UsageLimits(strategies.UsageLimits{Calls: 20, Money: 500_000}). // half a unit
		Degrade(strategies.LevelEmergency, middleware.Free(middleware.Func(
			func(context.Context, string) (string, error) { return "I could not find out.", nil }))).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	o := researcher.Outcome(context.Background(), "Who was at the door?")
	fmt.Println(o.Value, "-", o.Strategy)
	fmt.Println(o.Usage)
	fmt.Println(researcher.Explain().Limits)
	// Output:
	// I could not find out. - degradation
	// 4 calls, 160000 tokens in, 8000 out, 0.6 in money
	// 20 calls, 0.5 in money
}

func ExampleWithUsageLimits() {
	helper := middleware.Must(middleware.WrapFunc(func(context.Context, string) (string, error) { return "found", nil }).Named("helper").Build())
	// The agents of a tree need no setting.
	ctx := middleware.WithUsageLimits(context.Background(), strategies.UsageLimits{Calls: 3})
	for range 4 {
		answer, err := helper.Run(ctx, "look")
		fmt.Println(answer, errors.Is(err, strategies.ErrLimit))
	}
	fmt.Println(middleware.CallOf(ctx).Usage())
	// Output:
	// found false
	// found false
	// found false
	//  true
	// 3 calls
}
