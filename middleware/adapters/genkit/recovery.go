package genkit

import (
	"context"
	"errors"
	"iter"
	"maps"
	"math"

	"github.com/firebase/genkit/go/ai"
	"github.com/firebase/genkit/go/core/api"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Recovery is the middleware: give it to a call with ai.WithUse, as the first
// one there, so that it is the outermost. What it holds is built once and shared
// by all calls.
type Recovery struct {
	// Stream is the chain for every call of a model, listened to or not: one
	// made with [middleware.WrapStream] around [Next].
	Stream middleware.Streamer[Call, Chunk] `json:"-"`
	// Model, if not nil, is the chain for the calls that nobody listens to,
	// made with [middleware.Wrap] around [Next].
	Model middleware.Runner[Call, *ai.ModelResponse] `json:"-"`
	// Tools are chains for single tools, Tool is the one for all others. A tool
	// without a chain is called as it would be.
	Tools Tools                                                  `json:"-"`
	Tool  middleware.Runner[ToolCall, *ai.MultipartToolResponse] `json:"-"`
	// Effects say what tools do to the world, see [Effect]: inside of their chains.
	Effects Effects `json:"-"`
}

// Tools are chains by the names of their tools, made with [middleware.Wrap]
// around [NextTool]. A nil one leaves its tool alone.
type Tools map[string]middleware.Runner[ToolCall, *ai.MultipartToolResponse]

// Name is the name under which genkit knows the middleware.
func (Recovery) Name() string { return "understudy/recovery" }

// New returns the hooks of one call.
func (r Recovery) New(context.Context) (*ai.Hooks, error) {
	hooks := &ai.Hooks{}
	if r.Stream != nil || r.Model != nil {
		hooks.WrapModel = r.model
	}
	for name, effect := range r.Effects {
		if effect > strategies.EffectReadOnly {
			return nil, &strategies.ConfigError{Setting: "Recovery.Effects " + name, Problem: "is an effect that there is not", Fix: "use EffectOnce, EffectIdempotent or EffectReadOnly"}
		}
	}
	if r.Tool != nil || len(r.Tools) > 0 || len(r.Effects) > 0 {
		hooks.WrapTool = r.tool
	}
	if hooks.WrapModel == nil && hooks.WrapTool == nil {
		return nil, &strategies.ConfigError{Setting: "Recovery", Problem: "has no chain", Fix: "give it Stream, Model, Tool, Tools or Effects"}
	}
	return hooks, nil
}

// Plugin registers the middleware under its name, for prompts that use it and
// for the developer UI: genkit.WithPlugins(recovery.Plugin()).
func (r Recovery) Plugin() api.Plugin { return plugin{r} }

type plugin struct{ recovery Recovery }

func (plugin) Name() string                      { return "understudy" }
func (plugin) Init(context.Context) []api.Action { return nil }

// Middlewares is what genkit asks a plugin for.
func (p plugin) Middlewares(context.Context) ([]*ai.MiddlewareDesc, error) {
	return []*ai.MiddlewareDesc{ai.NewMiddleware("Recover failed calls of models and tools", p.recovery)}, nil
}

func (r Recovery) model(ctx context.Context, params *ai.ModelParams, next ai.ModelNext) (*ai.ModelResponse, error) {
	call := Call{Request: params.Request, Streaming: params.Callback != nil, next: next}
	switch {
	case !call.Streaming && r.Model != nil:
		return whole(ctx, r.Model, call)
	case r.Stream != nil:
		return streamed(ctx, r.Stream, call, params.Callback)
	}
	return nil, &strategies.ConfigError{
		Setting: "Recovery.Stream", Problem: "is nil, and the call streams",
		Fix: "make a chain with WrapStream: one made with Wrap cannot take back what was said",
	}
}

func whole(ctx context.Context, chain middleware.Runner[Call, *ai.ModelResponse], call Call) (*ai.ModelResponse, error) {
	traced, ok := chain.(interface {
		Outcome(context.Context, Call) middleware.Outcome[*ai.ModelResponse]
	})
	if !ok {
		return chain.Run(ctx, call)
	}
	o := traced.Outcome(ctx, call)
	if o.Err != nil {
		return nil, untouched(o.Err)
	}
	return mark(o.Value, Provenance{o.Strategy, o.ServedBy, o.Level, o.Attempts}), nil
}

func streamed(ctx context.Context, chain middleware.Streamer[Call, Chunk], call Call, listener ai.ModelStreamCallback) (*ai.ModelResponse, error) {
	var stream iter.Seq2[Chunk, error]
	outcome := func() (o middleware.StreamOutcome) { return o }
	if traced, ok := chain.(interface {
		Outcome(context.Context, Call) (iter.Seq2[Chunk, error], func() middleware.StreamOutcome)
	}); ok {
		stream, outcome = traced.Outcome(ctx, call)
	} else {
		stream = chain.Stream(ctx, call)
	}
	var final *ai.ModelResponse
	for chunk, err := range stream {
		if err != nil {
			return nil, untouched(err)
		}
		if chunk.Delta != nil && listener != nil {
			if err := listener(ctx, chunk.Delta); err != nil {
				return nil, err
			}
		}
		if chunk.Final != nil {
			final = chunk.Final
		}
	}
	if final == nil {
		return nil, &strategies.AnswerError{Provider: provider, Reason: Empty}
	}
	o := outcome()
	return mark(final, Provenance{o.Strategy, o.ServedBy, o.Level, o.Attempts}), nil
}

func (r Recovery) tool(ctx context.Context, params *ai.ToolParams, next ai.ToolNext) (*ai.MultipartToolResponse, error) {
	next = r.written(params.Request.Name, next)
	chain := r.Tool
	if own, ok := r.Tools[params.Request.Name]; ok {
		chain = own
	}
	if chain == nil {
		return next(ctx, params)
	}
	resp, err := chain.Run(ctx, ToolCall{Request: params.Request, Tool: params.Tool, next: next})
	if err != nil {
		return nil, untouched(err)
	}
	return resp, nil
}

// untouched returns an interrupt as the tool gave it.
func untouched(err error) error {
	if p, ok := errors.AsType[*pauseError](err); ok {
		return p.err
	}
	return err
}

// Provenance says how an answer came about that was not given by the agent at
// once.
type Provenance struct {
	Strategy strategies.Strategy
	ServedBy string // the agent after retries, a stand-in, a rung or a person
	Level    strategies.Level
	Attempts int
}

const provenance = "understudy"

// ProvenanceOf returns how an answer was recovered: only one at
// [strategies.LevelFull] is a whole one. false: there was nothing to recover. It is
// in the metadata of the answer's message, as text, and so in traces too.
func ProvenanceOf(resp *ai.ModelResponse) (Provenance, bool) {
	if resp == nil || resp.Message == nil {
		return Provenance{}, false
	}
	fields, ok := resp.Message.Metadata[provenance].(map[string]any)
	if !ok {
		return Provenance{}, false
	}
	p := Provenance{Strategy: named[strategies.Strategy](fields["strategy"]), Level: named[strategies.Level](fields["level"])}
	p.ServedBy, _ = fields["servedBy"].(string)
	switch n := fields["attempts"].(type) {
	case int:
		p.Attempts = n
	case float64: // genkit copies some messages by way of JSON
		p.Attempts = int(n)
	}
	return p, true
}

// named returns the value with a name.
func named[T interface {
	~uint8
	String() string
}](name any) T {
	for v := range T(math.MaxUint8) {
		if v.String() == name {
			return v
		}
	}
	return 0
}

// mark notes on an answer how it was recovered; on a copy, for a model may give
// the same one twice.
func mark(resp *ai.ModelResponse, p Provenance) *ai.ModelResponse {
	if p.Strategy == strategies.StrategyNone || resp == nil || resp.Message == nil {
		return resp
	}
	own, message := *resp, *resp.Message
	message.Metadata = maps.Clone(message.Metadata)
	if message.Metadata == nil {
		message.Metadata = map[string]any{}
	}
	message.Metadata[provenance] = map[string]any{
		"strategy": p.Strategy.String(), "servedBy": p.ServedBy, "level": p.Level.String(), "attempts": p.Attempts,
	}
	own.Message = &message
	return &own
}
