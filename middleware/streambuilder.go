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
// what happens then is declared: Terminate (the default), Continue, Restart or Buffer.
//
// Timeout is the time until the commit, Idle the longest silence after the first
// chunk, and Deadline the total. All three end the agent's context, and wait for
// an agent that is deaf to it.
//
// The settings that need no types are those of [Settings].
type StreamBuilder[Req, Chunk any] struct {
	inner    *Builder[streamCall[Req, Chunk], streamEnd]
	rules    *streamRules[Req, Chunk]
	agent    Streamer[Req, Chunk]
	idle     time.Duration
	continua *continuation[Req, Chunk]
}

// WrapStream begins a chain around an agent that streams. Both types are
// inferred from it.
func WrapStream[Req, Chunk any](agent Streamer[Req, Chunk]) *StreamBuilder[Req, Chunk] {
	b := &StreamBuilder[Req, Chunk]{agent: agent, rules: &streamRules[Req, Chunk]{}}
	b.inner = Wrap[streamCall[Req, Chunk], streamEnd](&speaker[Req, Chunk]{from: agent})
	if isNil(agent) {
		b.inner.set.wrong(settingNil("WrapStream", "an agent: something with a Stream method"))
	}
	return b
}

// chained is the chain of calls that this builder builds; one that did not come
// from WrapStream says so when it is built.
func (b *StreamBuilder[Req, Chunk]) chained() *Builder[streamCall[Req, Chunk], streamEnd] {
	if b.inner == nil {
		b.inner, b.rules = &Builder[streamCall[Req, Chunk], streamEnd]{set: &Settings{}}, &streamRules[Req, Chunk]{}
		b.inner.set.wrong(&strategies.ConfigError{Setting: "StreamBuilder", Problem: "is empty", Fix: "begin with middleware.WrapStream(agent)"})
	}
	return b.inner
}

// WrapStreamFunc is [WrapStream] for a function.
func WrapStreamFunc[Req, Chunk any](agent func(ctx context.Context, req Req) iter.Seq2[Chunk, error]) *StreamBuilder[Req, Chunk] {
	return WrapStream(StreamFunc(agent))
}

// Commit says which chunk is the first of the answer: those before it are held
// back and dropped if the attempt fails. Many providers open with a chunk that
// says nothing; until one does, everything is recoverable. The default is the
// first chunk, whatever it is.
func (b *StreamBuilder[Req, Chunk]) Commit(says func(chunk Chunk) bool) *StreamBuilder[Req, Chunk] {
	b.chained().settings().once("Commit", missing("Commit", says == nil))
	b.rules.commit = says
	return b
}

// Complete says which chunk is the terminal marker. A stream that ends without
// one has failed, although its connection ended cleanly, as those of real
// clients do. One whose marker has been seen is whole, whatever its connection
// does then: an error of the line's behind it is dropped. What somebody says of
// the answer itself, such as a [strategies.AnswerError], is not.
func (b *StreamBuilder[Req, Chunk]) Complete(is func(chunk Chunk) bool) *StreamBuilder[Req, Chunk] {
	b.chained().settings().once("Complete", missing("Complete", is == nil))
	b.rules.complete = is
	return b
}

// Validate looks at every chunk before it is delivered; an error ends the
// attempt as a [strategies.InvalidAnswerError].
func (b *StreamBuilder[Req, Chunk]) Validate(check func(ctx context.Context, req Req, chunk Chunk) error) *StreamBuilder[Req, Chunk] {
	b.chained().settings().add(newValidatePart(), missing("Validate", check == nil))
	b.rules.check = check
	return b
}

// ValidateWhole looks at the whole answer. It needs Buffer.
func (b *StreamBuilder[Req, Chunk]) ValidateWhole(check func(ctx context.Context, req Req, chunks []Chunk) error) *StreamBuilder[Req, Chunk] {
	b.chained().settings().once("ValidateWhole", missing("ValidateWhole", check == nil))
	b.rules.whole = check
	return b
}

