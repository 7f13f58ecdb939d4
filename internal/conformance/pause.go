package conformance

import (
	"context"
	"errors"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Pause is the interrupt case of a client that has no pause of its own. What
// pauses there is an answer that wants something done first (a tool call that
// somebody must approve): it is an answer, and the interrupt that a layer above
// makes of it passes through.
type Pause[F, Req, Resp any] struct {
	Ask Req
	// Answers want something done, by what they are; the one named "a tool call"
	// is made an interrupt too.
	Answers map[string]F
	// Agent starts a provider whose narrator answers so, and connects the client.
	Agent func(t *testing.T, answer F) (middleware.Runner[Req, Resp], Provider)
	// Wants says whether an answer wants something done.
	Wants func(resp Resp) bool
	// Reply is a rung, which must not be used.
	Reply middleware.Runner[Req, Resp]
}

// ToolCall is the answer that every such client knows.
const ToolCall = "a tool call"

// Play plays it.
func (p Pause[F, Req, Resp]) Play(t *testing.T) {
	if _, ok := p.Answers[ToolCall]; !ok {
		t.Fatal("the adapter has no tool call")
	}
	for it, answer := range p.Answers {
		t.Run("it passes on "+it, func(t *testing.T) {
			agent, provider := p.Agent(t, answer)
			o := Built(t, middleware.Wrap(agent).Named(Narrator).Retry(Soon)).Outcome(t.Context(), p.Ask)
			if o.Err != nil || !p.Wants(o.Value) || o.Strategy != strategies.StrategyNone {
				t.Errorf("got %+v", o)
			}
			Requests(t, Narrator, provider.Requests(Narrator), 1)
		})
	}
	t.Run("it passes on the interrupt made of one, as it is", func(t *testing.T) {
		agent, provider := p.Agent(t, p.Answers[ToolCall])
		pause := strategies.WithClass(strategies.ClassInterrupt, errors.New("open_door wants approval"))
		approve := func(next middleware.Runner[Req, Resp]) middleware.Runner[Req, Resp] {
			return middleware.Func(func(ctx context.Context, req Req) (Resp, error) {
				resp, err := next.Run(ctx, req)
				if err == nil && p.Wants(resp) {
					var none Resp
					return none, pause
				}
				return resp, err
			})
		}
		_, err := Built(t, middleware.Wrap(agent).Named(Narrator).Retry(Soon).
			Degrade(strategies.LevelReduced, p.Reply).Use(middleware.StageAgent, approve)).Run(t.Context(), p.Ask)
		if err != pause { //nolint:errorlint // the very same is wanted
			t.Errorf("got %v", err)
		}
		Requests(t, Narrator, provider.Requests(Narrator), 1)
	})
}
