package translate

import (
	"encoding/json"
	"strings"

	openai "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/shared"
)

// openAIIDs: longer ids of calls are refused.
const openAIIDs = 40

func openAIRules() rules {
	return rules{fits: func(id string) bool { return len(id) <= openAIIDs }, textOnly: true}
}

// toOpenAI writes a request for a chat completion.
func toOpenAI(c conversation, model string, from Provider) (openai.ChatCompletionNewParams, error) {
	p := &problem{from: from, to: OpenAI}
	params := openai.ChatCompletionNewParams{Model: model}
	if c.topK != nil {
		p.say("top_k", "has no counterpart", leaveOut)
	}
	endsWithUser(c.turns, p)
	for _, s := range c.system {
		params.Messages = append(params.Messages, openai.SystemMessage(s))
	}
	_, turns := settle(c.turns, openAIRules())
	checkPictures(turns, p)
	params.Messages = append(params.Messages, openAIMessages(turns)...)
	checkTools(c.tools, plainName, p)
	for _, t := range c.tools {
		params.Tools = append(params.Tools, openai.ChatCompletionToolUnionParam{OfFunction: &openai.ChatCompletionFunctionToolParam{
			Function: shared.FunctionDefinitionParam{
				Name: t.name, Description: maybe(t.description), Parameters: rawObject(t.schema), Strict: maybeTrue(t.strict),
			},
		}})
	}
	params.ToolChoice = openAIToolChoice(c.choice)
	if c.parallel != nil && len(c.tools) > 0 {
		params.ParallelToolCalls = param.NewOpt(*c.parallel)
	}
	params.MaxCompletionTokens = opt(c.maxTokens)
	params.Temperature, params.TopP = opt(c.temperature), opt(c.topP)
	params.PresencePenalty, params.FrequencyPenalty = opt(c.presence), opt(c.frequency)
	params.Seed = opt(c.seed)
	if len(c.stops) > 4 {
		p.say("the stop sequences", "are more than 4", "send at most 4")
	}
	if len(c.stops) > 0 {
		params.Stop.OfStringArray = c.stops
	}
	if f := c.format; f != nil && f.schema == nil {
		params.ResponseFormat.OfJSONObject = &shared.ResponseFormatJSONObjectParam{}
	} else if f != nil {
		name := f.name
		if name == "" {
			name = "answer"
		}
		params.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
			Name: name, Description: maybe(f.description), Schema: f.schema, Strict: maybeTrue(f.strict),
		}}
	}
	return params, p.err
}

// endsWithUser refuses a conversation whose last turn is the beginning of the
// answer: only its own provider would go on with it.
func endsWithUser(turns []turn, p *problem) {
	for i := len(turns) - 1; i >= 0; i-- {
		if turns[i].role == system || len(withoutEmpty(turns[i].parts)) == 0 {
			continue
		}
		if turns[i].role == assistant && !called(turns[i:i+1]) {
			p.say("the last turn", "is the assistant's, an answer begun (prefill)", "let the conversation end with the user")
		}
		return
	}
}

func opt[T float64 | int64](v *T) param.Opt[T] {
	if v == nil {
		return param.Opt[T]{}
	}
	return param.NewOpt(*v)
}

func maybe(s string) param.Opt[string] {
	if s == "" {
		return param.Opt[string]{}
	}
	return param.NewOpt(s)
}

func maybeTrue(b bool) param.Opt[bool] {
	if !b {
		return param.Opt[bool]{}
	}
	return param.NewOpt(true)
}

func openAIToolChoice(c *choice) (u openai.ChatCompletionToolChoiceOptionUnionParam) {
	switch {
	case c == nil:
	case len(c.names) == 0:
		u.OfAuto = param.NewOpt(string(c.mode))
	case len(c.names) == 1 && c.mode == required:
		u.OfFunctionToolChoice = &openai.ChatCompletionNamedToolChoiceParam{Function: openai.ChatCompletionNamedToolChoiceFunctionParam{Name: c.names[0]}}
	default:
		allowed := openai.ChatCompletionAllowedToolsParam{Mode: openai.ChatCompletionAllowedToolsMode(c.mode)}
		for _, name := range c.names {
			allowed.Tools = append(allowed.Tools, map[string]any{"type": "function", "function": map[string]any{"name": name}})
		}
		u.OfAllowedTools = &openai.ChatCompletionAllowedToolChoiceParam{AllowedTools: allowed}
	}
	return u
}

func openAIMessages(turns []turn) []openai.ChatCompletionMessageParamUnion {
	var all []openai.ChatCompletionMessageParamUnion
	for _, t := range turns {
		switch t.role {
		case assistant:
			m := openAIAssistantMessage(t)
			all = append(all, openai.ChatCompletionMessageParamUnion{OfAssistant: &m})
		default:
			all = append(all, openAIUserMessages(t)...)
		}
	}
	return all
}

