package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

// Narrator is the model that is asked first, and the name of its agent.
const Narrator = "narrator"

// Soon retries at once, so that a test takes no time.
var Soon = strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}

// Wait is what the provider of [RateLimited] asks for.
const Wait = 30 * time.Millisecond

const shrugs = "The innkeeper shrugs."

// Says is what a model answers when nothing goes wrong.
func Says(model string) string { return "A stranger, says " + model }

// Fault is a way in which a request goes wrong.
type Fault string

// The faults, each of which an adapter plays in its provider's own form.
const (
	Unavailable Fault = "503, for once"
	RateLimited Fault = "429, not before Wait"
	Quota       Fault = "a quota that is used up"
	Overflow    Fault = "a context that is too long"
	Hang        Fault = "no answer, for as long as somebody waits"
	Overloaded  Fault = "too much to do"
	Drop        Fault = "a connection that breaks"
)

// Faults are a provider's own forms of each fault.
type Faults[F any] map[Fault][]F

// Scene is one case as an adapter has to play it.
type Scene[F any] struct {
	// Script says how the requests of each model fare, in turn. Those beyond it,
	// and those of other models, are answered with [Says].
	Script map[string][]F
	// StandIn is another agent that may be asked; the zero value is none.
	StandIn StandIn
	// Reduced is the text of a rung at [strategies.LevelReduced]; "" is none.
	Reduced string

	retry   strategies.Retry
	timeout time.Duration
	watch   *middlewaretest.Recorder
}

// StandIn is a stand-in's name, and the model it asks.
type StandIn struct{ Name, Model string }

// Set puts a scene's name, retries, timeout and observer on a builder. What has
// types (stand-in, rung) is the adapter's to add.
func Set[B interface {
	Named(string) B
	Retry(strategies.Retry) B
	Timeout(time.Duration) B
	Observe(middleware.Observer) B
}, F any](b B, s Scene[F]) B {
	b = b.Named(Narrator).Retry(s.retry).Observe(s.watch)
	if s.timeout > 0 {
		b = b.Timeout(s.timeout)
	}
	return b
}

// Provider counts the requests for a model. One that also counts all together, by
// Total() int, shows that nobody else was asked.
type Provider interface{ Requests(model string) int }

// Result is what came of a scene or of a stream.
type Result struct {
	Text     string
	Err      error
	Provider Provider
	// Level is how the answer is marked.
	Level strategies.Level
	// How the answer was come by, where it says so itself; zero where it does not.
	Strategy strategies.Strategy
	ServedBy string
	Attempts int
	// Sent is, of a stream that was cut, the text that its error says was sent.
	Sent string
}

// Of is the result of a plain call.
func Of[Resp any](o middleware.Outcome[Resp], text func(Resp) string, p Provider) Result {
	r := Result{Err: o.Err, Provider: p, Level: o.Level, Strategy: o.Strategy, ServedBy: o.ServedBy, Attempts: o.Attempts}
	if o.Err == nil {
		r.Text = text(o.Value)
	}
	return r
}

// plot is a case without an adapter: what goes wrong, and what must come of it.
type plot struct {
	faults  map[string]Fault // by model
	always  bool             // not for once
	standIn StandIn
	reduced string
	retries int // 0: as many as by default
	timeout time.Duration

	want want
}

type want struct {
	text     string
	strategy strategies.Strategy
	by       string
	attempts int
	level    strategies.Level
	wait     time.Duration // at least, before the retry
	requests map[string]int
}

var (
	retried = want{text: Says(Narrator), strategy: strategies.StrategyRetry, by: Narrator, attempts: 2, requests: map[string]int{Narrator: 2}}
	waited  = want{text: Says(Narrator), strategy: strategies.StrategyRetry, by: Narrator, attempts: 2, requests: map[string]int{Narrator: 2}, wait: Wait}

	plots = map[Case]plot{
		TransientThenSuccess: {faults: map[string]Fault{Narrator: Unavailable}, want: retried},
		RateLimitHonoured:    {faults: map[string]Fault{Narrator: RateLimited}, want: waited},
		HangTimesOut:         {faults: map[string]Fault{Narrator: Hang}, timeout: 500 * time.Millisecond, want: retried},
		QuotaGoesOn: {faults: map[string]Fault{Narrator: Quota}, standIn: StandIn{"archivist", "archivist"}, want: want{
			text: Says("archivist"), strategy: strategies.StrategyFallback, by: "archivist", attempts: 2, requests: map[string]int{Narrator: 1, "archivist": 1},
		}},
		OverflowToLarger: {faults: map[string]Fault{Narrator: Overflow}, standIn: StandIn{"large window", "large"}, want: want{
			text: Says("large"), strategy: strategies.StrategyFallback, by: "large window", attempts: 2, requests: map[string]int{Narrator: 1, "large": 1},
		}},
		AllDownDegraded: {
			faults: map[string]Fault{Narrator: Overloaded, "archivist": Drop}, always: true,
			standIn: StandIn{"archivist", "archivist"}, reduced: shrugs, retries: 2, want: want{
				text: shrugs, strategy: strategies.StrategyDegradation, by: "reduced answer", level: strategies.LevelReduced,
				attempts: 5, requests: map[string]int{Narrator: 3, "archivist": 1},
			},
		},
	}
)

