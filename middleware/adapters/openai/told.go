package openai

import (
	"context"
	"slices"
	"strings"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Told is for RetryVia: the next request holds the model's last answer and what was
// wrong with it. Of a text that is one more turn of the assistant's and one of the
// user's; of tool calls, each is answered with why it was not run. An answer that is
// longer than 8 KiB, or whose calls are no whole JSON, is left out, and the user alone
// speaks. Other failures leave the request as it is.
func Told(_ context.Context, params sdk.ChatCompletionNewParams, failure middleware.Failure) (sdk.ChatCompletionNewParams, error) {
	reason := failure.Reason()
	if reason == "" {
		return params, nil
	}
	params.Messages = slices.Clone(params.Messages)
	answer, text := failure.Answer()
	if completion, ok := answer.(*sdk.ChatCompletion); ok && completion != nil && len(completion.Choices) > 0 {
		message := completion.Choices[0].Message
		if text = message.Content; len(message.ToolCalls) > 0 && callsWhole(message.ToolCalls) && len(text) <= mostTold {
			params.Messages = append(params.Messages, message.ToParam())
			for _, t := range message.ToolCalls {
				params.Messages = append(params.Messages, sdk.ToolMessage("This was not run. "+told(reason), t.ID))
			}
			return params, nil
		}
	}
	if worthTelling(text) {
		params.Messages = append(params.Messages, sdk.AssistantMessage(text))
	}
	params.Messages = append(params.Messages, sdk.UserMessage(told(reason)))
	return params, nil
}

// ResponsesTold is [Told] for the Responses API. Only text is repeated.
func ResponsesTold(_ context.Context, params responses.ResponseNewParams, failure middleware.Failure) (responses.ResponseNewParams, error) {
	reason := failure.Reason()
	if reason == "" {
		return params, nil
	}
	answer, text := failure.Answer()
	if response, ok := answer.(*responses.Response); ok && response != nil {
		text = response.OutputText()
	}
	items := slices.Clone(params.Input.OfInputItemList)
	if params.Input.OfString.Valid() {
		items = append(items, responses.ResponseInputItemParamOfMessage(params.Input.OfString.Value, responses.EasyInputMessageRoleUser))
	}
	if worthTelling(text) {
		items = append(items, responses.ResponseInputItemParamOfMessage(text, responses.EasyInputMessageRoleAssistant))
	}
	items = append(items, responses.ResponseInputItemParamOfMessage(told(reason), responses.EasyInputMessageRoleUser))
	params.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: items}
	return params, nil
}

// mostTold is how much of a text is sent back to the model that wrote it.
const mostTold = 8 << 10

func worthTelling(text string) bool { return len(text) <= mostTold && strings.TrimSpace(text) != "" }

// callsWhole says whether calls can stand in a history: servers read their arguments.
func callsWhole(calls []sdk.ChatCompletionMessageToolCallUnion) bool {
	return !slices.ContainsFunc(calls, func(t sdk.ChatCompletionMessageToolCallUnion) bool {
		return t.ID == "" || t.Type != "function" || len(t.Function.Arguments) > mostTold || !strategies.WholeArguments(t.Function.Arguments)
	})
}

func told(reason string) string {
	return "Your last answer to this could not be used: " + reason + ". Please answer again."
}
