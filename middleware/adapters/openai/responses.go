package openai

import (
	"context"
	"iter"
	"net/http"
	"slices"
	"strings"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
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
// reason not to be.
func (a *ResponsesAgent) Accept(reasons ...Reason) *ResponsesAgent {
	return &ResponsesAgent{a.accepting(reasons), a.service}
}

// Run asks for a response, once. The error is the client's own, an
// [AnswerError], or an [HTTPError]. A response that is still at work in the
// background is returned as it is.
func (a *ResponsesAgent) Run(ctx context.Context, params responses.ResponseNewParams) (*responses.Response, error) {
	var resp *http.Response
	response, err := a.service.New(ctx, params, a.call(&resp)...)
	if err != nil {
		return nil, explain(err, resp)
	}
	if e := a.check(response); e != nil {
		return nil, e
	}
	return response, nil
}

func (a *ResponsesAgent) check(response *responses.Response) *AnswerError {
	if response == nil {
		return &AnswerError{Reason: Empty} // the body was "null"
	}
	e := &AnswerError{Response: response}
	said, refusal := spokenOut(response.Output)
	switch response.Status {
	case responses.ResponseStatusQueued, responses.ResponseStatusInProgress:
		return nil
	case responses.ResponseStatusFailed:
		return failed(response.Error.RawJSON(), nil, response)
	case responses.ResponseStatusCancelled:
		e.Reason = Unfinished
	case responses.ResponseStatusIncomplete:
		e.Reason = Length
		if response.IncompleteDetails.Reason == "content_filter" {
			e.Reason = ContentFilter
		}
	}
	switch {
	case refusal != "":
		e.Reason, e.Text = Refusal, refusal
	case !said && (e.Reason == "" || e.Reason == Length && a.accepts(Length)):
		e.Reason = Empty
	}
	if e.Reason == "" || a.accepts(e.Reason) {
		return nil
	}
	return e
}

// spokenOut says whether there is text, or any item that is neither a message nor
// reasoning: a tool call, an image, a question for approval.
func spokenOut(output []responses.ResponseOutputItemUnion) (said bool, refusal string) {
	for _, item := range output {
		switch item.Type {
		case "reasoning":
		case "message":
			for _, part := range item.Content {
				said, refusal = said || part.Text != "", refusal+part.Refusal
			}
		default:
			said = true
		}
	}
	return said, refusal
}

// Stream asks for a response in events, once. A reason why it is no answer comes
// at its end, after what there was of it.
func (a *ResponsesAgent) Stream(ctx context.Context, params responses.ResponseNewParams) iter.Seq2[responses.ResponseStreamEventUnion, error] {
	return func(yield func(responses.ResponseStreamEventUnion, error) bool) {
		var none responses.ResponseStreamEventUnion
		var resp *http.Response
		stream := a.service.NewStreaming(ctx, params, a.call(&resp)...)
		defer func() { _ = stream.Close() }() // nothing is lost by a failure to leave
		end, said := &AnswerError{Reason: Unfinished}, false
		for stream.Next() {
			event := stream.Current()
			said = said || ResponsesSays(event) && !strings.HasPrefix(event.Type, "response.reasoning")
			if event.Type == "error" {
				yield(none, failed(event.RawJSON(), nil, nil))
				return
			}
			if ResponsesEnds(event) {
				end = a.check(&event.Response)
				if end != nil && end.Reason == Empty && said {
					end = nil // not all servers repeat the answer in the last event
				}
			}
			if !yield(event, nil) {
				return
			}
		}
		if err := stream.Err(); err != nil {
			yield(none, explain(err, resp))
			return
		}
		if end != nil && !a.accepts(end.Reason) {
			yield(none, end)
		}
	}
}

// ResponsesSays is for Commit: it says whether an event has something in it that
// a reader would see: text, sound, reasoning, a tool call. A refusal is none, so
// that it can still be recovered.
func ResponsesSays(event responses.ResponseStreamEventUnion) bool {
	switch {
	case event.Type == "response.refusal.delta":
		return false
	case strings.HasSuffix(event.Type, ".delta"):
		return event.Delta != ""
	case strings.HasPrefix(event.Type, "response.output_item."):
		return event.Item.Type != "message" && event.Item.Type != "reasoning"
	}
	return event.Type == "response.image_generation_call.partial_image"
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
