package genai_test

import (
	"strings"
	"testing"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
)

type (
	builder = middleware.Builder[genai.Request, *sdk.GenerateContentResponse]
	guarded = middleware.Guarded[genai.Request, *sdk.GenerateContentResponse]
	stream  = middleware.GuardedStream[genai.Request, *sdk.GenerateContentResponse]
	answers = map[string][]gemini.Answer
)

var soon = conformance.Soon

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
	return conformance.Gemini(t, script)
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

// declaring is a question to a model that may call these functions.
func declaring(model string, functions ...string) genai.Request {
	req, tool := ask(model), &sdk.Tool{}
	for _, name := range functions {
		tool.FunctionDeclarations = append(tool.FunctionDeclarations, &sdk.FunctionDeclaration{Name: name})
	}
	req.Config = &sdk.GenerateContentConfig{Tools: []*sdk.Tool{tool}}
	return req
}

func built(t *testing.T, b *builder) *guarded { t.Helper(); return conformance.Built(t, b) }

func builtStream(t *testing.T, agent *genai.ModelsAgent) *stream {
	t.Helper()
	return conformance.Built(t, middleware.WrapStream(agent).Named("narrator").Commit(genai.Says).Complete(genai.Ends).Retry(soon))
}

func joined(chunks []*sdk.GenerateContentResponse) string {
	var b strings.Builder
	for _, c := range chunks {
		b.WriteString(c.Text())
	}
	return b.String()
}

var class = conformance.Class
