package genai

import (
	"context"
	"strings"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Priced returns an agent that reports money beside tokens, see
// [middleware.UsageLimits]. A model is looked up by the version that the answer
// gives, then by the name that was asked for, in either case without the path
// before it.
func (a *ModelsAgent) Priced(prices *strategies.Prices) *ModelsAgent {
	own := *a
	own.prices = prices
	return &own
}

// spent is what an answer has cost, good or not.
type spent struct {
	usage strategies.Usage
	model string
}

// hear takes note of a response or a chunk, whose numbers are the sums so far.
// Thoughts are written, and what tools have found is read.
func (s *spent) hear(r *sdk.GenerateContentResponse) {
	if r == nil {
		return
	}
	if r.ModelVersion != "" {
		s.model = r.ModelVersion
	}
	if u := r.UsageMetadata; u != nil {
		s.usage = strategies.Usage{
			TokensIn: int(u.PromptTokenCount) + int(u.ToolUsePromptTokenCount), TokensOut: int(u.CandidatesTokenCount) + int(u.ThoughtsTokenCount),
			TokensCached: int(u.CachedContentTokenCount),
		}
	}
}

// report tells the call of it, if there is anything to tell.
func (s *spent) report(ctx context.Context, prices *strategies.Prices, asked string) {
	if s.usage == (strategies.Usage{}) {
		return
	}
	for _, model := range [...]string{s.model, asked} {
		var known bool
		if s.usage.Money, known = prices.Of(model[strings.LastIndex(model, "/")+1:], s.usage); known {
			break
		}
	}
	middleware.CallOf(ctx).Spent(s.usage)
}
