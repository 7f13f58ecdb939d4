package genkit

import (
	"github.com/firebase/genkit/go/ai"

	"github.com/understudy-go/understudy/strategies"
)

// spent is what an answer has cost, good or not. Some plugins count thoughts among
// what was written, others beside it: the sum of both tells.
func spent(resp *ai.ModelResponse) (u strategies.Usage) {
	if resp == nil || resp.Usage == nil {
		return u
	}
	told := resp.Usage
	u = strategies.Usage{TokensIn: told.InputTokens, TokensOut: told.OutputTokens, TokensCached: told.CachedContentTokens}
	if told.InputTokens+told.OutputTokens+told.ThoughtsTokens <= told.TotalTokens {
		u.TokensOut += told.ThoughtsTokens
	}
	return u
}