// Buffer delivers only whole answers, of at most limit chunks: all of recovery
// applies, and the reader waits for the end. A longer answer fails with a
// [strategies.StreamLimitError]. Timeout is then the time for the whole.
func (b *StreamBuilder[Req, Chunk]) Buffer(limit int) *StreamBuilder[Req, Chunk] {
	b.chained().settings().once("after the commit", positive("Buffer", limit))
	b.rules.buffer = limit
	return b
}

// Continue goes on where a stream was cut off, at most times times a call:
// follow builds a request from what was sent, and that goes through the chain
// again; the reader sees one stream. false ends it there. A continuation is paid
// for from the retry budget. It needs all that was sent: see Keep.
func (b *StreamBuilder[Req, Chunk]) Continue(times int, follow func(ctx context.Context, req Req, sent []Chunk) (Req, bool)) *StreamBuilder[Req, Chunk] {
	b.chained().settings().once("after the commit", positive("Continue", times), missing("Continue", follow == nil))
	b.continua = &continuation[Req, Chunk]{times: times, follow: follow}
	return b
}

// Restart starts over when a stream was cut off: the failure behind it is recovered
// as one before the commit is, by a retry, a stand-in, a rung, and before the first
// chunk of what comes then, the reader gets the chunk that mark makes, which tells it
// to erase what it has shown. mark gets what that is: the last chunks, as many as
// Keep says. If nobody can answer, nothing is erased, and the error says so as ever.
//
// It is for readers that can take back, such as a page; a reader that has acted on
// what it read must not use it.
func (b *StreamBuilder[Req, Chunk]) Restart(mark func(sent []Chunk) Chunk) *StreamBuilder[Req, Chunk] {
	b.chained().settings().once("after the commit", missing("Restart", mark == nil))
	b.rules.mark = mark
	return b
}

// Keep sets how many of the last chunks delivered are kept, for [Sent] and for
// Continue. The default is 1,024, and 65,536 with Continue; a stream longer
// than that is not continued.
func (b *StreamBuilder[Req, Chunk]) Keep(chunks int) *StreamBuilder[Req, Chunk] {
	b.chained().settings().once("Keep", positive("Keep", chunks))
	b.rules.keep = chunks
	return b
}

// Idle bounds the silence of the agent between two chunks. It watches the agent,
// never the reader, and finds a silence out at most a quarter late. With a
// Timeout it begins at the commit, without one at the first chunk.
func (b *StreamBuilder[Req, Chunk]) Idle(silence time.Duration) *StreamBuilder[Req, Chunk] {
	b.chained().settings().once("Idle", positive("Idle", silence))
	b.idle = silence
	return b
}

// Alive says which chunk is a sign of life to Idle. The default is any chunk before
// the commit, and after it what the Commit rule takes for speech, so that heartbeats
// keep no silent stream alive. Where the commit rule looks for text alone, an agent
// that writes a long call of a tool, or thinks, is well all the same: say so.
func (b *StreamBuilder[Req, Chunk]) Alive(is func(chunk Chunk) bool) *StreamBuilder[Req, Chunk] {
	b.chained().settings().once("Alive", missing("Alive", is == nil))
	b.rules.alive = is
	return b
}

// Fallback adds a stand-in, as [Builder.Fallback] does.
func (b *StreamBuilder[Req, Chunk]) Fallback(name string, standIn Streamer[Req, Chunk]) *StreamBuilder[Req, Chunk] {
	if same(standIn, b.agent) {
		b.chained().settings().wrong(isAgentItself(name))
	}
	b.chained().Fallback(name, speak(name, standIn))
	return b
}

// FallbackFor adds a stand-in for some kinds of failure only, as
// [Builder.FallbackFor] does.
func (b *StreamBuilder[Req, Chunk]) FallbackFor(name string, standIn Streamer[Req, Chunk], classes ...strategies.Class) *StreamBuilder[Req, Chunk] {
	if same(standIn, b.agent) {
		b.chained().settings().wrong(isAgentItself(name))
	}
	b.chained().FallbackFor(name, speak(name, standIn), classes...)
	return b
}

