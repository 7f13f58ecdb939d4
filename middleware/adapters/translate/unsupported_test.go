package translate_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	anthropic "github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	gemini "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/middleware/adapters/translate"
	"github.com/understudy-go/understudy/strategies"
)

// What there is no counterpart for is named, and nothing is sent.

// asked stands for an agent that is asked; it keeps the request.
func asked[Req, Resp any](got *Req, answer Resp) middleware.Runner[Req, Resp] {
	return middleware.Func(func(_ context.Context, req Req) (Resp, error) {
		if got != nil {
			*got = req
		}
		return answer, nil
	})
}

// read makes a value of JSON, as a client does.
func read[T any](t *testing.T, form string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(form), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

const (
	openaiHi    = `"model":"m","messages":[{"role":"user","content":"hi"}]`
	anthropicHi = `"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]`
	openaiTool  = `"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object"}}}]`
)

func TestWhatOpenAIAloneHasIsNamed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		form, field string
		gemini      string // "": the same field; "-": Gemini has it
	}{
		"several answers":      {`{` + openaiHi + `,"n":2}`, "n", ""},
		"a seed":               {`{` + openaiHi + `,"seed":1}`, "seed", "-"},
		"a penalty":            {`{` + openaiHi + `,"presence_penalty":1}`, "the presence penalty", "-"},
		"a hot temperature":    {`{` + openaiHi + `,"temperature":1.5}`, "temperature", "-"},
		"sound":                {`{` + openaiHi + `,"modalities":["text","audio"],"audio":{"voice":"ash","format":"wav"}}`, "modalities", ""},
		"a bias":               {`{` + openaiHi + `,"logit_bias":{"1":2}}`, "logit_bias", ""},
		"a prediction":         {`{` + openaiHi + `,"prediction":{"type":"content","content":"x"}}`, "prediction", ""},
		"a web search":         {`{` + openaiHi + `,"web_search_options":{"search_context_size":"low"}}`, "web_search_options", ""},
		"old functions":        {`{` + openaiHi + `,"functions":[{"name":"f"}]}`, "functions", ""},
		"JSON without schema":  {`{` + openaiHi + `,"response_format":{"type":"json_object"}}`, "the format of the answer", "-"},
		"a custom tool":        {`{` + openaiHi + `,"tools":[{"type":"custom","custom":{"name":"c"}}]}`, "tools[0]", ""},
		"some of the tools":    {`{` + openaiHi + `,` + openaiTool + `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"look"}}]}}}`, "the tool choice", ""},
		"one call at a time":   {`{` + openaiHi + `,` + openaiTool + `,"parallel_tool_calls":false}`, "", "one tool call at a time"},
		"a schema of choices":  {`{` + openaiHi + `,"tools":[{"type":"function","function":{"name":"look","parameters":{"type":"object","anyOf":[]}}}]}`, `the schema of tool "look"`, "-"},
		"a participant's name": {`{"model":"m","messages":[{"role":"user","name":"bob","content":"hi"}]}`, "messages[0].name", ""},
		"a file":               {`{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}]}`, "messages[0].content[0]", ""},
		"spoken words":         {`{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"","format":"wav"}}]}]}`, "messages[0].content[0]", ""},
		"an answer begun":      {`{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"The"}]}`, "the last turn", ""},
		"broken arguments": {`{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]}]}`,
			"messages[1].tool_calls[0].function.arguments", ""},
		"a picture of another kind": {`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/heic;base64,AA=="}}]}]}`, "a picture", "-"},
		"a picture of no kind":      {`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://example.org/door"}}]}]}`, "", "a picture"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			params := read[openai.ChatCompletionNewParams](t, tc.form)
			_, err := translate.AnthropicForOpenAI(asked[anthropic.MessageNewParams](nil, read[*anthropic.Message](t, messageForm)), "m").Run(t.Context(), params)
			named(t, err, tc.field, translate.OpenAI, translate.Anthropic)
			_, err = translate.GeminiForOpenAI(asked[genai.Request](nil, read[*gemini.GenerateContentResponse](t, responseForm)), "m").Run(t.Context(), params)
			if tc.gemini == "" {
				tc.gemini = tc.field
			}
			named(t, err, strings.TrimPrefix(tc.gemini, "-"), translate.OpenAI, translate.Gemini)
		})
	}
	t.Run("a conversation that is elsewhere", func(t *testing.T) {
		t.Parallel()
		var params openai.ChatCompletionNewParams
		params.SetExtraFields(map[string]any{"previous_response_id": "resp_1"})
		_, err := translate.AnthropicForOpenAI(asked[anthropic.MessageNewParams, *anthropic.Message](nil, nil), "m").Run(t.Context(), params)
		named(t, err, "previous_response_id", translate.OpenAI, translate.Anthropic)
	})
	t.Run("a field that nobody knows", func(t *testing.T) {
		t.Parallel()
		var params openai.ChatCompletionNewParams
		params.SetExtraFields(map[string]any{"new_thing": true})
		_, err := translate.AnthropicForOpenAI(asked[anthropic.MessageNewParams, *anthropic.Message](nil, nil), "m").Run(t.Context(), params)
		named(t, err, "new_thing", translate.OpenAI, translate.Anthropic)
	})
}

