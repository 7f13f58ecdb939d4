package adk_test

import (
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware/adapters/adk"
)

func TestAlive(t *testing.T) {
	says := func(p *genai.Part) *model.LLMResponse {
		return &model.LLMResponse{Partial: true, Content: &genai.Content{Parts: []*genai.Part{nil, p}}}
	}
	for name, tc := range map[string]struct {
		response *model.LLMResponse
		alive    bool
	}{
		"text":           {says(&genai.Part{Text: "a"}), true},
		"a thought":      {says(&genai.Part{Text: "a", Thought: true}), true},
		"half a call":    {says(&genai.Part{FunctionCall: &genai.FunctionCall{Name: "pay"}}), true},
		"the end":        {&model.LLMResponse{FinishReason: genai.FinishReasonStop}, true},
		"an empty text":  {says(&genai.Part{}), false},
		"nothing at all": {nil, false},
		"usage":          {&model.LLMResponse{Partial: true, UsageMetadata: &genai.GenerateContentResponseUsageMetadata{}}, false},
	} {
		if adk.Alive(tc.response) != tc.alive {
			t.Errorf("%s: alive is %v", name, !tc.alive)
		}
	}
}
