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
	who   *scope                   // of an agent that is guarded, but adapted
	loose bool                     // a reduced answer is taken as it is
}

func (l *speaker[Req, Chunk]) understudy() (Runner[StreamCall[Req, Chunk], StreamEnd], *scope) {
	return l, l.who
}

func (l *speaker[Req, Chunk]) Run(ctx context.Context, call StreamCall[Req, Chunk]) (StreamEnd, error) {
	by := call.sink.rules
	switch {
	case l.loose:
		by = by.loose()
	case l.rules != nil && l.rules != by:
		by = l.rules.visiting(by)
	}
	return call.sink.play(ctx, cmp.Or(call.as, l.name), call, l.from, by)
}

// guest is a guarded agent that stands in: it brings its own chain and rules,
// speaks to the reader of the call, and is called by the name it stands in under.
type guest[Req, Chunk any] struct {
	as    string
	inner Runner[StreamCall[Req, Chunk], StreamEnd]
}

func (l *guest[Req, Chunk]) Run(ctx context.Context, call StreamCall[Req, Chunk]) (StreamEnd, error) {
	call.as = l.as
	return l.inner.Run(ctx, call)
}

func (l *guest[Req, Chunk]) understudy() (Runner[StreamCall[Req, Chunk], StreamEnd], *scope) {
	short, who := standIn(l.inner)
	return &guest[Req, Chunk]{as: l.as, inner: short}, who
}

// visiting are the rules of a guarded agent that stands in where others were
// made: it knows its own chunks, and the reader wants whole answers or not.
func (r *streamRules[Req, Chunk]) visiting(reader *streamRules[Req, Chunk]) *streamRules[Req, Chunk] {
	own := *r
	own.buffer = cmp.Or(reader.buffer, own.buffer)
	return &own
}

// StreamStandIn is an agent that can play the role of another, under its name.
type StreamStandIn[Req, Chunk any] struct {
	Name     string
	Streamer Streamer[Req, Chunk]
}

// StreamRoster knows agents by name, for a person who says "use that one".
type StreamRoster[Req, Chunk any] interface {
	Names() []string
	Lookup(name string) (Streamer[Req, Chunk], bool)
}

type streamRoster[Req, Chunk any] struct{ of StreamRoster[Req, Chunk] }

func (r streamRoster[Req, Chunk]) Names() []string { return r.of.Names() }

func (r streamRoster[Req, Chunk]) Lookup(name string) (Runner[StreamCall[Req, Chunk], StreamEnd], bool) {
	s, ok := r.of.Lookup(name)
	return speak(name, s), ok && !isNil(s)
}
