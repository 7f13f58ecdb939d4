package middleware

import (
	"context"
	"iter"

	"github.com/understudy-go/understudy/strategies"
)

// StreamMember is a [Member] that answers piece by piece. The fields mean the same.
type StreamMember[Req, Chunk any] struct {
	Name    string
	Agent   Streamer[Req, Chunk]
	Weight  float64
	Domain  string
	Key     string
	Can     func(req Req) bool
	Breaker *strategies.Breaker
}

// PoolStream is [Pool] for agents that stream. Before the commit a retry asks another
// member. What fails after it is booked on the member that spoke, and is final for the
// call, unless the chain has Continue or Restart, which ask another then. Latency is
// the time until the commit, a member that comes back has proved itself when it
// speaks, and a reader that leaves says nothing about it. The member that spoke
// stands in [StreamOutcome] as the source.
//
//	pool, err := middleware.PoolStream(settings, east, west)
//	guarded, err := middleware.WrapStream(pool).Retry(strategies.Retry{}).Build()
func PoolStream[Req, Chunk any](s PoolSettings[Req], members ...StreamMember[Req, Chunk]) (*PoolStreamAgent[Req, Chunk], error) {
	type call = streamCall[Req, Chunk]
	inner := PoolSettings[call]{
		Spread: s.Spread, MaxWait: s.MaxWait, StayFor: s.StayFor, MaxStays: s.MaxStays, Classifier: s.Classifier,
	}
	if s.Stay != nil {
		inner.Stay = func(c call) string { return s.Stay(c.req) }
	}
	if s.Choose != nil {
		inner.Choose = func(c call, among []MemberHealth) int { return s.Choose(c.req, among) }
	}
	all := make([]Member[call, streamEnd], len(members))
	for i, m := range members {
		all[i] = Member[call, streamEnd]{Name: m.Name, Agent: speak(m.Name, m.Agent), Weight: m.Weight, Domain: m.Domain, Key: m.Key, Breaker: m.Breaker}
		if m.Can != nil {
			all[i].Can = func(c call) bool { return m.Can(c.req) }
		}
	}
	pool, err := Pool(inner, all...)
	if err != nil {
		return nil, err
	}
	pool.streams, pool.simple = true, false
	p := &PoolStreamAgent[Req, Chunk]{inner: pool}
	p.alone, err = WrapStream[Req, Chunk](p).Named("pool").Build()
	return p, err
}

// PoolStreamAgent is a pool of agents that stream, as an agent. It is safe for
// concurrent use.
type PoolStreamAgent[Req, Chunk any] struct {
	inner *PoolAgent[streamCall[Req, Chunk], streamEnd]
	alone *GuardedStream[Req, Chunk] // for whoever asks it without a chain of its own
}

// Stream asks one of the members, by a chain without settings. Put the pool into one
// of your own: see [WrapStream].
func (p *PoolStreamAgent[Req, Chunk]) Stream(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
	if p == nil || p.alone == nil {
		return (*GuardedStream[Req, Chunk])(nil).Stream(ctx, req)
	}
	return p.alone.Stream(ctx, req)
}

// Health says how each member is, in the order in which they were given.
func (p *PoolStreamAgent[Req, Chunk]) Health() []MemberHealth {
	if p == nil {
		return nil
	}
	return p.inner.Health()
}

func (p *PoolStreamAgent[Req, Chunk]) charges() bool { return p != nil && p.inner.charges() }
