package adk

import (
	"context"
	"iter"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// What the framework asks of a model beside its interface: the variant for
// output schemas with tools and for telemetry, the client for live sessions.
type (
	variant interface{ GetGoogleLLMVariant() genai.Backend }
	client  interface{ Client() *genai.Client }
)

// NewModel returns a model for an agent's Config: it has the name and the
// abilities of the first, and is answered by guarded, the chain around it.
//
// What failed is an error, a [strategies.RecoveryError], also if it came as a
// response: the framework runs the tools that a response calls, whatever its
// finish reason says. The response is in the [strategies.AnswerError] within.
func NewModel(first model.LLM, guarded middleware.Streamer[Call, *model.LLMResponse]) (model.LLM, error) {
	switch {
	case first == nil:
		return nil, &strategies.ConfigError{Setting: "NewModel", Problem: "has no first model", Fix: "give the one that guarded asks first"}
	case guarded == nil:
		return nil, &strategies.ConfigError{Setting: "NewModel", Problem: "has no chain", Fix: "build one: middleware.WrapStream(adk.LLM(first)).Commit(adk.Says).Build()"}
	}
	m := &guardedLLM{name: first.Name(), guarded: guarded}
	v, hasVariant := first.(variant)
	c, hasClient := first.(client)
	switch {
	case hasVariant && hasClient:
		return struct {
			*guardedLLM
			variant
			client
		}{m, v, c}, nil
	case hasVariant:
		return struct {
			*guardedLLM
			variant
		}{m, v}, nil
	case hasClient:
		return struct {
			*guardedLLM
			client
		}{m, c}, nil
	}
	return m, nil
}

type guardedLLM struct {
	name    string
	guarded middleware.Streamer[Call, *model.LLMResponse]
}

func (m *guardedLLM) Name() string { return m.name }

func (m *guardedLLM) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		for r, err := range m.guarded.Stream(ctx, Call{Request: req, Stream: stream, asked: m.name}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}
