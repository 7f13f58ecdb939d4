package eino

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/cloudwego/eino/adk"
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
	TypedModel[*schema.Message]
}

// AgenticModel is a model of agentic messages in its chain.
type AgenticModel = TypedModel[*schema.AgenticMessage]

// TypedModel is a model in its chain, of messages of either type.
type TypedModel[M adk.MessageType] struct {
	inner   model.BaseModel[M]
	tools   []*schema.ToolInfo
	accept  []string
	guarded *middleware.GuardedStream[TypedCall[M], M]
	agent   *primary[M]
	join    func([]M) (M, error)
}

// Wrap puts a model into layers; settings says which. The error is what Build
// says.
func Wrap(m model.ToolCallingChatModel, settings func(*Builder)) (*ChatModel, error) {
	typed, err := wrap[*schema.Message]("Wrap", m, settings, schema.ConcatMessages)
	if err != nil {
		return nil, err
	}
	return &ChatModel{*typed}, nil
}

// WrapAgentic puts a model of agentic messages into layers.
func WrapAgentic(m model.AgenticModel, settings func(*AgenticBuilder)) (*AgenticModel, error) {
	return wrap("WrapAgentic", m, settings, schema.ConcatAgenticMessages)
}

func wrap[M adk.MessageType](setting string, m model.BaseModel[M], settings func(*middleware.StreamBuilder[TypedCall[M], M]), join func([]M) (M, error)) (*TypedModel[M], error) {
	if v := reflect.ValueOf(m); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &strategies.ConfigError{Setting: setting, Problem: "is nil", Fix: "give it a model"}
	}
	agent := &primary[M]{own: m}
	guarded, err := buildModel(setting, agent, settings)
	if err != nil {
		return nil, err
	}
	return &TypedModel[M]{inner: m, guarded: guarded, agent: agent, join: join}, nil
}

// buildModel makes the chain of a model. It commits by [Says], unless the settings
// have a Commit of their own, or a Buffer, beside which it would be refused: what
// was built before stays as it was.
func buildModel[M adk.MessageType](setting string, agent middleware.Streamer[TypedCall[M], M], settings func(*middleware.StreamBuilder[TypedCall[M], M])) (*middleware.GuardedStream[TypedCall[M], M], error) {
	var b *middleware.StreamBuilder[TypedCall[M], M]
	var mine func(*middleware.StreamBuilder[TypedCall[M], M])
	if settings != nil {
		mine = func(own *middleware.StreamBuilder[TypedCall[M], M]) {
			b = own
			settings(own)
		}
	}
	guarded, err := build(setting, agent, mine)
	if err != nil {
		return nil, err
	}
	if commits, err := b.Commit(Says[M]).Build(); err == nil {
		return commits, nil
	}
	return guarded, nil
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

// Accept returns a model whose answers are taken although they ended for one of
// these reasons, in the provider's word or this package's: Accept("length") for
// texts that may be cut short, Accept(eino.Unfinished) for a model that tells how
// many tokens it used, and gives no finish reason. A tool call in such an answer
// is taken if its arguments are whole. The chain stays the same one. A stand-in
// has its own: see [StandIn].
func (m *ChatModel) Accept(reasons ...string) *ChatModel {
	return &ChatModel{*m.TypedModel.Accept(reasons...)}
}

// Accept returns a model whose answers are taken although they ended for one of
// these reasons; see [ChatModel.Accept].
func (m *TypedModel[M]) Accept(reasons ...string) *TypedModel[M] {
	accepting := *m
	accepting.accept = slices.Concat(m.accept, reasons)
	return &accepting
}

// Generate asks for a message. The error is a [strategies.RecoveryError], or
// eino's interrupt as it is.
func (m *TypedModel[M]) Generate(ctx context.Context, input []M, opts ...model.Option) (M, error) {
	return whole(ctx, m.guarded, m.call(input, opts, true), m.join)
}

// Stream asks for a stream, and returns when it has said its first words. An
// error after that comes from the reader. Close the reader, or end ctx.
func (m *TypedModel[M]) Stream(ctx context.Context, input []M, opts ...model.Option) (*schema.StreamReader[M], error) {
	return open(ctx, m.guarded, m.call(input, opts, false), same)
}

func same[T any](chunk T) T { return chunk }

func (m *TypedModel[M]) call(input []M, opts []model.Option, all bool) TypedCall[M] {
	return TypedCall[M]{
		Messages: input, Options: opts, Whole: all,
		to: m.agent, asked: m.inner, accept: m.accept, tools: m.tools, observed: m.IsCallbacksEnabled(),
	}
}

// WithTools binds tools to the model, and to whoever stands in for it. The chain
// stays the same one, with its breaker and its count of failures.
func (m *ChatModel) WithTools(tools []*schema.ToolInfo) (model.ToolCallingChatModel, error) {
	inner, err := m.inner.(model.ToolCallingChatModel).WithTools(tools) // it was one when it was wrapped
	if err != nil {
		return nil, err
	}
	bound := *m
	bound.inner, bound.tools = inner, tools
	return &bound, nil
}

// Guarded returns the chain, for its Health and its Explain.
func (m *TypedModel[M]) Guarded() *middleware.GuardedStream[TypedCall[M], M] { return m.guarded }

// GetType returns the type of the model, by which eino's tools show it.
func (m *TypedModel[M]) GetType() string { return typeOf(m.inner) }

// IsCallbacksEnabled says what the model says. One that calls eino's callbacks
// itself calls them for each attempt; for another one eino does, once a call.
func (m *TypedModel[M]) IsCallbacksEnabled() bool { return components.IsCallbacksEnabled(m.inner) }

func typeOf(m any) string {
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
func observe[M adk.MessageType](ctx context.Context, m model.BaseModel[M]) (context.Context, model.BaseModel[M]) {
	component := components.ComponentOfChatModel
	if _, ok := any(m).(model.AgenticModel); ok {
		component = components.ComponentOfAgenticModel
	}
	ctx = callbacks.ReuseHandlers(ctx, &callbacks.RunInfo{Type: typeOf(m), Component: component})
	if !components.IsCallbacksEnabled(m) {
		m = observed[M]{m}
	}
	return ctx, m
}

// observed calls the callbacks for a model that does not.
type observed[M adk.MessageType] struct{ model.BaseModel[M] }

func (o observed[M]) Generate(ctx context.Context, input []M, opts ...model.Option) (M, error) {
	ctx = callbacks.OnStart(ctx, told(input))
	answer, err := o.BaseModel.Generate(ctx, input, opts...)
	if err != nil {
		callbacks.OnError(ctx, err)
		var none M
		return none, err
	}
	var output callbacks.CallbackOutput
	switch answer := any(answer).(type) {
	case *schema.Message:
		output = &model.CallbackOutput{Message: answer}
	case *schema.AgenticMessage:
		output = &model.AgenticCallbackOutput{Message: answer}
	}
	callbacks.OnEnd(ctx, output)
	return answer, nil
}

func (o observed[M]) Stream(ctx context.Context, input []M, opts ...model.Option) (*schema.StreamReader[M], error) {
	ctx = callbacks.OnStart(ctx, told(input))
	reader, err := o.BaseModel.Stream(ctx, input, opts...)
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

// told is what the callbacks are told of a model's input.
func told[M adk.MessageType](input []M) callbacks.CallbackInput {
	if agentic, ok := any(input).([]*schema.AgenticMessage); ok {
		return &model.AgenticCallbackInput{Messages: agentic}
	}
	messages, _ := any(input).([]*schema.Message)
	return &model.CallbackInput{Messages: messages}
}
