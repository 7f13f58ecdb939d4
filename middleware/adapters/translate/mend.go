package translate

import (
	"context"

	anthropic "github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	gemini "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
)

// MendAnthropic gives Anthropic's own request a history that it can read, after
// others have had turns in it: ids, results and calls in pairs, alternating roles,
// no thoughts without a signature. Where the turn that goes on has calls of
// somebody who did not think first, thinking is off for this request. Everything
// else stays as it is, cache hints and thoughts of its own included; params are
// not written to. It never fails.
//
// It is for [middleware.Builder.FallbackVia]; as a layer it is [MendingAnthropic].
func MendAnthropic(_ context.Context, params anthropic.MessageNewParams) (anthropic.MessageNewParams, error) {
	if len(params.Messages) == 0 {
		return params, nil // nothing to mend
	}
	turns := make([]turn, 0, len(params.Messages))
	for _, m := range params.Messages {
		t := turn{role: user}
		switch m.Role {
		case anthropic.MessageParamRoleAssistant:
			t.role = assistant
		case "system":
			t.role = system
		}
		for _, block := range m.Content {
			if !unsignedThought(block) {
				t.parts = append(t.parts, ownBlock(block))
			}
		}
		turns = append(turns, t)
	}
	r := anthropicRules()
	r.hoist = false // a turn of the system stays where its own provider takes it
	_, turns = settle(turns, r)
	params.Messages = anthropicMessages(turns)
	if params.Thinking.OfEnabled != nil && !thinks(params.Messages) {
		params.Thinking = anthropic.ThinkingConfigParamUnion{OfDisabled: &anthropic.ThinkingConfigDisabledParam{}}
	}
	return params, nil
}

// unsignedThought says whether a block is a thought that Anthropic did not have:
// it would not believe it.
func unsignedThought(b anthropic.ContentBlockParamUnion) bool {
	return b.OfThinking != nil && b.OfThinking.Signature == "" || b.OfRedactedThinking != nil && b.OfRedactedThinking.Data == ""
}

func ownBlock(b anthropic.ContentBlockParamUnion) part {
	switch {
	case b.OfText != nil:
		return part{kind: text, text: b.OfText.Text, own: b}
	case b.OfToolUse != nil:
		return part{kind: call, id: b.OfToolUse.ID, name: b.OfToolUse.Name, own: b.OfToolUse}
	case b.OfToolResult != nil:
		p := part{kind: result, id: b.OfToolResult.ToolUseID, own: b.OfToolResult}
		for _, c := range b.OfToolResult.Content {
			switch {
			case c.OfText != nil:
				p.content = append(p.content, part{kind: text, text: c.OfText.Text, own: anthropic.ContentBlockParamUnion{OfText: c.OfText}})
			case c.OfImage != nil:
				p.content = append(p.content, part{kind: other, own: anthropic.ContentBlockParamUnion{OfImage: c.OfImage}})
			case c.OfDocument != nil:
				p.content = append(p.content, part{kind: other, own: anthropic.ContentBlockParamUnion{OfDocument: c.OfDocument}})
			case c.OfSearchResult != nil:
				p.content = append(p.content, part{kind: other, own: anthropic.ContentBlockParamUnion{OfSearchResult: c.OfSearchResult}})
			}
		}
		return p
	}
	return part{kind: other, own: b}
}

// thinks says whether every assistant turn with calls, since the user spoke last,
// begins with a thought.
func thinks(messages []anthropic.MessageParam) bool {
	for i := len(messages) - 1; i >= 0; i-- {
		m, calls, results := messages[i], false, false
		for _, b := range m.Content {
			calls, results = calls || b.OfToolUse != nil, results || b.OfToolResult != nil
		}
		switch {
		case m.Role != anthropic.MessageParamRoleAssistant && !results:
			return true
		case calls && m.Content[0].OfThinking == nil && m.Content[0].OfRedactedThinking == nil:
			return false
		}
	}
	return true
}

