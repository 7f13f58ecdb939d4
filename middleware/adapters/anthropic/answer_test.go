package anthropic_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/anthropic"
	"github.com/understudy-go/understudy/strategies"
)

func TestMessagesThatAreNoAnswer(t *testing.T) {
	t.Parallel()
	const (
		thought = `{"type":"thinking","thinking":"Hm","signature":"s"}`
		tool    = `{"type":"tool_use","id":"1","name":"f","input":{}}`
		hello   = `{"type":"text","text":"Hello"}`
		why     = `{"stop_reason":"refusal","stop_details":{"type":"refusal","category":"bio","explanation":"No recipes."},"content":[]}`
	)
	type reasons = []string
	for _, tt := range []struct {
		it     string
		answer string
		accept reasons
		want   string // "": it is an answer
		class  strategies.Class
		text   string
		behind string // in the text of the error
	}{
		{it: "takes text", answer: message("end_turn", "Hello")},
		{it: "takes text after thinking", answer: blocks("end_turn", thought, `{"type":"text","text":"Hello"}`)},
		{it: "takes text that one of the caller's sequences ended", answer: message("stop_sequence", "Hello")},
		{it: "takes a tool call", answer: blocks("tool_use", tool)},
		{it: "takes a refusal for blocked, whatever came before it", answer: message("refusal", "Hel"), want: anthropic.Refusal, class: strategies.ClassBlocked, text: "Hel"},
		{it: "says why it was refused", answer: why, want: anthropic.Refusal, class: strategies.ClassBlocked, behind: "No recipes."},
		{it: "takes a truncated message for invalid", answer: message("max_tokens", "Hel"), want: anthropic.Length, class: strategies.ClassInvalidAnswer, text: "Hel"},
		{it: "takes a tool call whose arguments may be torn for invalid", answer: blocks("max_tokens", tool), want: anthropic.Length, class: strategies.ClassInvalidAnswer},
		{it: "accepts a truncated message if told to", answer: message("max_tokens", "Hel"), accept: reasons{anthropic.Length}},
		{it: "does not accept one cut before its first word", answer: blocks("max_tokens", thought), accept: reasons{anthropic.Length}, want: anthropic.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes a full window for an overflow", answer: message("model_context_window_exceeded", "Hel"), want: anthropic.Window, class: strategies.ClassContextOverflow, text: "Hel"},
		{it: "accepts a full window if told to", answer: message("model_context_window_exceeded", "Hel"), accept: reasons{anthropic.Length, anthropic.Window}},
		{it: "takes nothing for invalid", answer: blocks("end_turn"), want: anthropic.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes an empty text for invalid", answer: message("end_turn", ""), want: anthropic.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes thinking alone for invalid", answer: blocks("end_turn", thought, `{"type":"redacted_thinking","data":"x"}`), want: anthropic.Empty, class: strategies.ClassInvalidAnswer},
		{it: "accepts nothing if told to", answer: blocks("end_turn"), accept: reasons{anthropic.Empty}},
		{it: "takes a null for invalid", answer: "null", want: anthropic.Empty, class: strategies.ClassInvalidAnswer},
		{it: "takes an object without content for invalid", answer: "{}", want: anthropic.Unfinished, class: strategies.ClassInvalidAnswer},
		{it: "takes no stop reason for unfinished", answer: blocks("", hello), want: anthropic.Unfinished, class: strategies.ClassInvalidAnswer, text: "Hello"},
		{it: "accepts no stop reason if told to", answer: blocks("", hello), accept: reasons{anthropic.Unfinished}},
		{it: "accepts a refusal if told to", answer: blocks("refusal"), accept: reasons{anthropic.Refusal}},
		{it: "takes a paused turn, whatever is in it", answer: blocks("pause_turn", thought)},
		{it: "takes no tool call that a limit may have cut", answer: blocks("max_tokens", hello, tool), accept: reasons{anthropic.Length}, want: anthropic.Arguments, class: strategies.ClassInvalidAnswer, text: "Hello"},
		{it: "takes a text that a limit cut after a tool call", answer: blocks("max_tokens", tool, hello), accept: reasons{anthropic.Length}},
		{it: "takes no list for the input of a tool", answer: blocks("tool_use", `{"type":"tool_use","id":"1","name":"f","input":[1]}`), want: anthropic.Arguments, class: strategies.ClassInvalidAnswer},
		{it: "takes no text for the input of a tool", answer: blocks("tool_use", `{"type":"tool_use","id":"1","name":"f","input":"{"}`), want: anthropic.Arguments, class: strategies.ClassInvalidAnswer},
		{it: "knows a tool that was not offered", answer: blocks("tool_use", tool, `{"type":"tool_use","id":"2","name":"open_sesame","input":{}}`), want: anthropic.UnknownTool, class: strategies.ClassInvalidAnswer, behind: "open_sesame"},
		{it: "leaves the tools of the API alone", answer: blocks("end_turn", `{"type":"server_tool_use","id":"1","name":"web_search","input":"{"}`)},
		{it: "leaves the tools of a set alone", answer: blocks("tool_use", `{"type":"tool_use","id":"1","name":"click","toolset_name":"browser","input":{}}`)},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			p, messages := scripted(t, says(200, tt.answer))
			got, err := messages.Accept(tt.accept...).Run(t.Context(), tooled("narrator", "f"))
			if p.seen("narrator") != 1 {
				t.Errorf("%d requests", p.seen("narrator"))
			}
			if tt.want == "" {
				if err != nil || got.RawJSON() != tt.answer {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			e, ok := errors.AsType[*strategies.AnswerError](err)
			if !ok || got != nil || e.Reason != tt.want || e.Text != tt.text {
				t.Fatalf("got %v, %v, want %s %q", got, err, tt.want, tt.text)
			}
			if m, _ := e.Answer.(*sdk.Message); tt.answer != "null" && (m == nil || m.RawJSON() != tt.answer) {
				t.Error("the message is not within reach")
			}
			if said := err.Error(); !strings.Contains(said, tt.behind) || tt.text != "" && strings.Contains(said, tt.text) {
				t.Errorf("the error does not say why, or says the answer: %v", err)
			}
			class(t, err, tt.class)
		})
	}
}

func TestErrorsOfTheClient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		it     string
		answer http.HandlerFunc
		class  strategies.Class
		wait   time.Duration
	}{
		{"reads status and wait beside an error that is only a text", says(429, `{"error":"too many requests"}`, "Retry-After", "3"), strategies.ClassRateLimited, 3 * time.Second},
		{"reads status and wait beside no body", says(529, "", "Retry-After", "2"), strategies.ClassOverloaded, 2 * time.Second},
		{"reads a page of a proxy", says(502, "<html>Bad Gateway</html>", "Content-Type", "text/html"), strategies.ClassTransient, 0},
		{"reads a request that is too large", says(413, problem("request_too_large", "no")), strategies.ClassBadRequest, 0},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			_, messages := scripted(t, tt.answer, tt.answer)
			_, whole := messages.Run(t.Context(), ask("narrator"))
			_, streamed := middleware.Collect(messages.Stream(t.Context(), ask("narrator")))
			for _, err := range []error{whole, streamed} {
				class(t, err, tt.class)
				if got := strategies.Classify(err).RetryAfter; got != tt.wait {
					t.Errorf("wait %v, want %v", got, tt.wait)
				}
				if own, ok := errors.AsType[*sdk.Error](err); !ok {
					t.Errorf("the client's own error is not within reach: %v", own)
				}
			}
		})
	}
	t.Run("it does not retry what the client does not even send", func(t *testing.T) {
		p, messages := scripted(t)
		params := ask("narrator")
		params.MaxTokens = 100_000
		o := built(t, middleware.Wrap(messages).Retry(soon)).Outcome(t.Context(), params)
		class(t, o.Err, strategies.ClassBadRequest)
		if o.Attempts != 1 || p.seen("narrator") != 0 {
			t.Errorf("%d attempts, %d requests: %v", o.Attempts, p.seen("narrator"), o.Err)
		}
		if events, err := middleware.Collect(messages.Stream(t.Context(), params)); err != nil || joined(events) == "" {
			t.Errorf("streamed, it is possible: got %v", err)
		}
	})
}

