package middleware

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// streamRules are what a stream's builder was told, shared by all its calls.
type streamRules[Req, Chunk any] struct {
	scope    *scope
	commit   func(Chunk) bool // nil: the first chunk commits
	complete func(Chunk) bool // nil: a clean end is an end
	check    func(Req, Chunk) error
	whole    func(Req, []Chunk) error
	buffer   int // 0: not buffered
	keep     int
}

// loose are the rules for a reduced answer, or a person's: it is taken as it is.
func (r *streamRules[Req, Chunk]) loose() *streamRules[Req, Chunk] {
	return &streamRules[Req, Chunk]{scope: r.scope, buffer: r.buffer, keep: r.keep}
}

// sink is the way from the agent to the reader of one call. Chunks are pushed
// through it from inside the attempt, on the reader's own goroutine: so an
// attempt lasts as long as its stream, and there is nothing to leak.
type sink[Req, Chunk any] struct {
	rules *streamRules[Req, Chunk] // of the call; an attempt may have others
	yield func(Chunk, error) bool

	// of the attempt
	by        *streamRules[Req, Chunk]
	pass      *pass[Req, Chunk]
	call      StreamCall[Req, Chunk]
	held      []Chunk // before the commit; all of it when buffered
	committed bool
	closed    bool // nothing more is taken
	complete  bool // the terminal marker has been seen
	count     int  // delivered in this attempt
	err       error
	onCommit  func(bounded bool)
	first     *time.Timer // the first-chunk clock; nil: none
	late      error       // what the attempt fails with when that was faster
	watched   bool        // an idle clock looks at turn

	// of the call
	reading   bool // the reader's loop body runs
	left      bool // the reader has left the loop
	delivered int  // by the attempts before this one
	sent      ring[Chunk]
	sources   []StreamSource
	continued int

	// turn is odd while the reader runs and even while the agent does; the idle
	// clock looks whether it moves. beat is the same number for the one goroutine
	// that writes it.
	turn atomic.Uint32
	beat uint32

	// Room for a short stream, so that it costs no allocation more.
	firstPass    pass[Req, Chunk]
	firstSent    [8]Chunk
	firstSources [2]StreamSource
}

// pass is the way into the sink of one attempt: an iterator that calls its
// yield after its attempt has ended finds it closed, and cannot speak in the
// next one.
type pass[Req, Chunk any] struct {
	sink    *sink[Req, Chunk]
	flowing bool // committed, and no rule wants to see the chunks
}

// StreamSource says how many chunks of a stream came from whom.
type StreamSource struct {
	Agent  string
	Chunks int
}

// errLeft passes through all layers untouched, as an interrupt does: a reader
// who has left is neither a success nor a failure.
var errLeft = strategies.WithClass(strategies.ClassInterrupt, errors.New("understudy: the reader left the stream"))

// play runs one attempt: agent says its stream to the reader.
func (s *sink[Req, Chunk]) play(ctx context.Context, agent string, call StreamCall[Req, Chunk], from Streamer[Req, Chunk], by *streamRules[Req, Chunk]) (end StreamEnd, err error) {
	s.agentsTurn()
	s.by = by
	s.call, s.held, s.committed, s.closed, s.complete, s.count, s.err = call, s.held[:0], false, false, false, 0, nil
	if s.pass == nil {
		s.pass = &s.firstPass
	} else {
		s.pass = &pass[Req, Chunk]{}
	}
	s.pass.sink = s
	ended := false
	defer func() {
		s.close()
		if !ended && !s.reading { // the reader's own panic is left alone
			if v := recover(); v != nil {
				err = s.panicked(ctx, agent, &strategies.PanicError{Value: v, Stack: debug.Stack()})
			}
		}
		if s.delivered += s.count; s.count > 0 {
			s.sources = append(s.sources, StreamSource{Agent: agent, Chunks: s.count})
		}
	}()
	stream := from.Stream(ctx, call.Request)
	if stream == nil {
		ended = true
		return end, strategies.WithClass(strategies.ClassInvalidAnswer, fmt.Errorf("understudy: agent %q returned a nil stream", agent))
	}
	stream(s.pass.take)
	s.close()
	if s.reading {
		// The iterator swallowed a panic of the reader's, who has left by it.
		s.reading, s.left = false, true
	}
	err = s.finish(ctx, agent)
	ended = true
	return StreamEnd{Chunks: s.count}, err
}

