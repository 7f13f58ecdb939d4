package translate

import (
	"encoding/json"
	"fmt"
	"strings"

	gemini "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware/adapters/genai"
)

// fromGemini reads a request for content.
func fromGemini(req genai.Request, to Provider) (conversation, error) {
	p := &problem{from: Gemini, to: to}
	raw := p.marshal(struct {
		Contents []*gemini.Content             `json:"contents"`
		Config   *gemini.GenerateContentConfig `json:"config"`
	}{req.Contents, req.Config})
	c := readGemini(p.object("", raw))
	return c, p.err
}

func readGemini(whole object) conversation {
	var c conversation
	c.turns = geminiTurns(whole.objects("contents"))
	o := whole.object("config")
	// Hints to the provider's own house, the client's own settings, and how much it thinks.
	o.leave("httpOptions", "labels", "serviceTier", "thinkingConfig", "automaticContinuation", "responseLogprobs", "logprobs", "store", "mediaResolution")
	prompt := o.object("systemInstruction")
	prompt.leave("role")
	for _, p := range prompt.objects("parts") {
		if one, ok := geminiPart(p); ok && one.kind == text {
			c.system = append(c.system, one.text)
		} else if ok {
			o.p.say("config.systemInstruction", "is more than text", "send text")
		}
	}
	prompt.done()
	c.temperature, c.topP, c.topK = decode[float64](o, "temperature"), decode[float64](o, "topP"), decode[float64](o, "topK")
	c.presence, c.frequency, c.seed = decode[float64](o, "presencePenalty"), decode[float64](o, "frequencyPenalty"), decode[int64](o, "seed")
	c.maxTokens = decode[int64](o, "maxOutputTokens")
	if n := decode[int64](o, "candidateCount"); n != nil && *n != 1 {
		o.p.say("config.candidateCount", "asks for several answers", "ask for one")
	}
	if m := decode[[]string](o, "responseModalities"); m != nil && (len(*m) != 1 || !strings.EqualFold((*m)[0], "text")) {
		o.p.say("config.responseModalities", "asks for more than text", leaveOut)
	}
	if s := decode[[]string](o, "stopSequences"); s != nil {
		c.stops = *s
	}
	o.refuse("cachedContent", "means a conversation that only its own provider has", "send the conversation itself, in contents")
	c.tools = geminiTools(o.objects("tools"))
	c.choice = geminiChoice(o.object("toolConfig"))
	c.format = geminiFormat(o)
	o.done()
	whole.done()
	return c
}

func geminiFormat(o object) *format {
	kind := o.str("responseMimeType")
	schema, own := o.take("responseJsonSchema"), o.take("responseSchema")
	if own != nil {
		schema = o.p.ownSchema("config.responseSchema", own)
	}
	switch {
	case kind == "application/json":
		return &format{schema: schema, strict: schema != nil}
	case kind != "" && kind != "text/plain" || schema != nil:
		o.p.say("config.responseMimeType", "is "+quote(kind), "ask for text/plain or application/json")
	}
	return nil
}

func geminiTools(list []object) []tool {
	var all []tool
	for _, o := range list {
		for _, f := range o.objects("functionDeclarations") {
			t := tool{name: f.str("name"), description: f.str("description"), schema: f.take("parametersJsonSchema")}
			if own := f.take("parameters"); own != nil {
				t.schema = f.p.ownSchema(f.at("parameters"), own)
			}
			f.leave("response", "responseJsonSchema") // what the tool returns, which the others are not told
			f.done()
			all = append(all, t)
		}
		o.done()
	}
	return all
}

func geminiChoice(o object) *choice {
	defer o.done()
	f := o.object("functionCallingConfig")
	defer f.done()
	var names []string
	if n := decode[[]string](f, "allowedFunctionNames"); n != nil {
		names = *n
	}
	switch m := f.str("mode"); m {
	case "", "MODE_UNSPECIFIED":
		return nil
	case "AUTO":
		return &choice{mode: auto, names: names}
	case "ANY":
		return &choice{mode: required, names: names}
	case "NONE":
		return &choice{mode: never}
	default:
		f.p.say(f.at("mode"), "is "+quote(m), "ask for AUTO, ANY or NONE")
		return nil
	}
}

func geminiTurns(contents []object) (turns []turn) {
	for _, o := range contents {
		t := turn{}
		switch speaker := o.str("role"); speaker {
		case "", "user", "function", "tool":
		case "model":
			t.role = assistant
		default:
			o.p.say(o.at("role"), "is "+quote(speaker), "send contents of user and model")
		}
		for i, p := range o.objects("parts") {
			one, ok := geminiPart(p)
			if !ok {
				continue
			}
			if one.kind == call && t.role != assistant || one.kind == result && t.role != user || one.kind == picture && t.role != user {
				o.p.say(fmt.Sprintf("%s[%d]", o.at("parts"), i), "stands in a turn of somebody else", "put it into the other turn")
			}
			t.parts = append(t.parts, one)
		}
		o.done()
		turns = append(turns, t)
	}
	number(turns)
	return turns
}