func TestStreamsThatAreNoAnswer(t *testing.T) {
	t.Parallel()
	type reasons = []string
	const (
		thinking = `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`
		thought  = `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}`
		tool     = `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"1","name":"f","input":{}}}`
		refused  = `{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","category":"bio","explanation":"No recipes."}},"usage":{"output_tokens":1}}`
	)
	for _, tt := range []struct {
		it     string
		events []string
		accept reasons
		want   string
		class  strategies.Class
		text   string
		behind string
		count  int
	}{
		{it: "delivers every event but pings", events: []string{begin, block, ping, text("Hello"), end("end_turn"), stop}, count: 5},
		{it: "takes a tool call without arguments", events: []string{begin, tool, end("tool_use"), stop}, count: 4},
		{it: "takes a paused turn", events: []string{begin, end("pause_turn"), stop}, count: 3},
		{it: "misses a marker", events: []string{begin, text("Hello"), end("end_turn")}, want: anthropic.Unfinished, class: strategies.ClassInvalidAnswer, text: "Hello", count: 3},
		{it: "does without a marker if told to", events: []string{begin, text("Hello"), end("end_turn")}, accept: reasons{anthropic.Unfinished}, count: 3},
		{it: "misses a stop reason before its marker", events: []string{begin, text("Hello"), stop}, want: anthropic.Unfinished, class: strategies.ClassInvalidAnswer, text: "Hello", count: 2},
		{it: "takes an end without a word for empty", events: []string{begin, end("end_turn"), stop}, want: anthropic.Empty, class: strategies.ClassInvalidAnswer, count: 1},
		{it: "misses a marker in nothing", want: anthropic.Unfinished, class: strategies.ClassInvalidAnswer},
		{it: "takes thinking alone for empty", events: []string{begin, thinking, thought, end("end_turn"), stop}, want: anthropic.Empty, class: strategies.ClassInvalidAnswer, count: 3},
		{it: "reports a refusal with its reason", events: []string{begin, text("Hel"), refused, stop}, want: anthropic.Refusal, class: strategies.ClassBlocked, text: "Hel", behind: "No recipes.", count: 2},
		{it: "reports a limit in the place of the end", events: []string{begin, text("Hel"), end("max_tokens"), stop}, want: anthropic.Length, class: strategies.ClassInvalidAnswer, text: "Hel", count: 2},
		{it: "accepts a limit if told to", events: []string{begin, text("Hel"), end("max_tokens"), stop}, accept: reasons{anthropic.Length}, count: 4},
		{it: "reports a full window in the place of the end", events: []string{begin, text("Hel"), end("model_context_window_exceeded"), stop}, want: anthropic.Window, class: strategies.ClassContextOverflow, text: "Hel", count: 2},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			_, messages := scripted(t, streams(tt.events...))
			events, err := middleware.Collect(messages.Accept(tt.accept...).Stream(t.Context(), tooled("narrator", "f")))
			if len(events) != tt.count {
				t.Errorf("%d events, want %d", len(events), tt.count)
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
			if !strings.Contains(err.Error(), tt.behind) {
				t.Errorf("the error does not say why: %v", err)
			}
			class(t, err, tt.class)
		})
	}
}

