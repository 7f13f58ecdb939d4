package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/zaplog"
	"github.com/understudy-go/understudy/strategies"
)

const leaked = "sk-proj-4fGhJkL9mNbVcXz1qWeRtYuIoP"

// loggers writes what slog and zap make of a call into one buffer.
func loggers(out *bytes.Buffer, least slog.Level) []middleware.Observer {
	encoder := zap.NewProductionEncoderConfig()
	return []middleware.Observer{
		middleware.Slog(slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: least}))),
		zaplog.New(zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoder), zapcore.AddSync(out), zapcore.Level(least/4)), zap.AddCaller(), zap.AddStacktrace(zapcore.DebugLevel))),
	}
}

func TestNoSecretInALogLine(t *testing.T) {
	provider := fmt.Errorf("401 Incorrect API key provided: %s, user alice@example.com", leaked)
	for _, c := range []struct {
		name  string
		build func(*middleware.Builder[string, string]) *middleware.Builder[string, string]
	}{
		{"nobody can answer", func(b *middleware.Builder[string, string]) *middleware.Builder[string, string] { return b }},
		{"retry", func(b *middleware.Builder[string, string]) *middleware.Builder[string, string] {
			return b.Retry(strategies.Retry{MaxRetries: 1})
		}},
		{"a stand-in that leaks as well, and a rung", func(b *middleware.Builder[string, string]) *middleware.Builder[string, string] {
			return b.Fallback("sage", plays(provider)).Degrade(strategies.LevelMinimal, plays(provider))
		}},
		{"a breaker that opens", func(b *middleware.Builder[string, string]) *middleware.Builder[string, string] {
			return b.CircuitBreaker(&strategies.Breaker{Failures: 1})
		}},
		{"a person who quotes it", func(b *middleware.Builder[string, string]) *middleware.Builder[string, string] {
			return b.Intervene(middleware.Intervention{Ask: strategies.IntervenorFunc(func(context.Context, strategies.Incident) (strategies.Decision, error) {
				return strategies.Decision{Action: strategies.ActionAbort, Reason: "key " + leaked + " is in the text"}, nil
			})})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				b := middleware.Wrap(plays(provider)).Named("bard")
				for _, o := range loggers(&out, slog.LevelDebug) {
					b = b.Observe(o)
				}
				g, err := c.build(b).Build()
				if err != nil {
					t.Fatal(err)
				}
				_, err = g.Run(t.Context(), "hi")
				expect(t, "the caller's error is whole", errors.Is(err, provider) && strings.Contains(err.Error(), leaked), true)
				if out.Len() == 0 || !strings.Contains(out.String(), "[redacted]") {
					t.Errorf("nothing was redacted in %s", out.String())
				}
				for _, secret := range []string{leaked, "alice"} {
					if strings.Contains(out.String(), secret) {
						t.Errorf("%s comes out in\n%s", secret, out.String())
					}
				}
				for _, ours := range []string{"zaplog.go", "stacktrace", "errorVerbose"} {
					if strings.Contains(out.String(), ours) {
						t.Errorf("%s in\n%s", ours, out.String())
					}
				}
				for line := range strings.Lines(out.String()) {
					if !strings.Contains(line, `"call":"`) && !strings.Contains(line, "breaker_changed") {
						t.Errorf("whose call? %s", line)
					}
				}
			})
		})
	}
}

func TestRedacted(t *testing.T) {
	sick := errors.New("the key is " + leaked)
	log := func(t *testing.T, show func(string) string) string {
		var out bytes.Buffer
		o := middleware.Redacted(middleware.Slog(slog.New(slog.NewTextHandler(&out, nil))), show)
		asked(t, built(t, middleware.Wrap(plays(sick)).Fallback("sage", plays("hi")).Observe(o)), "hi")
		return out.String()
	}
	t.Run("the whole text on request", func(t *testing.T) {
		expect(t, "the key", strings.Contains(log(t, func(s string) string { return s }), leaked), true)
	})
	t.Run("none", func(t *testing.T) {
		expect(t, "an error", strings.Contains(log(t, func(string) string { return "" }), "error="), false)
	})
	t.Run("a function that panics shows nothing, and the call goes on", func(t *testing.T) {
		got := log(t, func(string) string { panic("no") })
		expect(t, "said", strings.Contains(got, "the function given to Redacted panicked") && !strings.Contains(got, leaked), true)
	})
	t.Run("without an observer or a function it is refused by Build", func(t *testing.T) {
		for _, o := range []middleware.Observer{middleware.Redacted(nil, strings.ToUpper), middleware.Redacted(middleware.Slog(slog.Default()), nil)} {
			_, err := middleware.Wrap(plays("hi")).Observe(o).Build()
			expect(t, "refused", errors.Is(err, strategies.ErrConfig), true)
		}
	})
}

func TestAnOpenBreakerAndAStandInAreOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for i := range 2 {
			var out bytes.Buffer
			breaker := &strategies.Breaker{}
			breaker.Isolate()
			g, err := middleware.Wrap(plays("hi")).Named("bard").Retry(strategies.Retry{}).CircuitBreaker(breaker).
				Fallback("sage", plays("hello")).Observe(loggers(&out, slog.LevelInfo)[i]).Build()
			if err != nil {
				t.Fatal(err)
			}
			answer, err := g.Run(t.Context(), "hi")
			expect(t, "the stand-in's answer", answer, "hello")
			expect(t, "error", err, nil)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) != 1 || !strings.Contains(strings.ToLower(lines[0]), `"level":"info"`) {
				t.Errorf("%d lines:\n%s", len(lines), out.String())
			}
			for _, want := range []string{"recovered", `"class":"rejected"`, `"served_by":"sage"`, `"call":"`} {
				if !strings.Contains(lines[0], want) {
					t.Errorf("no %s in %s", want, lines[0])
				}
			}
		}
	})
}
