package middleware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// attempt is one agent's stream on its way to the reader. Several can exist: an
// iterator that calls its yield after its attempt has ended finds it closed, and
// cannot speak in the next one.
type attempt[Req, Chunk any] struct {
	to    *reader[Req, Chunk]
	by    *streamRules[Req, Chunk]
	ctx   context.Context
	agent string
	req   Req
	side  *streamSide

	held      []Chunk // before the commit; all of it when buffered
	committed bool
	closed    bool // nothing more is taken
	flowing   bool // committed, and no rule wants to see the chunks
	complete  bool // the terminal marker has been seen
	count     int  // delivered
	err       error
	clock     *streamWatch // nil: none
	watched   bool         // an idle clock looks at whose turn it is
	turns     bool         // somebody does: an idle clock, or the breaker whose trial this is
	hurried   bool         // the whole has a limit
	readers   bool         // which ran out while the reader had the turn
	hears     *hearing[Chunk]
	beats     bool // and there are chunks that are no speech to it
}

// errLeft passes through all layers untouched, as an interrupt does: a reader
// who has left is neither a success nor a failure.
var errLeft = strategies.WithClass(strategies.ClassInterrupt, errors.New("understudy: the reader left the stream"))

// noAnswer is a stream that ended without being an answer.
func noAnswer(format string, args ...any) error {
	return &strategies.InvalidAnswerError{Err: fmt.Errorf(format, args...)}
}

// play runs one attempt: agent says its stream to the reader.
func (r *reader[Req, Chunk]) play(ctx context.Context, agent string, call streamCall[Req, Chunk], from Streamer[Req, Chunk], by *streamRules[Req, Chunk]) (err error) {
	a := r.attemptOf()
	*a = attempt[Req, Chunk]{to: r, by: by, ctx: ctx, agent: agent, req: call.req}
	if c := callOf(ctx); c != nil && c.stream != nil {
		a.side = c.stream
		a.clock = c.stream.clock
		a.watched = a.clock.watched()
		a.turns = a.watched || a.side.onCommit != nil
		if a.beats = a.watched && (by.commit != nil || by.alive != nil) && by.buffer == 0; a.beats {
			a.clock.rule()
		}
	}
	_, a.hurried = ctx.Deadline()
	if a.hears, err = by.hearing(call.req); err != nil {
		return err
	}
	a.clock.agentsTurn()
	ended := false
	defer func() {
		a.close()
		if !ended && !r.inBody { // the reader's own panic is left alone
			if v := recover(); v != nil {
				err = a.panicked(panicked(v))
			}
		}
		if r.delivered += a.count; a.count > 0 {
			r.sources = append(r.sources, StreamSource{Agent: agent, Chunks: a.count})
		}
	}()
	stream := from.Stream(ctx, call.req)
	if stream == nil {
		ended = true
		return noAnswer("agent %q returned a nil stream", agent)
	}
	stream(a.take)
	a.close()
	if r.inBody {
		// The iterator swallowed a panic of the reader's, who has left by it.
		r.inBody, r.left = false, true
	}
	err = a.finish()
	ended = true
	return err
}

// take is called by the agent's iterator, once a chunk. A stream that flows pays
// for little more than the call of its reader.
func (a *attempt[Req, Chunk]) take(chunk Chunk, err error) bool {
	if !a.flowing || err != nil || a.ctx.Err() != nil {
		return a.weigh(chunk, err)
	}
	if !a.turns {
		return a.deliver(chunk)
	}
	a.clock.move()
	more := a.deliver(chunk)
	a.clock.move()
	return more
}

