package middleware_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

type builder = middleware.Builder[string, string]

// someLayers are builder calls that make sense in any order.
func someLayers() []func(*builder) {
	sage, ladder := plays("hi"), &strategies.Ladder{}
	return []func(*builder){
		func(b *builder) { b.Named("bard") },
		func(b *builder) { b.Retry(promptly) },
		func(b *builder) { b.CircuitBreaker(&strategies.Breaker{}) },
		func(b *builder) { b.Bulkhead(&strategies.Bulkhead{MaxConcurrent: 2}) },
		func(b *builder) { b.Timeout(time.Second) },
		func(b *builder) { b.DeadlineReserving(time.Minute, time.Second) },
		func(b *builder) { b.Validate(longEnough) },
		func(b *builder) { b.Fallback("sage", sage) },
		func(b *builder) {
			b.FallbackFrom(func(context.Context) []standIn { return []standIn{{Name: "cast", Agent: sage}} })
		},
		func(b *builder) { b.Degrade(strategies.LevelMinimal, sage) },
		func(b *builder) { b.Degrade(strategies.LevelReduced, sage) },
		func(b *builder) { b.Ladder(ladder) },
		func(b *builder) { b.Intervene(asking(silent)) },
		func(b *builder) { b.Observe(&diary{}) },
		func(b *builder) { b.Tally(&strategies.Tally{}) },
		func(b *builder) { b.Classifier(&strategies.Classifier{}) },
		func(b *builder) { b.Roster(troupe{"fool": sage}) },
	}
}

func TestBuilderOrderDoesNotMatter(t *testing.T) {
	want := ""
	for turn := range len(someLayers()) {
		calls := someLayers()
		for _, backward := range []bool{false, true} {
			b := middleware.Wrap(plays("hi"))
			for i := range calls {
				i = (i + turn) % len(calls)
				if backward {
					i = len(calls) - 1 - i
				}
				calls[i](b)
			}
			got := built(t, b).Explain().String()
			if want == "" {
				want = got
			}
			expect(t, "explanation", got, want)
		}
	}
	expect(t, "every layer is in it", strings.Count(want, "\n  ") >= 12, true)
}

