package translate

import (
	"encoding/json"
	"fmt"
	"strings"

	openai "github.com/openai/openai-go/v3"
)

// fromOpenAI reads a request for a chat completion.
func fromOpenAI(params openai.ChatCompletionNewParams, to Provider) (conversation, error) {
	p := &problem{from: OpenAI, to: to}
	c := readOpenAI(p.object("", p.marshal(params)))
	return c, p.err
}

func readOpenAI(o object) conversation {
	var c conversation
	// Hints to the provider's own house, and how much it thinks.
	o.leave("model", "metadata", "user", "safety_identifier", "store", "service_tier", "prompt_cache_key", "prompt_cache_retention",
		"prompt_cache_options", "reasoning_effort", "verbosity", "stream_options", "stream", "logprobs", "top_logprobs")
	c.turns, c.system = openAITurns(o.objects("messages"))
	c.tools = openAITools(o.objects("tools"))
	c.choice = openAIChoice(o)
	c.parallel = decode[bool](o, "parallel_tool_calls")
	c.maxTokens = decode[int64](o, "max_completion_tokens")
	if old := decode[int64](o, "max_tokens"); c.maxTokens == nil {
		c.maxTokens = old
	}
	c.temperature, c.topP = decode[float64](o, "temperature"), decode[float64](o, "top_p")
	c.topK = decode[float64](o, "top_k") // servers that are compatible
	c.presence, c.frequency = decode[float64](o, "presence_penalty"), decode[float64](o, "frequency_penalty")
	c.seed = decode[int64](o, "seed")
	if n := decode[int64](o, "n"); n != nil && *n != 1 {
		o.p.say("n", "asks for several answers", "ask for one")
	}
	if raw := o.take("stop"); len(raw) > 0 {
		if raw[0] == '"' {
			raw = json.RawMessage("[" + string(raw) + "]")
		}
		if json.Unmarshal(raw, &c.stops) != nil {
			o.p.say("stop", "cannot be read", "send a text, or a list of texts")
		}
	}
	if m := decode[[]string](o, "modalities"); m != nil && (len(*m) != 1 || (*m)[0] != "text") {
		o.p.say("modalities", "asks for more than text", leaveOut)
	}
	c.format = openAIFormat(o.object("response_format"))
	o.refuse("previous_response_id", "means a conversation that only its own provider has", "send the conversation itself, in messages")
	o.refuse("conversation", "means a conversation that only its own provider has", "send the conversation itself, in messages")
	o.refuse("functions", "is the old form of tools", "use tools")
	o.refuse("function_call", "is the old form of tool_choice", "use tool_choice")
	o.done()
	return c
}

func openAIFormat(o object) *format {
	defer o.done()
	switch kind := o.str("type"); kind {
	case "", "text":
		return nil
	case "json_object":
		return &format{}
	case "json_schema":
		s := o.object("json_schema")
		defer s.done()
		return &format{name: s.str("name"), description: s.str("description"), schema: s.take("schema"), strict: s.flag("strict")}
	default:
		o.p.say(o.at("type"), "is "+quote(kind), leaveOut)
		return nil
	}
}

func openAITools(list []object) []tool {
	var all []tool
	for _, o := range list {
		if kind := o.str("type"); kind != "function" {
			o.p.say(o.path, "is a tool of type "+quote(kind), "offer it as a function, or leave it out")
		}
		f := o.object("function")
		all = append(all, tool{name: f.str("name"), description: f.str("description"), schema: f.take("parameters"), strict: f.flag("strict")})
		f.done()
		o.done()
	}
	return all
}

func openAIChoice(o object) *choice {
	raw := o.take("tool_choice")
	if raw == nil {
		return nil
	}
	if raw[0] == '"' {
		var m mode
		if err := json.Unmarshal(raw, &m); err != nil || m != auto && m != required && m != never {
			o.p.say("tool_choice", "is "+quote(string(m)), "say auto, required or none")
		}
		return &choice{mode: m}
	}
	t := o.p.object("tool_choice", raw)
	defer t.done()
	switch kind := t.str("type"); kind {
	case "function":
		f := t.object("function")
		defer f.done()
		return &choice{mode: required, names: []string{f.str("name")}}
	case "allowed_tools":
		a := t.object("allowed_tools")
		defer a.done()
		c := &choice{mode: mode(a.str("mode"))}
		for _, one := range openAITools(a.objects("tools")) {
			c.names = append(c.names, one.name)
		}
		return c
	default:
		t.p.say("tool_choice.type", "is "+quote(kind), leaveOut)
		return nil
	}
}

// failedMark begins the result of a tool that failed, for which OpenAI has no
// field of its own.
const failedMark = "[error] "

func openAITurns(messages []object) (turns []turn, prompt []string) {
	afterResult := false // whether the last message was a tool's
	for _, o := range messages {
		o.refuse("name", "tells participants apart", "put the name into the text")
		speaker := o.str("role")
		switch speaker {
		case "system", "developer":
			parts := openAIParts(o, false)
			if len(turns) == 0 {
				for _, p := range parts {
					prompt = append(prompt, p.text)
				}
			} else {
				turns = append(turns, turn{role: system, parts: parts})
			}
		case "user":
			parts := openAIParts(o, true)
			if afterResult {
				last := &turns[len(turns)-1]
				last.parts = append(last.parts, parts...)
			} else {
				turns = append(turns, turn{role: user, parts: parts})
			}
		case "assistant":
			turns = append(turns, turn{role: assistant, parts: openAIAssistant(o)})
		case "tool":
			r := openAIResult(o)
			if afterResult {
				last := &turns[len(turns)-1]
				last.parts = append(last.parts, r)
			} else {
				turns = append(turns, turn{role: user, parts: []part{r}})
			}
		default:
			o.p.say(o.at("role"), "is "+quote(speaker), "send messages of system, developer, user, assistant and tool")
		}
		afterResult = speaker == "tool"
		o.done()
	}
	return turns, prompt
}

