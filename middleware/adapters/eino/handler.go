package eino

import (
	"context"
	"slices"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// AgentHandler recovers the model calls and the named tool calls of every agent
// it is given to: put it into [adk.ChatModelAgentConfig].Handlers. Agents that
// share a handler share its breakers and counts.
type AgentHandler = TypedHandler[*schema.Message]

// AgenticHandler is the same for agents whose model has agentic messages; see
// [HandlerAgentic].
type AgenticHandler = TypedHandler[*schema.AgenticMessage]

// TypedHandler is a handler for agents of messages of either type.
type TypedHandler[M adk.MessageType] struct {
	*adk.TypedBaseChatModelAgentMiddleware[M]
	toolChains

	agent   *primary[M]
	accept  []string
	guarded *middleware.GuardedStream[TypedCall[M], M]
	retries bool
	join    func([]M) (M, error)
}

// Handler makes a handler: settings says which layers the model calls get, and
// each [Tool] which ones that tool's calls get. A tool that is not named is left
// alone. nil settings leave the model calls alone.
func Handler(settings func(*Builder), tools ...ToolSettings) (*AgentHandler, error) {
	return handler("Handler", settings, schema.ConcatMessages, tools)
}

// HandlerAgentic makes a handler for agents whose model has agentic messages.
func HandlerAgentic(settings func(*AgenticBuilder), tools ...ToolSettings) (*AgenticHandler, error) {
	return handler("HandlerAgentic", settings, schema.ConcatAgenticMessages, tools)
}

func handler[M adk.MessageType](setting string, settings func(*middleware.StreamBuilder[TypedCall[M], M]), join func([]M) (M, error), tools []ToolSettings) (*TypedHandler[M], error) {
	h := &TypedHandler[M]{
		agent: &primary[M]{}, join: join,
		toolChains: toolChains{plain: map[string]*toolChain[string]{}, enhanced: map[string]*toolChain[*schema.ToolResult]{}},
	}
	if settings != nil {
		var err error
		if h.guarded, err = buildModel(setting, h.agent, settings); err != nil {
			return nil, err
		}
		for _, row := range h.guarded.Explain().Rows {
			h.retries = h.retries || row.Stage == middleware.StageRetry
		}
	}
	for _, t := range tools {
		if err := t(&h.toolChains); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Accept returns a handler for whom answers of the agent's own model count although
// they ended for one of these reasons; see [ChatModel.Accept]. The chain stays the
// same one.
func (h *TypedHandler[M]) Accept(reasons ...string) *TypedHandler[M] {
	accepting := *h
	accepting.accept = slices.Concat(h.accept, reasons)
	return &accepting
}

// Guarded returns the chain of the model calls, for its Health and its Explain;
// nil if they are left alone.
func (h *TypedHandler[M]) Guarded() *middleware.GuardedStream[TypedCall[M], M] { return h.guarded }

// WrapModel is called by eino before each call of the model.
func (h *TypedHandler[M]) WrapModel(_ context.Context, m model.BaseModel[M], mc *adk.TypedModelContext[M]) (model.BaseModel[M], error) {
	if h.guarded == nil {
		return m, nil
	}
	if h.retries && mc != nil && mc.ModelRetryConfig != nil {
		return nil, &strategies.ConfigError{Setting: "ChatModelAgentConfig.ModelRetryConfig", Problem: "is set beside a handler with Retry",
			Fix: "eino would repeat every retry of ours: leave out one of the two"}
	}
	return &handled[M]{handler: h, model: m}, nil
}

// handled is a model for one call.
type handled[M adk.MessageType] struct {
	handler *TypedHandler[M]
	model   model.BaseModel[M]
}

func (m *handled[M]) call(input []M, opts []model.Option, all bool) TypedCall[M] {
	return TypedCall[M]{Messages: input, Options: opts, Whole: all, to: m.handler.agent, asked: m.model, accept: m.handler.accept, observed: true}
}

func (m *handled[M]) Generate(ctx context.Context, input []M, opts ...model.Option) (M, error) {
	answer, err := whole(ctx, m.handler.guarded, m.call(input, opts, true), m.handler.join)
	if err != nil {
		return answer, err
	}
	return identified(answer), nil
}

func (m *handled[M]) Stream(ctx context.Context, input []M, opts ...model.Option) (*schema.StreamReader[M], error) {
	return open(ctx, m.handler.guarded, m.call(input, opts, false), identified)
}
