package eino

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// ToolBuilder is the core's builder for a tool, one chain for both of a tool's
// ways to answer, as [Builder] is for a model's.
type ToolBuilder = middleware.StreamBuilder[ToolCall, string]

// EnhancedToolBuilder is the same for a tool that returns a [schema.ToolResult].
type EnhancedToolBuilder = middleware.StreamBuilder[ToolCall, *schema.ToolResult]

// ToolCall is one call of a tool.
type ToolCall struct {
	Name, ID  string
	Arguments string // JSON
	Options   []tool.Option

	ask any // how: a toolFunc
}

// toolFunc calls the tool itself.
type toolFunc[T any] func(ctx context.Context, c ToolCall) iter.Seq2[T, error]

// ToolSettings are what [Handler] takes for a tool.
type ToolSettings func(*toolChains) error

// toolChains are the chains of a handler's tools, by their names.
type toolChains struct {
	plain    map[string]*toolChain[string]
	enhanced map[string]*toolChain[*schema.ToolResult]
}

// Tool says which layers the calls of a tool get. Give a Retry only to tools
// that may run twice for one call of the model's: it asks again after a failure
// that may have come too late. Any tool may have a Timeout, a CircuitBreaker, or
// a rung ([ToolReply]) that tells the model what became of its call, where the
// error would end the agent's run.
func Tool(name string, settings func(*ToolBuilder)) ToolSettings {
	return func(h *toolChains) error { return addTool(h.plain, "Tool", name, settings) }
}

// EnhancedTool is [Tool] for one that returns a [schema.ToolResult].
func EnhancedTool(name string, settings func(*EnhancedToolBuilder)) ToolSettings {
	return func(h *toolChains) error { return addTool(h.enhanced, "EnhancedTool", name, settings) }
}

// ToolReply is a rung for a tool: this result, without the tool.
func ToolReply(result string) middleware.Streamer[ToolCall, string] {
	return middleware.Chunks[ToolCall](result)
}

// StandInTool makes a tool one that can stand in for another, with the same
// arguments.
func StandInTool(t tool.InvokableTool) middleware.Streamer[ToolCall, string] {
	if t == nil {
		return nil
	}
	return middleware.StreamFunc(func(ctx context.Context, c ToolCall) iter.Seq2[string, error] {
		return once(func() (string, error) { return t.InvokableRun(ctx, c.Arguments, c.Options...) })
	})
}

type toolChain[T any] = middleware.GuardedStream[ToolCall, T]

func addTool[T any](to map[string]*toolChain[T], setting, name string, settings func(*middleware.StreamBuilder[ToolCall, T])) error {
	setting = fmt.Sprintf("%s %q", setting, name)
	switch {
	case name == "":
		return &strategies.ConfigError{Setting: setting, Problem: "has no name", Fix: "give the name the model calls it by"}
	case to[name] != nil:
		return &strategies.ConfigError{Setting: setting, Problem: "is set twice", Fix: "drop one of them"}
	}
	agent := middleware.StreamFunc(func(ctx context.Context, c ToolCall) iter.Seq2[T, error] {
		return c.ask.(toolFunc[T])(ctx, c)
	})
	guarded, err := build(setting, agent, settings)
	if err != nil {
		return err
	}
	to[name] = guarded
	return nil
}

// chainOf finds the chain of a tool; nil if it is to be left alone. A tool that is
// named as one of the other kind would be left alone in silence.
func chainOf[T, Other any](all map[string]*toolChain[T], others map[string]*toolChain[Other], name, other, use string) (*toolChain[T], error) {
	chain := all[name]
	if chain == nil && others[name] != nil {
		return nil, &strategies.ConfigError{Setting: fmt.Sprintf("%s %q", other, name), Problem: "names a tool of another kind", Fix: "use " + use}
	}
	return chain, nil
}

// once is a tool's answer in one piece.
func once[T any](call func() (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		result, err := call()
		if err != nil {
			var none T
			yield(none, explain(err))
			return
		}
		yield(result, nil)
	}
}

