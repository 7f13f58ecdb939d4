package middleware_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// script is what an agent does in one call: it says each string, fails with an
// error, waits for a time.Duration or until it is told to stop, runs a function.
type script = []any

// stalled is silent until its context ends, and says what ended it.
type stalled struct{}

// voice is an agent that streams by script: each call takes the next one, and
// the last one repeats.
type voice struct {
	mu       sync.Mutex
	scripts  []script
	requests []string
}

func voices(scripts ...script) *voice { return &voice{scripts: scripts} }

func (v *voice) Stream(ctx context.Context, req string) iter.Seq2[string, error] {
	v.mu.Lock()
	lines := v.scripts[min(len(v.requests), len(v.scripts)-1)]
	v.requests = append(v.requests, req)
	v.mu.Unlock()
	return func(yield func(string, error) bool) { recite(ctx, lines, yield) }
}

func recite(ctx context.Context, lines script, yield func(string, error) bool) {
	for _, line := range lines {
		switch l := line.(type) {
		case string:
			if !yield(l, nil) {
				return
			}
		case error:
			yield("not to be heard", l) // breaks the contract, as agents do
			return
		case time.Duration:
			select {
			case <-time.After(l):
			case <-ctx.Done():
				return // silently, as many clients do
			}
		case stalled:
			<-ctx.Done()
			yield("", ctx.Err())
			return
		case func():
			l()
		case func(yield func(string, error) bool):
			l(yield)
		default:
			panic(line)
		}
	}
}

func (v *voice) called() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.requests)
}

func (v *voice) asked() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.requests)
}

type streamBuilder = middleware.StreamBuilder[string, string]

func streaming(t testing.TB, b *streamBuilder) *middleware.GuardedStream[string, string] {
	t.Helper()
	g, err := b.Build()
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return g
}

// hear reads a stream to its end. What it returns is all that a reader sees, in
// order: the chunks, then "end" or the class of the error. Anything after an
// error, or an error with a chunk, shows.
func hear(stream iter.Seq2[string, error], before ...func(chunk string)) (seen string, last error) {
	var all []string
	for chunk, err := range stream {
		for _, f := range before {
			f(chunk)
		}
		if err == nil {
			all = append(all, chunk)
			continue
		}
		class := "bare error"
		if re, ok := err.(*strategies.RecoveryError); ok { //nolint:errorlint // the chain returns it bare
			class = re.Class.String()
		}
		all, last = append(all, chunk+"!"+class), err
	}
	if last == nil {
		all = append(all, "end")
	}
	return strings.Join(all, " "), last
}

func period(chunk string) bool { return chunk == "." }

// failuresOf says how many failures in a row a closed breaker has seen: as many
// as it does not need any more to open.
func failuresOf(b *strategies.Breaker) int {
	left := b.Failures
	for ; b.State() == strategies.StateClosed; left-- {
		if permit, err := b.Allow(); err == nil {
			permit.Failure(errSick)
		}
	}
	return left
}

// scene is what an agent and its reader do, and what must come of it. Retry makes
// one more attempt after 1 s, the first chunk must come in 10 s, a silence lasts
// 4 s and is found out after 5 s, for the clock looks once a second.
type scene struct {
	name  string
	lines []script       // of the agent; call by call
	sage  script         // of its stand-in; nil: "S ."
	read  func(c string) // what the reader does with each chunk

	leave  string        // the chunk at which the reader leaves
	cancel time.Duration // when the caller hangs up; 0: never
	open   bool          // the breaker is

	terminate, follow, buffer result
}

type result struct {
	seen  string
	after time.Duration
	calls int // of the agent
	sage  int
	fails int // booked by the breaker, in a row
	err   error
}

