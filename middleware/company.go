package middleware

import "slices"

// Roster knows agents by name, for a person who says "use that one".
type Roster[Req, Resp any] interface {
	Names() []string
	Lookup(name string) (Runner[Req, Resp], bool)
}

// company is whom a person can name: the stand-ins, and the roster. Either may
// be missing.
type company[Req, Resp any] struct {
	standIns func() []understudy[Req, Resp]
	roster   Roster[Req, Resp]
}

func (c company[Req, Resp]) names() (names []string) {
	if c.standIns != nil {
		for _, s := range c.standIns() {
			names = append(names, s.Name)
		}
	}
	if c.roster != nil {
		names = append(names, c.roster.Names()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// find returns an agent in the form in which it stands in for s.
func (c company[Req, Resp]) find(s *scope, name string) (none understudy[Req, Resp], _ bool) {
	if c.standIns != nil {
		for _, known := range c.standIns() {
			if known.Name == name {
				return known, true
			}
		}
	}
	if c.roster == nil {
		return none, false
	}
	runner, ok := c.roster.Lookup(name)
	if !ok {
		return none, false
	}
	return understudies(s, []StandIn[Req, Resp]{{Name: name, Runner: runner}}, nil)[0], true
}
