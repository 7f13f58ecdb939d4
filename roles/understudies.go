package roles

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/understudy-go/understudy/strategies"
)

// Understudies says which roles can be played by whom: role → the roles that
// stand in for it, in the order in which they are asked. A role that is not a
// key has nobody. The zero value is a table in which nobody stands in.
type Understudies map[Role][]Role

// Of returns the roles that stand in for a role, in order.
func (u Understudies) Of(role Role) []Role { return slices.Clone(u[role]) }

// Validate refuses a role without a name, a role named twice for another, an
// empty list, and a cycle: if each stood in for the other, a failure of both
// would go round in circles. The error is a [strategies.ConfigError].
func (u Understudies) Validate() error {
	for _, role := range u.sorted() {
		setting := fmt.Sprintf("Understudies[%q]", role)
		if role == "" {
			return &strategies.ConfigError{Setting: "Understudies", Problem: "has a role without a name", Fix: "name it"}
		}
		if len(u[role]) == 0 {
			return &strategies.ConfigError{Setting: setting, Problem: "is an empty list", Fix: "leave the role out if nobody stands in for it"}
		}
		seen := map[Role]bool{}
		for _, other := range u[role] {
			switch {
			case other == "":
				return &strategies.ConfigError{Setting: setting, Problem: "has a role without a name", Fix: "name it"}
			case seen[other]:
				return &strategies.ConfigError{Setting: setting, Problem: fmt.Sprintf("names %q twice", other), Fix: "name each role once"}
			}
			seen[other] = true
		}
	}
	if cycle := u.cycle(); cycle != nil {
		names := make([]string, len(cycle))
		for i, r := range cycle {
			names[i] = string(r)
		}
		return &strategies.ConfigError{Setting: "Understudies", Problem: "has a cycle: " + strings.Join(names, " → "), Fix: "nobody can stand in for whom they depend on: break it at one place"}
	}
	return nil
}

// cycle returns the roles of a cycle, the first one again at the end, or nil.
// It visits each role once, with a stack of its own: a table may be long.
func (u Understudies) cycle() []Role {
	done := map[Role]bool{}
	for _, start := range u.sorted() {
		type step struct {
			role Role
			next int
		}
		path, on := []step{{role: start}}, map[Role]bool{start: true}
		for len(path) > 0 {
			at := &path[len(path)-1]
			others := u[at.role]
			if done[at.role] || at.next == len(others) {
				done[at.role] = true
				delete(on, at.role)
				path = path[:len(path)-1]
				continue
			}
			other := others[at.next]
			at.next++
			if on[other] {
				first := slices.IndexFunc(path, func(s step) bool { return s.role == other })
				var cycle []Role
				for _, s := range path[first:] {
					cycle = append(cycle, s.role)
				}
				return append(cycle, other)
			}
			if !done[other] {
				on[other] = true
				path = append(path, step{role: other})
			}
		}
	}
	return nil
}

func (u Understudies) sorted() []Role { return slices.Sorted(maps.Keys(u)) }

func (u Understudies) clone() Understudies {
	c := make(Understudies, len(u))
	for role, others := range u {
		c[role] = slices.Clone(others)
	}
	return c
}