func TestStreamTable(t *testing.T) {
	const s = time.Second
	again := script{"c", "."}
	whole := result{seen: "c . end", after: s, calls: 2}
	stand := result{seen: "S . end", calls: 1, sage: 1, fails: 1}
	canceled := context.Canceled
	for _, tc := range []scene{
		{name: "fails before the first chunk: nobody notices", lines: []script{{errSick}, again},
			terminate: whole, follow: whole, buffer: whole},
		{name: "fails at the first chunk", lines: []script{{"a", errSick}, again},
			terminate: result{seen: "a !cut_off", calls: 1, fails: 1, err: errSick},
			follow:    result{seen: "a c . end", calls: 2}, buffer: whole},
		{name: "fails in the middle", lines: []script{{"a", s, "b", errSick}, again},
			terminate: result{seen: "a b !cut_off", after: s, calls: 1, fails: 1, err: errSick},
			follow:    result{seen: "a b c . end", after: s, calls: 2},
			buffer:    result{seen: "c . end", after: 2 * s, calls: 2}},
		{name: "whose line breaks behind its terminal marker: it is whole", lines: []script{{"a", "b", ".", errSick}, again},
			terminate: result{seen: "a b . end", calls: 1},
			follow:    result{seen: "a b . end", calls: 1},
			buffer:    result{seen: "a b . end", calls: 1}},
		{name: "is no answer by its own word, at its end", lines: []script{{"a", "b", ".", &strategies.AnswerError{Reason: "max_tokens"}}, again},
			terminate: result{seen: "a b . !cut_off", calls: 1, err: strategies.ErrRecovery},
			follow:    result{seen: "a b . !cut_off", calls: 1, err: strategies.ErrRecovery}, // there is nothing to go on with
			buffer:    whole},
		{name: "stalls before the first chunk", lines: []script{{stalled{}}, again},
			terminate: result{seen: "c . end", after: 11 * s, calls: 2},
			follow:    result{seen: "c . end", after: 11 * s, calls: 2},
			buffer:    result{seen: "c . end", after: 11 * s, calls: 2}},
		{name: "stalls in the middle", lines: []script{{"a", "b", stalled{}}, again},
			terminate: result{seen: "a b !cut_off", after: 5 * s, calls: 1, fails: 1, err: context.DeadlineExceeded},
			follow:    result{seen: "a b c . end", after: 5 * s, calls: 2},
			buffer:    result{seen: "c . end", after: 6 * s, calls: 2}},
		{name: "ends early and cleanly, without its marker", lines: []script{{"a", "b"}, again},
			terminate: result{seen: "a b !cut_off", calls: 1, err: strategies.ErrRecovery},
			follow:    result{seen: "a b c . end", calls: 2}, buffer: whole},
		{name: "panics before the first chunk: a panic is not asked again", lines: []script{{func() { panic("ouch") }}, again},
			terminate: stand, follow: stand, buffer: stand},
		{name: "panics in the middle", lines: []script{{"a", func() { panic(errSick) }}, again},
			terminate: result{seen: "a !cut_off", calls: 1, fails: 1, err: errSick},
			follow:    result{seen: "a c . end", calls: 2}, buffer: stand},
		{name: "has a slow reader: nobody's fault", lines: []script{{"a", "b", "."}}, read: func(string) { time.Sleep(30 * s) },
			terminate: result{seen: "a b . end", after: 90 * s, calls: 1},
			follow:    result{seen: "a b . end", after: 90 * s, calls: 1},
			buffer:    result{seen: "a b . end", after: 90 * s, calls: 1}},
		{name: "is left at the first chunk", lines: []script{{"a", "b", "."}}, leave: "a",
			terminate: result{seen: "a", calls: 1}, follow: result{seen: "a", calls: 1}, buffer: result{seen: "a", calls: 1}},
		{name: "is left in the middle", lines: []script{{"a", s, "b", "."}}, leave: "b",
			terminate: result{seen: "a b", after: s, calls: 1}, follow: result{seen: "a b", after: s, calls: 1},
			buffer: result{seen: "a b", after: s, calls: 1}},
		{name: "is never listened to", lines: []script{again}, leave: "at once"},
		{name: "has a caller who hangs up before the first chunk", lines: []script{{stalled{}}, again}, cancel: 3 * s,
			terminate: result{seen: "!canceled", after: 3 * s, calls: 1, err: canceled},
			follow:    result{seen: "!canceled", after: 3 * s, calls: 1, err: canceled},
			buffer:    result{seen: "!canceled", after: 3 * s, calls: 1, err: canceled}},
		{name: "has a caller who hangs up in the middle", lines: []script{{"a", stalled{}}, again}, cancel: 3 * s,
			terminate: result{seen: "a !cut_off", after: 3 * s, calls: 1, err: canceled},
			follow:    result{seen: "a !cut_off", after: 3 * s, calls: 1, err: canceled},
			buffer:    result{seen: "!canceled", after: 3 * s, calls: 1, err: canceled}},
		{name: "has an open breaker", lines: []script{again}, open: true,
			terminate: result{seen: "S . end", sage: 1}, follow: result{seen: "S . end", sage: 1}, buffer: result{seen: "S . end", sage: 1}},
		{name: "has nobody who could answer", lines: []script{{errSick}}, sage: script{errGone},
			terminate: result{seen: "!transient", after: s, calls: 2, sage: 1, fails: 2, err: errGone},
			follow:    result{seen: "!transient", after: s, calls: 2, sage: 1, fails: 2, err: errGone},
			buffer:    result{seen: "!transient", after: s, calls: 2, sage: 1, fails: 2, err: errGone}},
		{name: "has a stand-in that is cut off", lines: []script{{errSick}}, sage: script{"S", errGone},
			terminate: result{seen: "S !cut_off", after: s, calls: 2, sage: 1, fails: 2, err: errGone},
			// Its own retries are spent by then, so that each continuation asks it once.
			follow: result{seen: "S S S !cut_off", after: s, calls: 4, sage: 3, fails: 4, err: errGone},
			buffer: result{seen: "!transient", after: s, calls: 2, sage: 1, fails: 2, err: errGone}},
	} {
		t.Run("an agent that "+tc.name, func(t *testing.T) {
			t.Run("terminate", func(t *testing.T) { tc.plays(t, func(*streamBuilder) {}, tc.terminate) })
			t.Run("continue", func(t *testing.T) {
				tc.plays(t, func(b *streamBuilder) {
					b.Continue(2, func(_ context.Context, req string, sent []string) (string, bool) {
						return req + ": " + strings.Join(sent, ""), sent[len(sent)-1] != "."
					})
				}, tc.follow)
			})
			t.Run("buffer", func(t *testing.T) { tc.plays(t, func(b *streamBuilder) { b.Buffer(8) }, tc.buffer) })
		})
	}
}

