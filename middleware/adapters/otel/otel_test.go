package otel_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/otel"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

const (
	secret = "the request: my pin is 1234"
	answer = "the answer: your balance is 5678"
)

// What an agent fails with quotes the request, as those of real providers do.
var errSick = errors.New("cannot serve " + secret + ", nor say " + answer)

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}

// studio is the real SDK, writing to memory.
type studio struct {
	*otel.Telemetry
	provider *sdktrace.TracerProvider
	spans    *tracetest.SpanRecorder
	reader   *sdkmetric.ManualReader
}

func open(t *testing.T) *studio {
	t.Helper()
	s := &studio{spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	s.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans))
	var err error
	s.Telemetry, err = otel.New(otel.Options{
		TracerProvider: s.provider,
		MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func show(attributes []attribute.KeyValue) string {
	var all []string
	for _, a := range attributes {
		if a.Key == "understudy.call" {
			continue // another one each time: TestCallID
		}
		all = append(all, fmt.Sprintf(" %s=%s", a.Key, a.Value.String()))
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

// tree draws all spans under their parents, each with its attributes and events.
func (s *studio) tree() string {
	var b strings.Builder
	all := s.spans.Ended()
	slices.SortStableFunc(all, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	var draw func(parent sdktrace.ReadOnlySpan, indent string)
	draw = func(parent sdktrace.ReadOnlySpan, indent string) {
		for _, span := range all {
			if parent == nil && span.Parent().IsValid() || parent != nil && span.Parent().SpanID() != parent.SpanContext().SpanID() {
				continue
			}
			status := ""
			if span.Status().Code != codes.Unset {
				status = " " + span.Status().Code.String() + span.Status().Description
			}
			fmt.Fprintf(&b, "%s%s (%s, %v)%s%s\n", indent, span.Name(), span.SpanKind(), span.EndTime().Sub(span.StartTime()), status, show(span.Attributes()))
			for _, e := range span.Events() {
				fmt.Fprintf(&b, "%s  ● %s%s\n", indent, e.Name, show(e.Attributes))
			}
			draw(span, indent+"    ")
		}
	}
	draw(nil, "")
	return b.String()
}

// metrics lists all series, with the sum and, of a histogram, the count.
func (s *studio) metrics(t *testing.T) string {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := s.reader.Collect(context.Background(), &data); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					lines = append(lines, fmt.Sprintf("%s n=%d sum=%v%s%s", m.Name, p.Count, p.Sum, m.Unit, show(p.Attributes.ToSlice())))
				}
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					lines = append(lines, fmt.Sprintf("%s %d%s", m.Name, p.Value, show(p.Attributes.ToSlice())))
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					if p.Value != 0 {
						lines = append(lines, fmt.Sprintf("%s %d%s", m.Name, p.Value, show(p.Attributes.ToSlice())))
					}
				}
			default:
				t.Errorf("%s is a %T", m.Name, d)
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(append(lines, ""), "\n")
}

func says() middlewaretest.Step { return middlewaretest.Answer(answer) }
func sick() middlewaretest.Step { return middlewaretest.Fail(errSick) }
func bard(steps ...middlewaretest.Step) *middleware.Builder[string, string] {
	return middleware.Wrap(middlewaretest.Script(steps...)).Named("bard")
}

// person decides in turn.
func person(decisions ...strategies.Decision) middleware.Intervention {
	return middleware.Intervention{Ask: asking(func() strategies.Decision {
		d := decisions[0]
		decisions = decisions[1:]
		return d
	})}
}

type asking func() strategies.Decision

func (a asking) Decide(context.Context, strategies.Incident) (strategies.Decision, error) {
	return a(), nil
}

// stories are calls, and what is written of each.
var stories = []struct {
	it      string
	build   func(s *studio) *middleware.Builder[string, string]
	spans   string
	metrics string
}{
	{"it writes a call and an attempt of what goes well", func(*studio) *middleware.Builder[string, string] {
		return bard(says().After(time.Second)).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{})
	}, `invoke_agent bard (internal, 1s) gen_ai.agent.name=bard gen_ai.operation.name=invoke_agent understudy.attempts=1 understudy.level=full understudy.served_by=bard understudy.strategy=none
    attempt bard (internal, 1s) gen_ai.agent.name=bard understudy.attempt=1 understudy.level=full
`, `gen_ai.invoke_agent.duration n=1 sum=1s gen_ai.agent.name=bard understudy.level=full understudy.strategy=none
understudy.attempt.duration n=1 sum=1s gen_ai.agent.name=bard
`},
	{"it writes an attempt each, and the wait between them", func(*studio) *middleware.Builder[string, string] {
		return bard(sick(), says().After(time.Second)).Retry(strategies.Retry{Backoff: strategies.Delays{2 * time.Second}})
	}, `invoke_agent bard (internal, 3s) gen_ai.agent.name=bard gen_ai.operation.name=invoke_agent understudy.attempts=2 understudy.level=full understudy.served_by=bard understudy.strategy=retry
  ● understudy.attempt_failed error.type=transient gen_ai.agent.name=bard understudy.attempt=1
  ● understudy.retry_scheduled error.type=transient gen_ai.agent.name=bard understudy.attempt=2 understudy.delay=2
  ● understudy.recovered error.type=transient gen_ai.agent.name=bard understudy.attempt=2 understudy.strategy=retry
    attempt bard (internal, 0s) Error error.type=transient gen_ai.agent.name=bard understudy.attempt=1 understudy.level=full
    attempt bard (internal, 1s) gen_ai.agent.name=bard understudy.attempt=2 understudy.level=full
`, `gen_ai.invoke_agent.duration n=1 sum=3s gen_ai.agent.name=bard understudy.level=full understudy.strategy=retry
understudy.attempt.duration n=1 sum=0s error.type=transient gen_ai.agent.name=bard
understudy.attempt.duration n=1 sum=1s gen_ai.agent.name=bard
understudy.failures 1 error.type=transient gen_ai.agent.name=bard understudy.served_by=bard
understudy.recoveries 1 gen_ai.agent.name=bard understudy.level=full understudy.served_by=bard understudy.strategy=retry
understudy.retry.delay n=1 sum=2s error.type=transient gen_ai.agent.name=bard
`},
	{"it names the stand-in, and times one that is traced", func(s *studio) *middleware.Builder[string, string] {
		sage := middleware.Runner[string, string](middlewaretest.Script(says().After(time.Second / 2)))
		return bard(middlewaretest.Hang()).Timeout(time.Second).Fallback("sage", otel.Traced(sage, "sage", s.Telemetry))
	}, `invoke_agent bard (internal, 1.5s) gen_ai.agent.name=bard gen_ai.operation.name=invoke_agent understudy.attempts=2 understudy.level=full understudy.served_by=sage understudy.strategy=fallback
  ● understudy.attempt_failed error.type=timeout gen_ai.agent.name=bard understudy.attempt=1
  ● understudy.stand_in_called error.type=timeout gen_ai.agent.name=bard understudy.served_by=sage
  ● understudy.recovered error.type=timeout gen_ai.agent.name=bard understudy.attempt=2 understudy.served_by=sage understudy.strategy=fallback
    attempt bard (internal, 1s) Error error.type=timeout gen_ai.agent.name=bard understudy.attempt=1 understudy.level=full
    attempt sage (internal, 500ms) gen_ai.agent.name=sage understudy.attempt=1 understudy.level=full
`, `gen_ai.invoke_agent.duration n=1 sum=1.5s gen_ai.agent.name=bard understudy.level=full understudy.strategy=fallback
understudy.attempt.duration n=1 sum=0.5s gen_ai.agent.name=sage
understudy.attempt.duration n=1 sum=1s error.type=timeout gen_ai.agent.name=bard
understudy.failures 1 error.type=timeout gen_ai.agent.name=bard understudy.served_by=bard
understudy.recoveries 1 gen_ai.agent.name=bard understudy.level=full understudy.served_by=sage understudy.strategy=fallback
`},
	{"it marks a reduced answer, and shows where the ladder stands", func(*studio) *middleware.Builder[string, string] {
		return bard(sick()).Ladder(&strategies.Ladder{}).
			Degrade(strategies.LevelReduced, middlewaretest.Script(sick())).
			Degrade(strategies.LevelMinimal, middlewaretest.Script(says()))
	}, `invoke_agent bard (internal, 0s) gen_ai.agent.name=bard gen_ai.operation.name=invoke_agent understudy.attempts=3 understudy.level=minimal understudy.served_by=minimal answer understudy.strategy=degradation
  ● understudy.attempt_failed error.type=transient gen_ai.agent.name=bard understudy.attempt=1
  ● understudy.rung_failed error.type=transient gen_ai.agent.name=bard understudy.level=reduced understudy.served_by=reduced answer
  ● understudy.recovered error.type=transient gen_ai.agent.name=bard understudy.attempt=3 understudy.level=minimal understudy.served_by=minimal answer understudy.strategy=degradation
    attempt bard (internal, 0s) Error error.type=transient gen_ai.agent.name=bard understudy.attempt=1 understudy.level=full
`, `gen_ai.invoke_agent.duration n=1 sum=0s gen_ai.agent.name=bard understudy.level=minimal understudy.strategy=degradation
understudy.attempt.duration n=1 sum=0s error.type=transient gen_ai.agent.name=bard
understudy.degradation.level 2 gen_ai.agent.name=bard
understudy.failures 1 error.type=transient gen_ai.agent.name=bard understudy.served_by=bard
understudy.failures 1 error.type=transient gen_ai.agent.name=bard understudy.served_by=reduced answer
understudy.recoveries 1 gen_ai.agent.name=bard understudy.level=minimal understudy.served_by=minimal answer understudy.strategy=degradation
`},
	{"it says that a person helped, and not who", func(*studio) *middleware.Builder[string, string] {
		return bard(sick()).Intervene(person(
			strategies.Decision{Action: strategies.ActionRetryNow, By: "Ada", Reason: secret},
			strategies.Decision{Action: strategies.ActionAnswer, Value: answer, By: "Ada"}))
	}, `invoke_agent bard (internal, 0s) gen_ai.agent.name=bard gen_ai.operation.name=invoke_agent understudy.attempts=3 understudy.level=full understudy.served_by=intervention understudy.strategy=user_intervention
  ● understudy.attempt_failed error.type=transient gen_ai.agent.name=bard understudy.attempt=1
  ● understudy.person_asked error.type=transient gen_ai.agent.name=bard
  ● understudy.person_decided gen_ai.agent.name=bard
  ● understudy.attempt_failed error.type=transient gen_ai.agent.name=bard understudy.attempt=2
  ● understudy.person_asked error.type=transient gen_ai.agent.name=bard
  ● understudy.person_decided gen_ai.agent.name=bard
  ● understudy.recovered error.type=transient gen_ai.agent.name=bard understudy.attempt=3 understudy.served_by=intervention understudy.strategy=user_intervention
    attempt bard (internal, 0s) Error error.type=transient gen_ai.agent.name=bard understudy.attempt=1 understudy.level=full
    attempt bard (internal, 0s) Error error.type=transient gen_ai.agent.name=bard understudy.attempt=1 understudy.level=full
`, `gen_ai.invoke_agent.duration n=1 sum=0s gen_ai.agent.name=bard understudy.level=full understudy.strategy=user_intervention
understudy.attempt.duration n=2 sum=0s error.type=transient gen_ai.agent.name=bard
understudy.failures 2 error.type=transient gen_ai.agent.name=bard understudy.served_by=bard
understudy.recoveries 1 gen_ai.agent.name=bard understudy.level=full understudy.served_by=intervention understudy.strategy=user_intervention
`},
	{"it writes no attempt where the breaker is open", func(*studio) *middleware.Builder[string, string] {
		b := &strategies.Breaker{}
		b.Isolate()
		guarded := bard(says()).CircuitBreaker(b)
		return guarded
	}, `invoke_agent bard (internal, 0s) Error error.type=rejected gen_ai.agent.name=bard gen_ai.operation.name=invoke_agent understudy.attempts=1 understudy.required_strategy=degradation
  ● understudy.attempt_failed error.type=rejected gen_ai.agent.name=bard understudy.attempt=1
  ● understudy.failed error.type=rejected gen_ai.agent.name=bard understudy.attempt=1 understudy.strategy=degradation
`, `gen_ai.invoke_agent.duration n=1 sum=0s error.type=rejected gen_ai.agent.name=bard
understudy.failures 1 error.type=rejected gen_ai.agent.name=bard understudy.served_by=bard
`},
	{"it shows a breaker that opens in the middle of a retry loop", func(*studio) *middleware.Builder[string, string] {
		return bard(sick()).Retry(strategies.Retry{Backoff: strategies.Delays{time.Second}}).CircuitBreaker(&strategies.Breaker{Failures: 2, NoJitter: true})
	}, `invoke_agent bard (internal, 1s) Error error.type=transient gen_ai.agent.name=bard gen_ai.operation.name=invoke_agent understudy.attempts=2 understudy.required_strategy=degradation
  ● understudy.attempt_failed error.type=transient gen_ai.agent.name=bard understudy.attempt=1
  ● understudy.retry_scheduled error.type=transient gen_ai.agent.name=bard understudy.attempt=2 understudy.delay=1
  ● understudy.attempt_failed error.type=transient gen_ai.agent.name=bard understudy.attempt=2
  ● understudy.retries_ended error.type=transient gen_ai.agent.name=bard understudy.attempt=2 understudy.stop=breaker_open
  ● understudy.failed error.type=transient gen_ai.agent.name=bard understudy.attempt=2 understudy.stop=breaker_open understudy.strategy=degradation
    attempt bard (internal, 0s) Error error.type=transient gen_ai.agent.name=bard understudy.attempt=1 understudy.level=full
    attempt bard (internal, 0s) Error error.type=transient gen_ai.agent.name=bard understudy.attempt=2 understudy.level=full
`, `gen_ai.invoke_agent.duration n=1 sum=1s error.type=transient gen_ai.agent.name=bard
understudy.attempt.duration n=2 sum=0s error.type=transient gen_ai.agent.name=bard
understudy.breaker.state 1 gen_ai.agent.name=bard understudy.breaker.state=open
understudy.failures 2 error.type=transient gen_ai.agent.name=bard understudy.served_by=bard
understudy.retry.delay n=1 sum=1s error.type=transient gen_ai.agent.name=bard
`},
	{"it takes an interrupt for no failure", func(*studio) *middleware.Builder[string, string] {
		return bard(middlewaretest.Fail(strategies.WithClass(strategies.ClassInterrupt, errSick))).Retry(strategies.Retry{})
	}, `invoke_agent bard (internal, 0s) gen_ai.agent.name=bard gen_ai.operation.name=invoke_agent understudy.interrupted=true
    attempt bard (internal, 0s) gen_ai.agent.name=bard understudy.attempt=1 understudy.interrupted=true understudy.level=full
`, `gen_ai.invoke_agent.duration n=1 sum=0s gen_ai.agent.name=bard understudy.interrupted=true
understudy.attempt.duration n=1 sum=0s gen_ai.agent.name=bard understudy.interrupted=true
`},
	{"it takes a panic for what the layers take it for", func(*studio) *middleware.Builder[string, string] {
		return bard(middlewaretest.Panic(secret))
	}, `invoke_agent bard (internal, 0s) Error error.type=panic gen_ai.agent.name=bard gen_ai.operation.name=invoke_agent understudy.attempts=1 understudy.required_strategy=degradation
  ● understudy.attempt_failed error.type=panic gen_ai.agent.name=bard understudy.attempt=1
  ● understudy.failed error.type=panic gen_ai.agent.name=bard understudy.attempt=1 understudy.strategy=degradation
    attempt bard (internal, 0s) Error error.type=panic gen_ai.agent.name=bard understudy.attempt=1 understudy.level=full
`, `gen_ai.invoke_agent.duration n=1 sum=0s error.type=panic gen_ai.agent.name=bard
understudy.attempt.duration n=1 sum=0s error.type=panic gen_ai.agent.name=bard
understudy.failures 1 error.type=panic gen_ai.agent.name=bard understudy.served_by=bard
`},
}

func TestWhatIsWritten(t *testing.T) {
	for _, story := range stories {
		t.Run(story.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t)
				guarded, err := otel.Instrument(story.build(s), "bard", s.Telemetry).Build()
				if err != nil {
					t.Fatal(err)
				}
				_, _ = guarded.Run(t.Context(), secret)
				spans, metrics := s.tree(), s.metrics(t)
				expect(t, "spans", spans, story.spans)
				expect(t, "metrics", metrics, story.metrics)
				for _, private := range []string{"1234", "5678", "Ada"} {
					if strings.Contains(spans+metrics, private) {
						t.Errorf("%q was written down", private)
					}
				}
			})
		})
	}
}

