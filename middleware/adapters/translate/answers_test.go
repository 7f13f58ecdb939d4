package translate_test

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	anthropic "github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	gemini "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/middleware/adapters/translate"
)

// One answer, in the three forms.
const (
	completionForm = `{"id":"a1","model":"gpt","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":"Let me look.",
		"tool_calls":[{"id":"c1","type":"function","function":{"name":"look","arguments":"{\"at\": \"door\"}"}}]}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}`
	messageForm = `{"id":"a1","type":"message","role":"assistant","model":"claude","stop_reason":"tool_use","content":[{"type":"thinking","thinking":"t","signature":"s"},
		{"type":"text","text":"Let me look."},{"type":"tool_use","id":"c1","name":"look","input":{"at":"door"}}],"usage":{"input_tokens":4,"cache_read_input_tokens":3,"output_tokens":3}}`
	responseForm = `{"responseId":"a1","modelVersion":"gemini","candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[{"text":"t","thought":true},
		{"text":"Let me look."},{"functionCall":{"id":"c1","name":"look","args":{"at":"door"}},"thoughtSignature":"AAAA"}]}}],
		"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"thoughtsTokenCount":1}}`
)

// heard is what an answer says, whatever its form.
type heard struct {
	ID, Model, Text, Call, Args, Stop string
	In, Out                           int64
}

func ofCompletion(c *openai.ChatCompletion) heard {
	m := c.Choices[0].Message
	h := heard{ID: c.ID, Model: c.Model, Text: m.Content, Stop: c.Choices[0].FinishReason, In: c.Usage.PromptTokens, Out: c.Usage.CompletionTokens}
	for _, one := range m.ToolCalls {
		h.Call, h.Args = one.ID+" "+one.Function.Name, compact(json.RawMessage(one.Function.Arguments))
	}
	return h
}

func ofMessage(m *anthropic.Message) heard {
	h := heard{ID: m.ID, Model: m.Model, Stop: string(m.StopReason), In: m.Usage.InputTokens, Out: m.Usage.OutputTokens}
	for _, b := range m.Content {
		h.Text += b.AsText().Text
		if use, ok := b.AsAny().(anthropic.ToolUseBlock); ok {
			h.Call, h.Args = use.ID+" "+use.Name, compact(use.Input)
		}
	}
	return h
}

func ofResponse(r *gemini.GenerateContentResponse) heard {
	c := r.Candidates[0]
	h := heard{ID: r.ResponseID, Model: r.ModelVersion, Stop: string(c.FinishReason), In: int64(r.UsageMetadata.PromptTokenCount), Out: int64(r.UsageMetadata.CandidatesTokenCount)}
	for _, p := range c.Content.Parts {
		h.Text += p.Text
		if p.FunctionCall != nil {
			args, _ := json.Marshal(p.FunctionCall.Args)
			h.Call, h.Args = p.FunctionCall.ID+" "+p.FunctionCall.Name, string(args)
		}
	}
	return h
}

// The six ways of an answer.
func sixAnswers(t *testing.T, completion, message, response string) map[string]func() (heard, error) {
	t.Helper()
	question, ask, req := read[anthropic.MessageNewParams](t, `{`+anthropicHi+`}`), read[openai.ChatCompletionNewParams](t, `{`+openaiHi+`}`), genai.Request{Model: "m", Contents: gemini.Text("hi")}
	gpt := asked[openai.ChatCompletionNewParams](nil, read[*openai.ChatCompletion](t, completion))
	claude := asked[anthropic.MessageNewParams](nil, read[*anthropic.Message](t, message))
	google := asked[genai.Request](nil, read[*gemini.GenerateContentResponse](t, response))
	ctx := t.Context()
	return map[string]func() (heard, error){
		"gpt as claude": func() (heard, error) { return of(ofMessage)(translate.OpenAIForAnthropic(gpt, "m").Run(ctx, question)) },
		"gemini as claude": func() (heard, error) {
			return of(ofMessage)(translate.GeminiForAnthropic(google, "m").Run(ctx, question))
		},
		"claude as gpt": func() (heard, error) {
			return of(ofCompletion)(translate.AnthropicForOpenAI(claude, "m").Run(ctx, ask))
		},
		"gemini as gpt":    func() (heard, error) { return of(ofCompletion)(translate.GeminiForOpenAI(google, "m").Run(ctx, ask)) },
		"gpt as gemini":    func() (heard, error) { return of(ofResponse)(translate.OpenAIForGemini(gpt, "m").Run(ctx, req)) },
		"claude as gemini": func() (heard, error) { return of(ofResponse)(translate.AnthropicForGemini(claude, "m").Run(ctx, req)) },
	}
}

