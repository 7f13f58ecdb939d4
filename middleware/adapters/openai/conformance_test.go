package openai_test

import (
	"net/http"
	"testing"

	sdk "github.com/openai/openai-go/v3"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/strategies"
)

type (
	builder = middleware.Builder[sdk.ChatCompletionNewParams, *sdk.ChatCompletion]
	guarded = middleware.Guarded[sdk.ChatCompletionNewParams, *sdk.ChatCompletion]
	stream  = middleware.GuardedStream[sdk.ChatCompletionNewParams, sdk.ChatCompletionChunk]
)

var soon = conformance.Soon

func built(t *testing.T, b *builder) *guarded { t.Helper(); return conformance.Built(t, b) }

// script is a provider with one model that fails so, and the agent asking it.
func script(t *testing.T, faults ...endpoint.Fault) (*endpoint.Server, *openai.ChatAgent) {
	t.Helper()
	server := conformance.Endpoint(t, map[string][]endpoint.Fault{"narrator": faults})
	return server, openai.Chat(connect(server.URL()))
}

func builtStream(t *testing.T, chat *openai.ChatAgent) *stream {
	t.Helper()
	return conformance.Built(t, middleware.WrapStream(chat).Named("narrator").Commit(openai.Says).Complete(openai.Ends).Retry(soon))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance.Run(t, conformance.Adapter[endpoint.Fault]{
		Faults: conformance.EndpointFaults(),
		Ways: conformance.Ways[endpoint.Fault]{"": func(t *testing.T, s conformance.Scene[endpoint.Fault]) conformance.Result {
			server := conformance.Endpoint(t, s.Script)
			chat := openai.Chat(connect(server.URL()))
			b := conformance.Set(middleware.Wrap(chat), s)
			if s.StandIn.Name != "" {
				b.FallbackVia(s.StandIn.Name, chat, openai.Model(s.StandIn.Model))
			}
			if s.Reduced != "" {
				b.Degrade(strategies.LevelReduced, openai.Reply(s.Reduced))
			}
			return conformance.Of(built(t, b).Outcome(t.Context(), ask("narrator")), text, server)
		}},
		Cuts: conformance.EndpointCuts(),
		Stream: func(t *testing.T, cut conformance.Cut[endpoint.Fault]) conformance.Result {
			server, chat := script(t, cut.Fault)
			return conformance.Heard(t, builtStream(t, chat), ask("narrator"), joined, server)
		},
		Interrupt: conformance.Pause[http.HandlerFunc, sdk.ChatCompletionNewParams, *sdk.ChatCompletion]{
			Ask: tooled("narrator", "open_door"),
			Answers: map[string]http.HandlerFunc{conformance.ToolCall: says(200, `{"choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant",
				"content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"open_door","arguments":"{}"}}]}}]}`)},
			Agent: func(t *testing.T, answer http.HandlerFunc) (middleware.Runner[sdk.ChatCompletionNewParams, *sdk.ChatCompletion], conformance.Provider) {
				server := serve(t, answer)
				return openai.Chat(connect(server.URL)), server
			},
			Wants: func(c *sdk.ChatCompletion) bool { return len(c.Choices[0].Message.ToolCalls) == 1 },
			Reply: openai.Reply("no"),
		}.Play,
	})
}
