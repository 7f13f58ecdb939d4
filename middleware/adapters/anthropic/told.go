package anthropic

import (
	"context"
	"slices"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Told is for RetryVia: the next request holds the model's last answer and what was
// wrong with it. The roles take turns: the assistant's message comes first, and in the
// user's one each tool call is answered with why it was not run. An answer that is
// longer than 8 KiB, that was refused by a policy, or whose calls are no whole JSON is
// left out, and the user's last message says it all. Other failures leave the request
// as it is.
func Told(_ context.Context, params sdk.MessageNewParams, failure middleware.Failure) (sdk.MessageNewParams, error) {
	reason := failure.Reason()
	if reason == "" {
		return params, nil
	}
	params.Messages = slices.Clone(params.Messages)
	told := sdk.NewTextBlock("Your last answer to this could not be used: " + reason + ". Please answer again.")
	n := len(params.Messages)
	if n == 0 || params.Messages[n-1].Role != sdk.MessageParamRoleUser {
		params.Messages = append(params.Messages, sdk.NewUserMessage(told))
		return params, nil
	}
	answer, text := failure.Answer()
	if message, ok := answer.(*sdk.Message); ok && message != nil {
		if replies, ok := repliesTo(message, reason); ok {
			params.Messages = append(params.Messages, message.ToParam(), sdk.NewUserMessage(append(replies, told)...))
			return params, nil
		}
		text = ""
	}
	if text = strings.TrimSpace(text); text != "" && len(text) <= mostTold {
		params.Messages = append(params.Messages, sdk.NewAssistantMessage(sdk.NewTextBlock(text)), sdk.NewUserMessage(told))
		return params, nil
	}
	last := params.Messages[n-1]
	last.Content = append(slices.Clone(last.Content), told)
	params.Messages[n-1] = last
	return params, nil
}

// mostTold is how much of an answer is sent back to the model that wrote it.
const mostTold = 8 << 10

// repliesTo answers the tool calls of a message. ok is false for one that cannot stand
// in a history, or that is not worth it.
func repliesTo(message *sdk.Message, reason string) (replies []sdk.ContentBlockParamUnion, ok bool) {
	size := 0
	for _, block := range message.Content {
		size += len(block.Text) + len(block.Input)
		switch {
		case block.Type == "text" && strings.TrimSpace(block.Text) == "":
			return nil, false // which the API refuses
		case block.Type == "tool_use":
			if len(block.Input) == 0 || !strategies.WholeArguments(string(block.Input)) {
				return nil, false
			}
			replies = append(replies, sdk.NewToolResultBlock(block.ID, "This was not run: "+reason+".", true))
		case block.Type != "text" && block.Type != "thinking" && block.Type != "redacted_thinking":
			return nil, false // the provider's own tools want results of theirs
		}
	}
	return replies, size > 0 && size <= mostTold && message.StopReason != sdk.StopReasonRefusal
}
