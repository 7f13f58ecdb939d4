package openai_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/openai/openai-go/v3"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/strategies"
)

// completion is an answer with these choices.
func completion(choices ...string) http.HandlerFunc {
	return says(200, `{"id":"1","object":"chat.completion","model":"gpt","choices":[`+strings.Join(choices, ",")+`]}`)
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	const (
		good    = `{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hello"}}`
		refusal = `{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":null,"refusal":"I cannot."}}`
		cut     = `{"index":0,"finish_reason":"length","message":{"role":"assistant","content":"Hel"}}`
		half    = `{"index":0,"finish_reason":"%s","message":{"content":"Hm","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"%s"}}]}}`
		thought = `{"index":0,"finish_reason":"length","message":{"role":"assistant","content":"","reasoning_content":"Hm"}}`
		silent  = `{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":""}}`
	)
	for _, tt := range []struct {
		it     string
		answer http.HandlerFunc
		accept []string
		want   string // "": it is an answer
		class  strategies.Class
		text   string
		behind string // in the text of the error
	}{
		{it: "takes a refusal for blocked", answer: completion(refusal), want: openai.Refusal, class: strategies.ClassBlocked, text: "I cannot."},
		{it: "accepts a refusal if told to", answer: completion(refusal), accept: []string{openai.Refusal}},
		{it: "takes a filtered answer for blocked, also if some is left of it", answer: completion(`{"index":0,"finish_reason":"content_filter","message":{"content":"Hel"}}`), want: openai.ContentFilter, class: strategies.ClassBlocked, text: "Hel"},
		{it: "takes a truncated answer for invalid", answer: completion(cut), want: openai.Length, class: strategies.ClassInvalidAnswer, text: "Hel"},
		{it: "accepts a truncated answer if told to", answer: completion(cut), accept: []string{openai.Length}},
		{it: "does not accept one that was cut before its first word", answer: completion(thought), accept: []string{openai.Length}, want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes an empty answer for invalid", answer: completion(silent), want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "accepts an empty answer if told to", answer: completion(silent), accept: []string{openai.Empty}},
		{it: "takes no choices for invalid", answer: completion(), want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes a null for invalid", answer: says(200, `null`), want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes an object without choices for invalid", answer: says(200, `{}`), want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes an answer without a finish reason for unfinished", answer: completion(`{"index":0,"message":{"content":"Hello"}}`), want: openai.Unfinished, class: strategies.ClassInvalidAnswer, text: "Hello"},
		{it: "accepts one without a finish reason if told to", answer: completion(`{"index":0,"message":{"content":"Hello"}}`), accept: []string{openai.Unfinished}},
		{it: "takes reasoning alone for empty", answer: completion(`{"index":0,"finish_reason":"stop","message":{"content":"","reasoning_content":"Hm"}}`), want: openai.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes a tool call", answer: completion(`{"index":0,"finish_reason":"tool_calls","message":{"content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]}}`)},
		{it: "takes a function call of old", answer: completion(`{"index":0,"finish_reason":"function_call","message":{"content":null,"function_call":{"name":"f","arguments":"{}"}}}`)},
		{it: "takes sound", answer: completion(`{"index":0,"finish_reason":"stop","message":{"content":null,"audio":{"id":"a","data":"","transcript":"","expires_at":1}}}`)},
		{it: "judges by the first choice, which everybody reads", answer: completion(refusal, good), want: openai.Refusal, class: strategies.ClassBlocked, text: "I cannot."},
		{it: "takes an answer whose first choice is good", answer: completion(good, refusal)},
		{it: "does not take half a tool call of another choice", answer: completion(good, fmt.Sprintf(half, "length", `{`)), want: openai.Arguments, class: strategies.ClassInvalidAnswer, text: "Hm"},
		{it: "accepts the reason of the first choice only", answer: completion(refusal, cut), accept: []string{openai.Length}, want: openai.Refusal, class: strategies.ClassBlocked, text: "I cannot."},
		{it: "takes no text that was cut with half a tool call", answer: completion(fmt.Sprintf(half, "length", `{\"a`)), accept: []string{openai.Length}, want: openai.Arguments, class: strategies.ClassInvalidAnswer, text: "Hm"},
		{it: "takes no text that was cut before the arguments of a tool call", answer: completion(fmt.Sprintf(half, "length", ``)), accept: []string{openai.Length}, want: openai.Arguments, class: strategies.ClassInvalidAnswer, text: "Hm"},
		{it: "takes a text that was cut after a whole tool call", answer: completion(fmt.Sprintf(half, "length", `{}`)), accept: []string{openai.Length}},
		{it: "reads an error in the body of a 200 by its status", answer: says(200, `{"error":{"code":429,"message":"Provider returned error"}}`), want: openai.Failed, class: strategies.ClassRateLimited, behind: "Provider returned error"},
		{it: "reads an error in the body of a 200 by its code", answer: says(200, `{"error":{"code":"insufficient_quota","message":"no credit"}}`), want: openai.Failed, class: strategies.ClassQuotaExhausted, behind: "no credit"},
		{it: "takes a choice that failed for transient", answer: completion(`{"index":0,"finish_reason":"error","message":{"content":"Hel"}}`), want: "error", class: strategies.ClassTransient, text: "Hel"},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			server := serve(t, tt.answer)
			got, err := openai.Chat(connect(server.URL)).Accept(tt.accept...).Run(t.Context(), tooled("gpt", "f"))
			if tt.want == "" {
				if err != nil || got == nil {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			e, ok := errors.AsType[*strategies.AnswerError](err)
			if !ok {
				t.Fatalf("got %v, %v", got, err)
			}
			if got != nil || e.Provider != "openai" || e.Reason != tt.want || e.Text != tt.text {
				t.Errorf("got %v, %q, reason %q, text %q", got, e.Provider, e.Reason, e.Text)
			}
			class(t, err, tt.class)
			if said := err.Error(); !strings.Contains(said, tt.behind) || tt.text != "" && strings.Contains(said, tt.text) {
				t.Errorf("the error does not say why, or says the answer: %v", err)
			}
		})
	}
	t.Run("it keeps the answer within reach, through all layers", func(t *testing.T) {
		server := serve(t, completion(cut))
		_, err := built(t, middleware.Wrap(openai.Chat(connect(server.URL))).Retry(soon)).Run(t.Context(), ask("gpt"))
		if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || text(e.Answer.(*sdk.ChatCompletion)) != "Hel" {
			t.Errorf("got %v", err)
		}
		if got := server.requests.Load(); got != 3 {
			t.Errorf("%d requests; an invalid answer is asked for again twice", got)
		}
	})
}

func TestResponsesTheClientCannotRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		it     string
		answer http.HandlerFunc
		class  strategies.Class
		wait   time.Duration
	}{
		{"reads status and wait beside an error that is only a text", says(429, `{"error":"too many requests"}`, "Retry-After", "3"), strategies.ClassRateLimited, 3 * time.Second},
		{"reads a bare error object", says(400, `{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","code":400}`), strategies.ClassContextOverflow, 0},
		{"reads a code in a bare error object", says(429, `{"message":"no credit","code":"insufficient_quota"}`), strategies.ClassQuotaExhausted, 0},
		{"reads an empty body", says(503, "", "Retry-After", "2"), strategies.ClassTransient, 2 * time.Second},
		{"reads a page of a proxy", says(502, "<html>Bad Gateway</html>", "Content-Type", "text/html"), strategies.ClassTransient, 0},
		{"leaves an error that the client has read", says(429, `{"error":{"code":"rate_limit_exceeded","message":"slow"}}`, "Retry-After-Ms", "250"), strategies.ClassRateLimited, 250 * time.Millisecond},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			server := serve(t, tt.answer)
			chat := openai.Chat(connect(server.URL))
			_, whole := chat.Run(t.Context(), ask("gpt"))
			_, streamed := middleware.Collect(chat.Stream(t.Context(), ask("gpt")))
			for _, err := range []error{whole, streamed} {
				class(t, err, tt.class)
				if got := strategies.Classify(err).RetryAfter; got != tt.wait {
					t.Errorf("wait %v, want %v", got, tt.wait)
				}
			}
		})
	}
	t.Run("it keeps the client's own error within reach", func(t *testing.T) {
		server := serve(t, says(503, "busy"))
		_, err := openai.Chat(connect(server.URL)).Run(t.Context(), ask("gpt"))
		own, ok := errors.AsType[*sdk.Error](err)
		seen, is := errors.AsType[*openai.HTTPError](err)
		if !ok || own.StatusCode != 503 || !is || seen.Message != "busy" || seen.StatusCode != 503 {
			t.Errorf("got %T: %v", err, err)
		}
		if strings.Contains(err.Error(), "busy") {
			t.Errorf("the text of the error has the body in it, which the client keeps out of logs: %v", err)
		}
	})
}

