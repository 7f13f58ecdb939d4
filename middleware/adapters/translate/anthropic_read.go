package translate

import (
	"encoding/json"
	"fmt"

	anthropic "github.com/anthropics/anthropic-sdk-go"
)

// fromAnthropic reads a request for a message.
func fromAnthropic(params anthropic.MessageNewParams, to Provider) (conversation, error) {
	p := &problem{from: Anthropic, to: to}
	c := readAnthropic(p.object("", p.marshal(params)))
	return c, p.err
}

func readAnthropic(o object) conversation {
	var c conversation
	// Hints to the provider's own house, and how much it thinks.
	o.leave("model", "metadata", "service_tier", "cache_control", "diagnostics", "speed", "thinking", "stream")
	for _, s := range texts(o, "system") {
		c.system = append(c.system, s.text)
	}
	c.turns = anthropicTurns(o.objects("messages"))
	c.tools = anthropicTools(o.objects("tools"))
	c.choice, c.parallel = anthropicChoice(o.object("tool_choice"))
	c.maxTokens = decode[int64](o, "max_tokens")
	if c.maxTokens != nil && *c.maxTokens == 0 {
		o.p.say("max_tokens", "is 0, which warms a cache and answers nothing", "say how long the answer may be")
	}
	c.temperature, c.topP, c.topK = decode[float64](o, "temperature"), decode[float64](o, "top_p"), decode[float64](o, "top_k")
	if s := decode[[]string](o, "stop_sequences"); s != nil {
		c.stops = *s
	}
	config := o.object("output_config")
	config.leave("effort")
	if config.has("format") {
		f := config.object("format")
		if kind := f.str("type"); kind != "json_schema" {
			f.p.say(f.at("type"), "is "+quote(kind), leaveOut)
		}
		c.format = &format{schema: f.take("schema"), strict: true}
		f.done()
	}
	config.done()
	o.done()
	return c
}

// texts reads what is a text or a list of blocks.
func texts(o object, name string) []part {
	raw := o.take(name)
	if raw == nil {
		return nil
	}
	if raw[0] == '"' {
		var s string
		_ = json.Unmarshal(raw, &s) // the client has just written it
		return []part{{kind: text, text: s}}
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		o.p.say(o.at(name), "cannot be read", "send a text, or a list of blocks")
	}
	var all []part
	for i, one := range list {
		if p, ok := anthropicBlock(o.p.object(fmt.Sprintf("%s[%d]", o.at(name), i), one)); ok {
			all = append(all, p)
		}
	}
	return all
}

func anthropicTools(list []object) []tool {
	var all []tool
	for _, o := range list {
		if kind := o.str("type"); kind != "" && kind != "custom" {
			o.p.say(o.path, "is a tool of the provider's own, "+quote(kind), "offer a tool of yours, or leave it out")
		}
		o.leave("cache_control", "eager_input_streaming")
		all = append(all, tool{name: o.str("name"), description: o.str("description"), schema: o.take("input_schema"), strict: o.flag("strict")})
		o.done()
	}
	return all
}

func anthropicChoice(o object) (c *choice, parallel *bool) {
	defer o.done()
	if off := decode[bool](o, "disable_parallel_tool_use"); off != nil {
		on := !*off
		parallel = &on
	}
	switch kind := o.str("type"); kind {
	case "":
	case "auto":
		c = &choice{mode: auto}
	case "any":
		c = &choice{mode: required}
	case "none":
		c = &choice{mode: never}
	case "tool":
		c = &choice{mode: required, names: []string{o.str("name")}}
	default:
		o.p.say(o.at("type"), "is "+quote(kind), leaveOut)
	}
	return c, parallel
}

func anthropicTurns(messages []object) (turns []turn) {
	for _, o := range messages {
		t := turn{}
		switch speaker := o.str("role"); speaker {
		case "user":
		case "assistant":
			t.role = assistant
		case "system":
			t.role = system
		default:
			o.p.say(o.at("role"), "is "+quote(speaker), "send turns of user and assistant")
		}
		t.parts = texts(o, "content")
		for i, p := range t.parts {
			if p.kind == call && t.role != assistant || p.kind == result && t.role != user || p.kind == picture && t.role != user {
				o.p.say(fmt.Sprintf("%s[%d]", o.at("content"), i), "stands in a turn of somebody else", "put it into the other turn")
			}
		}
		o.done()
		turns = append(turns, t)
	}
	return turns
}

// anthropicBlock reads a block; !ok: it is left out, as thoughts are, which their
// own model alone can read.
func anthropicBlock(o object) (p part, ok bool) {
	defer o.done()
	o.leave("cache_control")
	switch kind := o.str("type"); kind {
	case "thinking", "redacted_thinking":
		o.leave("thinking", "signature", "data")
		return p, false
	case "text":
		o.leave("citations")
		return part{kind: text, text: o.str("text")}, true
	case "image":
		return part{kind: picture, image: anthropicImage(o.object("source"))}, true
	case "tool_use":
		caller := o.object("caller")
		if who := caller.str("type"); who != "" && who != "direct" {
			o.p.say(o.at("caller"), "is a tool of the provider's own, "+quote(who), leaveOut)
		}
		caller.done()
		p = part{kind: call, id: o.str("id"), name: o.str("name")}
		p.args = o.p.arguments(o.at("input"), string(o.take("input")))
		return p, true
	case "tool_result":
		p = part{kind: result, id: o.str("tool_use_id"), failed: o.flag("is_error"), content: texts(o, "content")}
		return p, true
	default:
		o.p.say(o.path, "is a block of type "+quote(kind), leaveOut)
		clear(o.fields)
		return p, false
	}
}

func anthropicImage(o object) image {
	defer o.done()
	switch kind := o.str("type"); kind {
	case "base64":
		return image{mime: o.str("media_type"), data: o.str("data")}
	case "url":
		return image{url: o.str("url")}
	default:
		o.p.say(o.path, "is a picture of type "+quote(kind), "send the picture itself, in base64")
		clear(o.fields)
		return image{}
	}
}

// anthropicAnswer reads a message.
func anthropicAnswer(m *anthropic.Message, to Provider) (answer, error) {
	p := &problem{from: Anthropic, to: to}
	if m == nil {
		p.say("the message", "is empty", "ask again")
		return answer{}, p.err
	}
	a := answer{id: m.ID, model: m.Model, out: m.Usage.OutputTokens}
	a.in = m.Usage.InputTokens + m.Usage.CacheReadInputTokens + m.Usage.CacheCreationInputTokens
	for i, block := range m.Content {
		path := fmt.Sprintf("content[%d]", i)
		switch block.Type {
		case "thinking", "redacted_thinking":
		case "text":
			a.parts = append(a.parts, part{kind: text, text: block.Text})
		case "tool_use":
			a.parts = append(a.parts, part{kind: call, id: block.ID, name: block.Name, args: p.arguments(path+".input", string(block.Input))})
		default:
			p.say(path, "is a block of type "+quote(block.Type), leaveOut)
		}
	}
	switch m.StopReason {
	case anthropic.StopReasonEndTurn, anthropic.StopReasonStopSequence, "":
		a.stop = stopEnd
	case anthropic.StopReasonToolUse:
		a.stop = stopTools
	case anthropic.StopReasonMaxTokens:
		a.stop = stopLength
	case anthropic.StopReasonModelContextWindowExceeded:
		a.stop = stopWindow
	case anthropic.StopReasonRefusal:
		a.stop = stopRefused
	default:
		p.say("stop_reason", "is "+quote(string(m.StopReason)), leaveOut)
	}
	return a, p.err
}
