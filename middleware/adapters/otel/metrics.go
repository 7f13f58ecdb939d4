package otel

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0" // the last with gen_ai: the rest of its names are in a repository of their own

	"github.com/understudy-go/understudy/strategies"
)

// The names of our own attributes; the others are of the semantic conventions.
const (
	strategyKey    = attribute.Key("understudy.strategy")
	requiredKey    = attribute.Key("understudy.required_strategy")
	levelKey       = attribute.Key("understudy.level")
	servedByKey    = attribute.Key("understudy.served_by")
	attemptKey     = attribute.Key("understudy.attempt")
	attemptsKey    = attribute.Key("understudy.attempts")
	delayKey       = attribute.Key("understudy.delay")
	stopKey        = attribute.Key("understudy.stop")
	requestsKey    = attribute.Key("understudy.requests")
	interruptedKey = attribute.Key("understudy.interrupted")
	callKey        = attribute.Key("understudy.call") // of spans only: there are as many as calls
	stateKey       = attribute.Key("understudy.breaker.state")
)

// seconds are the boundaries that the conventions give gen_ai.invoke_agent.duration.
var seconds = []float64{0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6}

type instruments struct {
	calls, attempts, delays        metric.Float64Histogram
	failures, recoveries, requests metric.Int64Counter

	mu       sync.Mutex
	breakers map[string]string // by agent: the name of the state
	ladders  map[string]strategies.Level
}

func (i *instruments) make(m metric.Meter) error {
	i.breakers, i.ladders = map[string]string{}, map[string]strategies.Level{}
	errs := make([]error, 8)
	i.calls, errs[0] = m.Float64Histogram("gen_ai.invoke_agent.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(seconds...),
		metric.WithDescription("The end-to-end duration of a single agent invocation, recovery included."))
	i.attempts, errs[1] = m.Float64Histogram("understudy.attempt.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(seconds...),
		metric.WithDescription("The duration of one attempt of an agent."))
	i.delays, errs[2] = m.Float64Histogram("understudy.retry.delay", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(seconds...),
		metric.WithDescription("The wait before a retry."))
	i.failures, errs[3] = m.Int64Counter("understudy.failures", metric.WithUnit("{failure}"),
		metric.WithDescription("Attempts, stand-ins and reduced answers that failed or were refused."))
	i.recoveries, errs[4] = m.Int64Counter("understudy.recoveries", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that were answered after a failure."))
	i.requests, errs[5] = m.Int64Counter("understudy.requests", metric.WithUnit("{request}"),
		metric.WithDescription("HTTP requests really sent."))
	_, errs[6] = m.Int64ObservableGauge("understudy.breaker.state", metric.WithUnit("1"), metric.WithInt64Callback(i.observeBreakers),
		metric.WithDescription("1 for the state the circuit breaker is in, 0 for the others."))
	_, errs[7] = m.Int64ObservableGauge("understudy.degradation.level", metric.WithUnit("1"), metric.WithInt64Callback(i.observeLadders),
		metric.WithDescription("Where the ladder stands: 0 full, 1 reduced, 2 minimal, 3 emergency."))
	return errors.Join(errs...)
}

func (i *instruments) observeBreakers(_ context.Context, o metric.Int64Observer) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for agent, now := range i.breakers {
		for s := strategies.StateClosed; s <= strategies.StateHeld; s++ {
			value := int64(0)
			if s.String() == now {
				value = 1
			}
			o.Observe(value, metric.WithAttributes(semconv.GenAIAgentName(agent), stateKey.String(s.String())))
		}
	}
	return nil
}

func (i *instruments) observeLadders(_ context.Context, o metric.Int64Observer) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for agent, level := range i.ladders {
		o.Observe(int64(level), metric.WithAttributes(semconv.GenAIAgentName(agent)))
	}
	return nil
}

func (i *instruments) breaker(agent, state string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.breakers[agent] = state
}

func (i *instruments) ladder(agent string, level strategies.Level) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ladders[agent] = level
}
