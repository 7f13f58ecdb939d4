package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// stages are the places in a chain from which a reader can be spoken to. Each
// agent says "a", "b", "c"; sick says whether the breaker's agent fails first.
var stages = []struct {
	name  string
	fails int    // booked by the breaker before the reader hears a word
	tells string // the events before that
	build func(t *testing.T, speaker middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder
}{
	{"the agent", 0, "", func(_ *testing.T, s middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder {
		return middleware.WrapStream(s).CircuitBreaker(b).Retry(promptly)
	}},
	{"the agent's second attempt", 1, "attempt_failed retry_scheduled", func(_ *testing.T, s middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder {
		return middleware.WrapStream(second(s)).CircuitBreaker(b).Retry(promptly)
	}},
	{"a stand-in", 1, "attempt_failed stand_in_called", func(_ *testing.T, s middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder {
		return middleware.WrapStream(voices(script{errSick})).CircuitBreaker(b).Fallback("sage", s)
	}},
	{"a guarded stand-in", 0, "attempt_failed stand_in_called", func(t *testing.T, s middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder {
		sage := streaming(t, middleware.WrapStream(s).Named("sage").CircuitBreaker(b).Retry(promptly))
		return middleware.WrapStream(voices(script{errSick})).Fallback("sage", sage)
	}},
	{"a rung", 1, "attempt_failed", func(_ *testing.T, s middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder {
		return middleware.WrapStream(voices(script{errSick})).CircuitBreaker(b).Degrade(strategies.LevelMinimal, s)
	}},
	{"an agent whose chunks are all looked at", 0, "", func(_ *testing.T, s middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder {
		return middleware.WrapStream(s).CircuitBreaker(b).Validate(noBad).Idle(time.Second).Timeout(time.Second)
	}},
	{"what was held back until the commit", 0, "", func(_ *testing.T, s middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder {
		return middleware.WrapStream(s).CircuitBreaker(b).Commit(func(c string) bool { return c == "c" })
	}},
	{"a buffer", 0, "", func(_ *testing.T, s middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder {
		return middleware.WrapStream(s).CircuitBreaker(b).Buffer(3).Timeout(time.Second)
	}},
	{"a continuation", 1, "attempt_failed stream_continued", func(_ *testing.T, s middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder {
		lines := append([]script{{"once", errSick}}, s.(*voice).scripts...)
		return middleware.WrapStream(voices(lines...)).CircuitBreaker(b).Continue(1, func(context.Context, string, []string) (string, bool) { return "go on", true })
	}},
	{"a guarded agent inside of an agent", 0, "", func(t *testing.T, s middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder {
		inner := streaming(t, middleware.WrapStream(s).Named("inner").CircuitBreaker(b))
		return middleware.WrapStreamFunc(inner.Stream).CircuitBreaker(b)
	}},
	{"a person", 1, "attempt_failed person_asked person_decided", func(_ *testing.T, _ middleware.Streamer[string, string], b *strategies.Breaker) *streamBuilder {
		return middleware.WrapStream(voices(script{errSick})).CircuitBreaker(b).Intervene(asking(says(answer([]string{"a", "b", "c"}))))
	}},
}

// second is an agent that fails, and then speaks.
func second(s middleware.Streamer[string, string]) middleware.Streamer[string, string] {
	return voices(append([]script{{errSick}}, s.(*voice).scripts...)...)
}

// A reader who leaves, one way or another, is neither a success nor a failure of
// anybody's, and everything is freed.
func TestStreamReaderLeaves(t *testing.T) {
	type own struct{ n int }
	for _, way := range []struct {
		name  string
		leave func()
	}{
		{"breaks", nil},
		{"panics", func() { panic(&own{42}) }},
		{"panics with an error", func() { panic(errSick) }},
		{"ends its goroutine", runtime.Goexit},
	} {
		for _, stage := range stages {
			for _, at := range []int{1, 2} {
				t.Run(fmt.Sprintf("a reader of %s who %s at chunk %d", stage.name, way.name, at), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						breaker := &strategies.Breaker{Failures: 5}
						bulkhead := &strategies.Bulkhead{MaxConcurrent: 1}
						log, tally := &diary{}, &strategies.Tally{}
						agent := voices(script{"a", "b", "c"})
						g := streaming(t, stage.build(t, agent, breaker).Named("bard").Observe(log).Bulkhead(bulkhead).Tally(tally))
						left, before := "", 0
						done := make(chan struct{})
						go func() {
							defer close(done)
							defer func() { left = fmt.Sprintf("%T %v", recover(), left) }()
							heard := 0
							for chunk, err := range g.Stream(t.Context(), "tell") {
								if err != nil {
									t.Errorf("the reader sees an error: %v", err)
								}
								if chunk == "once" {
									continue
								}
								if heard++; heard < at {
									continue
								}
								before = tally.Failures("bard")
								if way.leave == nil {
									break
								}
								left = "on the way"
								way.leave()
							}
							left = "broke"
						}()
						<-done
						want := map[string]string{"breaks": "<nil> broke", "panics": "*middleware_test.own on the way", "panics with an error": fmt.Sprintf("%T on the way", errSick), "ends its goroutine": "<nil> on the way"}
						expect(t, "it left by", left, want[way.name])
						expect(t, "slots taken", bulkhead.InFlight(), 0)
						expect(t, "events", log.read(), stage.tells)
						expect(t, "failed calls", tally.Failures("bard"), before)
						expect(t, "failures booked", failuresOf(breaker), stage.fails)
					})
				})
			}
		}
	}
}

// A half-open breaker gets its trial back from a reader who leaves.
func TestStreamReaderLeavesATrial(t *testing.T) {
	for _, way := range []struct {
		name  string
		leave func() // nil: breaks
	}{{"breaks", nil}, {"panics", func() { panic("mine") }}, {"ends its goroutine", runtime.Goexit}} {
		t.Run(way.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				breaker := &strategies.Breaker{Failures: 1, OpenFor: time.Second, NoJitter: true}
				agent := voices(script{errSick}, script{"a", "b"})
				g := streaming(t, middleware.WrapStream(agent).CircuitBreaker(breaker).Idle(time.Minute))
				seen, _ := hear(g.Stream(t.Context(), "tell"))
				expect(t, "first", seen, "!transient")
				time.Sleep(2 * time.Second)
				for range 3 { // a trial that is not given back would refuse the next one
					done := make(chan struct{})
					go func() {
						defer close(done)
						defer func() { _ = recover() }()
						for range g.Stream(t.Context(), "tell") {
							expect(t, "state", breaker.State(), strategies.StateHalfOpen)
							if way.leave == nil {
								break
							}
							way.leave()
						}
					}()
					<-done
					expect(t, "state", breaker.State(), strategies.StateHalfOpen)
				}
				expect(t, "calls", agent.called(), 4)
				seen, _ = hear(g.Stream(t.Context(), "tell"))
				expect(t, "then", seen, "a b end")
				expect(t, "state", breaker.State(), strategies.StateClosed)
			})
		})
	}
}

// What counts against the breaker is the failure behind the end of a stream.
func TestStreamTailByClass(t *testing.T) {
	for _, c := range strategies.Classes() {
		if c == strategies.ClassCutOff {
			continue
		}
		t.Run(c.String(), func(t *testing.T) {
			breaker := &strategies.Breaker{Failures: 5}
			g := streaming(t, middleware.WrapStream(voices(script{"a", ofClass(c)})).CircuitBreaker(breaker).Retry(promptly).Fallback("sage", voices(script{"S"})))
			seen, err := hear(g.Stream(t.Context(), "tell"))
			if c == strategies.ClassInterrupt {
				// A pause is no failure, before the commit and after it, and comes through as it is.
				expect(t, "the reader sees", seen, "a !bare error")
				expect(t, "the error is its own", err.Error(), ofClass(c).Error())
				return
			}
			expect(t, "the reader sees", seen, "a !cut_off")
			fails := 0
			if strategies.VerdictOf(c).Trips || c == strategies.ClassCanceled { // of somebody else's call: as good as unknown
				fails = 1
			}
			if breaker.State() == strategies.StateHeld {
				return // a hold is no failure
			}
			expect(t, "failures booked", failuresOf(breaker), fails)
		})
	}
}

func TestStreamLetsInterruptsPass(t *testing.T) {
	for _, tc := range []struct {
		name string
		line script
		want string
	}{
		{"before the commit", script{passThrough}, "!bare error"},
		{"with chunks held back", script{"role", passThrough}, "!bare error"},
		{"after the commit", script{"a", passThrough}, "a !bare error"},
		{"of an agent that was told to stop", script{"a", func() { time.Sleep(time.Minute) }, passThrough}, "a !bare error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, breaker, sage := &diary{}, &strategies.Breaker{Failures: 5}, voices(script{"S"})
				g := streaming(t, middleware.WrapStream(voices(tc.line)).Commit(func(c string) bool { return c != "role" }).
					Retry(promptly).CircuitBreaker(breaker).Fallback("sage", sage).Degrade(strategies.LevelMinimal, sage).
					Intervene(asking(says(retryNow))).Continue(3, func(context.Context, string, []string) (string, bool) { return "again", true }).
					Timeout(5*time.Second).Idle(time.Second).Observe(log))
				seen, err := hear(g.Stream(t.Context(), "tell"))
				expect(t, "the reader sees", seen, tc.want)
				expect(t, "untouched", err == passThrough, true) //nolint:errorlint // the very one
				expect(t, "events", log.read(), "")
				expect(t, "the stand-in is asked", sage.called(), 0)
				expect(t, "failures booked", failuresOf(breaker), 0)
			})
		})
	}
}

// A person answers a stream with a chunk, or several.
func TestStreamIntervene(t *testing.T) {
	for _, tc := range []struct {
		name   string
		decide strategies.Decision
		want   string
	}{
		{"one chunk", answer("by hand"), "by hand end"},
		{"several", answer([]string{"by", "hand"}), "by hand end"},
		{"no chunk at all is no answer", answer([]string{}), "!transient"},
		{"what is no chunk is none", answer(42), "!transient"},
		{"nil is none", answer(nil), "!transient"},
		{"another agent", use("sage"), "S end"},
		{"abort", strategies.Decision{}, "!transient"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var shown any
			how := asking(strategies.IntervenorFunc(func(_ context.Context, i strategies.Incident) (strategies.Decision, error) {
				shown = i.Request
				if i.Round > 1 {
					return strategies.Decision{}, errors.New("no idea")
				}
				return tc.decide, nil
			}))
			// Its rules are for the agent: what a person says is taken as it is.
			sage := voices(script{errGone}, script{"S"})
			g := streaming(t, middleware.WrapStream(voices(script{"role", errSick})).Commit(func(c string) bool { return c == "x" || c == "S" }).
				Validate(func(_ context.Context, _, c string) error { return noBad(t.Context(), "", c) }).Fallback("sage", sage).Intervene(how))
			stream, outcome := g.Outcome(t.Context(), "tell")
			seen, err := hear(stream)
			expect(t, "the reader sees", seen, tc.want)
			expect(t, "the person sees the request", shown, any("tell"))
			o := outcome()
			if err != nil {
				expect(t, "required", o.Strategy, strategies.StrategyUserIntervention)
				return
			}
			expect(t, "strategy", o.Strategy, strategies.StrategyUserIntervention)
			expect(t, "who spoke", o.ServedBy, map[bool]string{true: "Ada", false: "sage"}[tc.decide.Action == strategies.ActionAnswer])
		})
	}
}
