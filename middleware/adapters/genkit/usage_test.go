package genkit_test

import (
	"testing"

	"github.com/firebase/genkit/go/ai"
	sdk "github.com/firebase/genkit/go/genkit"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
	"github.com/understudy-go/understudy/strategies"
)

// What genkit's models report is booked, of what was no answer too. Thoughts are
// counted once, whether they are among what was written or beside it.
func TestUsage(t *testing.T) {
	for it, tc := range map[string]struct {
		usage ai.GenerationUsage
		want  strategies.Usage // of two attempts
	}{
		"thoughts beside it": {ai.GenerationUsage{InputTokens: 10, OutputTokens: 5, ThoughtsTokens: 3, TotalTokens: 18, CachedContentTokens: 2}, strategies.Usage{Calls: 2, TokensIn: 20, TokensOut: 16, TokensCached: 4}},
		"thoughts among it":  {ai.GenerationUsage{InputTokens: 10, OutputTokens: 5, ThoughtsTokens: 3, TotalTokens: 15}, strategies.Usage{Calls: 2, TokensIn: 20, TokensOut: 10}},
	} {
		t.Run(it, func(t *testing.T) {
			g, model := modeled(t, func(n int, req *ai.ModelRequest, _ func(string)) (*ai.ModelResponse, error) {
				finish := ai.FinishReasonLength
				if n > 1 {
					finish = ai.FinishReasonStop
				}
				usage := tc.usage
				return &ai.ModelResponse{Message: ai.NewModelTextMessage("hi"), FinishReason: finish, Request: req, Usage: &usage}, nil
			})
			ctx := middleware.WithUsageLimits(t.Context(), strategies.UsageLimits{Calls: 100})
			chain := middleware.Must(middleware.WrapStream(genkit.Next()).Commit(genkit.Says).Retry(strategies.Retry{Backoff: strategies.Delays{0}}).Build())
			if _, err := sdk.Generate(ctx, g, model, ai.WithPrompt("?"), ai.WithUse(genkit.Recovery{Stream: chain})); err != nil {
				t.Fatal(err)
			}
			if got := middleware.CallOf(ctx).Usage(); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
