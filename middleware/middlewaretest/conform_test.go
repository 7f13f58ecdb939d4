package middlewaretest_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

type (
	text      = middleware.Runner[string, string]
	textLayer = middleware.Middleware[string, string]
)

var errStandIn = errors.New("the stand-in is gone")

// Every layer of our own is held to the rules that third parties are held to.
func TestOurOwnLayersConform(t *testing.T) {
	failing := middleware.Func(func(context.Context, string) (string, error) { return "", errStandIn })
	canned := middleware.Func(func(context.Context, string) (string, error) { return "canned", nil })
	person := func(d strategies.Decision) middleware.Intervention {
		return middleware.Intervention{Ask: strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) { return d, nil })}
	}
	scope := &middleware.Owner{}
	const retries, recovery, refusals = middlewaretest.AllowRetries, middlewaretest.AllowRecovery, middlewaretest.AllowRefusals
	type liberties = []middlewaretest.Liberty
	for name, tc := range map[string]struct {
		layer   func() textLayer
		allowed liberties
	}{
		"nothing at all": {func() textLayer { return func(next text) text { return next } }, nil},
		"Retry":          {func() textLayer { return middleware.Retry[string, string](scope, strategies.Retry{}) }, liberties{retries}},
		"CircuitBreaker": {func() textLayer { return middleware.CircuitBreaker[string, string](scope, &strategies.Breaker{}) }, liberties{refusals}},
		"CircuitBreaker, by ratio": {func() textLayer {
			return middleware.CircuitBreaker[string, string](scope, &strategies.Breaker{Window: time.Minute})
		}, liberties{refusals}},
		"CircuitBreaker, of one": {func() textLayer {
			return middleware.CircuitBreaker[string, string](scope, &strategies.Breaker{Failures: 1})
		}, liberties{refusals}},
		"Bulkhead, of one": {func() textLayer {
			return middleware.Bulkhead[string, string](scope, &strategies.Bulkhead{MaxConcurrent: 1})
		}, liberties{refusals}},
		"Bulkhead, with room": {func() textLayer {
			return middleware.Bulkhead[string, string](scope, &strategies.Bulkhead{MaxConcurrent: 64})
		}, nil},
		"Bulkhead, that waits": {func() textLayer {
			return middleware.Bulkhead[string, string](scope, &strategies.Bulkhead{MaxConcurrent: 1, MaxWait: time.Hour})
		}, nil},
		"Timeout":     {func() textLayer { return middleware.Timeout[string, string](scope, time.Minute) }, nil},
		"HardTimeout": {func() textLayer { return middleware.HardTimeout[string, string](scope, time.Minute, 1) }, nil},
		"Deadline":    {func() textLayer { return middleware.Deadline[string, string](scope, time.Minute, time.Second) }, nil},
		"Validate": {func() textLayer {
			return middleware.Validate(func(_ context.Context, _, _ string) error { return nil })
		}, nil},
		"Recover": {func() textLayer { return middleware.Recover[string, string](scope) }, nil},
		"Fallback, that fails": {func() textLayer {
			return middleware.Fallback(scope, middleware.StandIn[middleware.Runner[string, string]]{Name: "stand-in", Agent: failing})
		}, nil},
		"Fallback": {func() textLayer {
			return middleware.Fallback(scope, middleware.StandIn[middleware.Runner[string, string]]{Name: "stand-in", Agent: canned})
		}, liberties{recovery}},
		"Degrade, that fails": {func() textLayer {
			return middleware.Degrade(scope, nil, middleware.Rung[string, string]{Level: strategies.LevelReduced, Runner: failing})
		}, nil},
		"Degrade, on a ladder": {func() textLayer {
			return middleware.Degrade(scope, &strategies.Ladder{}, middleware.Rung[string, string]{Level: strategies.LevelReduced, Runner: canned})
		}, liberties{recovery}},
		"Intervene, a person gone": {func() textLayer {
			return middleware.Intervene[string, string](scope, person(strategies.Decision{}), nil)
		}, nil},
		"Intervene, told to retry": {func() textLayer {
			return middleware.Intervene[string, string](scope, person(strategies.Decision{Action: strategies.ActionRetryNow}), nil)
		}, liberties{retries}},
		"Intervene, with an answer": {func() textLayer {
			return middleware.Intervene[string, string](scope, person(strategies.Decision{Action: strategies.ActionAnswer, Value: "by hand"}), nil)
		}, liberties{recovery}},
		"the whole chain": {func() textLayer {
			return func(next text) text {
				g, err := middleware.Wrap(next).Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{}).Bulkhead(&strategies.Bulkhead{MaxConcurrent: 1}).
					Timeout(time.Minute).Deadline(time.Hour).Fallback("stand-in", failing).Degrade(strategies.LevelReduced, canned).Intervene(person(strategies.Decision{})).Build()
				if err != nil {
					panic(err)
				}
				return g
			}
		}, liberties{retries, recovery, refusals}},
		"chaos that rests": {func() textLayer { return new(middlewaretest.Chaos[string, string]).Middleware }, nil},
	} {
		t.Run(name, func(t *testing.T) { middlewaretest.Conform(t, tc.layer, tc.allowed...) })
	}
}

// A layer for types of its own.
func TestConformWithAsksInTheTypesOfTheLayer(t *testing.T) {
	type question struct{ words []string }
	layer := func() middleware.Middleware[question, int] {
		return middleware.Timeout[question, int](&middleware.Owner{}, time.Minute)
	}
	middlewaretest.ConformWith(t, layer, func(n int) (question, int) {
		return question{words: slices.Repeat([]string{"why"}, n)}, n + 1
	})
}

