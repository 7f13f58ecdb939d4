package middleware

import (
	"context"
	"iter"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// GuardedStream is an agent that streams, in its chain. It is a [Streamer] like
// the agent itself, and safe for concurrent use.
type GuardedStream[Req, Chunk any] struct {
	inner *Guarded[StreamCall[Req, Chunk], StreamEnd]
	rules *streamRules[Req, Chunk]
}

// Stream asks the agent, and recovers what fails before the first committed
// chunk. Nothing happens until it is ranged over; each time it is, it is a new
// call. The reader sees exactly one end: the loop ends, or an error is the last
// thing it gets: a [strategies.RecoveryError], with a [strategies.StreamError]
// within if something had been delivered, or a framework's interrupt as it is.
//
// Leaving the loop early frees everything and counts as neither success nor
// failure. A panic in the loop's body passes through unchanged.
func (g *GuardedStream[Req, Chunk]) Stream(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) { g.open(ctx, req, yield, g.inner.chain, nil) }
}

// short is how the agent stands in by way of [AdaptStream]: without its retries
// and stand-ins.
func (g *GuardedStream[Req, Chunk]) short() (Streamer[Req, Chunk], *scope) {
	return StreamerFunc[Req, Chunk](func(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
		return func(yield func(Chunk, error) bool) { g.open(ctx, req, yield, g.inner.short, nil) }
	}), g.inner.scope
}

// StreamOutcome is a stream's provenance. It is complete once the stream has
// ended.
type StreamOutcome struct {
	Strategy strategies.Strategy // how it was recovered before the first chunk, or what is required now
	ServedBy string              // who spoke last; "" with Err
	Level    strategies.Level
	Attempts int

	Ended         bool           // false: not ranged over to the end, yet or at all
	Left          bool           // the reader left the loop; Strategy, Level and Attempts were not settled then
	Chunks        int            // delivered
	Sources       []StreamSource // how many of them from whom, in order
	Continuations int
	Elapsed       time.Duration
	Err           error
}

// Outcome is Stream with provenance: call the second result after the stream
// has ended. Both belong to one goroutine, and the stream is for one loop.
func (g *GuardedStream[Req, Chunk]) Outcome(ctx context.Context, req Req) (iter.Seq2[Chunk, error], func() StreamOutcome) {
	out := &StreamOutcome{}
	stream := func(yield func(Chunk, error) bool) {
		*out = StreamOutcome{}
		g.open(ctx, req, yield, nil, out)
	}
	return stream, func() StreamOutcome { return *out }
}

func (g *GuardedStream[Req, Chunk]) open(ctx context.Context, req Req, yield func(Chunk, error) bool, run Runner[StreamCall[Req, Chunk], StreamEnd], out *StreamOutcome) {
	var none Chunk
	if ctx == nil {
		yield(none, settingNil("Stream ctx", "a context, such as context.Background()"))
		return
	}
	s := &sink[Req, Chunk]{rules: g.rules, yield: yield}
	s.sent.kept, s.sources = s.firstSent[:0], s.firstSources[:0]
	call := StreamCall[Req, Chunk]{Request: req, sink: s}
	var err error
	if out == nil {
		_, err = run.Run(ctx, call)
	} else {
		err = g.trace(ctx, call, out)
	}
	if err != nil && !s.left {
		yield(none, err)
	}
}

// trace is a call whose reader wants to know how it went.
func (g *GuardedStream[Req, Chunk]) trace(ctx context.Context, call StreamCall[Req, Chunk], out *StreamOutcome) error {
	o, s := g.inner.Outcome(ctx, call), call.sink
	*out = StreamOutcome{
		Strategy: o.Strategy, ServedBy: o.ServedBy, Level: o.Level, Attempts: o.Attempts, Elapsed: o.Elapsed,
		Ended: true, Left: s.left, Chunks: s.delivered, Sources: s.sources, Continuations: s.continued, Err: o.Err,
	}
	if s.left {
		out.Err = nil
	}
	if out.Err == nil && len(s.sources) > 0 {
		out.ServedBy = s.sources[len(s.sources)-1].Agent
	}
	return o.Err
}

// Name returns the agent's name.
func (g *GuardedStream[Req, Chunk]) Name() string { return g.inner.Name() }

// Health returns a snapshot of the agent.
func (g *GuardedStream[Req, Chunk]) Health() Health { return g.inner.Health() }

// Explain describes the chain, and what happens after the first chunk.
func (g *GuardedStream[Req, Chunk]) Explain() Explanation { return g.inner.Explain() }
