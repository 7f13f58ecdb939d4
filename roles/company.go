package roles

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// wrapped is an agent in its chain, whatever it answers with.
type wrapped interface {
	Name() string
	Health() middleware.Health
}

// company is the agents of a cast. A look-up takes no lock.
type company[G wrapped] struct {
	understudies Understudies
	tally        strategies.Tally

	guarded sync.Map // name → *member
	byRole  sync.Map // role → *ensemble, in order of registration

	mu    sync.Mutex // registrations, one at a time
	order atomic.Pointer[[]*member[G]]
}

type member[G wrapped] struct {
	role    Role
	guarded G
}

// ensemble is the agents of one role. Appending keeps what readers hold intact.
type ensemble[G wrapped] struct {
	members atomic.Pointer[[]*member[G]]
}

func (e *ensemble[G]) all() []*member[G] {
	if all := e.members.Load(); all != nil {
		return *all
	}
	return nil
}

func (e *ensemble[G]) add(m *member[G]) {
	all := append(e.all(), m)
	e.members.Store(&all)
}

func (c *company[G]) found(understudies Understudies) error {
	if err := understudies.Validate(); err != nil {
		return err
	}
	c.understudies = understudies.clone()
	c.order.Store(&[]*member[G]{})
	return nil
}

// free says whether a name is still to be had: it is asked before the recipe makes,
// and the chain watches, anything.
func (c *company[G]) free(name string) error {
	if _, taken := c.guarded.Load(name); taken {
		return registered(name)
	}
	return nil
}

func registered(name string) error {
	return &strategies.ConfigError{Setting: fmt.Sprintf("Register %q", name), Problem: "is registered already", Fix: "a name stands once in a cast"}
}

func (c *company[G]) join(name string, role Role, guarded G) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &member[G]{role: role, guarded: guarded}
	if _, taken := c.guarded.LoadOrStore(name, m); taken {
		return registered(name)
	}
	entry, _ := c.byRole.LoadOrStore(role, &ensemble[G]{})
	entry.(*ensemble[G]).add(m)
	order := append(c.members(), m)
	c.order.Store(&order)
	return nil
}

// identify asks an agent who it is.
func identify(a interface {
	Name() string
	Role() Role
}) (name string, role Role, err error) {
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

// standIns looks up who can stand in now: of each role that can, the first
// agent registered, never the agent itself.
func (c *company[G]) standIns(name string, role Role) (found []G) {
	for _, other := range c.understudies[role] {
		entry, ok := c.byRole.Load(other)
		if !ok {
			continue // nobody of that role yet
		}
		for _, m := range entry.(*ensemble[G]).all() {
			if m.guarded.Name() != name {
				found = append(found, m.guarded)
				break
			}
		}
	}
	return found
}

// members are all agents, in the order of registration.
func (c *company[G]) members() []*member[G] {
	if all := c.order.Load(); all != nil {
		return *all
	}
	return nil
}

func (c *company[G]) agent(name string) (g G, ok bool) {
	if m, found := c.guarded.Load(name); found {
		return m.(*member[G]).guarded, true
	}
	return g, false
}

func (c *company[G]) names() (names []string) {
	for _, m := range c.members() {
		names = append(names, m.guarded.Name())
	}
	return names
}

func (c *company[G]) role(name string) (Role, bool) {
	if m, ok := c.guarded.Load(name); ok {
		return m.(*member[G]).role, true
	}
	return "", false
}

func (c *company[G]) standInNames(name string) (names []string) {
	role, ok := c.role(name)
	if !ok {
		return nil
	}
	for _, g := range c.standIns(name, role) {
		names = append(names, g.Name())
	}
	return names
}

func (c *company[G]) missing() (missing []Role) {
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

func (c *company[G]) reset(name string) bool {
	if _, ok := c.guarded.Load(name); !ok {
		return false
	}
	c.tally.Reset(name)
	return true
}

func (c *company[G]) health() []Health {
	members := c.members()
	all := make([]Health, len(members))
	for i, m := range members {
		all[i] = Health{Role: m.role, Health: m.guarded.Health()}
	}
	return all
}
