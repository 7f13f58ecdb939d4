package middleware_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

type deafMute struct{}

func (*deafMute) Stream(context.Context, string) iter.Seq2[string, error] { panic("not to be called") }

func TestStreamBuildRefuses(t *testing.T) {
	var (
		agent   = voices(script{"a"})
		nothing *deafMute
		follow  = func(_ context.Context, req string, _ []string) (string, bool) { return req, true }
		wrap    = func() *streamBuilder { return middleware.WrapStream(agent) }
		guarded = streaming(t, middleware.WrapStream(agent))
	)
	for _, tc := range []struct {
		name    string
		build   *streamBuilder
		refuses string // settings, in order
	}{
		{"no agent", middleware.WrapStream[string, string](nil), "WrapStream"},
		{"a nil pointer in an interface", middleware.WrapStream[string, string](nothing), "WrapStream"},
		{"a nil function", middleware.WrapStreamFunc[string, string](nil), "WrapStream"},
		{"what the adapters make of nil", middleware.WrapStream(middleware.FromChannel[string, string](nil)), "WrapStream"},
		{"what the adapters make of a nil callback", middleware.WrapStream(middleware.FromCallback[string, string](nil)), "WrapStream"},
		{"an adapted nil", middleware.WrapStream(middleware.AdaptStream[string, string, string, string](nothing, nil, nil)), "WrapStream"},
		{"a hard timeout", wrap().HardTimeout(time.Second, 1), "HardTimeout"},
		{"a timeout while it is alive", wrap().TimeoutWhileAlive(time.Second, time.Minute), "TimeoutWhileAlive"},
		{"ValidateWhole without Buffer", wrap().ValidateWhole(func(context.Context, string, []string) error { return nil }), "ValidateWhole"},
		{"Commit with Buffer", wrap().Commit(period).Buffer(3), "Commit"},
		{"two policies for after the commit", wrap().Buffer(3).Continue(1, follow), "after the commit"},
		{"one policy twice", wrap().Continue(1, follow).Continue(1, follow), "after the commit"},
		{"Buffer of nothing", wrap().Buffer(0), "Buffer"},
		{"Buffer below nothing", wrap().Buffer(-1), "Buffer"},
		{"Continue no time", wrap().Continue(0, follow), "Continue"},
		{"Continue with nil", wrap().Continue(1, nil), "Continue"},
		{"Commit nil", wrap().Commit(nil), "Commit"},
		{"Complete nil", wrap().Complete(nil), "Complete"},
		{"Validate nil", wrap().Validate(nil), "Validate"},
		{"ValidateWhole nil", wrap().Buffer(3).ValidateWhole(nil), "ValidateWhole"},
		{"Commit twice", wrap().Commit(period).Commit(period), "Commit"},
		{"Complete twice", wrap().Complete(period).Complete(period), "Complete"},
		{"Validate twice", wrap().Validate(noBad).Validate(noBad), "Validate"},
		{"Keep nothing", wrap().Keep(0), "Keep"},
		{"Idle of no time", wrap().Idle(0), "Idle"},
		{"Idle of less", wrap().Idle(-time.Second), "Idle"},
		{"Idle above Deadline", wrap().Idle(2 * time.Second).Deadline(time.Second), "Idle"},
		{"Timeout above Deadline", wrap().Timeout(2 * time.Second).Deadline(time.Second), "Timeout"},
		{"the agent as its own stand-in", wrap().Fallback("sage", agent), `Fallback "sage"`},
		{"a guarded agent as its own stand-in", middleware.WrapStream(guarded).Fallback("sage", guarded), `Fallback "sage"`},
		{"a stand-in of the agent's name", wrap().Named("bard").Fallback("bard", voices(script{"S"})), `Fallback "bard"`},
		{"a nil stand-in", wrap().Fallback("sage", nil), `Fallback "sage"`},
		{"a typed nil stand-in", wrap().Fallback("sage", nothing), `Fallback "sage"`},
		{"a stand-in without a name", wrap().Fallback("", voices(script{"S"})), "Fallback"},
		{"a nil change of the request", wrap().FallbackVia("sage", voices(script{"S"}), nil), `FallbackVia "sage"`},
		{"a nil stand-in with a change", wrap().FallbackVia("sage", nil, func(_ context.Context, s string) (string, error) { return s, nil }), `Fallback "sage"`},
		{"a nil rung", wrap().Degrade(strategies.LevelMinimal, nothing), "Degrade minimal"},
		{"a full rung", wrap().Degrade(strategies.LevelFull, voices(script{"S"})), "Degrade"},
		{"a nil function around", wrap().Around(middleware.StageAgent, nil), "Around agent"},
		{"all of it at once", wrap().HardTimeout(0, 1).Commit(nil).Buffer(0), "HardTimeout,Commit,Buffer,HardTimeout"},
	} {
		t.Run("it refuses "+tc.name, func(t *testing.T) {
			g, err := tc.build.Build()
			if g != nil {
				t.Fatal("it was built")
			}
			expectIs(t, err, strategies.ErrConfig)
			var settings []string
			for _, e := range allConfigErrors(err) {
				settings = append(settings, e.Setting)
				expect(t, "it says what is wrong and what to do", e.Problem != "" && e.Fix != "", true)
			}
			expect(t, "settings", strings.Join(settings, ","), tc.refuses)
		})
	}
}

