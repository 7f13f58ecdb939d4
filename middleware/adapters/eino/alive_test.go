package eino_test

import (
	"testing"

	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware/adapters/eino"
)

func TestAlive(t *testing.T) {
	for name, tc := range map[string]struct {
		message *schema.Message
		alive   bool
	}{
		"text":              {&schema.Message{Content: "a"}, true},
		"reasoning":         {&schema.Message{ReasoningContent: "a"}, true},
		"a piece of a call": {&schema.Message{ToolCalls: []schema.ToolCall{{Function: schema.FunctionCall{Arguments: "{"}}}}, true},
		"the end":           {&schema.Message{ResponseMeta: &schema.ResponseMeta{FinishReason: "stop"}}, true},
		"an empty message":  {&schema.Message{Role: schema.Assistant}, false},
		"nothing at all":    {nil, false},
	} {
		if eino.Alive(tc.message) != tc.alive {
			t.Errorf("%s: alive is %v", name, !tc.alive)
		}
	}
}
