package middleware

import (
	"context"
	"log/slog"
)

// Slog returns an [Observer] that writes events to a slog logger, at the same
// levels and with the same keys as package zaplog writes them to zap. Texts of errors
// are redacted: see [Redacted] for another way.
func Slog(logger *slog.Logger) Observer {
	if logger == nil {
		return nil
	}
	return ObserverFunc(func(ctx context.Context, e Event) {
		level := e.Severity()
		if !logger.Enabled(ctx, level) {
			return
		}
		attrs := make([]slog.Attr, 0, 8)
		e.Attributes(func(key string, value any) { attrs = append(attrs, slog.Any(key, value)) })
		logger.LogAttrs(ctx, level, e.Kind.String(), attrs...)
	})
}
