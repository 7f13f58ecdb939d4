package roles

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Cast is a company of agents. It wraps each one when it is registered, by one
// recipe for all, and knows who can stand in for whom. It is safe for
// concurrent use; a look-up takes no lock and costs the same in a large company
// as in a small one.
type Cast[Req, Resp any] struct {
	understudies Understudies
	recipe       Recipe[Req, Resp]
	tally        strategies.Tally

	guarded sync.Map // name → *member
	byRole  sync.Map // role → *company, in order of registration

	mu    sync.Mutex // registrations, one at a time
	order atomic.Pointer[[]*member[Req, Resp]]
}

// Recipe adds to a builder what every agent of a cast gets. The builder comes
// with the agent's name, the cast's tally and the stand-ins of its role; the
// recipe may look at the agent, to give a slow one a longer timeout. It is
// called once an agent, so a breaker made in it is the agent's own, and one
// made outside of it is shared by all.
type Recipe[Req, Resp any] func(b *middleware.Builder[Req, Resp], agent Agent[Req, Resp])

type member[Req, Resp any] struct {
	role    Role
	guarded *middleware.Guarded[Req, Resp]
}

// company is the agents of one role. Appending keeps what readers hold intact.
type company[Req, Resp any] struct {
	members atomic.Pointer[[]*member[Req, Resp]]
}

