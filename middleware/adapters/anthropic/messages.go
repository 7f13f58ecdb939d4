package anthropic

import (
	"context"
	"iter"
	"slices"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/understudy-go/understudy/strategies"
)

// MessagesAgent answers by the Messages API, whole or as a stream of events. It
// is safe for concurrent use, as its client is.
type MessagesAgent struct {
	options []option.RequestOption
	accept  []Reason
	service sdk.MessageService
}

// Messages makes the Messages API of a client an agent. The options go with
// every call; the client's retries are off, also if an option says otherwise.
func Messages(client sdk.Client, options ...option.RequestOption) *MessagesAgent {
	return &MessagesAgent{options: append(slices.Clone(options), option.WithMaxRetries(0)), service: client.Messages}
}

// Accept returns an agent that takes a message for an answer although it has
// such a reason not to be: Accept(Length) for texts that may be cut short.
func (a *MessagesAgent) Accept(reasons ...Reason) *MessagesAgent {
	return &MessagesAgent{a.options, slices.Concat(a.accept, reasons), a.service}
}

func (a *MessagesAgent) accepts(r Reason) bool { return slices.Contains(a.accept, r) }

// call returns the options of one call, which the client may append to.
func (a *MessagesAgent) call() []option.RequestOption { return slices.Clip(a.options) }

// Run asks for a message, once. The error is the client's own, or an
// [AnswerError].
func (a *MessagesAgent) Run(ctx context.Context, params sdk.MessageNewParams) (*sdk.Message, error) {
	message, err := a.service.New(ctx, params, a.call()...)
	if err != nil {
		return nil, a.local(params, err)
	}
	if e := a.check(message); e != nil {
		return nil, e
	}
	return message, nil
}

// local marks the error of a request that the client did not send, for it would
// take too long to answer: it never will.
func (a *MessagesAgent) local(params sdk.MessageNewParams, err error) error {
	options := slices.Concat(a.service.Options, a.options)
	if _, refused := sdk.CalculateNonStreamingTimeout(int(params.MaxTokens), params.Model, options); refused != nil {
		return strategies.WithClass(strategies.ClassBadRequest, err)
	}
	return err
}

func (a *MessagesAgent) check(message *sdk.Message) *AnswerError {
	if message == nil {
		return &AnswerError{Reason: Empty} // the body was "null"
	}
	end := ending{stop: message.StopReason, details: message.StopDetails.Explanation}
	for _, block := range message.Content {
		end.said = end.said || speaks(block.Type, block.Text)
	}
	e := end.judge(a.accepts)
	if e != nil {
		e.Message = message
	}
	return e
}

// speaks says whether a block is part of an answer. Thinking alone is none.
func speaks(kind, text string) bool {
	switch kind {
	case "thinking", "redacted_thinking":
		return false
	case "text":
		return text != ""
	}
	return true
}

// Stream asks for a message in events, once. A reason why it is no answer comes
// at its end, after what there was of it.
func (a *MessagesAgent) Stream(ctx context.Context, params sdk.MessageNewParams) iter.Seq2[sdk.MessageStreamEventUnion, error] {
	return func(yield func(sdk.MessageStreamEventUnion, error) bool) {
		var none sdk.MessageStreamEventUnion
		stream := a.service.NewStreaming(ctx, params, a.call()...)
		defer func() { _ = stream.Close() }() // nothing is lost by a failure to leave
		var end ending
		whole := false
		for stream.Next() {
			event := stream.Current()
			switch event.Type {
			case "content_block_start":
				end.said = end.said || speaks(event.ContentBlock.Type, event.ContentBlock.Text)
			case "content_block_delta":
				end.said = end.said || event.Delta.Text != ""
			case "message_delta":
				end.stop, end.details = event.Delta.StopReason, event.Delta.StopDetails.Explanation
			case "message_stop":
				whole = true
			}
			if !yield(event, nil) {
				return
			}
		}
		if err := stream.Err(); err != nil {
			yield(none, err)
			return
		}
		if !whole && !a.accepts(Unfinished) {
			yield(none, &AnswerError{Reason: Unfinished})
			return
		}
		if e := end.judge(a.accepts); e != nil {
			yield(none, e)
		}
	}
}

// Says is for Commit: it says whether an event has something in it that a reader
// would see: text, thinking, a tool call or a tool's result.
func Says(event sdk.MessageStreamEventUnion) bool {
	switch event.Type {
	case "content_block_start":
		return speaks(event.ContentBlock.Type, event.ContentBlock.Text)
	case "content_block_delta":
		d := event.Delta
		return d.Text != "" || d.Thinking != "" || d.PartialJSON != ""
	}
	return false
}

// Ends is for Complete: it says whether an event is the terminal marker.
func Ends(event sdk.MessageStreamEventUnion) bool { return event.Type == "message_stop" }
