package roles

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Cast is a company of agents. It wraps each one when it is registered, by one
// recipe for all, and knows who can stand in for whom. It is safe for
// concurrent use; a look-up takes no lock and costs the same in a large company
// as in a small one.
type Cast[Req, Resp any] struct {
	company[*middleware.Guarded[Req, Resp]]
	recipe Recipe[Req, Resp]
}

// Recipe adds to a builder what every agent of a cast gets. The builder comes
// with the agent's name, the cast's tally and the stand-ins of its role; the
// recipe may look at the agent, to give a slow one a longer timeout. It is
// called once an agent, so a breaker made in it is the agent's own, and one
// made outside of it is shared by all.
type Recipe[Req, Resp any] func(b *middleware.Builder[Req, Resp], agent Agent[Req, Resp])

// NewCast returns an empty cast. The table is copied. A nil recipe gives every
// agent the default [strategies.Retry] and nothing else. The error is a
// [strategies.ConfigError].
func NewCast[Req, Resp any](understudies Understudies, recipe Recipe[Req, Resp]) (*Cast[Req, Resp], error) {
	if recipe == nil {
		recipe = func(b *middleware.Builder[Req, Resp], _ Agent[Req, Resp]) { b.Retry(strategies.Retry{}) }
	}
	c := &Cast[Req, Resp]{recipe: recipe}
	if err := c.found(understudies); err != nil {
		return nil, err
	}
	return c, nil
}

// Register wraps an agent and returns it guarded: use that one from now on. The
// first agent registered in a role is the one that stands in for others. The
// error joins a [strategies.ConfigError] for each thing that is wrong; the
// agent is then not in the cast.
func (c *Cast[Req, Resp]) Register(agent Agent[Req, Resp]) (*middleware.Guarded[Req, Resp], error) {
	if c == nil || c.recipe == nil {
		return nil, &strategies.ConfigError{Setting: "Cast", Problem: "was not made by NewCast", Fix: "get it from roles.NewCast"}
	}
	name, role, err := identify(agent)
	if err != nil {
		return nil, err
	}
	if err := c.free(name); err != nil {
		return nil, err
	}
	runner := middleware.Runner[Req, Resp](agent)
	if own, ok := agent.(*named[Req, Resp]); ok {
		runner = own.runner // so that Build sees one that is nil
	}
	b := middleware.Wrap(runner).Named(name).Tally(&c.tally).Roster(c)
	if len(c.understudies[role]) > 0 {
		b.FallbackFrom(func(context.Context) (found []middleware.StandIn[middleware.Runner[Req, Resp]]) {
			for _, g := range c.standIns(name, role) {
				found = append(found, middleware.StandIn[middleware.Runner[Req, Resp]]{Name: g.Name(), Agent: g})
			}
			return found
		})
	}
	c.recipe(b, agent)
	guarded, err := b.Build()
	if err != nil {
		return nil, fmt.Errorf("understudy: agent %q: %w", name, err)
	}
	if err := c.join(name, role, guarded); err != nil {
		return nil, err
	}
	return guarded, nil
}

// Agent returns a registered agent, guarded.
func (c *Cast[Req, Resp]) Agent(name string) (*middleware.Guarded[Req, Resp], bool) {
	return c.agent(name)
}

// Lookup is [Cast.Agent] for a [middleware.Roster]: a person can name any agent
// of the cast.
func (c *Cast[Req, Resp]) Lookup(name string) (middleware.Runner[Req, Resp], bool) {
	if g, ok := c.agent(name); ok {
		return g, true
	}
	return nil, false
}

// Names returns the names of all agents, in the order of registration.
func (c *Cast[Req, Resp]) Names() []string { return c.names() }

// Owners returns all agents without their types, in the order of registration: for
// a console, or whatever else keeps agents of many types.
func (c *Cast[Req, Resp]) Owners() []*middleware.Owner {
	members := c.members()
	owners := make([]*middleware.Owner, len(members))
	for i, m := range members {
		owners[i] = m.guarded.Owner()
	}
	return owners
}

// Role returns the role of a registered agent.
func (c *Cast[Req, Resp]) Role(name string) (Role, bool) { return c.role(name) }

// StandIns returns the names of the agents that would be asked now if an agent
// could not answer, in order.
func (c *Cast[Req, Resp]) StandIns(name string) []string { return c.standInNames(name) }

// Missing returns the roles of the table that no registered agent has, sorted: a
// role that nobody plays yet, or a name with a typing error. Ask once all agents
// are registered.
func (c *Cast[Req, Resp]) Missing() []Role { return c.missing() }

// Failures returns how many calls of an agent have failed since it last
// recovered; 0 for an unknown name.
func (c *Cast[Req, Resp]) Failures(name string) int { return c.tally.Failures(name) }

// Reset deletes the failures of an agent and gives it its retries back. False:
// the name is unknown. The breaker is left alone; it is reset on its own.
func (c *Cast[Req, Resp]) Reset(name string) bool { return c.reset(name) }

// Health is a snapshot of one agent of a cast.
type Health struct {
	Role Role
	middleware.Health
}

// MarshalJSON writes the role beside what [middleware.Health] writes.
func (h Health) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(h.Health)
	if err != nil {
		return nil, err
	}
	role, err := json.Marshal(h.Role)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]byte(`{"Role":`), role, []byte{','}, text[1:]), nil
}

// UnmarshalJSON reads what MarshalJSON has written.
func (h *Health) UnmarshalJSON(text []byte) error {
	var role struct{ Role Role }
	if err := json.Unmarshal(text, &role); err != nil {
		return err
	}
	h.Role = role.Role
	return h.Health.UnmarshalJSON(text)
}

// Health returns a snapshot of every agent, in the order of registration. Taking
// it changes nothing.
func (c *Cast[Req, Resp]) Health() []Health { return c.health() }
