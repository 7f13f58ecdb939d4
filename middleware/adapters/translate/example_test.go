package translate_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	anthropicsdk "github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	openaisdk "github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/anthropic"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/middleware/adapters/translate"
	"github.com/understudy-go/understudy/strategies"
)

func Example() {
	// Two providers on the loopback interface. Anthropic's is away for the second question.
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/chat/completions" {
			fmt.Fprint(w, `{"choices":[{"finish_reason":"stop","message":{"role":"assistant","content":"A sword, and a letter."}}]}`)
			return
		}
		if asked++; asked == 2 {
			w.WriteHeader(529)
			return
		}
		text := map[int]string{1: "A stranger in a wet cloak.", 3: "You. It is in your own hand."}[asked]
		fmt.Fprintf(w, `{"type":"message","role":"assistant","stop_reason":"end_turn","content":[
			{"type":"thinking","thinking":"Hm.","signature":"s"},{"type":"text","text":%q}]}`, text)
	}))
	defer server.Close()
	claude := anthropicsdk.NewClient(anthropicoption.WithBaseURL(server.URL), anthropicoption.WithAPIKey("test"))
	gpt := openaisdk.NewClient(openaioption.WithBaseURL(server.URL), openaioption.WithAPIKey("test"))

	narrator, err := middleware.Wrap(anthropic.Messages(claude)).
		Named("claude").
		Use(middleware.StageAgent, translate.MendingAnthropic). // it can read what others have said in the meantime
		Fallback("gpt", translate.OpenAIForAnthropic(openai.Chat(gpt), "gpt-5")).
		Build()
	if err != nil {
		log.Fatal(err)
	}
	params := anthropicsdk.MessageNewParams{Model: "claude-sonnet-4-5", MaxTokens: 4096, Thinking: anthropicsdk.ThinkingConfigParamOfEnabled(1024)}
	for _, question := range []string{"Who is at the door?", "What does he carry?", "Who wrote the letter?"} {
		params.Messages = append(params.Messages, anthropicsdk.NewUserMessage(anthropicsdk.NewTextBlock(question)))
		o := narrator.Outcome(context.Background(), params)
		if o.Err != nil {
			log.Fatal(o.Err)
		}
		params.Messages = append(params.Messages, o.Value.ToParam()) // one history, whoever answers
		fmt.Printf("%s: %s\n", o.ServedBy, o.Value.Content[len(o.Value.Content)-1].Text)
	}
	// Output:
	// claude: A stranger in a wet cloak.
	// gpt: A sword, and a letter.
	// claude: You. It is in your own hand.
}

// A conversation stays with the stand-in that answered, though the first agent is
// well again.
func ExampleStay() {
	type request struct{ Conversation, Text string }
	away := true
	guard := func(name string, agent func(context.Context, request) (string, error)) *middleware.Guarded[request, string] {
		g, err := middleware.WrapFunc(agent).Named(name).CircuitBreaker(&strategies.Breaker{}).Build()
		if err != nil {
			log.Fatal(err)
		}
		return g
	}
	claude := guard("claude", func(_ context.Context, r request) (string, error) {
		if away {
			return "", errors.New("overloaded")
		}
		return "A stranger.", nil
	})
	gpt := guard("gpt", func(context.Context, request) (string, error) { return "A traveller.", nil })

	claudeFirst, err := middleware.Wrap(claude).Named("claude").Fallback("gpt", gpt).Build()
	if err != nil {
		log.Fatal(err)
	}
	gptFirst, err := middleware.Wrap(gpt).Named("gpt").Fallback("claude", claude).Build()
	if err != nil {
		log.Fatal(err)
	}
	of := func(_ context.Context, r request) string { return r.Conversation }
	narrator, err := translate.Stay(of, 10_000, claudeFirst, gptFirst)
	if err != nil {
		log.Fatal(err)
	}
	for _, conversation := range []string{"tavern", "tavern", "castle"} {
		o := narrator.Outcome(context.Background(), request{conversation, "Who is at the door?"})
		fmt.Printf("%s: %s (%s)\n", conversation, o.Value, o.ServedBy)
		away = false
	}
	// Output:
	// tavern: A traveller. (gpt)
	// tavern: A traveller. (gpt)
	// castle: A stranger. (claude)
}
