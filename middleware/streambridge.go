package middleware

import (
	"context"
	"errors"
	"iter"
)

// FromChannel makes a [Streamer] of a function that answers on a channel, which
// it closes at the end; ended is then asked, once, for the error that the stream
// ended with, and may be nil if there can be none. The context it gets ends when
// the reader leaves, so that its goroutine need not outlive its reader.
func FromChannel[Req, Chunk any](open func(ctx context.Context, req Req) (chunks <-chan Chunk, ended func() error, err error)) Streamer[Req, Chunk] {
	if open == nil {
		return nil
	}
	return streamerFunc[Req, Chunk](func(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
		return func(yield func(Chunk, error) bool) {
			var none Chunk
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			chunks, ended, err := open(ctx, req)
			if err == nil && chunks == nil {
				err = noAnswer("the agent returned a nil channel")
			}
			if err != nil {
				yield(none, err)
				return
			}
			for {
				select {
				case chunk, ok := <-chunks:
					if !ok {
						if ended == nil {
							return
						}
						if err := ended(); err != nil {
							yield(none, err)
						}
						return
					}
					if !yield(chunk, nil) {
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
	return streamerFunc[Req, Chunk](func(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
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

// Collect ranges over a stream and returns its chunks; with an error, those
// that came before it.
func Collect[Chunk any](stream iter.Seq2[Chunk, error]) (all []Chunk, _ error) {
	if stream == nil {
		return nil, noAnswer("the stream is nil")
	}
	for chunk, err := range stream {
		if err != nil {
			return all, err
		}
		all = append(all, chunk)
	}
	return all, nil
}