// take is called by the agent's iterator, once a chunk. A stream that flows pays
// for little more than the call of its reader.
func (p *pass[Req, Chunk]) take(chunk Chunk, err error) bool {
	s := p.sink
	if !p.flowing || err != nil {
		return p.weigh(chunk, err)
	}
	if !s.watched {
		return s.deliver(chunk)
	}
	s.beat++
	s.turn.Store(s.beat)
	more := s.deliver(chunk)
	s.beat++
	s.turn.Store(s.beat)
	return more
}

// weigh is take before the commit, and wherever a rule wants to see the chunk.
func (p *pass[Req, Chunk]) weigh(chunk Chunk, err error) bool {
	s := p.sink
	if s.closed || s.pass != p {
		return false // to an iterator that does not listen
	}
	if err != nil {
		return s.stop(err)
	}
	// The time until the commit is the first-chunk clock's, if there is one: what
	// is held back must not start the idle clock, or a model that opens at once
	// and then thinks would be taken for one that has stalled.
	if s.committed || s.by.buffer > 0 || s.first == nil {
		s.readersTurn()
	}
	more := s.admit(chunk)
	s.agentsTurn()
	return more
}

func (s *sink[Req, Chunk]) readersTurn() {
	if s.beat%2 == 0 {
		s.beat++
		s.turn.Store(s.beat)
	}
}

func (s *sink[Req, Chunk]) agentsTurn() {
	if s.beat%2 == 1 {
		s.beat++
		s.turn.Store(s.beat)
	}
}

func (s *sink[Req, Chunk]) admit(chunk Chunk) bool {
	r := s.by
	if r.complete != nil && r.complete(chunk) {
		s.complete = true
	}
	if r.check != nil {
		if err := r.check(s.call.Request, chunk); err != nil {
			return s.stop(invalid(err))
		}
	}
	if s.committed {
		return s.deliver(chunk)
	}
	return s.hold(chunk)
}

// hold keeps a chunk back until one of them commits.
func (s *sink[Req, Chunk]) hold(chunk Chunk) bool {
	r := s.by
	if r.buffer > 0 {
		if len(s.held) == r.buffer {
			return s.stop(&strategies.StreamLimitError{Limit: r.buffer})
		}
		s.held = append(s.held, chunk)
		return true
	}
	if r.commit == nil {
		return s.decide() && s.deliver(chunk)
	}
	s.held = append(s.held, chunk)
	return !r.commit(chunk) || s.decide() && s.flush()
}

// decide commits: from now on nothing can be taken back. The first-chunk clock
// is disarmed; if it was faster, this is a failed attempt like any other.
func (s *sink[Req, Chunk]) decide() bool {
	if s.first != nil && !s.first.Stop() {
		return s.stop(s.late) // the context may end only in a moment
	}
	s.committed = true
	s.readersTurn()
	s.pass.flowing = !s.closed && s.by.complete == nil && s.by.check == nil
	if s.onCommit != nil {
		s.onCommit(s.watched)
	}
	return true
}

func (s *sink[Req, Chunk]) flush() bool {
	for _, c := range s.held {
		if !s.deliver(c) {
			return false
		}
	}
	return true
}

// deliver hands a chunk to the reader. A panic of the reader's leaves reading
// set, and so passes through every layer.
func (s *sink[Req, Chunk]) deliver(chunk Chunk) bool {
	s.count++
	s.sent.add(chunk, s.rules.keep)
	s.reading = true
	more := s.yield(chunk, nil)
	s.reading = false
	if !more {
		s.left = true
		s.close()
	}
	return more
}

func (s *sink[Req, Chunk]) close() { s.closed, s.pass.flowing = true, false }

// stop ends the attempt with an error of ours.
func (s *sink[Req, Chunk]) stop(err error) bool {
	s.err = err
	s.close()
	return false
}

