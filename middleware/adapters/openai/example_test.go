package openai_test

import (
	"context"
	"fmt"
	"log"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/strategies"
)

// outage starts a provider on the loopback interface whose models fail one after the other.
func outage() (*endpoint.Server, sdk.Client) {
	server, err := endpoint.Start(endpoint.Plan{
		Script: map[string][]endpoint.Fault{
			"gpt-4.1-mini": {
				endpoint.Overloaded(),                     // first question: once
				endpoint.OK(), endpoint.ContextOverflow(), // second: the request is too long
				endpoint.Refusal(), // third: with status 200
			},
		},
		Answer: func(model string, _ []endpoint.Message) string { return "A stranger, says " + model + "." },
	})
	if err != nil {
		log.Fatal(err)
	}
	return server, sdk.NewClient(option.WithBaseURL(server.URL()), option.WithAPIKey("test"))
}

func Example() {
	server, client := outage()
	defer server.Close()

	chat := openai.Chat(client) // an agent: its errors have classes, the client's own retries are off
	narrator, err := middleware.Wrap(chat).
		Named("narrator").
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
		Timeout(30*time.Second).
		FallbackVia("large window", chat, openai.Model("gpt-4.1")).
		Degrade(strategies.LevelReduced, openai.Reply("The innkeeper shrugs.")).
		Build()
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		o := narrator.Outcome(context.Background(), sdk.ChatCompletionNewParams{
			Model:    "gpt-4.1-mini",
			Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("Who is at the door?")},
		})
		if o.Err != nil {
			log.Fatal(o.Err)
		}
		fmt.Printf("%s (%s, %v)\n", o.Value.Choices[0].Message.Content, o.ServedBy, o.Strategy)
	}
	fmt.Println(server.Total(), "requests")
	// Output:
	// A stranger, says gpt-4.1-mini. (narrator, retry)
	// A stranger, says gpt-4.1. (large window, fallback)
	// The innkeeper shrugs. (reduced answer, degradation)
	// 5 requests
}

func Example_stream() {
	server, err := endpoint.Start(endpoint.Plan{
		Script: map[string][]endpoint.Fault{"gpt-4.1-mini": {endpoint.CutAfter(0)}},
		Answer: func(string, []endpoint.Message) string { return "A stranger." },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client := sdk.NewClient(option.WithBaseURL(server.URL()), option.WithAPIKey("test"))

	narrator, err := middleware.WrapStream(openai.Chat(client)).
		Commit(openai.Says).   // the first chunk has a role and no text
		Complete(openai.Ends). // a cut stream looks like a whole one to the client
		Alive(openai.Alive).   // pieces of a tool call are signs of life to Idle
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
		Timeout(10 * time.Second). // until the first word
		Idle(5 * time.Second).     // between two
		Build()
	if err != nil {
		log.Fatal(err)
	}
	params := sdk.ChatCompletionNewParams{
		Model:    "gpt-4.1-mini",
		Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("Who is at the door?")},
	}
	for chunk, err := range narrator.Stream(context.Background(), params) {
		if err != nil {
			log.Fatal(err)
		}
		if len(chunk.Choices) > 0 {
			fmt.Print(chunk.Choices[0].Delta.Content)
		}
	}
	fmt.Println()
	fmt.Println(server.Total(), "requests")
	// Output:
	// A stranger.
	// 2 requests
}
