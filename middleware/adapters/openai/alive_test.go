package openai_test

import (
	"encoding/json"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/understudy-go/understudy/middleware/adapters/openai"
)

func TestAlive(t *testing.T) {
	for text, alive := range map[string]bool{
		`{"choices":[{"index":0,"delta":{"content":"a"}}]}`:                                           true,
		`{"choices":[{"index":0,"delta":{"reasoning_content":"a"}}]}`:                                 true,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}`: true,
		`{"choices":[{"index":0,"delta":{"refusal":"no"}}]}`:                                          true,
		`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`:                                 true,
		`{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`:                         false,
		`{"choices":[],"usage":{"total_tokens":1}}`:                                                   false,
	} {
		var chunk sdk.ChatCompletionChunk
		if err := json.Unmarshal([]byte(text), &chunk); err != nil {
			t.Fatal(err)
		}
		if openai.Alive(chunk) != alive {
			t.Errorf("%s: alive is %v", text, !alive)
		}
	}
	for text, alive := range map[string]bool{
		`{"type":"response.output_text.delta","delta":"a"}`:             true,
		`{"type":"response.function_call_arguments.delta","delta":"{"}`: true,
		`{"type":"response.web_search_call.searching"}`:                 true,
		`{"type":"keepalive"}`:                                          false,
		`{}`:                                                            false,
	} {
		var event responses.ResponseStreamEventUnion
		if err := json.Unmarshal([]byte(text), &event); err != nil {
			t.Fatal(err)
		}
		if openai.ResponsesAlive(event) != alive {
			t.Errorf("%s: alive is %v", text, !alive)
		}
	}
}
