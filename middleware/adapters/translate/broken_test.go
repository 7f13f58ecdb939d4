package translate_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	anthropic "github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	gemini "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/middleware/adapters/translate"
)

// dice make histories that no provider would take: results without calls and calls
// without results, ids that are used again or have a form of somebody else's,
// empty turns, roles that do not alternate.
type dice struct {
	*rand.Rand
	words int
}

func (d *dice) id() string {
	return []string{"1", "2", "call.1", strings.Repeat("toolu_", 10), "chatcmpl-tool-é"}[d.IntN(5)]
}

func (d *dice) word() string {
	d.words++
	return fmt.Sprintf("w%d.", d.words)
}

func (d *dice) anthropic() (messages []anthropic.MessageParam) {
	for range d.IntN(7) {
		var blocks []anthropic.ContentBlockParamUnion
		assistant := d.IntN(2) == 0
		for range d.IntN(4) {
			switch n := d.IntN(4); {
			case n == 0:
				blocks = append(blocks, anthropic.NewTextBlock(" "))
			case n == 1 || n == 2 && assistant:
				blocks = append(blocks, anthropic.NewTextBlock(d.word()))
			case assistant:
				blocks = append(blocks, anthropic.NewToolUseBlock(d.id(), map[string]any{"a": 1}, "look"))
			default:
				blocks = append(blocks, anthropic.NewToolResultBlock(d.id(), d.word(), n == 3))
			}
		}
		if assistant {
			messages = append(messages, anthropic.NewAssistantMessage(blocks...))
		} else {
			messages = append(messages, anthropic.NewUserMessage(blocks...))
		}
	}
	return append(messages, anthropic.NewUserMessage(anthropic.NewTextBlock(d.word())))
}

func (d *dice) openai() (messages []openai.ChatCompletionMessageParamUnion) {
	for range d.IntN(9) {
		switch d.IntN(5) {
		case 0:
			messages = append(messages, openai.SystemMessage(d.word()))
		case 1:
			messages = append(messages, openai.UserMessage(d.word()))
		case 2:
			messages = append(messages, openai.ToolMessage(d.word(), d.id()))
		default:
			m := openai.ChatCompletionAssistantMessageParam{}
			if d.IntN(2) == 0 {
				m.Content.OfString = openai.String(d.word())
			}
			for range d.IntN(3) {
				m.ToolCalls = append(m.ToolCalls, openai.ChatCompletionMessageToolCallUnionParam{OfFunction: &openai.ChatCompletionMessageFunctionToolCallParam{
					ID: d.id(), Function: openai.ChatCompletionMessageFunctionToolCallFunctionParam{Name: "look", Arguments: `{"a":1}`},
				}})
			}
			if len(m.ToolCalls) > 0 || m.Content.OfString.Valid() {
				messages = append(messages, openai.ChatCompletionMessageParamUnion{OfAssistant: &m})
			}
		}
	}
	return append(messages, openai.UserMessage(d.word()))
}

func (d *dice) gemini() (contents []*gemini.Content) {
	for range d.IntN(7) {
		c := &gemini.Content{Role: []string{gemini.RoleUser, gemini.RoleModel}[d.IntN(2)]}
		for range d.IntN(4) {
			id := []string{"", d.id()}[d.IntN(2)]
			switch n := d.IntN(3); {
			case n == 0:
				c.Parts = append(c.Parts, &gemini.Part{Text: d.word()})
			case c.Role == gemini.RoleModel:
				c.Parts = append(c.Parts, &gemini.Part{FunctionCall: &gemini.FunctionCall{ID: id, Name: []string{"look", "hear"}[d.IntN(2)]}})
			default:
				c.Parts = append(c.Parts, &gemini.Part{FunctionResponse: &gemini.FunctionResponse{
					ID: id, Name: []string{"look", "hear"}[d.IntN(2)], Response: map[string]any{"output": d.word()},
				}})
			}
		}
		contents = append(contents, c)
	}
	return append(contents, gemini.NewContentFromText(d.word(), gemini.RoleUser))
}

