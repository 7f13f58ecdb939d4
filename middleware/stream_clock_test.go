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

const second1 = time.Second

// deafFor does not listen to its context.
func deafFor(d time.Duration) func() { return func() { time.Sleep(d) } }

func TestStreamClocks(t *testing.T) {
	const s = second1
	long := script{}
	for range 100 {
		long = append(long, "a", s)
	}
	hundred := strings.Repeat("a ", 100) + "end"
	for _, tc := range []struct {
		name  string
		line  script
		build func(*streamBuilder)
		want  string
		after time.Duration
		scope string // of the timeout; "": none
	}{
		{"a stream that speaks in time lives longer than Timeout", long, func(b *streamBuilder) { b.Timeout(2 * s) }, hundred, 100 * s, ""},
		{"one that never falls silent lives longer than Idle", long, func(b *streamBuilder) { b.Timeout(2 * s).Idle(2 * s) }, hundred, 100 * s, ""},
		{"no stream lives longer than Deadline", long, func(b *streamBuilder) { b.Deadline(5*s + s/2) }, "a a a a a a !cut_off", 5*s + s/2, "deadline"},
		{"Timeout ends with the first chunk that commits, not with the first", script{"role", 3 * s, "a"},
			func(b *streamBuilder) { b.Timeout(2 * s).Commit(func(c string) bool { return c == "a" }) }, "!timeout", 2 * s, "first chunk"},
		{"Timeout is for the whole in a buffer", long, func(b *streamBuilder) { b.Timeout(5*s + s/2).Buffer(200) }, "!timeout", 5*s + s/2, "first chunk"},
		{"Idle is no limit on the first chunk", script{10 * s, "a"}, func(b *streamBuilder) { b.Idle(s) }, "a end", 10 * s, ""},
		{"Idle watches between the first chunk and the commit", script{"role", stalled{}},
			func(b *streamBuilder) { b.Idle(4 * s).Commit(func(c string) bool { return c == "a" }) }, "!timeout", 5 * s, "idle"},
		{"Idle leaves the time until the commit to Timeout", script{"role", 6 * s, "a", 3 * s, "a"},
			func(b *streamBuilder) { b.Timeout(20 * s).Idle(4 * s).Commit(func(c string) bool { return c == "a" }) }, "role a a end", 9 * s, ""},
		{"and watches from then on", script{"role", 6*s + s/2, "a", stalled{}},
			func(b *streamBuilder) { b.Timeout(20 * s).Idle(4 * s).Commit(func(c string) bool { return c == "a" }) }, "role a !cut_off", 11 * s, "idle"},
		{"Idle watches behind the last chunk", script{"a", stalled{}}, func(b *streamBuilder) { b.Idle(4 * s) }, "a !cut_off", 5 * s, "idle"},
		{"a stall that says nothing when it is ended is one", script{"a", time.Hour}, func(b *streamBuilder) { b.Idle(4 * s) }, "a !cut_off", 5 * s, "idle"},
		{"a marker that came in time makes the stream whole, however it ends", script{"a", ".", time.Hour},
			func(b *streamBuilder) { b.Idle(4 * s).Complete(period) }, "a . end", 5 * s, ""},
		{"the clocks wait for a deaf agent: before the first chunk it fails late", script{deafFor(10 * s), "a"},
			func(b *streamBuilder) { b.Timeout(2 * s) }, "!timeout", 10 * s, "first chunk"},
		{"and after it, it is cut off at its next chunk", script{"a", deafFor(10 * s), "b"},
			func(b *streamBuilder) { b.Idle(2 * s) }, "a !cut_off", 10 * s, "idle"},
		{"each attempt has a new Timeout, after which nothing is heard", script{deafFor(3 * s), "a", deafFor(3 * s), "b"},
			func(b *streamBuilder) { b.Timeout(2 * s).Retry(promptly) }, "!timeout", 12 * s, "first chunk"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := middleware.WrapStream(voices(tc.line))
				tc.build(b)
				start := time.Now()
				seen, err := hear(streaming(t, b).Stream(t.Context(), "tell"))
				expect(t, "the reader sees", seen, tc.want)
				expect(t, "after", time.Since(start), tc.after)
				late, _ := errors.AsType[*strategies.TimeoutError](err)
				if tc.scope == "" {
					expectIs(t, err, nil)
					return
				}
				expect(t, "the clock", late.Limit, tc.scope)
				expect(t, "said once", strings.Count(err.Error(), tc.scope+" timeout"), 1)
			})
		})
	}
}

// The idle clock is never early, and at most a quarter late, wherever between
// two looks the silence begins; and whatever the reader does.
func TestStreamIdleIsExact(t *testing.T) {
	for _, idle := range []time.Duration{1003, 1005, 2001, 4 * second1, 7 * second1} {
		for eighth := range 8 {
			for _, slow := range []time.Duration{0, 10 * idle} {
				t.Run(fmt.Sprintf("idle %v, silent from %d/8 of a look, reader takes %v", idle, eighth, slow), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						// Off the ticks by an odd nanosecond: at one instant two timers have no order.
						begin := 3*idle + idle*time.Duration(eighth)/32 + 1
						g := streaming(t, middleware.WrapStream(voices(script{"a", begin - 3*idle, "b", stalled{}})).Idle(idle))
						start, silent := time.Now(), time.Time{}
						for chunk, err := range g.Stream(t.Context(), "tell") {
							if err != nil {
								break
							}
							time.Sleep(slow)
							if chunk == "b" {
								silent = time.Now()
							}
						}
						took := time.Since(silent)
						if took < idle || took > idle*5/4+4 { // a look is rounded up to a whole nanosecond
							t.Errorf("found out after %v, want between %v and %v", took, idle, idle*5/4)
						}
						expect(t, "the reader had its time", silent.Sub(start) >= 2*slow, true)
					})
				})
			}
		}
	}
}

