package eino_test

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net/http"
	"time"

	sdk "github.com/cloudwego/eino-ext/components/model/openai"
	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/compose"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

// outage starts a provider on the loopback interface that fails in turn, and returns eino's own
// model that asks it.
func outage(faults ...endpoint.Fault) (*endpoint.Server, *sdk.ChatModel) {
	server, err := endpoint.Start(endpoint.Plan{
		Script: map[string][]endpoint.Fault{"gpt-4.1-mini": faults, "gpt-4.1": {endpoint.OK(), endpoint.Drop()}},
		Answer: func(model string, _ []endpoint.Message) string { return "A stranger, says " + model + "." },
	})
	if err != nil {
		stdlog.Fatal(err)
	}
	chat, err := sdk.NewChatModel(context.Background(), &sdk.ChatModelConfig{
		BaseURL: server.URL(), APIKey: "test", Model: "gpt-4.1-mini",
		HTTPClient: &http.Client{Transport: httphint.Transport{}}, // eino drops the Retry-After; this keeps it
	})
	if err != nil {
		stdlog.Fatal(err)
	}
	return server, chat
}

func Example() {
	ctx := context.Background()
	server, chat := outage(endpoint.Overloaded(), endpoint.OK(), endpoint.ContextOverflow(), endpoint.Quota())
	defer server.Close()

	recovery, err := eino.Handler(func(b *eino.Builder) {
		b.Named("narrator").
			Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
			Timeout(30*time.Second).
			FallbackVia("large window", eino.StandIn(chat), eino.With(model.WithModel("gpt-4.1"))).
			Degrade(strategies.LevelReduced, eino.Reply("The innkeeper shrugs."))
	})
	if err != nil {
		stdlog.Fatal(err)
	}
	agent, err := adk.NewChatModelAgent(ctx, &adk.ChatModelAgentConfig{
		Name: "narrator", Description: "tells the story", Model: chat,
		Handlers: []adk.ChatModelAgentMiddleware{recovery}, // this line is all
	})
	if err != nil {
		stdlog.Fatal(err)
	}
	runner := adk.NewRunner(ctx, adk.RunnerConfig{Agent: agent, EnableStreaming: true})
	for range 3 {
		answer, err := last(runner.Query(ctx, "Who is at the door?"))
		if err != nil {
			stdlog.Fatal(err)
		}
		fmt.Printf("%s (%v)\n", answer.Content, eino.Level(answer))
	}
	fmt.Println(server.Requests("gpt-4.1-mini"), "+", server.Requests("gpt-4.1"), "requests")
	// Output:
	// A stranger, says gpt-4.1-mini. (full)
	// A stranger, says gpt-4.1. (full)
	// The innkeeper shrugs. (reduced)
	// 4 + 2 requests
}

func ExampleWrap() {
	ctx := context.Background()
	server, chat := outage(endpoint.CutAfter(0)) // a stream that is cut after a chunk that says nothing
	defer server.Close()

	narrator, err := eino.Wrap(chat, func(b *eino.Builder) {
		b.Named("narrator").
			Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
			Timeout(10 * time.Second). // a message, or a stream's first words
			Idle(5 * time.Second)      // between two chunks
	})
	if err != nil {
		stdlog.Fatal(err)
	}
	graph, err := compose.NewChain[[]*schema.Message, *schema.Message]().AppendChatModel(narrator).Compile(ctx)
	if err != nil {
		stdlog.Fatal(err)
	}
	reader, err := graph.Stream(ctx, []*schema.Message{schema.UserMessage("Who is at the door?")})
	if err != nil {
		stdlog.Fatal(err)
	}
	answer, err := schema.ConcatMessageStream(reader)
	if err != nil {
		stdlog.Fatal(err)
	}
	fmt.Println(answer.Content)
	fmt.Println(server.Total(), "requests")
	// Output:
	// A stranger, says gpt-4.1-mini.
	// 2 requests
}

// An answer that was cut by a limit of tokens is none, unless that is fine.
func ExampleChatModel_Accept() {
	ctx := context.Background()
	server, chat := outage(endpoint.Truncated(), endpoint.Truncated())
	defer server.Close()

	narrator, err := eino.Wrap(chat, func(b *eino.Builder) { b.Named("narrator") })
	if err != nil {
		stdlog.Fatal(err)
	}
	for _, m := range []*eino.ChatModel{narrator, narrator.Accept("length")} {
		answer, err := m.Generate(ctx, []*schema.Message{schema.UserMessage("Who is at the door?")})
		var none *strategies.AnswerError
		switch {
		case errors.As(err, &none):
			fmt.Println("no answer:", none.Reason, none.Class)
		case err != nil:
			stdlog.Fatal(err)
		default:
			fmt.Println(answer.Content)
		}
	}
	// Output:
	// no answer: length invalid_answer
	// A stranger,
}

func ExampleRetryConfig() {
	ctx := context.Background()
	server, chat := outage(endpoint.RateLimit(20*time.Millisecond), endpoint.OK(), endpoint.Quota())
	defer server.Close()

	retry, err := eino.RetryConfig(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}, nil)
	if err != nil {
		stdlog.Fatal(err)
	}
	agent, err := adk.NewChatModelAgent(ctx, &adk.ChatModelAgentConfig{
		Name: "narrator", Description: "tells the story", Model: chat,
		ModelRetryConfig: retry,
		Handlers:         []adk.ChatModelAgentMiddleware{eino.Hints()}, // so that it knows the Retry-After
	})
	if err != nil {
		stdlog.Fatal(err)
	}
	runner := adk.NewRunner(ctx, adk.RunnerConfig{Agent: agent})
	for range 2 {
		if answer, err := last(runner.Query(ctx, "Who is at the door?")); err != nil {
			fmt.Println(strategies.Classify(err).Class)
		} else {
			fmt.Println(answer.Content)
		}
	}
	fmt.Println(server.Total(), "requests")
	// Output:
	// A stranger, says gpt-4.1-mini.
	// quota_exhausted
	// 3 requests
}