// weigh is take before the commit, and wherever a rule wants to see the chunk.
func (a *attempt[Req, Chunk]) weigh(chunk Chunk, err error) bool {
	if a.closed {
		return false // to an iterator that does not listen
	}
	if err != nil {
		if a.complete && a.onlyTheLine(err) {
			a.close() // the answer is whole: what becomes of its connection is nothing to it
			return false
		}
		return a.stop(err)
	}
	if a.ctx.Err() != nil {
		a.close() // an agent that is deaf to its context is cut off at its next chunk
		return false
	}
	// The time until the commit is the first-chunk clock's, if there is one: what
	// is held back must not start the idle clock, or a model that opens at once
	// and then thinks would be taken for one that has stalled.
	if a.committed || a.by.buffer > 0 || a.clock == nil || a.clock.first == nil {
		if a.clock.readersTurn(); a.beats && !a.committed && (a.by.alive == nil || a.by.alive(chunk)) {
			a.clock.spoke() // before the commit, any chunk is a sign of life if nobody says what is one
		}
	}
	more := a.admit(chunk)
	a.clock.agentsTurn()
	return more
}

// onlyTheLine says whether an error is that of a connection, or of whoever keeps it
// up, and not what somebody made of the answer.
func (a *attempt[Req, Chunk]) onlyTheLine(err error) bool {
	return a.verdict(err).Trips && !errtree.Any(err, hasOpinion)
}

// speaks says whether a chunk is a sign of life: what the user says is one, or what
// the commit rule takes for speech. A heartbeat is none.
func (a *attempt[Req, Chunk]) speaks(chunk Chunk) bool {
	if a.by.alive != nil {
		return a.by.alive(chunk)
	}
	return a.by.commit == nil || a.by.commit(chunk)
}

func (a *attempt[Req, Chunk]) admit(chunk Chunk) bool {
	if a.by.complete != nil && a.by.complete(chunk) {
		a.complete = true
	}
	if a.by.check != nil {
		if err := a.by.check(a.ctx, a.req, chunk); err != nil {
			return a.stop(invalid(err, nil))
		}
	}
	if a.hears != nil {
		if err := a.hears.take(chunk, a.complete); err != nil {
			return a.stop(invalid(err, a.hears.answer))
		}
	}
	if a.committed {
		if a.beats && a.speaks(chunk) {
			a.clock.spoke()
		}
		return a.deliver(chunk)
	}
	return a.hold(chunk)
}

// mostHeld is how many chunks are held back for one that commits: a stream that
// never says anything must not fill the memory.
const mostHeld = 1 << 16

// hold keeps a chunk back until one of them commits.
func (a *attempt[Req, Chunk]) hold(chunk Chunk) bool {
	if a.by.buffer > 0 {
		if len(a.held) == a.by.buffer {
			return a.stop(&strategies.StreamLimitError{Limit: a.by.buffer})
		}
		a.held = append(a.held, chunk)
		return true
	}
	if a.by.commit == nil {
		return a.decide() && a.deliver(chunk)
	}
	if len(a.held) == mostHeld {
		return a.stop(&strategies.StreamLimitError{Limit: mostHeld})
	}
	a.held = append(a.held, chunk)
	if !a.by.commit(chunk) {
		return true
	}
	if a.beats {
		a.clock.spoke()
	}
	return a.decide() && a.flush()
}

// decide commits: from now on nothing can be taken back. The first-chunk clock
// is disarmed; if it was faster, this is a failed attempt like any other.
func (a *attempt[Req, Chunk]) decide() bool {
	if late := a.clock.disarm(); late != nil {
		return a.stop(late) // the context may end only in a moment
	}
	a.committed = true
	a.clock.readersTurn()
	a.flowing = !a.closed && a.by.complete == nil && a.by.check == nil && a.hears == nil && !a.beats
	if a.side != nil && a.side.timed {
		a.side.spokeAt = time.Now()
	}
	if a.side != nil && a.side.onCommit != nil {
		a.side.onCommit(a.watched)
	}
	return true
}

func (a *attempt[Req, Chunk]) flush() bool {
	for _, c := range a.held {
		if !a.deliver(c) {
			return false
		}
	}
	return true
}

