package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/zaplog"
	"github.com/understudy-go/understudy/strategies"
)

// stories are all ways a call can go, with the events each of them causes.
var stories = []struct {
	name  string
	build func() *middleware.Builder[string, string]
	kinds string
	logs  string // their levels: i, w, e
}{
	{"a healthy call", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays("hi")).Retry(promptly).CircuitBreaker(&strategies.Breaker{}).Fallback("sage", plays("no"))
	}, "", ""},
	{"recovered by a retry", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(errSick, "hi")).Retry(strategies.Retry{})
	}, "attempt_failed retry_scheduled recovered", "wii"},
	{"recovered by a stand-in", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(ofClass(strategies.ClassQuotaExhausted))).Retry(promptly).Fallback("one", plays(errGone)).Fallback("two", plays("hi"))
	}, "attempt_failed retries_ended stand_in_called stand_in_failed stand_in_called recovered", "wwiwii"},
	{"recovered by a reduced answer", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(ofClass(strategies.ClassUnauthorized))).Degrade(strategies.LevelReduced, plays(errGone)).Degrade(strategies.LevelMinimal, plays("sorry"))
	}, "attempt_failed rung_failed recovered", "eww"},
	{"on a ladder", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(errSick)).Ladder(&strategies.Ladder{}).Degrade(strategies.LevelMinimal, plays("sorry"))
	}, "attempt_failed recovered level_changed", "www"},
	{"recovered by a person", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(errSick)).Intervene(asking(says(use("ghost"), answer("by hand"))))
	}, "attempt_failed person_asked person_decided stand_in_failed person_asked person_decided recovered", "wwiwwii"},
	{"by way of everything", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(errSick)).Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{time.Second}}).
			Fallback("sage", plays(errGone)).Degrade(strategies.LevelReduced, plays(errGone)).Intervene(asking(says(answer("by hand"))))
	}, "attempt_failed retry_scheduled attempt_failed retries_ended stand_in_called stand_in_failed rung_failed person_asked person_decided recovered", "wiwwiwwwii"},
	{"answered by nobody", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(errSick)).Fallback("sage", plays(errGone))
	}, "attempt_failed stand_in_called stand_in_failed failed", "wiwe"},
	{"a breaker that opens", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(errSick)).CircuitBreaker(&strategies.Breaker{Failures: 1})
	}, "breaker_changed attempt_failed failed", "wwe"},
	{"an interrupt", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(passThrough)).Retry(promptly).Fallback("sage", plays("hi")).Degrade(strategies.LevelReduced, plays("sorry")).Intervene(asking(says(answer("by hand"))))
	}, "", ""},
	{"an answer that came late", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(deaf(2*time.Second, "hi"))).Timeout(time.Second)
	}, "answered_late", "i"},
	{"work left behind", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(deaf(2*time.Second, "hi"))).HardTimeout(time.Second, 1).Fallback("sage", plays("hi"))
	}, "work_abandoned attempt_failed stand_in_called recovered", "wwii"},
	{"a caller who left", func() *middleware.Builder[string, string] {
		return middleware.Wrap(plays(stepFunc(hangs))).Retry(promptly).Fallback("sage", plays("hi"))
	}, "attempt_failed failed", "ii"},
}

// tell runs a story for a caller who waits ten seconds.
func tell(t *testing.T, b *middleware.Builder[string, string]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, _ = built(t, b.Named("bard")).Run(ctx, "a secret request")
	time.Sleep(time.Minute) // what was left behind comes back
}

func TestObserve(t *testing.T) {
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told, too := &diary{}, &diary{}
				tell(t, story.build().Observe(told).Observe(too))
				expect(t, "events", told.read(), story.kinds)
				expect(t, "events of a second observer", too.read(), story.kinds)
				for _, e := range told.events {
					expect(t, e.Kind.String()+": agent", e.Agent, "bard")
					expect(t, e.Kind.String()+": is timed", e.Time.IsZero(), false)
					expect(t, e.Kind.String()+": somebody is named", e.ServedBy != "", true)
				}
			})
		})
	}
	t.Run("a retry says when, and the end of retries why", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			told := &diary{}
			tell(t, middleware.Wrap(plays(errSick)).Retry(strategies.Retry{MaxRetries: 1}).Observe(told))
			e := told.only(t, middleware.EventRetryScheduled)
			expect(t, "delay", e.Delay, time.Second)
			expect(t, "number of the attempt to come", e.Attempt, 2)
			expect(t, "reason", told.only(t, middleware.EventRetriesEnded).Stop, strategies.StopExhausted)
		})
	})
	t.Run("a breaker says from what to what, for how long and why", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			told := &diary{}
			tell(t, middleware.Wrap(plays(errSick)).CircuitBreaker(&strategies.Breaker{Failures: 1, NoJitter: true}).Observe(told))
			e := told.only(t, middleware.EventBreakerChanged)
			expect(t, "detail", e.Detail, "closed → open")
			expect(t, "delay", e.Delay, 30*time.Second)
			expectIs(t, e.Err, errSick)
		})
	})
	t.Run("a decision says whose it was", func(t *testing.T) {
		told := &diary{}
		asked(t, built(t, middleware.Wrap(plays(errSick)).Observe(told).Fallback("sage", plays(errGone, "hi")).
			Intervene(asking(says(strategies.Decision{Action: strategies.ActionUseAgent, Agent: "sage", By: "Ada"})))), "hi")
		expect(t, "detail", told.only(t, middleware.EventPersonDecided).Detail, told.only(t, middleware.EventPersonAsked).Incident+": use agent sage (by Ada)")
	})
	t.Run("a kind that is none has a name all the same", func(t *testing.T) {
		expect(t, "first", middleware.EventKind(0).String(), "unknown")
		expect(t, "last", middleware.EventKind(200).String(), "unknown")
	})
}

