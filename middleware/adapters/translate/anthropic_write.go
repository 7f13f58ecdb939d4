package translate

import (
	"encoding/json"
	"slices"

	anthropic "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/param"
)

// MaxTokens is how long an answer of Anthropic may be if the request does not say
// so: Anthropic has no default.
const MaxTokens = 8192

func anthropicRules() rules {
	return rules{fits: func(id string) bool { return word(id, "") }, hoist: true, merge: true, userFirst: true}
}

// toAnthropic writes a request for a message.
func toAnthropic(c conversation, model string, from Provider) (anthropic.MessageNewParams, error) {
	p := &problem{from: from, to: Anthropic}
	endsWithUser(c.turns, p)
	params := anthropic.MessageNewParams{Model: model, MaxTokens: MaxTokens, StopSequences: c.stops}
	hoisted, turns := settle(c.turns, anthropicRules())
	for _, s := range slices.Concat(c.system, hoisted) {
		if len(withoutEmpty([]part{{kind: text, text: s}})) > 0 {
			params.System = append(params.System, anthropic.TextBlockParam{Text: s})
		}
	}
	checkPictures(turns, p)
	params.Messages = anthropicMessages(turns)
	checkTools(c.tools, plainName, p)
	params.Tools = anthropicToolParams(c.tools, p)
	params.ToolChoice = anthropicToolChoice(c, p)
	if len(c.tools) == 0 && called(turns) {
		// Calls in a history want to be defined; none of these may be called.
		params.Tools = formerTools(turns)
		params.ToolChoice = anthropic.ToolChoiceUnionParam{OfNone: &anthropic.ToolChoiceNoneParam{}}
	}
	if c.maxTokens != nil {
		params.MaxTokens = *c.maxTokens
	}
	if c.temperature != nil && *c.temperature > 1 {
		p.say("temperature", "is above 1", "send at most 1")
	}
	if c.temperature != nil {
		params.Temperature = param.NewOpt(*c.temperature)
	}
	if c.topP != nil {
		params.TopP = param.NewOpt(*c.topP)
	}
	if k := c.topK; k != nil {
		if *k != float64(int64(*k)) {
			p.say("top_k", "is no whole number", "send a whole number")
		}
		params.TopK = param.NewOpt(int64(*k))
	}
	for _, of := range []struct {
		name string
		set  bool
	}{{"the presence penalty", c.presence != nil}, {"the frequency penalty", c.frequency != nil}, {"seed", c.seed != nil}} {
		if of.set {
			p.say(of.name, "has no counterpart", leaveOut)
		}
	}
	if f := c.format; f != nil {
		schema := rawObject(f.schema)
		if schema == nil {
			p.say("the format of the answer", "is JSON without a schema", "send a schema")
		}
		params.OutputConfig.Format.Schema = schema
	}
	return params, p.err
}

func anthropicToolParams(tools []tool, p *problem) (all []anthropic.ToolUnionParam) {
	for _, t := range tools {
		param := anthropic.ToolParam{Name: t.name, Strict: trueOnly(t.strict)}
		if t.description != "" {
			param.Description = anthropic.String(t.description)
		}
		schema := rawObject(t.schema)
		if kind, ok := schema["type"].(json.RawMessage); ok && string(kind) != `"object"` {
			p.say("the schema of tool "+quote(t.name), "is not of an object", "describe an object")
		}
		for _, top := range []string{"oneOf", "anyOf", "allOf"} {
			if schema[top] != nil {
				p.say("the schema of tool "+quote(t.name), "has "+top+" at its top", "put it into a property")
			}
		}
		param.InputSchema.Properties = map[string]any{}
		for name, value := range schema {
			switch name {
			case "type":
			case "properties":
				param.InputSchema.Properties = value
			default:
				if param.InputSchema.ExtraFields == nil {
					param.InputSchema.ExtraFields = map[string]any{}
				}
				param.InputSchema.ExtraFields[name] = value
			}
		}
		all = append(all, anthropic.ToolUnionParam{OfTool: &param})
	}
	return all
}

func trueOnly(b bool) param.Opt[bool] {
	if !b {
		return param.Opt[bool]{}
	}
	return param.NewOpt(true)
}

// formerTools defines the tools that a history has calls of.
func formerTools(turns []turn) (all []anthropic.ToolUnionParam) {
	seen := map[string]bool{}
	for _, t := range turns {
		for _, p := range t.parts {
			if p.kind == call && !seen[p.name] {
				seen[p.name] = true
				all = append(all, anthropic.ToolUnionParam{OfTool: &anthropic.ToolParam{
					Name: p.name, Description: anthropic.String("Was called earlier in this conversation; it is not available any more."),
					InputSchema: anthropic.ToolInputSchemaParam{Properties: map[string]any{}},
				}})
			}
		}
	}
	return all
}

