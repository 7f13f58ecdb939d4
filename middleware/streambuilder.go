package middleware

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// StreamBuilder chains layers around an agent that streams. It has the settings
// of a [Builder], and the same layers in the same order: what comes before the
// first committed chunk is recovered as any call is, and nothing of a failed
// attempt reaches the reader. What comes after it is final for every layer;
// what happens then is declared: Terminate (the default), Continue or Buffer.
//
// Timeout is the time until the commit, Idle the longest silence after the first
// chunk, and Deadline the total. All three end the agent's context, and wait for
// an agent that is deaf to it.
type StreamBuilder[Req, Chunk any] struct {
	Layers[*StreamBuilder[Req, Chunk]]

	inner    *Builder[StreamCall[Req, Chunk], StreamEnd]
	rules    *streamRules[Req, Chunk]
	agent    Streamer[Req, Chunk]
	continua *continuation[Req, Chunk]
}

// WrapStream begins a chain around an agent that streams. Both types are
// inferred from it.
func WrapStream[Req, Chunk any](agent Streamer[Req, Chunk]) *StreamBuilder[Req, Chunk] {
	b := &StreamBuilder[Req, Chunk]{agent: agent, rules: &streamRules[Req, Chunk]{}}
	b.inner = Wrap[StreamCall[Req, Chunk], StreamEnd](&speaker[Req, Chunk]{from: agent})
	if isNil(agent) {
		b.inner.set.errs = []error{settingNil("WrapStream", "an agent: something with a Stream method")}
	}
	b.Layers = Layers[*StreamBuilder[Req, Chunk]]{self: b, set: b.inner.set}
	return b
}

// WrapStreamFunc is [WrapStream] for a function.
func WrapStreamFunc[Req, Chunk any](agent func(ctx context.Context, req Req) iter.Seq2[Chunk, error]) *StreamBuilder[Req, Chunk] {
	return WrapStream(StreamFunc(agent))
}

// speak makes a stand-in, or a rung, of a streamer. A guarded one brings its own
// chain, and speaks to the same reader.
func speak[Req, Chunk any](name string, s Streamer[Req, Chunk]) Runner[StreamCall[Req, Chunk], StreamEnd] {
	if isNil(s) {
		return nil
	}
	if g, ok := s.(*GuardedStream[Req, Chunk]); ok {
		return &guest[Req, Chunk]{as: name, inner: g.inner}
	}
	short, who := shorten(s)
	return &speaker[Req, Chunk]{name: name, from: short, who: who}
}

// Commit says which chunk is the first of the answer: those before it are held
// back and dropped if the attempt fails. Many providers open with a chunk that
// says nothing; until one does, everything is recoverable. The default is the
// first chunk, whatever it is.
func (b *StreamBuilder[Req, Chunk]) Commit(says func(chunk Chunk) bool) *StreamBuilder[Req, Chunk] {
	b.set.once("Commit", missing("Commit", says == nil))
	b.rules.commit = says
	return b
}

// Complete says which chunk is the terminal marker. A stream that ends without
// one has failed, although its connection ended cleanly, as those of real
// clients do.
func (b *StreamBuilder[Req, Chunk]) Complete(is func(chunk Chunk) bool) *StreamBuilder[Req, Chunk] {
	b.set.once("Complete", missing("Complete", is == nil))
	b.rules.complete = is
	return b
}

// Validate looks at every chunk before it is delivered; an error ends the
// attempt as a [strategies.InvalidAnswerError].
func (b *StreamBuilder[Req, Chunk]) Validate(check func(req Req, chunk Chunk) error) *StreamBuilder[Req, Chunk] {
	b.set.once("Validate", missing("Validate", check == nil))
	b.rules.check = check
	return b
}

// ValidateWhole looks at the whole answer. It needs Buffer.
func (b *StreamBuilder[Req, Chunk]) ValidateWhole(check func(req Req, chunks []Chunk) error) *StreamBuilder[Req, Chunk] {
	b.set.once("ValidateWhole", missing("ValidateWhole", check == nil))
	b.rules.whole = check
	return b
}

