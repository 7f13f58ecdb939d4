package prometheus_test

import (
	"context"
	"fmt"

	sdk "github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/prometheus"
	"github.com/understudy-go/understudy/strategies"
)

func Example() {
	narrate := func(context.Context, string) (string, error) { return "", errSick }
	archive := func(context.Context, string) (string, error) { return "Her name is in the guest book.", nil }
	registry := sdk.NewRegistry() // that of your program

	var agents []*middleware.Owner
	exporter, err := prometheus.New(prometheus.Options{Agents: func() []*middleware.Owner { return agents }}) // or a cast's Owners
	if err != nil {
		fmt.Println(err)
		return
	}
	registry.MustRegister(exporter)
	b := middleware.WrapFunc(narrate).
		Named("narrator").
		CircuitBreaker(&strategies.Breaker{}).
		Fallback("archivist", middleware.Func(archive))
	narrator, err := prometheus.Instrument(b, "narrator", exporter).Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	agents = append(agents, narrator.Owner())

	_, _ = narrator.Run(context.Background(), "What does she want?")
	families, _ := registry.Gather()
	for _, f := range families {
		if f.GetName() == "understudy_recoveries_total" {
			m := f.GetMetric()[0]
			for _, label := range m.GetLabel() {
				fmt.Printf("%s=%s ", label.GetName(), label.GetValue())
			}
			fmt.Println(f.GetName(), m.GetCounter().GetValue())
		}
	}
	// Output: agent=narrator level=full strategy=fallback understudy_recoveries_total 1
}
