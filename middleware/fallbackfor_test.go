package middleware_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// refusal is an error as clients make it of an answer.
type refusal struct {
	StatusCode int
	Message    string
}

func (e *refusal) Error() string { return e.Message }

func TestFallbackFor(t *testing.T) {
	overflow := &refusal{400, "This model's maximum context length is 8,192 tokens. However, you sent 9,310 tokens."}
	filter := ofClass(strategies.ClassBlocked)
	gone := &refusal{404, "The model `m` does not exist"}
	for _, tc := range []struct {
		it   string
		err  error
		want string // who answers; "": nobody
	}{
		{"an overflow goes to the large window", overflow, "large"},
		{"what a filter refused goes to another vendor, though no stand-in is asked by the table", filter, "other vendor"},
		{"a model that is gone goes to its successor", gone, "successor"},
		{"any other failure goes to the one for all", errSick, "all"},
		{"a bad request too", &refusal{400, "no"}, "all"},
	} {
		t.Run(tc.it, func(t *testing.T) {
			g := built(t, middleware.Wrap(plays(tc.err)).
				FallbackFor("large", plays("large"), strategies.ClassContextOverflow).
				FallbackFor("other vendor", plays("other vendor"), strategies.ClassBlocked, strategies.ClassInvalidAnswer).
				FallbackFor("successor", plays("successor"), strategies.ClassNotFound).
				Fallback("all", plays("all")))
			asked(t, g, tc.want)
		})
	}
	t.Run("nobody is asked for what nobody was named for", func(t *testing.T) {
		large := plays("large")
		g := built(t, middleware.Wrap(plays(errSick)).FallbackFor("large", large, strategies.ClassContextOverflow))
		failing(t, g)
		expect(t, "calls", large.called(), 0)
	})
	t.Run("it is explained", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).FallbackFor("large", plays("large"), strategies.ClassContextOverflow))
		if text := g.Explain().String(); !strings.Contains(text, "large (for context_overflow)") {
			t.Errorf("not in %s", text)
		}
	})
	for name, b := range map[string]*builder{
		"no class":                  middleware.Wrap(plays("hi")).FallbackFor("sage", plays("hi")),
		"an interrupt":              middleware.Wrap(plays("hi")).FallbackFor("sage", plays("hi"), strategies.ClassInterrupt),
		"a caller who left":         middleware.Wrap(plays("hi")).FallbackFor("sage", plays("hi"), strategies.ClassCanceled),
		"a stream that was cut":     middleware.Wrap(plays("hi")).FallbackFor("sage", plays("hi"), strategies.ClassCutOff),
		"a class that is none":      middleware.Wrap(plays("hi")).FallbackFor("sage", plays("hi"), 200),
		"a class that says nothing": middleware.Wrap(plays("hi")).FallbackFor("sage", plays("hi"), strategies.ClassUnclassified),
		"the agent itself for some": middleware.Wrap(plays("hi")).Named("sage").FallbackFor("sage", plays("hi"), strategies.ClassBlocked),
		"nobody for some":           middleware.Wrap(plays("hi")).FallbackFor("sage", nil, strategies.ClassBlocked),
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			_, err := b.Build()
			expectIs(t, err, strategies.ErrConfig)
		})
	}
}

