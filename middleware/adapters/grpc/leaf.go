package grpc

import (
	"context"
	"errors"
	"io"
	"iter"

	sdk "google.golang.org/grpc"

	"github.com/understudy-go/understudy/middleware"
)

// Unary makes a method of a generated client an agent: Unary(client.Check). The
// options go with every call.
func Unary[Req, Resp any](method func(ctx context.Context, in Req, options ...sdk.CallOption) (Resp, error), options ...sdk.CallOption) middleware.Runner[Req, Resp] {
	if method == nil {
		return nil // refused by the builder
	}
	return middleware.Func(func(ctx context.Context, req Req) (Resp, error) { return method(ctx, req, options...) })
}

// Stream makes a method that answers in a stream an agent: Stream(client.Watch).
// It needs no Complete: gRPC ends a stream with a status, and one that is cut off
// has none. Each message is a sign of life of the call it is made in, see
// [middleware.Call.Alive].
func Stream[Req, Chunk any](method func(ctx context.Context, in Req, options ...sdk.CallOption) (sdk.ServerStreamingClient[Chunk], error), options ...sdk.CallOption) middleware.Streamer[Req, *Chunk] {
	if method == nil {
		return nil // refused by the builder
	}
	return middleware.StreamFunc(func(ctx context.Context, req Req) iter.Seq2[*Chunk, error] {
		return func(yield func(*Chunk, error) bool) {
			ctx, leave := context.WithCancel(ctx) // what ends a stream whose reader is gone
			defer leave()
			stream, err := method(ctx, req, options...)
			if err != nil {
				yield(nil, err)
				return
			}
			call := middleware.CallOf(ctx)
			for {
				chunk, err := stream.Recv()
				if err == nil {
					call.Alive()
				}
				switch {
				case errors.Is(err, io.EOF):
					return
				case err != nil:
					yield(nil, err)
					return
				case !yield(chunk, nil):
					return
				}
			}
		}
	})
}
