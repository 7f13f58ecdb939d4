package genai_test

import (
	"strings"
	"testing"
	"time"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/strategies"
)

type (
	builder = middleware.Builder[genai.Request, *sdk.GenerateContentResponse]
	guarded = middleware.Guarded[genai.Request, *sdk.GenerateContentResponse]
	stream  = middleware.GuardedStream[genai.Request, *sdk.GenerateContentResponse]
	answers = map[string][]gemini.Answer
)

var soon = strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}

// connect returns the real client, for a server at url.
func connect(t *testing.T, url string, change ...func(*sdk.ClientConfig)) *sdk.Client {
	t.Helper()
	config := &sdk.ClientConfig{APIKey: "test", Backend: sdk.BackendGeminiAPI, HTTPOptions: sdk.HTTPOptions{BaseURL: url}}
	for _, c := range change {
		c(config)
	}
	client, err := sdk.NewClient(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// play starts a provider whose models answer by script, then with four words.
func play(t *testing.T, script answers) *gemini.Server {
	t.Helper()
	server := gemini.Start(script)
	t.Cleanup(server.Close)
	return server
}

// narrator is a provider with one model that answers so, and the agent asking it.
func narrator(t *testing.T, script ...gemini.Answer) (*gemini.Server, *genai.ModelsAgent) {
	t.Helper()
	server := play(t, answers{"narrator": script})
	return server, genai.Models(connect(t, server.URL()))
}

// ask is a question to a model of the server.
func ask(model string) genai.Request {
	return genai.Request{Model: model, Contents: sdk.Text("Who is at the door?")}
}

func built(t *testing.T, b *builder) *guarded {
	t.Helper()
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func builtStream(t *testing.T, agent *genai.ModelsAgent) *stream {
	t.Helper()
	g, err := middleware.WrapStream(agent).Named("narrator").Commit(genai.Says).Complete(genai.Ends).Retry(soon).Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func joined(chunks []*sdk.GenerateContentResponse) string {
	var b strings.Builder
	for _, c := range chunks {
		b.WriteString(c.Text())
	}
	return b.String()
}

func class(t *testing.T, err error, want strategies.Class) {
	t.Helper()
	if got := strategies.Classify(err).Class; got != want {
		t.Errorf("class %v, want %v, of %T: %v", got, want, err, err)
	}
}
