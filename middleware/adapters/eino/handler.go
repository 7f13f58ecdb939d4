package eino

import (
	"context"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// AgentHandler recovers the model calls and the named tool calls of every agent
// it is given to: put it into [adk.ChatModelAgentConfig].Handlers. Agents that
// share a handler share its breakers and counts.
type AgentHandler struct {
	*adk.BaseChatModelAgentMiddleware

	agent    *primary
	guarded  *middleware.GuardedStream[Call, *schema.Message]
	retries  bool
	tools    map[string]*middleware.GuardedStream[ToolCall, string]
	enhanced map[string]*middleware.GuardedStream[ToolCall, *schema.ToolResult]
}

// Handler makes a handler: settings says which layers the model calls get, and
// each [Tool] which ones that tool's calls get. A tool that is not named is left
// alone. nil settings leave the model calls alone.
func Handler(settings func(*Builder), tools ...ToolSettings) (*AgentHandler, error) {
	h := &AgentHandler{
		agent:    &primary{},
		tools:    map[string]*middleware.GuardedStream[ToolCall, string]{},
		enhanced: map[string]*middleware.GuardedStream[ToolCall, *schema.ToolResult]{},
	}
	if settings != nil {
		var err error
		if h.guarded, err = build("Handler", h.agent, settings); err != nil {
			return nil, err
		}
		for _, row := range h.guarded.Explain().Rows {
			h.retries = h.retries || row.Stage == middleware.StageRetry
		}
	}
	for _, t := range tools {
		if err := t(h); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Guarded returns the chain of the model calls, for its Health and its Explain;
// nil if they are left alone.
func (h *AgentHandler) Guarded() *middleware.GuardedStream[Call, *schema.Message] { return h.guarded }

// WrapModel is called by eino before each call of the model.
func (h *AgentHandler) WrapModel(_ context.Context, m model.BaseChatModel, mc *adk.ModelContext) (model.BaseChatModel, error) {
	if h.guarded == nil {
		return m, nil
	}
	if h.retries && mc != nil && mc.ModelRetryConfig != nil {
		return nil, &strategies.ConfigError{Setting: "ChatModelAgentConfig.ModelRetryConfig", Problem: "is set beside a handler with Retry",
			Fix: "eino would repeat every retry of ours: leave out one of the two"}
	}
	return &handled{handler: h, model: m}, nil
}

// handled is a model for one call.
type handled struct {
	handler *AgentHandler
	model   model.BaseChatModel
}

func (m *handled) call(input []*schema.Message, opts []model.Option, all bool) Call {
	return Call{Messages: input, Options: opts, Whole: all, to: m.handler.agent, asked: m.model, observed: true}
}

func (m *handled) Generate(ctx context.Context, input []*schema.Message, opts ...model.Option) (*schema.Message, error) {
	answer, err := whole(ctx, m.handler.guarded, m.call(input, opts, true), schema.ConcatMessages)
	if err != nil {
		return nil, err
	}
	return identified(answer), nil
}

func (m *handled) Stream(ctx context.Context, input []*schema.Message, opts ...model.Option) (*schema.StreamReader[*schema.Message], error) {
	return open(ctx, m.handler.guarded, m.call(input, opts, false), identified)
}
