package roles

import "slices"

// Company is several casts of one theatre, whatever types their agents have; see
// [Together].
type Company struct{ casts []Troupe }

// Troupe is what a [Company] asks a cast: a [Cast] and a [StreamCast] are one.
type Troupe interface {
	Names() []string
	Role(name string) (Role, bool)
	Missing() []Role
	Health() []Health
}

// Together is one view of several casts, such as one for each type of answer that
// share a table. It holds nothing of its own: agents that are registered later are
// seen. Casts that are nil are left out.
func Together(casts ...Troupe) *Company {
	return &Company{casts: slices.DeleteFunc(slices.Clone(casts), func(t Troupe) bool { return t == nil })}
}

// Health returns a snapshot of every agent, cast by cast. Two casts may use a name
// twice.
func (c *Company) Health() (all []Health) {
	for _, cast := range c.casts {
		all = append(all, cast.Health()...)
	}
	return all
}

// Missing returns the roles that stand in a table of theirs and that no agent of any
// of them has, sorted.
func (c *Company) Missing() (missing []Role) {
	played := map[Role]bool{}
	for _, cast := range c.casts {
		for _, name := range cast.Names() {
			role, _ := cast.Role(name)
			played[role] = true
		}
	}
	for _, cast := range c.casts {
		missing = append(missing, slices.DeleteFunc(cast.Missing(), func(r Role) bool { return played[r] })...)
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}
