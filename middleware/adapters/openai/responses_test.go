package openai_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/strategies"
)

func input(model string) responses.ResponseNewParams {
	return responses.ResponseNewParams{
		Model: model,
		Input: responses.ResponseNewParamsInputUnion{OfString: sdk.String("Who is at the door?")},
	}
}

const (
	answered = `{"type":"message","content":[{"type":"output_text","text":"Hello"}]}`
	declined = `{"type":"message","content":[{"type":"refusal","refusal":"I cannot."}]}`
	pondered = `{"type":"reasoning","summary":[]}`
)

// response is one of such a status; more are fields.
func response(status, output string, more ...string) string {
	return `{"id":"resp_1","object":"response","status":"` + status + `","output":[` + output + `]` + strings.Join(append([]string{""}, more...), ",") + `}`
}

func TestResponses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		it     string
		answer string
		accept []string
		want   string
		class  strategies.Class
		text   string
		behind string // in the text of the error
	}{
		{it: "takes text", answer: response("completed", pondered+","+answered)},
		{it: "takes a tool call", answer: response("completed", `{"type":"function_call","name":"f","arguments":"{}"}`)},
		{it: "takes a question for approval", answer: response("completed", `{"type":"mcp_approval_request","id":"1","name":"f"}`)},
		{it: "takes one that waits in the background for none", answer: response("queued", ""), want: "queued", class: strategies.ClassInvalidAnswer},
		{it: "takes one that is at work in the background for none", answer: response("in_progress", answered), want: "in_progress", class: strategies.ClassInvalidAnswer, text: "Hello"},
		{it: "accepts one that waits in the background if told to", answer: response("queued", ""), accept: []string{"queued", openai.Empty}},
		{it: "takes no half of a tool call", answer: response("completed", `{"type":"function_call","name":"f","arguments":"{\"a"}`), want: openai.Arguments, class: strategies.ClassInvalidAnswer},
		{it: "takes a tool call without arguments", answer: response("completed", `{"type":"function_call","name":"f","arguments":""}`)},
		{it: "takes no call that says that it is not complete", answer: response("completed", `{"type":"function_call","name":"f","arguments":"{}","status":"incomplete"}`), want: openai.Arguments, class: strategies.ClassInvalidAnswer},
		{it: "takes no call of a tool that was not offered", answer: response("completed", `{"type":"function_call","name":"g","arguments":"{}"}`), want: openai.UnknownTool, class: strategies.ClassInvalidAnswer},
		{it: "does not keep calls without an end", answer: response("completed", strings.TrimSuffix(strings.Repeat(`{"type":"function_call","name":"f","arguments":""},`, 1025), ",")), want: openai.Arguments, class: strategies.ClassInvalidAnswer},
		{it: "leaves the tools of the provider alone", answer: response("completed", `{"type":"custom_tool_call","name":"g","input":"free"},{"type":"mcp_call","name":"h","arguments":"{"}`)},
		{it: "takes no text that was cut with half a tool call", answer: response("incomplete", answered+`,{"type":"function_call","name":"f","arguments":""}`, `"incomplete_details":{"reason":"max_output_tokens"}`), accept: []string{openai.Length}, want: openai.Arguments, class: strategies.ClassInvalidAnswer, text: "Hello"},
		{it: "takes a refusal for blocked", answer: response("completed", declined), want: openai.Refusal, class: strategies.ClassBlocked, text: "I cannot."},
		{it: "takes nothing for invalid", answer: response("completed", ""), want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes reasoning alone for invalid", answer: response("completed", pondered), want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes a null for invalid", answer: "null", want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes a truncated one for invalid", answer: response("incomplete", answered, `"incomplete_details":{"reason":"max_output_tokens"}`), want: "max_output_tokens", class: strategies.ClassInvalidAnswer, text: "Hello"},
		{it: "accepts a truncated one if told to", answer: response("incomplete", answered, `"incomplete_details":{"reason":"max_output_tokens"}`), accept: []string{openai.Length}},
		{it: "does not accept one cut before its first word", answer: response("incomplete", pondered, `"incomplete_details":{"reason":"max_output_tokens"}`), accept: []string{openai.Length}, want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes a filtered one for blocked", answer: response("incomplete", answered, `"incomplete_details":{"reason":"content_filter"}`), want: openai.ContentFilter, class: strategies.ClassBlocked, text: "Hello"},
		{it: "names an incomplete one that does not say why", answer: response("incomplete", answered), want: "incomplete", class: strategies.ClassInvalidAnswer, text: "Hello"},
		{it: "takes a canceled one for none", answer: response("cancelled", ""), want: "cancelled", class: strategies.ClassInvalidAnswer},
		{it: "takes a server error for transient", answer: response("failed", "", `"error":{"code":"server_error","message":"Sorry"}`), want: openai.Failed, class: strategies.ClassTransient, behind: "Sorry"},
		{it: "reads a rate limit by its code", answer: response("failed", "", `"error":{"code":"rate_limit_exceeded","message":"slow"}`), want: openai.Failed, class: strategies.ClassRateLimited, behind: "slow"},
		{it: "reads a flagged prompt by its code", answer: response("failed", "", `"error":{"code":"invalid_prompt","message":"no"}`), want: openai.Failed, class: strategies.ClassBlocked, behind: "no"},
		{it: "reads a policy by its code", answer: response("failed", "", `"error":{"code":"bio_policy","message":"no"}`), want: openai.Failed, class: strategies.ClassBlocked, behind: "no"},
		{it: "reads a flagged image by its code", answer: response("failed", "", `"error":{"code":"image_content_policy_violation","message":"no"}`), want: openai.Failed, class: strategies.ClassBlocked, behind: "no"},
		{it: "reads a timeout by its code", answer: response("failed", "", `"error":{"code":"vector_store_timeout","message":"late"}`), want: openai.Failed, class: strategies.ClassTimeout, behind: "late"},
		{it: "takes a bad image for a bad request", answer: response("failed", "", `"error":{"code":"image_parse_error","message":"torn"}`), want: openai.Failed, class: strategies.ClassBadRequest, behind: "torn"},
		{it: "takes a wrong region for this account's fault", answer: response("failed", "", `"error":{"code":"data_residency_mismatch","message":"eu"}`), want: openai.Failed, class: strategies.ClassUnauthorized, behind: "eu"},
		{it: "takes a failure without a reason for transient", answer: response("failed", ""), want: openai.Failed, class: strategies.ClassTransient},
	} {
		// Streamed, the same response comes with the last event.
		event := map[bool]string{true: "response.failed", false: "response.completed"}[tt.want == openai.Failed]
		if strings.Contains(tt.answer, `"incomplete"`) {
			event = "response.incomplete"
		}
		last := `{"type":"` + event + `","response":` + tt.answer + `}`
		for form, answer := range map[string]http.HandlerFunc{"whole": says(200, tt.answer), "streamed": streams(last)} {
			t.Run("it "+tt.it+", "+form, func(t *testing.T) {
				server := serve(t, answer)
				agent := openai.Responses(connect(server.URL)).Accept(tt.accept...)
				ask := input("gpt")
				ask.Tools = []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "f"}}}
				var got *responses.Response
				var err error
				if form == "whole" {
					got, err = agent.Run(t.Context(), ask)
				} else {
					var events []responses.ResponseStreamEventUnion
					if events, err = middleware.Collect(agent.Stream(t.Context(), ask)); (len(events) == 1) != (tt.want == "") {
						t.Errorf("%d events", len(events))
					}
				}
				if n := server.requests.Load(); n != 1 {
					t.Errorf("%d requests", n)
				}
				if tt.want == "" {
					if err != nil || form == "whole" && got.ID != "resp_1" {
						t.Errorf("got %v, %v", got, err)
					}
					return
				}
				e, ok := errors.AsType[*strategies.AnswerError](err)
				if !ok || got != nil || e.Reason != tt.want || e.Text != tt.text {
					t.Fatalf("got %v, %v, want %s %q", got, err, tt.want, tt.text)
				}
				if r, _ := e.Answer.(*responses.Response); tt.answer != "null" && (r == nil || r.ID != "resp_1") {
					t.Error("the response is not within reach")
				}
				if said := err.Error(); !strings.Contains(said, tt.behind) || tt.text != "" && strings.Contains(said, tt.text) {
					t.Errorf("the error does not say why, or says the answer: %v", err)
				}
				class(t, err, tt.class)
			})
		}
	}
}

