package adk_test

import (
	"testing"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
	"github.com/understudy-go/understudy/strategies"
)

// costing is a response, or a piece of one, that tells the sum so far.
func costing(word string, finish genai.FinishReason, in, out, thoughts, cached int32) *model.LLMResponse {
	r := says(word)
	r.FinishReason, r.Partial = finish, finish == ""
	r.UsageMetadata = &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: in, CandidatesTokenCount: out, ThoughtsTokenCount: thoughts, CachedContentTokenCount: cached}
	return r
}

// What the framework's models report is booked: of what was no answer, of pieces, of
// turns, and once where the model of a turn has a chain of its own.
func TestUsage(t *testing.T) {
	llm := func() *script {
		return &script{responses: []*model.LLMResponse{costing("A ", "", 10, 1, 0, 4), costing("A stranger", genai.FinishReasonStop, 10, 5, 2, 4)}}
	}
	once := strategies.Usage{TokensIn: 10, TokensOut: 7, TokensCached: 4}
	chain := func(m model.LLM) *middleware.GuardedStream[adk.Call, *model.LLMResponse] {
		return middleware.Must(middleware.WrapStream(adk.LLM(m)).Commit(adk.Says).Retry(soon).Build())
	}
	for it, tc := range map[string]struct {
		of   func(t *testing.T) agent.Agent
		want strategies.Usage
	}{
		"a model": {func(t *testing.T) agent.Agent {
			return storyteller(t, middleware.Must(adk.NewModel(llm(), chain(llm()))))
		}, once.Add(strategies.Usage{Calls: 1})},
		"a turn": {func(t *testing.T) agent.Agent { return role(t, storyteller(t, llm())) }, once.Add(strategies.Usage{Calls: 1})},
		"a turn of a model with a chain": {func(t *testing.T) agent.Agent {
			return role(t, storyteller(t, middleware.Must(adk.NewModel(llm(), chain(llm())))))
		}, once.Add(strategies.Usage{Calls: 2})},
		"one that was cut, twice": {func(t *testing.T) agent.Agent {
			cut := &script{responses: []*model.LLMResponse{costing("A", genai.FinishReasonMaxTokens, 10, 5, 2, 4)}}
			b := middleware.WrapStream(adk.LLM(cut)).Commit(adk.Says).Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}})
			return storyteller(t, middleware.Must(adk.NewModel(cut, middleware.Must(b.Build()))))
		}, once.Add(once).Add(strategies.Usage{Calls: 2})},
	} {
		t.Run(it, func(t *testing.T) {
			ctx := middleware.WithUsageLimits(t.Context(), strategies.UsageLimits{Calls: 100})
			_ = newStage(t, tc.of(t)).turn(ctx, agent.StreamingModeSSE, genai.NewContentFromText("?", genai.RoleUser))
			if got := middleware.CallOf(ctx).Usage(); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
