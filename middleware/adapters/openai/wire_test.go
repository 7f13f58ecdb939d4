package openai_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/endpoint"
)

// connect returns the real client, for a server at url.
func connect(url string, options ...option.RequestOption) sdk.Client {
	return sdk.NewClient(append([]option.RequestOption{option.WithBaseURL(url), option.WithAPIKey("test")}, options...)...)
}

// ask is a question to a model of the server.
func ask(model string) sdk.ChatCompletionNewParams {
	return sdk.ChatCompletionNewParams{
		Model:    model,
		Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("Who is at the door?")},
	}
}

// tooled is a question to a model that is offered these functions.
func tooled(model string, names ...string) sdk.ChatCompletionNewParams {
	params := ask(model)
	for _, name := range names {
		params.Tools = append(params.Tools, sdk.ChatCompletionFunctionTool(sdk.FunctionDefinitionParam{Name: name}))
	}
	return params
}

// play starts a provider that fails by script, and otherwise answers with four
// words.
func play(t *testing.T, plan endpoint.Plan) *endpoint.Server {
	t.Helper()
	plan.Answer = func(model string, _ []endpoint.Message) string { return "A stranger, says " + model }
	server, err := endpoint.Start(plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// scripted is a server that gives the answers in turn, the last one for ever.
type scripted struct {
	*httptest.Server
	requests atomic.Int32
}

func (s *scripted) Requests(string) int { return int(s.requests.Load()) }

func serve(t *testing.T, answers ...http.HandlerFunc) *scripted {
	t.Helper()
	s := &scripted{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
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

// streams answers 200 with these objects as server-sent events, and ends well.
func streams(objects ...string) http.HandlerFunc {
	var b strings.Builder
	for _, o := range objects {
		fmt.Fprintf(&b, "data: %s\n\n", o)
	}
	return says(200, b.String(), "Content-Type", "text/event-stream")
}

// cut answers like next, and then the connection breaks.
func cut(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		next(w, r)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// stall answers like next, and then falls silent until the client leaves.
func stall(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		next(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

func text(c *sdk.ChatCompletion) string {
	if c == nil || len(c.Choices) == 0 {
		return ""
	}
	return c.Choices[0].Message.Content
}

func joined(chunks []sdk.ChatCompletionChunk) string {
	var b strings.Builder
	for _, c := range chunks {
		for _, choice := range c.Choices {
			b.WriteString(choice.Delta.Content)
		}
	}
	return b.String()
}

var class = conformance.Class
