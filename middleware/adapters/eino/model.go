package eino

import (
	"context"
	"errors"
	"reflect"

	"github.com/cloudwego/eino/callbacks"
	"github.com/cloudwego/eino/components"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

// ChatModel is a model in its chain, for a graph or wherever eino takes a model.
// It is safe for concurrent use if the model is.
type ChatModel struct {
	inner   model.ToolCallingChatModel
	tools   []*schema.ToolInfo
	guarded *middleware.GuardedStream[Call, *schema.Message]
	agent   *primary
}

// Wrap puts a model into layers; settings says which. The error is what Build
// says.
func Wrap(m model.ToolCallingChatModel, settings func(*Builder)) (*ChatModel, error) {
	if v := reflect.ValueOf(m); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &strategies.ConfigError{Setting: "Wrap", Problem: "is nil", Fix: "give it a model"}
	}
	agent := &primary{own: m}
	guarded, err := build("Wrap", agent, settings)
	if err != nil {
		return nil, err
	}
	return &ChatModel{inner: m, guarded: guarded, agent: agent}, nil
}

// build makes the chain of an agent. The Retry-After that eino's models drop
// comes by way of a hint, if their client has httphint's transport.
func build[Req, Chunk any](setting string, agent middleware.Streamer[Req, Chunk], settings func(*middleware.StreamBuilder[Req, Chunk])) (*middleware.GuardedStream[Req, Chunk], error) {
	if settings == nil {
		return nil, &strategies.ConfigError{Setting: setting, Problem: "has no settings", Fix: "give it a function that says which layers"}
	}
	b := middleware.WrapStream(agent).
		Around(middleware.StageAgent, httphint.Layer(nil))
	settings(b)
	return b.Build()
}

// Generate asks for a message. The error is a [strategies.RecoveryError], or
// eino's interrupt as it is.
func (m *ChatModel) Generate(ctx context.Context, input []*schema.Message, opts ...model.Option) (*schema.Message, error) {
	return whole(ctx, m.guarded, m.call(input, opts, true), schema.ConcatMessages)
}

// Stream asks for a stream, and returns when it has said its first words. An
// error after that comes from the reader. Close the reader, or end ctx.
func (m *ChatModel) Stream(ctx context.Context, input []*schema.Message, opts ...model.Option) (*schema.StreamReader[*schema.Message], error) {
	return open(ctx, m.guarded, m.call(input, opts, false), same)
}

func same[T any](chunk T) T { return chunk }

func (m *ChatModel) call(input []*schema.Message, opts []model.Option, all bool) Call {
	return Call{
		Messages: input, Options: opts, Whole: all,
		to: m.agent, asked: m.inner, tools: m.tools, observed: m.IsCallbacksEnabled(),
	}
}

// WithTools binds tools to the model, and to whoever stands in for it. The chain
// stays the same one, with its breaker and its count of failures.
func (m *ChatModel) WithTools(tools []*schema.ToolInfo) (model.ToolCallingChatModel, error) {
	inner, err := m.inner.WithTools(tools)
	if err != nil {
		return nil, err
	}
	bound := *m
	bound.inner, bound.tools = inner, tools
	return &bound, nil
}

// Guarded returns the chain, for its Health and its Explain.
func (m *ChatModel) Guarded() *middleware.GuardedStream[Call, *schema.Message] { return m.guarded }

// GetType returns the type of the model, by which eino's tools show it.
func (m *ChatModel) GetType() string { return typeOf(m.inner) }

// IsCallbacksEnabled says what the model says. One that calls eino's callbacks
// itself calls them for each attempt; for another one eino does, once a call.
func (m *ChatModel) IsCallbacksEnabled() bool { return components.IsCallbacksEnabled(m.inner) }

func typeOf(m model.BaseChatModel) string {
	if name, ok := components.GetType(m); ok {
		return name
	}
	t := reflect.TypeOf(m)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}

// observe makes a stand-in known to eino's callbacks, as itself.
func observe(ctx context.Context, m model.BaseChatModel) (context.Context, model.BaseChatModel) {
	ctx = callbacks.ReuseHandlers(ctx, &callbacks.RunInfo{Type: typeOf(m), Component: components.ComponentOfChatModel})
	if !components.IsCallbacksEnabled(m) {
		m = observed{m}
	}
	return ctx, m
}

// observed calls the callbacks for a model that does not.
type observed struct{ model.BaseChatModel }

func (o observed) Generate(ctx context.Context, input []*schema.Message, opts ...model.Option) (*schema.Message, error) {
	ctx = callbacks.OnStart(ctx, &model.CallbackInput{Messages: input})
	answer, err := o.BaseChatModel.Generate(ctx, input, opts...)
	if err != nil {
		callbacks.OnError(ctx, err)
		return nil, err
	}
	callbacks.OnEnd(ctx, &model.CallbackOutput{Message: answer})
	return answer, nil
}

func (o observed) Stream(ctx context.Context, input []*schema.Message, opts ...model.Option) (*schema.StreamReader[*schema.Message], error) {
	ctx = callbacks.OnStart(ctx, &model.CallbackInput{Messages: input})
	reader, err := o.BaseChatModel.Stream(ctx, input, opts...)
	if err == nil && reader == nil {
		err = errors.New("understudy: eino: neither a stream nor an error")
	}
	if err != nil {
		callbacks.OnError(ctx, err)
		return nil, err
	}
	_, reader = callbacks.OnEndWithStreamOutput(ctx, reader)
	return reader, nil
}
