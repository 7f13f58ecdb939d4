package middleware

import (
	"context"
	"iter"
	"reflect"
	"slices"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// Streamer is an agent that answers piece by piece.
//
// What the implementer owes: Stream is safe for concurrent use; the sequence
// ends soon after ctx ends, or after the loop over it is left; an error is the
// last thing it yields, with a zero chunk. What the caller owes: each sequence
// is ranged over at most once.
type Streamer[Req, Chunk any] interface {
	Stream(ctx context.Context, req Req) iter.Seq2[Chunk, error]
}

type streamerFunc[Req, Chunk any] func(ctx context.Context, req Req) iter.Seq2[Chunk, error]

func (f streamerFunc[Req, Chunk]) Stream(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
	return f(ctx, req)
}

// StreamFunc makes a function a [Streamer]. A nil function makes a nil Streamer,
// which whoever it is given to refuses by name.
func StreamFunc[Req, Chunk any](f func(ctx context.Context, req Req) iter.Seq2[Chunk, error]) Streamer[Req, Chunk] {
	if f == nil {
		return nil
	}
	return streamerFunc[Req, Chunk](f)
}

// Chunks returns a stream that yields what it is given: a rung that says a
// fixed sentence, for one.
func Chunks[Req, Chunk any](chunks ...Chunk) Streamer[Req, Chunk] {
	chunks = slices.Clone(chunks)
	return FreeStream[Req, Chunk](streamerFunc[Req, Chunk](func(context.Context, Req) iter.Seq2[Chunk, error] {
		return func(yield func(Chunk, error) bool) {
			for _, c := range chunks {
				if !yield(c, nil) {
					return
				}
			}
		}
	}))
}

// AdaptStream gives a streamer of other types the types of a role, so that it
// can stand in: in turns the request, out each chunk. A guarded one keeps its own
// layers, and is still called without its retries when it stands in.
func AdaptStream[Req, Chunk, Req2, Chunk2 any](
	streamer Streamer[Req2, Chunk2],
	in func(ctx context.Context, req Req) (Req2, error),
	out func(chunk Chunk2) (Chunk, error),
) Streamer[Req, Chunk] {
	if isNil(streamer) || in == nil || out == nil {
		return nil // refused by the builder, as any nil stand-in
	}
	return &streamAdapter[Req, Chunk, Req2, Chunk2]{streamer: streamer, in: in, out: out}
}

type streamAdapter[Req, Chunk, Req2, Chunk2 any] struct {
	streamer Streamer[Req2, Chunk2]
	in       func(context.Context, Req) (Req2, error)
	out      func(Chunk2) (Chunk, error)
}

func (a *streamAdapter[Req, Chunk, Req2, Chunk2]) Stream(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		var none Chunk
		other, err := a.in(ctx, req)
		if err != nil {
			yield(none, err)
			return
		}
		for c, err := range a.streamer.Stream(ctx, other) {
			if err != nil {
				yield(none, err)
				return
			}
			chunk, err := a.out(c)
			if !yield(chunk, err) || err != nil {
				return
			}
		}
	}
}

func (a *streamAdapter[Req, Chunk, Req2, Chunk2]) short() (Streamer[Req, Chunk], *Owner) {
	short, owner := shortStream(a.streamer)
	return &streamAdapter[Req, Chunk, Req2, Chunk2]{streamer: short, in: a.in, out: a.out}, owner
}

// shortStream returns the form in which a streamer stands in for another, as
// shortForm does for a runner.
func shortStream[Req, Chunk any](s Streamer[Req, Chunk]) (short Streamer[Req, Chunk], owner *Owner) {
	if long, ok := s.(interface {
		short() (Streamer[Req, Chunk], *Owner)
	}); ok {
		return long.short()
	}
	return s, nil
}

// streamCall is what the layers of a stream pass on in the place of a request:
// the request, and the way to its reader.
type streamCall[Req, Chunk any] struct {
	req    Req
	reader *reader[Req, Chunk]
	as     string                   // the name of a guarded stand-in
	rules  *streamRules[Req, Chunk] // of the chain whose pool asks its members; nil: those of the reader
}

// streamEnd is what they pass back in the place of an answer: the stream has
// been delivered.
type streamEnd struct{}

// streamSide is what a call knows of the stream it is: the reader, which is the
// same for all attempts, and what the layers have arranged for the one that
// begins in this very context.
type streamSide struct {
	reader streamReader
	clock  *streamWatch // nil: no clocks
	// onCommit is told that the attempt has committed, and whether its silence
	// is bounded.
	onCommit func(bounded bool)
	timed    bool      // somebody wants to know
	spokeAt  time.Time // when it committed
}

// streamReader is how the layers, which know nothing of chunks, ask about the
// reader of a stream.
type streamReader interface {
	// reading says whether the reader's loop body runs: a panic is its own then.
	reading() bool
	// request is the user's own, inside of what the layers pass on.
	request(call any) any
	// answer delivers a person's answer: a chunk, or several. ok is false if it
	// is neither.
	answer(by string, call, value any) (end any, ok bool, err error)
	// answers are the types of what it can deliver.
	answers() []reflect.Type
}

// Sent returns what had been delivered of a stream before it was cut off, if
// err says so: all of it, or the last chunks of a long one (see
// [StreamBuilder.Keep]).
func Sent[Chunk any](err error) ([]Chunk, bool) {
	type found interface{ of() ([]Chunk, bool) }
	if e, ok := errtree.As[found](err); ok {
		return e.of()
	}
	return nil, false
}

// sentError is what cut a stream off, with what had been delivered until then.
// The chunks are for [Sent] alone: an event carries the error and no answer.
type sentError[Chunk any] struct {
	sent []Chunk
	err  error
}

func (e *sentError[Chunk]) Error() string       { return errtree.Text(e.err) }
func (e *sentError[Chunk]) Unwrap() error       { return e.err }
func (e *sentError[Chunk]) of() ([]Chunk, bool) { return e.sent, true }

// beforeCommit: the agent itself read another stream, which broke. Our reader has
// seen nothing yet, so we may try again: the class is that of the error inside.
type beforeCommit[Chunk any] struct {
	class strategies.Class
	err   error
}

func (e *beforeCommit[Chunk]) Error() string                   { return errtree.Text(e.err) }
func (e *beforeCommit[Chunk]) Unwrap() error                   { return e.err }
func (e *beforeCommit[Chunk]) RecoveryClass() strategies.Class { return e.class }
func (e *beforeCommit[Chunk]) of() ([]Chunk, bool)             { return nil, false }

// readersTime is a limit that ran out while the reader had the turn: the agent had
// spoken in time, and is not to blame.
type readersTime struct{ err error }

func (e *readersTime) Error() string { return errtree.Text(e.err) }
func (e *readersTime) Unwrap() error { return e.err }