func TestSays(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]struct{ says, thinking, ends bool }{
		begin: {}, block: {}, ping: {}, text(""): {}, text("H"): {says: true, thinking: true}, end("end_turn"): {}, stop: {says: true, thinking: true, ends: true},
		`{"type":"content_block_start","content_block":{"type":"text","text":"H"}}`:                  {says: true, thinking: true},
		`{"type":"content_block_start","content_block":{"type":"thinking","thinking":""}}`:           {},
		`{"type":"content_block_start","content_block":{"type":"redacted_thinking","data":"x"}}`:     {},
		`{"type":"content_block_start","content_block":{"type":"tool_use","name":"f"}}`:              {},
		`{"type":"content_block_start","content_block":{"type":"server_tool_use","name":"f"}}`:       {},
		`{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"Hm"}}`:           {thinking: true},
		`{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"s"}}`:          {},
		`{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{\"a\""}}`: {},
		`{"type":"content_block_stop","index":0}`:                                                    {},
	} {
		var e sdk.MessageStreamEventUnion
		if err := e.UnmarshalJSON([]byte(event)); err != nil {
			t.Fatal(err)
		}
		if says, thinking, ends := anthropic.Says(e), anthropic.SaysThinking(e), anthropic.Ends(e); says != want.says || thinking != want.thinking || ends != want.ends {
			t.Errorf("of %s: it says something: %v, it thinks: %v, it ends: %v", event, says, thinking, ends)
		}
	}
}
