package openai

import (
	"slices"
	"strings"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/understudy-go/understudy/strategies"
)

// Answer is for Check: the first choice of a completion, and the tool calls since the
// user's last message in the request.
func Answer(params sdk.ChatCompletionNewParams, completion *sdk.ChatCompletion) strategies.Answer {
	a := strategies.Answer{Before: callsBefore(params)}
	if completion == nil || len(completion.Choices) == 0 {
		return a
	}
	c := &completion.Choices[0]
	a.Text, a.Finish, a.Calls = c.Message.Content, c.FinishReason, said(c).functions()
	return a
}

// StreamAnswer is [Answer] for the Check of a stream. The calls are there once the
// choice has ended.
func StreamAnswer(params sdk.ChatCompletionNewParams) func(sdk.ChatCompletionChunk) strategies.Answer {
	a := strategies.Answer{Before: callsBefore(params)}
	all, text := choices{}, strings.Builder{}
	return func(chunk sdk.ChatCompletionChunk) strategies.Answer {
		all = all.hear(chunk)
		for _, c := range chunk.Choices {
			if c.Index == 0 {
				text.WriteString(c.Delta.Content)
			}
		}
		if len(all) > 0 && a.Finish != all[0].finish {
			a.Finish, a.Calls = all[0].finish, all[0].functions()
		}
		a.Text = text.String()
		return a
	}
}

// ResponsesAnswer is for Check: what a response says, and the function calls since the
// user's last message in its input.
func ResponsesAnswer(params responses.ResponseNewParams, response *responses.Response) strategies.Answer {
	a := strategies.Answer{Before: inputBefore(params)}
	if response != nil {
		readResponse(&a, response)
	}
	return a
}

// ResponsesStreamAnswer is [ResponsesAnswer] for the Check of a stream. The calls are
// there once the response has ended.
func ResponsesStreamAnswer(params responses.ResponseNewParams) func(responses.ResponseStreamEventUnion) strategies.Answer {
	a := strategies.Answer{Before: inputBefore(params)}
	heard, text, agent := &answer{}, strings.Builder{}, ResponsesAgent{}
	every := func(string) bool { return true }
	return func(event responses.ResponseStreamEventUnion) strategies.Answer {
		if event.Type == "response.output_text.delta" {
			text.WriteString(event.Delta)
		}
		agent.hear(heard, event, every)
		if a.Text = text.String(); ResponsesEnds(event) {
			a.Calls = heard.functions()
			readResponse(&a, &event.Response)
		}
		return a
	}
}

// readResponse reads what a response has; servers that do not repeat the answer at its
// end leave what was heard.
func readResponse(a *strategies.Answer, response *responses.Response) {
	a.Finish = string(response.Status)
	if response.IncompleteDetails.Reason != "" {
		a.Finish = response.IncompleteDetails.Reason
	}
	if len(response.Output) == 0 {
		return
	}
	heard := &answer{}
	for i := range response.Output {
		heard.take(int64(i), &response.Output[i])
	}
	a.Text, a.Calls = response.OutputText(), heard.functions()
}

// functions are the calls that are ours to run.
func (a *answer) functions() (all []strategies.ToolCall) {
	for i := range a.calls {
		if c := &a.calls[i]; c.function() {
			all = append(all, strategies.ToolCall{Name: c.name, Arguments: string(c.arguments)})
		}
	}
	return all
}

func callsBefore(params sdk.ChatCompletionNewParams) (all []strategies.ToolCall) {
	since := 0
	for i, m := range params.Messages {
		if m.OfUser != nil {
			since = i
		}
	}
	for _, m := range params.Messages[since:] {
		if m.OfAssistant == nil {
			continue
		}
		for _, t := range m.OfAssistant.ToolCalls {
			if t.OfFunction != nil {
				all = append(all, strategies.ToolCall{Name: t.OfFunction.Function.Name, Arguments: t.OfFunction.Function.Arguments})
			}
		}
	}
	return all
}

func inputBefore(params responses.ResponseNewParams) (all []strategies.ToolCall) {
	for _, item := range params.Input.OfInputItemList {
		if m := item.OfMessage; m != nil && m.Role == responses.EasyInputMessageRoleUser || item.OfInputMessage != nil {
			all = all[:0]
		}
		if f := item.OfFunctionCall; f != nil {
			all = append(all, strategies.ToolCall{Name: f.Name, Arguments: f.Arguments})
		}
	}
	return slices.Clip(all)
}
