package openai

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"slices"
	"strings"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/understudy-go/understudy/strategies"
)

// ResponsesAgent answers by the Responses API, whole or as a stream of events.
// It is safe for concurrent use, as its client is.
type ResponsesAgent struct {
	settings
	service responses.ResponseService
}

// Responses makes the Responses API of a client an agent, as [Chat] does.
func Responses(client sdk.Client, options ...option.RequestOption) *ResponsesAgent {
	return &ResponsesAgent{settings{options: slices.Clone(options)}, client.Responses}
}

// Accept returns an agent that takes an answer for one although it has such a
// reason not to be: one of the constants, or any word of the provider's, as
// "queued" for a response that is made in the background.
func (a *ResponsesAgent) Accept(reasons ...string) *ResponsesAgent {
	return &ResponsesAgent{a.accepting(reasons), a.service}
}

// Run asks for a response, once. The error is the client's own, a
// [strategies.AnswerError] whose Answer is the *responses.Response, or an
// [HTTPError].
func (a *ResponsesAgent) Run(ctx context.Context, params responses.ResponseNewParams) (*responses.Response, error) {
	var resp *http.Response
	response, err := a.service.New(ctx, params, a.call(&resp)...)
	if err != nil {
		return nil, explain(err, resp)
	}
	if response == nil {
		return nil, (&answer{}).none(Empty, strategies.ClassInvalidAnswer, nil) // the body was "null"
	}
	cost := spent{}
	cost.response(response)
	cost.report(ctx, a.prices, params.Model)
	if e := a.check(response, &answer{}, offered(&resp, params)); e != nil {
		return nil, e
	}
	return response, nil
}

// check judges a response. heard is what was streamed of it before, for not all
// servers repeat the answer at its end.
func (a *ResponsesAgent) check(response *responses.Response, heard *answer, offers func(string) bool) *strategies.AnswerError {
	if response.Status == responses.ResponseStatusFailed && a.minds(Failed) {
		return failed(response.Error.RawJSON(), response)
	}
	if len(response.Output) > 0 {
		heard = &answer{finish: heard.finish}
		for i := range response.Output {
			heard.take(int64(i), &response.Output[i])
		}
	}
	heard.finish = cmp.Or(string(response.Status), heard.finish)
	if response.Status == responses.ResponseStatusIncomplete {
		heard.finish = cmp.Or(response.IncompleteDetails.Reason, heard.finish)
	}
	e := a.judge(heard, offers)
	if e != nil {
		e.Answer = response
	}
	return e
}

// take takes note of an item that is complete: of a tool call, of text, or of
// whatever else is neither reasoning nor a message, an image or a question for
// approval.
func (a *answer) take(index int64, item *responses.ResponseOutputItemUnion) {
	switch item.Type {
	case "reasoning":
	case "message":
		for _, part := range item.Content {
			a.says(part.Text)
			a.refuses(part.Refusal)
		}
	case "function_call":
		c := a.callAt(index)
		c.name, c.arguments = word(item.Name), keep(nil, item.Arguments.OfString, mostArguments)
		c.open = item.Status == "in_progress" || item.Status == "incomplete"
	default:
		a.said = true
	}
}

// callAt is the call that is that item of the output.
func (a *answer) callAt(index int64) *call {
	a.said = true
	for i := range a.calls {
		if a.calls[i].index == index {
			return &a.calls[i]
		}
	}
	if len(a.calls) == mostCalls {
		a.calls[len(a.calls)-1].open = true // one too many breaks it
		return &call{}
	}
	a.calls = append(a.calls, call{index: index, open: true})
	return &a.calls[len(a.calls)-1]
}

