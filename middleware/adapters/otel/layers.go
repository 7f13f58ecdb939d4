package otel

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

// state is one call under way: its attempts and the observer find it in the
// context, and tell it what its layer cannot see.
type state struct {
	agent  string
	span   trace.Span
	caller context.Context

	mu        sync.Mutex // an attempt that was left behind may still write
	id        string     // of the call; "": no event has told it
	level     strategies.Level
	recovered *middleware.Event // nil: there was nothing to recover
}

type contextKey struct{}

func stateOf(ctx context.Context) *state {
	c, _ := ctx.Value(contextKey{}).(*state)
	return c
}

// Calls returns the layer around a whole call, for [middleware.StageObserve]. It
// writes the span and the duration. What happened in between it learns from the
// observer, so it needs one: see [Instrument].
func Calls(agent string, t *Telemetry) func(ctx context.Context, next func(context.Context) error) error {
	about := trace.WithAttributes(semconv.GenAIOperationNameInvokeAgent, semconv.GenAIAgentName(agent))
	name, healthy := "invoke_agent "+agent, labels(answered(agent, strategies.StrategyNone, strategies.LevelFull)...)
	return func(ctx context.Context, next func(context.Context) error) (err error) {
		start := time.Now()
		inner, span := t.tracer.Start(ctx, name, trace.WithTimestamp(start), about)
		c := &state{agent: agent, span: span, caller: ctx}
		returned := false
		defer func() {
			end, set := time.Now(), t.called(c, returned, err, healthy)
			t.calls.Record(inner, end.Sub(start).Seconds(), set)
			span.End(trace.WithTimestamp(end))
		}()
		err = next(context.WithValue(inner, contextKey{}, c))
		returned = true
		return err
	}
}

// labels makes a set once, where one would be sorted for each measurement.
func labels(a ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(a...))
}

func answered(agent string, how strategies.Strategy, level strategies.Level) []attribute.KeyValue {
	return []attribute.KeyValue{semconv.GenAIAgentName(agent), strategyKey.String(how.String()), levelKey.String(level.String())}
}

// called writes into a call's span how it went, and returns the same for a metric.
func (t *Telemetry) called(c *state, returned bool, err error, healthy metric.MeasurementOption) metric.MeasurementOption {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id != "" {
		c.span.SetAttributes(callKey.String(c.id))
	}
	if err != nil || !returned {
		class := strategies.ClassInterrupt // a panic of the reader's, or a Goexit, on its way out
		if failure, ok := errors.AsType[*strategies.RecoveryError](err); ok && failure.Agent == c.agent {
			class = failure.Class
			c.span.SetAttributes(requiredKey.String(failure.Strategy.String()), attemptsKey.Int(len(failure.Attempts)))
		} else if returned {
			class = t.classifier.Classify(err).Class
		}
		return labels(semconv.GenAIAgentName(c.agent), ended(c.span, class))
	}
	how, level, by, attempts := strategies.StrategyNone, c.level, c.agent, 1
	if r := c.recovered; r != nil {
		how, level, by, attempts = r.Strategy, max(level, r.Level), served(*r), r.Attempt
	}
	if c.span.IsRecording() {
		c.span.SetAttributes(append(answered(c.agent, how, level), servedByKey.String(by), attemptsKey.Int(attempts))...)
	}
	if how == strategies.StrategyNone && level == strategies.LevelFull {
		return healthy
	}
	return labels(answered(c.agent, how, level)...)
}

// ended says of a span what it ended with, and returns the same for a metric.
// The description stays empty: an error's text may quote a request.
func ended(span trace.Span, class strategies.Class) attribute.KeyValue {
	label := semconv.ErrorTypeKey.String(class.String())
	switch class {
	case strategies.ClassInterrupt:
		label = interruptedKey.Bool(true)
	case strategies.ClassCanceled: // nobody's failure
	default:
		span.SetStatus(codes.Error, "")
	}
	span.SetAttributes(label)
	return label
}

// Attempts returns the layer around each attempt, for [middleware.StageTimeout]:
// it sees timeouts, refused answers and panics as the layers outside do, and is
// not passed when the breaker or the bulkhead refuses.
func Attempts(agent string, t *Telemetry) func(ctx context.Context, next func(context.Context) error) error {
	about := semconv.GenAIAgentName(agent)
	name, healthy := "attempt "+agent, labels(about)
	return func(ctx context.Context, next func(context.Context) error) (err error) {
		call, c, start := middleware.CallOf(ctx), stateOf(ctx), time.Now()
		if c != nil && c.agent == agent {
			c.asked(call.Level())
		}
		inner, span := t.tracer.Start(ctx, name, trace.WithTimestamp(start),
			trace.WithAttributes(about, attemptKey.Int(call.Attempt()), levelKey.String(call.Level().String())))
		inner, hint := httphint.With(inner)
		returned := false
		defer func() {
			end, set := time.Now(), healthy
			if !returned {
				set = labels(about, ended(span, strategies.ClassInterrupt))
			} else if err != nil {
				set = labels(about, ended(span, t.class(ctx, c, err)))
			}
			if seen := hint.Seen(); seen.Requests > 0 {
				t.requests.Add(inner, int64(seen.Requests), healthy)
				span.SetAttributes(requestsKey.Int(seen.Requests))
				if seen.Status != 0 {
					span.SetAttributes(semconv.HTTPResponseStatusCode(seen.Status))
				}
			}
			t.attempts.Record(inner, end.Sub(start).Seconds(), set)
			span.End(trace.WithTimestamp(end))
		}()
		err = next(inner)
		returned = true
		return err
	}
}

func (c *state) asked(level strategies.Level) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.level = max(c.level, level)
}

// class is that of an attempt's error. As for the layers, the end of the context
// outranks what the agent says: it is a timeout if a limit of the call ran out, and
// canceled if the call's own caller left, whose limit it may have been.
func (t *Telemetry) class(ctx context.Context, c *state, err error) strategies.Class {
	v := t.classifier.Classify(err)
	if ctx.Err() == nil || v.Pass || v.Final {
		return v.Class
	}
	limit, ran := context.Cause(ctx).(*strategies.TimeoutError) //nolint:errorlint // whose it is, by its address
	if ran && c != nil {
		theirs, _ := context.Cause(c.caller).(*strategies.TimeoutError) //nolint:errorlint // as above
		ran = limit != theirs
	}
	if ran {
		return strategies.ClassTimeout
	}
	return strategies.ClassCanceled
}
