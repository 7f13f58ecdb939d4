package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// A guarded stream stands in through its own breaker, clocks and rules, without
// its retries, and speaks to the reader of the call.
func TestStreamGuardedStandIn(t *testing.T) {
	number := func(_ context.Context, s string) (string, error) { return s, nil }
	adapt := func(s middleware.Streamer[string, string]) middleware.Streamer[string, string] {
		return middleware.AdaptStream(s, number, func(c string) (string, error) { return c, nil })
	}
	via := func(_ context.Context, s string) (string, error) { return s, nil }
	for _, way := range []struct {
		name string
		add  func(b *streamBuilder, sage *middleware.GuardedStream[string, string])
	}{
		{"as it is", func(b *streamBuilder, sage *middleware.GuardedStream[string, string]) { b.Fallback("sage", sage) }},
		{"with a changed request", func(b *streamBuilder, sage *middleware.GuardedStream[string, string]) {
			b.FallbackVia("sage", sage, via)
		}},
		{"adapted", func(b *streamBuilder, sage *middleware.GuardedStream[string, string]) {
			b.Fallback("sage", adapt(sage))
		}},
		{"adapted twice", func(b *streamBuilder, sage *middleware.GuardedStream[string, string]) {
			b.Fallback("sage", adapt(adapt(sage)))
		}},
		{"as a rung", func(b *streamBuilder, sage *middleware.GuardedStream[string, string]) {
			b.Degrade(strategies.LevelMinimal, sage)
		}},
	} {
		for _, tc := range []struct {
			name  string
			lines script
			build func(*streamBuilder)
			want  string
		}{
			{"it speaks", script{"x", "y", "done"}, func(*streamBuilder) {}, "x y done end"},
			{"its own marker counts, not the other's", script{"x", "y"}, func(b *streamBuilder) { b.Complete(func(c string) bool { return c == "done" }) }, "x y !cut_off"},
			{"its own chunks are looked at by its own rule", script{"x", "ugly"}, func(b *streamBuilder) {
				b.Validate(func(_ context.Context, _, c string) error {
					if c == "ugly" {
						return errors.New("ugly")
					}
					return nil
				})
			}, "x !cut_off"},
			{"nothing of its failure is heard before it commits", script{"role", errSick}, func(b *streamBuilder) {
				b.Commit(func(c string) bool { return c != "role" })
			}, "!transient"},
			{"it is not asked again, although it could be", script{errSick}, func(b *streamBuilder) { b.Retry(promptly).Fallback("never", voices(script{"never"})) }, "!transient"},
		} {
			t.Run(way.name+": "+tc.name, func(t *testing.T) {
				agent := voices(tc.lines)
				own := middleware.WrapStream(agent).Named("the sage itself")
				tc.build(own)
				b := middleware.WrapStream(voices(script{"role", errSick})).Commit(func(c string) bool { return c != "role" && c != "z" })
				if !strings.Contains(way.name, "adapted") {
					b.Complete(period) // the agent's: a stand-in without rules of its own would be held to it
				}
				way.add(b, streaming(t, own))
				seen, _ := hear(streaming(t, b).Stream(t.Context(), "tell"))
				expect(t, "the reader sees", seen, tc.want)
				expect(t, "calls", agent.called(), 1)
			})
		}
	}
	t.Run("a buffer of the call's holds for it too", func(t *testing.T) {
		sage := streaming(t, middleware.WrapStream(voices(script{"x", "y", errGone})))
		b := middleware.WrapStream(voices(script{"a", errSick})).Buffer(5).Fallback("sage", sage).Fallback("last", voices(script{"L"}))
		seen, _ := hear(streaming(t, b).Stream(t.Context(), "tell"))
		expect(t, "the reader sees", seen, "L end")
	})
	t.Run("a buffer of its own holds where the call has none", func(t *testing.T) {
		sage := streaming(t, middleware.WrapStream(voices(script{"x", "y", errGone})).Buffer(5))
		b := middleware.WrapStream(voices(script{errSick})).Fallback("sage", sage).Fallback("last", voices(script{"L"}))
		seen, _ := hear(streaming(t, b).Stream(t.Context(), "tell"))
		expect(t, "the reader sees", seen, "L end")
	})
}

// An agent may listen to a guarded stream in its turn. What that one had said is
// nothing to our reader until we commit.
func TestStreamNested(t *testing.T) {
	for _, tc := range []struct {
		name  string
		inner func(*streamBuilder)
		outer func(*streamBuilder)
		want  string
		calls int
	}{
		{"cut off inside, it is cut off outside", nil, nil, "a b !cut_off", 1},
		{"cut off inside, it is recoverable while it is held back", nil, func(b *streamBuilder) { b.Commit(func(c string) bool { return c == "z" }) }, "z end", 2},
		{"cut off inside, it is recoverable in a buffer", nil, func(b *streamBuilder) { b.Buffer(9) }, "z end", 2},
		{"continued inside, it is whole outside", func(b *streamBuilder) {
			b.Continue(1, func(_ context.Context, r string, _ []string) (string, bool) { return r, true })
		}, nil, "a b z end", 2},
		{"continued outside", nil, func(b *streamBuilder) {
			b.Continue(1, func(_ context.Context, r string, _ []string) (string, bool) { return r, true })
		}, "a b z end", 2},
		{"both have clocks", func(b *streamBuilder) { b.Timeout(time.Second).Idle(time.Second) }, func(b *streamBuilder) { b.Timeout(time.Second).Idle(time.Second) }, "a b !cut_off", 1},
	} {
		for _, direct := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s (guarded around guarded: %v)", tc.name, direct), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					agent := voices(script{"a", 700 * time.Millisecond, "b", 700 * time.Millisecond, errSick}, script{"z"})
					in := middleware.WrapStream(agent).Named("inner")
					if tc.inner != nil {
						tc.inner(in)
					}
					inner := streaming(t, in)
					out := middleware.WrapStreamFunc(inner.Stream)
					if direct {
						out = middleware.WrapStream(inner)
					}
					breaker := &strategies.Breaker{Failures: 5}
					out.Retry(promptly).CircuitBreaker(breaker)
					if tc.outer != nil {
						tc.outer(out)
					}
					seen, err := hear(streaming(t, out).Stream(t.Context(), "tell"))
					expect(t, "the reader sees", seen, tc.want)
					expect(t, "calls", agent.called(), tc.calls)
					if err != nil {
						expect(t, "failures booked", failuresOf(breaker), 1)
						expectIs(t, err, errSick)
					}
				})
			})
		}
	}
	t.Run("what our reader has heard nothing of is not continued", func(t *testing.T) {
		inner := streaming(t, middleware.WrapStream(voices(script{"a", errSick})))
		g := streaming(t, middleware.WrapStream(inner).Commit(func(c string) bool { return c == "z" }).
			Continue(1, func(_ context.Context, _ string, sent []string) (string, bool) {
				t.Errorf("asked to go on after %q", sent)
				return "", true
			}))
		seen, _ := hear(g.Stream(t.Context(), "tell"))
		expect(t, "the reader sees", seen, "!transient")
	})
	t.Run("what the inner one had sent is not what our reader got", func(t *testing.T) {
		inner := streaming(t, middleware.WrapStream(voices(script{"a", errSick})))
		_, err := hear(streaming(t, middleware.WrapStream(inner).Buffer(9)).Stream(t.Context(), "tell"))
		_, ok := middleware.Sent[string](err)
		expect(t, "something was sent", ok, false)
		expect(t, "class", recoveryOf(t, err).Class, strategies.ClassTransient)
	})
}