// FallbackVia adds a stand-in that gets a changed request.
func (b *StreamBuilder[Req, Chunk]) FallbackVia(name string, standIn Streamer[Req, Chunk], change func(ctx context.Context, req Req) (Req, error)) *StreamBuilder[Req, Chunk] {
	if change == nil {
		b.chained().FallbackVia(name, nil, nil)
		return b
	}
	b.chained().FallbackVia(name, speak(name, standIn), func(ctx context.Context, call streamCall[Req, Chunk]) (_ streamCall[Req, Chunk], err error) {
		call.req, err = change(ctx, call.req)
		return call, err
	})
	return b
}

// FallbackFrom adds stand-ins that are looked up when they are needed, as
// [Builder.FallbackFrom] does.
func (b *StreamBuilder[Req, Chunk]) FallbackFrom(standIns func(ctx context.Context) []StandIn[Streamer[Req, Chunk]]) *StreamBuilder[Req, Chunk] {
	if standIns == nil {
		b.chained().FallbackFrom(nil)
		return b
	}
	b.chained().FallbackFrom(func(ctx context.Context) (found []StandIn[Runner[streamCall[Req, Chunk], streamEnd]]) {
		for _, s := range standIns(ctx) {
			found = append(found, StandIn[Runner[streamCall[Req, Chunk], streamEnd]]{Name: s.Name, Agent: speak(s.Name, s.Agent), For: s.For})
		}
		return found
	})
	return b
}

// Roster lets a person name agents beyond the stand-ins of this one.
func (b *StreamBuilder[Req, Chunk]) Roster(r Roster[Streamer[Req, Chunk]]) *StreamBuilder[Req, Chunk] {
	if isNil(r) {
		b.chained().Roster(nil)
		return b
	}
	b.chained().Roster(streamRoster[Req, Chunk]{r})
	return b
}

// Degrade adds a rung, which may stream too. [Chunks] is one that says a fixed
// sentence.
func (b *StreamBuilder[Req, Chunk]) Degrade(level strategies.Level, rung Streamer[Req, Chunk]) *StreamBuilder[Req, Chunk] {
	runner := speak(rungName(level), rung)
	if own, ok := runner.(*speaker[Req, Chunk]); ok {
		own.asIs = true
	}
	b.chained().Degrade(level, runner)
	return b
}

// Build checks the settings and returns the guarded agent; see [Builder.Build].
func (b *StreamBuilder[Req, Chunk]) Build() (*GuardedStream[Req, Chunk], error) {
	built, err := b.ready().Build()
	if err != nil {
		return nil, err
	}
	return &GuardedStream[Req, Chunk]{inner: built}, nil
}

// Problems says what Build would say is wrong, and builds nothing.
func (b *StreamBuilder[Req, Chunk]) Problems() error { return b.ready().Problems() }

// ready is the builder of the calls that a stream is, as the settings are now.
func (b *StreamBuilder[Req, Chunk]) ready() *Builder[streamCall[Req, Chunk], streamEnd] {
	b.chained()
	rules := *b.rules
	if rules.keep == 0 {
		if rules.keep = 1 << 10; b.continua != nil {
			rules.keep = 1 << 16
		}
	}
	inner := *b.inner // a new one each time: what was built does not change any more
	inner.stream = b.chain(&rules)
	speaks := &speaker[Req, Chunk]{name: cmp.Or(b.chained().settings().name, defaultName), from: b.agent, rules: &rules}
	inner.agent = speaks
	return &inner
}

