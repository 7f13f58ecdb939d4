package middleware_test

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// byChannel answers on a channel, from a goroutine that ends with its context.
func byChannel(lines script) func(context.Context, string) (<-chan string, func() error, error) {
	return func(ctx context.Context, _ string) (<-chan string, func() error, error) {
		chunks := make(chan string)
		var ended error
		go func() {
			defer close(chunks)
			recite(ctx, lines, func(chunk string, err error) bool {
				if ended = err; err != nil {
					return false
				}
				select {
				case chunks <- chunk:
					return true
				case <-ctx.Done():
					return false
				}
			})
		}()
		return chunks, func() error { return ended }, nil
	}
}

func byCallback(lines script) func(context.Context, string, func(string) error) error {
	return func(ctx context.Context, _ string, emit func(string) error) (err error) {
		recite(ctx, lines, func(chunk string, failed error) bool {
			if err = failed; err == nil {
				err = emit(chunk)
			}
			return err == nil
		})
		return err
	}
}

func TestStreamBridges(t *testing.T) {
	for _, bridge := range []struct {
		name string
		of   func(script) middleware.Streamer[string, string]
	}{
		{"a channel", func(l script) middleware.Streamer[string, string] { return middleware.FromChannel(byChannel(l)) }},
		{"a callback", func(l script) middleware.Streamer[string, string] { return middleware.FromCallback(byCallback(l)) }},
		{"an adapted stream", func(l script) middleware.Streamer[string, string] {
			same := func(_ context.Context, s string) (string, error) { return s, nil }
			return middleware.AdaptStream(middleware.Streamer[string, string](voices(l)), same, func(s string) (string, error) { return s, nil })
		}},
	} {
		for _, tc := range []struct {
			name  string
			line  script
			want  string
			leave string
		}{
			{"says all", script{"a", "b"}, "a b end", ""},
			{"fails at once", script{errSick}, "S end", ""},
			{"fails in the middle", script{"a", errSick}, "a !cut_off", ""},
			{"stalls before the first chunk", script{stalled{}}, "S end", ""},
			{"stalls in the middle", script{"a", stalled{}}, "a !cut_off", ""},
			{"is left", script{"a", "b", "c"}, "a b", "b"},
		} {
			t.Run(bridge.name+" that "+tc.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // which sees a goroutine that is left behind
					g := streaming(t, middleware.WrapStream(bridge.of(tc.line)).Timeout(time.Second).Idle(time.Second).Fallback("sage", voices(script{"S"})))
					if tc.leave != "" {
						expect(t, "the reader sees", leavesAt(g.Stream(t.Context(), "tell"), tc.leave), tc.want)
						return
					}
					seen, err := hear(g.Stream(t.Context(), "tell"))
					expect(t, "the reader sees", seen, tc.want)
					if err != nil {
						expect(t, "said once", strings.Count(err.Error(), "idle timeout") <= 1, true)
					}
				})
			})
		}
	}
}

func TestStreamBridgesOut(t *testing.T) {
	g := streaming(t, middleware.WrapStream(voices(script{"a", "b", errSick})))
	t.Run("Collect returns what came before the error too", func(t *testing.T) {
		all, err := middleware.Collect(g.Stream(t.Context(), "tell"))
		expectIs(t, err, errSick)
		expect(t, "chunks", all, []string{"a", "b"})
	})
	t.Run("a channel that cannot be opened, or is nil, is a failed attempt", func(t *testing.T) {
		for _, err := range []error{errSick, nil} {
			agent := middleware.FromChannel(func(context.Context, string) (<-chan string, func() error, error) { return nil, nil, err })
			seen, got := hear(streaming(t, middleware.WrapStream(agent)).Stream(t.Context(), "tell"))
			expect(t, "the reader sees", seen, map[bool]string{true: "!transient", false: "!invalid_answer"}[err != nil])
			expectIs(t, got, strategies.ErrRecovery)
		}
	})
	t.Run("a callback is told that its reader has left, however often it asks", func(t *testing.T) {
		var told []error
		agent := middleware.FromCallback(func(_ context.Context, _ string, emit func(string) error) error {
			for range 3 {
				told = append(told, emit("a"))
			}
			return errSick
		})
		expect(t, "the reader sees", leavesAt(streaming(t, middleware.WrapStream(agent)).Stream(t.Context(), "tell"), "a"), "a")
		expect(t, "told", told, []error{middleware.ErrReaderLeft, middleware.ErrReaderLeft, middleware.ErrReaderLeft})
	})
}