// Buffer delivers only whole answers, of at most limit chunks: all of recovery
// applies, and the reader waits for the end. A longer answer fails with a
// [strategies.StreamLimitError]. Timeout is then the time for the whole.
func (b *StreamBuilder[Req, Chunk]) Buffer(limit int) *StreamBuilder[Req, Chunk] {
	b.set.once("after the commit", positive("Buffer", limit))
	b.rules.buffer = limit
	return b
}

// Continue goes on where a stream was cut off, at most times times a call:
// follow builds a request from what was sent, and that goes through the chain
// again; the reader sees one stream. false ends it there. A continuation is paid
// for from the retry budget. It needs all that was sent: see Keep.
func (b *StreamBuilder[Req, Chunk]) Continue(times int, follow func(req Req, sent []Chunk) (Req, bool)) *StreamBuilder[Req, Chunk] {
	b.set.once("after the commit", positive("Continue", times), missing("Continue", follow == nil))
	b.continua = &continuation[Req, Chunk]{times: times, follow: follow}
	return b
}

// Keep sets how many of the last chunks delivered are kept, for [Sent] and for
// Continue. The default is 1,024, and 65,536 with Continue; a stream longer
// than that is not continued.
func (b *StreamBuilder[Req, Chunk]) Keep(chunks int) *StreamBuilder[Req, Chunk] {
	b.set.once("Keep", positive("Keep", chunks))
	b.rules.keep = chunks
	return b
}

// Idle bounds the silence of the agent between two chunks. It watches the agent,
// never the reader, and finds a silence out at most a quarter late. With a
// Timeout it begins at the commit, without one at the first chunk.
func (b *StreamBuilder[Req, Chunk]) Idle(silence time.Duration) *StreamBuilder[Req, Chunk] {
	b.set.once("Idle", positive("Idle", silence))
	b.set.idle = silence
	return b
}

// Fallback adds a stand-in, as [Builder.Fallback] does.
func (b *StreamBuilder[Req, Chunk]) Fallback(name string, standIn Streamer[Req, Chunk]) *StreamBuilder[Req, Chunk] {
	if same(standIn, b.agent) {
		b.set.errs = append(b.set.errs, isAgentItself(name))
	}
	b.inner.Fallback(name, speak(name, standIn))
	return b
}

// FallbackVia adds a stand-in that gets a changed request.
func (b *StreamBuilder[Req, Chunk]) FallbackVia(name string, standIn Streamer[Req, Chunk], change func(req Req) (Req, error)) *StreamBuilder[Req, Chunk] {
	if change == nil {
		b.inner.FallbackVia(name, nil, nil)
		return b
	}
	b.inner.FallbackVia(name, speak(name, standIn), func(call StreamCall[Req, Chunk]) (_ StreamCall[Req, Chunk], err error) {
		call.Request, err = change(call.Request)
		return call, err
	})
	return b
}

// FallbackFrom adds stand-ins that are looked up when they are needed, as
// [Builder.FallbackFrom] does.
func (b *StreamBuilder[Req, Chunk]) FallbackFrom(standIns func() []StreamStandIn[Req, Chunk]) *StreamBuilder[Req, Chunk] {
	if standIns == nil {
		b.inner.FallbackFrom(nil)
		return b
	}
	b.inner.FallbackFrom(func() (found []StandIn[StreamCall[Req, Chunk], StreamEnd]) {
		for _, s := range standIns() {
			found = append(found, StandIn[StreamCall[Req, Chunk], StreamEnd]{Name: s.Name, Runner: speak(s.Name, s.Streamer)})
		}
		return found
	})
	return b
}

// Roster lets a person name agents beyond the stand-ins of this one.
func (b *StreamBuilder[Req, Chunk]) Roster(r StreamRoster[Req, Chunk]) *StreamBuilder[Req, Chunk] {
	if isNil(r) {
		b.inner.Roster(nil)
		return b
	}
	b.inner.Roster(streamRoster[Req, Chunk]{r})
	return b
}

