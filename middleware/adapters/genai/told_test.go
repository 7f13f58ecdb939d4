package genai_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/strategies"
)

func TestTold(t *testing.T) {
	asked := genai.Request{Contents: sdk.Text("hello")}
	got, err := genai.Told(t.Context(), asked, middleware.Failure{Err: &strategies.AnswerError{Reason: string(sdk.FinishReasonMaxTokens)}})
	if err != nil || len(got.Contents) != 2 || len(asked.Contents) != 1 || got.Contents[1].Role != sdk.RoleUser || !strings.Contains(got.Contents[1].Parts[0].Text, "be shorter") {
		t.Errorf("got %+v, %v", got.Contents, err)
	}
	if got, err := genai.Told(t.Context(), asked, middleware.Failure{}); err != nil || len(got.Contents) != 1 {
		t.Errorf("got %+v, %v", got.Contents, err)
	}
}

// The last answer stands in the history as the API wants it, with what was wrong behind it.
func TestToldRepeatsTheAnswer(t *testing.T) {
	asked := genai.Request{Contents: sdk.Text("hello")}
	failed := func(parts ...*sdk.Part) middleware.Failure {
		answer := &sdk.GenerateContentResponse{Candidates: []*sdk.Candidate{{Content: &sdk.Content{Role: sdk.RoleModel, Parts: parts}}}}
		return middleware.Failure{Err: &strategies.InvalidAnswerError{Err: errors.New("the guest is missing"), Answer: answer}}
	}
	const complaint = `{"parts":[{"text":"Your last answer to this could not be used: the guest is missing. Please answer again."}],"role":"user"}`
	for _, tc := range []struct {
		it      string
		failure middleware.Failure
		history string
	}{
		{"text", failed(&sdk.Part{Text: "Room 7."}), `{"parts":[{"text":"Room 7."}],"role":"model"},` + complaint},
		{"a call", failed(&sdk.Part{FunctionCall: &sdk.FunctionCall{ID: "f1", Name: "book", Args: map[string]any{"room": 7}}}),
			`{"parts":[{"functionCall":{"id":"f1","args":{"room":7},"name":"book"}}],"role":"model"},` +
				`{"parts":[{"functionResponse":{"id":"f1","name":"book","response":{"error":"this was not run: the guest is missing"}}}],"role":"user"}`},
		{"half a call", failed(&sdk.Part{FunctionCall: &sdk.FunctionCall{}}), complaint},
		{"a long text", failed(&sdk.Part{Text: strings.Repeat("x", 9000)}), complaint},
		{"nothing", failed(), complaint},
		{"what is known of a stream", middleware.Failure{Err: &strategies.InvalidAnswerError{Err: errors.New("the guest is missing"), Answer: strategies.Answer{Text: "Room 7."}}},
			`{"parts":[{"text":"Room 7."}],"role":"model"},` + complaint},
	} {
		t.Run(tc.it, func(t *testing.T) {
			got, err := genai.Told(t.Context(), asked, tc.failure)
			wire, _ := json.Marshal(got.Contents[1:])
			if err != nil || string(wire) != "["+tc.history+"]" || len(asked.Contents) != 1 {
				t.Errorf("%s, %v", wire, err)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	call := func(name string) *sdk.Content {
		return &sdk.Content{Role: sdk.RoleModel, Parts: []*sdk.Part{{FunctionCall: &sdk.FunctionCall{Name: name, Args: map[string]any{"a": 1}}}}}
	}
	result := &sdk.Content{Role: sdk.RoleUser, Parts: []*sdk.Part{{FunctionResponse: &sdk.FunctionResponse{Name: "x"}}}}
	req := genai.Request{Contents: []*sdk.Content{sdk.Text("a")[0], call("old"), result, sdk.Text("b")[0], call("look"), result, nil}}
	want := strategies.Answer{
		Text: "Room 7.", Finish: "STOP", Calls: []strategies.ToolCall{{Name: "book", Arguments: `{"room":7}`}},
		Before: []strategies.ToolCall{{Name: "look", Arguments: `{"a":1}`}},
	}
	book := &sdk.Part{FunctionCall: &sdk.FunctionCall{Name: "book", Args: map[string]any{"room": 7}}}
	piece := func(finish sdk.FinishReason, parts ...*sdk.Part) *sdk.GenerateContentResponse {
		return &sdk.GenerateContentResponse{Candidates: []*sdk.Candidate{{Index: 1}, nil, {FinishReason: finish, Content: &sdk.Content{Role: sdk.RoleModel, Parts: parts}}}}
	}
	if got := genai.Answer(req, piece("STOP", &sdk.Part{Text: "hm", Thought: true}, &sdk.Part{Text: "Room 7."}, book)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	hear, last := genai.StreamAnswer(req), strategies.Answer{}
	for _, chunk := range []*sdk.GenerateContentResponse{piece("", &sdk.Part{Text: "Room "}), piece("", &sdk.Part{Text: "7."}, nil), nil, piece("", book), piece("STOP")} {
		last = hear(chunk)
	}
	if !reflect.DeepEqual(last, want) {
		t.Errorf("of a stream: %+v", last)
	}
}