func openAIResult(o object) part {
	p := part{kind: result, id: o.str("tool_call_id"), content: openAIParts(o, false)}
	if len(p.content) > 0 {
		p.content[0].text, p.failed = strings.CutPrefix(p.content[0].text, failedMark)
	}
	return p
}

func openAIAssistant(o object) []part {
	// Reasoning that compatible servers show, and what the client sends of nothing.
	o.leave("reasoning_content", "reasoning", "reasoning_details", "annotations")
	parts := openAIParts(o, false)
	if r := o.str("refusal"); r != "" {
		parts = append(parts, part{kind: text, text: r})
	}
	for i, c := range o.objects("tool_calls") {
		if kind := c.str("type"); kind != "" && kind != "function" {
			c.p.say(c.path, "calls a tool of type "+quote(kind), "offer it as a function, or leave it out")
		}
		f := c.object("function")
		parts = append(parts, part{
			kind: call, id: c.str("id"), name: f.str("name"),
			args: o.p.arguments(fmt.Sprintf("%s[%d].function.arguments", o.at("tool_calls"), i), f.str("arguments")),
		})
		f.done()
		c.leave("index")
		c.done()
	}
	return parts
}

// openAIParts reads the content of a message, a text or a list of parts.
func openAIParts(o object, pictures bool) []part {
	raw := o.take("content")
	if raw == nil {
		return nil
	}
	if raw[0] == '"' {
		var s string
		if json.Unmarshal(raw, &s) == nil && s == "" {
			return nil
		}
		return []part{{kind: text, text: s}}
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		o.p.say(o.at("content"), "cannot be read", "send a text, or a list of parts")
	}
	var parts []part
	for i, one := range list {
		c := o.p.object(fmt.Sprintf("%s[%d]", o.at("content"), i), one)
		c.leave("prompt_cache_breakpoint")
		switch kind := c.str("type"); {
		case kind == "text":
			parts = append(parts, part{kind: text, text: c.str("text")})
		case kind == "refusal":
			parts = append(parts, part{kind: text, text: c.str("refusal")})
		case kind == "image_url" && pictures:
			i := c.object("image_url")
			i.leave("detail")
			parts = append(parts, part{kind: picture, image: addressed(i, "url")})
			i.done()
		default:
			c.p.say(c.path, "is a part of type "+quote(kind), leaveOut)
		}
		c.done()
	}
	return parts
}

// addressed reads the address of a picture, which may be the picture itself.
func addressed(o object, name string) image {
	url := o.str(name)
	rest, ok := strings.CutPrefix(url, "data:")
	if !ok {
		return image{url: url}
	}
	mime, data, ok := strings.Cut(rest, ";base64,")
	if !ok {
		o.p.say(o.at(name), "is data in another form than base64", "send base64")
	}
	return image{mime: mime, data: data}
}

// openAIAnswer reads a completion.
func openAIAnswer(completion *openai.ChatCompletion, to Provider) (answer, error) {
	p := &problem{from: OpenAI, to: to}
	if completion == nil || len(completion.Choices) == 0 {
		p.say("choices", "is empty", "ask again")
		return answer{}, p.err
	}
	chosen := completion.Choices[0]
	m := chosen.Message
	a := answer{id: completion.ID, model: completion.Model, in: completion.Usage.PromptTokens, out: completion.Usage.CompletionTokens}
	if m.Content != "" {
		a.parts = append(a.parts, part{kind: text, text: m.Content})
	}
	if m.Refusal != "" {
		a.parts = append(a.parts, part{kind: text, text: m.Refusal})
	}
	if m.Audio.ID != "" {
		p.say("choices[0].message.audio", "is sound", leaveOut)
	}
	//lint:ignore SA1019 old servers call functions so
	if m.FunctionCall.Name != "" {
		p.say("choices[0].message.function_call", "is the old form of tool_calls", "ask a server that knows tools")
	}
	for i, c := range m.ToolCalls {
		path := fmt.Sprintf("choices[0].message.tool_calls[%d]", i)
		if c.Type == "custom" {
			p.say(path, "calls a custom tool", leaveOut)
		}
		a.parts = append(a.parts, part{
			kind: call, id: c.ID, name: c.Function.Name, args: p.arguments(path+".function.arguments", c.Function.Arguments),
		})
	}
	switch reason := chosen.FinishReason; {
	case m.Refusal != "" || reason == "content_filter":
		a.stop = stopRefused
	case reason == "length":
		a.stop = stopLength
	case a.calls():
		a.stop = stopTools
	case reason == "stop" || reason == "" || reason == "tool_calls":
		a.stop = stopEnd
	default:
		p.say("choices[0].finish_reason", "is "+quote(reason), leaveOut)
	}
	return a, p.err
}
