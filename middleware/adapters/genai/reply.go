package genai

import (
	"context"
	"iter"

	sdk "google.golang.org/genai"
)

// Model returns a function that asks another model the same, for FallbackVia.
func Model(name string) func(context.Context, Request) (Request, error) {
	return func(_ context.Context, req Request) (Request, error) {
		req.Model = name
		return req, nil
	}
}

// Canned gives the same answer to everything, whole or as a stream.
type Canned struct{ text string }

// Reply is a rung for Degrade: an answer of this text, without any model.
func Reply(text string) *Canned { return &Canned{text} }

// CostsNothing says that it is not charged to any usage limit.
func (c *Canned) CostsNothing() bool { return true }

// Run returns the answer, a new one each time. The name of its model version is
// empty.
func (c *Canned) Run(context.Context, Request) (*sdk.GenerateContentResponse, error) {
	return &sdk.GenerateContentResponse{Candidates: []*sdk.Candidate{{
		Content: sdk.NewContentFromText(c.text, sdk.RoleModel), FinishReason: sdk.FinishReasonStop,
	}}}, nil
}

// Stream yields it in one chunk.
func (c *Canned) Stream(ctx context.Context, req Request) iter.Seq2[*sdk.GenerateContentResponse, error] {
	return func(yield func(*sdk.GenerateContentResponse, error) bool) { yield(c.Run(ctx, req)) }
}