// Stream asks for a response in events, once. A reason why it is no answer comes
// in the place of the event that would end it; an event that completes half a
// tool call, and whatever follows it, is not delivered at all. After its last
// event the answer is whole, whatever becomes of the connection.
func (a *ResponsesAgent) Stream(ctx context.Context, params responses.ResponseNewParams) iter.Seq2[responses.ResponseStreamEventUnion, error] {
	return func(yield func(responses.ResponseStreamEventUnion, error) bool) {
		var none responses.ResponseStreamEventUnion
		var resp *http.Response
		stream := a.service.NewStreaming(ctx, params, a.call(&resp)...)
		defer func() { _ = stream.Close() }() // nothing is lost by a failure to leave
		heard, offers := &answer{}, offered(&resp, params)
		var broken *strategies.AnswerError
		for stream.Next() {
			event := stream.Current()
			if event.Type == "error" {
				yield(none, failed(event.RawJSON(), nil))
				return
			}
			if ResponsesEnds(event) {
				heard.finish = strings.TrimPrefix(event.Type, "response.")
				cost := spent{}
				cost.response(&event.Response)
				cost.report(ctx, a.prices, params.Model)
				e := a.check(&event.Response, heard, offers)
				if e == nil && broken != nil { // the last event tells it otherwise; it was said all the same
					e, broken.Answer = broken, &event.Response
				}
				if e != nil {
					yield(none, e)
					return
				}
				yield(event, nil)
				return
			}
			if broken != nil {
				continue
			}
			if broken = a.hear(heard, event, offers); broken == nil && !yield(event, nil) {
				return
			}
		}
		if err := stream.Err(); err != nil {
			yield(none, explain(err, resp))
			return
		}
		if e := a.judge(heard, offers); e != nil {
			yield(none, e)
		}
	}
}

// hear takes note of an event in the middle of a stream. It judges the tool calls
// that are complete: nobody must run one before the end that has to be asked for
// again.
func (a *ResponsesAgent) hear(heard *answer, event responses.ResponseStreamEventUnion, offers func(string) bool) *strategies.AnswerError {
	switch event.Type {
	case "response.output_text.delta":
		heard.says(event.Delta)
	case "response.refusal.delta":
		heard.refuses(event.Delta)
	case "response.output_item.added":
		if event.Item.Type == "function_call" {
			heard.callAt(event.OutputIndex).name = word(event.Item.Name)
		} else if event.Item.Type != "message" && event.Item.Type != "reasoning" {
			heard.said = true
		}
	case "response.function_call_arguments.delta":
		c := heard.callAt(event.OutputIndex)
		c.arguments = keep(c.arguments, event.Delta, mostArguments)
	case "response.function_call_arguments.done":
		c := heard.callAt(event.OutputIndex)
		if c.arguments, c.open = keep(nil, event.Arguments, mostArguments), false; c.name != "" {
			return a.judgeCall(heard, c, true, offers)
		}
	case "response.output_item.done":
		if event.Item.Type == "function_call" {
			heard.take(event.OutputIndex, &event.Item)
			return a.judgeCall(heard, heard.callAt(event.OutputIndex), true, offers)
		}
		if !heard.said && len(heard.refusal) == 0 { // of a server that sends no deltas
			heard.take(event.OutputIndex, &event.Item)
		}
	default:
		heard.said = heard.said || ResponsesSays(event) // sound, an image
	}
	return nil
}

// ResponsesSays is for Commit, on a stream of [ResponsesAgent]: it says whether an
// event has something in it that a reader would see or act on. That is text,
// sound or an image, and the end: an answer of tool calls alone is delivered when
// it is whole, for nobody can act on half of one. A refusal is none, so that it
// can still be recovered; neither is reasoning, see [ResponsesSaysThinking].
func ResponsesSays(event responses.ResponseStreamEventUnion) bool {
	switch event.Type {
	case "response.output_text.delta", "response.audio.delta", "response.audio.transcript.delta":
		return event.Delta != ""
	case "response.image_generation_call.partial_image":
		return true
	}
	return ResponsesEnds(event)
}

// ResponsesSaysThinking is [ResponsesSays] for a reader who is shown the reasoning:
// it commits too.
func ResponsesSaysThinking(event responses.ResponseStreamEventUnion) bool {
	return ResponsesSays(event) || event.Delta != "" && strings.HasPrefix(event.Type, "response.reasoning") && strings.HasSuffix(event.Type, ".delta")
}

// ResponsesAlive is for Alive: it says whether the model is at work, in text,
// reasoning, a call of a tool or one of the provider's own tools.
func ResponsesAlive(event responses.ResponseStreamEventUnion) bool {
	return event.Type != "" && !strings.HasPrefix(event.Type, "keepalive") && event.Type != "ping"
}

// ResponsesEnds is for Complete: it says whether an event is the terminal marker.
func ResponsesEnds(event responses.ResponseStreamEventUnion) bool {
	switch event.Type {
	case "response.completed", "response.incomplete", "response.failed":
		return true
	}
	return false
}

// ResponsesModel returns a function that asks another model the same, for
// FallbackVia.
func ResponsesModel(name sdk.ResponsesModel) func(context.Context, responses.ResponseNewParams) (responses.ResponseNewParams, error) {
	return func(_ context.Context, params responses.ResponseNewParams) (responses.ResponseNewParams, error) {
		params.Model = name
		return params, nil
	}
}