func TestResponsesStream(t *testing.T) {
	t.Parallel()
	const (
		created = `{"type":"response.created","response":{"id":"resp_1","status":"in_progress","output":[]}}`
		item    = `{"type":"response.output_item.added","item":{"type":"message"}}`
		word    = `{"type":"response.output_text.delta","delta":"Hello"}`
		brief   = `{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[]}}`
	)
	whole := `{"type":"response.completed","response":` + response("completed", answered) + `}`
	for _, tt := range []struct {
		it       string
		answers  []http.HandlerFunc
		want     string
		requests int32
		class    strategies.Class // of the failure behind; 0: none
	}{
		{"delivers", []http.HandlerFunc{streams(created, item, word, whole)}, "Hello", 1, 0},
		{"does not need the answer repeated", []http.HandlerFunc{streams(created, item, word, brief)}, "Hello", 1, 0},
		{"retries one that ends before its first word", []http.HandlerFunc{streams(created, item), streams(created, item, word, whole)}, "Hello", 2, 0},
		{"retries an error before its first word", []http.HandlerFunc{streams(created, `{"type":"error","code":"server_error","message":"Sorry"}`), streams(word, whole)}, "Hello", 2, 0},
		{"retries a failure before its first word", []http.HandlerFunc{streams(created, `{"type":"response.failed","response":`+response("failed", "", `"error":{"code":"rate_limit_exceeded"}`)+`}`), streams(word, whole)}, "Hello", 2, 0},
		{"ends one that misses its marker", []http.HandlerFunc{streams(created, item, word)}, "Hello", 1, strategies.ClassInvalidAnswer},
		{"ends one with an error after a word", []http.HandlerFunc{streams(word, `{"type":"error","code":"server_is_overloaded","message":"busy"}`)}, "Hello", 1, strategies.ClassOverloaded},
		{"ends one with the error object of a proxy", []http.HandlerFunc{streams(word, `{"error":{"code":"insufficient_quota"}}`)}, "Hello", 1, strategies.ClassQuotaExhausted},
		{"ends one whose tokens ran out", []http.HandlerFunc{streams(word, `{"type":"response.incomplete","response":`+response("incomplete", answered)+`}`)}, "Hello", 1, strategies.ClassInvalidAnswer},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			server := serve(t, tt.answers...)
			g, err := middleware.WrapStream(openai.Responses(connect(server.URL))).
				Commit(openai.ResponsesSays).Complete(openai.ResponsesEnds).Retry(soon).Build()
			if err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			for event, failure := range g.Stream(t.Context(), input("gpt")) {
				said.WriteString(event.Delta)
				err = failure
			}
			if said.String() != tt.want {
				t.Errorf("got %q", said.String())
			}
			cut, ok := errors.AsType[*strategies.StreamError](err)
			switch {
			case tt.class == strategies.ClassUnclassified:
				if err != nil {
					t.Errorf("got %v", err)
				}
			case !ok:
				t.Errorf("got %v", err)
			default:
				class(t, cut.Err, tt.class)
			}
			if got := server.requests.Load(); got != tt.requests {
				t.Errorf("%d requests, want %d", got, tt.requests)
			}
		})
	}
	t.Run("it hands a quota to another model", func(t *testing.T) {
		server := serve(t, says(429, `{"error":{"code":"insufficient_quota"}}`), says(200, response("completed", answered)))
		agent := openai.Responses(connect(server.URL))
		g, err := middleware.Wrap(agent).Retry(soon).FallbackVia("mini", agent, openai.ResponsesModel("mini")).Build()
		if err != nil {
			t.Fatal(err)
		}
		o := g.Outcome(t.Context(), input("gpt"))
		if o.Err != nil || o.ServedBy != "mini" || o.Value.OutputText() != "Hello" || server.requests.Load() != 2 {
			t.Errorf("got %+v, %d requests", o, server.requests.Load())
		}
	})
}