func anthropicToolChoice(c conversation, p *problem) (u anthropic.ToolChoiceUnionParam) {
	if len(c.tools) == 0 {
		return u
	}
	alone := trueOnly(c.parallel != nil && !*c.parallel)
	if c.parallel != nil && *c.parallel {
		alone = param.NewOpt(false)
	}
	chosen := c.choice
	if chosen == nil && c.parallel != nil {
		chosen = &choice{mode: auto}
	}
	switch {
	case chosen == nil:
	case len(chosen.names) == 1 && chosen.mode == required:
		u.OfTool = &anthropic.ToolChoiceToolParam{Name: chosen.names[0], DisableParallelToolUse: alone}
	case len(chosen.names) > 0:
		p.say("the tool choice", "allows some of the tools", "offer these tools alone")
	case chosen.mode == required:
		u.OfAny = &anthropic.ToolChoiceAnyParam{DisableParallelToolUse: alone}
	case chosen.mode == never:
		u.OfNone = &anthropic.ToolChoiceNoneParam{}
	default:
		u.OfAuto = &anthropic.ToolChoiceAutoParam{DisableParallelToolUse: alone}
	}
	return u
}

func anthropicMessages(turns []turn) []anthropic.MessageParam {
	all := make([]anthropic.MessageParam, 0, len(turns))
	for _, t := range turns {
		m := anthropic.MessageParam{Role: anthropic.MessageParamRoleUser}
		switch t.role {
		case assistant:
			m.Role = anthropic.MessageParamRoleAssistant
		case system:
			m.Role = anthropic.MessageParamRole("system")
		}
		for _, part := range t.parts {
			m.Content = append(m.Content, anthropicParam(part))
		}
		all = append(all, m)
	}
	return all
}

func anthropicParam(of part) anthropic.ContentBlockParamUnion {
	switch own := of.own.(type) {
	case anthropic.ContentBlockParamUnion:
		return own
	case *anthropic.ToolUseBlockParam:
		b := *own
		b.ID = of.id
		return anthropic.ContentBlockParamUnion{OfToolUse: &b}
	case *anthropic.ToolResultBlockParam:
		b := *own
		b.ToolUseID = of.id
		return anthropic.ContentBlockParamUnion{OfToolResult: &b}
	}
	switch of.kind {
	case picture:
		return anthropic.ContentBlockParamUnion{OfImage: anthropicPicture(of.image)}
	case call:
		return anthropic.ContentBlockParamUnion{OfToolUse: &anthropic.ToolUseBlockParam{ID: of.id, Name: of.name, Input: of.args}}
	case result:
		b := &anthropic.ToolResultBlockParam{ToolUseID: of.id, IsError: trueOnly(of.failed)}
		for _, c := range withoutEmpty(of.content) {
			if c.kind == picture {
				b.Content = append(b.Content, anthropic.ToolResultBlockParamContentUnion{OfImage: anthropicPicture(c.image)})
			} else {
				b.Content = append(b.Content, anthropic.ToolResultBlockParamContentUnion{OfText: &anthropic.TextBlockParam{Text: c.text}})
			}
		}
		return anthropic.ContentBlockParamUnion{OfToolResult: b}
	}
	return anthropic.NewTextBlock(of.text)
}

func anthropicPicture(i image) *anthropic.ImageBlockParam {
	if i.url != "" {
		return &anthropic.ImageBlockParam{Source: anthropic.ImageBlockParamSourceUnion{OfURL: &anthropic.URLImageSourceParam{URL: i.url}}}
	}
	return &anthropic.ImageBlockParam{Source: anthropic.ImageBlockParamSourceUnion{OfBase64: &anthropic.Base64ImageSourceParam{
		Data: i.data, MediaType: anthropic.Base64ImageSourceMediaType(i.mime),
	}}}
}

// anthropicMessage writes an answer as a message, made of its JSON so that the
// client's own helpers can read it.
func anthropicMessage(a answer) (*anthropic.Message, error) {
	content := []any{}
	for n, p := range a.parts {
		switch {
		case p.kind == call:
			content = append(content, map[string]any{"type": "tool_use", "id": a.idOf(n, anthropicRules()), "name": p.name, "input": p.args})
		case p.text != "":
			content = append(content, map[string]any{"type": "text", "text": p.text, "citations": nil})
		}
	}
	reason := map[stop]anthropic.StopReason{
		stopEnd: anthropic.StopReasonEndTurn, stopTools: anthropic.StopReasonToolUse, stopLength: anthropic.StopReasonMaxTokens,
		stopWindow: anthropic.StopReasonModelContextWindowExceeded, stopRefused: anthropic.StopReasonRefusal,
	}[a.stop]
	raw, err := json.Marshal(map[string]any{
		"id": a.id, "type": "message", "role": "assistant", "model": a.model, "content": content,
		"stop_reason": reason, "stop_sequence": nil, "usage": map[string]any{"input_tokens": a.in, "output_tokens": a.out},
	})
	if err != nil {
		return nil, err
	}
	m := &anthropic.Message{}
	return m, json.Unmarshal(raw, m)
}
