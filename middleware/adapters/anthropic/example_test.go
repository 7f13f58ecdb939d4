package anthropic_test

import (
	"context"
	"fmt"
	"log"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/anthropic"
	"github.com/understudy-go/understudy/strategies"
)

func Example() {
	// A provider on the loopback interface that has a bad day.
	server := start(script{"claude-haiku-4-5": {
		overloaded, // the first question: once
		says(200, message("end_turn", "A stranger.")),           //
		says(200, message("model_context_window_exceeded", "")), // the second: it was too long
		says(200, message("refusal", "")),                       // the third
	}})
	defer server.Close()
	client := connect(server.URL)

	messages := anthropic.Messages(client) // an agent: its errors have classes, the client's own retries are off
	narrator, err := middleware.Wrap(messages).
		Named("narrator").
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
		Timeout(30*time.Second).
		FallbackVia("larger", messages, anthropic.Model("claude-sonnet-4-5")).
		Degrade(strategies.LevelReduced, anthropic.Reply("The innkeeper shrugs.")).
		Build()
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		o := narrator.Outcome(context.Background(), sdk.MessageNewParams{
			Model:     "claude-haiku-4-5",
			MaxTokens: 1024,
			Messages:  []sdk.MessageParam{sdk.NewUserMessage(sdk.NewTextBlock("Who is at the door?"))},
		})
		if o.Err != nil {
			log.Fatal(o.Err)
		}
		fmt.Printf("%s (%s, %v)\n", o.Value.Content[0].Text, o.ServedBy, o.Strategy)
	}
	fmt.Println(server.seen("claude-haiku-4-5"), "+", server.seen("claude-sonnet-4-5"), "requests")
	// Output:
	// A stranger. (narrator, retry)
	// A stranger, says claude-sonnet-4-5 (larger, fallback)
	// The innkeeper shrugs. (reduced answer, degradation)
	// 4 + 1 requests
}

func Example_stream() {
	server := start(script{"claude-haiku-4-5": {
		streams(begin, block, problem("overloaded_error", "Overloaded")), // with status 200
	}})
	defer server.Close()

	narrator, err := middleware.WrapStream(anthropic.Messages(connect(server.URL))).
		Commit(anthropic.Says).   // message_start says nothing yet
		Complete(anthropic.Ends). // a cut stream looks like a whole one to the client
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
		Timeout(10 * time.Second). // until the first word
		Idle(5 * time.Second).     // between two
		Build()
	if err != nil {
		log.Fatal(err)
	}
	for event, err := range narrator.Stream(context.Background(), ask("claude-haiku-4-5")) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(event.Delta.Text)
	}
	fmt.Println()
	fmt.Println(server.seen("claude-haiku-4-5"), "requests")
	// Output:
	// A stranger, says claude-haiku-4-5
	// 2 requests
}
