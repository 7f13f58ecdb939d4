package middleware_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// provenance puts an outcome in a line.
func provenance(o middleware.StreamOutcome) string {
	var from []string
	for _, s := range o.Sources {
		from = append(from, fmt.Sprintf("%s:%d", s.Agent, s.Chunks))
	}
	line := fmt.Sprintf("%s %q %s, %d attempts, %d chunks %v", o.Strategy, o.ServedBy, o.Level, o.Attempts, o.Chunks, from)
	if o.Continuations > 0 {
		line += fmt.Sprintf(", continued %d", o.Continuations)
	}
	if o.Left {
		line += ", left"
	}
	if !o.Ended {
		line += ", not ended"
	}
	return fmt.Sprintf("%s after %v", line, o.Elapsed)
}

func TestStreamOutcome(t *testing.T) {
	const s = time.Second
	follow := func(_ context.Context, req string, _ []string) (string, bool) { return req, true }
	retry := strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{s}}
	for _, tc := range []struct {
		name  string
		lines []script
		build func(t *testing.T, b *streamBuilder)
		leave string
		want  string
		err   error
	}{
		{"of an agent that speaks", []script{{"a", s, "b"}}, nil, "",
			`none "bard" full, 1 attempts, 2 chunks [bard:2] after 1s`, nil},
		{"of a retry", []script{{errSick}, {"a"}}, func(_ *testing.T, b *streamBuilder) { b.Retry(retry) }, "",
			`retry "bard" full, 2 attempts, 1 chunks [bard:1] after 1s`, nil},
		{"of a stand-in", []script{{errSick}}, func(_ *testing.T, b *streamBuilder) { b.Retry(retry).Fallback("sage", voices(script{"S"})) }, "",
			`fallback "sage" full, 3 attempts, 1 chunks [sage:1] after 1s`, nil},
		{"of a guarded stand-in, by the name it stands in under", []script{{errSick}}, func(t *testing.T, b *streamBuilder) {
			b.Fallback("sage", streaming(t, middleware.WrapStream(voices(script{"S"})).Named("its own name")))
		}, "", `fallback "sage" full, 2 attempts, 1 chunks [sage:1] after 0s`, nil},
		{"of a rung", []script{{errSick}}, func(_ *testing.T, b *streamBuilder) {
			b.Complete(period).Degrade(strategies.LevelMinimal, middleware.Chunks[string]("so", "sorry"))
		}, "", `degradation "minimal answer" minimal, 2 attempts, 2 chunks [minimal answer:2] after 0s`, nil},
		{"of a person", []script{{errSick}}, func(_ *testing.T, b *streamBuilder) { b.Intervene(asking(says(answer("by hand")))) }, "",
			`user_intervention "Ada" full, 2 attempts, 1 chunks [Ada:1] after 0s`, nil},
		{"of one that is gone on with by the agent", []script{{"a", "b", errSick}, {"c"}},
			func(_ *testing.T, b *streamBuilder) { b.Continue(2, follow) }, "",
			`retry "bard" full, 2 attempts, 3 chunks [bard:2 bard:1] , continued 1 after 0s`, nil},
		{"of one that is gone on with by a stand-in", []script{{"a", errSick}, {errSick}},
			func(_ *testing.T, b *streamBuilder) {
				b.Continue(2, follow).Retry(retry).Fallback("sage", voices(script{"S", "S"}))
			}, "",
			`retry "sage" full, 4 attempts, 3 chunks [bard:1 sage:2] , continued 1 after 1s`, nil},
		{"of one that is gone on with by a rung, which lowers its level", []script{{"a", errSick}, {errSick}},
			func(_ *testing.T, b *streamBuilder) {
				b.Continue(2, follow).Degrade(strategies.LevelMinimal, middleware.Chunks[string]("sorry"))
			}, "",
			`retry "minimal answer" minimal, 3 attempts, 2 chunks [bard:1 minimal answer:1] , continued 1 after 0s`, nil},
		{"of one that was cut off", []script{{"a", "b", errSick}}, nil, "",
			`none "" full, 1 attempts, 2 chunks [bard:2] after 0s`, errSick},
		{"of nobody", []script{{errSick}}, func(_ *testing.T, b *streamBuilder) { b.Fallback("sage", voices(script{errGone})) }, "",
			`degradation "" full, 2 attempts, 0 chunks [] after 0s`, errGone},
		{"of an interrupt", []script{{"a", passThrough}}, nil, "", `none "" full, 1 attempts, 1 chunks [bard:1] after 0s`, passThrough},
		{"of a reader who left", []script{{"a", s, "b", "c"}}, nil, "b", `none "bard" full, 1 attempts, 2 chunks [bard:2] , left after 1s`, nil},
		{"of a buffer that a reader left", []script{{"a", s, "b", "c"}}, func(_ *testing.T, b *streamBuilder) { b.Buffer(9) }, "a",
			`none "bard" full, 1 attempts, 1 chunks [bard:1] , left after 1s`, nil},
		{"of a stream that nobody read", []script{{"a"}}, nil, "at once", `none "" full, 0 attempts, 0 chunks [] , not ended after 0s`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := middleware.WrapStream(voices(tc.lines...)).Named("bard")
				if tc.build != nil {
					tc.build(t, b)
				}
				stream, outcome := streaming(t, b).Outcome(t.Context(), "tell")
				var err error
				switch tc.leave {
				case "":
					_, err = hear(stream)
				case "at once":
				default:
					leavesAt(stream, tc.leave)
				}
				o := outcome()
				expect(t, "outcome", provenance(o), strings.ReplaceAll(tc.want, "] ,", "],"))
				expect(t, "the error is the reader's", o.Err, err)
				expectIs(t, o.Err, tc.err)
			})
		})
	}
}

