package anthropic

import (
	"context"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Priced returns an agent that reports money beside tokens, see
// [middleware.UsageLimits]. A model is looked up by the name that the answer gives,
// then by the one that was asked for. What is written to a cache is priced as what
// is read.
func (a *MessagesAgent) Priced(prices *strategies.Prices) *MessagesAgent {
	own := *a
	own.prices = prices
	return &own
}

// spent is what an answer has cost, good or not.
type spent struct {
	model                   string
	in, out, cached, stored int64 // each as the API counts: none is part of another
}

// whole takes note of a message, or of the beginning of one.
func (s *spent) whole(m *sdk.Message) {
	s.model = m.Model
	s.in, s.out, s.cached, s.stored = m.Usage.InputTokens, m.Usage.OutputTokens, m.Usage.CacheReadInputTokens, m.Usage.CacheCreationInputTokens
}

// hear takes note of an event: its numbers are the sums so far, and left out where
// nothing has changed.
func (s *spent) hear(event sdk.MessageStreamEventUnion) {
	switch event.Type {
	case "message_start":
		s.whole(&event.Message)
	case "message_delta":
		u := event.Usage
		s.in, s.out = max(s.in, u.InputTokens), max(s.out, u.OutputTokens)
		s.cached, s.stored = max(s.cached, u.CacheReadInputTokens), max(s.stored, u.CacheCreationInputTokens)
	}
}

// report tells the call of it, if there is anything to tell.
func (s *spent) report(ctx context.Context, prices *strategies.Prices, asked string) {
	u := strategies.Usage{TokensIn: int(s.in + s.cached + s.stored), TokensOut: int(s.out), TokensCached: int(s.cached)}
	if u == (strategies.Usage{}) {
		return
	}
	for _, model := range [...]string{s.model, asked} {
		var known bool
		if u.Money, known = prices.Of(model, u); known {
			break
		}
	}
	middleware.CallOf(ctx).Spent(u)
}