func TestWhatAnthropicAloneHasIsNamed(t *testing.T) {
	t.Parallel()
	with := func(block string) string {
		return `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[` + block + `]}]}`
	}
	for name, tc := range map[string]struct{ form, field, gemini string }{
		"top_k":             {`{` + anthropicHi + `,"top_k":5}`, "top_k", "-"},
		"a container":       {`{` + anthropicHi + `,"container":"c"}`, "container", ""},
		"a region":          {`{` + anthropicHi + `,"inference_geo":"eu"}`, "inference_geo", ""},
		"a tool of its own": {`{` + anthropicHi + `,"tools":[{"type":"web_search_20250305","name":"web_search"}]}`, "tools[0]", ""},
		"five stops":        {`{` + anthropicHi + `,"stop_sequences":["a","b","c","d","e"]}`, "the stop sequences", "-"},
		"six stops":         {`{` + anthropicHi + `,"stop_sequences":["a","b","c","d","e","f"]}`, "the stop sequences", ""},
		"a document":        {with(`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}`), "messages[0].content[0]", ""},
		"a search result":   {with(`{"type":"search_result","source":"s","title":"t","content":[]}`), "messages[0].content[0]", ""},
		"a search of its own": {`{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"server_tool_use","id":"1","name":"web_search","input":{}}]}]}`,
			"messages[0].content[0]", ""},
		"a document in a result": {with(`{"type":"tool_result","tool_use_id":"1","content":[{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}]}`),
			"messages[0].content[0].content[0]", ""},
		"an answer begun": {`{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":[{"type":"text","text":"The"}]}]}`,
			"the last turn", ""},
		"nothing to say":          {`{"model":"m","max_tokens":0,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}`, "max_tokens", ""},
		"a tool with a long name": {`{` + anthropicHi + `,"tools":[{"name":"` + strings.Repeat("n", 65) + `","input_schema":{"type":"object"}}]}`, "tool 0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			params := read[anthropic.MessageNewParams](t, tc.form)
			_, err := translate.OpenAIForAnthropic(asked[openai.ChatCompletionNewParams](nil, read[*openai.ChatCompletion](t, completionForm)), "m").Run(t.Context(), params)
			named(t, err, tc.field, translate.Anthropic, translate.OpenAI)
			_, err = translate.GeminiForAnthropic(asked[genai.Request](nil, read[*gemini.GenerateContentResponse](t, responseForm)), "m").Run(t.Context(), params)
			if tc.gemini == "" {
				tc.gemini = tc.field
			}
			named(t, err, strings.TrimPrefix(tc.gemini, "-"), translate.Anthropic, translate.Gemini)
		})
	}
}

func TestANumberThatWouldBeRoundedIsNamed(t *testing.T) {
	t.Parallel()
	for args, field := range map[string]string{
		`{"at":9007199254740993}`: `the arguments of a call of "look"`, `{"at":9007199254740992}`: "", `{"at":123456789012345678901234567890}`: `the arguments of a call of "look"`,
	} {
		params := read[anthropic.MessageNewParams](t, `{`+anthropicHi+`}`)
		params.Messages = append(params.Messages, anthropic.NewAssistantMessage(anthropic.NewToolUseBlock("1", json.RawMessage(args), "look")),
			anthropic.NewUserMessage(anthropic.NewToolResultBlock("1", "r", false)))
		_, err := translate.GeminiForAnthropic(asked[genai.Request](nil, read[*gemini.GenerateContentResponse](t, responseForm)), "m").Run(t.Context(), params)
		named(t, err, field, translate.Anthropic, translate.Gemini)
		_, err = translate.OpenAIForAnthropic(asked[openai.ChatCompletionNewParams](nil, read[*openai.ChatCompletion](t, completionForm)), "m").Run(t.Context(), params)
		named(t, err, "", translate.Anthropic, translate.OpenAI)
	}
}