// However broken a history is, whoever gets it can read it, and every word of it.
func TestBrokenHistoriesCanBeRead(t *testing.T) {
	t.Parallel()
	s := &stage{t: t, requests: map[string]int{}, signed: map[string]bool{}}
	google, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	google.SetPathValue("model", "gemini-3-pro")
	check := func(at string, words int, sent any, err error, reads func(*stage, *http.Request, []byte) []string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		raw, err := json.Marshal(sent)
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		defer func() {
			if broken, ok := recover().(breach); ok {
				t.Fatalf("%s: %s\n%s", at, broken, raw)
			}
		}()
		reads(s, google, raw)
		for n := 1; n <= words; n++ {
			if strings.Count(string(raw), fmt.Sprintf("w%d.", n)) != 1 {
				t.Fatalf("%s: w%d. is not there once:\n%s", at, n, raw)
			}
		}
	}
	// What the adapter's Request is on the wire.
	wire := func(req genai.Request) any {
		body := map[string]any{"contents": req.Contents}
		if req.Config != nil {
			body["systemInstruction"] = req.Config.SystemInstruction
		}
		return body
	}
	gpt, claude := read[*openai.ChatCompletion](t, completionForm), read[*anthropic.Message](t, messageForm)
	answer := read[*gemini.GenerateContentResponse](t, responseForm)
	ctx := t.Context()
	for seed := range uint64(150) {
		d := &dice{rand.New(rand.NewPCG(seed, 3)), 0}
		var toGPT openai.ChatCompletionNewParams
		var toClaude anthropic.MessageNewParams
		var toGemini genai.Request

		a := anthropic.MessageNewParams{MaxTokens: 9, Messages: d.anthropic(), Thinking: anthropic.ThinkingConfigParamOfEnabled(1024)}
		at := fmt.Sprintf("seed %d, of Anthropic", seed)
		mended, err := translate.MendAnthropic(ctx, a)
		check(at+", mended", d.words, mended, err, claudeReads)
		_, err = translate.OpenAIForAnthropic(asked(&toGPT, gpt), "m").Run(ctx, a)
		check(at+", to OpenAI", d.words, toGPT, err, gptReads)
		_, err = translate.GeminiForAnthropic(asked(&toGemini, answer), "gemini-3-pro").Run(ctx, a)
		check(at+", to Gemini", d.words, wire(toGemini), err, geminiReads)

		d.words = 0
		o := openai.ChatCompletionNewParams{Messages: d.openai()}
		at = fmt.Sprintf("seed %d, of OpenAI", seed)
		mendedGPT, err := translate.MendOpenAI(ctx, o)
		check(at+", mended", d.words, mendedGPT, err, gptReads)
		_, err = translate.AnthropicForOpenAI(asked(&toClaude, claude), "m", thinking).Run(ctx, o)
		check(at+", to Anthropic", d.words, toClaude, err, claudeReads)
		_, err = translate.GeminiForOpenAI(asked(&toGemini, answer), "gemini-3-pro").Run(ctx, o)
		check(at+", to Gemini", d.words, wire(toGemini), err, geminiReads)

		d.words = 0
		g := genai.Request{Model: "gemini-3-pro", Contents: d.gemini()}
		at = fmt.Sprintf("seed %d, of Gemini", seed)
		mendedGemini, err := translate.MendGemini(ctx, g)
		check(at+", mended", d.words, wire(mendedGemini), err, geminiReads)
		_, err = translate.OpenAIForGemini(asked(&toGPT, gpt), "m").Run(ctx, g)
		check(at+", to OpenAI", d.words, toGPT, err, gptReads)
		_, err = translate.AnthropicForGemini(asked(&toClaude, claude), "m", thinking).Run(ctx, g)
		check(at+", to Anthropic", d.words, toClaude, err, claudeReads)
	}
}
