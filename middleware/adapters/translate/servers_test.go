package translate_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A stage is three providers on the loopback interface that refuse a history as
// the real ones do, and the script of who answers at which step.
type stage struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	answers  string         // who answers now; the others are down
	said     []string       // what every history has to say now, whatever its form
	requests map[string]int // by provider
	refused  []string       // with status 400
	signed   map[string]bool
	made     int // ids so far
	thoughts int // answers of claude that began with one
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, requests: map[string]int{}, signed: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", s.serve("claude", claudeReads, claudeSays, `{"type":"error","error":{"type":"%s","message":%q}}`, "overloaded_error", "invalid_request_error"))
	mux.HandleFunc("POST /chat/completions", s.serve("gpt", gptReads, gptSays, `{"error":{"type":"%s","code":null,"message":%q}}`, "server_error", "invalid_request_error"))
	mux.HandleFunc("POST /v1beta/models/{model}", s.serve("gemini", geminiReads, geminiSays, `{"error":{"code":0,"status":"%s","message":%q}}`, "UNAVAILABLE", "INVALID_ARGUMENT"))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// breach is a rule that a history breaks, in the provider's own words.
type breach string

func refuse(format string, args ...any) { panic(breach(fmt.Sprintf(format, args...))) }

func (s *stage) serve(name string, reads func(*stage, *http.Request, []byte) []string, says func(*stage, bool, string) any, form, down, bad string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests[name]++
		body, err := io.ReadAll(r.Body)
		if err != nil {
			s.t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		if s.answers != name {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintf(w, form, down, "Overloaded")
			return
		}
		defer func() {
			if broken, ok := recover().(breach); ok {
				s.refused = append(s.refused, name+": "+string(broken))
				w.WriteHeader(http.StatusBadRequest)
				_, _ = fmt.Fprintf(w, form, bad, string(broken))
			}
		}()
		if !strings.Contains(string(body), `"minimum":1`) {
			refuse("tools: a number is no text: %s", body)
		}
		lines := reads(s, r, body)
		if !slices.Equal(lines, s.said) {
			s.t.Errorf("%s reads\n\t%s\nwant\n\t%s", name, strings.Join(lines, "\n\t"), strings.Join(s.said, "\n\t"))
		}
		questions, results := 0, 0
		for _, line := range lines {
			if strings.HasPrefix(line, "user: ") {
				questions++
			}
			if strings.HasPrefix(line, "result: ") {
				results++
			}
		}
		again := results < 2*questions // two rounds a question
		line := fmt.Sprintf("%s has %d results", name, results)
		if err := json.NewEncoder(w).Encode(says(s, again, line)); err != nil {
			s.t.Error(err)
		}
	}
}

// id is an id of a call that is n characters long.
func (s *stage) id(prefix string, n int) string {
	s.made++
	return prefix + fmt.Sprintf("%0*d", n-len(prefix), s.made)
}

func (s *stage) sign() string {
	signature := base64.StdEncoding.EncodeToString([]byte(s.id("signature", 20)))
	s.signed[signature] = true
	return signature
}

const lookAt = `{"at":"the door","n":2}`

func compact(raw json.RawMessage) string {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return err.Error()
	}
	out, _ := json.Marshal(v)
	return string(out)
}