func TestBuilderRefuses(t *testing.T) {
	var (
		nobody   *play
		observer *diary
		agent    = plays("hi")
		change   = func(_ context.Context, s string) (string, error) { return s, nil }
	)
	for _, tc := range []struct {
		name string
		call func(*builder)
		want []string // settings by their names
	}{
		{"a nil stand-in", func(b *builder) { b.Fallback("sage", nil) }, []string{`Fallback "sage"`}},
		{"a nil pointer for a stand-in", func(b *builder) { b.Fallback("sage", nobody) }, []string{`Fallback "sage"`}},
		{"a nil function for a stand-in", func(b *builder) { b.Fallback("sage", middleware.Func[string, string](nil)) }, []string{`Fallback "sage"`}},
		{"a stand-in without a name", func(b *builder) { b.Fallback("", agent) }, []string{"Fallback", `Fallback ""`}},
		{"the agent as its own stand-in", func(b *builder) { b.Fallback("other", agent) }, []string{`Fallback "other"`}},
		{"a stand-in of the agent's name", func(b *builder) { b.Named("bard").Fallback("bard", plays("x")) }, []string{`Fallback "bard"`}},
		{"a stand-in of an unnamed agent's name", func(b *builder) { b.Fallback("agent", plays("x")) }, []string{`Fallback "agent"`}},
		{"a stand-in twice", func(b *builder) { b.Fallback("sage", plays("x")).Fallback("sage", plays("y")) }, []string{`Fallback "sage"`}},
		{"several bad stand-ins, each", func(b *builder) { b.Fallback("one", nil).Fallback("two", nil) }, []string{`Fallback "one"`, `Fallback "two"`}},
		{"nothing to change a request with", func(b *builder) { b.FallbackVia("sage", plays("x"), nil) }, []string{`FallbackVia "sage"`}},
		{"nobody for a changed request", func(b *builder) { b.FallbackVia("sage", nobody, change) }, []string{`Fallback "sage"`}},
		{"nothing to look up with", func(b *builder) { b.FallbackFrom(nil) }, []string{"FallbackFrom"}},
		{"a nil rung", func(b *builder) { b.Degrade(strategies.LevelMinimal, nil) }, []string{"Degrade minimal"}},
		{"a rung of a full answer", func(b *builder) { b.Degrade(strategies.LevelFull, agent) }, []string{"Degrade"}},
		{"a rung of no level", func(b *builder) { b.Degrade(99, agent) }, []string{"Degrade"}},
		{"several bad rungs, each", func(b *builder) { b.Degrade(99, agent).Degrade(strategies.LevelMinimal, nil) }, []string{"Degrade", "Degrade minimal"}},
		{"a ladder without rungs", func(b *builder) { b.Ladder(&strategies.Ladder{}) }, []string{"Ladder"}},
		{"a ladder of nonsense", func(b *builder) {
			b.Ladder(&strategies.Ladder{MinimumStay: -1}).Degrade(strategies.LevelMinimal, agent)
		}, []string{"Ladder.MinimumStay"}},
		{"nil pointers", func(b *builder) {
			b.CircuitBreaker(nil).Bulkhead(nil).Ladder(nil).Classifier(nil).Tally(nil).With(nil)
		}, []string{"CircuitBreaker", "Bulkhead", "Ladder", "Classifier", "Tally", "With"}},
		{"a nil observer", func(b *builder) { b.Observe(nil).Observe(observer) }, []string{"Observe", "Observe"}},
		{"a nil check", func(b *builder) { b.Validate(nil) }, []string{"Validate"}},
		{"a nil middleware", func(b *builder) { b.Use(middleware.StageRetry, nil) }, []string{"Use retry"}},
		{"an unknown stage", func(b *builder) { b.Use(99, note(new([]string), "x")) }, []string{"Use"}},
		{"no time", func(b *builder) { b.Timeout(0).DeadlineReserving(0, 0) }, []string{"Timeout", "Deadline", "DeadlineReserving slice"}},
		{"negative time", func(b *builder) { b.Timeout(-1).DeadlineReserving(-1, -1) }, []string{"Timeout", "Deadline", "DeadlineReserving slice"}},
		{"a hard timeout of nothing", func(b *builder) { b.HardTimeout(-1, 0) }, []string{"HardTimeout", "HardTimeout leftBehind"}},
		{"two timeouts", func(b *builder) { b.Timeout(time.Second).HardTimeout(time.Second, 1) }, []string{"Timeout"}},
		{"a timeout above the deadline", func(b *builder) { b.Timeout(2 * time.Second).Deadline(time.Second) }, []string{"Timeout"}},
		{"a first delay above the deadline", func(b *builder) { b.Retry(strategies.Retry{}).Deadline(time.Second) }, []string{"Retry.Backoff"}},
		{"a window shorter than an attempt", func(b *builder) {
			b.CircuitBreaker(&strategies.Breaker{Window: time.Second}).Timeout(2 * time.Second)
		}, []string{"Breaker.Window"}},
		{"a breaker of nonsense", func(b *builder) { b.CircuitBreaker(&strategies.Breaker{Window: time.Hour, Ratio: math.NaN()}) }, []string{"Breaker.Ratio"}},
		{"a bulkhead without slots", func(b *builder) { b.Bulkhead(&strategies.Bulkhead{}) }, []string{"Bulkhead.MaxConcurrent"}},
		{"negative retries", func(b *builder) { b.Retry(strategies.Retry{MaxRetries: -2}) }, []string{"Retry.MaxRetries"}},
		{"jitter that is no number", func(b *builder) { b.Retry(strategies.Retry{Jitter: math.NaN()}) }, []string{"Retry.Jitter"}},
		{"no delays", func(b *builder) { b.Retry(strategies.Retry{Backoff: strategies.Delays{}}) }, []string{"Delays"}},
		{"a question to nobody", func(b *builder) { b.Intervene(middleware.Intervention{}) }, []string{"Intervene.Ask"}},
		{"a question for less than no time", func(b *builder) { b.Intervene(middleware.Intervention{Ask: silent, Deadline: -1}) }, []string{"Intervene.Deadline"}},
		{"less than no questions", func(b *builder) { b.Intervene(middleware.Intervention{Ask: silent, Rounds: -1}) }, []string{"Intervene.Rounds"}},
		{"silence that approves", func(b *builder) { b.Intervene(middleware.Intervention{Ask: silent, Default: retryNow}) }, []string{"Intervene.Default"}},
		{"silence that means nothing", func(b *builder) {
			b.Intervene(middleware.Intervention{Ask: silent, Default: strategies.Decision{Action: 99}})
		}, []string{"Intervene.Default"}},
		{"anything twice", func(b *builder) {
			for _, call := range someLayers() {
				call(b)
				call(b)
			}
		}, []string{
			"Named", "Retry", "CircuitBreaker", "Bulkhead", "Timeout", "Deadline", "Validate", "FallbackFrom", "Ladder",
			"Intervene", "Tally", "Classifier", "Roster", `Fallback "sage"`,
		}},
		{"everything that is wrong at once", func(b *builder) {
			b.Retry(strategies.Retry{MaxRetries: -2}).Timeout(-1).Fallback("sage", nil).Degrade(99, nil).Ladder(&strategies.Ladder{ClimbAfter: -1})
		}, []string{"Retry.MaxRetries", "Timeout", "Ladder.ClimbAfter", `Fallback "sage"`, "Degrade"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := middleware.Wrap(agent)
			tc.call(b)
			g, err := b.Build()
			expect(t, "an agent beside the error", g != nil, false)
			expect(t, "settings", settingsIn(err), tc.want)
			for _, s := range tc.want {
				expect(t, "the text names "+s, strings.Contains(err.Error(), "understudy: "+s+" "), true)
			}
		})
	}
	t.Run("a nil agent", func(t *testing.T) {
		for name, b := range map[string]*builder{
			"interface": middleware.Wrap[string, string](nil),
			"pointer":   middleware.Wrap(nobody),
			"function":  middleware.WrapFunc[string, string](nil),
			"value":     middleware.Wrap(middleware.Func[string, string](nil)),
		} {
			_, err := b.Build()
			expect(t, name, settingsIn(err), []string{"Wrap"})
		}
	})
	t.Run("but no agent that cannot be compared", func(t *testing.T) {
		b := middleware.Wrap(scripted{steps: []string{"hi"}})
		built(t, b.Fallback("other", scripted{steps: []string{"hi"}}))
	})
}

