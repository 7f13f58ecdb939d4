package roles

import (
	"context"

	"github.com/understudy-go/understudy/middleware"
)

// Role is what an agent does, by name. Users make their own.
type Role string

// Agent is an agent with a name and a role. The name is its identity: in a
// [Cast] it stands once, and it never stands in for itself. All three must be
// safe for concurrent use, and Name and Role always return the same.
type Agent[Req, Resp any] interface {
	Name() string
	Role() Role
	middleware.Runner[Req, Resp]
}

// As gives a runner a name and a role.
func As[Req, Resp any](name string, role Role, runner middleware.Runner[Req, Resp]) Agent[Req, Resp] {
	return &named[Req, Resp]{name: name, role: role, runner: runner}
}

// AsFunc is [As] for a function.
func AsFunc[Req, Resp any](name string, role Role, f func(ctx context.Context, req Req) (Resp, error)) Agent[Req, Resp] {
	return As(name, role, middleware.Func(f))
}

type named[Req, Resp any] struct {
	name   string
	role   Role
	runner middleware.Runner[Req, Resp]
}

func (a *named[Req, Resp]) Name() string { return a.name }
func (a *named[Req, Resp]) Role() Role   { return a.role }
func (a *named[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	return a.runner.Run(ctx, req)
}

// The roles of the game-master system this library comes from.
const (
	Narrator     Role = "NARRATOR"
	Archivist    Role = "ARCHIVIST"
	ModuleKeeper Role = "MODULE_KEEPER"
	Consistency  Role = "CONSISTENCY"
)

// GameMaster returns the table of that system: the narrator stands in for the
// module keeper and the archivist for consistency; nobody stands in for those
// two.
func GameMaster() Understudies {
	return Understudies{ModuleKeeper: {Narrator}, Consistency: {Archivist}}
}
