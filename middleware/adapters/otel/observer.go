package otel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Observer counts what an agent's layers did, and writes each step as an event
// of the call's span, if there is one. It may be used without the layers of
// [Instrument]; healthy calls are not seen then.
func (t *Telemetry) Observer(agent string) middleware.Observer {
	return middleware.ObserverFunc(func(ctx context.Context, e middleware.Event) {
		t.count(ctx, agent, e)
		c := callOf(ctx)
		if c == nil {
			return
		}
		if e.Kind == middleware.EventRecovered && c.agent == agent {
			c.recovered(e)
		}
		if c.span.IsRecording() {
			c.span.AddEvent("understudy."+e.Kind.String(), trace.WithTimestamp(e.Time), trace.WithAttributes(attributes(agent, e)...))
		}
	})
}

func (c *call) recovered(e middleware.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.strategy, c.level, c.attempts = e.Strategy, max(c.level, e.Level), e.Attempt
	c.servedBy = served(e)
}

// served is who answered, for anybody to read: never the name of a person.
func served(e middleware.Event) string {
	if e.Strategy == strategies.StrategyUserIntervention {
		return "intervention"
	}
	return e.ServedBy
}

func (t *Telemetry) count(ctx context.Context, agent string, e middleware.Event) {
	name, class := semconv.GenAIAgentName(agent), semconv.ErrorTypeKey.String(e.Class.String())
	switch e.Kind {
	case middleware.EventAttemptFailed, middleware.EventStandInFailed, middleware.EventRungFailed:
		t.failures.Add(ctx, 1, metric.WithAttributes(name, class, servedByKey.String(e.ServedBy)))
	case middleware.EventRetryScheduled:
		t.delays.Record(ctx, e.Delay.Seconds(), metric.WithAttributes(name, class))
	case middleware.EventRecovered:
		t.recoveries.Add(ctx, 1, metric.WithAttributes(name, strategyKey.String(e.Strategy.String()),
			levelKey.String(e.Level.String()), servedByKey.String(served(e))))
	case middleware.EventBreakerChanged:
		if state, known := states[e.To]; known {
			t.breaker(agent, state)
		}
	case middleware.EventLevelChanged:
		t.ladder(agent, e.Level)
	}
}

// attributes are the fields of an event that are set, without the two that are
// text: Detail names people, and Err quotes requests.
func attributes(agent string, e middleware.Event) []attribute.KeyValue {
	a := append(make([]attribute.KeyValue, 0, 6), semconv.GenAIAgentName(agent))
	if e.ServedBy != agent && e.ServedBy != "" {
		a = append(a, servedByKey.String(served(e)))
	}
	if e.Attempt > 0 {
		a = append(a, attemptKey.Int(e.Attempt))
	}
	if e.Class != strategies.ClassUnclassified {
		a = append(a, semconv.ErrorTypeKey.String(e.Class.String()))
	}
	if e.Strategy != strategies.StrategyNone {
		a = append(a, strategyKey.String(e.Strategy.String()))
	}
	if e.Level != strategies.LevelFull {
		a = append(a, levelKey.String(e.Level.String()))
	}
	if e.Delay > 0 {
		a = append(a, delayKey.Float64(e.Delay.Seconds()))
	}
	if e.Stop != "" {
		a = append(a, stopKey.String(string(e.Stop)))
	}
	return a
}
