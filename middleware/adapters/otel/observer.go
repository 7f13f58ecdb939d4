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
		c := stateOf(ctx)
		if c == nil {
			return
		}
		if c.agent == agent {
			c.told(e)
		}
		if c.span.IsRecording() {
			c.span.AddEvent("understudy."+e.Kind.String(), trace.WithTimestamp(e.Time), trace.WithAttributes(attributes(agent, e)...))
		}
	})
}

func (c *state) told(e middleware.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Call != "" { // the event of an adapter has none
		c.id = e.Call
	}
	if e.Kind == middleware.EventRecovered {
		recovered := e // what escapes is this copy, not every event
		c.recovered = &recovered
	}
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
		t.recoveries.Add(ctx, 1, metric.WithAttributes(append(answered(agent, e.Strategy, e.Level), servedByKey.String(served(e)))...))
	case middleware.EventBreakerChanged:
		t.breaker(agent, e.To)
	case middleware.EventLevelChanged:
		t.ladder(agent, e.Level)
	}
}

// attributes are the fields of an event that are set, without those that a person
// or a provider has written: By, Detail and Err.
func attributes(agent string, e middleware.Event) []attribute.KeyValue {
	all := append(make([]attribute.KeyValue, 0, 8), semconv.GenAIAgentName(agent))
	add := func(set bool, a attribute.KeyValue) {
		if set {
			all = append(all, a)
		}
	}
	add(e.Call != "", callKey.String(e.Call))
	add(e.ServedBy != agent && e.ServedBy != "", servedByKey.String(served(e)))
	add(e.Attempt > 0, attemptKey.Int(e.Attempt))
	add(e.Class != strategies.ClassUnclassified, semconv.ErrorTypeKey.String(e.Class.String()))
	add(e.Strategy != strategies.StrategyNone, strategyKey.String(e.Strategy.String()))
	add(e.Level != strategies.LevelFull, levelKey.String(e.Level.String()))
	add(e.Delay > 0, delayKey.Float64(e.Delay.Seconds()))
	add(e.Stop != "", stopKey.String(string(e.Stop)))
	return all
}