// What an iterator does that it must not, nobody notices.
func TestStreamMisbehavingAgents(t *testing.T) {
	type yields = func(string, error) bool
	var stale yields
	for _, tc := range []struct {
		name  string
		lines []script
		leave string
		want  string
		fails int
	}{
		{"goes on after its reader has left", []script{{"a", func(y yields) { y("more", nil); y("", errSick) }, "b"}}, "a", "a", 0},
		{"goes on after an error", []script{{"a", func(y yields) { y("", errSick); y("more", nil); y("", errGone) }}}, "", "a !cut_off", 1},
		{"goes on after an error before the commit", []script{{func(y yields) { y("", errSick); y("more", nil) }}, {"a"}}, "", "a end", 0},
		{"says nothing", []script{{}, {"a"}}, "", "a end", 0},
		{"panics after its reader has left", []script{{func(y yields) { y("a", nil); panic(errSick) }}}, "a", "a", 0},
		{"swallows its own panic", []script{{"a", func() { defer func() { _ = recover() }(); panic(errSick) }, "b"}}, "", "a b end", 0},
		{"speaks in its next attempt with the voice of the last", []script{
			{func(y yields) { stale = y }, errSick},
			{func(y yields) { stale("stale", nil); stale("", errSick) }, "a", func(y yields) { stale("stale", nil) }, "b"},
		}, "", "a b end", 0},
		{"speaks after its end", []script{{func(y yields) { stale = y }, "a"}}, "", "a end", 0},
	} {
		t.Run("an agent that "+tc.name, func(t *testing.T) {
			breaker := &strategies.Breaker{Failures: 5}
			g := streaming(t, middleware.WrapStream(voices(tc.lines...)).CircuitBreaker(breaker).Retry(promptly))
			if tc.leave != "" {
				expect(t, "the reader sees", leavesAt(g.Stream(t.Context(), "tell"), tc.leave), tc.want)
			} else {
				seen, _ := hear(g.Stream(t.Context(), "tell"))
				expect(t, "the reader sees", seen, tc.want)
			}
			if stale != nil {
				expect(t, "it is heard afterwards", stale("stale", nil), false)
			}
			expect(t, "failures booked", failuresOf(breaker), tc.fails)
		})
	}
	t.Run("a nil stream is a failed attempt", func(t *testing.T) {
		g := streaming(t, middleware.WrapStreamFunc(func(context.Context, string) iter.Seq2[string, error] { return nil }).Fallback("sage", voices(script{"S"})))
		seen, _ := hear(g.Stream(t.Context(), "tell"))
		expect(t, "the reader sees", seen, "S end")
	})
	t.Run("a panic before there is a stream is one too", func(t *testing.T) {
		g := streaming(t, middleware.WrapStreamFunc(func(context.Context, string) iter.Seq2[string, error] { panic(errSick) }).Fallback("sage", voices(script{"S"})))
		seen, _ := hear(g.Stream(t.Context(), "tell"))
		expect(t, "the reader sees", seen, "S end")
	})
	t.Run("a panic that nobody would hear of is an event", func(t *testing.T) {
		log := &diary{}
		g := streaming(t, middleware.WrapStream(voices(script{func(y yields) { y("a", nil); panic(errSick) }})).Observe(log))
		leavesAt(g.Stream(t.Context(), "tell"), "a")
		expectIs(t, log.only(t, middleware.EventAttemptFailed).Err, errSick)
	})
	t.Run("a reader's panic that the agent swallows is not booked as the agent's", func(t *testing.T) {
		for _, after := range []func(yields){func(yields) {}, func(y yields) { y("", errSick) }} {
			breaker, log := &strategies.Breaker{Failures: 5}, &diary{}
			g := streaming(t, middleware.WrapStream(voices(script{func(y yields) {
				defer func() { _ = recover(); after(y) }()
				y("a", nil)
			}})).CircuitBreaker(breaker).Retry(promptly).Observe(log))
			func() {
				defer func() { // the language sees to it that the reader is not fooled
					expect(t, "the reader's loop", strings.Contains(fmt.Sprint(recover()), "range function recovered a loop body panic"), true)
				}()
				for range g.Stream(t.Context(), "tell") {
					panic("mine")
				}
			}()
			expect(t, "events", log.read(), "")
			expect(t, "failures booked", failuresOf(breaker), 0)
		}
	})
}

func TestAdaptStream(t *testing.T) {
	in := func(_ context.Context, n int) (string, error) {
		if n < 0 {
			return "", errSick
		}
		return strconv.Itoa(n), nil
	}
	for _, tc := range []struct {
		name string
		req  int
		line script
		want []int
		err  error
	}{
		{"it turns the request and each chunk", 7, script{"1", "2"}, []int{1, 2}, nil},
		{"an error of the request fails it", -1, script{"1"}, nil, errSick},
		{"an error of a chunk ends it", 7, script{"1", "two", "3"}, []int{1}, strconv.ErrSyntax},
		{"its own error passes", 7, script{"1", errGone}, []int{1}, errGone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			agent := voices(tc.line)
			got, err := middleware.Collect(middleware.AdaptStream(middleware.Streamer[string, string](agent), in, strconv.Atoi).Stream(t.Context(), tc.req))
			expect(t, "chunks", got, tc.want)
			expectIs(t, err, tc.err)
		})
	}
}