func TestWhatWentBefore(t *testing.T) {
	var told []string
	note := func(who string) func(ctx context.Context, req string) {
		return func(ctx context.Context, _ string) {
			f, ok := middleware.CallOf(ctx).Failure()
			if !ok {
				told = append(told, who+": nothing")
				return
			}
			window, sent := f.Window()
			told = append(told, strings.Join([]string{who, f.Class.String(), f.RetryAfter.String(), f.Err.Error()}, " "))
			if window != 0 || sent != 0 {
				expect(t, "window", [2]int{window, sent}, [2]int{8192, 9310})
			}
		}
	}
	fails := func(who string, err error) stepFunc {
		return func(ctx context.Context, req string) (string, error) {
			note(who)(ctx, req)
			return "", err
		}
	}
	limited := strategies.WithRetryAfter(time.Millisecond, ofClass(strategies.ClassRateLimited))
	overflow := &refusal{400, "This model's maximum context length is 8,192 tokens. However, you sent 9,310 tokens."}
	g := built(t, middleware.Wrap(plays(fails("first", limited), fails("second", overflow))).Retry(promptly).
		FallbackVia("via", plays(fails("via", errGone)), func(ctx context.Context, req string) (string, error) {
			note("change")(ctx, req)
			return req, nil
		}).
		Degrade(strategies.LevelReduced, plays(fails("rung", errSick))))
	failing(t, g)
	want := []string{
		"first: nothing",
		"second rate_limited 1ms " + limited.Error(),
		"change context_overflow 0s " + overflow.Error(),
		"via context_overflow 0s " + overflow.Error(),
		"rung context_overflow 0s " + errGone.Error(),
	}
	expect(t, "told", strings.Join(told, "\n"), strings.Join(want, "\n"))
	if _, ok := middleware.CallOf(t.Context()).Failure(); ok {
		t.Error("outside of every call something went before")
	}
}

func TestStandInsThatKeepTheirRetries(t *testing.T) {
	sick := errors.New("sick for once")
	t.Run("it is asked again, as it would be by itself", func(t *testing.T) {
		sage := plays(sick, "hi")
		guarded := built(t, middleware.Wrap(sage).Named("sage").Retry(promptly).Fallback("third", plays("third")))
		g := built(t, middleware.Wrap(plays(errSick)).Fallback("sage", middleware.WithRetries(guarded)))
		asked(t, g, "hi")
		expect(t, "calls", sage.called(), 2)
	})
	t.Run("it leaves its stand-ins out, and its error is a whole one", func(t *testing.T) {
		third := plays("third")
		guarded := built(t, middleware.Wrap(plays(sick)).Named("sage").Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{0}}).Fallback("third", third))
		g := built(t, middleware.Wrap(plays(errSick)).Fallback("sage", middleware.WithRetries(guarded)))
		re := recoveryOf(t, failing(t, g))
		expect(t, "calls of the third", third.called(), 0)
		expect(t, "attempts", len(re.Attempts), 2)
		inner, ok := errors.AsType[*strategies.RecoveryError](re.Attempts[1].Err)
		if !ok || len(inner.Attempts) != 3 {
			t.Errorf("the stand-in's own account is %v", re.Attempts[1].Err)
		}
	})
	t.Run("Explain counts them", func(t *testing.T) {
		guarded := built(t, middleware.Wrap(plays(sick)).Named("sage").Retry(strategies.Retry{}).Timeout(time.Second))
		g := built(t, middleware.Wrap(plays(errSick)).Timeout(time.Second).Fallback("sage", middleware.WithRetries(guarded)))
		e := g.Explain()
		expect(t, "calls", e.Calls, 5)
		expect(t, "time", e.Time, 5*time.Second+7*time.Second)
		if !strings.Contains(e.String(), "sage (with its own retries: 3 at most)") {
			t.Errorf("not in %s", e)
		}
	})
	t.Run("a changed request goes with it", func(t *testing.T) {
		sage := plays(sick, stepFunc(func(_ context.Context, req string) (string, error) { return req, nil }))
		guarded := built(t, middleware.Wrap(sage).Named("sage").Retry(promptly))
		g := built(t, middleware.Wrap(plays(errSick)).FallbackVia("sage", middleware.WithRetries(guarded), func(context.Context, string) (string, error) { return "shorter", nil }))
		asked(t, g, "shorter")
		expect(t, "calls", sage.called(), 2)
	})
	t.Run("one without layers is as it was", func(t *testing.T) {
		g := built(t, middleware.Wrap(plays(errSick)).Fallback("sage", middleware.WithRetries[string, string](plays("hi"))))
		asked(t, g, "hi")
	})
}