// NewCast returns an empty cast. The table is copied. A nil recipe gives every
// agent the default [strategies.Retry] and nothing else. The error is a
// [strategies.ConfigError].
func NewCast[Req, Resp any](understudies Understudies, recipe Recipe[Req, Resp]) (*Cast[Req, Resp], error) {
	if err := understudies.Validate(); err != nil {
		return nil, err
	}
	if recipe == nil {
		recipe = func(b *middleware.Builder[Req, Resp], _ Agent[Req, Resp]) { b.Retry(strategies.Retry{}) }
	}
	c := &Cast[Req, Resp]{understudies: understudies.clone(), recipe: recipe}
	c.order.Store(&[]*member[Req, Resp]{})
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
	if _, taken := c.guarded.Load(name); taken { // before the recipe makes, and the chain watches, anything
		return nil, registered(name)
	}
	runner := middleware.Runner[Req, Resp](agent)
	if own, ok := agent.(*named[Req, Resp]); ok {
		runner = own.runner // so that Build sees one that is nil
	}
	b := middleware.Wrap(runner).Named(name).Tally(&c.tally).Roster(c)
	if len(c.understudies[role]) > 0 {
		b.FallbackFrom(func(context.Context) []middleware.StandIn[middleware.Runner[Req, Resp]] {
			return c.standIns(name, role)
		})
	}
	c.recipe(b, agent)
	guarded, err := b.Build()
	if err != nil {
		return nil, fmt.Errorf("understudy: agent %q: %w", name, err)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	m := &member[Req, Resp]{role: role, guarded: guarded}
	if _, taken := c.guarded.LoadOrStore(name, m); taken {
		return nil, registered(name)
	}
	entry, _ := c.byRole.LoadOrStore(role, &company[Req, Resp]{})
	entry.(*company[Req, Resp]).add(m)
	order := append(c.members(), m)
	c.order.Store(&order)
	return guarded, nil
}

func registered(name string) error {
	return &strategies.ConfigError{Setting: fmt.Sprintf("Register %q", name), Problem: "is registered already", Fix: "a name stands once in a cast"}
}

// identify asks an agent who it is.
func identify[Req, Resp any](a Agent[Req, Resp]) (name string, role Role, err error) {
	defer func() {
		if v := recover(); v != nil { // a nil pointer inside of the interface
			err = &strategies.ConfigError{Setting: "Register", Problem: fmt.Sprintf("got an agent that panics when asked for its name: %v", v), Fix: "register a finished agent"}
		}
	}()
	if a == nil {
		return "", "", &strategies.ConfigError{Setting: "Register", Problem: "got a nil agent", Fix: "register a finished agent"}
	}
	switch name, role = a.Name(), a.Role(); {
	case name == "":
		return "", "", &strategies.ConfigError{Setting: "Register", Problem: "got an agent without a name", Fix: "a name is an agent's identity: give it one"}
	case role == "":
		return "", "", &strategies.ConfigError{Setting: fmt.Sprintf("Register %q", name), Problem: "has no role", Fix: "give it one; it decides who can stand in"}
	}
	return name, role, nil
}

func (c *company[Req, Resp]) all() []*member[Req, Resp] {
	if all := c.members.Load(); all != nil {
		return *all
	}
	return nil
}

func (c *company[Req, Resp]) add(m *member[Req, Resp]) {
	all := append(c.all(), m)
	c.members.Store(&all)
}

// standIns looks up who can stand in now: of each role that can, the first
// agent registered, never the agent itself.
func (c *Cast[Req, Resp]) standIns(name string, role Role) []middleware.StandIn[middleware.Runner[Req, Resp]] {
	var found []middleware.StandIn[middleware.Runner[Req, Resp]]
	for _, other := range c.understudies[role] {
		entry, ok := c.byRole.Load(other)
		if !ok {
			continue // nobody of that role yet
		}
		for _, m := range entry.(*company[Req, Resp]).all() {
			if who := m.guarded.Name(); who != name {
				found = append(found, middleware.StandIn[middleware.Runner[Req, Resp]]{Name: who, Agent: m.guarded})
				break
			}
		}
	}
	return found
}

// members are all agents, in the order of registration.
func (c *Cast[Req, Resp]) members() []*member[Req, Resp] {
	if all := c.order.Load(); all != nil {
		return *all
	}
	return nil
}

// Agent returns a registered agent, guarded.
func (c *Cast[Req, Resp]) Agent(name string) (*middleware.Guarded[Req, Resp], bool) {
	if m, ok := c.guarded.Load(name); ok {
		return m.(*member[Req, Resp]).guarded, true
	}
	return nil, false
}

// Lookup is [Cast.Agent] for a [middleware.Roster]: a person can name any agent
// of the cast.
func (c *Cast[Req, Resp]) Lookup(name string) (middleware.Runner[Req, Resp], bool) {
	if g, ok := c.Agent(name); ok {
		return g, true
	}
	return nil, false
}

// Names returns the names of all agents, in the order of registration.
func (c *Cast[Req, Resp]) Names() []string {
	var names []string
	for _, m := range c.members() {
		names = append(names, m.guarded.Name())
	}
	return names
}

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
func (c *Cast[Req, Resp]) Role(name string) (Role, bool) {
	if m, ok := c.guarded.Load(name); ok {
		return m.(*member[Req, Resp]).role, true
	}
	return "", false
}

// StandIns returns the names of the agents that would be asked now if an agent
// could not answer, in order.
func (c *Cast[Req, Resp]) StandIns(name string) []string {
	role, ok := c.Role(name)
	if !ok {
		return nil
	}
	var names []string
	for _, s := range c.standIns(name, role) {
		names = append(names, s.Name)
	}
	return names
}

// Missing returns the roles of the table that no registered agent has, sorted: a
// role that nobody plays yet, or a name with a typing error. Ask once all agents
// are registered.
func (c *Cast[Req, Resp]) Missing() []Role {
	var missing []Role
	for role, others := range c.understudies {
		for _, r := range append([]Role{role}, others...) {
			if _, ok := c.byRole.Load(r); !ok && !slices.Contains(missing, r) {
				missing = append(missing, r)
			}
		}
	}
	slices.Sort(missing)
	return missing
}

// Failures returns how many calls of an agent have failed since it last
// recovered; 0 for an unknown name.
func (c *Cast[Req, Resp]) Failures(name string) int { return c.tally.Failures(name) }

// Reset deletes the failures of an agent and gives it its retries back. False:
// the name is unknown. The breaker is left alone; it is reset on its own.
func (c *Cast[Req, Resp]) Reset(name string) bool {
	if _, ok := c.guarded.Load(name); !ok {
		return false
	}
	c.tally.Reset(name)
	return true
}

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
func (c *Cast[Req, Resp]) Health() []Health {
	members := c.members()
	all := make([]Health, len(members))
	for i, m := range slices.All(members) {
		all[i] = Health{Role: m.role, Health: m.guarded.Health()}
	}
	return all
}
