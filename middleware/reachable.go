package middleware

import (
	"context"
	"slices"
)

// Roster knows agents by name, for a person who says "use that one". A is their
// type: a [Runner], or a [Streamer] for agents that stream.
type Roster[A any] interface {
	Names() []string
	Lookup(name string) (A, bool)
}

// Roster lets a person name agents beyond the stand-ins of this one.
func (b *Builder[Req, Resp]) Roster(r Roster[Runner[Req, Resp]]) *Builder[Req, Resp] {
	b.settings().once("Roster")
	b.roster = r
	return b
}

// reachable is whom a person can name: the stand-ins, and the roster. Either may
// be missing.
type reachable[Req, Resp any] struct {
	standIns lookUp[Req, Resp]
	roster   Roster[Runner[Req, Resp]]
}

func (r reachable[Req, Resp]) names(ctx context.Context) (names []string) {
	if r.standIns != nil {
		all, _ := r.standIns(ctx)
		for _, s := range all {
			names = append(names, s.name)
		}
	}
	if r.roster != nil {
		names = append(names, r.roster.Names()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// find returns an agent in the form in which it stands in.
func (r reachable[Req, Resp]) find(ctx context.Context, name string) (none standIn[Req, Resp], _ bool) {
	if r.standIns != nil {
		all, _ := r.standIns(ctx)
		for _, known := range all {
			if known.name == name {
				return known, true
			}
		}
	}
	if r.roster == nil {
		return none, false
	}
	runner, ok := r.roster.Lookup(name)
	if !ok {
		return none, false
	}
	return shortened([]StandIn[Runner[Req, Resp]]{{Name: name, Agent: runner}}, nil)[0], true
}
