// Package older_test asks older versions of the SDKs, which most programs still
// have and whose module path is that of a newer one.
package older_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go"
	"github.com/openai/openai-go/option"

	"github.com/understudy-go/understudy/internal/field"
)

// TestField sends the corpus to them.
func TestField(t *testing.T) {
	t.Parallel()
	field.Through(t, "../../../strategies/testdata/field",
		field.Client{Name: "openai-go v0.1", Ask: func(ctx context.Context, url string, via *http.Client) error {
			c := openai.NewClient(option.WithBaseURL(url), option.WithAPIKey("k"), option.WithMaxRetries(0), option.WithHTTPClient(via))
			_, err := c.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{Model: "m", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")}})
			return err
		}, Alone: 98},
		field.Client{Name: "anthropic-sdk-go v1.4", Ask: func(ctx context.Context, url string, via *http.Client) error {
			c := anthropic.NewClient(anthropicoption.WithBaseURL(url), anthropicoption.WithAPIKey("k"), anthropicoption.WithMaxRetries(0), anthropicoption.WithHTTPClient(via))
			_, err := c.Messages.New(ctx, anthropic.MessageNewParams{Model: "m", MaxTokens: 9, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hello"))}})
			return err
		}, Alone: 98},
	)
}