func (tc scene) plays(t *testing.T, policy func(*streamBuilder), want result) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		agent, sage := voices(tc.lines...), voices(script{"S", "."})
		if tc.sage != nil {
			sage = voices(tc.sage)
		}
		breaker := &strategies.Breaker{Failures: 10}
		bulkhead := &strategies.Bulkhead{MaxConcurrent: 1}
		if tc.open {
			breaker.Isolate()
		}
		b := middleware.WrapStream(agent).Named("bard").Complete(period).Bulkhead(bulkhead).CircuitBreaker(breaker).
			Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{time.Second}}).
			Timeout(10*time.Second).Idle(4*time.Second).Fallback("sage", sage)
		policy(b)
		g := streaming(t, b)
		start := time.Now()
		if tc.cancel > 0 {
			time.AfterFunc(tc.cancel, cancel)
		}
		stream := g.Stream(ctx, "tell")
		var seen string
		var err error
		switch {
		case tc.leave == "at once":
		case tc.leave != "":
			seen = leavesAt(stream, tc.leave)
		case tc.read != nil:
			seen, err = hear(stream, tc.read)
		default:
			seen, err = hear(stream)
		}
		expect(t, "the reader sees", seen, want.seen)
		expect(t, "after", time.Since(start), want.after)
		expect(t, "calls of the agent", agent.called(), want.calls)
		expect(t, "calls of the stand-in", sage.called(), want.sage)
		expect(t, "slots taken", bulkhead.InFlight(), 0)
		expect(t, "breaker", breaker.State() == strategies.StateIsolated, tc.open)
		if !tc.open {
			expect(t, "failures booked", failuresOf(breaker), want.fails)
		}
		expect(t, "failed", err != nil, want.err != nil)
		if err == nil {
			return
		}
		expectIs(t, err, strategies.ErrRecovery, want.err)
		// What was sent can be had from the error, and nothing else.
		sent, ok := middleware.Sent[string](err)
		chunks := strings.Fields(seen)
		chunks = chunks[:len(chunks)-1]
		expect(t, "something was sent", ok, len(chunks) > 0)
		expect(t, "sent", strings.Join(sent, " "), strings.Join(chunks, " "))
		if !ok {
			return
		}
		re := recoveryOf(t, err)
		last, _ := errors.AsType[*strategies.StreamError](re.Attempts[len(re.Attempts)-1].Err)
		expect(t, "chunks sent", last.Chunks, len(chunks))
		expect(t, "what helps now", re.Strategy, strategies.StrategyNone)
	})
}

