package genkit_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/firebase/genkit/go/ai"
	sdk "github.com/firebase/genkit/go/genkit"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
	"github.com/understudy-go/understudy/strategies"
)

// outage starts a provider on the loopback interface whose models fail one after the other.
func outage() (*endpoint.Server, *sdk.Genkit) {
	server, err := endpoint.Start(endpoint.Plan{
		Script: map[string][]endpoint.Fault{
			"narrator": {
				endpoint.CutAfter(0),                      // first question: once, before the first word
				endpoint.OK(), endpoint.ContextOverflow(), // second: the request is too long
				endpoint.Refusal(), // third: with status 200
			},
		},
		Answer: func(model string, _ []endpoint.Message) string { return "A stranger, says " + model + "." },
	})
	if err != nil {
		log.Fatal(err)
	}
	// The plugin's client does not retry: see house in wire_test.go.
	return server, sdk.Init(context.Background(), sdk.WithPlugins(house(server.URL())))
}

// An answer that was cut by a limit of tokens is none, unless that is fine.
func ExampleModelAgent_Accept() {
	server, err := endpoint.Start(endpoint.Plan{
		Script: map[string][]endpoint.Fault{"narrator": {endpoint.Truncated(), endpoint.Truncated()}},
		Answer: func(string, []endpoint.Message) string { return "A stranger, says narrator." },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	g := sdk.Init(context.Background(), sdk.WithPlugins(house(server.URL())))

	for _, agent := range []*genkit.ModelAgent{genkit.Next(), genkit.Next().Accept(ai.FinishReasonLength)} {
		guarded, err := middleware.Wrap(agent).Build()
		if err != nil {
			log.Fatal(err)
		}
		resp, err := sdk.Generate(context.Background(), g,
			ai.WithModelName("house/narrator"), ai.WithPrompt("Who is at the door?"), ai.WithUse(genkit.Recovery{Model: guarded}))
		var none *strategies.AnswerError
		switch {
		case errors.As(err, &none):
			fmt.Println("no answer:", none.Reason, none.Class)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println(resp.Text())
		}
	}
	// Output:
	// no answer: length invalid_answer
	// A stranger,
}

func Example() {
	server, g := outage()
	defer server.Close()

	narrator, err := middleware.WrapStream(genkit.Next()).
		Commit(genkit.Says).   // nothing said yet: everything can be recovered
		Complete(genkit.Ends). // a cut stream is none
		Named("narrator").
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
		Timeout(30*time.Second).
		Fallback("large window", genkit.Model(sdk.LookupModel(g, "house/large"))).
		Degrade(strategies.LevelReduced, genkit.Reply("The innkeeper shrugs.")).
		Build()
	if err != nil {
		log.Fatal(err)
	}
	recovery := genkit.Recovery{Stream: narrator}

	for range 3 {
		resp, err := sdk.Generate(context.Background(), g,
			ai.WithModelName("house/narrator"),
			ai.WithPrompt("Who is at the door?"),
			ai.WithUse(recovery),
			ai.WithStreaming(func(_ context.Context, chunk *ai.ModelResponseChunk) error {
				fmt.Print(chunk.Text())
				return nil
			}))
		if err != nil {
			log.Fatal(err)
		}
		how, _ := genkit.ProvenanceOf(resp)
		fmt.Printf(" (%s, %v)\n", how.ServedBy, how.Strategy)
	}
	fmt.Println(server.Total(), "requests")
	// Output:
	// A stranger, says narrator. (narrator, retry)
	// A stranger, says large. (large window, fallback)
	// The innkeeper shrugs. (reduced answer, degradation)
	// 5 requests
}

func ExampleFlow() {
	server, g := outage()
	defer server.Close()

	tell := func(ctx context.Context, who string) (string, error) {
		return sdk.GenerateText(ctx, g, ai.WithModelName("house/narrator"), ai.WithPrompt("Who is %s?", who))
	}
	guarded, err := middleware.Wrap(genkit.Flow(tell)).
		Named("tell").
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}). // it has no tools that would act twice
		Timeout(time.Minute).
		Build()
	if err != nil {
		log.Fatal(err)
	}
	flow := sdk.DefineFlow(g, "tell", guarded.Run)

	said, err := flow.Run(context.Background(), "at the door")
	fmt.Println(said, err)
	fmt.Println(server.Total(), "requests")
	// Output:
	// A stranger, says narrator. <nil>
	// 2 requests
}

func ExampleNextTool() {
	server, g := outage()
	defer server.Close()

	var calls int
	search := sdk.DefineTool(g, "search", "searches the archive", func(*ai.ToolContext, struct{}) (string, error) {
		if calls++; calls < 3 {
			return "", fmt.Errorf("the archive is busy")
		}
		return "a map", nil
	})
	tool, err := middleware.Wrap(genkit.NextTool()).
		Named("search").
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}). // to search twice does no harm
		Degrade(strategies.LevelReduced, genkit.Output("the archive is closed today")).
		Build()
	if err != nil {
		log.Fatal(err)
	}
	recovery := genkit.Recovery{Tools: genkit.Tools{"search": tool}}

	librarian := sdk.DefineModelAction(g, "librarian", &ai.ModelOptions{Supports: &ai.ModelSupports{Tools: true, Multiturn: true}},
		func(_ context.Context, req *ai.ModelRequest, _ any, _ ai.ModelStreamCallback) (*ai.ModelResponse, error) {
			last := req.Messages[len(req.Messages)-1].Content[0]
			if !last.IsToolResponse() {
				return &ai.ModelResponse{Message: ai.NewModelMessage(ai.NewToolRequestPart(&ai.ToolRequest{Name: "search", Input: map[string]any{}}))}, nil
			}
			return &ai.ModelResponse{Message: ai.NewModelTextMessage(fmt.Sprint("I found ", last.ToolResponse.Output))}, nil
		})
	resp, err := sdk.Generate(context.Background(), g, ai.WithModel(librarian), ai.WithPrompt("What is there?"),
		ai.WithTools(search), ai.WithUse(recovery))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Text(), "after", calls, "calls")
	// Output:
	// I found a map after 3 calls
}
