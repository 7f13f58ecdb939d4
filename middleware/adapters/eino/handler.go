package eino

import (
	"context"
	"fmt"
	"iter"
	"reflect"
	"strings"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/components/tool"
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
	tools    map[string]*toolChain[string]
	enhanced map[string]*toolChain[*schema.ToolResult]
}

// Handler makes a handler: settings says which layers the model calls get, and
// each [Tool] which ones that tool's calls get. A tool that is not named is left
// alone. nil settings leave the model calls alone.
func Handler(settings func(*Builder), tools ...ToolSettings) (*AgentHandler, error) {
	h := &AgentHandler{
		agent: &primary{}, tools: map[string]*toolChain[string]{}, enhanced: map[string]*toolChain[*schema.ToolResult]{},
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

// ToolBuilder is the core's builder for a tool; Builder says what is particular
// about it.
type ToolBuilder = middleware.StreamBuilder[ToolCall, string]

// EnhancedToolBuilder is the same for a tool that returns a [schema.ToolResult].
type EnhancedToolBuilder = middleware.StreamBuilder[ToolCall, *schema.ToolResult]

// ToolCall is one call of a tool.
type ToolCall struct {
	Name, ID  string
	Arguments string // JSON
	Options   []tool.Option

	ask any // the endpoint, a func() iter.Seq2 of the tool's chunks
}

// ToolSettings are what Handler takes for a tool.
type ToolSettings func(*AgentHandler) error

// Tool says which layers the calls of a tool get. Name only tools that may be
// called twice for one call of the model, if you give them a Retry: others have
// their effect twice. Any tool may have a Timeout, a CircuitBreaker, or a rung,
// [ToolReply], that tells the model what became of it instead of ending the run.
func Tool(name string, settings func(*ToolBuilder)) ToolSettings {
	return func(h *AgentHandler) error { return addTool(h.tools, "Tool", name, settings) }
}

// EnhancedTool is [Tool] for one that returns a [schema.ToolResult].
func EnhancedTool(name string, settings func(*EnhancedToolBuilder)) ToolSettings {
	return func(h *AgentHandler) error { return addTool(h.enhanced, "EnhancedTool", name, settings) }
}

// ToolReply is a rung for a tool.
func ToolReply(result string) middleware.Streamer[ToolCall, string] {
	return middleware.Chunks[ToolCall](result)
}

// toolChain is a tool's chain, for whichever way it is called.
type toolChain[T any] struct {
	guarded *middleware.GuardedStream[ToolCall, T]
}

func addTool[T any](to map[string]*toolChain[T], setting, name string, settings func(*middleware.StreamBuilder[ToolCall, T])) error {
	setting = fmt.Sprintf("%s %q", setting, name)
	switch {
	case name == "":
		return &strategies.ConfigError{Setting: setting, Problem: "has no name", Fix: "give the name the model calls it by"}
	case to[name] != nil:
		return &strategies.ConfigError{Setting: setting, Problem: "is set twice", Fix: "drop one of them"}
	}
	agent := middleware.StreamFunc(func(ctx context.Context, c ToolCall) iter.Seq2[T, error] {
		return c.ask.(func(context.Context, ToolCall) iter.Seq2[T, error])(ctx, c)
	})
	guarded, err := build(setting, agent, settings)
	if err != nil {
		return err
	}
	to[name] = &toolChain[T]{guarded}
	return nil
}
