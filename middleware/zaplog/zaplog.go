// Package zaplog writes what the layers do to a zap logger.
//
//	narrator, err := middleware.Wrap(agent).Observe(zaplog.New(logger)).Build()
//
// A call that goes well writes nothing. Otherwise each step is a line: its kind is
// the message, its fields are those of [middleware.Event.Attributes], and its level
// is that of [middleware.Event.Severity].
//
//	warn  attempt_failed   {"agent": "narrator", "attempt": 1, "class": "transient", "error": "connection reset"}
//	info  stand_in_called  {"agent": "narrator", "served_by": "archivist", "class": "transient"}
//	info  recovered        {"agent": "narrator", "served_by": "archivist", "attempt": 2, "class": "transient", "strategy": "fallback"}
//
// It is a package of its own because a binary pays for zap when it is linked:
// 0.2 MB, and 0.6 MB where the linker has to keep all methods, as it does beside
// text/template or the Google SDK. A program that logs with log/slog uses
// [middleware.Slog], which writes the same lines, and pays nothing.
package zaplog

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/understudy-go/understudy/middleware"
)

// New returns an observer that writes events to a zap logger. A level that the
// logger has switched off costs no field. Lines have no caller and no stack, which would
// be this package's. Texts of errors are redacted: [middleware.Redacted] is for another
// way. Of a nil logger it is nil, which a builder's Observe refuses with a
// [strategies.ConfigError].
func New(logger *zap.Logger) middleware.Observer {
	if logger == nil {
		return nil
	}
	// Where this package calls zap is of no interest to anybody, nor is the stack there.
	logger = logger.WithOptions(zap.WithCaller(false), zap.AddStacktrace(zap.LevelEnablerFunc(func(zapcore.Level) bool { return false })))
	return middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
		entry := logger.Check(levelOf(e.Severity()), e.Kind.String())
		if entry == nil {
			return
		}
		fields := make([]zap.Field, 0, 10)
		e.Attributes(func(key string, value any) { fields = append(fields, zap.Any(key, value)) })
		entry.Write(fields...)
	})
}

// levelOf is zap's name for a level: its steps are 1, and slog's 4.
func levelOf(l slog.Level) zapcore.Level { return zapcore.Level(l / 4) }
