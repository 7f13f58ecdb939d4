package eino_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/strategies"
)

// counted is a model whose attempts say and cost this.
type counted struct {
	attempts [][]*schema.Message
	asked    int
}

func (c *counted) next() []*schema.Message {
	c.asked++
	return c.attempts[min(c.asked, len(c.attempts))-1]
}

func (c *counted) Generate(context.Context, []*schema.Message, ...model.Option) (*schema.Message, error) {
	return schema.ConcatMessages(c.next())
}

func (c *counted) Stream(context.Context, []*schema.Message, ...model.Option) (*schema.StreamReader[*schema.Message], error) {
	return schema.StreamReaderFromArray(c.next()), nil
}

func (c *counted) WithTools([]*schema.ToolInfo) (model.ToolCallingChatModel, error) { return c, nil }

func costs(text, finish string, in, out, cached int) *schema.Message {
	m := schema.AssistantMessage(text, nil)
	m.ResponseMeta = &schema.ResponseMeta{FinishReason: finish, Usage: &schema.TokenUsage{
		PromptTokens: in, CompletionTokens: out, PromptTokenDetails: schema.PromptTokenDetails{CachedTokens: cached},
	}}
	return m
}

// What eino's models report is booked: of answers, of what was none, of streams that
// tell the sum so far; and once where one wrapped model is within another.
func TestUsage(t *testing.T) {
	settings := func(b *eino.Builder) { b.Retry(strategies.Retry{Backoff: strategies.Delays{0}}) }
	script := func() *counted {
		return &counted{attempts: [][]*schema.Message{
			{costs("Hel", "", 10, 1, 0), costs("lo", "length", 10, 5, 4)},
			{costs("A ", "", 10, 1, 0), costs("stranger", "stop", 10, 7, 4)},
		}}
	}
	want := strategies.Usage{Calls: 2, TokensIn: 20, TokensOut: 12, TokensCached: 8}
	twice := want
	twice.Calls++ // the outer call, and two attempts of the inner
	for it, tc := range map[string]struct {
		wrap func() (model.ToolCallingChatModel, error)
		want strategies.Usage
	}{
		"one": {func() (model.ToolCallingChatModel, error) { return eino.Wrap(script(), settings) }, want},
		"one within another": {func() (model.ToolCallingChatModel, error) {
			inner, err := eino.Wrap(script(), settings)
			if err != nil {
				return nil, err
			}
			return eino.Wrap(inner, settings)
		}, twice},
	} {
		for _, streaming := range []bool{false, true} {
			t.Run(it, func(t *testing.T) {
				guarded, err := tc.wrap()
				if err != nil {
					t.Fatal(err)
				}
				ctx := middleware.WithUsageLimits(t.Context(), strategies.UsageLimits{Calls: 100})
				if streaming {
					reader, err := guarded.Stream(ctx, nil)
					if err != nil {
						t.Fatal(err)
					}
					// The words of the first attempt are out, so that its end is final.
					if _, err := drain(reader); err == nil {
						t.Fatal("a stream that was cut ended well")
					}
					if got := middleware.CallOf(ctx).Usage(); got.TokensIn != 10 || got.TokensOut != 5 {
						t.Errorf("streaming: %v", got)
					}
					return
				}
				if _, err := guarded.Generate(ctx, nil); err != nil {
					t.Fatal(err)
				}
				if got := middleware.CallOf(ctx).Usage(); got != tc.want {
					t.Errorf("got %v, want %v", got, tc.want)
				}
			})
		}
	}
}

func TestAgenticUsage(t *testing.T) {
	m := &schema.AgenticMessage{Role: schema.AgenticRoleTypeAssistant, ResponseMeta: &schema.AgenticResponseMeta{TokenUsage: &schema.TokenUsage{PromptTokens: 3, CompletionTokens: 2}},
		ContentBlocks: []*schema.ContentBlock{schema.NewContentBlock(&schema.AssistantGenText{Text: "Hello"})}}
	guarded, err := eino.WrapAgentic(dear{m}, func(b *eino.AgenticBuilder) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx := middleware.WithUsageLimits(t.Context(), strategies.UsageLimits{Calls: 100})
	if _, err := guarded.Generate(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if got := middleware.CallOf(ctx).Usage(); got != (strategies.Usage{Calls: 1, TokensIn: 3, TokensOut: 2}) {
		t.Errorf("got %v", got)
	}
}

type dear struct{ m *schema.AgenticMessage }

func (a dear) Generate(context.Context, []*schema.AgenticMessage, ...model.Option) (*schema.AgenticMessage, error) {
	return a.m, nil
}

func (dear) Stream(context.Context, []*schema.AgenticMessage, ...model.Option) (*schema.StreamReader[*schema.AgenticMessage], error) {
	return nil, errors.New("it does not stream")
}
