package genai_test

import (
	"testing"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/strategies"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance.Run(t, conformance.Adapter[gemini.Answer]{
		Faults: conformance.GeminiFaults(),
		Ways: conformance.Ways[gemini.Answer]{"": func(t *testing.T, s conformance.Scene[gemini.Answer]) conformance.Result {
			server := play(t, s.Script)
			models := genai.Models(connect(t, server.URL()))
			b := conformance.Set(middleware.Wrap(models), s)
			if s.StandIn.Name != "" {
				b.FallbackVia(s.StandIn.Name, models, genai.Model(s.StandIn.Model))
			}
			if s.Reduced != "" {
				b.Degrade(strategies.LevelReduced, genai.Reply(s.Reduced))
			}
			return conformance.Of(built(t, b).Outcome(t.Context(), ask("narrator")), (*sdk.GenerateContentResponse).Text, server)
		}},
		Cuts: conformance.GeminiCuts(),
		Stream: func(t *testing.T, cut conformance.Cut[gemini.Answer]) conformance.Result {
			server, models := narrator(t, cut.Fault)
			return conformance.Heard(t, builtStream(t, models), ask("narrator"), joined, server)
		},
		Interrupt: conformance.Pause[gemini.Answer, genai.Request, *sdk.GenerateContentResponse]{
			Ask: declaring("narrator", "open_door"),
			Answers: map[string]gemini.Answer{conformance.ToolCall: gemini.Body(
				`{"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[{"functionCall":{"name":"open_door","args":{}}}]}}]}`)},
			Agent: func(t *testing.T, answer gemini.Answer) (middleware.Runner[genai.Request, *sdk.GenerateContentResponse], conformance.Provider) {
				server, models := narrator(t, answer)
				return models, server
			},
			Wants: func(r *sdk.GenerateContentResponse) bool { return len(r.FunctionCalls()) == 1 },
			Reply: genai.Reply("no"),
		}.Play,
	})
}