// While the stream runs, and after a reader has panicked, the outcome says that
// it is not the end.
func TestStreamOutcomeBeforeTheEnd(t *testing.T) {
	stream, outcome := streaming(t, middleware.WrapStream(voices(script{"a", "b"}))).Outcome(t.Context(), "tell")
	func() {
		defer func() { expect(t, "the reader's panic", recover(), any("mine")) }()
		for range stream {
			expect(t, "ended", outcome().Ended, false)
			panic("mine")
		}
	}()
	expect(t, "ended", outcome().Ended, false)
	seen, _ := hear(stream) // a second loop is a second call
	expect(t, "the reader sees", seen, "a b end")
	expect(t, "ended", outcome().Ended, true)
	expect(t, "chunks", outcome().Chunks, 2)
}

func TestStreamContinue(t *testing.T) {
	follow := func(_ context.Context, req string, sent []string) (string, bool) {
		return req + "+" + strings.Join(sent, ""), true
	}
	for _, tc := range []struct {
		name  string
		lines []script
		build func(*streamBuilder)
		want  string
		asked string
	}{
		{"it gives each request all that was sent, and the first one", []script{{"a", errSick}, {"b", errSick}, {"c"}},
			func(b *streamBuilder) { b.Continue(2, follow) }, "a b c end", "tell tell+a tell+ab"},
		{"it ends when it has used up its times", []script{{"a", errSick}, {"b", errSick}, {"c", errSick}, {"d"}},
			func(b *streamBuilder) { b.Continue(2, follow) }, "a b c !cut_off", "tell tell+a tell+ab"},
		{"it goes through the whole chain again", []script{{"a", errSick}, {errSick}, {"b"}},
			func(b *streamBuilder) { b.Continue(1, follow).Retry(promptly) }, "a b end", "tell tell+a tell+a"},
		{"a continuation that says nothing leaves the stream cut off", []script{{"a", errSick}, {errSick}},
			func(b *streamBuilder) { b.Continue(1, follow) }, "a !cut_off", "tell tell+a"},
		{"it does not continue what never began", []script{{errSick}}, func(b *streamBuilder) { b.Continue(2, follow) }, "!transient", "tell"},
		{"the function may say no", []script{{"a", errSick}}, func(b *streamBuilder) {
			b.Continue(2, func(context.Context, string, []string) (string, bool) { return "", false })
		}, "a !cut_off", "tell"},
		{"a panic of the function is a failure, and said", []script{{"a", errSick}}, func(b *streamBuilder) {
			b.Continue(2, func(context.Context, string, []string) (string, bool) { panic(errGone) })
		}, "a !cut_off", "tell"},
		{"it is paid for from the budget", []script{{"a", errSick}, {"b", errSick}, {"c"}}, func(b *streamBuilder) {
			b.Continue(5, follow).Retry(strategies.Retry{Backoff: strategies.Delays{0}, Budget: &strategies.Budget{Capacity: 9, RetryCost: 5}})
		}, "a b !cut_off", "tell tell+a"},
		{"it does not continue what it has not kept", []script{{"a", "b", "c", errSick}}, func(b *streamBuilder) { b.Continue(2, follow).Keep(2) },
			"a b c !cut_off", "tell"},
		{"it keeps enough to continue if told so", []script{{"a", "b", "c", errSick}, {"d"}}, func(b *streamBuilder) { b.Continue(2, follow).Keep(3) },
			"a b c d end", "tell tell+abc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			agent := voices(tc.lines...)
			b := middleware.WrapStream(agent)
			tc.build(b)
			seen, err := hear(streaming(t, b).Stream(t.Context(), "tell"))
			expect(t, "the reader sees", seen, tc.want)
			expect(t, "asked", strings.Join(agent.asked(), " "), tc.asked)
			if err != nil {
				expectIs(t, err, errSick)
			}
			if strings.HasPrefix(tc.name, "a panic") {
				expectIs(t, err, errGone)
			}
		})
	}
	t.Run("it keeps the last chunks of a long stream for Sent", func(t *testing.T) {
		g := streaming(t, middleware.WrapStream(voices(script{"a", "b", "c", "d", "e", errSick})).Keep(3))
		_, err := hear(g.Stream(t.Context(), "tell"))
		sent, ok := middleware.Sent[string](fmt.Errorf("wrapped: %w", err))
		expect(t, "said so", ok, true)
		expect(t, "sent", strings.Join(sent, ""), "cde")
		_, ok = middleware.Sent[int](err)
		expect(t, "of another type", ok, false)
		_, ok = middleware.Sent[string](errSick)
		expect(t, "of another error", ok, false)
	})
}

