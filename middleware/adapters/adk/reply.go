package adk

import (
	"context"
	"iter"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/plugin"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/strategies"
)

// degraded is the key under which a reduced answer is marked in the metadata of
// its response, and so in the session.
const degraded = "understudy_degraded"

// Degraded says whether a response, that of an event too, is a reduced answer of
// [Reply] or [DegradePlugin].
func Degraded(r *model.LLMResponse) bool {
	if r == nil {
		return false
	}
	is, _ := r.CustomMetadata[degraded].(bool)
	return is
}

// Canned gives the same answer to everything.
type Canned struct{ text string }

// Reply is a rung for Degrade: an answer of this text, without any model. It is
// marked; see [Degraded].
func Reply(text string) *Canned { return &Canned{text} }

// Stream yields the answer, a new one each time.
func (c *Canned) Stream(context.Context, Call) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) { yield(c.response(), nil) }
}

func (c *Canned) response() *model.LLMResponse {
	return &model.LLMResponse{
		Content:        genai.NewContentFromText(c.text, genai.RoleModel),
		FinishReason:   genai.FinishReasonStop,
		TurnComplete:   true,
		CustomMetadata: map[string]any{degraded: true},
	}
}

// DegradePlugin returns a plugin for a runner's PluginConfig that answers with
// this text, marked, where a model has failed: also a model without a chain.
// Nothing is said to a request that nobody can serve, to a caller who has left,
// or after the first words of a stream.
func DegradePlugin(text string) (*plugin.Plugin, error) {
	reply := Reply(text)
	return plugin.New(plugin.Config{
		Name: "understudy_degrade",
		OnModelErrorCallback: func(ctx agent.Context, _ *model.LLMRequest, err error) (*model.LLMResponse, error) {
			if ctx.Err() != nil || !strategies.Classify(err).Degrade {
				return nil, nil // the error goes on
			}
			return reply.response(), nil
		},
	})
}