func TestConformRefusesToBegin(t *testing.T) {
	fine := func() textLayer { return func(next text) text { return next } }
	for name, tc := range map[string]struct {
		layer  func() textLayer
		sample func(n int) (string, string)
		want   string
	}{
		"without a function":         {nil, func(int) (string, string) { return "q", "a" }, "a function is nil"},
		"without samples":            {fine, nil, "a function is nil"},
		"without a layer":            {func() textLayer { return nil }, func(int) (string, string) { return "q", "a" }, "the layer is nil"},
		"with answers that are zero": {fine, func(n int) (string, string) { return strings.Repeat("q", n), "" }, "sample 0 has the zero answer"},
		"with one request only":      {fine, func(n int) (string, string) { return "q", strings.Repeat("a", n+1) }, "sample 1 is no different"},
		"with one answer only":       {fine, func(n int) (string, string) { return strings.Repeat("q", n), "a" }, "sample 1 is no different"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := middlewaretest.Unfit(tc.layer, tc.sample); !strings.HasPrefix(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// What is broken in one way breaks one rule, and no other.
func TestConformFindsWhatIsBroken(t *testing.T) {
	found := map[string]bool{}
	for name, tc := range brokenLayers() {
		t.Run(name, func(t *testing.T) {
			broken := middlewaretest.Broken(t, tc.layer, "", time.Minute, tc.allowed...)
			if got := slices.Sorted(maps.Keys(broken)); !slices.Equal(got, []string{tc.rule}) {
				t.Fatalf("breaks %q\nwant only %q\nbecause %q", got, tc.rule, broken)
			}
			if got := strings.Join(broken[tc.rule], "\n"); !strings.Contains(got, tc.says) {
				t.Errorf("says %q\nwant it to name %q", got, tc.says)
			}
		})
		found[tc.rule] = true
	}
	for _, rule := range middlewaretest.Rules() {
		if !found[rule] {
			t.Errorf("the rule %q is not shown to be able to fail", rule)
		}
	}
}

// What the suite finds must reach the one who runs it, as a failed subtest. That
// cannot be had in this process without failing it.
func TestConformFailsTheSubtestOfTheRule(t *testing.T) {
	const inside = "UNDERSTUDY_CONFORM_INSIDE"
	layers := map[string]broken{"broken": brokenLayers()["it does not cancel its context"], "unfit": {layer: func() textLayer { return nil }}}
	if tc, ok := layers[os.Getenv(inside)]; ok {
		middlewaretest.Conform(t, tc.layer)
		return
	}
	const failed = "TestConformFailsTheSubtestOfTheRule"
	for name, want := range map[string][]string{
		"broken": {failed, failed + "/leaves_nothing_behind"},
		"unfit":  {failed},
	} {
		t.Run(name, func(t *testing.T) {
			self := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestConformFailsTheSubtestOfTheRule$", "-test.v")
			self.Env = append(os.Environ(), inside+"="+name)
			out, err := self.CombinedOutput()
			if _, ok := errors.AsType[*exec.ExitError](err); !ok {
				t.Fatalf("the run ended with %v, want a failed test:\n%s", err, out)
			}
			var got []string
			for line := range strings.Lines(string(out)) {
				if line = strings.TrimSpace(line); strings.HasPrefix(line, "--- FAIL") {
					got = append(got, strings.Fields(line)[2])
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("failed: %q\nwant:   %q\n%s", got, want, out)
			}
		})
	}
}

// What is broken in many ways is found too, if need be by the clock on the wall:
// the one that hangs never returns, so a slow machine cannot change the outcome.
func TestConformIsNotStoppedByWhatIsBrokenBadly(t *testing.T) {
	for name, tc := range brokenBadly() {
		t.Run(name, func(t *testing.T) {
			patience := time.Minute
			if tc.hangs {
				patience = 100 * time.Millisecond
			}
			broken := middlewaretest.Broken(t, tc.layer, tc.rule, patience, tc.allowed...)
			if got := strings.Join(broken[tc.rule], "\n"); !strings.Contains(got, tc.says) {
				t.Errorf("says %q of %q\nwant it to name %q", got, tc.rule, tc.says)
			}
		})
	}
}

// A liberty is one only for what it is about.
func TestLibertiesAreNeeded(t *testing.T) {
	scope := &middleware.Owner{}
	canned := middleware.Func(func(context.Context, string) (string, error) { return "canned", nil })
	for name, tc := range map[string]struct {
		layer func() textLayer
		want  []string
	}{
		"Retry, by AllowRetries": {
			func() textLayer { return middleware.Retry[string, string](scope, strategies.Retry{}) },
			[]string{"asks a failing agent once"},
		},
		"Fallback, by AllowRecovery": {
			func() textLayer {
				return middleware.Fallback(scope, middleware.StandIn[middleware.Runner[string, string]]{Name: "stand-in", Agent: canned})
			},
			[]string{"hands on the error", "is safe for concurrent use"},
		},
		"CircuitBreaker, by AllowRefusals": {
			func() textLayer {
				return middleware.CircuitBreaker[string, string](scope, &strategies.Breaker{Failures: 1})
			},
			[]string{"is safe for concurrent use", "survives a Goexit", "survives a panic"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			broken := middlewaretest.Broken(t, tc.layer, "", time.Minute)
			if got := slices.Sorted(maps.Keys(broken)); !slices.Equal(got, tc.want) {
				t.Errorf("without it breaks %q\nwant %q\nbecause %q", got, tc.want, broken)
			}
		})
	}
}