func allConfigErrors(err error) (all []*strategies.ConfigError) {
	if e, ok := err.(*strategies.ConfigError); ok { //nolint:errorlint // it walks the tree by itself
		return []*strategies.ConfigError{e}
	}
	if tree, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range tree.Unwrap() {
			all = append(all, allConfigErrors(e)...)
		}
	}
	return all
}

// What was built does not change any more, whatever becomes of its builder.
func TestStreamBuildsMoreThanOnce(t *testing.T) {
	b := middleware.WrapStream(voices(script{"a", "b"}))
	first := streaming(t, b)
	second := streaming(t, b.Named("bard").Complete(period))
	stream, outcome := first.Outcome(t.Context(), "tell")
	seen, _ := hear(stream)
	expect(t, "the first", seen, "a b end")
	expect(t, "the name of the first", outcome().ServedBy, "agent")
	seen, _ = hear(second.Stream(t.Context(), "tell"))
	expect(t, "the second", seen, "a b !cut_off")
	expect(t, "names", first.Name()+" "+second.Name(), "agent bard")
	expect(t, "health", second.Health().Failures, 1)
}

func TestStreamExplain(t *testing.T) {
	follow := func(_ context.Context, req string, _ []string) (string, bool) { return req, true }
	for _, tc := range []struct {
		name  string
		build *streamBuilder
		says  []string
	}{
		{"nothing set", middleware.WrapStream(voices(nil)),
			[]string{"worst case of one call: 1 call, no bound on time but the caller's", "note: a stream that is cut off ends there: nothing is said twice"}},
		{"two clocks", middleware.WrapStream(voices(nil)).Timeout(30 * time.Second).Idle(5 * time.Second),
			[]string{"30s until the first chunk, 5s between chunks", "1 call, no bound on time but the caller's"}},
		{"one clock", middleware.WrapStream(voices(nil)).Idle(5 * time.Second), []string{"no limit until the first chunk, 5s between chunks"}},
		{"the total", middleware.WrapStream(voices(nil)).Timeout(30 * time.Second).Deadline(10 * time.Minute), []string{"1 call, 10m0s\n"}},
		{"the total, and a rung that may go on", middleware.WrapStream(voices(nil)).Timeout(30*time.Second).Deadline(10*time.Minute).Degrade(strategies.LevelMinimal, voices(nil)),
			[]string{"1 call, 1 rung, no bound on time but the caller's"}},
		{"continuations, each of which asks everybody again", middleware.WrapStream(voices(nil)).Retry(strategies.Retry{}).Fallback("sage", voices(nil)).Continue(2, follow).Deadline(time.Minute),
			[]string{"a stream that is cut off is continued, up to 2 times", "worst case of one call: 15 calls, 1m0s"}},
		{"a buffer, in which Timeout is for the whole", middleware.WrapStream(voices(nil)).Buffer(100).Timeout(time.Minute).Fallback("sage", voices(nil)),
			[]string{"only whole answers are delivered, of at most 100 chunks", "2 calls, 2m0s"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := streaming(t, tc.build.Named("bard")).Explain().String()
			for _, want := range tc.says {
				if !strings.Contains(text, want) {
					t.Errorf("it does not say %q:\n%s", want, text)
				}
			}
		})
	}
}

// What sees no value stands at its stage here too.
func TestStreamAround(t *testing.T) {
	var log []string
	agent := voices(script{errSick}, script{"a", "b"})
	g := streaming(t, middleware.WrapStream(agent).Retry(promptly).Around(middleware.StageBreaker, func(ctx context.Context, next func(context.Context) error) error {
		err := next(ctx)
		log = append(log, map[bool]string{true: "ended", false: "failed"}[err == nil])
		return err
	}))
	seen, _ := hear(g.Stream(t.Context(), "tell"))
	expect(t, "the reader sees", seen, "a b end")
	expect(t, "it sees", strings.Join(log, " "), "failed ended")
	if _, err := middleware.WrapStream(agent).Around(99, nil).Build(); !errors.Is(err, strategies.ErrConfig) {
		t.Errorf("a stage that is none: %v", err)
	}
}
