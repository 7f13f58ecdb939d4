package otel_test

import (
	"context"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/otel"
)

// What a healthy call pays: with the SDK writing nowhere, sampled and not, and
// with the providers that a program has which sets none.
func BenchmarkHealthy(b *testing.B) {
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	for _, with := range []struct {
		name    string
		options otel.Options
	}{
		{"no providers", otel.Options{}},
		{"not sampled", otel.Options{MeterProvider: meters, TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))}},
		{"sampled", otel.Options{MeterProvider: meters, TracerProvider: sdktrace.NewTracerProvider()}},
	} {
		b.Run(with.name, func(b *testing.B) {
			telemetry, err := otel.New(with.options)
			if err != nil {
				b.Fatal(err)
			}
			agent := func(context.Context, int) (int, error) { return 0, nil }
			guarded, err := otel.Instrument(middleware.WrapFunc(agent), "bard", telemetry).Build()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = guarded.Run(b.Context(), 1)
			}
		})
	}
}
