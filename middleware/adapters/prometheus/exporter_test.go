package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	sdk "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/prometheus"
	"github.com/understudy-go/understudy/strategies"
)

var errSick = strategies.WithClass(strategies.ClassOverloaded, errors.New("the agent is sick"))

// scene is agents whose calls fail, are saved, and go well, and their exporter.
func scene(t *testing.T) *sdk.Registry {
	t.Helper()
	var owners []*middleware.Owner
	e, err := prometheus.New(prometheus.Options{Agents: func() []*middleware.Owner { return owners }, Questions: func() int { return 2 }})
	if err != nil {
		t.Fatal(err)
	}
	registry := sdk.NewPedanticRegistry()
	registry.MustRegister(e)
	build := func(b *middleware.Builder[string, string], name string) *middleware.Guarded[string, string] {
		g, err := prometheus.Instrument(b.Named(name), name, e).Build()
		if err != nil {
			t.Fatal(err)
		}
		owners = append(owners, g.Owner())
		return g
	}
	sick := func(_ context.Context, req string) (string, error) {
		if req == "well" {
			return "to be", nil
		}
		return "", errSick
	}
	promptly := strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}}
	bard := build(middleware.WrapFunc(sick).Retry(promptly).CircuitBreaker(&strategies.Breaker{Failures: 3}).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 2}).
		Pace(&strategies.Pace{RequestsPerMinute: 600, TokensPerMinute: 6000}).
		Fallback("sage", middleware.Func(func(_ context.Context, req string) (string, error) {
			if req == "sage" {
				return "or not", nil
			}
			return "", errSick
		})).
		Ladder(&strategies.Ladder{}).Degrade(strategies.LevelMinimal, middleware.Func(func(_ context.Context, req string) (string, error) {
		if req == "reduced" {
			return "that", nil
		}
		return "", errSick
	})).
		Intervene(middleware.Intervention{Deadline: time.Minute, Ask: strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
			return strategies.Decision{Action: strategies.ActionAbort, By: "Ada Lovelace"}, nil
		})}), "bard")
	for _, req := range []string{"well", "sage", "reduced", "nobody"} {
		_, _ = bard.Run(t.Context(), req)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, _ = bard.Run(gone, "gone")
	build(middleware.WrapFunc(sick), "bard") // another chain of that name
	_, _ = build(middleware.WrapFunc(sick), "odd \xff").Run(t.Context(), "x")
	return registry
}

func TestWhatIsCounted(t *testing.T) {
	err := testutil.GatherAndCompare(scene(t), strings.NewReader(`
# HELP understudy_recoveries_total Calls that were answered after a failure.
# TYPE understudy_recoveries_total counter
understudy_recoveries_total{agent="bard",level="full",strategy="fallback"} 1
understudy_recoveries_total{agent="bard",level="minimal",strategy="degradation"} 1
# HELP understudy_questions_total Questions put before a person.
# TYPE understudy_questions_total counter
understudy_questions_total{agent="bard"} 1
# HELP understudy_decisions_total What was decided, by a person or in their place.
# TYPE understudy_decisions_total counter
understudy_decisions_total{agent="bard",decision="abort"} 1
# HELP understudy_breaker_changes_total Changes of a circuit breaker, by the state it came to.
# TYPE understudy_breaker_changes_total counter
understudy_breaker_changes_total{agent="bard",to="open"} 1
# HELP understudy_breaker_state 1 for the state the circuit breaker is in, 0 for the others.
# TYPE understudy_breaker_state gauge
understudy_breaker_state{agent="bard",state="closed"} 0
understudy_breaker_state{agent="bard",state="half-open"} 0
understudy_breaker_state{agent="bard",state="held"} 0
understudy_breaker_state{agent="bard",state="isolated"} 0
understudy_breaker_state{agent="bard",state="open"} 1
# HELP understudy_level Where the ladder stands: 0 full, 1 reduced, 2 minimal, 3 emergency.
# TYPE understudy_level gauge
understudy_level{agent="bard"} 2
# HELP understudy_questions_open Questions that wait for a person.
# TYPE understudy_questions_open gauge
understudy_questions_open 2
# HELP understudy_failed_calls Failed calls since the last recovery.
# TYPE understudy_failed_calls gauge
understudy_failed_calls{agent="bard"} 2
understudy_failed_calls{agent="odd �"} 1
# HELP understudy_pace_calls_per_minute Calls a minute that the pace lets through at present.
# TYPE understudy_pace_calls_per_minute gauge
understudy_pace_calls_per_minute{agent="bard"} 600
`), "understudy_recoveries_total", "understudy_questions_total", "understudy_decisions_total", "understudy_breaker_changes_total", "understudy_breaker_state",
		"understudy_level", "understudy_questions_open", "understudy_failed_calls", "understudy_pace_calls_per_minute")
	if err != nil {
		t.Error(err)
	}
}