func TestStreamBuffer(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []script
		build func(*streamBuilder)
		want  string
		calls int
	}{
		{"it delivers an answer that just fits", []script{{"a", "b", "c"}}, nil, "a b c end", 1},
		{"a longer one fails with a clear error, without being asked for again", []script{{"a", "b", "c", "d"}},
			func(b *streamBuilder) { b.Retry(promptly) }, "!context_overflow", 1},
		{"a longer one may be given by someone briefer", []script{{"a", "b", "c", "d"}},
			func(b *streamBuilder) { b.Retry(promptly).Fallback("sage", voices(script{"S"})) }, "S end", 1},
		{"the whole is validated", []script{{"a", "bad"}, {"a", "b"}},
			func(b *streamBuilder) { b.Retry(promptly).ValidateWhole(noBadAtAll) }, "a b end", 2},
		{"of a stand-in too", []script{{"bad"}},
			func(b *streamBuilder) {
				b.ValidateWhole(noBadAtAll).Fallback("rude", voices(script{"bad"})).Fallback("sage", voices(script{"S"}))
			}, "S end", 1},
		{"a panic in the check fails the attempt", []script{{"a"}},
			func(b *streamBuilder) {
				b.ValidateWhole(func(context.Context, string, []string) error { panic(errSick) })
			}, "!panic", 1},
		{"a check of each chunk ends the attempt at once", []script{{"bad", func() { panic("it goes on") }}, {"a"}},
			func(b *streamBuilder) { b.Retry(promptly).Validate(noBad) }, "a end", 2},
		{"an empty answer is none", []script{{}}, nil, "!invalid_answer", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			agent := voices(tc.lines...)
			b := middleware.WrapStream(agent).Buffer(3)
			if tc.build != nil {
				tc.build(b)
			}
			seen, err := hear(streaming(t, b).Stream(t.Context(), "tell"))
			expect(t, "the reader sees", seen, tc.want)
			expect(t, "calls", agent.called(), tc.calls)
			if strings.Contains(tc.want, "overflow") && !strings.Contains(err.Error(), "longer than the buffer of 3 chunks: raise Buffer") {
				t.Errorf("error %v does not say what to do", err)
			}
		})
	}
}

func noBadAtAll(ctx context.Context, _ string, chunks []string) error {
	return noBad(ctx, "", chunks[len(chunks)-1])
}
