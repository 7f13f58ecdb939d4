package anthropic

import (
	"context"
	"iter"
	"net/http"
	"slices"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/understudy-go/understudy/strategies"
)

// MessagesAgent answers by the Messages API, whole or as a stream of events. It
// is safe for concurrent use, as its client is.
type MessagesAgent struct {
	options []option.RequestOption
	accept  []string
	prices  *strategies.Prices
	service sdk.MessageService
}

// Messages makes the Messages API of a client an agent. The options go with
// every call; the client's retries are off, also if an option says otherwise.
func Messages(client sdk.Client, options ...option.RequestOption) *MessagesAgent {
	return &MessagesAgent{options: append(slices.Clone(options), option.WithMaxRetries(0)), service: client.Messages}
}

// Accept returns an agent that takes a message for an answer although it has
// such a reason not to be, one of the constants or any word of the API's:
// Accept(Length) for texts that may be cut short. Half a tool call is still none;
// see [Arguments].
func (a *MessagesAgent) Accept(reasons ...string) *MessagesAgent {
	own := *a
	own.accept = slices.Concat(a.accept, reasons)
	return &own
}

// minds says whether the caller minds a reason.
func (a *MessagesAgent) minds(reason string) bool { return !slices.Contains(a.accept, reason) }

// call returns the options of one call. The response is kept, for its request.
func (a *MessagesAgent) call(resp **http.Response) []option.RequestOption {
	return append([]option.RequestOption{option.WithResponseInto(resp)}, a.options...)
}

// Run asks for a message, once. The error is the client's own, or a
// [strategies.AnswerError] whose Answer is the *sdk.Message.
func (a *MessagesAgent) Run(ctx context.Context, params sdk.MessageNewParams) (*sdk.Message, error) {
	var resp *http.Response
	message, err := a.service.New(ctx, params, a.call(&resp)...)
	if err != nil {
		return nil, a.local(params, err)
	}
	if message == nil {
		return nil, (&answer{}).none(Empty, strategies.ClassInvalidAnswer, nil) // the body was "null"
	}
	cost := spent{}
	cost.whole(message)
	cost.report(ctx, a.prices, params.Model)
	if e := a.judge(said(message), offered(&resp, params)); e != nil {
		e.Answer = message
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

// said is what a message says.
func said(message *sdk.Message) *answer {
	m := &answer{stop: string(message.StopReason), details: message.StopDetails.Explanation}
	for i, block := range message.Content {
		m.begins(int64(i), block.Type, block.Text)
		if block.Type == "tool_use" {
			m.uses(int64(i), block.Name, block.ToolsetName, string(block.Input))
		}
	}
	return m
}

// Stream asks for a message in events, once. A reason why it is no answer comes
// in the place of the event that says why it stopped, which is its Answer; an
// event that completes half a tool call, and whatever follows it, is not delivered
// at all. After message_stop the message is whole, whatever becomes of the
// connection.
func (a *MessagesAgent) Stream(ctx context.Context, params sdk.MessageNewParams) iter.Seq2[sdk.MessageStreamEventUnion, error] {
	return func(yield func(sdk.MessageStreamEventUnion, error) bool) {
		var none sdk.MessageStreamEventUnion
		var resp *http.Response
		stream := a.service.NewStreaming(ctx, params, a.call(&resp)...)
		defer func() { _ = stream.Close() }() // nothing is lost by a failure to leave
		m, offers := &answer{}, offered(&resp, params)
		var broken *strategies.AnswerError
		cost := spent{}
		defer func() { cost.report(ctx, a.prices, params.Model) }()
		for stream.Next() {
			event := stream.Current()
			cost.hear(event)
			e := a.hear(m, event, offers)
			if broken == nil {
				broken = e
			}
			if e == nil && Ends(event) {
				e = broken
			}
			switch ends := Ends(event) || event.Type == "message_delta"; {
			case e != nil && ends:
				e.Answer = event
				yield(none, e)
				return
			case broken != nil: // the end will tell why
			case !yield(event, nil) || Ends(event):
				return
			}
		}
		if err := stream.Err(); err != nil {
			yield(none, err)
			return
		}
		if a.minds(Unfinished) {
			yield(none, m.none(Unfinished, strategies.ClassInvalidAnswer, nil))
		} else if e := a.judge(m, offers); e != nil {
			yield(none, e)
		}
	}
}

// hear takes note of an event, and judges what it completes: a tool call, or the
// message.
func (a *MessagesAgent) hear(m *answer, event sdk.MessageStreamEventUnion, offers func(string) bool) *strategies.AnswerError {
	switch event.Type {
	case "content_block_start":
		block := &event.ContentBlock
		m.begins(event.Index, block.Type, block.Text)
		if block.Type == "tool_use" {
			return a.judgeCall(m, m.uses(event.Index, block.Name, block.ToolsetName, block.JSON.Input.Raw()), offers)
		}
	case "content_block_delta":
		m.says(event.Delta.Text)
		if c := m.at(event.Index); c != nil {
			c.input = keep(c.input, event.Delta.PartialJSON, mostArguments)
		}
	case "content_block_stop":
		if c := m.at(event.Index); c != nil {
			return a.judgeCall(m, c, offers)
		}
	case "message_delta":
		if event.Delta.StopReason == "" {
			return nil
		}
		m.stop, m.details = string(event.Delta.StopReason), event.Delta.StopDetails.Explanation
		return a.judge(m, offers)
	case "message_stop":
		return a.judge(m, offers)
	}
	return nil
}

// Says is for Commit, on a stream of [MessagesAgent]: it says whether an event has
// something in it that a reader would see or act on. That is text, and the end: a
// message of tool calls alone is delivered when it is whole, for nobody can act on
// half of one. Neither is thinking, see [SaysThinking].
func Says(event sdk.MessageStreamEventUnion) bool {
	switch event.Type {
	case "content_block_start":
		return event.ContentBlock.Type == "text" && event.ContentBlock.Text != ""
	case "content_block_delta":
		return event.Delta.Text != ""
	}
	return Ends(event)
}

// SaysThinking is [Says] for a reader who is shown the thinking: it commits too.
func SaysThinking(event sdk.MessageStreamEventUnion) bool {
	return Says(event) || event.Type == "content_block_delta" && event.Delta.Thinking != ""
}

// Alive is for Alive: it says whether the model is at work, in text, thinking or a
// call of a tool. A ping says nothing of that.
func Alive(event sdk.MessageStreamEventUnion) bool {
	return event.Type != "" && event.Type != "ping"
}

// Ends is for Complete: it says whether an event is the terminal marker.
func Ends(event sdk.MessageStreamEventUnion) bool { return event.Type == "message_stop" }