// flowing is a tool's answer as a stream.
func flowing[T any](call func() (*schema.StreamReader[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		reader, err := call()
		if err != nil {
			yield(none, explain(err))
			return
		}
		for chunk, err := range read(reader) {
			if err != nil {
				yield(none, explain(err))
				return
			}
			if !yield(chunk, nil) {
				return
			}
		}
	}
}

// WrapInvokableToolCall is called by eino before each call of a tool.
func (h *TypedHandler[M]) WrapInvokableToolCall(_ context.Context, endpoint adk.InvokableToolCallEndpoint, t *adk.ToolContext) (adk.InvokableToolCallEndpoint, error) {
	chain, err := chainOf(h.plain, h.enhanced, t.Name, "EnhancedTool", "Tool")
	if chain == nil || err != nil {
		return endpoint, err
	}
	ask := toolFunc[string](func(ctx context.Context, c ToolCall) iter.Seq2[string, error] {
		return once(func() (string, error) { return endpoint(ctx, c.Arguments, c.Options...) })
	})
	return func(ctx context.Context, arguments string, opts ...tool.Option) (string, error) {
		return whole(ctx, chain, ToolCall{t.Name, t.CallID, arguments, opts, ask}, joined)
	}, nil
}

// WrapStreamableToolCall is the same for a tool that streams.
func (h *TypedHandler[M]) WrapStreamableToolCall(_ context.Context, endpoint adk.StreamableToolCallEndpoint, t *adk.ToolContext) (adk.StreamableToolCallEndpoint, error) {
	chain, err := chainOf(h.plain, h.enhanced, t.Name, "EnhancedTool", "Tool")
	if chain == nil || err != nil {
		return endpoint, err
	}
	ask := toolFunc[string](func(ctx context.Context, c ToolCall) iter.Seq2[string, error] {
		return flowing(func() (*schema.StreamReader[string], error) { return endpoint(ctx, c.Arguments, c.Options...) })
	})
	return func(ctx context.Context, arguments string, opts ...tool.Option) (*schema.StreamReader[string], error) {
		return open(ctx, chain, ToolCall{t.Name, t.CallID, arguments, opts, ask}, same)
	}, nil
}

// WrapEnhancedInvokableToolCall is the same for an enhanced tool.
func (h *TypedHandler[M]) WrapEnhancedInvokableToolCall(_ context.Context, endpoint adk.EnhancedInvokableToolCallEndpoint, t *adk.ToolContext) (adk.EnhancedInvokableToolCallEndpoint, error) {
	chain, err := chainOf(h.enhanced, h.plain, t.Name, "Tool", "EnhancedTool")
	if chain == nil || err != nil {
		return endpoint, err
	}
	ask := toolFunc[*schema.ToolResult](func(ctx context.Context, c ToolCall) iter.Seq2[*schema.ToolResult, error] {
		return once(func() (*schema.ToolResult, error) {
			return endpoint(ctx, &schema.ToolArgument{Text: c.Arguments}, c.Options...)
		})
	})
	return func(ctx context.Context, a *schema.ToolArgument, opts ...tool.Option) (*schema.ToolResult, error) {
		return whole(ctx, chain, ToolCall{t.Name, t.CallID, a.Text, opts, ask}, schema.ConcatToolResults)
	}, nil
}

// WrapEnhancedStreamableToolCall is the same for an enhanced tool that streams.
func (h *TypedHandler[M]) WrapEnhancedStreamableToolCall(_ context.Context, endpoint adk.EnhancedStreamableToolCallEndpoint, t *adk.ToolContext) (adk.EnhancedStreamableToolCallEndpoint, error) {
	chain, err := chainOf(h.enhanced, h.plain, t.Name, "Tool", "EnhancedTool")
	if chain == nil || err != nil {
		return endpoint, err
	}
	ask := toolFunc[*schema.ToolResult](func(ctx context.Context, c ToolCall) iter.Seq2[*schema.ToolResult, error] {
		return flowing(func() (*schema.StreamReader[*schema.ToolResult], error) {
			return endpoint(ctx, &schema.ToolArgument{Text: c.Arguments}, c.Options...)
		})
	})
	return func(ctx context.Context, a *schema.ToolArgument, opts ...tool.Option) (*schema.StreamReader[*schema.ToolResult], error) {
		return open(ctx, chain, ToolCall{t.Name, t.CallID, a.Text, opts, ask}, same)
	}, nil
}

func joined(chunks []string) (string, error) { return strings.Join(chunks, ""), nil }
