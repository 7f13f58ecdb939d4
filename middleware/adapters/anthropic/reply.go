package anthropic

import (
	"context"
	"encoding/json"
	"iter"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"
)

// Model returns a function that asks another model the same, for FallbackVia.
func Model(name sdk.Model) func(context.Context, sdk.MessageNewParams) (sdk.MessageNewParams, error) {
	return func(_ context.Context, params sdk.MessageNewParams) (sdk.MessageNewParams, error) {
		params.Model = name
		return params, nil
	}
}

// Canned gives the same answer to everything, whole or as a stream.
type Canned struct{ text string }

// Reply is a rung for Degrade: an answer of this text, without any model.
func Reply(text string) *Canned { return &Canned{text} }

// The client's types are only whole with their JSON, so that is what an answer
// is made of. TEXT stands for the text, quoted.
const (
	wholeReply = `{"id":"","type":"message","role":"assistant","model":"","stop_reason":"end_turn","stop_sequence":null,` +
		`"content":[{"type":"text","text":TEXT,"citations":null}],"usage":{"input_tokens":0,"output_tokens":0}}`
	streamedReply = `{"type":"message_start","message":{"id":"","type":"message","role":"assistant","model":"","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}
{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":TEXT}}
{"type":"content_block_stop","index":0}
{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":0}}
{"type":"message_stop"}`
)

// CostsNothing says that it is not charged to any usage limit.
func (c *Canned) CostsNothing() bool { return true }

// Run returns the message, a new one each time. The name of its model is empty.
func (c *Canned) Run(context.Context, sdk.MessageNewParams) (*sdk.Message, error) {
	message := &sdk.Message{}
	return message, c.fill(message, wholeReply)
}

// Stream yields it in the events that the API would send.
func (c *Canned) Stream(context.Context, sdk.MessageNewParams) iter.Seq2[sdk.MessageStreamEventUnion, error] {
	return func(yield func(sdk.MessageStreamEventUnion, error) bool) {
		for line := range strings.Lines(streamedReply) {
			var event sdk.MessageStreamEventUnion
			err := c.fill(&event, line)
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

func (c *Canned) fill(answer any, form string) error {
	text, err := json.Marshal(c.text)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(strings.Replace(form, "TEXT", string(text), 1)), answer)
}
