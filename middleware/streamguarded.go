package middleware

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// GuardedStream is an agent that streams, in its chain. It is a [Streamer] like
// the agent itself, and safe for concurrent use.
type GuardedStream[Req, Chunk any] struct {
	inner *Guarded[streamCall[Req, Chunk], streamEnd]
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
	return func(yield func(Chunk, error) bool) { g.open(ctx, req, yield, true, nil) }
}

// short is how the agent stands in by way of [AdaptStream]: without its retries
// and stand-ins.
func (g *GuardedStream[Req, Chunk]) short() (Streamer[Req, Chunk], *Owner) {
	return streamerFunc[Req, Chunk](func(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
		return func(yield func(Chunk, error) bool) { g.open(ctx, req, yield, false, nil) }
	}), g.Owner()
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
	Chunks        int            // delivered, and not erased
	Sources       []StreamSource // how many of them from whom, in order
	Continuations int
	Restarts      int              // how often the reader was told to erase what it had read
	Usage         strategies.Usage // what it has cost; see [Outcome]
	Elapsed       time.Duration
	Err           error
}

// MarshalJSON writes words for numbers, and the error as its text, redacted.
func (o StreamOutcome) MarshalJSON() ([]byte, error) {
	type plain StreamOutcome
	return json.Marshal(struct {
		plain
		Elapsed string
		Err     string `json:",omitempty"`
	}{plain(o), o.Elapsed.String(), strategies.Redact(errtree.Text(o.Err))})
}

// Outcome is Stream with provenance: call the second result after the stream
// has ended. Both belong to one goroutine, and the stream is for one loop.
func (g *GuardedStream[Req, Chunk]) Outcome(ctx context.Context, req Req) (iter.Seq2[Chunk, error], func() StreamOutcome) {
	out := &StreamOutcome{}
	stream := func(yield func(Chunk, error) bool) {
		*out = StreamOutcome{}
		g.open(ctx, req, yield, true, out)
	}
	return stream, func() StreamOutcome { return *out }
}

// open is one stream from its beginning to its end.
func (g *GuardedStream[Req, Chunk]) open(ctx context.Context, req Req, yield func(Chunk, error) bool, whole bool, out *StreamOutcome) {
	var none Chunk
	if problem := g.problem(ctx); problem != nil {
		if out != nil {
			*out = StreamOutcome{Ended: true, Err: problem}
		}
		yield(none, problem)
		return
	}
	n := g.inner.now.Load()
	if n.keys != nil {
		at, own, err := n.keys.enter(streamCall[Req, Chunk]{req: req})
		if err != nil {
			err = n.owner.publish(ctx, err)
			if out != nil {
				*out = StreamOutcome{Ended: true, Err: err}
			}
			yield(none, err)
			return
		}
		defer at.Leave()
		n, ctx = own, allowed(ctx, at)
	}
	r := &reader[Req, Chunk]{rules: n.rules.(*streamRules[Req, Chunk]), yield: yield}
	r.sent.kept, r.sources = r.firstSent[:0], r.firstSources[:0]
	r.side.reader = r
	r.traced.begin(ctx, n.owner, &r.side, out != nil)
	if out != nil {
		r.traced.measure()
	}
	run := n.chain
	if !whole {
		run = n.short
		if up := r.traced.call.up; up != nil && up.owner.agent() == n.owner.agent() { // the call that it stands in by
			r.traced.call.up, r.traced.call.id, r.traced.call.helping, r.traced.call.out = up.up, up.id, up.helping, up.out
		}
	}
	_, err := run.Run(&r.traced.call, streamCall[Req, Chunk]{req: req, reader: r})
	if out != nil {
		g.settle(r, err, out)
	}
	if err != nil && !r.left {
		yield(none, raw(err))
	}
}

func (g *GuardedStream[Req, Chunk]) problem(ctx context.Context) error {
	switch {
	case g == nil || g.inner == nil:
		return &strategies.ConfigError{Setting: "GuardedStream", Problem: "was not built", Fix: "get it from Build, as in middleware.WrapStream(agent).Build()"}
	case ctx == nil:
		return settingNil("Stream ctx", "a context, such as context.Background()")
	}
	return nil
}

// settle says how a stream went.
func (g *GuardedStream[Req, Chunk]) settle(r *reader[Req, Chunk], err error, out *StreamOutcome) {
	p := r.traced.settle(err)
	*out = StreamOutcome{
		Strategy: p.strategy, ServedBy: p.servedBy, Level: p.level, Attempts: p.attempts, Elapsed: time.Since(r.traced.start),
		Ended: true, Left: r.left, Chunks: r.delivered, Sources: r.sources, Continuations: r.continued, Restarts: r.restarted, Usage: r.traced.usage.total(), Err: err,
	}
	if r.left {
		out.Err = nil
	}
	if out.Err == nil && len(r.sources) > 0 {
		out.ServedBy = r.sources[len(r.sources)-1].Agent
	}
}

// Name returns the agent's name.
func (g *GuardedStream[Req, Chunk]) Name() string { return g.Owner().name() }

// Owner returns the agent without its types, for whoever keeps agents of many.
func (g *GuardedStream[Req, Chunk]) Owner() *Owner {
	if g == nil {
		return &Owner{}
	}
	return g.inner.Owner()
}

// Health returns a snapshot of the agent.
func (g *GuardedStream[Req, Chunk]) Health() Health { return g.Owner().Health() }

// Explain describes the chain, and what happens after the first chunk.
func (g *GuardedStream[Req, Chunk]) Explain() Explanation { return g.Owner().Explain() }
