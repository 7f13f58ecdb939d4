package providers_test

import (
	"context"
	"net/http"
	"testing"

	openai1 "github.com/openai/openai-go"
	option1 "github.com/openai/openai-go/option"
	openai2 "github.com/openai/openai-go/v2"
	option2 "github.com/openai/openai-go/v2/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	goopenai "github.com/sashabaranov/go-openai"
	"github.com/tmc/langchaingo/httputil"
	"github.com/tmc/langchaingo/llms"
	chainanthropic "github.com/tmc/langchaingo/llms/anthropic"
	chaincohere "github.com/tmc/langchaingo/llms/cohere"
	chainollama "github.com/tmc/langchaingo/llms/ollama"
	chainopenai "github.com/tmc/langchaingo/llms/openai"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/field"
)

// TestField sends the corpus to the real clients; a hint makes up for what each of
// them drops. langchaingo's keep a text and no more.
func TestField(t *testing.T) {
	t.Parallel()
	var cohere llms.Model
	field.Through(t, "../../strategies/testdata/field",
		field.Client{Name: "openai-go v3", Ask: func(ctx context.Context, url string, via *http.Client) error {
			c := openai.NewClient(option.WithBaseURL(url), option.WithAPIKey("k"), option.WithMaxRetries(0), option.WithHTTPClient(via))
			_, err := c.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{Model: "m", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")}})
			return err
		}, Alone: 85},
		field.Client{Name: "openai-go v2", Ask: func(ctx context.Context, url string, via *http.Client) error {
			c := openai2.NewClient(option2.WithBaseURL(url), option2.WithAPIKey("k"), option2.WithMaxRetries(0), option2.WithHTTPClient(via))
			_, err := c.Chat.Completions.New(ctx, openai2.ChatCompletionNewParams{Model: "m", Messages: []openai2.ChatCompletionMessageParamUnion{openai2.UserMessage("hello")}})
			return err
		}, Alone: 98},
		field.Client{Name: "openai-go v1", Ask: func(ctx context.Context, url string, via *http.Client) error {
			c := openai1.NewClient(option1.WithBaseURL(url), option1.WithAPIKey("k"), option1.WithMaxRetries(0), option1.WithHTTPClient(via))
			_, err := c.Chat.Completions.New(ctx, openai1.ChatCompletionNewParams{Model: "m", Messages: []openai1.ChatCompletionMessageParamUnion{openai1.UserMessage("hello")}})
			return err
		}, Alone: 98},
		field.Client{Name: "sashabaranov/go-openai", Ask: func(ctx context.Context, url string, via *http.Client) error {
			config := goopenai.DefaultConfig("k")
			config.BaseURL, config.HTTPClient = url, via
			_, err := goopenai.NewClientWithConfig(config).CreateChatCompletion(ctx, goopenai.ChatCompletionRequest{Model: "m", Messages: []goopenai.ChatCompletionMessage{{Role: "user", Content: "hello"}}})
			return err
		}, Alone: 88},
		field.Client{Name: "anthropic-sdk-go", Ask: func(ctx context.Context, url string, via *http.Client) error {
			c := anthropic.NewClient(anthropicoption.WithBaseURL(url), anthropicoption.WithAPIKey("k"), anthropicoption.WithMaxRetries(0), anthropicoption.WithHTTPClient(via))
			_, err := c.Messages.New(ctx, anthropic.MessageNewParams{Model: "m", MaxTokens: 9, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hello"))}})
			return err
		}, Alone: 98},
		field.Client{Name: "genai", Ask: func(ctx context.Context, url string, via *http.Client) error {
			c, err := genai.NewClient(ctx, &genai.ClientConfig{APIKey: "k", Backend: genai.BackendGeminiAPI, HTTPClient: via, HTTPOptions: genai.HTTPOptions{BaseURL: url}})
			if err == nil {
				_, err = c.Models.GenerateContent(ctx, "m", genai.Text("hello"), nil)
			}
			return err
		}, Alone: 80},
		field.Client{Name: "langchaingo openai", Ask: func(ctx context.Context, url string, via *http.Client) error {
			c, err := chainopenai.New(chainopenai.WithBaseURL(url), chainopenai.WithToken("k"), chainopenai.WithModel("m"), chainopenai.WithHTTPClient(via))
			return generate(ctx, c, err)
		}, Alone: 0},
		field.Client{Name: "langchaingo anthropic", Ask: func(ctx context.Context, url string, via *http.Client) error {
			c, err := chainanthropic.New(chainanthropic.WithBaseURL(url), chainanthropic.WithToken("k"), chainanthropic.WithModel("m"), chainanthropic.WithHTTPClient(via))
			return generate(ctx, c, err)
		}, Alone: 0},
		field.Client{Name: "langchaingo ollama", Ask: func(ctx context.Context, url string, via *http.Client) error {
			c, err := chainollama.New(chainollama.WithServerURL(url), chainollama.WithModel("m"), chainollama.WithHTTPClient(via))
			return generate(ctx, c, err)
		}, Alone: 0},
		field.Client{Name: "langchaingo cohere", Ask: func(ctx context.Context, url string, via *http.Client) error {
			httputil.DefaultClient.Transport = via.Transport // it takes no client; this is the one it has
			if cohere == nil {                               // which reads the vocabulary of its tokenizer
				c, err := chaincohere.New(chaincohere.WithBaseURL(url), chaincohere.WithToken("k"), chaincohere.WithModel("command-r"))
				if err != nil {
					return err
				}
				cohere = c
			}
			return generate(ctx, cohere, nil)
		}, Alone: 0},
	)
}

func generate(ctx context.Context, model llms.Model, err error) error {
	if err == nil {
		_, err = llms.GenerateFromSinglePrompt(ctx, model, "hello") //nolint:staticcheck // as its users call it
	}
	return err
}