// finish says how the attempt ended, after the agent's iterator has returned.
func (s *sink[Req, Chunk]) finish(ctx context.Context, agent string) error {
	switch {
	case s.left:
		return errLeft
	case s.err != nil && s.class(s.err) == strategies.ClassInterrupt:
		return s.err // also of an agent that was told to stop
	case ctx.Err() != nil && (s.err != nil || !s.complete):
		// An agent whose context ended may say so in many ways, silence too.
		return s.tail(agent, s.ended(ctx))
	case s.err != nil:
		return s.tail(agent, s.err)
	case s.by.complete != nil && !s.complete:
		return s.tail(agent, strategies.WithClass(strategies.ClassInvalidAnswer, errors.New("understudy: stream ended without its terminal marker")))
	case s.committed:
		return nil
	case s.by.buffer == 0 || len(s.held) == 0:
		return strategies.WithClass(strategies.ClassInvalidAnswer, errors.New("understudy: stream ended before it said anything"))
	}
	// Buffered: the answer is whole, and delivered only now.
	if s.by.whole != nil {
		if err := s.by.whole(s.call.Request, slices.Clip(s.held)); err != nil {
			return invalid(err)
		}
	}
	if !s.decide() {
		return s.err
	}
	if !s.flush() {
		return errLeft
	}
	return nil
}

// ended turns the end of the context into the attempt's error.
func (s *sink[Req, Chunk]) ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	if s.err == cause || s.err != nil && s.err == s.late {
		return s.err
	}
	if ours, ok := errors.AsType[*strategies.TimeoutError](cause); ok {
		return &strategies.TimeoutError{Limit: ours.Limit, After: ours.After, Err: s.err}
	}
	if s.err == nil || errors.Is(s.err, cause) {
		return cause
	}
	return errors.Join(s.err, cause)
}

// tail makes an error that came after the commit final for every layer.
func (s *sink[Req, Chunk]) tail(agent string, err error) error {
	if s.committed {
		return &cutOff{&strategies.StreamError{Agent: agent, Chunks: s.delivered + s.count, Err: err}, s.sent.all()}
	}
	class := s.class(err)
	for inner := err; class == strategies.ClassCutOff; {
		cut, ok := errors.AsType[*strategies.StreamError](inner)
		if !ok {
			return err
		}
		inner, class = cut.Err, s.class(cut.Err)
		if class != strategies.ClassCutOff {
			return &unheard{class: class, err: err}
		}
	}
	return err
}

// panicked is what an attempt fails with whose iterator panicked. If its reader
// has left it counts as neither success nor failure, like every stream that was
// left; but it is told of, for nobody else will see it.
func (s *sink[Req, Chunk]) panicked(ctx context.Context, agent string, err error) error {
	if !s.left {
		return s.tail(agent, err)
	}
	s.rules.scope.emit(ctx, Event{Kind: EventAttemptFailed, ServedBy: agent, Attempt: Attempt(ctx), Class: strategies.ClassPanic, Err: err})
	return errLeft
}

func (s *sink[Req, Chunk]) class(err error) strategies.Class {
	return judged(s.rules.scope.classifier, context.Background(), err).Class
}

// unheard is the failure of a stream that an agent listened to in its turn, and
// that was cut off before our reader heard of it: nothing has been said, so it
// is of the class behind it and as recoverable as that.
type unheard struct {
	class strategies.Class
	err   error
}

func (e *unheard) Error() string                   { return e.err.Error() }
func (e *unheard) Unwrap() error                   { return e.err }
func (e *unheard) RecoveryClass() strategies.Class { return e.class }

// ring keeps the last chunks of a stream, in constant memory.
type ring[Chunk any] struct {
	kept []Chunk
	next int
}

func (r *ring[Chunk]) add(chunk Chunk, most int) {
	if len(r.kept) < most {
		r.kept = append(r.kept, chunk)
		return
	}
	r.kept[r.next] = chunk
	if r.next++; r.next == most {
		r.next = 0
	}
}

func (r *ring[Chunk]) all() []Chunk {
	return append(slices.Clone(r.kept[r.next:]), r.kept[:r.next]...)
}