func TestWhatGeminiAloneHasIsNamed(t *testing.T) {
	t.Parallel()
	hi := func(parts ...*gemini.Part) genai.Request {
		return genai.Request{Model: "m", Contents: []*gemini.Content{{Role: "user", Parts: append(parts, &gemini.Part{Text: "hi"})}}}
	}
	with := func(config gemini.GenerateContentConfig) genai.Request {
		req := hi()
		req.Config = &config
		return req
	}
	for name, tc := range map[string]struct {
		req   genai.Request
		field string
	}{
		"a cache":              {with(gemini.GenerateContentConfig{CachedContent: "c"}), "config.cachedContent"},
		"safety settings":      {with(gemini.GenerateContentConfig{SafetySettings: []*gemini.SafetySetting{{}}}), "config.safetySettings"},
		"several answers":      {with(gemini.GenerateContentConfig{CandidateCount: 2}), "config.candidateCount"},
		"pictures out":         {with(gemini.GenerateContentConfig{ResponseModalities: []string{"TEXT", "IMAGE"}}), "config.responseModalities"},
		"an enum":              {with(gemini.GenerateContentConfig{ResponseMIMEType: "text/x.enum"}), "config.responseMimeType"},
		"its search":           {with(gemini.GenerateContentConfig{Tools: []*gemini.Tool{{GoogleSearch: &gemini.GoogleSearch{}}}}), "config.tools[0].googleSearch"},
		"validated calls":      {with(gemini.GenerateContentConfig{ToolConfig: &gemini.ToolConfig{FunctionCallingConfig: &gemini.FunctionCallingConfig{Mode: "VALIDATED"}}}), "config.toolConfig.functionCallingConfig.mode"},
		"a film":               {hi(gemini.NewPartFromBytes([]byte{1}, "video/mp4")), "contents[0].parts[0].inlineData"},
		"a file of its own":    {hi(gemini.NewPartFromURI("gs://bucket/a.png", "image/png")), "a picture"},
		"an uploaded file":     {hi(gemini.NewPartFromURI("https://generativelanguage.googleapis.com/v1beta/files/1", "image/png")), "contents[0].parts[0].fileData.fileUri"},
		"code that it ran":     {hi(&gemini.Part{ExecutableCode: &gemini.ExecutableCode{Code: "1"}}), "contents[0].parts[0].executableCode"},
		"a name with a dot":    {with(gemini.GenerateContentConfig{Tools: []*gemini.Tool{{FunctionDeclarations: []*gemini.FunctionDeclaration{{Name: "a.b"}}}}}), "tool 0"},
		"a picture of its own": {hi(gemini.NewPartFromBytes([]byte{1}, "image/heic")), "a picture"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := translate.OpenAIForGemini(asked[openai.ChatCompletionNewParams](nil, read[*openai.ChatCompletion](t, completionForm)), "m").Run(t.Context(), tc.req)
			named(t, err, tc.field, translate.Gemini, translate.OpenAI)
			_, err = translate.AnthropicForGemini(asked[anthropic.MessageNewParams](nil, read[*anthropic.Message](t, messageForm)), "m").Run(t.Context(), tc.req)
			named(t, err, tc.field, translate.Gemini, translate.Anthropic)
		})
	}
}

// named expects an error about a field; "": none.
func named(t *testing.T, err error, field string, from, to translate.Provider) {
	t.Helper()
	if field == "" {
		if err != nil {
			t.Errorf("to %s: %v", to, err)
		}
		return
	}
	unsupported, ok := errors.AsType[*translate.UnsupportedError](err)
	switch {
	case !ok:
		t.Errorf("to %s: got %v, want an UnsupportedError about %s", to, err, field)
	case unsupported.Field != field || unsupported.From != from || unsupported.To != to || unsupported.Problem == "" || unsupported.Fix == "":
		t.Errorf("got %+v, want one about %s from %s to %s", unsupported, field, from, to)
	case len(err.Error()) > 400 || !strings.Contains(err.Error(), field):
		t.Errorf("the error says %q", err)
	}
	if v := strategies.Classify(err); ok && (v.Class != strategies.ClassBadRequest || !v.Fallback || v.Retry) {
		t.Errorf("%v is %+v", err, v)
	}
}

