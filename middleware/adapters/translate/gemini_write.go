package translate

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	gemini "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware/adapters/genai"
)

// unsigned is what Google documents for a call that another model made: models
// from Gemini 3 on refuse one without a signature.
const unsigned = "skip_thought_signature_validator"

func geminiRules() rules { return rules{hoist: true, merge: true, userFirst: true, textOnly: true} }

// toGemini writes a request for content.
func toGemini(c conversation, model string, from Provider) (genai.Request, error) {
	p := &problem{from: from, to: Gemini}
	endsWithUser(c.turns, p)
	config := &gemini.GenerateContentConfig{StopSequences: c.stops}
	hoisted, turns := settle(c.turns, geminiRules())
	if prompt := slices.Concat(c.system, hoisted); len(prompt) > 0 {
		config.SystemInstruction = &gemini.Content{}
		for _, s := range prompt {
			config.SystemInstruction.Parts = append(config.SystemInstruction.Parts, &gemini.Part{Text: s})
		}
	}
	contents := geminiContents(turns, p)
	sign(contents, model)
	if c.parallel != nil && !*c.parallel && len(c.tools) > 0 {
		p.say("one tool call at a time", "is nothing that it can be told", leaveOut)
	}
	checkTools(c.tools, geminiName, p)
	if len(c.tools) > 0 {
		of := &gemini.Tool{}
		for _, t := range c.tools {
			d := &gemini.FunctionDeclaration{Name: t.name, Description: t.description}
			if schema := looseObject(t.schema); len(schema) > 0 {
				d.ParametersJsonSchema = schema // takes $ref, additionalProperties and the like, which Parameters does not
			}
			of.FunctionDeclarations = append(of.FunctionDeclarations, d)
		}
		config.Tools = []*gemini.Tool{of}
		config.ToolConfig = geminiToolConfig(c.choice, p)
	}
	config.Temperature, config.TopP, config.TopK = float32Of(c.temperature), float32Of(c.topP), float32Of(c.topK)
	config.PresencePenalty, config.FrequencyPenalty = float32Of(c.presence), float32Of(c.frequency)
	if n := c.seed; n != nil {
		if int64(int32(*n)) != *n {
			p.say("seed", "has more than 32 bits", "send a smaller one")
		}
		config.Seed = gemini.Ptr(int32(*n))
	}
	if n := c.maxTokens; n != nil {
		config.MaxOutputTokens = int32(min(max(*n, 0), math.MaxInt32))
	}
	if len(c.stops) > 5 {
		p.say("the stop sequences", "are more than 5", "send at most 5")
	}
	if f := c.format; f != nil {
		config.ResponseMIMEType = "application/json"
		if f.schema != nil {
			config.ResponseJsonSchema = f.schema
		}
	}
	return genai.Request{Model: model, Contents: contents, Config: config}, p.err
}

func float32Of(f *float64) *float32 {
	if f == nil {
		return nil
	}
	return gemini.Ptr(float32(*f))
}

func geminiToolConfig(c *choice, p *problem) *gemini.ToolConfig {
	if c == nil {
		return nil
	}
	f := &gemini.FunctionCallingConfig{AllowedFunctionNames: c.names}
	switch c.mode {
	case required:
		f.Mode = gemini.FunctionCallingConfigModeAny
	case never:
		f.Mode = gemini.FunctionCallingConfigModeNone
	default:
		f.Mode = gemini.FunctionCallingConfigModeAuto
		if len(c.names) > 0 {
			p.say("the tool choice", "allows some of the tools, and to call none", "offer these tools alone")
		}
	}
	return &gemini.ToolConfig{FunctionCallingConfig: f}
}

func geminiContents(turns []turn, p *problem) []*gemini.Content {
	all := make([]*gemini.Content, 0, len(turns))
	for _, t := range turns {
		c := &gemini.Content{Role: gemini.RoleUser}
		if t.role == assistant {
			c.Role = gemini.RoleModel
		}
		for _, one := range t.parts {
			c.Parts = append(c.Parts, geminiPartOf(one, p))
		}
		all = append(all, c)
	}
	align(all)
	return all
}

func geminiPartOf(of part, p *problem) *gemini.Part {
	if own, ok := of.own.(*gemini.Part); ok {
		return renamed(own, of)
	}
	switch of.kind {
	case picture:
		return geminiPicture(of.image, p)
	case call:
		if rounds(of.args) {
			p.say("the arguments of a call of "+quote(of.name), "have a number that the client of Gemini would round", leaveOut)
		}
		return &gemini.Part{FunctionCall: &gemini.FunctionCall{ID: of.id, Name: of.name, Args: looseObject(of.args)}}
	case result:
		return &gemini.Part{FunctionResponse: &gemini.FunctionResponse{ID: of.id, Name: of.name, Response: responseOf(of)}}
	}
	return &gemini.Part{Text: of.text}
}

// renamed is a part of a mended history, with the id and the name of its call.
func renamed(own *gemini.Part, of part) *gemini.Part {
	made := *own
	switch {
	case own.FunctionCall != nil && of.name != "" && own.FunctionCall.ID != "":
		f := *own.FunctionCall
		f.ID, made.FunctionCall = of.id, &f
	case own.FunctionResponse != nil:
		f := *own.FunctionResponse // which gets the id of its call
		if of.name != "" {
			f.Name = of.name
		}
		made.FunctionResponse = &f
	}
	return &made
}

