package genkit_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/firebase/genkit/go/ai"
	"github.com/firebase/genkit/go/core/api"
	sdk "github.com/firebase/genkit/go/genkit"
	"github.com/firebase/genkit/go/plugins/compat_oai"
	"github.com/openai/openai-go/option"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
)

var soon = conformance.Soon

// house is the real plugin for compatible servers, its client's retries off.
// Its client appends a slash to a URL without one at every call, unguarded.
func house(url string) *compat_oai.OpenAICompatible {
	return &compat_oai.OpenAICompatible{
		Provider: "house", APIKey: "test", BaseURL: strings.TrimSuffix(url, "/") + "/",
		Opts: []option.RequestOption{option.WithMaxRetries(0), option.WithHTTPClient(&http.Client{Transport: genkit.Transport{}})},
	}
}

// connect returns the real framework.
func connect(t *testing.T, url string, plugins ...api.Plugin) *sdk.Genkit {
	t.Helper()
	return sdk.Init(t.Context(), sdk.WithPlugins(append(plugins, house(url))...))
}

// play starts a provider that fails by plan, and otherwise answers with four
// words.
func play(t *testing.T, plan endpoint.Plan) (*endpoint.Server, *sdk.Genkit) {
	t.Helper()
	plan.Answer = func(model string, _ []endpoint.Message) string { return "A stranger, says " + model }
	server, err := endpoint.Start(plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server, connect(t, server.URL())
}

// script is a provider with one model that fails so.
func script(t *testing.T, faults ...endpoint.Fault) (*endpoint.Server, *sdk.Genkit) {
	t.Helper()
	return play(t, endpoint.Plan{Script: map[string][]endpoint.Fault{"narrator": faults}})
}

// scripted is a server that gives the answers in turn, the last one for ever.
type scripted struct {
	*httptest.Server
	requests atomic.Int32
	bodies   chan string
}

func serve(t *testing.T, answers ...http.HandlerFunc) *scripted {
	t.Helper()
	s := &scripted{bodies: make(chan string, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.bodies <- string(body)
		answers[min(int(s.requests.Add(1)), len(answers))-1](w, r)
	}))
	s.Config.SetKeepAlivesEnabled(false) // a client may repeat what failed on a reused connection
	t.Cleanup(s.Close)
	return s
}

// says answers with a status, a body, and headers given as name, value, ...
func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const (
	hello = `{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hello"}}]}`
	call  = `{"choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,
		"tool_calls":[{"id":"call_1","type":"function","function":{"name":"open_door","arguments":"{\"door\":\"front\"}"}}]}}]}`
)

func streams(objects ...string) http.HandlerFunc {
	return says(200, "data: "+strings.Join(objects, "\n\ndata: ")+"\n\n", "Content-Type", "text/event-stream")
}

// whole is a middleware with a chain for calls that nobody listens to.
func whole(t *testing.T, b *middleware.Builder[genkit.Call, *ai.ModelResponse]) genkit.Recovery {
	t.Helper()
	return genkit.Recovery{Model: conformance.Built(t, b)}
}

// stream is a middleware with a chain for both.
func stream(t *testing.T, b *middleware.StreamBuilder[genkit.Call, genkit.Chunk]) genkit.Recovery {
	t.Helper()
	return genkit.Recovery{Stream: conformance.Built(t, b.Commit(genkit.Says).Complete(genkit.Ends))}
}

func ask(t *testing.T, g *sdk.Genkit, options ...ai.GenerateOption) (*ai.ModelResponse, error) {
	t.Helper()
	return sdk.Generate(t.Context(), g, append([]ai.GenerateOption{
		ai.WithModelName("house/narrator"), ai.WithPrompt("Who is at the door?"),
	}, options...)...)
}

// served fails the test unless the call was answered so.
func served(t *testing.T, resp *ai.ModelResponse, err error, want string, how genkit.Provenance) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := genkit.ProvenanceOf(resp); resp.Text() != want || got != how {
		t.Errorf("got %q, %+v; want %q, %+v", resp.Text(), got, want, how)
	}
}

var class = conformance.Class
