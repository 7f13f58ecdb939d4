package mcp

import (
	"context"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/middleware"
)

// Reply is a rung for Degrade: a result of this text, without any server.
func Reply(text string) middleware.Runner[Call, *sdk.CallToolResult] {
	return middleware.Func(func(context.Context, Call) (*sdk.CallToolResult, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: text}}}, nil
	})
}
