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
		accept []openai.Reason
		want   openai.Reason
		class  strategies.Class
		text   string
	}{
		{it: "takes text", answer: response("completed", pondered+","+answered)},
		{it: "takes a tool call", answer: response("completed", `{"type":"function_call","name":"f","arguments":"{}"}`)},
		{it: "takes a question for approval", answer: response("completed", `{"type":"mcp_approval_request","id":"1","name":"f"}`)},
		{it: "takes one that waits in the background", answer: response("queued", "")},
		{it: "takes a refusal for blocked", answer: response("completed", declined), want: openai.Refusal, class: strategies.ClassBlocked, text: "I cannot."},
		{it: "takes nothing for invalid", answer: response("completed", ""), want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes reasoning alone for invalid", answer: response("completed", pondered), want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes a null for invalid", answer: "null", want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes a truncated one for invalid", answer: response("incomplete", answered, `"incomplete_details":{"reason":"max_output_tokens"}`), want: openai.Length, class: strategies.ClassInvalidAnswer},
		{it: "accepts a truncated one if told to", answer: response("incomplete", answered, `"incomplete_details":{"reason":"max_output_tokens"}`), accept: []openai.Reason{openai.Length}},
		{it: "does not accept one cut before its first word", answer: response("incomplete", pondered, `"incomplete_details":{"reason":"max_output_tokens"}`), accept: []openai.Reason{openai.Length}, want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes a filtered one for blocked", answer: response("incomplete", answered, `"incomplete_details":{"reason":"content_filter"}`), want: openai.ContentFilter, class: strategies.ClassBlocked},
		{it: "takes a canceled one for unfinished", answer: response("cancelled", ""), want: openai.Unfinished, class: strategies.ClassInvalidAnswer},
		{it: "takes a server error for transient", answer: response("failed", "", `"error":{"code":"server_error","message":"Sorry"}`), want: openai.Failed, class: strategies.ClassTransient, text: "Sorry"},
		{it: "reads a rate limit by its code", answer: response("failed", "", `"error":{"code":"rate_limit_exceeded","message":"slow"}`), want: openai.Failed, class: strategies.ClassRateLimited, text: "slow"},
		{it: "reads a flagged prompt by its code", answer: response("failed", "", `"error":{"code":"invalid_prompt","message":"no"}`), want: openai.Failed, class: strategies.ClassBlocked, text: "no"},
		{it: "reads a policy by its code", answer: response("failed", "", `"error":{"code":"bio_policy","message":"no"}`), want: openai.Failed, class: strategies.ClassBlocked, text: "no"},
		{it: "reads a flagged image by its code", answer: response("failed", "", `"error":{"code":"image_content_policy_violation","message":"no"}`), want: openai.Failed, class: strategies.ClassBlocked, text: "no"},
		{it: "reads a timeout by its code", answer: response("failed", "", `"error":{"code":"vector_store_timeout","message":"late"}`), want: openai.Failed, class: strategies.ClassTimeout, text: "late"},
		{it: "takes a bad image for a bad request", answer: response("failed", "", `"error":{"code":"image_parse_error","message":"torn"}`), want: openai.Failed, class: strategies.ClassBadRequest, text: "torn"},
		{it: "takes a wrong region for this account's fault", answer: response("failed", "", `"error":{"code":"data_residency_mismatch","message":"eu"}`), want: openai.Failed, class: strategies.ClassUnauthorized, text: "eu"},
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
				var got *responses.Response
				var err error
				if form == "whole" {
					got, err = agent.Run(t.Context(), input("gpt"))
				} else {
					var events []responses.ResponseStreamEventUnion
					if events, err = middleware.Collect(agent.Stream(t.Context(), input("gpt"))); len(events) != 1 {
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
				e, ok := errors.AsType[*openai.AnswerError](err)
				if !ok || got != nil || e.Reason != tt.want || e.Text != tt.text {
					t.Fatalf("got %v, %v, want %s %q", got, err, tt.want, tt.text)
				}
				if tt.answer != "null" && e.Response.ID != "resp_1" {
					t.Error("the response is not within reach")
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
	for event, want := range map[string]bool{
		`{"type":"response.created"}`:                                                    false,
		`{"type":"response.output_item.added","item":{"type":"message"}}`:                false,
		`{"type":"response.output_item.added","item":{"type":"reasoning"}}`:              false,
		`{"type":"response.output_item.added","item":{"type":"function_call"}}`:          true,
		`{"type":"response.content_part.added","part":{"type":"output_text"}}`:           false,
		`{"type":"response.output_text.delta","delta":""}`:                               false,
		`{"type":"response.output_text.delta","delta":"H"}`:                              true,
		`{"type":"response.refusal.delta","delta":"I"}`:                                  false,
		`{"type":"response.reasoning_summary_text.delta","delta":"Hm"}`:                  true,
		`{"type":"response.function_call_arguments.delta","delta":"{"}`:                  true,
		`{"type":"response.image_generation_call.partial_image","partial_image_b64":""}`: true,
		`{"type":"response.completed"}`:                                                  false,
	} {
		var e responses.ResponseStreamEventUnion
		if err := e.UnmarshalJSON([]byte(event)); err != nil {
			t.Fatal(err)
		}
		if got := openai.ResponsesSays(e); got != want {
			t.Errorf("it says of %s that it says something: %v", event, got)
		}
		if got := openai.ResponsesEnds(e); got != strings.Contains(event, "completed") {
			t.Errorf("it says of %s that it is the end: %v", event, got)
		}
	}
}
