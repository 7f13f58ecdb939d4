package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/strategies"
)

// What was wrong with an answer is told to the model, over the wire, and nothing else is.
func TestTold(t *testing.T) {
	for _, tc := range []struct {
		it    string
		first string // the first answer's finish reason, or a status
		told  string // that the second request says; "": it is the first one again
	}{
		{"an answer that was cut is asked to be shorter", "length", "be shorter"},
		{"a server's failure is nothing to the model", "503", ""},
	} {
		t.Run(tc.it, func(t *testing.T) {
			var bodies []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				bodies = append(bodies, string(body))
				w.Header().Set("Content-Type", "application/json")
				finish := "stop"
				if len(bodies) == 1 {
					if finish = tc.first; finish == "503" {
						w.WriteHeader(503)
						return
					}
				}
				_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"finish_reason":"`+finish+`","message":{"role":"assistant","content":"hi"}}]}`)
			}))
			t.Cleanup(server.Close)
			g := middleware.Must(middleware.Wrap(openai.Chat(connect(server.URL))).Retry(strategies.Retry{Backoff: strategies.Delays{0}}).RetryVia(openai.Told).Build())
			request := ask("m")
			if _, err := g.Run(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			if len(bodies) != 2 || strings.Contains(bodies[1], "could not be used") != (tc.told != "") || !strings.Contains(bodies[1], tc.told) || len(request.Messages) != 1 {
				t.Errorf("asked %q", bodies)
			}
		})
	}
	var none sdk.ChatCompletionNewParams
	if got, err := openai.Told(t.Context(), none, middleware.Failure{Err: errors.New("x")}); err != nil || len(got.Messages) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// refused is a failure by a check, of an answer as it came over the wire.
func refused[T any](t *testing.T, raw string) middleware.Failure {
	t.Helper()
	var answer T
	if err := json.Unmarshal([]byte(raw), &answer); err != nil {
		t.Fatal(err)
	}
	return middleware.Failure{Err: &strategies.InvalidAnswerError{Err: errors.New("the guest is missing"), Answer: &answer}}
}

// The last answer stands in the history as the API wants it, with what was wrong behind it.
func TestToldRepeatsTheAnswer(t *testing.T) {
	const complaint = `{"content":"Your last answer to this could not be used: the guest is missing. Please answer again.","role":"user"}`
	message := func(message string) string { return `{"choices":[{"index":0,"message":` + message + `}]}` }
	for _, tc := range []struct{ it, answer, history string }{
		{"text", message(`{"role":"assistant","content":"Room 7."}`), `{"content":"Room 7.","role":"assistant"},` + complaint},
		{"a call", message(`{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"book","arguments":"{\"room\":7}"}}]}`),
			`{"tool_calls":[{"id":"c1","function":{"arguments":"{\"room\":7}","name":"book"},"type":"function"}],"role":"assistant"},` +
				`{"content":"This was not run. Your last answer to this could not be used: the guest is missing. Please answer again.","tool_call_id":"c1","role":"tool"}`},
		{"a call that servers could not read", message(`{"role":"assistant","content":"Hm.","tool_calls":[{"id":"c1","type":"function","function":{"name":"book","arguments":"{"}}]}`),
			`{"content":"Hm.","role":"assistant"},` + complaint},
		{"nothing", `{"choices":[]}`, complaint},
		{"a long text", message(`{"role":"assistant","content":"` + strings.Repeat("x", 9000) + `"}`), complaint},
	} {
		t.Run(tc.it, func(t *testing.T) {
			asked := ask("m")
			got, err := openai.Told(t.Context(), asked, refused[sdk.ChatCompletion](t, tc.answer))
			wire, _ := json.Marshal(got.Messages[1:])
			if err != nil || string(wire) != "["+tc.history+"]" || len(asked.Messages) != 1 {
				t.Errorf("%s, %v", wire, err)
			}
		})
	}
	for it, in := range map[string]responses.ResponseNewParams{
		"a string": input("m"),
		"a list":   {Input: responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{responses.ResponseInputItemParamOfMessage("Who is at the door?", "user")}}},
	} {
		t.Run("responses: "+it, func(t *testing.T) {
			got, err := openai.ResponsesTold(t.Context(), in, refused[responses.Response](t, response("completed", answered)))
			wire, _ := json.Marshal(got.Input)
			want := `[{"content":"Who is at the door?","role":"user"},{"content":"Hello","role":"assistant"},` + complaint + `]`
			if err != nil || string(wire) != want {
				t.Errorf("%s, %v", wire, err)
			}
			if same, err := openai.ResponsesTold(t.Context(), in, middleware.Failure{Err: errors.New("down")}); err != nil || len(same.Input.OfInputItemList) != len(in.Input.OfInputItemList) {
				t.Errorf("told of a failure that is none of the model's: %v", err)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	const asked = `{"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"old","arguments":"{}"}}]},
		{"role":"tool","tool_call_id":"1","content":"x"},{"role":"user","content":"b"},
		{"role":"assistant","tool_calls":[{"id":"2","type":"function","function":{"name":"look","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"2","content":"y"}]}`
	var params sdk.ChatCompletionNewParams
	if err := json.Unmarshal([]byte(asked), &params); err != nil {
		t.Fatal(err)
	}
	before := []strategies.ToolCall{{Name: "look", Arguments: `{"a":1}`}}
	want := strategies.Answer{Text: "Room 7.", Finish: "tool_calls", Calls: []strategies.ToolCall{{Name: "book", Arguments: `{"room":7}`}}, Before: before}
	completion := parsed[sdk.ChatCompletion](t, `{"choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":"Room 7.",
		"tool_calls":[{"id":"c1","type":"function","function":{"name":"book","arguments":"{\"room\":7}"}}]}}]}`)
	if got := openai.Answer(params, &completion); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	hear, last := openai.StreamAnswer(params), strategies.Answer{}
	for _, chunk := range []string{
		`{"choices":[{"index":0,"delta":{"content":"Room "}},{"index":1,"delta":{"content":"another"}}]}`, `{"choices":[{"index":0,"delta":{"content":"7."}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"book","arguments":"{\"room\""}}]}}]}`,
		`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":7}"}}]}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`,
		`{"choices":[],"usage":{"total_tokens":1}}`,
	} {
		last = hear(parsed[sdk.ChatCompletionChunk](t, chunk))
	}
	if !reflect.DeepEqual(last, want) {
		t.Errorf("of a stream: %+v", last)
	}
	if got := openai.Answer(params, nil); !reflect.DeepEqual(got, strategies.Answer{Before: before}) {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestResponsesAnswer(t *testing.T) {
	params := responses.ResponseNewParams{Input: responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{
		responses.ResponseInputItemParamOfFunctionCall("{}", "1", "old"), responses.ResponseInputItemParamOfMessage("b", "user"),
		responses.ResponseInputItemParamOfFunctionCall(`{"a":1}`, "2", "look"),
	}}}
	before := []strategies.ToolCall{{Name: "look", Arguments: `{"a":1}`}}
	want := strategies.Answer{Text: "Hello", Finish: "completed", Calls: []strategies.ToolCall{{Name: "book", Arguments: `{"room":7}`}}, Before: before}
	const called = `{"type":"function_call","name":"book","arguments":"{\"room\":7}"}`
	whole := parsed[responses.Response](t, response("completed", answered+","+called))
	if got := openai.ResponsesAnswer(params, &whole); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for it, end := range map[string]string{"that repeats it": response("completed", answered+","+called), "that does not": response("completed", "")} {
		hear, last := openai.ResponsesStreamAnswer(params), strategies.Answer{}
		for _, event := range []string{
			`{"type":"response.output_text.delta","delta":"Hel"}`, `{"type":"response.output_text.delta","delta":"lo"}`,
			`{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","name":"book"}}`,
			`{"type":"response.function_call_arguments.delta","output_index":1,"delta":"{\"room\":7}"}`,
			`{"type":"response.completed","response":` + end + `}`,
		} {
			last = hear(parsed[responses.ResponseStreamEventUnion](t, event))
		}
		if !reflect.DeepEqual(last, want) {
			t.Errorf("of a stream with an end %s: %+v", it, last)
		}
	}
	cut := parsed[responses.Response](t, response("incomplete", answered, `"incomplete_details":{"reason":"max_output_tokens"}`))
	if got := openai.ResponsesAnswer(params, &cut); got.Finish != "max_output_tokens" {
		t.Errorf("got %+v", got)
	}
}

func parsed[T any](t *testing.T, raw string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A check of an answer in a real chain: the model is told, and answers better.
func ExampleAnswer() {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, string(body))
		w.Header().Set("Content-Type", "application/json")
		text := "I have booked room 7 for you."
		if len(asked) > 1 {
			text = "I could not book it; shall I try?"
		}
		_, _ = io.WriteString(w, `{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"`+text+`"}}]}`)
	}))
	defer server.Close()
	client := connect(server.URL)

	announced := strategies.AnswerCheckFunc(func(a strategies.Answer) error {
		if strings.Contains(a.Text, "have booked") {
			return strategies.NeedTool{Names: []string{"book"}}.Check(a)
		}
		return nil
	})
	clerk, err := middleware.Wrap(openai.Chat(client)).
		Check(openai.Answer, announced, strategies.NoLoops{}).
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}).
		RetryVia(openai.Told).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	completion, err := clerk.Run(context.Background(), ask("clerk"))
	fmt.Println(completion.Choices[0].Message.Content, err)
	fmt.Println(strings.Contains(asked[1], `the tool \"book\" was not called: call it before you answer`))
	// Output:
	// I could not book it; shall I try? <nil>
	// true
}
