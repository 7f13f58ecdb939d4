package eino

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime/debug"

	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// whole asks for an answer in one piece. Somebody's answer in several is put
// together by join.
func whole[Req, Chunk any](ctx context.Context, agent *middleware.GuardedStream[Req, Chunk], req Req, join func([]Chunk) (Chunk, error)) (Chunk, error) {
	var none Chunk
	chunks, err := middleware.Collect(agent.Stream(ctx, req))
	switch {
	case err != nil:
		return none, untouched(err)
	case len(chunks) == 1:
		return chunks[0], nil
	}
	return join(chunks)
}

// open asks for a stream and returns once it has said something: what fails
// before that is the error of the call, as it is of a model that fails, and an
// interrupt is one that eino sees.
//
// The reader may be left unread and unclosed: what it holds is freed when ctx
// ends.
func open[Req, Chunk any](ctx context.Context, agent *middleware.GuardedStream[Req, Chunk], req Req, first func(Chunk) Chunk) (*schema.StreamReader[Chunk], error) {
	return piped(ctx, agent.Stream(ctx, req), first)
}

func piped[Chunk any](ctx context.Context, stream iter.Seq2[Chunk, error], first func(Chunk) Chunk) (*schema.StreamReader[Chunk], error) {
	next, stop := iter.Pull2(stream)
	chunk, err, more := next()
	if err != nil || !more {
		stop()
		return schema.StreamReaderFromArray[Chunk](nil), untouched(err)
	}
	pipe, writer := schema.Pipe[Chunk](0)
	// Its reader may close it, and the end of ctx: this makes a second time harmless.
	pipe.SetAutomaticClose()
	unwatch := context.AfterFunc(ctx, pipe.Close)
	var end error // written before the writer is closed, read after
	go func() {
		defer writer.Close()
		defer unwatch()
		defer func() {
			if v := recover(); v != nil { // of an observer's: there is nobody above here
				end = &strategies.PanicError{Value: v, Stack: debug.Stack()}
			}
		}()
		defer stop()
		for chunk = first(chunk); more && err == nil; chunk, err, more = next() {
			if writer.Send(chunk, nil) {
				end = context.Cause(ctx) // or nobody listens
				return
			}
		}
		end = untouched(err)
	}()
	// The error is not sent, for a pipe that ctx has closed takes nothing more, and
	// would end as if all were well.
	return schema.StreamReaderWithConvert(pipe, func(c Chunk) (Chunk, error) { return c, nil },
		schema.WithOnEOF(func() (any, error) {
			if end == nil {
				return nil, io.EOF
			}
			return nil, end
		})), nil
}

// read ranges over a reader and closes it.
func read[T any](reader *schema.StreamReader[T]) iter.Seq2[T, error] {
	if reader == nil {
		return failing[T](errors.New("understudy: eino: neither a stream nor an error"))
	}
	return func(yield func(T, error) bool) {
		defer reader.Close()
		for {
			chunk, err := reader.Recv()
			if err == io.EOF { //nolint:errorlint // a wrapped one is a torn connection
				return
			}
			if !yield(chunk, err) || err != nil {
				return
			}
		}
	}
}

func failing[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, explain(err))
	}
}