func of[T any](f func(*T) heard) func(*T, error) (heard, error) {
	return func(v *T, err error) (heard, error) {
		if err != nil {
			return heard{}, err
		}
		return f(v), nil
	}
}

func TestAnAnswerSaysTheSameInEveryForm(t *testing.T) {
	t.Parallel()
	for name, run := range sixAnswers(t, completionForm, messageForm, responseForm) {
		got, err := run()
		by, as, _ := strings.Cut(name, " as ")
		want := heard{ID: "a1", Model: by, Text: "Let me look.", Call: "c1 look", Args: `{"at":"door"}`, In: 7, Out: 3,
			Stop: map[string]string{"gpt": "tool_calls", "claude": "tool_use", "gemini": "STOP"}[as]}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, err, want)
		}
	}
}

func TestAnAnswerEndsForTheSameReason(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		gpt, claude, gemini    string // what the provider says
		asGPT, asClaude, asGem string
	}{
		"the end":    {"stop", "end_turn", "STOP", "stop", "end_turn", "STOP"},
		"cut short":  {"length", "max_tokens", "MAX_TOKENS", "length", "max_tokens", "MAX_TOKENS"},
		"held back":  {"content_filter", "refusal", "SAFETY", "content_filter", "refusal", "SAFETY"},
		"a sequence": {"stop", "stop_sequence", "STOP", "stop", "end_turn", "STOP"},
	} {
		for way, run := range sixAnswers(t,
			`{"id":"a","choices":[{"finish_reason":"`+tc.gpt+`","message":{"content":"x"}}]}`,
			`{"id":"a","stop_reason":"`+tc.claude+`","content":[{"type":"text","text":"x"}]}`,
			`{"responseId":"a","candidates":[{"finishReason":"`+tc.gemini+`","content":{"parts":[{"text":"x"}]}}]}`,
		) {
			_, as, _ := strings.Cut(way, " as ")
			want := map[string]string{"gpt": tc.asGPT, "claude": tc.asClaude, "gemini": tc.asGem}[as]
			if got, err := run(); err != nil || got.Stop != want || got.Text != "x" {
				t.Errorf("%s, %s: got %+v, %v, want %s", name, way, got, err, want)
			}
		}
	}
}

// An answer that has something in it for which there is no counterpart is none.
func TestAnswersThatCannotBeCarriedAreNamed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string][3]string{
		"nothing": {`{"choices":[]}`, `null`, `{}`},
		"a reason nobody knows": {`{"choices":[{"finish_reason":"tired","message":{"content":"x"}}]}`, `{"stop_reason":"pause_turn","content":[]}`,
			`{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}`},
		"more than words": {`{"choices":[{"finish_reason":"stop","message":{"audio":{"id":"a"}}}]}`, `{"stop_reason":"end_turn","content":[{"type":"server_tool_use","id":"1","name":"web_search","input":{}}]}`,
			`{"candidates":[{"finishReason":"STOP","content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}}]}`},
		"broken arguments": {`{"choices":[{"finish_reason":"tool_calls","message":{"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{"}}]}}]}`,
			`{"stop_reason":"tool_use","content":[{"type":"tool_use","id":"1","name":"f","input":[1]}]}`, `{"candidates":[{"finishReason":"STOP","content":{"parts":[{"codeExecutionResult":{"output":"x"}}]}}]}`},
	} {
		for way, run := range sixAnswers(t, tc[0], tc[1], tc[2]) {
			_, err := run()
			var unsupported *translate.UnsupportedError
			if err == nil || !reflect.TypeOf(err).AssignableTo(reflect.TypeOf(unsupported)) {
				t.Errorf("%s, %s: got %v", name, way, err)
			}
		}
	}
}

