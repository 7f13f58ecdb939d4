package middleware

import (
	"context"
	"errors"
	"iter"

	"github.com/understudy-go/understudy/strategies"
)

// Piece is a chunk or, at the end, an error, for streams that go by channel.
type Piece[Chunk any] struct {
	Chunk Chunk
	Err   error
}

// FromChannel makes a [Streamer] of a function that answers on a channel. The
// context it gets ends when the reader leaves, so that its goroutine need not
// outlive its reader; the channel must be closed at the end.
func FromChannel[Req, Chunk any](open func(ctx context.Context, req Req) (<-chan Piece[Chunk], error)) Streamer[Req, Chunk] {
	if open == nil {
		return nil
	}
	return StreamerFunc[Req, Chunk](func(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
		return func(yield func(Chunk, error) bool) {
			var none Chunk
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			pieces, err := open(ctx, req)
			if err != nil {
				yield(none, err)
				return
			}
			if pieces == nil {
				yield(none, strategies.WithClass(strategies.ClassInvalidAnswer, errors.New("understudy: the agent returned a nil channel")))
				return
			}
			for {
				select {
				case p, ok := <-pieces:
					switch {
					case !ok:
						return
					case p.Err != nil:
						yield(none, p.Err)
						return
					case !yield(p.Chunk, nil):
						return
					}
				case <-ctx.Done():
					yield(none, context.Cause(ctx))
					return
				}
			}
		}
	})
}

// ToChannel ranges over a stream on a goroutine of its own and sends what it
// yields on a channel, which is closed at the end. The goroutine ends with the
// stream, or when ctx ends: a reader who leaves early must end it.
func ToChannel[Chunk any](ctx context.Context, stream iter.Seq2[Chunk, error]) <-chan Piece[Chunk] {
	pieces := make(chan Piece[Chunk])
	go func() {
		defer close(pieces)
		for chunk, err := range stream {
			select {
			case pieces <- Piece[Chunk]{chunk, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return pieces
}

// ErrReaderLeft is what emit returns to a [FromCallback] function whose reader
// has left: it should return.
var ErrReaderLeft = errors.New("understudy: the reader of the stream has left")

// FromCallback makes a [Streamer] of a function that calls emit with each
// chunk. It runs on the reader's goroutine, and must stop when emit returns an
// error.
func FromCallback[Req, Chunk any](run func(ctx context.Context, req Req, emit func(Chunk) error) error) Streamer[Req, Chunk] {
	if run == nil {
		return nil
	}
	return StreamerFunc[Req, Chunk](func(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
		return func(yield func(Chunk, error) bool) {
			left := false
			err := run(ctx, req, func(chunk Chunk) error {
				if left = left || !yield(chunk, nil); left {
					return ErrReaderLeft
				}
				return nil
			})
			if err != nil && !left {
				var none Chunk
				yield(none, err)
			}
		}
	})
}

// ToCallback calls emit with each chunk of a stream. It returns the stream's
// error, or the first of emit, which ends the stream.
func ToCallback[Chunk any](stream iter.Seq2[Chunk, error], emit func(Chunk) error) error {
	for chunk, err := range stream {
		if err != nil {
			return err
		}
		if err := emit(chunk); err != nil {
			return err
		}
	}
	return nil
}

// Collect ranges over a stream and returns its chunks; with an error, those
// that came before it.
func Collect[Chunk any](stream iter.Seq2[Chunk, error]) ([]Chunk, error) {
	var all []Chunk
	return all, ToCallback(stream, func(chunk Chunk) error {
		all = append(all, chunk)
		return nil
	})
}
