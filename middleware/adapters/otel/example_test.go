package otel_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/otel"
	"github.com/understudy-go/understudy/strategies"
)

// The narrator fails twice, and the archivist answers in its place.
func Example() {
	spans := tracetest.NewSpanRecorder() // in place of an exporter
	narrate := func(context.Context, string) (string, error) { return "", errors.New("connection reset") }
	archive := func(context.Context, string) (string, error) { return "A stranger.", nil }

	telemetry, err := otel.New(otel.Options{ // both providers are the global ones by default
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := middleware.WrapFunc(narrate).
		Named("narrator").
		Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{time.Millisecond}}).
		Fallback("archivist", otel.Traced(middleware.Func(archive), "archivist", telemetry))
	narrator, err := otel.Instrument(b, "narrator", telemetry).Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := narrator.Run(context.Background(), "Who is at the door?")
	fmt.Println(answer, err)

	for _, span := range spans.Ended() {
		fmt.Println(span.Name(), span.Status().Code)
		for _, event := range span.Events() {
			fmt.Println("  ", event.Name)
		}
	}
	// Output:
	// A stranger. <nil>
	// attempt narrator Error
	// attempt narrator Error
	// attempt archivist Unset
	// invoke_agent narrator Unset
	//    understudy.attempt_failed
	//    understudy.retry_scheduled
	//    understudy.attempt_failed
	//    understudy.retries_ended
	//    understudy.stand_in_called
	//    understudy.recovered
}
