package middleware

import (
	"context"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Zap returns an [Observer] that writes events to a zap logger: what was
// recovered at info, what failed on the way at warn, what nobody could answer at
// error. A logger that has the level switched off costs no field. This is the
// only file that knows zap.
func Zap(logger *zap.Logger) Observer {
	if logger == nil {
		return nil
	}
	return ObserverFunc(func(_ context.Context, e Event) {
		entry := logger.Check(zapLevels[severityOf(e)], e.Kind.String())
		if entry == nil {
			return
		}
		fields := make([]zap.Field, 0, 8)
		e.attributes(func(key string, value any) { fields = append(fields, zap.Any(key, value)) })
		if e.Err != nil {
			fields = append(fields, zap.Error(e.Err))
		}
		entry.Write(fields...)
	})
}

// Logger writes events to a zap logger; see [Zap].
func (l Layers[B]) Logger(logger *zap.Logger) B {
	l.set.once("Logger", pointer("Logger", logger))
	if logger != nil {
		l.set.observers = append(l.set.observers, Zap(logger))
	}
	return l.self
}

var zapLevels = [...]zapcore.Level{info: zapcore.InfoLevel, warn: zapcore.WarnLevel, failure: zapcore.ErrorLevel}
