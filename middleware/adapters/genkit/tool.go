package genkit

import (
	"context"
	"errors"

	"github.com/firebase/genkit/go/ai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// ToolCall is one call of a tool, as the chain sees it.
type ToolCall struct {
	Request *ai.ToolRequest
	Tool    ai.Tool

	next ai.ToolNext
}

// NextTool is the agent at the bottom of a tool's chain: the tool that the model
// called, with the middleware that comes after [Recovery].
func NextTool() middleware.Runner[ToolCall, *ai.MultipartToolResponse] {
	return &toolAgent{name: "next"}
}

type toolAgent struct{ name string } // not empty: two of them are not the same

// Run calls the tool, once.
func (*toolAgent) Run(ctx context.Context, call ToolCall) (*ai.MultipartToolResponse, error) {
	if call.next == nil || call.Request == nil {
		return nil, &strategies.ConfigError{Setting: "genkit.NextTool", Problem: "is called where there is no call", Fix: "put its chain into a Recovery, for ai.WithUse"}
	}
	request := *call.Request // a middleware further in may write to it
	resp, err := call.next(ctx, &ai.ToolParams{Request: &request, Tool: call.Tool})
	if err != nil {
		return nil, explain(err)
	}
	if resp == nil {
		return nil, strategies.WithClass(strategies.ClassInvalidAnswer, errors.New("understudy: genkit: the tool gave no response"))
	}
	return resp, nil
}

// Output is a rung for Degrade: a tool's answer without the tool, so that the
// model can go on: Output("the archive is closed today").
func Output(value any) middleware.Runner[ToolCall, *ai.MultipartToolResponse] {
	return middleware.Func(func(context.Context, ToolCall) (*ai.MultipartToolResponse, error) {
		return &ai.MultipartToolResponse{Output: value}, nil
	})
}