// scripted is a value that cannot be compared with ==.
type scripted struct{ steps []string }

func (s scripted) Run(context.Context, string) (string, error) { return s.steps[0], nil }

// settingsIn lists what the ConfigErrors joined in err are about, in order.
func settingsIn(err error) (settings []string) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the tree itself is looked at
		for _, e := range joined.Unwrap() {
			settings = append(settings, settingsIn(e)...)
		}
		return settings
	}
	if wrong, ok := errors.AsType[*strategies.ConfigError](err); ok && errors.Is(err, strategies.ErrConfig) {
		settings = append(settings, wrong.Setting)
	}
	return settings
}

func TestBuildTwice(t *testing.T) {
	t.Run("gives agents that share nothing but what the user shares", func(t *testing.T) {
		agent := plays(errSick)
		breaker := &strategies.Breaker{}
		b := middleware.Wrap(agent).Retry(promptly).CircuitBreaker(breaker)
		first, second := built(t, b), built(t, b)
		failing(t, first)
		expect(t, "failures of the first", first.Health().Failures, 1)
		expect(t, "failures of the second", second.Health().Failures, 0)
		expect(t, "spent", second.Health().Spent, false)
		breaker.Isolate()
		expect(t, "breaker of both", first.Health().Breaker == second.Health().Breaker, true)
	})
	t.Run("does not change what was built before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := middleware.Wrap(plays(errSick)).FallbackFrom(func(context.Context) []standIn {
				return []standIn{{Name: "slow", Agent: plays(deaf(time.Minute, "slow"))}}
			})
			first := built(t, b)
			before := first.Explain().String()
			b.Timeout(time.Second).Validate(func(_ context.Context, _, _ string) error { return errShort }).Named("other").Degrade(strategies.LevelMinimal, plays("no"))
			second := built(t, b.Retry(promptly).Use(middleware.StageObserve, func(middleware.Runner[string, string]) middleware.Runner[string, string] {
				return plays("replaced")
			}))
			expect(t, "explanation", first.Explain().String(), before)
			o := first.Outcome(t.Context(), "hello")
			expect(t, "answer", o.Value, "slow")
			expect(t, "late", o.Late, false) // the later timeout is none of its
			expect(t, "name", first.Name(), "agent")
			asked(t, second, "replaced")
		})
	})
}

func TestUse(t *testing.T) {
	t.Run("the first one used at a stage is outermost", func(t *testing.T) {
		var log []string
		asked(t, built(t, middleware.Wrap(plays("hi")).Use(middleware.StageAgent, note(&log, "a")).Use(middleware.StageAgent, note(&log, "b"))), "hi")
		expect(t, "order", log, []string{"a", "b", "/b", "/a"})
	})
	t.Run("a stand-in brings what was used at the breaker and inside of it", func(t *testing.T) {
		var log []string
		b := middleware.Wrap(plays("hi")).Named("sage")
		for stage := middleware.StageObserve; stage <= middleware.StageAgent; stage++ {
			b.Use(stage, note(&log, stage.String()))
		}
		asked(t, built(t, middleware.Wrap(plays(errSick)).Fallback("sage", built(t, b))), "hi")
		expect(t, "order", log[:len(log)/2], []string{"breaker", "pace", "bulkhead", "renew", "timeout", "validate", "recover", "agent"})
	})
	t.Run("a stage that is none has a name all the same", func(t *testing.T) {
		expect(t, "name", middleware.Stage(99).String(), "unknown")
	})
}
