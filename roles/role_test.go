package roles_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The types every test here speaks of.
type (
	builder  = middleware.Builder[string, string]
	guarded  = middleware.Guarded[string, string]
	agent    = roles.Agent[string, string]
	cast     = roles.Cast[string, string]
	stepFunc = func(ctx context.Context, req string) (string, error)
)

var (
	errSick  = errors.New("the agent is sick")
	errGone  = errors.New("the stand-in is gone")
	promptly = strategies.Retry{Backoff: strategies.Delays{0}}
)

// actor is an agent that follows a script: each call takes the next step, and
// the last one repeats. A step is an answer, an error or a function.
type actor struct {
	name string
	role roles.Role

	mu    sync.Mutex
	steps []any
	calls []time.Time
}

func plays(name string, role roles.Role, steps ...any) *actor {
	return &actor{name: name, role: role, steps: steps}
}

func (a *actor) Name() string     { return a.name }
func (a *actor) Role() roles.Role { return a.role }

func (a *actor) Run(ctx context.Context, req string) (string, error) {
	a.mu.Lock()
	step := a.steps[min(len(a.calls), len(a.steps)-1)]
	a.calls = append(a.calls, time.Now())
	a.mu.Unlock()
	switch s := step.(type) {
	case string:
		return s, nil
	case error:
		return "", s
	case stepFunc:
		return s(ctx, req)
	default:
		panic(step)
	}
}

func (a *actor) called() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

// take returns when the actor was called since start, and forgets it; the
// script goes on.
func (a *actor) take(start time.Time) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := make([]string, len(a.calls))
	for i, c := range a.calls {
		at[i] = c.Sub(start).String()
	}
	a.steps = a.steps[min(len(a.calls), len(a.steps)-1):]
	a.calls = nil
	return at
}

// turn gives the actor a new script.
func (a *actor) turn(steps ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.steps, a.calls = steps, nil
}

func company(t testing.TB, table roles.Understudies, recipe roles.Recipe[string, string]) *cast {
	t.Helper()
	c, err := roles.NewCast(table, recipe)
	if err != nil {
		t.Fatalf("NewCast: %v", err)
	}
	return c
}

func register(t testing.TB, c *cast, a agent) *guarded {
	t.Helper()
	g, err := c.Register(a)
	if err != nil {
		t.Fatalf("Register: %v", err)
	}
	return g
}

func bare(*builder, agent) {}

func expect[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func asked(t testing.TB, r middleware.Runner[string, string], want string) {
	t.Helper()
	if got, err := r.Run(t.Context(), "hello"); err != nil || got != want {
		t.Errorf("Run = %q, %v; want %q", got, err, want)
	}
}

// failing wants a call to fail, in the typed way, and returns how.
func failing(t testing.TB, r middleware.Runner[string, string]) *strategies.RecoveryError {
	t.Helper()
	got, err := r.Run(t.Context(), "hello")
	re, ok := errors.AsType[*strategies.RecoveryError](err)
	if !ok || got != "" {
		t.Fatalf("Run = %q, %v; want no answer and a RecoveryError", got, err)
	}
	return re
}

// attempts lists who was called, or refused, and how it failed.
func attempts(re *strategies.RecoveryError) string {
	var s []string
	for _, a := range re.Attempts {
		s = append(s, fmt.Sprintf("%s:%s", a.Agent, a.Class))
	}
	return strings.Join(s, " ")
}

func TestAs(t *testing.T) {
	will := plays("somebody else", "OTHER", "a scene")
	writes := func(_ context.Context, req string) (string, error) { return "wrote " + req, nil }
	for _, tc := range []struct {
		name  string
		agent agent
		want  string
	}{
		{"it gives a runner a name and a role, whatever its own", roles.As[string, string]("will", "WRITER", will), "a scene"},
		{"it does so for a function", roles.AsFunc("will", "WRITER", writes), "wrote hello"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			expect(t, "name", tc.agent.Name(), "will")
			expect(t, "role", tc.agent.Role(), roles.Role("WRITER"))
			asked(t, tc.agent, tc.want)
		})
	}
	t.Run("it passes on the context and the error", func(t *testing.T) {
		type key struct{}
		var seen any
		a := roles.AsFunc("will", "WRITER", func(ctx context.Context, _ string) (string, error) {
			seen = ctx.Value(key{})
			return "", errSick
		})
		_, err := a.Run(context.WithValue(t.Context(), key{}, "here"), "hello")
		expect(t, "error", err, errSick)
		expect(t, "context", seen, any("here"))
	})
	t.Run("it serves a guarded agent too, which keeps its layers", func(t *testing.T) {
		shaky := plays("will", "WRITER", errSick, "a scene")
		g, err := middleware.Wrap(shaky).Retry(promptly).Build()
		if err != nil {
			t.Fatal(err)
		}
		asked(t, register(t, company(t, nil, bare), roles.As[string, string]("will", "WRITER", g)), "a scene")
		expect(t, "calls", shaky.called(), 2)
	})
}

func TestGameMaster(t *testing.T) {
	table := roles.GameMaster()
	if err := table.Validate(); err != nil {
		t.Fatalf("Validate: %v", err)
	}
	for role, want := range map[roles.Role][]roles.Role{
		roles.ModuleKeeper: {roles.Narrator},
		roles.Consistency:  {roles.Archivist},
		roles.Narrator:     nil,
		roles.Archivist:    nil,
		"DRAGON":           nil,
	} {
		t.Run(fmt.Sprintf("it has %v for %s", want, role), func(t *testing.T) {
			expect(t, "stand-ins", table.Of(role), want)
		})
	}
	t.Run("it returns a table of its own each time", func(t *testing.T) {
		table[roles.Narrator] = []roles.Role{roles.Archivist}
		table[roles.ModuleKeeper][0] = "CHANGED"
		expect(t, "another", roles.GameMaster(), roles.Understudies{
			roles.ModuleKeeper: {roles.Narrator}, roles.Consistency: {roles.Archivist},
		})
	})
}
