package zaplog_test

import (
	"context"
	"errors"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/zaplog"
)

// withoutID drops the call's id, which differs each time.
func withoutID(o middleware.Observer) middleware.Observer {
	return middleware.ObserverFunc(func(ctx context.Context, e middleware.Event) {
		e.Call = ""
		o.Observe(ctx, e)
	})
}

func ExampleNew() {
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{
		MessageKey: "msg", LevelKey: "level", EncodeLevel: zapcore.LowercaseLevelEncoder, ConsoleSeparator: " ",
	})
	logger := zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stdout), zapcore.InfoLevel))
	guarded, _ := middleware.WrapFunc(func(context.Context, string) (string, error) { return "", errors.New("connection reset") }).Named("narrator").
		Fallback("archivist", middleware.Func(func(context.Context, string) (string, error) { return "The gate is closed.", nil })).
		Observe(withoutID(zaplog.New(logger))).
		Build()
	_, _ = guarded.Run(context.Background(), "Is the gate open?")
	// Output:
	// warn attempt_failed {"agent": "narrator", "attempt": 1, "class": "transient", "error": "connection reset"}
	// info stand_in_called {"agent": "narrator", "served_by": "archivist", "class": "transient"}
	// info recovered {"agent": "narrator", "served_by": "archivist", "attempt": 2, "class": "transient", "strategy": "fallback"}
}
