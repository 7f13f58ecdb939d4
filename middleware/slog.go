package middleware

import (
	"context"
	"log/slog"

	"github.com/understudy-go/understudy/strategies"
)

// Slog returns an [Observer] that writes events to a slog logger, at the same
// levels and with the same keys as [Zap].
func Slog(logger *slog.Logger) Observer {
	if logger == nil {
		return nil
	}
	return ObserverFunc(func(ctx context.Context, e Event) {
		level := slogLevels[severityOf(e)]
		if !logger.Enabled(ctx, level) {
			return
		}
		attrs := make([]slog.Attr, 0, 8)
		e.attributes(func(key string, value any) { attrs = append(attrs, slog.Any(key, value)) })
		if e.Err != nil {
			attrs = append(attrs, slog.String("error", e.Err.Error()))
		}
		logger.LogAttrs(ctx, level, e.Kind.String(), attrs...)
	})
}

var slogLevels = [...]slog.Level{info: slog.LevelInfo, warn: slog.LevelWarn, failure: slog.LevelError}

// severity is how loud an event is, for every logger alike.
type severity uint8

const (
	info severity = iota
	warn
	failure
)

func severityOf(e Event) severity {
	switch e.Kind {
	case EventFailed:
		if e.Class == strategies.ClassCanceled {
			return info // a caller who left is no failure of ours
		}
		return failure
	case EventAttemptFailed, EventStandInFailed, EventRungFailed:
		switch e.Class {
		case strategies.ClassUnauthorized, strategies.ClassUnrecoverable:
			return failure // recovered or not, somebody must look at it
		case strategies.ClassCanceled:
			return info
		}
		return warn
	case EventRecovered:
		if e.Strategy == strategies.StrategyDegradation {
			return warn
		}
		return info
	case EventRetriesEnded, EventPersonAsked, EventLevelChanged, EventStreamContinued, EventHiddenRequests, EventWorkAbandoned:
		return warn
	case EventBreakerChanged:
		if e.Delay > 0 {
			return warn // opened, or held
		}
		return info
	default:
		return info
	}
}

// attributes calls add for each field of the event that is set, by the keys
// every logger uses.
func (e Event) attributes(add func(key string, value any)) {
	add("agent", e.Agent)
	if e.ServedBy != e.Agent && e.ServedBy != "" {
		add("served_by", e.ServedBy)
	}
	if e.Attempt > 0 {
		add("attempt", e.Attempt)
	}
	if e.Class != strategies.ClassUnclassified {
		add("class", e.Class.String())
	}
	if e.Strategy != strategies.StrategyNone {
		add("strategy", e.Strategy.String())
	}
	if e.Level != strategies.LevelFull || e.Kind == EventLevelChanged {
		add("degradation_level", e.Level.String()) // "level" is the loggers' own key
	}
	if e.Delay > 0 {
		add("delay", e.Delay.String())
	}
	if e.Stop != "" {
		add("stop", e.Stop.String())
	}
	if e.Detail != "" {
		add("detail", e.Detail)
	}
}