func TestZapAndSlogSayTheSame(t *testing.T) {
	letters := map[string]string{"info": "i", "warn": "w", "error": "e", "INFO": "i", "WARN": "w", "ERROR": "e"}
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				core, seen := observer.New(zapcore.DebugLevel)
				var out bytes.Buffer
				tell(t, story.build().Observe(zaplog.New(zap.New(core))).Observe(middleware.Slog(slog.New(slog.NewJSONHandler(&out, nil)))))

				var zapped, slogged []map[string]any
				levels := ""
				for _, entry := range seen.All() {
					line := normal(t, entry.ContextMap())
					line["level"], line["msg"] = letters[entry.Level.String()], entry.Message
					zapped = append(zapped, line)
					levels += letters[entry.Level.String()]
				}
				for lines := json.NewDecoder(&out); lines.More(); {
					var line map[string]any
					if err := lines.Decode(&line); err != nil {
						t.Fatal(err)
					}
					delete(line, "time")
					line["level"] = letters[line["level"].(string)]
					slogged = append(slogged, line)
				}
				expect(t, "levels", levels, story.logs)
				expect(t, "lines", slogged, zapped)
			})
		})
	}
}

// normal makes of values what they are in JSON.
func normal(t *testing.T, fields map[string]any) (m map[string]any) {
	t.Helper()
	delete(fields, "errorVerbose")
	text, err := json.Marshal(fields)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		plain := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "call" {
				return slog.Attr{}
			}
			return a
		}}))
		tell(t, middleware.Wrap(plays(errSick)).Retry(strategies.Retry{MaxRetries: 1}).Fallback("sage", plays(errGone)).
			Degrade(strategies.LevelMinimal, plays("sorry")).Observe(middleware.Slog(plain)))
		expect(t, "lines", out.String(), `level=WARN msg=attempt_failed agent=bard attempt=1 class=transient error="the agent is sick"
level=INFO msg=retry_scheduled agent=bard attempt=2 class=transient delay=1s error="the agent is sick"
level=WARN msg=attempt_failed agent=bard attempt=2 class=transient error="the agent is sick"
level=WARN msg=retries_ended agent=bard attempt=2 class=transient stop=retries_exhausted error="the agent is sick"
level=INFO msg=stand_in_called agent=bard served_by=sage class=transient
level=WARN msg=stand_in_failed agent=bard served_by=sage class=transient error="the stand-in is gone"
level=WARN msg=recovered agent=bard served_by="minimal answer" attempt=4 class=transient strategy=degradation degradation_level=minimal
`)
	})
	t.Run("a level that is switched off costs no line", func(t *testing.T) {
		core, seen := observer.New(zapcore.ErrorLevel)
		var out bytes.Buffer
		quiet := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}))
		asked(t, built(t, middleware.Wrap(plays(errSick)).Fallback("sage", plays("hi")).Observe(zaplog.New(zap.New(core))).Observe(middleware.Slog(quiet))), "hi")
		expect(t, "zap", seen.Len(), 0)
		expect(t, "slog", out.Len(), 0)
	})
	t.Run("no logger is no observer", func(t *testing.T) {
		expect(t, "zap", zaplog.New(nil) == nil, true)
		expect(t, "slog", middleware.Slog(nil) == nil, true)
	})
	t.Run("a breaker that closes is good news", func(t *testing.T) {
		core, seen := observer.New(zapcore.DebugLevel)
		b := &strategies.Breaker{}
		built(t, middleware.Wrap(plays("hi")).CircuitBreaker(b).Observe(zaplog.New(zap.New(core))))
		b.Isolate()
		b.Reset()
		expect(t, "lines", seen.Len(), 2)
		expect(t, "level", seen.All()[1].Level, zapcore.InfoLevel)
	})
}

// quiet is a logger that formats what it gets and writes nothing.
func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