// openAIUserMessages are the results in a turn, one message each, and what else
// is in it, in one.
func openAIUserMessages(t turn) (all []openai.ChatCompletionMessageParamUnion) {
	var rest []part
	for _, p := range t.parts {
		switch own := p.own.(type) {
		case openai.ChatCompletionMessageParamUnion:
			all = append(all, own)
			continue
		case *openai.ChatCompletionToolMessageParam:
			m := *own
			m.ToolCallID = p.id
			all = append(all, openai.ChatCompletionMessageParamUnion{OfTool: &m})
			continue
		}
		if p.kind != result {
			rest = append(rest, p)
			continue
		}
		all = append(all, openAIToolMessage(p))
	}
	if len(rest) == 0 {
		return all
	}
	if t.role == system {
		return append(all, openai.SystemMessage(joined(rest)))
	}
	if len(rest) == 1 && rest[0].kind == text {
		return append(all, openai.UserMessage(rest[0].text))
	}
	var parts []openai.ChatCompletionContentPartUnionParam
	for _, p := range rest {
		if p.kind == picture {
			url := p.image.url
			if url == "" {
				url = "data:" + p.image.mime + ";base64," + p.image.data
			}
			parts = append(parts, openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: url}))
		} else {
			parts = append(parts, openai.TextContentPart(p.text))
		}
	}
	return append(all, openai.UserMessage(parts))
}

func joined(parts []part) string {
	var all []string
	for _, p := range parts {
		all = append(all, p.text)
	}
	return strings.Join(all, "\n\n")
}

func openAIToolMessage(p part) openai.ChatCompletionMessageParamUnion {
	words := withoutEmpty(p.content)
	if p.failed {
		if len(words) == 0 {
			words = []part{{kind: text}}
		}
		words[0].text = failedMark + words[0].text
	}
	if len(words) < 2 {
		return openai.ToolMessage(joined(words), p.id)
	}
	var parts []openai.ChatCompletionContentPartTextParam
	for _, w := range words {
		parts = append(parts, openai.ChatCompletionContentPartTextParam{Text: w.text})
	}
	return openai.ToolMessage(parts, p.id)
}

func openAIAssistantMessage(t turn) openai.ChatCompletionAssistantMessageParam {
	var m openai.ChatCompletionAssistantMessageParam
	own, mended := t.own.(*openai.ChatCompletionAssistantMessageParam)
	if mended {
		m = *own
		m.ToolCalls = nil
	}
	var texts []string
	for _, p := range t.parts {
		switch {
		case p.kind == call:
			m.ToolCalls = append(m.ToolCalls, openAICall(p))
		case !mended:
			texts = append(texts, p.text)
		}
	}
	switch len(texts) {
	case 0:
	case 1:
		m.Content.OfString = param.NewOpt(texts[0])
	default:
		for _, s := range texts {
			m.Content.OfArrayOfContentParts = append(m.Content.OfArrayOfContentParts,
				openai.ChatCompletionAssistantMessageParamContentArrayOfContentPartUnion{OfText: &openai.ChatCompletionContentPartTextParam{Text: s}})
		}
	}
	return m
}

func openAICall(p part) openai.ChatCompletionMessageToolCallUnionParam {
	u, ok := p.own.(openai.ChatCompletionMessageToolCallUnionParam)
	switch {
	case ok && u.OfFunction != nil:
		c := *u.OfFunction
		c.ID = p.id
		u.OfFunction = &c
	case ok && u.OfCustom != nil:
		c := *u.OfCustom
		c.ID = p.id
		u.OfCustom = &c
	case !ok:
		u.OfFunction = &openai.ChatCompletionMessageFunctionToolCallParam{ID: p.id, Function: openai.ChatCompletionMessageFunctionToolCallFunctionParam{
			Name: p.name, Arguments: string(p.args),
		}}
	}
	return u
}

// openAICompletion writes an answer as a completion, made of its JSON so that
// the client's own helpers can read it.
func openAICompletion(a answer) (*openai.ChatCompletion, error) {
	type function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	}
	type toolCall struct {
		ID       string   `json:"id"`
		Type     string   `json:"type"`
		Function function `json:"function"`
	}
	message := map[string]any{"role": "assistant", "content": nil, "refusal": nil}
	var calls []toolCall
	var said []string
	for n, p := range a.parts {
		if p.kind == call {
			calls = append(calls, toolCall{a.idOf(n, openAIRules()), "function", function{p.name, string(p.args)}})
		} else if p.text != "" {
			said = append(said, p.text)
		}
	}
	if len(said) > 0 {
		message["content"] = strings.Join(said, "")
	}
	if len(calls) > 0 {
		message["tool_calls"] = calls
	}
	finish := map[stop]string{stopEnd: "stop", stopTools: "tool_calls", stopLength: "length", stopWindow: "length", stopRefused: "content_filter"}[a.stop]
	raw, err := json.Marshal(map[string]any{
		"id": a.id, "object": "chat.completion", "created": 0, "model": a.model,
		"choices": []any{map[string]any{"index": 0, "finish_reason": finish, "logprobs": nil, "message": message}},
		"usage":   map[string]any{"prompt_tokens": a.in, "completion_tokens": a.out, "total_tokens": a.in + a.out},
	})
	if err != nil {
		return nil, err
	}
	completion := &openai.ChatCompletion{}
	return completion, json.Unmarshal(raw, completion)
}
