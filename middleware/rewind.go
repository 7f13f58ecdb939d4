package middleware

import (
	"context"
	"slices"
)

// Rewind is for an agent with a memory, such as a chat that appends the question to
// its history before it asks: asked again it would send the question twice. mark is
// called before the first attempt of a call and returns how to set the memory back
// to that moment; this is called before each later attempt of the agent, a retry or
// one that a person asked for. A stand-in has a memory of its own.
//
// Calls of one chat must not overlap: a memory that two write to cannot be set back.
// It costs a healthy call an allocation and what mark does.
func (s *Settings) Rewind(mark func() (restore func())) *Settings {
	return s.add(&rewindPart{basics{"Rewind", StageIdentify}, mark}, missing("Rewind", mark == nil))
}

// History is for Rewind, of an agent that keeps its conversation in a slice, as those of
// OpenAI's and Anthropic's clients do: .Rewind(middleware.History(&chat.messages)). The
// slice is copied once a call, its elements as they are.
func History[Message any](messages *[]Message) func() (restore func()) {
	if messages == nil {
		return nil // refused by the builder
	}
	return func() func() {
		before := slices.Clone(*messages)
		return func() { *messages = slices.Clip(slices.Clone(before)) }
	}
}

type rewindPart struct {
	basics
	mark func() (restore func())
}

func (p *rewindPart) explain(e *explaining) {
	e.row(StageIdentify, "the agent's memory is set back before it is asked again")
}

// rewinding is one call's mark.
type rewinding struct {
	restore func()
	asked   bool // an attempt has been made
}

// marker is the layer that marks, outside of everything that asks again.
type marker[Req, Resp any] struct {
	owner *Owner
	mark  func() (restore func())
	next  Runner[Req, Resp]
}

func (l *marker[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	r := &struct {
		call
		rewinding
	}{}
	if err := protect(func() error { r.restore = l.mark(); return nil }); err != nil {
		var none Resp
		return none, err
	}
	l.owner.fill(&r.call, ctx, 0)
	r.call.rewind = &r.rewinding
	return l.next.Run(&r.call, req)
}

// rewinder sets back, inside of the retries.
type rewinder[Req, Resp any] struct {
	owner *Owner
	next  Runner[Req, Resp]
}

func (l *rewinder[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	if c := l.owner.own(ctx); c != nil && c.rewind != nil && !c.helping {
		if c.rewind.asked && c.rewind.restore != nil {
			if err := protect(func() error { c.rewind.restore(); return nil }); err != nil {
				var none Resp
				return none, err
			}
		}
		c.rewind.asked = true
	}
	return l.next.Run(ctx, req)
}
