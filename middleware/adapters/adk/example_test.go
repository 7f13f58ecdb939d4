package adk_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/model/gemini"
	"google.golang.org/adk/v2/runner"
	"google.golang.org/genai"

	wire "github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
	"github.com/understudy-go/understudy/strategies"
)

// connect returns the framework's Gemini, for a provider on the loopback interface.
func connect(server *wire.Server, name string) model.LLM {
	llm, err := gemini.NewModel(context.Background(), name, &genai.ClientConfig{
		APIKey: "test", Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: server.URL()},
	})
	if err != nil {
		log.Fatal(err)
	}
	return llm
}

// tell runs an agent as an application does, and prints what it says for good.
func tell(a agent.Agent, turns int) {
	r, err := runner.NewInMemory("tavern", a)
	if err != nil {
		log.Fatal(err)
	}
	for range turns {
		question := genai.NewContentFromText("Who is at the door?", genai.RoleUser)
		for event, err := range r.Run(context.Background(), "user", "session", question, agent.RunConfig{}) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%s: %s (reduced: %v)\n", event.Author, event.Content.Parts[0].Text, adk.Degraded(&event.LLMResponse))
		}
	}
}

func Example() {
	server := wire.StartDown(map[string][]wire.Answer{"gemini-2.5-flash": {
		wire.Overloaded(), wire.Good("A stranger."), // first turn: once
		wire.Quota(), // from the second on: nothing today
		wire.Quota(),
	}, "gemini-2.5-pro": {
		wire.Good("A stranger, says pro."),
		wire.Drop(),
	}}, nil)
	defer server.Close()
	flash, pro := connect(server, "gemini-2.5-flash"), connect(server, "gemini-2.5-pro")

	guarded, err := middleware.WrapStream(adk.LLM(flash)).
		Named("narrator").
		Commit(adk.Says). // streams open with pieces that say nothing
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
		Timeout(20*time.Second).
		Fallback("pro", adk.LLM(pro)).
		Degrade(strategies.LevelReduced, adk.Reply("The innkeeper shrugs.")).
		Build()
	if err != nil {
		log.Fatal(err)
	}
	llm, err := adk.NewModel(flash, guarded) // a model of the framework again
	if err != nil {
		log.Fatal(err)
	}
	narrator, err := llmagent.New(llmagent.Config{Name: "narrator", Description: "Tells what happens.", Model: llm})
	if err != nil {
		log.Fatal(err)
	}
	tell(narrator, 3)
	fmt.Println(server.Requests("gemini-2.5-flash"), "and", server.Requests("gemini-2.5-pro"), "requests")
	// Output:
	// narrator: A stranger. (reduced: false)
	// narrator: A stranger, says pro. (reduced: false)
	// narrator: The innkeeper shrugs. (reduced: true)
	// 4 and 2 requests
}

// An answer that was cut by a limit of tokens is none, unless that is fine.
func ExampleLLMAgent_Accept() {
	server := wire.StartDown(nil, map[string]wire.Answer{"gemini-2.5-flash": wire.Body(wire.Candidate("A stran", "MAX_TOKENS"))})
	defer server.Close()
	flash := connect(server, "gemini-2.5-flash")

	for _, agent := range []*adk.LLMAgent{adk.LLM(flash), adk.LLM(flash).Accept(genai.FinishReasonMaxTokens)} {
		guarded, err := middleware.WrapStream(agent).Commit(adk.Says).Build()
		if err != nil {
			log.Fatal(err)
		}
		answers, err := middleware.Collect(guarded.Stream(context.Background(), adk.Call{Request: &model.LLMRequest{Contents: genai.Text("Who is at the door?")}}))
		var none *strategies.AnswerError
		switch {
		case errors.As(err, &none):
			fmt.Println("no answer:", none.Reason, none.Class)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println(answers[0].Content.Parts[0].Text)
		}
	}
	// Output:
	// no answer: MAX_TOKENS invalid_answer
	// A stran
}

func ExampleNewAgent() {
	server := wire.Start(map[string][]wire.Answer{"gemini-2.5-pro": {wire.Quota()}})
	defer server.Close()
	play := func(name, model string) agent.Agent {
		a, err := llmagent.New(llmagent.Config{Name: name, Description: "Tells what happens.", Model: connect(server, model)})
		if err != nil {
			log.Fatal(err)
		}
		return a
	}
	bard, archivist := play("bard", "gemini-2.5-pro"), play("archivist", "gemini-2.5-flash")

	guarded, err := middleware.WrapStream(adk.Agent(bard)).
		Commit(adk.Acts). // until then a stand-in may take the turn
		Fallback("archivist", adk.Agent(archivist)).
		Build()
	if err != nil {
		log.Fatal(err)
	}
	narrator, err := adk.NewAgent(agent.Config{
		Name: "narrator", Description: "Tells what happens.", SubAgents: []agent.Agent{bard, archivist},
	}, guarded)
	if err != nil {
		log.Fatal(err)
	}
	tell(narrator, 1)
	// Output:
	// archivist: A stranger, says gemini-2.5-flash (reduced: false)
}
