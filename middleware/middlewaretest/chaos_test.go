package middlewaretest_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

type chaos = middlewaretest.Chaos[string, string]

var (
	errSlow = errors.New("slow down")
	well    = middleware.Func(func(_ context.Context, req string) (string, error) { return "re: " + req, nil })
)

// storm makes n calls, one after the other, and tells how each ended.
func storm(ctx context.Context, r text, n int) (how []string) {
	for range n {
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		how = append(how, ask(limited, r, "q"))
		cancel()
	}
	return how
}

func sum(c middlewaretest.Counts) int {
	return c.LeftAlone + c.Errors + c.Delayed + c.Hung + c.Panics + c.BadAnswers
}

func TestChaosInjectsWhatItIsTold(t *testing.T) {
	type counts = middlewaretest.Counts
	for name, tc := range map[string]struct {
		chaos  *chaos
		agent  text
		want   string // how each call ends
		counts counts // of 5 calls
	}{
		"it leaves all alone by itself": {&chaos{}, well, `"re: q", <nil> after 0s`, counts{Calls: 5, LeftAlone: 5}},
		"it fails":                      {&chaos{Error: 1}, nil, `"", understudy: injected failure after 0s`, counts{Calls: 5, Errors: 5}},
		"it fails as it is told":        {&chaos{Error: 1, Errors: []error{errSlow}}, nil, `"", slow down after 0s`, counts{Calls: 5, Errors: 5}},
		"it delays":                     {&chaos{Latency: 1, MinLatency: 2 * time.Second, MaxLatency: 2 * time.Second}, well, `"re: q", <nil> after 2s`, counts{Calls: 5, Delayed: 5}},
		"it delays by the least if the most is left out": {&chaos{Latency: 1, MinLatency: 2 * time.Second}, well, `"re: q", <nil> after 2s`, counts{Calls: 5, Delayed: 5}},
		"it delays until the context ends":               {&chaos{Latency: 1, MinLatency: time.Hour}, nil, `"", context deadline exceeded after 1m0s`, counts{Calls: 5, Delayed: 5}},
		"it hangs":                                       {&chaos{Hang: 1}, nil, `"", context deadline exceeded after 1m0s`, counts{Calls: 5, Hung: 5}},
		"it spoils to nothing":                           {&chaos{BadAnswer: 1}, well, `"", <nil> after 0s`, counts{Calls: 5, BadAnswers: 5}},
		"it spoils as it is told": {
			&chaos{BadAnswer: 1, Spoil: func(req, answer string) string { return answer[:2] + " not " + req }}, well,
			`"re not q", <nil> after 0s`, counts{Calls: 5, BadAnswers: 5},
		},
		"it cannot spoil a failure": {&chaos{BadAnswer: 1}, middlewaretest.Script(middlewaretest.Fail(errSick)), `"", the agent is sick after 0s`, counts{Calls: 5, LeftAlone: 5}},
		"it cannot spoil a panic":   {&chaos{BadAnswer: 1}, middlewaretest.Script(middlewaretest.Panic("boom")), `panic boom after 0s`, counts{Calls: 5, LeftAlone: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tc.agent == nil {
					tc.agent = middlewaretest.Script(middlewaretest.Panic("the agent is called"))
				}
				for i, got := range storm(t.Context(), tc.chaos.Middleware(tc.agent), 5) {
					if tc.want != "" && got != tc.want {
						t.Errorf("call %d: %s\nwant %s", i+1, got, tc.want)
					}
				}
				if got := tc.chaos.Counts(); got != tc.counts {
					t.Errorf("counts: %v\nwant    %v", got, tc.counts)
				}
			})
		})
	}
}

func TestChaosPanicsWithTheNumberOfTheCall(t *testing.T) {
	got := storm(t.Context(), (&chaos{Panic: 1}).Middleware(well), 2)
	if !strings.HasPrefix(got[1], "panic understudy: injected panic in call 2") {
		t.Errorf("got %q", got)
	}
}

func mixed(seed uint64) *chaos {
	return &chaos{Seed: seed, Error: 0.2, Latency: 0.2, Hang: 0.1, Panic: 0.1, BadAnswer: 0.2, Errors: []error{errSick, errSlow}}
}

func TestChaosRepeatsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(seed uint64) []string { return storm(t.Context(), mixed(seed).Middleware(well), 200) }
		first := run(1)
		if !slices.Equal(first, run(1)) {
			t.Error("the same seed makes another run")
		}
		if slices.Equal(first, run(2)) {
			t.Error("another seed makes the same run")
		}
	})
}

// What the n-th call meets must not depend on what the settings make of others.
func TestChaosDrawsTheSameFateForACallWhateverTheSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hit := func(c *chaos) (calls []int) {
			for i, how := range storm(t.Context(), c.Middleware(well), 200) {
				if strings.Contains(how, "injected failure") || strings.Contains(how, "slow down") || strings.Contains(how, "sick") {
					calls = append(calls, i)
				}
			}
			return calls
		}
		alone := hit(&chaos{Seed: 1, Error: 0.2})
		if among := hit(mixed(1)); !slices.Equal(alone, among) || len(alone) == 0 {
			t.Errorf("the calls that fail are %v\namong other fates %v", alone, among)
		}
	})
}

func TestChaosKeepsItsSharesAndItsLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 4000
		c := mixed(7)
		c.MinLatency, c.MaxLatency = time.Second, 3*time.Second
		var shortest, longest time.Duration = time.Hour, 0
		errs := map[error]int{}
		r := c.Middleware(well)
		for range calls {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			start := time.Now()
			func() {
				defer func() { _ = recover() }()
				_, err := r.Run(ctx, "q")
				errs[err]++
			}()
			if d := time.Since(start); d > 0 && d < time.Minute {
				shortest, longest = min(shortest, d), max(longest, d)
			}
			cancel()
		}
		got := c.Counts()
		if got.Calls != calls || sum(got) != calls {
			t.Errorf("the counts do not add up to %d: %v", calls, got)
		}
		for name, share := range map[string][2]float64{
			"left alone": {float64(got.LeftAlone), 0.2}, "errors": {float64(got.Errors), 0.2}, "delayed": {float64(got.Delayed), 0.2},
			"hung": {float64(got.Hung), 0.1}, "panics": {float64(got.Panics), 0.1}, "bad answers": {float64(got.BadAnswers), 0.2},
		} {
			// A fixed seed: this either holds for ever or never.
			if math.Abs(share[0]/calls-share[1]) > 0.02 {
				t.Errorf("%s: %v of %d calls, want a share of about %v", name, share[0], calls, share[1])
			}
		}
		if shortest < time.Second || shortest > 1100*time.Millisecond || longest > 3*time.Second || longest < 2900*time.Millisecond {
			t.Errorf("latencies from %v to %v, want all of 1s to 3s", shortest, longest)
		}
		if a, b := errs[errSick], errs[errSlow]; a+b != got.Errors || a < got.Errors/3 || b < got.Errors/3 {
			t.Errorf("%d and %d of %d injected errors: not both alike", a, b, got.Errors)
		}
	})
}

func TestChaosAddsUpUnderConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 300
		c := mixed(5)
		a, b := c.Middleware(well), c.Middleware(well) // two agents, one sequence
		var wg sync.WaitGroup
		for i := range calls {
			wg.Go(func() { storm(t.Context(), []text{a, b}[i%2], 1) })
		}
		wg.Wait()
		alone := mixed(5)
		storm(t.Context(), alone.Middleware(well), calls)
		if got := c.Counts(); got != alone.Counts() || sum(got) != calls {
			t.Errorf("concurrently %v\nin turn      %v", got, alone.Counts())
		}
	})
}

func TestChaosStandsInsideOfAllLayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errEmpty := errors.New("empty")
		for name, tc := range map[string]struct {
			chaos *chaos
			want  strategies.Class
		}{
			"it panics, and is recovered":        {&chaos{Panic: 1}, strategies.ClassPanic},
			"it hangs, and is cut off":           {&chaos{Hang: 1}, strategies.ClassTimeout},
			"it spoils the answer, and is seen":  {&chaos{BadAnswer: 1}, strategies.ClassInvalidAnswer},
			"it fails as a provider that is off": {&chaos{Error: 1}, strategies.ClassTransient},
		} {
			g, err := middleware.Wrap(well).Timeout(time.Second).
				Validate(func(_ context.Context, _, answer string) error {
					if answer == "" {
						return errEmpty
					}
					return nil
				}).
				Use(middleware.StageAgent, tc.chaos.Middleware).Build()
			if err != nil {
				t.Fatal(err)
			}
			_, err = g.Run(t.Context(), "q")
			if re, ok := errors.AsType[*strategies.RecoveryError](err); !ok || re.Class != tc.want {
				t.Errorf("%s: error %v, want class %v", name, err, tc.want)
			}
		}
	})
}

func TestChaosRefusesNonsense(t *testing.T) {
	for name, tc := range map[string]struct {
		chaos *chaos
		want  string // the Setting, and part of the text
		says  string
	}{
		"a negative share":            {&chaos{Error: -0.1}, "Chaos.Error", "is -0.1"},
		"a share above 1":             {&chaos{Hang: 1.5}, "Chaos.Hang", "is 1.5"},
		"a share that is no number":   {&chaos{Panic: math.NaN()}, "Chaos.Panic", "is NaN"},
		"latency above 1":             {&chaos{Latency: 2}, "Chaos.Latency", "is 2"},
		"bad answers without end":     {&chaos{BadAnswer: math.Inf(1)}, "Chaos.BadAnswer", "is +Inf"},
		"shares above 1 together":     {&chaos{Error: 0.6, Panic: 0.6}, "Chaos.Error, Latency, Hang, Panic and BadAnswer", "add up to 1.2"},
		"an error that is nil":        {&chaos{Errors: []error{errSick, nil}}, "Chaos.Errors", "nil error"},
		"a negative latency":          {&chaos{MinLatency: -1}, "Chaos.MinLatency and MaxLatency", "-1ns"},
		"a range the wrong way round": {&chaos{MinLatency: 2, MaxLatency: 1}, "Chaos.MinLatency", "above MaxLatency"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tc.chaos.Middleware(well).Run(t.Context(), "q")
			for what, err := range map[string]error{"Validate": tc.chaos.Validate(), "Run": err} {
				wrong, ok := errors.AsType[*strategies.ConfigError](err)
				if !ok || wrong.Setting != tc.want || !strings.Contains(wrong.Problem, tc.says) || wrong.Fix == "" {
					t.Errorf("%s: %v\nwant a ConfigError of %s that says %q", what, err, tc.want, tc.says)
				}
			}
			if n := tc.chaos.Counts().Calls; n != 0 {
				t.Errorf("%d calls were let through", n)
			}
		})
	}
	t.Run("several at once", func(t *testing.T) {
		err := (&chaos{Error: -1, Hang: 2, Errors: []error{nil}}).Validate()
		if n := strings.Count(err.Error(), "understudy: Chaos."); n != 3 {
			t.Errorf("%d problems named, want 3: %v", n, err)
		}
	})
	t.Run("a hang that could never end", func(t *testing.T) {
		c := &chaos{Hang: 1}
		_, err := c.Middleware(well).Run(context.Background(), "q")
		if wrong, ok := errors.AsType[*strategies.ConfigError](err); !ok || wrong.Setting != "Chaos.Hang" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an agent that is nil", func(t *testing.T) {
		if _, err := (&chaos{}).Middleware(nil).Run(t.Context(), "q"); !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("but not shares that are 1 together but for rounding", func(t *testing.T) {
		shares := [...]float64{0.01, 0.32, 0.56, 0.11} // in this order a little above 1
		if err := (&chaos{Error: shares[0], Latency: shares[1], Hang: shares[2], Panic: shares[3]}).Validate(); err != nil {
			t.Error(err)
		}
	})
}

func TestCountsReadAsASentence(t *testing.T) {
	got := middlewaretest.Counts{Calls: 21, LeftAlone: 6, Errors: 5, Delayed: 4, Hung: 3, Panics: 2, BadAnswers: 1}.String()
	if want := "21 calls: 6 left alone, 5 errors, 4 delayed, 3 hung, 2 panics, 1 bad answers"; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
