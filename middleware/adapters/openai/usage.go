package openai

import (
	"context"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Priced returns an agent that reports money beside tokens, see
// [middleware.UsageLimits]. A model is looked up by the name that the answer gives,
// then by the one that was asked for.
func (a *ChatAgent) Priced(prices *strategies.Prices) *ChatAgent {
	own := *a
	own.prices = prices
	return &own
}

// Priced returns an agent that reports money beside tokens; see [ChatAgent.Priced].
func (a *ResponsesAgent) Priced(prices *strategies.Prices) *ResponsesAgent {
	own := *a
	own.prices = prices
	return &own
}

// spent is what an answer has cost, good or not.
type spent struct {
	usage strategies.Usage
	model string
}

// chat takes note of the usage of a completion or a chunk. Some servers send it with
// every chunk: it is the sum so far.
func (s *spent) chat(model string, u sdk.CompletionUsage) {
	if model != "" {
		s.model = model
	}
	if u.PromptTokens > 0 || u.CompletionTokens > 0 {
		s.usage = strategies.Usage{TokensIn: int(u.PromptTokens), TokensOut: int(u.CompletionTokens), TokensCached: int(u.PromptTokensDetails.CachedTokens)}
	}
}

func (s *spent) response(r *responses.Response) {
	s.model = r.Model
	u := r.Usage
	s.usage = strategies.Usage{TokensIn: int(u.InputTokens), TokensOut: int(u.OutputTokens), TokensCached: int(u.InputTokensDetails.CachedTokens)}
}

// report tells the call of it, if there is anything to tell.
func (s *spent) report(ctx context.Context, prices *strategies.Prices, asked string) {
	if s.usage == (strategies.Usage{}) {
		return
	}
	for _, model := range [...]string{s.model, asked} {
		var known bool
		if s.usage.Money, known = prices.Of(model, s.usage); known {
			break
		}
	}
	middleware.CallOf(ctx).Spent(s.usage)
}