func TestStreamsThatAreNone(t *testing.T) {
	t.Parallel()
	const (
		role  = `{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`
		hello = `{"choices":[{"index":0,"delta":{"content":"Hello"}}]}`
		stop  = `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
		usage = `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`
		done  = `[DONE]`
	)
	for _, tt := range []struct {
		it     string
		events []string
		accept []string
		want   string
		class  strategies.Class
		text   string
		chunks int
	}{
		{it: "delivers every chunk, the usage too", events: []string{role, hello, stop, usage, done}, chunks: 4},
		{it: "needs no [DONE]", events: []string{role, hello, stop}, chunks: 3},
		{it: "misses a marker", events: []string{role, hello, done}, want: openai.Unfinished, class: strategies.ClassInvalidAnswer, text: "Hello", chunks: 2},
		{it: "does without a marker if told to", events: []string{role, hello, done}, accept: []string{openai.Unfinished}, chunks: 2},
		{it: "misses a marker in nothing", events: []string{done}, want: openai.Unfinished, class: strategies.ClassInvalidAnswer},
		{it: "does not take usage alone for an answer", events: []string{usage, done}, want: openai.Unfinished, class: strategies.ClassInvalidAnswer, chunks: 1},
		{it: "puts a refusal together", events: []string{role, `{"choices":[{"index":0,"delta":{"refusal":"I "}}]}`, `{"choices":[{"index":0,"delta":{"refusal":"cannot."}}]}`, stop, done}, want: openai.Refusal, class: strategies.ClassBlocked, text: "I cannot.", chunks: 3},
		{it: "reports a filter after what it let through", events: []string{role, hello, `{"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}`, done}, want: openai.ContentFilter, class: strategies.ClassBlocked, text: "Hello", chunks: 2},
		{it: "reports a limit in the place of the end", events: []string{hello, `{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}`, usage, done}, want: openai.Length, class: strategies.ClassInvalidAnswer, text: "Hello", chunks: 1},
		{it: "accepts a limit if told to", events: []string{hello, `{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}`, usage, done}, accept: []string{openai.Length}, chunks: 3},
		{it: "takes an end without a word for empty", events: []string{role, stop, done}, want: openai.Empty, class: strategies.ClassInvalidAnswer, chunks: 1},
		{it: "waits for the end of every choice", events: []string{hello, `{"choices":[{"index":1,"delta":{"content":"Hi"}}]}`, stop, done}, want: openai.Unfinished, class: strategies.ClassInvalidAnswer, text: "Hi", chunks: 3},
		{it: "takes a choice that comes before the first", events: []string{`{"choices":[{"index":1,"delta":{"content":"Hi"},"finish_reason":"stop"}]}`, hello, stop, done}, chunks: 3},
		{it: "survives an index that is none", events: []string{`{"choices":[{"index":-1,"delta":{"content":"x"}},{"index":9000000000,"delta":{"content":"x"}}]}`, hello, stop, done}, chunks: 3},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			server := serve(t, streams(tt.events...))
			chunks, err := middleware.Collect(openai.Chat(connect(server.URL)).Accept(tt.accept...).Stream(t.Context(), ask("gpt")))
			if len(chunks) != tt.chunks {
				t.Errorf("%d chunks, want %d", len(chunks), tt.chunks)
			}
			if tt.want == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Reason != tt.want || e.Text != tt.text {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			class(t, err, tt.class)
		})
	}
}

