package genai_test

import (
	"context"
	"fmt"
	"log"
	"time"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/strategies"
)

// tavern connects to a provider on the loopback interface.
func tavern(server *gemini.Server) *sdk.Client {
	client, err := sdk.NewClient(context.Background(), &sdk.ClientConfig{
		APIKey: "test", Backend: sdk.BackendGeminiAPI, HTTPOptions: sdk.HTTPOptions{BaseURL: server.URL()},
	})
	if err != nil {
		log.Fatal(err)
	}
	return client
}

func Example() {
	server := gemini.Start(map[string][]gemini.Answer{"gemini-2.5-flash": {
		gemini.Overloaded(),                           // first question: once
		gemini.Good("A stranger."), gemini.Overflow(), // second: the request is too long
		gemini.Body(gemini.Candidate("A stran", "SAFETY")), // third: with status 200
	}})
	defer server.Close()
	client := tavern(server)

	models := genai.Models(client) // an agent: its errors have classes, the client's own retries are off
	narrator, err := middleware.Wrap(models).
		Named("narrator").
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
		Timeout(30*time.Second).
		FallbackVia("large window", models, genai.Model("gemini-2.5-pro")).
		Degrade(strategies.LevelReduced, genai.Reply("The innkeeper shrugs.")).
		Build()
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		o := narrator.Outcome(context.Background(), genai.Request{
			Model: "gemini-2.5-flash", Contents: sdk.Text("Who is at the door?"),
		})
		if o.Err != nil {
			log.Fatal(o.Err)
		}
		fmt.Printf("%s (%s, %v)\n", o.Value.Text(), o.ServedBy, o.Strategy)
	}
	fmt.Println(len(server.Log()), "requests")
	// Output:
	// A stranger. (narrator, retry)
	// A stranger, says gemini-2.5-pro (large window, fallback)
	// The innkeeper shrugs. (reduced answer, degradation)
	// 5 requests
}

func Example_stream() {
	server := gemini.Start(map[string][]gemini.Answer{"gemini-2.5-flash": {
		gemini.Events(gemini.ErrorBody(503, "UNAVAILABLE", "The model is overloaded.")), // with status 200
	}})
	defer server.Close()
	client := tavern(server)

	narrator, err := middleware.WrapStream(genai.Models(client)).
		Commit(genai.Says).   // the first chunk may say nothing
		Complete(genai.Ends). // a cut stream looks like a whole one to the client
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
		Timeout(10 * time.Second). // until the first word
		Idle(5 * time.Second).     // between two
		Build()
	if err != nil {
		log.Fatal(err)
	}
	for chunk, err := range narrator.Stream(context.Background(), genai.Request{
		Model: "gemini-2.5-flash", Contents: sdk.Text("Who is at the door?"),
	}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(chunk.Text())
	}
	fmt.Println()
	fmt.Println(len(server.Log()), "requests")
	// Output:
	// A stranger, says gemini-2.5-flash
	// 2 requests
}
