package middleware

import (
	"context"
	"iter"
	"slices"

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

// StreamerFunc makes a function a [Streamer].
type StreamerFunc[Req, Chunk any] func(ctx context.Context, req Req) iter.Seq2[Chunk, error]

// Stream calls f.
func (f StreamerFunc[Req, Chunk]) Stream(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
	return f(ctx, req)
}

// StreamFunc makes a function a [Streamer] without spelling out its types.
func StreamFunc[Req, Chunk any](f func(ctx context.Context, req Req) iter.Seq2[Chunk, error]) Streamer[Req, Chunk] {
	if f == nil {
		return nil
	}
	return StreamerFunc[Req, Chunk](f)
}

// Chunks returns a stream that yields what it is given: a rung that says a
// fixed sentence, for one.
func Chunks[Req, Chunk any](chunks ...Chunk) Streamer[Req, Chunk] {
	chunks = slices.Clone(chunks)
	return StreamerFunc[Req, Chunk](func(context.Context, Req) iter.Seq2[Chunk, error] {
		return func(yield func(Chunk, error) bool) {
			for _, c := range chunks {
				if !yield(c, nil) {
					return
				}
			}
		}
	})
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

func (a *streamAdapter[Req, Chunk, Req2, Chunk2]) short() (Streamer[Req, Chunk], *scope) {
	short, who := shorten(a.streamer)
	return &streamAdapter[Req, Chunk, Req2, Chunk2]{streamer: short, in: a.in, out: a.out}, who
}

// shorten returns the form in which a streamer stands in for another, as standIn
// does for a runner.
func shorten[Req, Chunk any](s Streamer[Req, Chunk]) (short Streamer[Req, Chunk], who *scope) {
	if long, ok := s.(interface {
		short() (Streamer[Req, Chunk], *scope)
	}); ok {
		return long.short()
	}
	return s, nil
}

// Sent returns what had been delivered of a stream before it was cut off, if
// err says so: all of it, or the last chunks of a long one (see
// [StreamBuilder.Keep]).
func Sent[Chunk any](err error) ([]Chunk, bool) {
	for err != nil {
		switch e := err.(type) {
		case *cutOff:
			if sent, ok := e.sent.([]Chunk); ok {
				return sent, true
			}
			err = e.StreamError
		case *unheard:
			return nil, false
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			for _, branch := range e.Unwrap() {
				if sent, ok := Sent[Chunk](branch); ok {
					return sent, true
				}
			}
			return nil, false
		default:
			return nil, false
		}
	}
	return nil, false
}

// StreamCall is what the layers of a stream pass on in the place of a request:
// the request, and the way to its reader. A middleware used at a stage may
// change the Request.
type StreamCall[Req, Chunk any] struct {
	Request Req
	sink    *sink[Req, Chunk]
	as      string // the name of a guarded stand-in
}

// StreamEnd is what they pass back in the place of an answer: the stream has
// been delivered.
type StreamEnd struct {
	Chunks int // delivered in the attempt that ended well
}

// The following are how the layers, which know nothing of streams, ask a
// request whether it is one.

func (c StreamCall[Req, Chunk]) reading() bool { return c.sink != nil && c.sink.reading }

func (c StreamCall[Req, Chunk]) request() any { return c.Request }

func (c StreamCall[Req, Chunk]) whenCommitted(f func(bounded bool)) { c.sink.onCommit = f }

// deliver is a person's answer to a stream: a chunk, or several.
func (c StreamCall[Req, Chunk]) deliver(agent string, value any) (any, error, bool) {
	chunks, ok := value.([]Chunk)
	if one, is := value.(Chunk); is {
		chunks, ok = []Chunk{one}, true
	}
	if !ok {
		return nil, nil, false
	}
	end, err := c.sink.play(context.Background(), agent, c, Chunks[Req](chunks...), c.sink.rules.loose())
	return end, err, true
}

// cutOff carries what had been delivered beside the error.
type cutOff struct {
	*strategies.StreamError
	sent any
}

func (e *cutOff) Unwrap() error { return e.StreamError }
