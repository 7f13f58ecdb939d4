package adk_test

import (
	"testing"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/adk/v2/tool/toolconfirmation"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/conformance"
	wire "github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
	"github.com/understudy-go/understudy/strategies"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	ways := conformance.Ways[wire.Answer]{}
	for form, mode := range forms {
		ways[form] = func(t *testing.T, s conformance.Scene[wire.Answer]) conformance.Result { return playScene(t, s, mode) }
	}
	conformance.Run(t, conformance.Adapter[wire.Answer]{
		Faults: conformance.GeminiFaults(), Ways: ways, Cuts: conformance.GeminiCuts(), Stream: hear, Interrupt: interruptUntouched,
	})
}

// playScene asks an agent of the framework in its runner, with layers around its
// model.
func playScene(t *testing.T, s conformance.Scene[wire.Answer], mode agent.StreamingMode) conformance.Result {
	server := play(t, s.Script)
	first := google(t, server.URL(), "narrator")
	b := conformance.Set(middleware.WrapStream(adk.LLM(first)).Commit(adk.Says), s)
	if s.StandIn.Name != "" {
		b.Fallback(s.StandIn.Name, adk.LLM(google(t, server.URL(), s.StandIn.Model)))
	}
	if s.Reduced != "" {
		b.Degrade(strategies.LevelReduced, adk.Reply(s.Reduced))
	}
	got := newStage(t, storyteller(t, modelOf(t, first, b))).ask(t, mode)
	result := conformance.Result{Text: got.final, Err: got.err, Provider: server}
	if n := len(got.events); n > 0 && adk.Degraded(&got.events[n-1].LLMResponse) {
		result.Level = strategies.LevelReduced
	}
	return result
}

// hear reads a stream as the framework's runner does, and looks at what the
// session kept of it.
func hear(t *testing.T, cut conformance.Cut[wire.Answer]) conformance.Result {
	server := play(t, answers{"narrator": {cut.Fault}})
	s := newStage(t, storyteller(t, guard(t, google(t, server.URL(), "narrator"), retry)))
	got := s.ask(t, agent.StreamingModeSSE)
	final, kept := cut.Said, 2
	if cut.Ends() {
		final, kept = "", 1 // what was cut off is no answer
	}
	if n := len(s.kept(t)); got.final != final || n != kept {
		t.Errorf("%q is taken for the answer; the session has %d events, want %d", got.final, n, kept)
	}
	return conformance.Result{Text: got.partial, Err: got.err, Provider: server, Sent: conformance.SentBefore(got.err, func(chunks []*model.LLMResponse) (sent string) {
		for _, c := range chunks {
			sent += text(c)
		}
		return sent
	})}
}

// The framework asks a person before a tool runs. The question passes through
// the chain as it is, and the answer to it is taken up where the turn stopped.
func interruptUntouched(t *testing.T) {
	call := wire.Body(`{"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[{"functionCall":{"id":"call_1","name":"open_door","args":{}}}]}}]}`)
	server := play(t, answers{"narrator": {wire.Overloaded(), call, wire.Overloaded()}})
	opened := 0
	door, err := functiontool.New(functiontool.Config{Name: "open_door", Description: "Opens it.", RequireConfirmation: true},
		func(agent.Context, struct{}) (string, error) { opened++; return "open", nil })
	if err != nil {
		t.Fatal(err)
	}
	seen := &recoveries{}
	llm := guard(t, google(t, server.URL(), "narrator"), func(b *chain) *chain {
		return b.Retry(soon).Observe(seen).Degrade(strategies.LevelReduced, adk.Reply("no"))
	})
	s := newStage(t, storyteller(t, llm, func(c *llmagent.Config) { c.Tools = []tool.Tool{door} }))
	got := s.ask(t, agent.StreamingModeNone)
	if got.err != nil || opened != 0 {
		t.Fatalf("got %v; the door was opened %d times", got.err, opened)
	}
	var question string
	for _, event := range got.events {
		for _, id := range event.LongRunningToolIDs {
			question = id
		}
	}
	conformance.Requests(t, "narrator", server.Requests("narrator"), 2)

	got = s.turn(t.Context(), agent.StreamingModeNone, &genai.Content{Role: genai.RoleUser, Parts: []*genai.Part{{FunctionResponse: &genai.FunctionResponse{
		ID: question, Name: toolconfirmation.FunctionCallName, Response: map[string]any{"confirmed": true},
	}}}})
	if got.err != nil || opened != 1 || got.final != "A stranger, says narrator" {
		t.Errorf("got %q, %v; the door was opened %d times", got.final, got.err, opened)
	}
	conformance.Requests(t, "narrator", server.Requests("narrator"), 4)
	for _, e := range seen.events {
		if e.Kind == middleware.EventFailed || e.Strategy == strategies.StrategyDegradation {
			t.Errorf("the chain took the question for a failure: %+v", e)
		}
	}
}