func geminiPicture(i image, p *problem) *gemini.Part {
	if i.url == "" {
		data, err := base64.StdEncoding.DecodeString(i.data)
		if err != nil {
			p.say("a picture", "is no base64", "send base64")
		}
		return gemini.NewPartFromBytes(data, i.mime)
	}
	file := i.url
	if at := strings.IndexAny(file, "?#"); at >= 0 {
		file = file[:at]
	}
	mime := map[string]string{
		".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp", ".heic": "image/heic",
	}[strings.ToLower(path.Ext(file))]
	if mime == "" {
		p.say("a picture", "is at an address that does not say its type, "+quote(i.url), "send the picture itself")
	}
	return gemini.NewPartFromURI(i.url, mime)
}

// responseOf is what a tool said, in the object that a response has to be: an
// object as it is, anything else under "output", what failed under "error".
func responseOf(of part) map[string]any {
	var said []string
	for _, c := range withoutEmpty(of.content) {
		said = append(said, c.text)
	}
	key := "output"
	if of.failed {
		key = "error"
	}
	switch len(said) {
	case 0:
		return map[string]any{key: ""}
	case 1:
		if object := looseObject(json.RawMessage(said[0])); len(object) > 0 && !of.failed && object["output"] == nil && object["error"] == nil && !rounds(json.RawMessage(said[0])) {
			return object
		}
		return map[string]any{key: said[0]}
	}
	return map[string]any{key: said}
}

// rounds says whether a number in JSON is not the same any more when the client
// has made a float of it, as Gemini's does before it sends.
func rounds(raw json.RawMessage) bool {
	v, err := loose(raw)
	return err == nil && roundsIn(v)
}

func roundsIn(v any) bool {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return true
		}
		whole := !strings.ContainsAny(v.String(), ".eE") // a fraction is a float wherever it is read
		return whole && strconv.FormatFloat(f, 'f', -1, 64) != v.String() && v.String() != "-0"
	case []any:
		return slices.ContainsFunc(v, roundsIn)
	case map[string]any:
		for _, one := range v {
			if roundsIn(one) {
				return true
			}
		}
	}
	return false
}

// sign gives the first call of each step in the current turn a signature, if it
// has none: it was made by somebody else. Older models ask for none.
func sign(contents []*gemini.Content, model string) {
	name := model[strings.LastIndex(model, "/")+1:]
	if strings.HasPrefix(name, "gemini-1") || strings.HasPrefix(name, "gemini-2") || strings.HasPrefix(name, "gemma") {
		return
	}
	for _, c := range slices.Backward(contents) {
		if c.Role != gemini.RoleModel {
			if !answers(c) {
				return // the turn begins here
			}
			continue
		}
		for i, p := range c.Parts {
			if p.FunctionCall == nil {
				continue
			}
			if len(p.ThoughtSignature) == 0 {
				signed := *p
				signed.ThoughtSignature = []byte(unsigned)
				c.Parts[i] = &signed
			}
			break
		}
	}
}

func answers(c *gemini.Content) bool {
	return slices.ContainsFunc(c.Parts, func(p *gemini.Part) bool { return p.FunctionResponse != nil })
}

// align gives responses the ids of their calls, which stand right before them in
// the same order: where a call has none, its response has none.
func align(contents []*gemini.Content) {
	var ids []string
	for _, c := range contents {
		if c.Role == gemini.RoleModel {
			ids = nil
		}
		for _, p := range c.Parts {
			if p.FunctionCall != nil {
				ids = append(ids, p.FunctionCall.ID)
			}
			if p.FunctionResponse != nil && len(ids) > 0 {
				p.FunctionResponse.ID, ids = ids[0], ids[1:]
			}
		}
	}
}

// geminiResponse writes an answer as a response.
func geminiResponse(a answer) (*gemini.GenerateContentResponse, error) {
	content := &gemini.Content{Role: gemini.RoleModel}
	for n, p := range a.parts {
		if p.kind == call {
			content.Parts = append(content.Parts, &gemini.Part{FunctionCall: &gemini.FunctionCall{
				ID: a.idOf(n, geminiRules()), Name: p.name, Args: looseObject(p.args),
			}})
		} else if p.text != "" {
			content.Parts = append(content.Parts, &gemini.Part{Text: p.text})
		}
	}
	return &gemini.GenerateContentResponse{
		ResponseID: a.id, ModelVersion: a.model,
		Candidates: []*gemini.Candidate{{Content: content, FinishReason: map[stop]gemini.FinishReason{
			stopEnd: gemini.FinishReasonStop, stopTools: gemini.FinishReasonStop, stopLength: gemini.FinishReasonMaxTokens,
			stopWindow: gemini.FinishReasonMaxTokens, stopRefused: gemini.FinishReasonSafety,
		}[a.stop]}},
		UsageMetadata: &gemini.GenerateContentResponseUsageMetadata{
			PromptTokenCount: count(a.in), CandidatesTokenCount: count(a.out), TotalTokenCount: count(a.in + a.out),
		},
	}, nil
}

func count(n int64) int32 { return int32(min(max(n, 0), math.MaxInt32)) }