// counts are the numbers of observations of a histogram, by its labels.
func counts(t *testing.T, r *sdk.Registry, name string) map[string]uint64 {
	t.Helper()
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]uint64{}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				if l.GetValue() == "Ada Lovelace" {
					t.Errorf("%s names who decided", family.GetName())
				}
				labels = append(labels, l.GetValue())
			}
			if family.GetName() == name {
				found[strings.Join(labels, " ")] = m.GetHistogram().GetSampleCount()
			}
		}
	}
	return found
}

// Every call and every attempt is counted once.
func TestWhatIsTimed(t *testing.T) {
	r := scene(t)
	for name, want := range map[string]string{
		"understudy_call_duration_seconds":    "map[bard failed:1 bard full:1 bard interrupted:1 bard recovered:1 bard reduced:1 odd � failed:1 odd � full:0]",
		"understudy_attempt_duration_seconds": "map[bard none:1 bard overloaded:3 odd � none:0 odd � overloaded:1]",
		"understudy_retry_delay_seconds":      "map[bard overloaded:1]",
	} {
		if got := fmt.Sprint(counts(t, r, name)); got != want {
			t.Errorf("%s:\n got  %s\n want %s", name, got, want)
		}
	}
}

func TestTheNamesAreGood(t *testing.T) {
	problems, err := testutil.GatherAndLint(scene(t))
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// A scrape survives whatever the options do.
func TestOptionsThatFail(t *testing.T) {
	if _, err := prometheus.New(prometheus.Options{Buckets: []float64{1, 1}}); !errors.Is(err, strategies.ErrConfig) {
		t.Errorf("buckets that do not grow: %v", err)
	}
	e, err := prometheus.New(prometheus.Options{Agents: func() []*middleware.Owner { panic("no agents") }, Questions: func() int { panic("no inbox") }})
	if err != nil {
		t.Fatal(err)
	}
	e.Observe(t.Context(), middleware.Event{Kind: middleware.EventBreakerChanged, Agent: "\xff", To: "\xff"})
	registry := sdk.NewRegistry()
	registry.MustRegister(e)
	if all, err := registry.Gather(); err != nil || len(all) != 1 {
		t.Errorf("%d families, %v", len(all), err)
	}
	if _, err := prometheus.Instrument(middleware.WrapFunc(func(context.Context, int) (int, error) { return 0, nil }), "bard", nil).Build(); !errors.Is(err, strategies.ErrConfig) {
		t.Errorf("no exporter: %v", err)
	}
	new(prometheus.Exporter).Observe(t.Context(), middleware.Event{Kind: middleware.EventFailed})
}

func BenchmarkHealthy(b *testing.B) {
	agent := func(context.Context, int) (int, error) { return 0, nil }
	e, err := prometheus.New(prometheus.Options{})
	if err != nil {
		b.Fatal(err)
	}
	plain, err := middleware.WrapFunc(agent).Named("bard").Build()
	if err != nil {
		b.Fatal(err)
	}
	counted, err := prometheus.Instrument(middleware.WrapFunc(agent).Named("bard"), "bard", e).Build()
	if err != nil {
		b.Fatal(err)
	}
	for name, g := range map[string]*middleware.Guarded[int, int]{"plain": plain, "counted": counted} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = g.Run(b.Context(), 1)
			}
		})
	}
}
