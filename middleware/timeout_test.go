package middleware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// hangs waits for its context to end, as a good agent does.
func hangs(ctx context.Context, _ string) (string, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// deaf takes its time whatever its context says, and then takes step.
func deaf(d time.Duration, step any) stepFunc {
	return func(context.Context, string) (string, error) {
		time.Sleep(d)
		if err, ok := step.(error); ok {
			return "", err
		}
		return step.(string), nil
	}
}

func timeoutOf(t *testing.T, err error) strategies.TimeoutError {
	t.Helper()
	late, ok := errors.AsType[*strategies.TimeoutError](err)
	if !ok {
		t.Fatalf("error = %v, want a *strategies.TimeoutError in it", err)
	}
	return *late
}

func TestTimeout(t *testing.T) {
	for _, tc := range []struct {
		name    string
		agent   stepFunc
		want    string
		err     error
		late    bool
		elapsed time.Duration
	}{
		{"it ends an attempt that looks at its context", hangs, "", context.DeadlineExceeded, false, time.Second},
		{"it leaves a quick answer alone", deaf(time.Millisecond, "hi"), "hi", nil, false, time.Millisecond},
		{"it leaves a quick failure alone", deaf(time.Millisecond, errSick), "", errSick, false, time.Millisecond},
		{"it waits for a deaf agent, keeps the late answer, and marks it", deaf(3*time.Second, "paid for"), "paid for", nil, true, 3 * time.Second},
		{"it keeps what a late failure said", deaf(3*time.Second, errSick), "", errSick, false, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := &diary{}
				o := built(t, middleware.Wrap(plays(tc.agent)).Timeout(time.Second).Observe(told)).Outcome(t.Context(), "hello")
				expect(t, "answer", o.Value, tc.want)
				expect(t, "late", o.Late, tc.late)
				expect(t, "elapsed", o.Elapsed, tc.elapsed)
				expectIs(t, o.Err, tc.err)
				if tc.late {
					expect(t, "events", told.read(), "answered_late")
				}
				if tc.err != nil && tc.elapsed >= time.Second {
					re := recoveryOf(t, o.Err)
					expect(t, "class", re.Class, strategies.ClassTimeout)
					late := timeoutOf(t, o.Err)
					expect(t, "limit", late.Limit, "attempt")
					expect(t, "after", late.After, time.Second)
				}
			})
		})
	}
	t.Run("it bounds every attempt anew", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			g := built(t, middleware.Wrap(plays(stepFunc(hangs), stepFunc(hangs), "hi")).Retry(promptly).Timeout(time.Second))
			asked(t, g, "hi")
			expect(t, "elapsed", time.Since(start), 2*time.Second)
		})
	})
	t.Run("it lets a late interrupt pass", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			err := failing(t, built(t, middleware.Wrap(plays(deaf(2*time.Second, passThrough))).Timeout(time.Second)))
			expect(t, "untouched", err == passThrough, true) //nolint:errorlint // it must be the very same
		})
	})
}

func TestTimeoutIsNotTheCallersEnd(t *testing.T) {
	hangUp := errors.New("hung up")
	for _, tc := range []struct {
		name  string
		ctx   func(context.Context) (context.Context, context.CancelFunc)
		class strategies.Class
		is    error
	}{
		{"ours comes first", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Hour)
		}, strategies.ClassTimeout, context.DeadlineExceeded},
		{"the caller's deadline comes first", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, strategies.ClassCanceled, context.DeadlineExceeded},
		{"the caller hangs up", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(hangUp) })
			return ctx, func() { cancel(nil) }
		}, strategies.ClassCanceled, hangUp},
	} {
		for layer, wrap := range map[string]func() *middleware.Builder[string, string]{
			"Timeout": func() *middleware.Builder[string, string] {
				return middleware.Wrap(plays(stepFunc(hangs))).Timeout(2 * time.Second)
			},
			"Deadline": func() *middleware.Builder[string, string] {
				return middleware.Wrap(plays(stepFunc(hangs))).Deadline(2 * time.Second)
			},
			"HardTimeout": func() *middleware.Builder[string, string] {
				return middleware.Wrap(plays(stepFunc(hangs))).HardTimeout(2*time.Second, 1)
			},
		} {
			t.Run(layer+": "+tc.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := tc.ctx(t.Context())
					defer cancel()
					_, err := built(t, wrap()).Run(ctx, "hello")
					synctest.Wait()
					expect(t, "class", recoveryOf(t, err).Class, tc.class)
					expectIs(t, err, tc.is)
					_, ours := errors.AsType[*strategies.TimeoutError](err)
					expect(t, "is our limit", ours, tc.class == strategies.ClassTimeout)
				})
			})
		}
	}
}

func TestDeadline(t *testing.T) {
	t.Run("it bounds all agents together, and leaves time to say something", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			other := plays(stepFunc(hangs))
			g := built(t, middleware.Wrap(plays(stepFunc(hangs))).Retry(promptly).Timeout(2*time.Second).
				Fallback("other", other).Deadline(3*time.Second).Degrade(strategies.LevelReduced, plays("sorry")))
			o := g.Outcome(t.Context(), "hello")
			expect(t, "answer", o.Value, "sorry")
			expect(t, "level", o.Level, strategies.LevelReduced)
			expect(t, "elapsed", o.Elapsed, 3*time.Second)
			expect(t, "calls of the stand-in", other.called(), 0)
		})
	})
	t.Run("it says which limit it was, also without a layer inside", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			late := timeoutOf(t, failing(t, built(t, middleware.Wrap(plays(stepFunc(hangs))).Deadline(time.Second))))
			expect(t, "limit", late.Limit, "deadline")
			expect(t, "after", late.After, time.Second)
		})
	})
	t.Run("it ends a backoff that would not fit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			g := built(t, middleware.Wrap(plays(errSick)).Retry(strategies.Retry{}).Deadline(2*time.Second))
			expect(t, "reason to stop", recoveryOf(t, failing(t, g)).Stop, strategies.StopDeadline)
			expect(t, "elapsed", time.Since(start), time.Second)
		})
	})
}

func TestReserve(t *testing.T) {
	for _, tc := range []struct {
		name           string
		caller, agents time.Duration
	}{
		{"it keeps a slice of the caller's deadline for the reduced answer", 5 * time.Second, 4 * time.Second},
		{"it changes nothing where the caller's deadline is far", time.Hour, 10 * time.Second},
		{"it changes nothing where the caller brings none", 0, 10 * time.Second},
		{"it takes the whole of a deadline that is shorter", time.Second / 2, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tc.caller > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.caller)
					defer cancel()
				}
				g := built(t, middleware.Wrap(plays(stepFunc(hangs))).Deadline(10*time.Second).Reserve(time.Second).
					Degrade(strategies.LevelMinimal, plays("sorry")))
				o := g.Outcome(ctx, "hello")
				expect(t, "answer", o.Value, "sorry")
				expect(t, "elapsed", o.Elapsed, tc.agents)
			})
		})
	}
	t.Run("a negative one by hand keeps nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			r := middleware.Chain(plays(stepFunc(hangs)), middleware.Deadline[string, string](middleware.Scope{}, time.Second, -time.Hour))
			_, err := r.Run(ctx, "hello")
			expect(t, "after", timeoutOf(t, err).After, time.Second)
		})
	})
}
