// Roles plays the game master's table: four agents with a name and a role each, and a cast that
// knows who stands in for whom.
//
//	go run ./roles
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/roles"
	"github.com/understudy-go/understudy/strategies"
)

func run(ctx context.Context, out io.Writer) error {
	recipe := func(b *middleware.Builder[string, string], agent roles.Agent[string, string]) {
		b.Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{50 * time.Millisecond}}).
			CircuitBreaker(&strategies.Breaker{}). // made in here, so each agent has one of its own
			Timeout(10*time.Second).
			Degrade(strategies.LevelReduced, middleware.Func(promptBook))
	}
	cast, err := roles.NewCast(roles.GameMaster(), recipe)
	if err != nil {
		return err
	}
	down := map[string]bool{}
	// The module keeper comes first although the narrator stands in for it: stand-ins are
	// looked up when they are needed.
	for _, who := range []struct {
		name string
		role roles.Role
	}{
		{"keeper", roles.ModuleKeeper}, {"consistency", roles.Consistency},
		{"narrator", roles.Narrator}, {"archivist", roles.Archivist},
	} {
		if _, err := cast.Register(roles.AsFunc(who.name, who.role, actor(who.name, down))); err != nil {
			return err
		}
	}

	for _, name := range cast.Names() {
		role, _ := cast.Role(name)
		understudy := strings.Join(cast.StandIns(name), ", ")
		if understudy == "" {
			understudy = "nobody"
		}
		fmt.Fprintf(out, "%-12s plays %-14s understudy: %s\n", name, role, understudy)
	}
	for _, ill := range []string{"", "keeper", "consistency", "narrator"} {
		clear(down)
		down[ill] = true
		called := ill
		if ill == "" {
			called = "keeper"
			fmt.Fprintln(out, "\nall are well")
		} else {
			fmt.Fprintf(out, "\n%s is ill\n", ill)
		}
		agent, _ := cast.Agent(called)
		o := agent.Outcome(ctx, "What is behind the cellar door?")
		if o.Err != nil {
			return o.Err
		}
		fmt.Fprintf(out, "  the part of %s: %q\n", called, o.Value)
		fmt.Fprintf(out, "  played by %s, strategy %s, level %s\n", o.ServedBy, o.Strategy, o.Level)
		fmt.Fprintf(out, "  failures of %s since it last recovered: %d\n", called, cast.Failures(called))
	}
	return nil
}

// actor returns an agent that answers unless it is down.
func actor(name string, down map[string]bool) func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) {
		if down[name] {
			return "", errors.New(name + " has lost its voice")
		}
		return map[string]string{
			"keeper":      "Room 3. Locked. The key is on the innkeeper's belt.",
			"consistency": "It was locked last week, so it is locked now.",
			"narrator":    "Cold air comes through the cracks, and the smell of the river.",
			"archivist":   "By the plans of the house there is no cellar.",
		}[name], nil
	}
}

func promptBook(context.Context, string) (string, error) {
	return "A door is a door until somebody opens it.", nil
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
