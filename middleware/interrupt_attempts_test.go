package middleware_test

import (
	"context"
	"errors"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

// A framework's pause is no failure, but the calls before it were made.
func TestOutcomeCountsTheCallsBeforeAnInterrupt(t *testing.T) {
	down, pause := errors.New("down"), strategies.WithClass(strategies.ClassInterrupt, errors.New("which room?"))
	fails, pauses := middlewaretest.Fail(down), middlewaretest.Fail(pause)
	type agent = middleware.Runner[string, string]
	script := func(steps ...middlewaretest.Step) agent { return middlewaretest.Script(steps...) }
	for _, tc := range []struct {
		name  string
		steps []middlewaretest.Step
		build func(b *middleware.Builder[string, string])
		want  int
	}{
		{"at once", []middlewaretest.Step{pauses}, func(*middleware.Builder[string, string]) {}, 1},
		{"in the third attempt", []middlewaretest.Step{fails, fails, pauses}, func(b *middleware.Builder[string, string]) {
			b.Retry(strategies.Retry{Backoff: strategies.Delays{0}})
		}, 3},
		{"of a stand-in", []middlewaretest.Step{fails}, func(b *middleware.Builder[string, string]) {
			b.Fallback("sage", script(fails)).Fallback("herald", script(pauses))
		}, 3},
		{"of a rung", []middlewaretest.Step{fails}, func(b *middleware.Builder[string, string]) {
			b.Degrade(strategies.LevelReduced, script(pauses))
		}, 2},
		{"when a person has it asked again", []middlewaretest.Step{fails, pauses}, func(b *middleware.Builder[string, string]) {
			b.Intervene(middleware.Intervention{Ask: strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
				return strategies.Decision{Action: strategies.ActionRetryNow}, nil
			})})
		}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := middleware.Wrap(script(tc.steps...))
			tc.build(b)
			o := middleware.Must(b.Build()).Outcome(t.Context(), "")
			if !errors.Is(o.Err, pause) || o.Attempts != tc.want {
				t.Errorf("%d attempts, %v; want %d, and the pause", o.Attempts, o.Err, tc.want)
			}
		})
	}
}
