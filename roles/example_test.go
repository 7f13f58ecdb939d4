package roles_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

// A recipe for all, two agents, and a caller who just calls Run.
func Example() {
	cast, err := roles.NewCast(roles.Understudies{"writer": {"editor"}},
		func(b *middleware.Builder[string, string], _ roles.Agent[string, string]) {
			b.Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}})
		})
	if err != nil {
		fmt.Println(err)
		return
	}
	writer, _ := cast.Register(roles.AsFunc("will", "writer", func(context.Context, string) (string, error) {
		return "", errors.New("writer's block")
	}))
	_, _ = cast.Register(roles.AsFunc("ed", "editor", func(_ context.Context, what string) (string, error) {
		return what + ", as I remember it", nil
	}))

	o := writer.Outcome(context.Background(), "a scene at the tavern")
	fmt.Println(o.Value)
	fmt.Printf("%s by %s after %d attempts\n", o.Strategy, o.ServedBy, o.Attempts)
	// Output:
	// a scene at the tavern, as I remember it
	// fallback by ed after 3 attempts
}

// quill is an agent of another package, which knows nothing of roles.
type quill struct{}

func (quill) Run(_ context.Context, what string) (string, error) { return "wrote " + what, nil }

func ExampleAs() {
	will := roles.As("will", "writer", quill{})
	text, _ := will.Run(context.Background(), "a sonnet")
	fmt.Printf("%s, the %s, %s\n", will.Name(), will.Role(), text)
	// Output:
	// will, the writer, wrote a sonnet
}

func ExampleAsFunc() {
	ed := roles.AsFunc("ed", "editor", func(_ context.Context, words int) (string, error) {
		return fmt.Sprintf("cut %d words", words), nil
	})
	text, _ := ed.Run(context.Background(), 40)
	fmt.Printf("%s, the %s, %s\n", ed.Name(), ed.Role(), text)
	// Output:
	// ed, the editor, cut 40 words
}

func ExampleUnderstudies() {
	table := roles.Understudies{
		"writer": {"editor", "poet"}, // in the order in which they are asked
		"editor": {"proofreader"},
	}
	fmt.Println(table.Of("writer"), table.Validate())

	table["proofreader"] = []roles.Role{"writer"}
	fmt.Println(table.Validate())
	// Output:
	// [editor poet] <nil>
	// understudy: Understudies has a cycle: editor → proofreader → writer → editor: nobody can stand in for whom they depend on: break it at one place
}

func ExampleGameMaster() {
	table := roles.GameMaster()
	for _, role := range []roles.Role{roles.ModuleKeeper, roles.Consistency, roles.Narrator, roles.Archivist} {
		fmt.Println(role, "→", table.Of(role))
	}
	// Output:
	// MODULE_KEEPER → [NARRATOR]
	// CONSISTENCY → [ARCHIVIST]
	// NARRATOR → []
	// ARCHIVIST → []
}

func ExampleNewCast() {
	_, err := roles.NewCast[string, string](roles.Understudies{"writer": {"editor"}, "editor": {"writer"}}, nil)
	fmt.Println(err)

	// A nil recipe gives every agent the default retries.
	cast, err := roles.NewCast[string, string](roles.GameMaster(), nil)
	fmt.Println(cast.Names(), err)
	// Output:
	// understudy: Understudies has a cycle: editor → writer → editor: nobody can stand in for whom they depend on: break it at one place
	// [] <nil>
}

func ExampleCast_Register() {
	cast, _ := roles.NewCast[string, string](roles.GameMaster(), nil)
	tell := func(_ context.Context, what string) (string, error) { return "Once upon a time: " + what, nil }

	_, _ = cast.Register(roles.AsFunc("keeper", roles.ModuleKeeper, tell))
	fmt.Println(cast.StandIns("keeper"))

	// Registered later, and found by those registered before.
	_, _ = cast.Register(roles.AsFunc("bard", roles.Narrator, tell))
	fmt.Println(cast.StandIns("keeper"))

	_, err := cast.Register(roles.AsFunc("bard", roles.Archivist, tell))
	fmt.Println(err)
	// Output:
	// []
	// [bard]
	// understudy: Register "bard" is registered already: a name stands once in a cast
}

func ExampleCast_Health() {
	cast, _ := roles.NewCast(roles.Understudies{"writer": {"editor"}},
		func(b *middleware.Builder[string, string], _ roles.Agent[string, string]) {
			b.CircuitBreaker(&strategies.Breaker{Failures: 2}) // made here: each agent has its own
		})
	writer, _ := cast.Register(roles.AsFunc("will", "writer", func(context.Context, string) (string, error) {
		return "", errors.New("writer's block")
	}))
	for range 2 {
		_, _ = writer.Run(context.Background(), "a scene") // nobody stands in yet
	}
	_, _ = cast.Register(roles.As("ed", "editor", quill{}))

	for _, h := range cast.Health() {
		fmt.Printf("%-4s %-6s breaker %s, %d failures, last: %s\n", h.Agent, h.Role, h.Breaker, h.Failures, h.LastClass)
	}
	cast.Reset("will")
	fmt.Println(cast.Failures("will"), "failures after Reset")
	// Output:
	// will writer breaker open, 2 failures, last: transient
	// ed   editor breaker closed, 0 failures, last: unclassified
	// 0 failures after Reset
}
