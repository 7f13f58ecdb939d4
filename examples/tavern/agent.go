package main

import (
	"context"
	"errors"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/strategies"
)

// A scene is what an agent is asked: what the player says now, and what was said before.
type scene struct {
	line   string
	before []exchange
}

type exchange struct{ line, answer string }

// An agent plays one part by asking a model.
type agent struct {
	client openai.Client
	model  string
	prompt string
}

func newClient(url, key string) openai.Client {
	return openai.NewClient(
		option.WithBaseURL(url),
		option.WithAPIKey(key),
		option.WithMaxRetries(0), // or each of our retries is three of the client's
	)
}

// Run asks the model. What is wrong with the call is an error of the client's, which the
// library recognises by its shape. What is wrong with an answer that came is for the agent to
// say, for only it knows what an answer is.
func (a *agent) Run(ctx context.Context, s scene) (string, error) {
	messages := []openai.ChatCompletionMessageParamUnion{openai.SystemMessage(a.prompt)}
	for _, e := range s.before {
		messages = append(messages, openai.UserMessage(e.line), openai.AssistantMessage(e.answer))
	}
	messages = append(messages, openai.UserMessage(s.line))
	completion, err := a.client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{Model: a.model, Messages: messages})
	if err != nil {
		return "", err
	}
	if len(completion.Choices) == 0 {
		return "", strategies.WithClass(strategies.ClassInvalidAnswer, errors.New("no choices"))
	}
	choice := completion.Choices[0]
	answer := printable(choice.Message.Content)
	switch {
	case choice.Message.Refusal != "":
		return "", strategies.WithClass(strategies.ClassBlocked, errors.New("the model refuses"))
	case choice.FinishReason == "content_filter":
		return "", strategies.WithClass(strategies.ClassBlocked, errors.New("stopped by the content filter"))
	case choice.FinishReason == "length":
		return "", strategies.WithClass(strategies.ClassInvalidAnswer, errors.New("the answer breaks off at its length limit"))
	case strings.Trim(answer, ". ") == "":
		return "", strategies.WithClass(strategies.ClassInvalidAnswer, errors.New("an empty answer"))
	}
	return answer, nil
}
