package middleware_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

var errTold = errors.New("down")

type askedForTold func() strategies.Decision

func (a askedForTold) Decide(context.Context, strategies.Incident) (strategies.Decision, error) {
	return a(), nil
}

func collectingTold(into *[]middleware.Event) middleware.Observer {
	var mu sync.Mutex
	return middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
		mu.Lock()
		defer mu.Unlock()
		*into = append(*into, e)
	})
}

// While the ladder stands lower, a retry's answer is a reduced one, in events too.
func TestRecoveredTellsTheLevelOfTheOutcome(t *testing.T) {
	var events []middleware.Event
	ladder := &strategies.Ladder{}
	ladder.Degrade(strategies.LevelReduced, "by hand")
	g := middleware.Must(middleware.Wrap(middlewaretest.Script(middlewaretest.Fail(errTold), middlewaretest.Answer("yes"))).
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}).Ladder(ladder).
		Degrade(strategies.LevelReduced, middlewaretest.Script(middlewaretest.Answer("less"))).Observe(collectingTold(&events)).Build())
	o := g.Outcome(t.Context(), "")
	if last := events[len(events)-1]; last.Level != o.Level {
		t.Errorf("%v says %v, the outcome says %v", last.Kind, last.Level, o.Level)
	}
}

// A function between retry and breaker may compare errors, switch on their types and keep them.
func TestAroundSeesTheAgentsOwnError(t *testing.T) {
	var got error
	_, _ = middleware.Must(middleware.Wrap(middlewaretest.Script(middlewaretest.Fail(errTold))).CircuitBreaker(&strategies.Breaker{}).
		Around(middleware.StageBreaker, func(ctx context.Context, next func(context.Context) error) error {
			got = next(ctx)
			return got
		}).Build()).Run(t.Context(), "")
	if got != errTold {
		t.Errorf("got a %T", got)
	}
}

// An attempt that fails after a person's RetryNow is told as any other.
func TestAttemptsAfterAPersonAreTold(t *testing.T) {
	var events []middleware.Event
	decisions := []strategies.Decision{{Action: strategies.ActionRetryNow}, {}}
	_, err := middleware.Must(middleware.Wrap(middlewaretest.Script(middlewaretest.Fail(errTold))).Observe(collectingTold(&events)).
		Intervene(middleware.Intervention{Ask: askedForTold(func() strategies.Decision { d := decisions[0]; decisions = decisions[1:]; return d })}).
		Build()).Run(t.Context(), "")
	failed := 0
	for _, e := range events {
		if e.Kind == middleware.EventAttemptFailed {
			failed++
		}
	}
	var re *strategies.RecoveryError
	if !errors.As(err, &re) || failed != len(re.Attempts) {
		t.Errorf("%d events, %d attempts", failed, len(re.Attempts))
	}
}

// Three callers share one failed attempt: it is told once, and each has an error of its own.
func TestCoalescedFailureIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []middleware.Event
		g := middleware.Must(middleware.WrapFunc(func(context.Context, string) (string, error) { time.Sleep(time.Second); return "", errTold }).
			Coalesce(func(string) string { return "same" }).Observe(collectingTold(&events)).Build())
		var calls sync.WaitGroup
		errs := make([]*strategies.RecoveryError, 3)
		for i := range errs {
			calls.Go(func() { _, err := g.Run(t.Context(), ""); errors.As(err, &errs[i]) })
		}
		calls.Wait()
		if errs[0] == nil || errs[0] == errs[1] || errs[1] == errs[2] {
			t.Errorf("one error for all: %p", errs)
		}
		failed := 0
		for _, e := range events {
			if e.Kind == middleware.EventAttemptFailed {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("one attempt failed, %d events say so", failed)
		}
	})
}
