package mcp_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/middleware/adapters/mcp"
	"github.com/understudy-go/understudy/strategies"
)

// flaky is a weather server whose every tool fails the first time it is called.
func flaky() *httptest.Server {
	tools := sdk.NewServer(&sdk.Implementation{Name: "weather", Version: "1"}, nil)
	called := map[string]int{}
	tool := func(name, answer string, a *sdk.ToolAnnotations) {
		tools.AddTool(&sdk.Tool{Name: name, Annotations: a, InputSchema: map[string]any{"type": "object"}},
			func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
				fmt.Println("the server runs", name)
				if called[name]++; called[name] == 1 {
					return nil, fmt.Errorf("the connection to the %s broke", name)
				}
				return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: answer}}}, nil
			})
	}
	tool("forecast", "Rain.", &sdk.ToolAnnotations{ReadOnlyHint: true})
	tool("siren", "Sounded.", nil)
	return httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return tools }, nil))
}

func Example() {
	server := flaky()
	defer server.Close()
	ctx := context.Background()

	client, err := mcp.NewClient(&sdk.Implementation{Name: "host", Version: "1"}, nil, func(b *mcp.Builder) {
		b.Named("weather").
			Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
			CircuitBreaker(&strategies.Breaker{}). // one for each server
			Timeout(30*time.Second).
			Degrade(strategies.LevelReduced, mcp.Reply("The weather service does not answer."))
	})
	if err != nil {
		log.Fatal(err)
	}
	session, err := client.Connect(ctx, &sdk.StreamableClientTransport{
		Endpoint:   server.URL,
		HTTPClient: &http.Client{Transport: httphint.Transport{}}, // the SDK drops status and Retry-After
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	if _, err := session.ListTools(ctx, nil); err != nil { // says which tools are read-only
		log.Fatal(err)
	}
	for _, name := range []string{"forecast", "siren"} {
		result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: name})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(result.Content[0].(*sdk.TextContent).Text, result.Meta[mcp.MetaLevel])
	}
	// Output:
	// the server runs forecast
	// the server runs forecast
	// Rain. <nil>
	// the server runs siren
	// The weather service does not answer. reduced
}
