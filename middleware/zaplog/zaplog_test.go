package zaplog_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/zaplog"
	"github.com/understudy-go/understudy/strategies"
)

func TestNew(t *testing.T) {
	t.Run("it writes each severity at its level", func(t *testing.T) {
		core, seen := observer.New(zapcore.DebugLevel)
		observe := zaplog.New(zap.New(core))
		for event, want := range map[*middleware.Event]zapcore.Level{
			{Kind: middleware.EventRecovered}:     zapcore.InfoLevel,
			{Kind: middleware.EventAttemptFailed}: zapcore.WarnLevel,
			{Kind: middleware.EventFailed}:        zapcore.ErrorLevel,
		} {
			observe.Observe(t.Context(), *event)
			if got := seen.TakeAll()[0]; got.Level != want || got.Message != event.Kind.String() {
				t.Errorf("%s at level %s, want %s at %s", got.Message, got.Level, event.Kind, want)
			}
		}
	})
	t.Run("it makes no field at a level that is switched off", func(t *testing.T) {
		core, seen := observer.New(zapcore.ErrorLevel)
		observe := zaplog.New(zap.New(core))
		allocs := testing.AllocsPerRun(100, func() {
			observe.Observe(context.Background(), middleware.Event{Kind: middleware.EventRecovered, Agent: "narrator", Attempt: 2})
		})
		if allocs != 0 || seen.Len() != 0 {
			t.Errorf("%v allocations, %d lines", allocs, seen.Len())
		}
	})
	t.Run("it is refused by the builder when there is no logger", func(t *testing.T) {
		agent := func(context.Context, string) (string, error) { return "", nil }
		_, err := middleware.WrapFunc(agent).Observe(zaplog.New(nil)).Build()
		if !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it writes a line about an error that cannot be read", func(t *testing.T) {
		encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
		for name, err := range map[string]error{"a typed nil": (*strategies.OpenError)(nil), "a panic": broken{}} {
			var out lines
			zaplog.New(zap.New(zapcore.NewCore(encoder, &out, zapcore.DebugLevel))).
				Observe(t.Context(), middleware.Event{Kind: middleware.EventFailed, Agent: "narrator", Err: err})
			if len(out) != 1 {
				t.Errorf("%s: %q", name, out)
			}
		}
	})
}

// broken is an error whose methods panic.
type broken struct{}

func (broken) Error() string { panic("no text") }

type lines []string

func (l *lines) Write(p []byte) (int, error) { *l = append(*l, string(p)); return len(p), nil }
func (l *lines) Sync() error                 { return nil }
