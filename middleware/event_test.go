package middleware_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

func TestEventSeverity(t *testing.T) {
	for _, tc := range []struct {
		name  string
		event middleware.Event
		want  slog.Level
	}{
		{"it is an error when nobody could answer", middleware.Event{Kind: middleware.EventFailed, Class: strategies.ClassTransient}, slog.LevelError},
		{"it is no failure when the caller left", middleware.Event{Kind: middleware.EventFailed, Class: strategies.ClassCanceled}, slog.LevelInfo},
		{"it is a warning when an attempt failed", middleware.Event{Kind: middleware.EventAttemptFailed, Class: strategies.ClassTransient}, slog.LevelWarn},
		{"it is an error when a key was refused, recovered or not", middleware.Event{Kind: middleware.EventAttemptFailed, Class: strategies.ClassUnauthorized}, slog.LevelError},
		{"it is an error when a stand-in cannot recover", middleware.Event{Kind: middleware.EventStandInFailed, Class: strategies.ClassUnrecoverable}, slog.LevelError},
		{"it is no failure when the caller left during a rung", middleware.Event{Kind: middleware.EventRungFailed, Class: strategies.ClassCanceled}, slog.LevelInfo},
		{"it is info when all was made well", middleware.Event{Kind: middleware.EventRecovered, Strategy: strategies.StrategyRetry}, slog.LevelInfo},
		{"it is a warning when the answer is a reduced one", middleware.Event{Kind: middleware.EventRecovered, Strategy: strategies.StrategyDegradation}, slog.LevelWarn},
		{"it is a warning when a breaker opened", middleware.Event{Kind: middleware.EventBreakerChanged, Delay: time.Second}, slog.LevelWarn},
		{"it is info when a breaker closed", middleware.Event{Kind: middleware.EventBreakerChanged}, slog.LevelInfo},
		{"it is for debugging when the agent was not even called", middleware.Event{Kind: middleware.EventAttemptFailed, Class: strategies.ClassRejected}, slog.LevelDebug},
		{"it is for debugging when a stand-in is called at once", middleware.Event{Kind: middleware.EventStandInCalled, Class: strategies.ClassRejected}, slog.LevelDebug},
		{"it is an error when nobody was called and nobody answers", middleware.Event{Kind: middleware.EventFailed, Class: strategies.ClassRejected}, slog.LevelError},
		{"it is info of a kind that is none", middleware.Event{Kind: 200}, slog.LevelInfo},
	} {
		t.Run(tc.name, func(t *testing.T) { expect(t, "severity", tc.event.Severity(), tc.want) })
	}
}

func TestEventAttributes(t *testing.T) {
	list := func(e middleware.Event) string {
		var all []string
		e.Attributes(func(key string, value any) { all = append(all, fmt.Sprintf("%s=%v(%T)", key, value, value)) })
		return strings.Join(all, " ")
	}
	t.Run("it names what is set, in a fixed order", func(t *testing.T) {
		expect(t, "attributes", list(middleware.Event{
			Kind: middleware.EventRecovered, Time: time.Now(), Agent: "bard", ServedBy: "sage", Attempt: 2, Class: strategies.ClassTimeout,
			Strategy: strategies.StrategyFallback, Level: strategies.LevelReduced, Delay: time.Second, Stop: strategies.StopExhausted,
			Detail: "more", Err: errors.New("the last attribute"),
		}), "agent=bard(string) served_by=sage(string) attempt=2(int) class=timeout(string) strategy=fallback(string) "+
			"degradation_level=reduced(string) delay=1s(string) stop=retries_exhausted(string) detail=more(string) error=the last attribute(string)")
	})
	t.Run("it leaves out what is zero, or said already", func(t *testing.T) {
		expect(t, "attributes", list(middleware.Event{Kind: middleware.EventFailed, Agent: "bard", ServedBy: "bard"}), "agent=bard(string)")
	})
	t.Run("it names the level of a ladder that moved back to full", func(t *testing.T) {
		expect(t, "attributes", list(middleware.Event{Kind: middleware.EventLevelChanged, Agent: "bard"}), "agent=bard(string) degradation_level=full(string)")
	})
}
