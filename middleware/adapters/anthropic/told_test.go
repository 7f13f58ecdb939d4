package anthropic_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/anthropic"
	"github.com/understudy-go/understudy/strategies"
)

// The roles must take turns, so the word goes into the user's last message.
func TestTold(t *testing.T) {
	cut := middleware.Failure{Err: &strategies.AnswerError{Reason: anthropic.Length}}
	user := sdk.NewUserMessage(sdk.NewTextBlock("hello"))
	for name, tc := range map[string]struct {
		messages []sdk.MessageParam
		failure  middleware.Failure
		want     int // messages
		told     bool
	}{
		"behind the user's":     {[]sdk.MessageParam{user}, cut, 1, true},
		"behind an assistant's": {[]sdk.MessageParam{user, sdk.NewAssistantMessage(sdk.NewTextBlock("hm"))}, cut, 3, true},
		"nothing to be told of": {[]sdk.MessageParam{user}, middleware.Failure{}, 1, false},
		"without a message":     {nil, cut, 1, true},
	} {
		before, _ := json.Marshal(tc.messages)
		got, err := anthropic.Told(t.Context(), sdk.MessageNewParams{Messages: tc.messages}, tc.failure)
		wire, _ := json.Marshal(got.Messages)
		if after, _ := json.Marshal(tc.messages); string(after) != string(before) {
			t.Errorf("%s: the caller's messages were changed", name)
		}
		if err != nil || len(got.Messages) != tc.want || strings.Contains(string(wire), "be shorter") != tc.told {
			t.Errorf("%s: %s, %v", name, wire, err)
		}
	}
}

// The last answer stands in the history as the API wants it, with what was wrong behind it.
func TestToldRepeatsTheAnswer(t *testing.T) {
	const complaint = `{"text":"Your last answer to this could not be used: the guest is missing. Please answer again.","type":"text"}`
	for _, tc := range []struct{ it, content, history string }{
		{"text", `{"type":"text","text":"Room 7."}`, `{"content":[{"text":"Room 7.","type":"text"}],"role":"assistant"},{"content":[` + complaint + `],"role":"user"}`},
		{"a call", `{"type":"tool_use","id":"t1","name":"book","input":{"room":7}}`,
			`{"content":[{"id":"t1","input":{"room":7},"name":"book","type":"tool_use"}],"role":"assistant"},` +
				`{"content":[{"tool_use_id":"t1","is_error":true,"content":[{"text":"This was not run: the guest is missing.","type":"text"}],"type":"tool_result"},` + complaint + `],"role":"user"}`},
	} {
		t.Run(tc.it, func(t *testing.T) {
			message := &sdk.Message{}
			if err := json.Unmarshal([]byte(`{"role":"assistant","stop_reason":"end_turn","content":[`+tc.content+`]}`), message); err != nil {
				t.Fatal(err)
			}
			asked := sdk.MessageNewParams{Messages: []sdk.MessageParam{sdk.NewUserMessage(sdk.NewTextBlock("hello"))}}
			got, err := anthropic.Told(t.Context(), asked, middleware.Failure{Err: &strategies.InvalidAnswerError{Err: errors.New("the guest is missing"), Answer: message}})
			wire, _ := json.Marshal(got.Messages[1:])
			if err != nil || string(wire) != "["+tc.history+"]" || len(asked.Messages) != 1 {
				t.Errorf("%s, %v", wire, err)
			}
		})
	}
	for it, content := range map[string]string{
		"a tool of the provider's": `{"type":"server_tool_use","id":"s1","name":"web_search","input":{}}`,
		"blank text":               `{"type":"text","text":" "}`,
		"a long text":              `{"type":"text","text":"` + strings.Repeat("x", 9000) + `"}`,
	} {
		message := &sdk.Message{}
		if err := json.Unmarshal([]byte(`{"role":"assistant","stop_reason":"end_turn","content":[`+content+`]}`), message); err != nil {
			t.Fatal(err)
		}
		asked := sdk.MessageNewParams{Messages: []sdk.MessageParam{sdk.NewUserMessage(sdk.NewTextBlock("hello"))}}
		got, err := anthropic.Told(t.Context(), asked, middleware.Failure{Err: &strategies.InvalidAnswerError{Err: errors.New("no"), Answer: message}})
		if err != nil || len(got.Messages) != 1 || len(got.Messages[0].Content) != 2 {
			t.Errorf("%s: %+v, %v", it, got.Messages, err)
		}
	}
}

func TestAnswer(t *testing.T) {
	use := func(name string) sdk.MessageParam {
		return sdk.NewAssistantMessage(sdk.NewToolUseBlock("1", map[string]any{"a": 1}, name))
	}
	result := sdk.NewUserMessage(sdk.NewToolResultBlock("1", "x", false))
	params := sdk.MessageNewParams{Messages: []sdk.MessageParam{sdk.NewUserMessage(sdk.NewTextBlock("a")), use("old"), result, sdk.NewUserMessage(sdk.NewTextBlock("b")), use("look"), result}}
	want := strategies.Answer{
		Text: "Room 7.", Finish: "tool_use", Calls: []strategies.ToolCall{{Name: "book", Arguments: `{"room":7}`}},
		Before: []strategies.ToolCall{{Name: "look", Arguments: `{"a":1}`}},
	}
	message := &sdk.Message{}
	if err := json.Unmarshal([]byte(`{"role":"assistant","stop_reason":"tool_use","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"Room 7."},{"type":"tool_use","id":"t","name":"book","input":{"room":7}}]}`), message); err != nil {
		t.Fatal(err)
	}
	if got := anthropic.Answer(params, message); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	hear, last := anthropic.StreamAnswer(params), strategies.Answer{}
	for _, raw := range []string{
		`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Room "}}`,
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"7."}}`, `{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"book","input":{}}}`,
		`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"room\":7}"}}`, `{"type":"content_block_stop","index":1}`,
		`{"type":"message_delta","delta":{"stop_reason":"tool_use"}}`, `{"type":"message_stop"}`,
	} {
		var event sdk.MessageStreamEventUnion
		if err := json.Unmarshal([]byte(raw), &event); err != nil {
			t.Fatal(err)
		}
		last = hear(event)
	}
	if !reflect.DeepEqual(last, want) {
		t.Errorf("of a stream: %+v", last)
	}
}