// A chunk that comes in the very moment in which its time is up is in time or is
// not; it is never lost without a word.
func TestStreamFirstChunkAtTheLastMoment(t *testing.T) {
	for _, buffer := range []bool{false, true} {
		counts := map[string]int{}
		for range 300 {
			synctest.Test(t, func(t *testing.T) {
				b := middleware.WrapStream(voices(script{deafFor(second1), "a"})).Timeout(second1)
				if buffer {
					b.Buffer(3)
				}
				seen, _ := hear(streaming(t, b).Stream(t.Context(), "tell"))
				counts[seen]++
			})
		}
		for seen := range counts {
			if seen != "a end" && seen != "!timeout" {
				t.Errorf("buffer %v: the reader sees %q: %v", buffer, seen, counts)
			}
		}
	}
}

// A trial of a half-open breaker is bounded until the commit; after that by the
// stream's own clocks, if there are any.
func TestStreamTrial(t *testing.T) {
	const s = second1
	long := script{"a", 3 * s, "b", 3 * s, "c", 3 * s, "."}
	for _, tc := range []struct {
		name  string
		line  script
		build func(*streamBuilder)
		want  string
		other string // another reader, 6 s later
		state strategies.State
	}{
		{"lives while it speaks and an idle clock watches", long, func(b *streamBuilder) { b.Idle(4 * s) }, "a b c . end", "!rejected", strategies.StateClosed},
		{"lives while a total is set", long, func(b *streamBuilder) { b.Deadline(time.Minute) }, "a b c . end", "!rejected", strategies.StateClosed},
		{"is given up with no clock at all, and closes the breaker when it ends well", long, func(*streamBuilder) {}, "a b c . end", "!rejected", strategies.StateClosed},
		{"is bounded until it speaks", script{stalled{}}, func(b *streamBuilder) { b.Idle(4 * s) }, "!timeout", "!rejected", strategies.StateOpen},
		{"counts a tail failure", script{"a", 3 * s, errSick}, func(b *streamBuilder) { b.Idle(4 * s) }, "a !cut_off", "!rejected", strategies.StateOpen},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				breaker := &strategies.Breaker{Failures: 1, OpenFor: time.Minute, NoJitter: true, TrialTimeout: 5 * s}
				b := middleware.WrapStream(voices(script{errSick}, tc.line)).CircuitBreaker(breaker)
				tc.build(b)
				g := streaming(t, b)
				seen, _ := hear(g.Stream(t.Context(), "tell"))
				expect(t, "it opens", seen, "!transient")
				time.Sleep(2 * time.Minute)
				time.AfterFunc(6*s, func() {
					other, _ := hear(g.Stream(t.Context(), "tell"))
					expect(t, "another reader sees", other, tc.other)
				})
				seen, _ = hear(g.Stream(t.Context(), "tell"))
				expect(t, "the reader of the trial sees", seen, tc.want)
				time.Sleep(10 * s)
				expect(t, "then the breaker is", breaker.State(), tc.state)
			})
		})
	}
}

// The total is one for the call and all its continuations.
func TestStreamDeadlineWithContinue(t *testing.T) {
	const s = second1
	for _, tc := range []struct {
		name  string
		lines []script
		want  string
		after time.Duration
		calls int
	}{
		{"what fits is continued", []script{{"a", 3 * s, errSick}, {"b", 3 * s, "."}}, "a b . end", 6 * s, 2},
		{"a continuation ends with the total", []script{{"a", 6 * s, errSick}, {"b", 6 * s, "."}}, "a b !cut_off", 10 * s, 2},
		{"none begins after it", []script{{"a", stalled{}}, {"b"}}, "a !cut_off", 10 * s, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				agent := voices(tc.lines...)
				g := streaming(t, middleware.WrapStream(agent).Complete(period).Deadline(10*s).
					Continue(5, func(_ context.Context, req string, _ []string) (string, bool) { return req, true }))
				start := time.Now()
				seen, _ := hear(g.Stream(t.Context(), "tell"))
				expect(t, "the reader sees", seen, tc.want)
				expect(t, "after", time.Since(start), tc.after)
				expect(t, "calls", agent.called(), tc.calls)
			})
		})
	}
}

func TestStreamOfAnEndedContext(t *testing.T) {
	agent := voices(script{"a"})
	g := streaming(t, middleware.WrapStream(agent))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	seen, err := hear(g.Stream(ctx, "tell"))
	expectIs(t, err, context.Canceled)
	expect(t, "the reader sees", seen, "!canceled") // though the agent did not listen
	var none context.Context
	seen, err = hear(g.Stream(none, "tell"))
	expectIs(t, err, strategies.ErrConfig)
	expect(t, "the reader sees", seen, "!bare error")
}
