package otel

import (
	"context"

	api "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

const scopeName = "github.com/understudy-go/understudy/middleware/adapters/otel"

// Options say where to write. The zero value writes to the global providers.
type Options struct {
	TracerProvider trace.TracerProvider // nil: the global one
	MeterProvider  metric.MeterProvider // nil: the global one
	// Classifier is the one the builder was given, if it was given one, so that
	// error.type is the class that the layers acted on.
	Classifier *strategies.Classifier
}

// Telemetry writes for any number of agents, of any types. Make one a program.
type Telemetry struct {
	instruments
	tracer     trace.Tracer
	classifier *strategies.Classifier
}

// New makes the instruments. The error is the meter provider's.
func New(o Options) (*Telemetry, error) {
	if o.TracerProvider == nil {
		o.TracerProvider = api.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = api.GetMeterProvider()
	}
	t := &Telemetry{tracer: o.TracerProvider.Tracer(scopeName), classifier: o.Classifier}
	if err := t.instruments.make(o.MeterProvider.Meter(scopeName)); err != nil {
		return nil, err
	}
	return t, nil
}

// Chain is what can be instrumented: a [middleware.Builder], a
// [middleware.StreamBuilder] or [middleware.Settings].
type Chain[B any] interface {
	Observe(o middleware.Observer) B
	Around(stage middleware.Stage, do func(ctx context.Context, next func(context.Context) error) error) B
}

// Instrument adds all there is to a builder: the observer, a span and a duration
// a call and an attempt. agent is the name that the builder has. Without a
// Telemetry the builder's Build says so.
func Instrument[B Chain[B]](b B, agent string, t *Telemetry) B {
	if t == nil {
		return b.Observe(nil)
	}
	b.Observe(t.Observer(agent))
	b.Around(middleware.StageObserve, Calls(agent, t))
	return b.Around(middleware.StageTimeout, Attempts(agent, t))
}

// Traced puts an attempt's span around an agent that stands in without layers of
// its own: Fallback("archivist", otel.Traced(archivist, "archivist", t)).
func Traced[Req, Resp any](r middleware.Runner[Req, Resp], agent string, t *Telemetry) middleware.Runner[Req, Resp] {
	return middleware.Chain(r, middleware.Around[Req, Resp](Attempts(agent, t)))
}
