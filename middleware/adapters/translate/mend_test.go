package translate_test

import (
	"encoding/json"
	"strings"
	"testing"

	anthropic "github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	gemini "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/middleware/adapters/translate"
)

// mended mends a request twice, and expects that the second time changes nothing
// and that what was given is never written to.
func mended[T any](t *testing.T, form string, mend func(T) (T, error)) string {
	t.Helper()
	given := read[T](t, form)
	before := inJSON(t, given)
	once, err := mend(given)
	if err != nil {
		t.Fatal(err)
	}
	if inJSON(t, given) != before {
		t.Error("what was given is written to")
	}
	again, err := mend(once)
	if err != nil || inJSON(t, again) != inJSON(t, once) {
		t.Errorf("mended again it is another:\n%s\n%s", inJSON(t, once), inJSON(t, again))
	}
	return inJSON(t, once)
}

func inJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return compact(raw)
}

func TestMendAnthropic(t *testing.T) {
	t.Parallel()
	const head = `"model":"m","max_tokens":9`
	q := `{"role":"user","content":[{"type":"text","text":"q","cache_control":{"type":"ephemeral"}}]}`
	thinking := `,"thinking":{"type":"enabled","budget_tokens":1024,"display":"summarized"}`
	foreign := `{"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"look","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"r"}]}]}`
	own := `{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"1","name":"look","input":{},"caller":{"type":"direct"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","is_error":true}]}`
	for name, tc := range map[string]struct{ form, want string }{
		"its own history stays": {`{` + head + thinking + `,"messages":[` + q + `,` + own + `]}`, ""},
		"so does what nobody else has": {`{` + head + `,"top_k":3,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}]},
			{"role":"assistant","content":[{"type":"server_tool_use","id":"9","name":"web_search","input":{}},{"type":"text","text":"a"}]},` + q + `]}`, ""},
		"thinking is off after a foreign call":      {`{` + head + thinking + `,"messages":[` + q + `,` + foreign + `]}`, `{` + head + `,"thinking":{"type":"disabled"},"messages":[` + q + `,` + foreign + `]}`},
		"and when only an earlier round is foreign": {`{` + head + thinking + `,"messages":[` + q + `,` + foreign + `,` + own + `]}`, `{` + head + `,"thinking":{"type":"disabled"},"messages":[` + q + `,` + foreign + `,` + own + `]}`},
		"it is on again in the next turn":           {`{` + head + thinking + `,"messages":[` + q + `,` + foreign + `,{"role":"assistant","content":[{"type":"text","text":"a"}]},` + q + `]}`, ""},
		"adaptive thinking asks for no thoughts":    {`{` + head + `,"thinking":{"type":"adaptive"},"messages":[` + q + `,` + foreign + `]}`, ""},
		"a thought without a signature goes": {`{` + head + `,"messages":[` + q + `,{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":""},{"type":"redacted_thinking","data":""},{"type":"text","text":"a"}]},` + q + `]}`,
			`{` + head + `,"messages":[` + q + `,{"role":"assistant","content":[{"type":"text","text":"a"}]},` + q + `]}`},
		"an id of foreign letters": {`{` + head + `,"messages":[` + q + `,` + strings.ReplaceAll(foreign, "call_1", "call.1") + `]}`, `{` + head + `,"messages":[` + q + `,` + strings.ReplaceAll(foreign, "call_1", "call_4c7c5ed463579d3567637889924ee7a7") + `]}`},
		"a document whose call is gone": {`{` + head + `,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"7","content":[{"type":"text","text":"r"},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}]}]}]}`,
			`{` + head + `,"messages":[{"role":"user","content":[{"type":"text","text":"Result of an earlier tool call that is no longer part of the conversation:"},{"type":"text","text":"r"},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}]}]}`},
		"a call that nobody answered": {`{` + head + `,"messages":[` + q + `,{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"look","input":{}}]},` + q + `]}`,
			`{` + head + `,"messages":[` + q + `,{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"look","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","is_error":true,
			"content":[{"type":"text","text":"No result: the conversation moved on before the tool answered."}]},{"type":"text","text":"q","cache_control":{"type":"ephemeral"}}]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mended(t, tc.form, func(p anthropic.MessageNewParams) (anthropic.MessageNewParams, error) {
				return translate.MendAnthropic(t.Context(), p)
			})
			if tc.want == "" {
				tc.want = tc.form
			}
			if want := inJSON(t, read[anthropic.MessageNewParams](t, tc.want)); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestMendOpenAI(t *testing.T) {
	t.Parallel()
	call := func(id string) string {
		return `{"role":"assistant","content":"c","name":"n","tool_calls":[{"id":"` + id + `","type":"function","function":{"name":"look","arguments":"{}"}}]}`
	}
	long := strings.Repeat("x", 41)
	for name, tc := range map[string]struct{ messages, want string }{
		"its own history stays": {`{"role":"developer","content":"s"},{"role":"user","name":"bob","content":[{"type":"file","file":{"file_id":"f"}}]},` + call("1") + `,{"role":"tool","tool_call_id":"1","content":"r"},{"role":"system","content":"t"}`, ""},
		"custom tools too":      {`{"role":"assistant","tool_calls":[{"id":"1","type":"custom","custom":{"name":"c","input":"x"}}]},{"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"r"}]}`, ""},
		"an id that is too long": {call(long) + `,{"role":"tool","tool_call_id":"` + long + `","content":"r"}`,
			call("call_ad3cd6338b8455ab65ddf87bee772f0b") + `,{"role":"tool","tool_call_id":"call_ad3cd6338b8455ab65ddf87bee772f0b","content":"r"}`},
		"a call that nobody answered": {call("1") + `,{"role":"user","content":"q"}`,
			call("1") + `,{"role":"tool","tool_call_id":"1","content":"[error] No result: the conversation moved on before the tool answered."},{"role":"user","content":"q"}`},
		"a message between a call and its result": {call("1") + `,{"role":"user","content":"q"},{"role":"tool","tool_call_id":"1","content":"r"}`,
			call("1") + `,{"role":"tool","tool_call_id":"1","content":"r"},{"role":"user","content":"q"}`},
		"a result whose call is gone": {`{"role":"tool","tool_call_id":"1","content":"r"}`,
			`{"role":"user","content":[{"type":"text","text":"Result of an earlier tool call that is no longer part of the conversation:"},{"type":"text","text":"r"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mended(t, `{"model":"m","messages":[`+tc.messages+`]}`, func(p openai.ChatCompletionNewParams) (openai.ChatCompletionNewParams, error) {
				return translate.MendOpenAI(t.Context(), p)
			})
			if tc.want == "" {
				tc.want = tc.messages
			}
			if want := compact(json.RawMessage(`{"model":"m","messages":[` + tc.want + `]}`)); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestMendGemini(t *testing.T) {
	t.Parallel()
	const (
		q    = `{"role":"user","parts":[{"text":"q"}]}`
		own  = `{"role":"model","parts":[{"text":"t","thought":true},{"functionCall":{"name":"look"},"thoughtSignature":"AAAA"},{"functionCall":{"name":"hear"}}]}`
		both = `{"role":"user","parts":[{"functionResponse":{"name":"look","response":{"output":"r"}}},{"functionResponse":{"name":"hear","response":{"output":"s"}}}]}`
		sign = `,"thoughtSignature":"c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="`
	)
	foreign := func(sign string) string {
		return `{"role":"model","parts":[{"functionCall":{"id":"1","name":"look"}` + sign + `}]},{"role":"user","parts":[{"functionResponse":{"id":"1","name":"look","response":{"output":"r"}}}]}`
	}
	for name, tc := range map[string]struct{ model, contents, want string }{
		"its own history stays":    {"gemini-3-pro", q + `,` + own + `,` + both, ""},
		"a call of somebody else":  {"gemini-3-pro", q + `,` + foreign(""), q + `,` + foreign(sign)},
		"of an older model":        {"models/gemini-2.5-pro", q + `,` + foreign(""), ""},
		"in a turn that is over":   {"gemini-3-pro", q + `,` + foreign("") + `,{"role":"model","parts":[{"text":"a"}]},` + q, ""},
		"responses in wrong order": {"gemini-3-pro", q + `,` + own + `,{"role":"user","parts":[{"functionResponse":{"name":"hear","response":{"output":"s"}}},{"functionResponse":{"name":"look","response":{"output":"r"}}}]}`, q + `,` + own + `,` + both},
		"one of two responses": {"gemini-3-pro", q + `,` + own + `,{"role":"user","parts":[{"functionResponse":{"name":"look","response":{"output":"r"}}}]}`,
			q + `,` + own + `,{"role":"user","parts":[{"functionResponse":{"name":"look","response":{"output":"r"}}},{"functionResponse":{"name":"hear","response":{"error":"No result: the conversation moved on before the tool answered."}}}]}`},
		"a response without a name": {"gemini-2.5-pro", q + `,{"role":"model","parts":[{"functionCall":{"id":"1","name":"look"}}]},{"role":"user","parts":[{"functionResponse":{"id":"1","response":{"output":"r"}}}]}`, q + `,` + foreign("")},
		"a response whose call is gone": {"gemini-3-pro", `{"role":"user","parts":[{"functionResponse":{"name":"look","response":{"output":"r"}}}]}`,
			`{"role":"user","parts":[{"text":"Result of an earlier tool call that is no longer part of the conversation:"},{"text":"r"}]}`},
		"the model begins": {"gemini-3-pro", `{"role":"model","parts":[{"text":"a"}]},` + q, `{"role":"user","parts":[{"text":"(The conversation begins here.)"}]},{"role":"model","parts":[{"text":"a"}]},` + q},
		"two users":        {"gemini-3-pro", q + `,` + q, `{"role":"user","parts":[{"text":"q"},{"text":"q"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mended(t, `{"Model":"`+tc.model+`","Contents":[`+tc.contents+`]}`, func(req genai.Request) (genai.Request, error) {
				return translate.MendGemini(t.Context(), req)
			})
			if tc.want == "" {
				tc.want = tc.contents
			}
			if want := inJSON(t, read[genai.Request](t, `{"Model":"`+tc.model+`","Contents":[`+tc.want+`]}`)); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
	if _, err := translate.MendGemini(t.Context(), genai.Request{Contents: []*gemini.Content{nil, {Parts: []*gemini.Part{nil}}}}); err != nil {
		t.Error(err)
	}
}

// What is no request is an error or a request, never a panic.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{` + openaiHi + `}`, `{` + anthropicHi + `}`, `{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f"}},{"functionResponse":{"response":{"output":[1]}}}]}]}`,
		`{"messages":[{"role":"assistant","content":[{"type":"text"}],"tool_calls":[{"id":"","function":{"arguments":"["}}]},{"role":"tool","content":[null]}],"tool_choice":{},"stop":3}`,
		`{"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"image","source":{}}]}]}],"tools":[{"input_schema":[]}],"tool_choice":{"type":"tool"}}`,
		`{"config":{"systemInstruction":{"parts":[{"inlineData":{"data":"AA=="}}]},"tools":[{"functionDeclarations":[{"parameters":{"type":"OBJECT","items":{"anyOf":[{}]}}}]}]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx := t.Context()
		gpt, claude := asked[openai.ChatCompletionNewParams](nil, read[*openai.ChatCompletion](t, completionForm)), asked[anthropic.MessageNewParams](nil, read[*anthropic.Message](t, messageForm))
		google := asked[genai.Request](nil, read[*gemini.GenerateContentResponse](t, responseForm))
		var ask openai.ChatCompletionNewParams
		if json.Unmarshal(data, &ask) == nil {
			bounded(t, second(translate.AnthropicForOpenAI(claude, "m").Run(ctx, ask)))
			bounded(t, second(translate.GeminiForOpenAI(google, "gemini-3-pro").Run(ctx, ask)))
			bounded(t, second(translate.MendOpenAI(ctx, ask)))
		}
		var question anthropic.MessageNewParams
		if json.Unmarshal(data, &question) == nil {
			bounded(t, second(translate.OpenAIForAnthropic(gpt, "m").Run(ctx, question)))
			bounded(t, second(translate.GeminiForAnthropic(google, "m").Run(ctx, question)))
			bounded(t, second(translate.MendAnthropic(ctx, question)))
		}
		var req genai.Request
		if json.Unmarshal(data, &req) == nil {
			bounded(t, second(translate.OpenAIForGemini(gpt, "m").Run(ctx, req)))
			bounded(t, second(translate.AnthropicForGemini(claude, "m").Run(ctx, req)))
			bounded(t, second(translate.MendGemini(ctx, req)))
		}
	})
}

func second[T any](_ T, err error) error { return err }

func bounded(t *testing.T, err error) {
	t.Helper()
	if err != nil && len(err.Error()) > 4096 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

// What is no answer is an error or an answer, never a panic.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{completionForm, messageForm, responseForm, `{}`, `null`, `{"choices":[{"message":{"tool_calls":[{}]}}]}`, `{"candidates":[null]}`, `{"candidates":[{"content":{"parts":[null,{}]}}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx := t.Context()
		question, ask := read[anthropic.MessageNewParams](t, `{`+anthropicHi+`}`), read[openai.ChatCompletionNewParams](t, `{`+openaiHi+`}`)
		var completion *openai.ChatCompletion
		if json.Unmarshal(data, &completion) == nil {
			bounded(t, second(translate.OpenAIForAnthropic(asked[openai.ChatCompletionNewParams](nil, completion), "m").Run(ctx, question)))
		}
		var message *anthropic.Message
		if json.Unmarshal(data, &message) == nil {
			bounded(t, second(translate.AnthropicForOpenAI(asked[anthropic.MessageNewParams](nil, message), "m").Run(ctx, ask)))
		}
		var response *gemini.GenerateContentResponse
		if json.Unmarshal(data, &response) == nil {
			bounded(t, second(translate.GeminiForOpenAI(asked[genai.Request](nil, response), "m").Run(ctx, ask)))
		}
	})
}