// The rules of Anthropic.
func claudeReads(s *stage, _ *http.Request, body []byte) (lines []string) {
	type block struct {
		Type, Text, ID, Name, Signature string
		ToolUseID                       string `json:"tool_use_id"`
		Input                           json.RawMessage
		Content                         []struct{ Text string }
		IsError                         bool `json:"is_error"`
	}
	var req struct {
		MaxTokens *int `json:"max_tokens"`
		Messages  []struct {
			Role    string
			Content []block
		}
		System   []struct{ Text string }
		Thinking struct{ Type string }
	}
	if err := json.Unmarshal(body, &req); err != nil {
		refuse("%v", err)
	}
	switch {
	case req.MaxTokens == nil:
		refuse("max_tokens: Field required")
	case len(req.Messages) == 0:
		refuse("messages: at least one message is required")
	case req.Messages[0].Role != "user":
		refuse("messages: first message must use the \"user\" role")
	}
	for _, one := range req.System {
		lines = append(lines, "system: "+one.Text)
	}
	seen, form := map[string]bool{}, regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
	var open []string
	for i, m := range req.Messages {
		if i > 0 && req.Messages[i-1].Role == m.Role {
			s.t.Errorf("messages.%d: %s speaks again", i, m.Role) // the API merges them; so do we
		}
		var next, answered []string
		for j, b := range m.Content {
			at := fmt.Sprintf("messages.%d.content.%d", i, j)
			switch b.Type {
			case "text":
				if strings.TrimSpace(b.Text) == "" {
					refuse("messages: text content blocks must contain non-whitespace text")
				}
				lines = append(lines, map[string]string{"user": "user: ", "assistant": "says: "}[m.Role]+b.Text)
			case "thinking":
				if !s.signed[b.Signature] {
					refuse("%s: Invalid `signature` in `thinking` block", at)
				}
			case "tool_use":
				if !form.MatchString(b.ID) {
					refuse("%s.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", at)
				}
				if seen[b.ID] {
					refuse("messages: `tool_use` ids must be unique")
				}
				seen[b.ID] = true
				next = append(next, b.ID)
				lines = append(lines, "call: "+b.Name+" "+compact(b.Input))
			case "tool_result":
				if !slices.Contains(open, b.ToolUseID) {
					refuse("%s: unexpected `tool_use_id` found in `tool_result` blocks: %s. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.", at, b.ToolUseID)
				}
				answered = append(answered, b.ToolUseID)
				for _, c := range b.Content {
					lines = append(lines, "result: "+c.Text)
				}
			}
		}
		for _, id := range open {
			if !slices.Contains(answered, id) {
				refuse("messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %s. Each `tool_use` block must have a corresponding `tool_result` block in the next message.", i-1, id)
			}
		}
		open = next
	}
	if len(open) > 0 {
		refuse("messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %s.", len(req.Messages)-1, open[0])
	}
	if last := len(req.Messages) - 2; req.Thinking.Type == "enabled" && last > 0 {
		uses := slices.ContainsFunc(req.Messages[last].Content, func(b block) bool { return b.Type == "tool_use" })
		if first := req.Messages[last].Content[0].Type; uses && first != "thinking" && first != "redacted_thinking" {
			refuse("messages.%d.content.0.type: Expected `thinking` or `redacted_thinking`, but found `%s`. When `thinking` is enabled, a final `assistant` message must start with a thinking block", last, first)
		}
	}
	s.thinks(req.Thinking.Type == "enabled")
	return lines
}

// thinks notes whether the answer begins with a thought.
func (s *stage) thinks(on bool) { s.signed["now"] = on }

func claudeSays(s *stage, again bool, line string) any {
	content, reason := []any{}, "end_turn"
	if s.signed["now"] {
		s.thoughts++
		content = append(content, map[string]any{"type": "thinking", "thinking": "Hm.", "signature": s.sign()})
	}
	content = append(content, map[string]any{"type": "text", "text": line})
	if again {
		reason = "tool_use"
		content = append(content, map[string]any{"type": "tool_use", "id": s.id("toolu_", 60), "name": "look", "input": json.RawMessage(lookAt)})
	}
	return map[string]any{
		"id": "msg", "type": "message", "role": "assistant", "model": "claude", "content": content, "stop_reason": reason,
		"usage": map[string]any{"input_tokens": 10, "output_tokens": 5},
	}
}

