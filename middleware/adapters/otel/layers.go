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

// call is one call under way; layers and the observer find it in the context.
type call struct {
	agent string
	span  trace.Span

	mu       sync.Mutex // an attempt that was left behind may still write
	asked    int        // how often the agent was
	attempts int        // calls made or refused, as the layers count
	strategy strategies.Strategy
	level    strategies.Level
	servedBy string
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// Calls is the layer around a whole call, for [middleware.StageObserve]. It
// writes the span and the duration; what happened in between it learns from the
// observer, so it needs one: see [Instrument].
func Calls[Req, Resp any](agent string, t *Telemetry) middleware.Middleware[Req, Resp] {
	name, about := "invoke_agent "+agent, trace.WithAttributes(semconv.GenAIOperationNameInvokeAgent, semconv.GenAIAgentName(agent))
	healthy := labels(answered(strategies.StrategyNone, strategies.LevelFull, semconv.GenAIAgentName(agent))...)
	return func(next middleware.Runner[Req, Resp]) middleware.Runner[Req, Resp] {
		return middleware.RunnerFunc[Req, Resp](func(ctx context.Context, req Req) (resp Resp, err error) {
			start := time.Now()
			inner, span := t.tracer.Start(ctx, name, trace.WithTimestamp(start), about)
			c := &call{agent: agent, span: span, servedBy: agent}
			returned := false
			defer func() { t.called(ctx, inner, c, start, returned, err, healthy) }()
			resp, err = next.Run(context.WithValue(inner, callKey{}, c), req)
			returned = true
			return resp, err
		})
	}
}

// labels makes a set once, where one would be sorted for each measurement.
func labels(a ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(a...))
}

func answered(how strategies.Strategy, level strategies.Level, more ...attribute.KeyValue) []attribute.KeyValue {
	return append(more, strategyKey.String(how.String()), levelKey.String(level.String()))
}

// called writes down how a call went.
func (t *Telemetry) called(outer, ctx context.Context, c *call, start time.Time, returned bool, err error, healthy metric.MeasurementOption) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end, set := time.Now(), healthy
	if err == nil && returned {
		if c.strategy != strategies.StrategyNone || c.level != strategies.LevelFull {
			set = labels(answered(c.strategy, c.level, semconv.GenAIAgentName(c.agent))...)
		}
		if c.span.IsRecording() {
			c.span.SetAttributes(answered(c.strategy, c.level, servedByKey.String(c.servedBy), attemptsKey.Int(max(c.attempts, c.asked)))...)
		}
	} else {
		set = labels(semconv.GenAIAgentName(c.agent), t.ended(outer, c.span, returned, err))
		if failure, ok := errors.AsType[*strategies.RecoveryError](err); ok && failure.Agent == c.agent {
			c.span.SetAttributes(requiredKey.String(failure.Strategy.String()), attemptsKey.Int(len(failure.Attempts)))
		}
	}
	t.calls.Record(ctx, end.Sub(start).Seconds(), set)
	c.span.End(trace.WithTimestamp(end))
}

// ended says of a span what it ended with, and returns the same for a metric.
// The description stays empty: an error's text may quote a request.
func (t *Telemetry) ended(ctx context.Context, span trace.Span, returned bool, err error) attribute.KeyValue {
	class := strategies.ClassInterrupt // a panic of the reader's, or a Goexit, on its way out
	if returned {
		class = t.classifier.Classify(err).Class
	}
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

// Attempts is the layer around each attempt, for [middleware.StageTimeout]: it
// sees timeouts, refused answers and panics as the layers outside do, and is
// not passed when the breaker or the bulkhead refuses.
func Attempts[Req, Resp any](agent string, t *Telemetry) middleware.Middleware[Req, Resp] {
	about := semconv.GenAIAgentName(agent)
	name, healthy := "attempt "+agent, labels(about)
	return func(next middleware.Runner[Req, Resp]) middleware.Runner[Req, Resp] {
		return middleware.RunnerFunc[Req, Resp](func(ctx context.Context, req Req) (resp Resp, err error) {
			level, start := middleware.Level(ctx), time.Now()
			inner, span := t.tracer.Start(ctx, name, trace.WithTimestamp(start),
				trace.WithAttributes(about, attemptKey.Int(number(ctx, agent, level)), levelKey.String(level.String())))
			inner, hint := httphint.With(inner)
			returned := false
			defer func() {
				end, set := time.Now(), healthy
				if err != nil || !returned {
					set = labels(about, t.ended(ctx, span, returned, err))
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
			resp, err = next.Run(inner, req)
			returned = true
			return resp, err
		})
	}
}

// number is which attempt of the agent this is in its call. An agent that is
// called by another one finds the other's number in its context, so we count.
func number(ctx context.Context, agent string, level strategies.Level) int {
	c := callOf(ctx)
	if c == nil {
		return middleware.Attempt(ctx)
	}
	if c.agent != agent { // it stands in
		return 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	c.level = max(c.level, level)
	return c.asked
}