// play plays a case in every way, with each form of its faults.
func (a Adapter[F]) play(t *testing.T, p plot) {
	t.Helper()
	forms := 1
	for model, fault := range p.faults {
		n := len(a.Faults[fault])
		if n == 0 {
			t.Fatalf("the adapter does not say how the provider plays %q", fault)
		}
		if model == Narrator {
			forms = n
		}
	}
	if len(a.Ways) == 0 {
		t.Fatal("the adapter does not say how its client is asked")
	}
	for way, ask := range a.Ways {
		for form := range forms {
			name := way
			if forms > 1 {
				name = strings.TrimSpace(fmt.Sprintf("%s %s %d", way, p.faults[Narrator], form+1))
			}
			once := func(t *testing.T) {
				s := scene(a.Faults, p, form)
				for _, problem := range p.want.problems(ask(t, s), s.watch.Events()) {
					t.Error(problem)
				}
			}
			if name == "" {
				once(t)
			} else {
				t.Run(name, once)
			}
		}
	}
}

// scene is a case in an adapter's own terms.
func scene[F any](faults Faults[F], p plot, form int) Scene[F] {
	s := Scene[F]{Script: map[string][]F{}, StandIn: p.standIn, Reduced: p.reduced, retry: Soon, timeout: p.timeout, watch: &middlewaretest.Recorder{}}
	s.retry.MaxRetries = p.retries
	for model, fault := range p.faults {
		played := faults[fault][0]
		if model == Narrator {
			played = faults[fault][form]
		}
		times := 1
		if p.always {
			times = 100
		}
		s.Script[model] = slices.Repeat([]F{played}, times)
	}
	return s
}

// problems compares what came with what had to come.
func (w want) problems(got Result, events []middleware.Event) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if got.Err != nil || got.Text != w.text {
		say("got %q, %v; want %q", got.Text, got.Err, w.text)
	}
	if got.Level != w.level {
		say("the answer is marked %v, want %v", got.Level, w.level)
	}
	if got.Strategy != strategies.StrategyNone && got.Strategy != w.strategy || got.ServedBy != "" && got.ServedBy != w.by || got.Attempts != 0 && got.Attempts != w.attempts {
		say("the answer says: by %s, %v, %d attempts; want %s, %v, %d", got.ServedBy, got.Strategy, got.Attempts, w.by, w.strategy, w.attempts)
	}
	recovered := 0
	for _, e := range events {
		switch e.Kind {
		case middleware.EventRecovered:
			recovered++
			if e.ServedBy != w.by || e.Strategy != w.strategy || e.Attempt != w.attempts || e.Level != w.level {
				say("the event says: by %s, %v, %d attempts, %v; want %s, %v, %d, %v",
					e.ServedBy, e.Strategy, e.Attempt, e.Level, w.by, w.strategy, w.attempts, w.level)
			}
		case middleware.EventRetryScheduled:
			if e.Delay < w.wait {
				say("it waited %v where the provider asked for %v", e.Delay, w.wait)
			}
			if w.wait > 0 && e.Class != strategies.ClassRateLimited {
				say("it waited for a failure of class %v", e.Class)
			}
		}
	}
	if recovered != 1 {
		say("%d events say that it recovered, want exactly one", recovered)
	}
	return append(found, counted(got.Provider, w.requests)...)
}

// counted compares a provider's counts.
func counted(p Provider, want map[string]int) (found []string) {
	if p == nil {
		return []string{"the adapter does not say who counts the requests"}
	}
	total := 0
	for _, model := range slices.Sorted(maps.Keys(want)) {
		total += want[model]
		if n := p.Requests(model); n != want[model] {
			found = append(found, fmt.Sprintf("the server of %s saw %d requests, want exactly %d", model, n, want[model]))
		}
	}
	if all, ok := p.(interface{ Total() int }); ok && all.Total() != total {
		found = append(found, fmt.Sprintf("the server saw %d requests in all, want exactly %d", all.Total(), total))
	}
	return found
}