// chain is how the chain of a stream differs.
func (b *StreamBuilder[Req, Chunk]) chain(rules *streamRules[Req, Chunk]) *streamChain[streamCall[Req, Chunk], streamEnd] {
	type run = Runner[streamCall[Req, Chunk], streamEnd]
	c := &streamChain[streamCall[Req, Chunk], streamEnd]{check: b.check, rules: rules, made: func(o *Owner) {
		if rules.owner == nil {
			rules.owner = o
		}
	}}
	c.hedge = func(l *hedging[streamCall[Req, Chunk], streamEnd]) run { return &streamHedging[Req, Chunk]{l} }
	policy := &policyPart{basics: basics{"after the commit", StageRecover}, text: b.policy(), spoken: rules.buffer == 0}
	c.parts = append(c.parts, policy)
	first := time.Duration(0)
	if t, ok := find[*timeoutPart](b.chained().settings()); ok {
		first = t.first
	}
	if idle := b.idle; first > 0 || idle > 0 {
		c.clock = func(o *Owner) Middleware[streamCall[Req, Chunk], streamEnd] {
			return func(next run) run { return newStreamClock(o, first, idle, next) }
		}
		c.parts = append(c.parts, &timeoutPart{basics: basics{"Timeout", StageTimeout}, first: first, idle: idle, stream: true})
	}
	if go_ := b.continua; go_ != nil {
		policy.follows = go_.times
		total := time.Duration(0)
		if d, ok := find[*deadlinePart](b.chained().settings()); ok {
			total = d.total
		}
		c.follow = func(o *Owner, budget *strategies.Budget) Middleware[streamCall[Req, Chunk], streamEnd] {
			return func(next run) run {
				return &continuer[Req, Chunk]{continuation: *go_, keep: rules.keep, total: total, owner: o, budget: budget, next: next}
			}
		}
	}
	return c
}

// policyPart explains what happens after the first chunk.
type policyPart struct {
	basics
	text    string
	spoken  bool // it delivers as it comes
	follows int
}

func (p *policyPart) explain(e *explaining) {
	e.note("%s", p.text)
	e.spoken, e.follows = p.spoken, p.follows
}

// check is what only a stream's builder can find wrong.
func (b *StreamBuilder[Req, Chunk]) check() (errs []error) {
	set := b.chained().settings()
	if t, ok := find[*timeoutPart](set); ok && t.hard != nil {
		errs = append(errs, problemOf("HardTimeout", "does not go with a stream", "use Timeout and Idle: a stream runs on its reader's goroutine and cannot be left behind"))
	}
	if t, ok := find[*timeoutPart](set); ok && t.silence > 0 {
		errs = append(errs, problemOf("TimeoutWhileAlive", "does not go with a stream", "use Timeout until the first chunk, and Idle between two: chunks are signs of life"))
	}
	if b.rules.whole != nil && b.rules.buffer == 0 {
		errs = append(errs, problemOf("ValidateWhole", "is set without Buffer", "what was delivered cannot be validated any more: buffer it, or use Validate on each chunk"))
	}
	if b.rules.commit != nil && b.rules.buffer > 0 {
		errs = append(errs, problemOf("Commit", "is set with Buffer", "a buffered answer commits at its end: drop one of them"))
	}
	if p, ok := find[*intervenePart](set); ok && p.how.Park {
		errs = append(errs, problemOf("Intervene.Park", "does not go with a stream", "its reader is gone when somebody decides: park the whole calls of the agent"))
	}
	if p, ok := find[*intervenePart](set); ok {
		_, one := p.how.Default.Value.(Chunk)
		_, many := p.how.Default.Value.([]Chunk)
		errs = append(errs, p.how.fits(one || many, typeName[Chunk]()+", or several,"))
	}
	if d, ok := find[*deadlinePart](set); ok && d.total > 0 && b.idle > d.total {
		errs = append(errs, problemOf("Idle", "(%v) is above Deadline (%v)", "a silence must fit into the total", b.idle, d.total))
	}
	return errs
}

func (b *StreamBuilder[Req, Chunk]) policy() string {
	switch {
	case b.rules.buffer > 0:
		return fmt.Sprintf("only whole answers are delivered, of at most %d chunks", b.rules.buffer)
	case b.continua != nil:
		return fmt.Sprintf("a stream that is cut off is continued, up to %s", count(b.continua.times, "time"))
	case b.rules.mark != nil:
		return "a stream that is cut off begins again: the reader is told to erase what it has read"
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
