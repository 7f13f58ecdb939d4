package prometheus

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Chain is what can be instrumented: a [middleware.Builder], a
// [middleware.StreamBuilder] or [middleware.Settings].
type Chain[B any] interface {
	Observe(o middleware.Observer) B
	Around(stage middleware.Stage, do func(ctx context.Context, next func(context.Context) error) error) B
}

// Instrument adds all there is to a builder: the observer, and a duration of each call
// and of each attempt. agent is the name that the builder has. Without an exporter the
// builder's Build says so.
func Instrument[B Chain[B]](b B, agent string, e *Exporter) B {
	if e == nil {
		return b.Observe(nil)
	}
	b.Observe(e)
	b.Around(middleware.StageObserve, e.Calls(agent))
	return b.Around(middleware.StageTimeout, e.Attempts(agent))
}

// Calls returns the layer around a whole call, for [middleware.StageObserve].
func (e *Exporter) Calls(agent string) func(ctx context.Context, next func(context.Context) error) error {
	agent = clean(agent)
	full := e.calls.WithLabelValues(agent, "full")
	return func(ctx context.Context, next func(context.Context) error) (err error) {
		start, returned := time.Now(), false
		traced, how := middleware.Trace(ctx)
		defer func() {
			took, result := time.Since(start).Seconds(), "interrupted" // also by a panic of the reader's, on its way out
			if returned {
				result = resultOf(how, err)
			}
			if result == "full" {
				full.Observe(took)
				return
			}
			e.calls.WithLabelValues(agent, result).Observe(took)
		}()
		err = next(traced)
		returned = true
		return err
	}
}

func resultOf(how *middleware.Answered, err error) string {
	switch failure, ok := errors.AsType[*strategies.RecoveryError](err); {
	case ok && failure.Class != strategies.ClassCanceled:
		return "failed"
	case err != nil:
		return "interrupted"
	case how.Level() != strategies.LevelFull:
		return "reduced"
	case how.Strategy() != strategies.StrategyNone:
		return "recovered"
	}
	return "full"
}

// Attempts returns the layer around each attempt, for [middleware.StageTimeout]: it
// sees timeouts, refused answers and panics as the layers outside do, and is not passed
// when the breaker or the bulkhead refuses.
func (e *Exporter) Attempts(agent string) func(ctx context.Context, next func(context.Context) error) error {
	agent = clean(agent)
	good := e.attempts.WithLabelValues(agent, "none")
	return func(ctx context.Context, next func(context.Context) error) (err error) {
		start, class := time.Now(), strategies.ClassInterrupt
		defer func() {
			took := time.Since(start).Seconds()
			if class == strategies.ClassUnclassified {
				good.Observe(took)
				return
			}
			e.attempts.WithLabelValues(agent, class.String()).Observe(took)
		}()
		err = next(ctx)
		if class = strategies.ClassUnclassified; err != nil {
			class = e.options.Classifier.Classify(err).Class
		}
		return err
	}
}