// MendOpenAI is [MendAnthropic] for OpenAI's own request: ids of at most 40
// characters, results right behind their calls.
func MendOpenAI(_ context.Context, params openai.ChatCompletionNewParams) (openai.ChatCompletionNewParams, error) {
	turns := make([]turn, 0, len(params.Messages))
	for _, m := range params.Messages {
		switch {
		case m.OfTool != nil:
			p := part{kind: result, id: m.OfTool.ToolCallID, own: m.OfTool}
			if s := m.OfTool.Content.OfString.Value; s != "" {
				p.content = append(p.content, part{kind: text, text: s})
			}
			for _, c := range m.OfTool.Content.OfArrayOfContentParts {
				p.content = append(p.content, part{kind: text, text: c.Text})
			}
			turns = append(turns, turn{role: user, parts: []part{p}})
		case m.OfAssistant != nil:
			t := turn{role: assistant, own: m.OfAssistant}
			for _, c := range m.OfAssistant.ToolCalls {
				p := part{kind: call, own: c}
				if c.OfFunction != nil {
					p.id, p.name = c.OfFunction.ID, c.OfFunction.Function.Name
				} else if c.OfCustom != nil {
					p.id, p.name = c.OfCustom.ID, c.OfCustom.Custom.Name
				}
				t.parts = append(t.parts, p)
			}
			turns = append(turns, t)
		default:
			turns = append(turns, turn{role: user, parts: []part{{kind: other, own: m}}})
		}
	}
	_, turns = settle(turns, openAIRules())
	params.Messages = openAIMessages(turns)
	return params, nil
}

// MendGemini is [MendAnthropic] for Gemini's own request: responses right behind
// their calls, in their number and by their names, alternating roles, and, from
// Gemini 3 on, a signature for calls that somebody else made.
func MendGemini(_ context.Context, req genai.Request) (genai.Request, error) {
	if len(req.Contents) == 0 {
		return req, nil // nothing to mend
	}
	turns := make([]turn, 0, len(req.Contents))
	for _, c := range req.Contents {
		if c == nil {
			continue
		}
		t := turn{role: user}
		if c.Role == gemini.RoleModel {
			t.role = assistant
		}
		for _, p := range c.Parts {
			if p != nil {
				t.parts = append(t.parts, ownPart(p, t.role))
			}
		}
		turns = append(turns, t)
	}
	number(turns)
	r := geminiRules()
	r.textOnly = false // own pictures are where they may be
	_, turns = settle(turns, r)
	req.Contents = geminiContents(turns, &problem{})
	sign(req.Contents, req.Model)
	return req, nil
}

func ownPart(p *gemini.Part, of role) part {
	switch {
	case p.FunctionCall != nil && of == assistant:
		return part{kind: call, id: p.FunctionCall.ID, name: p.FunctionCall.Name, own: p}
	case p.FunctionResponse != nil:
		one := part{kind: result, id: p.FunctionResponse.ID, name: p.FunctionResponse.Name, own: p}
		one.content = (&problem{}).said(p.FunctionResponse)
		return one
	}
	return part{kind: other, own: p}
}

// said is what a response of a tool says, for the case that its call is gone.
func (p *problem) said(r *gemini.FunctionResponse) []part {
	return geminiResult(p.object("", p.marshal(r))).content
}

// MendingAnthropic is [MendAnthropic] as a layer of the first agent:
//
//	Use(middleware.StageAgent, translate.MendingAnthropic)
func MendingAnthropic(next AnthropicRunner) AnthropicRunner {
	return middleware.Adapt(next, MendAnthropic, same[*anthropic.Message])
}

// MendingOpenAI is [MendOpenAI] as a layer of the first agent.
func MendingOpenAI(next OpenAIRunner) OpenAIRunner {
	return middleware.Adapt(next, MendOpenAI, same[*openai.ChatCompletion])
}

// MendingGemini is [MendGemini] as a layer of the first agent.
func MendingGemini(next GeminiRunner) GeminiRunner {
	return middleware.Adapt(next, MendGemini, same[*gemini.GenerateContentResponse])
}

func same[T any](_ context.Context, v T) (T, error) { return v, nil }
