package middleware

import (
	"cmp"
	"context"
)

// speaker is an agent at the bottom of a stream's chain.
type speaker[Req, Chunk any] struct {
	name  string
	from  Streamer[Req, Chunk]
	rules *streamRules[Req, Chunk] // of a guarded agent's own; nil: those of the call
	owner *Owner                   // of an agent that is guarded, but adapted
	asIs  bool                     // a reduced answer is taken as it is
}

func (l *speaker[Req, Chunk]) understudy() (Runner[streamCall[Req, Chunk], streamEnd], *Owner) {
	return l, l.owner
}

// asPart is that of a pool which speaks here.
func (l *speaker[Req, Chunk]) asPart() (part, bool) {
	if pool, ok := l.from.(*PoolStreamAgent[Req, Chunk]); ok && pool != nil && pool.inner != nil {
		return pool.inner.asPart()
	}
	return nil, false
}

func (l *speaker[Req, Chunk]) Run(ctx context.Context, call streamCall[Req, Chunk]) (streamEnd, error) {
	by := cmp.Or(call.rules, call.reader.rules)
	switch {
	case l.asIs:
		by = by.asIs()
	case l.rules != nil && l.rules != by:
		by = l.rules.visiting(by)
	}
	if pool, ok := l.from.(*PoolStreamAgent[Req, Chunk]); ok {
		call.rules = by
		return pool.inner.Run(ctx, call)
	}
	return streamEnd{}, call.reader.play(ctx, cmp.Or(call.as, l.name), call, l.from, by)
}

// guardedStandIn is a guarded agent that stands in: it brings its own chain and
// rules, speaks to the reader of the call, and is called by the name it stands in
// under.
type guardedStandIn[Req, Chunk any] struct {
	as    string
	inner Runner[streamCall[Req, Chunk], streamEnd]
}

func (l *guardedStandIn[Req, Chunk]) Run(ctx context.Context, call streamCall[Req, Chunk]) (streamEnd, error) {
	call.as = l.as
	return l.inner.Run(ctx, call)
}

func (l *guardedStandIn[Req, Chunk]) understudy() (Runner[streamCall[Req, Chunk], streamEnd], *Owner) {
	short, owner := shortForm(l.inner)
	return &guardedStandIn[Req, Chunk]{as: l.as, inner: short}, owner
}

// speak makes a stand-in, or a rung, of a streamer. A guarded one brings its own
// chain, and speaks to the same reader.
func speak[Req, Chunk any](name string, s Streamer[Req, Chunk]) Runner[streamCall[Req, Chunk], streamEnd] {
	if isNil(s) {
		return nil
	}
	if g, ok := s.(*GuardedStream[Req, Chunk]); ok {
		return &guardedStandIn[Req, Chunk]{as: name, inner: g.inner}
	}
	short, owner := shortStream(s)
	return &speaker[Req, Chunk]{name: name, from: short, owner: owner}
}

type streamRoster[Req, Chunk any] struct{ of Roster[Streamer[Req, Chunk]] }

func (r streamRoster[Req, Chunk]) Names() []string { return r.of.Names() }

func (r streamRoster[Req, Chunk]) Lookup(name string) (Runner[streamCall[Req, Chunk], streamEnd], bool) {
	s, ok := r.of.Lookup(name)
	return speak(name, s), ok && !isNil(s)
}
