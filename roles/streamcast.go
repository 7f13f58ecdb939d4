package roles

import (
	"context"
	"fmt"
	"iter"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// StreamAgent is an [Agent] that answers piece by piece.
type StreamAgent[Req, Chunk any] interface {
	Name() string
	Role() Role
	middleware.Streamer[Req, Chunk]
}

// AsStream gives a streamer a name and a role.
func AsStream[Req, Chunk any](name string, role Role, streamer middleware.Streamer[Req, Chunk]) StreamAgent[Req, Chunk] {
	return &namedStream[Req, Chunk]{name: name, role: role, streamer: streamer}
}

// AsStreamFunc is [AsStream] for a function.
func AsStreamFunc[Req, Chunk any](name string, role Role, f func(ctx context.Context, req Req) iter.Seq2[Chunk, error]) StreamAgent[Req, Chunk] {
	return AsStream(name, role, middleware.StreamFunc(f))
}

type namedStream[Req, Chunk any] struct {
	name     string
	role     Role
	streamer middleware.Streamer[Req, Chunk]
}

func (a *namedStream[Req, Chunk]) Name() string { return a.name }
func (a *namedStream[Req, Chunk]) Role() Role   { return a.role }
func (a *namedStream[Req, Chunk]) Stream(ctx context.Context, req Req) iter.Seq2[Chunk, error] {
	return a.streamer.Stream(ctx, req)
}

// StreamCast is a [Cast] of agents that stream. Stand-ins are asked for what fails
// before the commit, or behind it if the recipe says Restart; see
// [middleware.StreamBuilder].
type StreamCast[Req, Chunk any] struct {
	company[*middleware.GuardedStream[Req, Chunk]]
	recipe StreamRecipe[Req, Chunk]
}

// StreamRecipe is a [Recipe] for agents that stream.
type StreamRecipe[Req, Chunk any] func(b *middleware.StreamBuilder[Req, Chunk], agent StreamAgent[Req, Chunk])

// NewStreamCast returns an empty cast, as [NewCast] does.
func NewStreamCast[Req, Chunk any](understudies Understudies, recipe StreamRecipe[Req, Chunk]) (*StreamCast[Req, Chunk], error) {
	if recipe == nil {
		recipe = func(b *middleware.StreamBuilder[Req, Chunk], _ StreamAgent[Req, Chunk]) { b.Retry(strategies.Retry{}) }
	}
	c := &StreamCast[Req, Chunk]{recipe: recipe}
	if err := c.found(understudies); err != nil {
		return nil, err
	}
	return c, nil
}

// Register wraps an agent and returns it guarded, as [Cast.Register] does.
func (c *StreamCast[Req, Chunk]) Register(agent StreamAgent[Req, Chunk]) (*middleware.GuardedStream[Req, Chunk], error) {
	if c == nil || c.recipe == nil {
		return nil, &strategies.ConfigError{Setting: "StreamCast", Problem: "was not made by NewStreamCast", Fix: "get it from roles.NewStreamCast"}
	}
	name, role, err := identify(agent)
	if err != nil {
		return nil, err
	}
	if err := c.free(name); err != nil {
		return nil, err
	}
	streamer := middleware.Streamer[Req, Chunk](agent)
	if own, ok := agent.(*namedStream[Req, Chunk]); ok {
		streamer = own.streamer // so that Build sees one that is nil
	}
	b := middleware.WrapStream(streamer).Named(name).Tally(&c.tally).Roster(c)
	if len(c.understudies[role]) > 0 {
		b.FallbackFrom(func(context.Context) (found []middleware.StandIn[middleware.Streamer[Req, Chunk]]) {
			for _, g := range c.standIns(name, role) {
				found = append(found, middleware.StandIn[middleware.Streamer[Req, Chunk]]{Name: g.Name(), Agent: g})
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
func (c *StreamCast[Req, Chunk]) Agent(name string) (*middleware.GuardedStream[Req, Chunk], bool) {
	return c.agent(name)
}

// Lookup is [StreamCast.Agent] for a [middleware.Roster].
func (c *StreamCast[Req, Chunk]) Lookup(name string) (middleware.Streamer[Req, Chunk], bool) {
	if g, ok := c.agent(name); ok {
		return g, true
	}
	return nil, false
}

// Names returns the names of all agents, in the order of registration.
func (c *StreamCast[Req, Chunk]) Names() []string { return c.names() }

// Role returns the role of a registered agent.
func (c *StreamCast[Req, Chunk]) Role(name string) (Role, bool) { return c.role(name) }

// StandIns returns the names of the agents that would be asked now if an agent
// could not answer, in order.
func (c *StreamCast[Req, Chunk]) StandIns(name string) []string { return c.standInNames(name) }

// Missing returns the roles of the table that no registered agent has, sorted: a
// role that nobody plays yet, or a name with a typing error. Ask once all agents
// are registered.
func (c *StreamCast[Req, Chunk]) Missing() []Role { return c.missing() }

// Failures returns how many calls of an agent have failed since it last
// recovered; 0 for an unknown name.
func (c *StreamCast[Req, Chunk]) Failures(name string) int { return c.tally.Failures(name) }

// Reset deletes the failures of an agent and gives it its retries back. False:
// the name is unknown. The breaker is left alone; it is reset on its own.
func (c *StreamCast[Req, Chunk]) Reset(name string) bool { return c.reset(name) }

// Health returns a snapshot of every agent, in the order of registration. Taking
// it changes nothing.
func (c *StreamCast[Req, Chunk]) Health() []Health { return c.health() }