func (a *attempt[Req, Chunk]) deliver(chunk Chunk) bool {
	a.count++
	if !a.to.deliver(chunk) {
		a.close()
		return false
	}
	if a.hurried && a.ctx.Err() != nil { // it had not ended before
		a.readers = true
	}
	return true
}

func (a *attempt[Req, Chunk]) close() { a.closed, a.flowing = true, false }

// stop ends the attempt with an error of ours.
func (a *attempt[Req, Chunk]) stop(err error) bool {
	a.err = err
	a.close()
	return false
}

// finish says how the attempt ended, after the agent's iterator has returned.
func (a *attempt[Req, Chunk]) finish() error {
	switch {
	case a.to.left:
		return errLeft
	case a.err != nil && a.verdict(a.err).Pass:
		return a.err // also of an agent that was told to stop
	case a.ctx.Err() != nil && (a.err != nil || !a.complete):
		// An agent whose context ended may say so in many ways, silence too.
		return a.tail(a.ended())
	case a.err != nil:
		return a.tail(a.err)
	case a.by.complete != nil && !a.complete:
		return a.tail(noAnswer("the stream ended without its terminal marker"))
	case a.committed:
		if err := a.hears.end(); err != nil {
			return a.tail(invalid(err, a.hears.answer))
		}
		return nil
	case a.by.buffer == 0 || len(a.held) == 0:
		return noAnswer("the stream ended before it said anything")
	}
	// Buffered: the answer is whole, and delivered only now.
	if a.by.whole != nil {
		if err := a.by.whole(a.ctx, a.req, slices.Clip(a.held)); err != nil {
			return invalid(err, nil)
		}
	}
	if err := a.hears.end(); err != nil {
		return invalid(err, a.hears.answer)
	}
	if !a.decide() {
		return a.err
	}
	if !a.flush() {
		return errLeft
	}
	return nil
}

// ended turns the end of the context into the attempt's error.
func (a *attempt[Req, Chunk]) ended() error {
	cause := context.Cause(a.ctx)
	if errtree.Same(a.err, cause) || a.err != nil && errtree.Same(a.err, a.clock.lateness()) {
		return a.err
	}
	if a.to.rules.owner.owns(cause) || a.by.owner.owns(cause) {
		ours := cause.(*strategies.TimeoutError)
		return &strategies.TimeoutError{Limit: ours.Limit, After: ours.After, Err: a.err}
	}
	if a.err == nil || errtree.Is(a.err, cause) {
		return cause
	}
	return errors.Join(a.err, cause)
}

// tail makes an error that came after the commit final for every layer.
func (a *attempt[Req, Chunk]) tail(err error) error {
	if a.committed {
		if a.readers {
			err = &readersTime{err}
		}
		if a.to.rules.mark != nil { // it is taken back, so nothing is final
			a.to.stale = true
			return err
		}
		sent := &sentError[Chunk]{sent: a.to.sent.all(), err: err}
		return &strategies.StreamError{Agent: a.agent, Chunks: a.to.delivered + a.count, Err: sent}
	}
	final := a.verdict(err).Final
	for inner := err; final; {
		cut, ok := errtree.As[*strategies.StreamError](inner)
		if !ok {
			return err
		}
		inner = cut.Err
		v := a.verdict(inner)
		if final = v.Final; !final {
			return &beforeCommit[Chunk]{class: v.Class, err: err}
		}
	}
	return err
}

// panicked is what an attempt fails with whose iterator panicked. If its reader
// has left it counts as neither success nor failure, like every stream that was
// left; but it is told of, for nobody else will see it.
func (a *attempt[Req, Chunk]) panicked(err error) error {
	if !a.to.left {
		return a.tail(err)
	}
	a.to.tell(a.ctx, a.agent, err)
	return errLeft
}

func (a *attempt[Req, Chunk]) verdict(err error) strategies.Verdict {
	return a.to.rules.owner.verdict(err)
}