func TestStreams(t *testing.T) {
	s, calls := open(t), 0
	teller := middleware.StreamFunc(func(context.Context, string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			if calls++; calls == 1 {
				yield("", errSick)
				return
			}
			_ = yield("once", nil) && yield("upon", nil)
		}
	})
	guarded, err := otel.Instrument(middleware.WrapStream(teller).Named("bard").
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}), "bard", s.Telemetry).Build()
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := middleware.Collect(guarded.Stream(t.Context(), secret))
	if err != nil || !slices.Equal(chunks, []string{"once", "upon"}) {
		t.Errorf("got %q, %v", chunks, err)
	}
	for range guarded.Stream(t.Context(), secret) {
		break // the reader leaves
	}
	got := ""
	for _, span := range s.spans.Ended() {
		got += span.Name() + show(span.Attributes()) + "\n"
	}
	expect(t, "spans", got, `attempt bard error.type=transient gen_ai.agent.name=bard understudy.attempt=1 understudy.level=full
attempt bard gen_ai.agent.name=bard understudy.attempt=2 understudy.level=full
invoke_agent bard gen_ai.agent.name=bard gen_ai.operation.name=invoke_agent understudy.attempts=2 understudy.level=full understudy.served_by=bard understudy.strategy=retry
attempt bard gen_ai.agent.name=bard understudy.attempt=1 understudy.interrupted=true understudy.level=full
invoke_agent bard gen_ai.agent.name=bard gen_ai.operation.name=invoke_agent understudy.interrupted=true
`)
}