// The rules of OpenAI.
func gptReads(_ *stage, _ *http.Request, body []byte) (lines []string) {
	var req struct {
		Messages []struct {
			Role       string
			Content    json.RawMessage
			ToolCallID string `json:"tool_call_id"`
			ToolCalls  []struct {
				ID       string
				Type     string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
	}
	if err := json.Unmarshal(body, &req); err != nil {
		refuse("%v", err)
	}
	var open []string
	for i, m := range req.Messages {
		var content string
		var parts []struct{ Text string }
		if json.Unmarshal(m.Content, &content) != nil && json.Unmarshal(m.Content, &parts) == nil {
			for _, p := range parts {
				content += p.Text
			}
		}
		if m.Role != "tool" && len(open) > 0 {
			refuse("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: %s", strings.Join(open, ", "))
		}
		switch m.Role {
		case "system", "developer":
			lines = append(lines, "system: "+content)
		case "user":
			lines = append(lines, "user: "+content)
		case "assistant":
			if content == "" && len(m.ToolCalls) == 0 {
				refuse("Invalid value for 'content': expected a string, got null.")
			}
			if content != "" {
				lines = append(lines, "says: "+content)
			}
			for j, c := range m.ToolCalls {
				if len(c.ID) > 40 {
					refuse("Invalid 'messages[%d].tool_calls[%d].id': string too long. Expected a string with maximum length 40, but got a string with length %d instead.", i, j, len(c.ID))
				}
				open = append(open, c.ID)
				lines = append(lines, "call: "+c.Function.Name+" "+compact(json.RawMessage(c.Function.Arguments)))
			}
		case "tool":
			n := slices.Index(open, m.ToolCallID)
			if n < 0 {
				refuse("Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.")
			}
			open = slices.Delete(open, n, n+1)
			lines = append(lines, "result: "+content)
		}
	}
	if len(open) > 0 {
		refuse("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: %s", strings.Join(open, ", "))
	}
	return lines
}

func gptSays(s *stage, again bool, line string) any {
	message, reason := map[string]any{"role": "assistant", "content": line, "reasoning_content": "Hm."}, "stop"
	if again {
		reason = "tool_calls"
		message["tool_calls"] = []any{map[string]any{"id": s.id("call.", 29), "type": "function", "function": map[string]any{"name": "look", "arguments": lookAt}}}
	}
	return map[string]any{
		"id": s.id("chatcmpl-", 20), "object": "chat.completion", "model": "gpt",
		"choices": []any{map[string]any{"index": 0, "finish_reason": reason, "message": message}},
	}
}

type geminiPart struct {
	Text, ThoughtSignature string
	Thought                bool
	FunctionCall           *struct {
		ID, Name string
		Args     json.RawMessage
	}
	FunctionResponse *struct {
		ID, Name string
		Response struct{ Output string }
	}
}

// The rules of Gemini 3.
func geminiReads(s *stage, r *http.Request, body []byte) (lines []string) {
	var req struct {
		SystemInstruction struct{ Parts []struct{ Text string } }
		Contents          []struct {
			Role  string
			Parts []geminiPart
		}
	}
	if err := json.Unmarshal(body, &req); err != nil {
		refuse("%v", err)
	}
	for _, p := range req.SystemInstruction.Parts {
		lines = append(lines, "system: "+p.Text)
	}
	if len(req.Contents) == 0 || req.Contents[0].Role != "user" {
		refuse("Please ensure that multiturn requests alternate between user and model and that the first turn is of the user.")
	}
	turn := 0 // where the user spoke last
	for i, c := range req.Contents {
		if c.Role == "user" && !slices.ContainsFunc(c.Parts, func(p geminiPart) bool { return p.FunctionResponse != nil }) {
			turn = i
		}
	}
	dummy := base64.StdEncoding.EncodeToString([]byte("skip_thought_signature_validator"))
	var open []string // names and ids
	for i, c := range req.Contents {
		var next []string
		responses := 0
		for j, p := range c.Parts {
			if p.ThoughtSignature != "" && p.ThoughtSignature != dummy && !s.signed[p.ThoughtSignature] {
				refuse("Thought signature is not valid.")
			}
			switch {
			case p.FunctionCall != nil:
				if p.ThoughtSignature == "" && i > turn && len(next) == 0 && !strings.Contains(r.PathValue("model"), "gemini-2") {
					refuse("Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly. Additional data, function call `%s`, position %d.", p.FunctionCall.Name, i)
				}
				next = append(next, p.FunctionCall.Name+" "+p.FunctionCall.ID)
				lines = append(lines, "call: "+p.FunctionCall.Name+" "+compact(p.FunctionCall.Args))
			case p.FunctionResponse != nil:
				if p.FunctionResponse.Name == "" {
					refuse("GenerateContentRequest.contents[%d].parts[%d].function_response.name: Name cannot be empty.", i, j)
				}
				if responses < len(open) && open[responses] != p.FunctionResponse.Name+" "+p.FunctionResponse.ID {
					refuse("Please ensure that function response names and ids match those of the function calls.")
				}
				responses++
				lines = append(lines, "result: "+p.FunctionResponse.Response.Output)
			case p.Text != "" && !p.Thought:
				lines = append(lines, map[string]string{"user": "user: ", "model": "says: "}[c.Role]+p.Text)
			}
		}
		if responses != len(open) {
			refuse("Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.")
		}
		open = next
	}
	if len(open) > 0 {
		refuse("Please ensure that function call turn comes immediately before a function response turn.")
	}
	return lines
}

func geminiSays(s *stage, again bool, line string) any {
	parts := []any{
		map[string]any{"thought": true, "text": "Hm."},
		map[string]any{"text": line},
	}
	if again {
		parts = append(parts, map[string]any{"functionCall": map[string]any{"name": "look", "args": json.RawMessage(lookAt)}, "thoughtSignature": s.sign()})
	}
	return map[string]any{
		"responseId": s.id("response", 20), "modelVersion": "gemini",
		"candidates": []any{map[string]any{"finishReason": "STOP", "content": map[string]any{"role": "model", "parts": parts}}},
	}
}