func TestSays(t *testing.T) {
	t.Parallel()
	for choice, want := range map[string]struct{ says, thinking, ends bool }{
		`{"delta":{}}`:                                      {},
		`{"delta":{"role":"assistant"}}`:                    {},
		`{"delta":{"role":"assistant","content":""}}`:       {},
		`{"delta":{"role":"assistant","content":null}}`:     {},
		`{"delta":{"content":" "}}`:                         {says: true, thinking: true},
		`{"delta":{"refusal":"I cannot."}}`:                 {},
		`{"delta":{"tool_calls":[{"index":0,"id":"1"}]}}`:   {},
		`{"delta":{"function_call":{"name":"f"}}}`:          {},
		`{"delta":{"audio":{"id":"a"}}}`:                    {says: true, thinking: true},
		`{"delta":{"reasoning_content":"Hm"}}`:              {thinking: true},
		`{"delta":{"reasoning_content":null,"content":""}}`: {},
		`{"delta":{"reasoning":"Hm"}}`:                      {thinking: true},
		`{"delta":{"reasoning":"","reasoning_content":""}}`: {},
		`{"delta":{},"finish_reason":"tool_calls"}`:         {says: true, thinking: true, ends: true},
		`{"delta":{},"finish_reason":"stop"}`:               {says: true, thinking: true, ends: true},
		`{"delta":{},"finish_reason":"stop","index":1}`:     {ends: true},
	} {
		var chunk sdk.ChatCompletionChunk
		if err := chunk.UnmarshalJSON([]byte(`{"choices":[` + choice + `]}`)); err != nil {
			t.Fatal(err)
		}
		if says, thinking, ends := openai.Says(chunk), openai.SaysThinking(chunk), openai.Ends(chunk); says != want.says || thinking != want.thinking || ends != want.ends {
			t.Errorf("of %s: it says something: %v, it thinks: %v, it ends: %v", choice, says, thinking, ends)
		}
	}
	if none := (sdk.ChatCompletionChunk{}); openai.Says(none) || openai.SaysThinking(none) || openai.Ends(none) {
		t.Error("it finds something in an empty chunk")
	}
}
