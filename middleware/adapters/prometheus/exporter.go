package prometheus

import (
	"cmp"
	"context"
	"strings"

	sdk "github.com/prometheus/client_golang/prometheus"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Options say what is read when somebody scrapes. The zero value reads nothing: what
// happens is counted all the same.
type Options struct {
	// Agents returns the agents whose health is read: Owners of a cast, or a function
	// of yours. It is called on the goroutine of the scrape. nil: none is read.
	Agents func() []*middleware.Owner
	// Questions returns how many questions wait for a person. nil: it is not known.
	Questions func() int
	// Classifier is the one the builder was given, if it was given one, so that an
	// attempt's class is the one that the layers acted on.
	Classifier *strategies.Classifier
	// Buckets are the upper bounds of the histograms of calls, attempts and delays, in
	// seconds. nil: 0.1 doubled up to 409.6, those of OpenTelemetry's conventions for
	// generative AI.
	Buckets []float64
}

// Exporter is a [sdk.Collector] that counts for any number of agents, of any types.
// Make one a program with [New], and register it.
type Exporter struct {
	options Options

	calls, attempts, delays                               *sdk.HistogramVec
	failures, recoveries, questions, decisions, movements *sdk.CounterVec

	breaker, shut, level, pinned, failed, spent, budget, others, inFlight, waiting, left, perMinute, tokens, open *sdk.Desc
}

// New makes an exporter. The error is a [strategies.ConfigError].
func New(o Options) (*Exporter, error) {
	if o.Buckets == nil {
		o.Buckets = sdk.ExponentialBuckets(0.1, 2, 13)
	}
	for i, b := range o.Buckets {
		if i > 0 && !(b > o.Buckets[i-1]) || b != b {
			return nil, &strategies.ConfigError{Setting: "prometheus.Options.Buckets", Problem: "do not grow", Fix: "give them in order, each once"}
		}
	}
	counter := func(name, help string, labels ...string) *sdk.CounterVec {
		return sdk.NewCounterVec(sdk.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *sdk.HistogramVec {
		return sdk.NewHistogramVec(sdk.HistogramOpts{Name: name, Help: help, Buckets: o.Buckets}, labels)
	}
	gauge := func(name, help string, labels ...string) *sdk.Desc { return sdk.NewDesc(name, help, labels, nil) }
	return &Exporter{
		options:    o,
		calls:      histogram("understudy_call_duration_seconds", "Calls, recovery included, by how they ended.", "agent", "result"),
		attempts:   histogram("understudy_attempt_duration_seconds", "Attempts that were really made.", "agent", "class"),
		delays:     histogram("understudy_retry_delay_seconds", "Waits before retries.", "agent", "class"),
		failures:   counter("understudy_failures_total", "Attempts, stand-ins and reduced answers that failed or were refused.", "agent", "served_by", "class"),
		recoveries: counter("understudy_recoveries_total", "Calls that were answered after a failure.", "agent", "strategy", "level"),
		questions:  counter("understudy_questions_total", "Questions put before a person.", "agent"),
		decisions:  counter("understudy_decisions_total", "What was decided, by a person or in their place.", "agent", "decision"),
		movements:  counter("understudy_breaker_changes_total", "Changes of a circuit breaker, by the state it came to.", "agent", "to"),
		breaker:    gauge("understudy_breaker_state", "1 for the state the circuit breaker is in, 0 for the others.", "agent", "state"),
		shut:       gauge("understudy_breaker_shut_seconds", "Until the circuit breaker lets a call through.", "agent"),
		level:      gauge("understudy_level", "Where the ladder stands: 0 full, 1 reduced, 2 minimal, 3 emergency.", "agent"),
		pinned:     gauge("understudy_level_pinned", "1: the level is held by hand.", "agent"),
		failed:     gauge("understudy_failed_calls", "Failed calls since the last recovery.", "agent"),
		spent:      gauge("understudy_retries_spent", "1: the retries are used up until the agent succeeds.", "agent"),
		budget:     gauge("understudy_retry_budget_ratio", "What is left of the retry budget, 0 to 1.", "agent"),
		others:     gauge("understudy_others_answer", "1: others answer for the agent.", "agent"),
		inFlight:   gauge("understudy_in_flight", "Attempts in the bulkhead.", "agent"),
		waiting:    gauge("understudy_waiting", "Calls that wait for a slot or for their turn.", "agent"),
		left:       gauge("understudy_left_behind", "Attempts that a hard timeout left running.", "agent"),
		perMinute:  gauge("understudy_pace_calls_per_minute", "Calls a minute that the pace lets through at present.", "agent"),
		tokens:     gauge("understudy_pace_tokens_per_minute", "Tokens a minute that the pace lets through at present.", "agent"),
		open:       gauge("understudy_questions_open", "Questions that wait for a person."),
	}, nil
}

func (e *Exporter) vectors() []sdk.Collector {
	return []sdk.Collector{e.calls, e.attempts, e.delays, e.failures, e.recoveries, e.questions, e.decisions, e.movements}
}

// Describe is for the registry.
func (e *Exporter) Describe(out chan<- *sdk.Desc) {
	for _, v := range e.vectors() {
		v.Describe(out)
	}
	for _, d := range []*sdk.Desc{e.breaker, e.shut, e.level, e.pinned, e.failed, e.spent, e.budget, e.others, e.inFlight, e.waiting, e.left, e.perMinute, e.tokens, e.open} {
		out <- d
	}
}

// Collect is for the registry: it writes what was counted, and reads the agents'
// health.
func (e *Exporter) Collect(out chan<- sdk.Metric) {
	for _, v := range e.vectors() {
		v.Collect(out)
	}
	gauge := func(d *sdk.Desc, value float64, labels ...string) {
		if m, err := sdk.NewConstMetric(d, sdk.GaugeValue, value, labels...); err == nil {
			out <- m
		}
	}
	if e.options.Questions != nil {
		n := 0
		if safely(func() { n = e.options.Questions() }) {
			gauge(e.open, float64(n))
		}
	}
	for _, a := range e.read() {
		h, name := a.health, a.name
		if a.breaker {
			for s := strategies.StateClosed; s <= strategies.StateHeld; s++ {
				gauge(e.breaker, number(s == h.Breaker), name, s.String())
			}
			gauge(e.shut, h.RetryAfter.Seconds(), name)
		}
		if a.ladder {
			gauge(e.level, float64(h.Level), name)
			gauge(e.pinned, number(h.Pinned), name)
		}
		if h.BudgetSize > 0 {
			gauge(e.budget, float64(h.BudgetLeft)/float64(h.BudgetSize), name)
			gauge(e.spent, number(h.Spent), name)
		}
		if h.CallsPerMinute > 0 {
			gauge(e.perMinute, h.CallsPerMinute, name)
		}
		if h.TokensPerMinute > 0 {
			gauge(e.tokens, h.TokensPerMinute, name)
		}
		gauge(e.failed, float64(h.Failures), name)
		gauge(e.others, number(!h.OthersSince.IsZero()), name)
		gauge(e.inFlight, float64(h.InFlight), name)
		gauge(e.waiting, float64(h.Waiting), name)
		gauge(e.left, float64(h.LeftBehind), name)
	}
}

// one is an agent as it is written: chains of one name are one.
type one struct {
	name            string
	breaker, ladder bool
	health          middleware.Health
}

func (e *Exporter) read() (all []*one) {
	if e.options.Agents == nil {
		return nil
	}
	var owners []*middleware.Owner
	if !safely(func() { owners = e.options.Agents() }) {
		return nil
	}
	byName := map[string]*one{}
	for _, o := range owners {
		if o == nil {
			continue
		}
		h, name := o.Health(), clean(o.String())
		a := byName[name]
		if a == nil {
			a = &one{name: name, health: h, breaker: o.Breaker() != nil, ladder: o.Ladder() != nil}
			byName[name] = a
			all = append(all, a)
			continue
		}
		if !a.breaker && o.Breaker() != nil {
			a.breaker, a.health.Breaker, a.health.RetryAfter = true, h.Breaker, h.RetryAfter
		}
		if !a.ladder && o.Ladder() != nil {
			a.ladder, a.health.Level, a.health.Pinned = true, h.Level, h.Pinned
		}
		a.health.Failures = max(a.health.Failures, h.Failures)
		a.health.InFlight += h.InFlight
		a.health.Waiting += h.Waiting
		a.health.LeftBehind += h.LeftBehind
		a.health.Spent = a.health.Spent || h.Spent
		if a.health.OthersSince.IsZero() {
			a.health.OthersSince = h.OthersSince
		}
	}
	return all
}

// safely runs code of the user's: a scrape that panics shows nothing at all.
func safely(do func()) (ok bool) {
	defer func() { ok = recover() == nil }()
	do()
	return true
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// clean is a name as a label can have it: the registry refuses all if one is no UTF-8.
func clean(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

// Observe counts what an agent's layers did. It may be used without the layers of
// [Instrument]; calls that go well, and how long all take, are not seen then.
func (e *Exporter) Observe(_ context.Context, event middleware.Event) {
	if e == nil || e.failures == nil {
		return
	}
	agent := clean(event.Agent)
	switch event.Kind {
	case middleware.EventAttemptFailed, middleware.EventStandInFailed, middleware.EventRungFailed:
		e.failures.WithLabelValues(agent, clean(event.ServedBy), event.Class.String()).Inc()
	case middleware.EventRetryScheduled:
		e.delays.WithLabelValues(agent, event.Class.String()).Observe(event.Delay.Seconds())
	case middleware.EventRecovered:
		e.recoveries.WithLabelValues(agent, event.Strategy.String(), event.Level.String()).Inc()
	case middleware.EventPersonAsked:
		e.questions.WithLabelValues(agent).Inc()
	case middleware.EventPersonDecided:
		e.decisions.WithLabelValues(agent, clean(cmp.Or(event.Decision, "none"))).Inc()
	case middleware.EventBreakerChanged:
		e.movements.WithLabelValues(agent, clean(event.To)).Inc()
	}
}