// A call without an id gets one, the same for the same answer, another one for
// each call.
func TestCallsWithoutIDsGetSome(t *testing.T) {
	t.Parallel()
	form := func(id string) string {
		return `{"responseId":"` + id + `","candidates":[{"finishReason":"STOP","content":{"parts":[{"functionCall":{"name":"look"}},{"functionCall":{"name":"look"}}]}}]}`
	}
	ids := func(id string) (all []string) {
		c, err := translate.GeminiForOpenAI(asked[genai.Request](nil, read[*gemini.GenerateContentResponse](t, form(id))), "m").Run(t.Context(), read[openai.ChatCompletionNewParams](t, `{`+openaiHi+`}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range c.Choices[0].Message.ToolCalls {
			if len(one.ID) > 40 || one.Function.Arguments != "{}" {
				t.Errorf("%+v", one)
			}
			all = append(all, one.ID)
		}
		return all
	}
	first, again, second, none, none2 := ids("r1"), ids("r1"), ids("r2"), ids(""), ids("")
	if !reflect.DeepEqual(first, again) || first[0] == first[1] || first[0] == second[0] || none[0] == none2[0] {
		t.Errorf("%q %q %q %q %q", first, again, second, none, none2)
	}
}

// change has the last word, and a history is mended after it.
func TestChangeHasTheLastWord(t *testing.T) {
	t.Parallel()
	var got anthropic.MessageNewParams
	params := read[openai.ChatCompletionNewParams](t, `{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"look","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"r"}]}`)
	agent := translate.AnthropicForOpenAI(asked(&got, read[*anthropic.Message](t, messageForm)), "claude", nil, func(p *anthropic.MessageNewParams) {
		p.MaxTokens = 77
		p.Thinking = anthropic.ThinkingConfigParamOfEnabled(1024)
	})
	if _, err := agent.Run(t.Context(), params); err != nil {
		t.Fatal(err)
	}
	if got.MaxTokens != 77 || got.Thinking.OfDisabled == nil {
		t.Errorf("got %d tokens, thinking %+v", got.MaxTokens, got.Thinking)
	}
	if len(got.Tools) != 1 || got.Tools[0].OfTool.Name != "look" || got.ToolChoice.OfNone == nil {
		t.Errorf("the tool of the history is not defined: %+v", got.Tools)
	}
}

// A guarded stand-in brings its own layers.
func TestAGuardedStandInKeepsItsLayers(t *testing.T) {
	t.Parallel()
	guarded, err := middleware.Wrap(asked[openai.ChatCompletionNewParams](nil, read[*openai.ChatCompletion](t, completionForm))).Named("gpt").
		Validate(func(_ context.Context, _ openai.ChatCompletionNewParams, c *openai.ChatCompletion) error {
			return context.Canceled
		}).Build()
	if err != nil {
		t.Fatal(err)
	}
	first := middleware.Func(func(context.Context, anthropic.MessageNewParams) (*anthropic.Message, error) {
		return nil, context.DeadlineExceeded
	})
	chain, err := middleware.Wrap(first).Fallback("gpt", translate.OpenAIForAnthropic(guarded, "m")).Build()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Run(t.Context(), read[anthropic.MessageNewParams](t, `{`+anthropicHi+`}`)); err == nil {
		t.Error("the stand-in's own validation was left out")
	}
	if translate.OpenAIForAnthropic(nil, "m") != nil {
		t.Error("a nil agent made a stand-in")
	}
}
