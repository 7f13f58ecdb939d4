package translate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	anthropicsdk "github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	openaisdk "github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	genaisdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/anthropic"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/middleware/adapters/translate"
)

func (s *stage) claude() *anthropic.MessagesAgent {
	return anthropic.Messages(anthropicsdk.NewClient(anthropicoption.WithBaseURL(s.URL), anthropicoption.WithAPIKey("test")))
}

func (s *stage) gpt() *openai.ChatAgent {
	return openai.Chat(openaisdk.NewClient(openaioption.WithBaseURL(s.URL), openaioption.WithAPIKey("test")))
}

func (s *stage) gemini(t *testing.T) *genai.ModelsAgent {
	t.Helper()
	client, err := genaisdk.NewClient(t.Context(), &genaisdk.ClientConfig{
		APIKey: "test", Backend: genaisdk.BackendGeminiAPI, HTTPOptions: genaisdk.HTTPOptions{BaseURL: s.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	return genai.Models(client)
}

// said is what an answer says, and whether it calls the tool.
type said struct {
	text  string
	calls int
}

// An app has a conversation in the form of its own provider.
type app interface {
	ask(question string)
	next(ctx context.Context) (said, error) // calls the model, and notes its answer
	results(of func() string)               // runs the tools
}

type claudeApp struct {
	agent  translate.AnthropicRunner
	params anthropicsdk.MessageNewParams
	last   *anthropicsdk.Message
}

func (a *claudeApp) ask(question string) {
	a.params.Messages = append(a.params.Messages, anthropicsdk.NewUserMessage(anthropicsdk.NewTextBlock(question)))
}

func (a *claudeApp) next(ctx context.Context) (s said, err error) {
	if a.last, err = a.agent.Run(ctx, a.params); err != nil {
		return s, err
	}
	a.params.Messages = append(a.params.Messages, a.last.ToParam())
	for _, b := range a.last.Content {
		s.text += b.Text
		if b.Type == "tool_use" {
			s.calls++
		}
	}
	return s, nil
}

func (a *claudeApp) results(of func() string) {
	var blocks []anthropicsdk.ContentBlockParamUnion
	for _, b := range a.last.Content {
		if b.Type == "tool_use" {
			blocks = append(blocks, anthropicsdk.NewToolResultBlock(b.ID, of(), false))
		}
	}
	a.params.Messages = append(a.params.Messages, anthropicsdk.NewUserMessage(blocks...))
}

type gptApp struct {
	agent  translate.OpenAIRunner
	params openaisdk.ChatCompletionNewParams
	last   openaisdk.ChatCompletionMessage
}

func (a *gptApp) ask(question string) {
	a.params.Messages = append(a.params.Messages, openaisdk.UserMessage(question))
}

func (a *gptApp) next(ctx context.Context) (said, error) {
	c, err := a.agent.Run(ctx, a.params)
	if err != nil {
		return said{}, err
	}
	a.last = c.Choices[0].Message
	a.params.Messages = append(a.params.Messages, a.last.ToParam())
	return said{a.last.Content, len(a.last.ToolCalls)}, nil
}

func (a *gptApp) results(of func() string) {
	for _, c := range a.last.ToolCalls {
		a.params.Messages = append(a.params.Messages, openaisdk.ToolMessage(of(), c.ID))
	}
}

type geminiApp struct {
	agent translate.GeminiRunner
	req   genai.Request
	last  *genaisdk.GenerateContentResponse
}

func (a *geminiApp) ask(question string) {
	a.req.Contents = append(a.req.Contents, genaisdk.NewContentFromText(question, genaisdk.RoleUser))
}

func (a *geminiApp) next(ctx context.Context) (s said, err error) {
	if a.last, err = a.agent.Run(ctx, a.req); err != nil {
		return s, err
	}
	a.req.Contents = append(a.req.Contents, a.last.Candidates[0].Content)
	for _, p := range a.last.Candidates[0].Content.Parts {
		if !p.Thought {
			s.text += p.Text
		}
	}
	s.calls = len(a.last.FunctionCalls())
	return s, nil
}

func (a *geminiApp) results(of func() string) {
	c := &genaisdk.Content{Role: genaisdk.RoleUser}
	for _, call := range a.last.FunctionCalls() {
		c.Parts = append(c.Parts, &genaisdk.Part{FunctionResponse: &genaisdk.FunctionResponse{
			ID: call.ID, Name: call.Name, Response: map[string]any{"output": of()},
		}})
	}
	a.req.Contents = append(a.req.Contents, c)
}

func guard[Req, Resp any](t *testing.T, first middleware.Runner[Req, Resp], mend middleware.Middleware[Req, Resp], standIn middleware.Runner[Req, Resp]) middleware.Runner[Req, Resp] {
	t.Helper()
	b := middleware.Wrap(first).Named("first").Fallback("second", standIn)
	if mend != nil {
		b.Use(middleware.StageAgent, mend)
	}
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const look = "look"

func (s *stage) claudeApp(agent translate.AnthropicRunner) *claudeApp {
	return &claudeApp{agent: agent, params: anthropicsdk.MessageNewParams{
		Model: "claude-sonnet-4-5", MaxTokens: 4096,
		System:   []anthropicsdk.TextBlockParam{{Text: "You tell a story.", CacheControl: anthropicsdk.NewCacheControlEphemeralParam()}},
		Thinking: anthropicsdk.ThinkingConfigParamOfEnabled(1024),
		Tools: []anthropicsdk.ToolUnionParam{{OfTool: &anthropicsdk.ToolParam{
			Name: look, InputSchema: anthropicsdk.ToolInputSchemaParam{Properties: map[string]any{"at": map[string]any{"type": "string"}, "n": map[string]any{"type": "integer", "minimum": 1}}},
		}}},
	}}
}

func (s *stage) gptApp(agent translate.OpenAIRunner) *gptApp {
	return &gptApp{agent: agent, params: openaisdk.ChatCompletionNewParams{
		Model: "gpt-5", ReasoningEffort: "high",
		Messages: []openaisdk.ChatCompletionMessageParamUnion{openaisdk.DeveloperMessage("You tell a story.")},
		Tools: []openaisdk.ChatCompletionToolUnionParam{openaisdk.ChatCompletionFunctionTool(openaisdk.FunctionDefinitionParam{
			Name: look, Parameters: openaisdk.FunctionParameters{"type": "object", "properties": map[string]any{"at": map[string]any{"type": "string"}, "n": map[string]any{"type": "integer", "minimum": 1}}},
		})},
	}}
}

func (s *stage) geminiApp(agent translate.GeminiRunner) *geminiApp {
	return &geminiApp{agent: agent, req: genai.Request{Model: "gemini-3-pro-preview", Config: &genaisdk.GenerateContentConfig{
		SystemInstruction: genaisdk.NewContentFromText("You tell a story.", genaisdk.RoleUser),
		ThinkingConfig:    &genaisdk.ThinkingConfig{IncludeThoughts: true},
		Tools: []*genaisdk.Tool{{FunctionDeclarations: []*genaisdk.FunctionDeclaration{{
			Name: look, Parameters: &genaisdk.Schema{Type: genaisdk.TypeObject, Properties: map[string]*genaisdk.Schema{"at": {Type: genaisdk.TypeString}, "n": {Type: genaisdk.TypeInteger, Minimum: genaisdk.Ptr(1.0)}}},
		}}}},
	}}}
}

func thinking(p *anthropicsdk.MessageNewParams) {
	p.Thinking = anthropicsdk.ThinkingConfigParamOfEnabled(1024)
}

// direction is a first provider and who stands in for it.
type direction struct {
	first, second string
	app           func(t *testing.T, s *stage, mended bool) app
}

// when keeps a layer where it is wanted.
func when[T any](wanted bool, layer T) (none T) {
	if wanted {
		return layer
	}
	return none
}

func directions() []direction {
	type (
		anthropicLayer = middleware.Middleware[anthropicsdk.MessageNewParams, *anthropicsdk.Message]
		openaiLayer    = middleware.Middleware[openaisdk.ChatCompletionNewParams, *openaisdk.ChatCompletion]
		geminiLayer    = middleware.Middleware[genai.Request, *genaisdk.GenerateContentResponse]
	)
	return []direction{
		{"claude", "gpt", func(t *testing.T, s *stage, mended bool) app {
			return s.claudeApp(guard[anthropicsdk.MessageNewParams, *anthropicsdk.Message](t, s.claude(), when[anthropicLayer](mended, translate.MendingAnthropic), translate.OpenAIForAnthropic(s.gpt(), "gpt-5")))
		}},
		{"claude", "gemini", func(t *testing.T, s *stage, mended bool) app {
			return s.claudeApp(guard[anthropicsdk.MessageNewParams, *anthropicsdk.Message](t, s.claude(), when[anthropicLayer](mended, translate.MendingAnthropic), translate.GeminiForAnthropic(s.gemini(t), "gemini-3-pro-preview")))
		}},
		{"gpt", "claude", func(t *testing.T, s *stage, mended bool) app {
			return s.gptApp(guard[openaisdk.ChatCompletionNewParams, *openaisdk.ChatCompletion](t, s.gpt(), when[openaiLayer](mended, translate.MendingOpenAI), translate.AnthropicForOpenAI(s.claude(), "claude-sonnet-4-5", thinking)))
		}},
		{"gpt", "gemini", func(t *testing.T, s *stage, mended bool) app {
			return s.gptApp(guard[openaisdk.ChatCompletionNewParams, *openaisdk.ChatCompletion](t, s.gpt(), when[openaiLayer](mended, translate.MendingOpenAI), translate.GeminiForOpenAI(s.gemini(t), "gemini-3-pro-preview")))
		}},
		{"gemini", "claude", func(t *testing.T, s *stage, mended bool) app {
			return s.geminiApp(guard[genai.Request, *genaisdk.GenerateContentResponse](t, s.gemini(t), when[geminiLayer](mended, translate.MendingGemini), translate.AnthropicForGemini(s.claude(), "claude-sonnet-4-5", thinking)))
		}},
		{"gemini", "gpt", func(t *testing.T, s *stage, mended bool) app {
			return s.geminiApp(guard[genai.Request, *genaisdk.GenerateContentResponse](t, s.gemini(t), when[geminiLayer](mended, translate.MendingGemini), translate.OpenAIForGemini(s.gpt(), "gpt-5")))
		}},
	}
}

const steps = 6 // two questions, each with two rounds of the tool and an answer

// play has the conversation: at each step one of the two answers.
func (s *stage) play(ctx context.Context, a app, who []string) (runs int, err error) {
	s.said = []string{"system: You tell a story."}
	step := 0
	for _, question := range []string{"Who is at the door?", "And now?"} {
		a.ask(question)
		s.said = append(s.said, "user: "+question)
		for again := true; again; step++ {
			s.answers = who[step]
			heard, err := a.next(ctx)
			if err != nil {
				return runs, fmt.Errorf("step %d, %s: %w", step, who[step], err)
			}
			s.said = append(s.said, "says: "+heard.text)
			for range heard.calls {
				s.said = append(s.said, "call: "+look+" "+lookAt)
			}
			again = heard.calls > 0
			if !again {
				break
			}
			a.results(func() string {
				runs++
				s.said = append(s.said, fmt.Sprintf("result: a stranger, %d", runs))
				return fmt.Sprintf("a stranger, %d", runs)
			})
		}
		step++
	}
	return runs, nil
}

// Whoever answers when, the conversation goes on, and each of the two reads all of
// it: what was said, every call, every result.
func TestAConversationSurvivesEveryChangeOfProvider(t *testing.T) {
	t.Parallel()
	for _, d := range directions() {
		t.Run(d.first+" and "+d.second, func(t *testing.T) {
			t.Parallel()
			for script := range 1 << steps {
				who, want := make([]string, steps), map[string]int{d.first: steps}
				for i := range who {
					who[i] = d.first
					if script&(1<<i) != 0 {
						who[i] = d.second
						want[d.second]++
					}
				}
				s := newStage(t)
				runs, err := s.play(t.Context(), d.app(t, s, true), who)
				if err != nil || len(s.refused) > 0 {
					t.Fatalf("%v: %v\nrefused: %q", who, err, s.refused)
				}
				if runs != 4 {
					t.Errorf("%v: the tool ran %d times, want 4", who, runs)
				}
				for name, n := range want {
					if s.requests[name] != n {
						t.Errorf("%v: %d requests to %s, want %d", who, s.requests[name], name, n)
					}
				}
			}
		})
	}
}

// Claude thinks wherever it may: not in a turn that somebody else began, and again
// in the next one.
func TestClaudeThinksAgainInTheNextTurn(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		who  string
		want int
	}{{"claude claude claude claude claude claude", 6}, {"claude gpt claude claude claude claude", 4}, {"claude claude claude gpt claude claude", 3}} {
		s := newStage(t)
		if _, err := s.play(t.Context(), directions()[0].app(t, s, true), strings.Fields(tc.who)); err != nil || s.thoughts != tc.want {
			t.Errorf("%s: %d thoughts, want %d (%v)", tc.who, s.thoughts, tc.want, err)
		}
	}
}

// Without mending, the first provider refuses what it finds when it comes back.
func TestAnUnmendedHistoryIsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		first, second, want string
	}{
		{"claude", "gpt", "When `thinking` is enabled, a final `assistant` message must start with a thinking block"},
		{"gemini", "claude", "Function call is missing a thought_signature"},
	} {
		t.Run(tc.first, func(t *testing.T) {
			t.Parallel()
			at := slices.IndexFunc(directions(), func(d direction) bool { return d.first == tc.first && d.second == tc.second })
			s := newStage(t)
			_, err := s.play(t.Context(), directions()[at].app(t, s, false), []string{tc.first, tc.second, tc.first, tc.first, tc.first, tc.first})
			if err == nil || len(s.refused) != 1 || !strings.Contains(s.refused[0], tc.want) {
				t.Errorf("got %v, refused %q, want %q", err, s.refused, tc.want)
			}
		})
	}
}