// Degrade adds a rung, which may stream too. [Chunks] is one that says a fixed
// sentence.
func (b *StreamBuilder[Req, Chunk]) Degrade(level strategies.Level, rung Streamer[Req, Chunk]) *StreamBuilder[Req, Chunk] {
	runner := speak(rungName(level), rung)
	if own, ok := runner.(*speaker[Req, Chunk]); ok {
		own.loose = true
	}
	b.inner.Degrade(level, runner)
	return b
}

// Use puts a middleware directly outside of the layer of a stage. It sees the
// call and how it ends, not the chunks; any middleware that works for all types
// works here too.
func (b *StreamBuilder[Req, Chunk]) Use(stage Stage, m Middleware[StreamCall[Req, Chunk], StreamEnd]) *StreamBuilder[Req, Chunk] {
	b.inner.Use(stage, m)
	return b
}

// Build checks the settings and returns the guarded agent; see [Builder.Build].
func (b *StreamBuilder[Req, Chunk]) Build() (*GuardedStream[Req, Chunk], error) {
	type run = Runner[StreamCall[Req, Chunk], StreamEnd]
	b.set.after = b.policy()
	b.inner.late, b.inner.clock, b.inner.follow = b.late, nil, nil
	if first, idle := b.set.timeout, b.set.idle; first > 0 || idle > 0 {
		b.inner.clock = func(next run) run { return newStreamClock(first, idle, next) }
	}
	rules := *b.rules
	if rules.keep == 0 {
		if rules.keep = 1 << 10; b.continua != nil {
			rules.keep = 1 << 16
		}
	}
	b.set.buffered = rules.buffer > 0
	if c := b.continua; c != nil {
		total := b.set.deadline
		b.set.follows = c.times
		b.inner.follow = func(scope *scope, budget *strategies.Budget) Middleware[StreamCall[Req, Chunk], StreamEnd] {
			return func(next run) run {
				return &continuer[Req, Chunk]{continuation: *c, keep: rules.keep, total: total, scope: scope, budget: budget, next: next}
			}
		}
	}
	// A new one each time: what was built does not change any more.
	b.inner.agent = &speaker[Req, Chunk]{name: cmp.Or(b.set.name, defaultName), from: b.agent, rules: &rules}
	inner, err := b.inner.Build()
	if err != nil {
		return nil, err
	}
	rules.scope = inner.scope
	return &GuardedStream[Req, Chunk]{inner: inner, rules: &rules}, nil
}

// late is what only a stream's builder can find wrong.
func (b *StreamBuilder[Req, Chunk]) late() (errs []error) {
	if b.set.hard {
		errs = append(errs, &strategies.ConfigError{Setting: "HardTimeout", Problem: "does not go with a stream", Fix: "use Timeout and Idle: a stream runs on its reader's goroutine and cannot be left behind"})
	}
	if b.rules.whole != nil && b.rules.buffer == 0 {
		errs = append(errs, &strategies.ConfigError{Setting: "ValidateWhole", Problem: "is set without Buffer", Fix: "what was delivered cannot be validated any more: buffer it, or use Validate on each chunk"})
	}
	if b.rules.commit != nil && b.rules.buffer > 0 {
		errs = append(errs, &strategies.ConfigError{Setting: "Commit", Problem: "is set with Buffer", Fix: "a buffered answer commits at its end: drop one of them"})
	}
	if d := b.set.deadline; d > 0 && b.set.idle > d {
		errs = append(errs, &strategies.ConfigError{Setting: "Idle", Problem: fmt.Sprintf("(%v) is above Deadline (%v)", b.set.idle, d), Fix: "a silence must fit into the total"})
	}
	return errs
}

func (b *StreamBuilder[Req, Chunk]) policy() string {
	switch {
	case b.rules.buffer > 0:
		return fmt.Sprintf("only whole answers are delivered, of at most %d chunks", b.rules.buffer)
	case b.continua != nil:
		return fmt.Sprintf("a stream that is cut off is continued, up to %s", count(b.continua.times, "time"))
	default:
		return "a stream that is cut off ends there: nothing is said twice"
	}
}

func missing(setting string, is bool) error {
	if is {
		return settingNil(setting, "a function")
	}
	return nil
}