// leavesAt is a reader who breaks out of the loop.
func leavesAt(stream iter.Seq2[string, error], chunk string) string {
	var all []string
	for c, err := range stream {
		if err != nil {
			return "an error: " + err.Error()
		}
		if all = append(all, c); c == chunk {
			break
		}
	}
	return strings.Join(all, " ")
}

// Before the commit nothing reaches the reader; what a failed attempt had said
// is dropped.
func TestStreamCommit(t *testing.T) {
	says := func(chunk string) bool { return chunk != "role" && chunk != "" }
	for _, tc := range []struct {
		name  string
		lines []script
		build func(*streamBuilder)
		want  string
		calls int
	}{
		{"it holds back what says nothing", []script{{"role", "", "a", "b"}}, nil, "role  a b end", 1},
		{"it drops what a failed attempt held back", []script{{"role", errSick}, {"role", "a"}}, nil, "role a end", 2},
		{"it drops it for a stand-in too", []script{{"role", ofClass(strategies.ClassPanic)}},
			func(b *streamBuilder) { b.Fallback("sage", voices(script{"role", "S"})) }, "role S end", 1},
		{"it drops it for a rung, which is taken as it is", []script{{"role", errSick}},
			func(b *streamBuilder) { b.Degrade(strategies.LevelMinimal, middleware.Chunks[string]("sorry")) }, "sorry end", 4},
		{"it holds back a panic too", []script{{"role", func() { panic(errSick) }}},
			func(b *streamBuilder) { b.Fallback("sage", voices(script{"S"})) }, "S end", 1},
		{"it fails what ends before it commits", []script{{"role", ""}, {"a"}}, nil, "a end", 2},
		{"it fails what says nothing at all", []script{{}, {"a"}}, nil, "a end", 2},
		{"it looks again in a retry", []script{{"role"}, {"role", errSick}, {"role", errSick}, {"x"}}, nil, "x end", 4},
		{"it is final once it has spoken", []script{{"role", "a", errSick}, {"b"}}, nil, "role a !cut_off", 1},
		{"a chunk that is refused before it commits is recoverable", []script{{"role", "bad"}, {"ok"}},
			func(b *streamBuilder) { b.Validate(noBad) }, "ok end", 2},
		{"a chunk that is refused after that is not, and is not delivered", []script{{"a", "bad", "c"}, {"ok"}},
			func(b *streamBuilder) { b.Validate(noBad) }, "a !cut_off", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			agent := voices(tc.lines...)
			b := middleware.WrapStream(agent).Commit(says).Retry(promptly)
			if tc.build != nil {
				tc.build(b)
			}
			seen, _ := hear(streaming(t, b).Stream(t.Context(), "tell"))
			expect(t, "the reader sees", seen, tc.want)
			expect(t, "calls", agent.called(), tc.calls)
		})
	}
}

func noBad(_ context.Context, _, chunk string) error {
	if chunk == "bad" {
		return errors.New("a bad word")
	}
	return nil
}
