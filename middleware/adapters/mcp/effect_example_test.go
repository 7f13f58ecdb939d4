package mcp_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/mcp"
	"github.com/understudy-go/understudy/strategies"
)

// An agent that fails after it has sounded the siren is asked again, and does not
// sound it again; and of a failure that leaves it open the host is told.
func ExampleNewClientWith() {
	server := flaky() // its every tool fails the first time
	defer server.Close()
	ctx := context.Background()

	client, err := mcp.NewClientWith(&sdk.Implementation{Name: "host", Version: "1"}, nil, mcp.Defaults, mcp.Tools{
		"forecast": {Effect: strategies.EffectReadOnly}, // the user's word goes before the server's
		"siren":    {Effect: strategies.EffectOnce},
	})
	if err != nil {
		log.Fatal(err)
	}
	session, err := client.Connect(ctx, &sdk.StreamableClientTransport{Endpoint: server.URL}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	failures := 0
	warden, err := middleware.WrapFunc(func(ctx context.Context, tool string) (string, error) {
		result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: tool})
		if err != nil {
			return "", err
		}
		if failures++; failures == 1 {
			return "", errors.New("the warden has fainted")
		}
		return result.Content[0].(*sdk.TextContent).Text, nil
	}).
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
		Effects(middleware.Effects{}).
		Build()
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		out := warden.Outcome(ctx, "siren")
		fmt.Printf("%q, uncertain: %v\n", out.Value, strategies.Classify(out.Err).Class == strategies.ClassUncertain)
		for _, e := range out.Effects {
			fmt.Println(e.Tool, e.State)
		}
	}
	// Output:
	// the server runs siren
	// "", uncertain: true
	// weather/siren uncertain
	// the server runs siren
	// "Sounded.", uncertain: false
	// weather/siren done
	// weather/siren replayed
}