// Hints that say nothing to another provider are left out, and nothing else is.
func TestHintsAreLeftOut(t *testing.T) {
	t.Parallel()
	var gpt openai.ChatCompletionNewParams
	_, err := translate.OpenAIForAnthropic(asked(&gpt, read[*openai.ChatCompletion](t, completionForm)), "gpt-5").Run(t.Context(), read[anthropic.MessageNewParams](t, `{
		"model":"claude","max_tokens":9,"metadata":{"user_id":"u"},"service_tier":"auto","cache_control":{"type":"ephemeral"},
		"thinking":{"type":"enabled","budget_tokens":1024},"output_config":{"effort":"high"},
		"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}],
		"messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]},
			{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"redacted_thinking","data":"d"},{"type":"text","text":"yes"}]},
			{"role":"user","content":[{"type":"text","text":"and?"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	same := func(got any, want string) {
		t.Helper()
		raw, err := json.Marshal(got)
		if err != nil || compact(raw) != compact(json.RawMessage(want)) {
			t.Errorf("got %s, %v, want %s", raw, err, want)
		}
	}
	same(gpt, `{"model":"gpt-5","max_completion_tokens":9,"messages":[{"role":"system","content":"S"},{"role":"user","content":"hi"},
		{"role":"assistant","content":"yes"},{"role":"user","content":"and?"}]}`)

	var claude anthropic.MessageNewParams
	_, err = translate.AnthropicForOpenAI(asked(&claude, read[*anthropic.Message](t, messageForm)), "claude").Run(t.Context(), read[openai.ChatCompletionNewParams](t, `{
		"model":"gpt","user":"u","safety_identifier":"s","metadata":{"a":"b"},"store":true,"service_tier":"flex","prompt_cache_key":"k",
		"reasoning_effort":"high","verbosity":"low","messages":[{"role":"developer","content":"S"},{"role":"user","content":"hi"},
		{"role":"assistant","content":"yes"},{"role":"developer","content":"In French."},{"role":"user","content":[{"type":"text","text":"and?"},
		{"type":"image_url","image_url":{"url":"https://example.org/a.png","detail":"low"}}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	same(claude, `{"model":"claude","max_tokens":8192,"system":[{"type":"text","text":"S"},{"type":"text","text":"In French."}],
		"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":[{"type":"text","text":"yes"}]},
		{"role":"user","content":[{"type":"text","text":"and?"},{"type":"image","source":{"type":"url","url":"https://example.org/a.png"}}]}]}`)
}

// A schema of Gemini's own becomes a JSON schema.
func TestSchemasOfGemini(t *testing.T) {
	t.Parallel()
	var gpt openai.ChatCompletionNewParams
	req := genai.Request{Model: "m", Contents: gemini.Text("hi"), Config: &gemini.GenerateContentConfig{Tools: []*gemini.Tool{{
		FunctionDeclarations: []*gemini.FunctionDeclaration{{Name: "look", Parameters: &gemini.Schema{
			Type: gemini.TypeObject, Required: []string{"at"}, PropertyOrdering: []string{"at"},
			Properties: map[string]*gemini.Schema{
				"at": {Type: gemini.TypeString, Nullable: gemini.Ptr(true), Enum: []string{"door", "hall"}},
				"n":  {AnyOf: []*gemini.Schema{{Type: gemini.TypeInteger, Minimum: gemini.Ptr(1.0)}, {Type: gemini.TypeArray, Items: &gemini.Schema{Type: gemini.TypeNumber}}}},
			},
		}}},
	}}}}
	if _, err := translate.OpenAIForGemini(asked(&gpt, read[*openai.ChatCompletion](t, completionForm)), "m").Run(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(gpt.Tools[0].OfFunction.Function.Parameters)
	want := `{"type":"object","required":["at"],"properties":{"at":{"type":["string","null"],"enum":["door","hall"]},
		"n":{"anyOf":[{"type":"integer","minimum":1},{"type":"array","items":{"type":"number"}}]}}}`
	if err != nil || compact(raw) != compact(json.RawMessage(want)) {
		t.Errorf("got %s, %v, want %s", raw, err, want)
	}
	loop := &gemini.Schema{Type: gemini.TypeArray}
	loop.Items = loop
	req.Config.Tools[0].FunctionDeclarations[0].Parameters = loop
	_, err = translate.OpenAIForGemini(asked(&gpt, read[*openai.ChatCompletion](t, completionForm)), "m").Run(t.Context(), req)
	named(t, err, "the request", translate.Gemini, translate.OpenAI)
}
