package adk

import (
	"google.golang.org/adk/v2/model"

	"github.com/understudy-go/understudy/strategies"
)

// spent is what the answers of a model have cost, good or not.
type spent struct {
	whole strategies.Usage // of those that are complete
	part  strategies.Usage // of the one that comes in pieces: the sum so far
}

// hear takes note of a response. Thoughts are written, and what tools have found is
// read.
func (s *spent) hear(r *model.LLMResponse) {
	if u := r.UsageMetadata; u != nil {
		s.part = strategies.Usage{
			TokensIn: int(u.PromptTokenCount) + int(u.ToolUsePromptTokenCount), TokensOut: int(u.CandidatesTokenCount) + int(u.ThoughtsTokenCount),
			TokensCached: int(u.CachedContentTokenCount),
		}
	}
}

// next says that another answer begins.
func (s *spent) next() { s.whole, s.part = s.total(), strategies.Usage{} }

func (s *spent) total() strategies.Usage { return s.whole.Add(s.part) }
