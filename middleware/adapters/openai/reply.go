package openai

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	sdk "github.com/openai/openai-go/v3"
)

// Model returns a function that asks another model the same, for FallbackVia.
func Model(name sdk.ChatModel) func(context.Context, sdk.ChatCompletionNewParams) (sdk.ChatCompletionNewParams, error) {
	return func(_ context.Context, params sdk.ChatCompletionNewParams) (sdk.ChatCompletionNewParams, error) {
		params.Model = name
		return params, nil
	}
}

// Canned gives the same answer to everything, whole or as a stream.
type Canned struct{ text string }

// Reply is a rung for Degrade: an answer of this text, without any model.
func Reply(text string) *Canned { return &Canned{text} }

// CostsNothing says that it is not charged to any usage limit.
func (c *Canned) CostsNothing() bool { return true }

// Run returns the completion, a new one each time. The name of its model is
// empty.
func (c *Canned) Run(context.Context, sdk.ChatCompletionNewParams) (*sdk.ChatCompletion, error) {
	completion := &sdk.ChatCompletion{}
	return completion, c.fill(completion, "chat.completion", "message")
}

// Stream yields it in one chunk.
func (c *Canned) Stream(context.Context, sdk.ChatCompletionNewParams) iter.Seq2[sdk.ChatCompletionChunk, error] {
	return func(yield func(sdk.ChatCompletionChunk, error) bool) {
		var chunk sdk.ChatCompletionChunk
		err := c.fill(&chunk, "chat.completion.chunk", "delta")
		yield(chunk, err)
	}
}

// fill goes by way of JSON, for the client's types are only whole with theirs.
func (c *Canned) fill(answer any, object, where string) error {
	text, err := json.Marshal(c.text)
	if err != nil {
		return err
	}
	return json.Unmarshal(fmt.Appendf(nil,
		`{"id":"","model":"","created":0,"object":%q,"choices":[{"index":0,"finish_reason":"stop","logprobs":null,%q:{"role":"assistant","content":%s,"refusal":null}}]}`,
		object, where, text), answer)
}