// number gives calls and results that came without ids one each: the n-th call
// of the conversation, and the first result that waits for a tool of its name. An
// id that was given is never taken again.
func number(turns []turn) {
	given := map[string]bool{}
	for _, t := range turns {
		for _, p := range t.parts {
			given[p.id] = true
		}
	}
	n, open := 0, map[string][]string{} // names -> ids that wait for a result
	for i := range turns {
		if hasCall(turns[i]) {
			clear(open)
		}
		for j := range turns[i].parts {
			p := &turns[i].parts[j]
			switch {
			case p.kind == call:
				n++
				if p.id == "" {
					p.id = fmt.Sprintf("call-%d", n)
					for given[p.id] {
						p.id += "-"
					}
					open[p.name] = append(open[p.name], p.id)
				}
			case p.kind == result && p.id == "":
				if ids := open[p.name]; len(ids) > 0 {
					p.id, open[p.name] = ids[0], ids[1:]
				}
			}
		}
	}
}

func hasCall(t turn) bool { return called([]turn{t}) }

// geminiPart reads a part; !ok: it is left out, as thoughts are, which their own
// model alone can read.
func geminiPart(o object) (p part, ok bool) {
	defer o.done()
	o.leave("thoughtSignature", "mediaResolution", "partMetadata", "speechMetadata")
	if o.flag("thought") {
		o.leave("text")
		return p, false
	}
	switch {
	case o.has("functionCall"):
		f := o.object("functionCall")
		defer f.done()
		return part{kind: call, id: f.str("id"), name: f.str("name"), args: o.p.arguments(f.at("args"), string(f.take("args")))}, true
	case o.has("functionResponse"):
		return geminiResult(o.object("functionResponse")), true
	case o.has("inlineData"):
		b := o.object("inlineData")
		defer b.done()
		b.leave("displayName")
		return part{kind: picture, image: pictureIn(b, image{mime: b.str("mimeType"), data: b.str("data")})}, true
	case o.has("fileData"):
		f := o.object("fileData")
		defer f.done()
		f.leave("displayName")
		i := pictureIn(f, image{mime: f.str("mimeType"), url: f.str("fileUri")})
		if strings.HasPrefix(i.url, "https://generativelanguage.googleapis.com/") {
			f.p.say(f.at("fileUri"), "is a file that only its own provider has", "send the picture itself")
		}
		return part{kind: picture, image: image{url: i.url}}, true
	case o.has("text"):
		return part{kind: text, text: o.str("text")}, true
	}
	return p, false // nothing, or what done names
}

// pictureIn names what is no picture: sound, a film, a document.
func pictureIn(o object, i image) image {
	if i.mime != "" && !strings.HasPrefix(i.mime, "image/") {
		o.p.say(o.path, "is of type "+quote(i.mime), leaveOut)
	}
	return i
}

func geminiResult(o object) part {
	defer o.done()
	p := part{kind: result, id: o.str("id"), name: o.str("name")}
	raw := o.take("response")
	fields := map[string]json.RawMessage{}
	if raw != nil && json.Unmarshal(raw, &fields) != nil {
		o.p.say(o.at("response"), "is no JSON object", "send one")
	}
	value := fields["output"]
	if v, ok := fields["error"]; ok && len(fields) == 1 {
		value, p.failed = v, true
	}
	var one string
	var several []string
	switch {
	case len(fields) == 0:
	case len(fields) > 1 || value == nil:
		p.content = []part{{kind: text, text: compact(raw)}}
	case json.Unmarshal(value, &one) == nil:
		p.content = []part{{kind: text, text: one}}
	case json.Unmarshal(value, &several) == nil:
		for _, s := range several {
			p.content = append(p.content, part{kind: text, text: s})
		}
	default:
		p.content = []part{{kind: text, text: compact(value)}}
	}
	for _, m := range o.objects("parts") {
		if one, ok := geminiPart(m); ok {
			p.content = append(p.content, one)
		}
	}
	return p
}

// geminiAnswer reads a response.
func geminiAnswer(r *gemini.GenerateContentResponse, to Provider) (answer, error) {
	p := &problem{from: Gemini, to: to}
	if r == nil || len(r.Candidates) == 0 || r.Candidates[0] == nil {
		p.say("candidates", "is empty", "ask again")
		return answer{}, p.err
	}
	first := r.Candidates[0]
	a := answer{id: r.ResponseID, model: r.ModelVersion}
	if u := r.UsageMetadata; u != nil {
		a.in, a.out = int64(u.PromptTokenCount), int64(u.CandidatesTokenCount)+int64(u.ThoughtsTokenCount)
	}
	if first.Content != nil {
		t := p.object("candidates[0].content", p.marshal(first.Content))
		for _, o := range t.objects("parts") {
			one, ok := geminiPart(o)
			if ok && one.kind != text && one.kind != call {
				p.say(o.path, "is no text and no call", leaveOut)
			}
			if ok {
				a.parts = append(a.parts, one)
			}
		}
	}
	switch first.FinishReason {
	case gemini.FinishReasonStop, gemini.FinishReasonUnspecified, "":
		a.stop = stopEnd
		if a.calls() {
			a.stop = stopTools
		}
	case gemini.FinishReasonMaxTokens:
		a.stop = stopLength
	case gemini.FinishReasonSafety, gemini.FinishReasonRecitation, gemini.FinishReasonBlocklist,
		gemini.FinishReasonProhibitedContent, gemini.FinishReasonSPII:
		a.stop = stopRefused
	default:
		p.say("candidates[0].finishReason", "is "+quote(string(first.FinishReason)), leaveOut)
	}
	return a, p.err
}