func TestResponsesSays(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]struct{ says, thinking, ends bool }{
		`{"type":"response.created"}`:                                                    {},
		`{"type":"response.output_item.added","item":{"type":"message"}}`:                {},
		`{"type":"response.output_item.added","item":{"type":"reasoning"}}`:              {},
		`{"type":"response.output_item.added","item":{"type":"function_call"}}`:          {},
		`{"type":"response.output_item.done","item":{"type":"function_call"}}`:           {},
		`{"type":"response.content_part.added","part":{"type":"output_text"}}`:           {},
		`{"type":"response.output_text.delta","delta":""}`:                               {},
		`{"type":"response.output_text.delta","delta":"H"}`:                              {says: true, thinking: true},
		`{"type":"response.refusal.delta","delta":"I"}`:                                  {},
		`{"type":"response.reasoning_summary_text.delta","delta":"Hm"}`:                  {thinking: true},
		`{"type":"response.reasoning_text.delta","delta":"Hm"}`:                          {thinking: true},
		`{"type":"response.function_call_arguments.delta","delta":"{"}`:                  {},
		`{"type":"response.mcp_call_arguments.delta","delta":"{"}`:                       {},
		`{"type":"response.custom_tool_call_input.delta","delta":"x"}`:                   {},
		`{"type":"response.image_generation_call.partial_image","partial_image_b64":""}`: {says: true, thinking: true},
		`{"type":"response.completed"}`:                                                  {says: true, thinking: true, ends: true},
	} {
		var e responses.ResponseStreamEventUnion
		if err := e.UnmarshalJSON([]byte(event)); err != nil {
			t.Fatal(err)
		}
		if says, thinking, ends := openai.ResponsesSays(e), openai.ResponsesSaysThinking(e), openai.ResponsesEnds(e); says != want.says || thinking != want.thinking || ends != want.ends {
			t.Errorf("of %s: it says something: %v, it thinks: %v, it ends: %v", event, says, thinking, ends)
		}
	}
}
