package anthropic

import (
	"encoding/json"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/understudy-go/understudy/strategies"
)

// Answer is for Check: what a message says, and the tool calls since the user's last
// message in the request that was not a tool's result.
func Answer(params sdk.MessageNewParams, message *sdk.Message) strategies.Answer {
	a := strategies.Answer{Before: callsBefore(params)}
	if message == nil {
		return a
	}
	var text strings.Builder
	for _, block := range message.Content {
		text.WriteString(block.Text)
	}
	a.Text, a.Finish, a.Calls = text.String(), finish(string(message.StopReason)), said(message).functions()
	return a
}

// StreamAnswer is [Answer] for the Check of a stream. The calls are there once it says
// why it stopped.
func StreamAnswer(params sdk.MessageNewParams) func(sdk.MessageStreamEventUnion) strategies.Answer {
	a := strategies.Answer{Before: callsBefore(params)}
	m, text, agent := &answer{}, strings.Builder{}, MessagesAgent{}
	every := func(string) bool { return true }
	return func(event sdk.MessageStreamEventUnion) strategies.Answer {
		agent.hear(m, event, every)
		switch event.Type {
		case "content_block_start":
			text.WriteString(event.ContentBlock.Text)
		case "content_block_delta":
			text.WriteString(event.Delta.Text)
		}
		if a.Text = text.String(); a.Finish != finish(m.stop) {
			a.Finish, a.Calls = finish(m.stop), m.functions()
		}
		return a
	}
}

// finish is a stop reason as a check reads it: a turn that is paused is whole.
func finish(stop string) string {
	if stop == string(sdk.StopReasonPauseTurn) {
		return string(sdk.StopReasonEndTurn)
	}
	return stop
}

func (a *answer) functions() (all []strategies.ToolCall) {
	for i := range a.calls {
		all = append(all, strategies.ToolCall{Name: a.calls[i].name, Arguments: string(a.calls[i].input)})
	}
	return all
}

func callsBefore(params sdk.MessageNewParams) (all []strategies.ToolCall) {
	for _, m := range params.Messages {
		for _, block := range m.Content {
			switch {
			case m.Role == sdk.MessageParamRoleUser && block.OfToolResult == nil:
				all = nil
			case block.OfToolUse != nil:
				input, _ := json.Marshal(block.OfToolUse.Input) // what cannot be written was never sent
				all = append(all, strategies.ToolCall{Name: block.OfToolUse.Name, Arguments: string(input)})
			}
		}
	}
	return all
}
