package openai

import (
	"context"
	"iter"
	"net/http"
	"slices"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// ChatAgent answers chat completions, whole or as a stream. It is safe for
// concurrent use, as its client is.
type ChatAgent struct {
	settings
	completions sdk.ChatCompletionService
}

// Chat makes the chat completions of a client an agent. The options go with
// every call; the client's retries are off, also if an option says otherwise.
func Chat(client sdk.Client, options ...option.RequestOption) *ChatAgent {
	return &ChatAgent{settings{options: slices.Clone(options)}, client.Chat.Completions}
}

// Accept returns an agent that takes an answer for one although it has such a
// reason not to be: Accept(Length) for texts that may be cut short.
func (a *ChatAgent) Accept(reasons ...Reason) *ChatAgent {
	return &ChatAgent{a.accepting(reasons), a.completions}
}

// Run asks for a completion, once. The error is the client's own, an
// [AnswerError], or an [HTTPError].
func (a *ChatAgent) Run(ctx context.Context, params sdk.ChatCompletionNewParams) (*sdk.ChatCompletion, error) {
	var resp *http.Response
	completion, err := a.completions.New(ctx, params, a.call(&resp)...)
	if err != nil {
		return nil, explain(err, resp)
	}
	if err := a.check(completion); err != nil {
		return nil, err
	}
	return completion, nil
}

func (a *ChatAgent) check(completion *sdk.ChatCompletion) error {
	if completion == nil {
		return &AnswerError{Reason: Empty} // the body was "null"
	}
	if len(completion.Choices) == 0 {
		if field, ok := completion.JSON.ExtraFields["error"]; ok {
			return failed(field.Raw(), completion, nil) // OpenRouter
		}
	}
	all := make(choices, 0, 4)
	for _, c := range completion.Choices {
		all = append(all, choice{seen: true, finish: c.FinishReason, said: spoken(c.Message), refusal: c.Message.Refusal})
	}
	if e := all.judge(a.settings); e != nil {
		e.Completion = completion
		return e
	}
	return nil
}

func spoken(m sdk.ChatCompletionMessage) bool {
	//lint:ignore SA1019 old servers call functions so
	return m.Content != "" || len(m.ToolCalls) > 0 || m.FunctionCall.Name != "" || m.Audio.ID != ""
}

// Stream asks for a completion in chunks, once. A reason why it is no answer
// comes at its end, after what there was of it.
func (a *ChatAgent) Stream(ctx context.Context, params sdk.ChatCompletionNewParams) iter.Seq2[sdk.ChatCompletionChunk, error] {
	return func(yield func(sdk.ChatCompletionChunk, error) bool) {
		var resp *http.Response
		stream := a.completions.NewStreaming(ctx, params, a.call(&resp)...)
		defer func() { _ = stream.Close() }() // nothing is lost by a failure to leave
		all := make(choices, 0, 4)
		for stream.Next() {
			chunk := stream.Current()
			all = all.hear(chunk)
			if !yield(chunk, nil) {
				return
			}
		}
		if err := stream.Err(); err != nil {
			yield(sdk.ChatCompletionChunk{}, explain(err, resp))
			return
		}
		if e := all.end(a.settings); e != nil {
			yield(sdk.ChatCompletionChunk{}, e)
		}
	}
}

// choice is what is known of one choice of an answer.
type choice struct {
	seen    bool
	finish  string
	said    bool // text, a tool call or sound
	refusal string
}

func (c choice) reason() Reason {
	switch {
	case c.refusal != "":
		return Refusal
	case c.finish == "content_filter":
		return ContentFilter
	case c.finish == "length":
		return Length
	case c.finish == "error": // OpenRouter
		return Failed
	case !c.said:
		return Empty
	}
	return ""
}

// choices are those of one answer, by their index.
type choices []choice

// judge says why none of them is an answer, by the first; or nil.
func (all choices) judge(s settings) *AnswerError {
	var e *AnswerError
	for _, c := range all {
		if !c.seen {
			continue
		}
		reason := c.reason()
		if reason == Length && !c.said && s.accepts(Length) {
			reason = Empty // cut before its first word
		}
		if reason == "" || s.accepts(reason) {
			return nil
		}
		if e == nil {
			e = &AnswerError{Reason: reason, Text: c.refusal}
		}
	}
	if e == nil && !s.accepts(Empty) {
		e = &AnswerError{Reason: Empty}
	}
	return e
}

// most is how many choices the API gives at most.
const most = 128

// hear takes note of a chunk.
func (all choices) hear(chunk sdk.ChatCompletionChunk) choices {
	for _, c := range chunk.Choices {
		if c.Index < 0 || c.Index >= most {
			continue
		}
		for int64(len(all)) <= c.Index {
			all = append(all, choice{})
		}
		one := &all[c.Index]
		one.seen, one.said = true, one.said || spokenIn(c.Delta)
		if c.Delta.Refusal != "" {
			one.refusal += c.Delta.Refusal
		}
		if c.FinishReason != "" {
			one.finish = c.FinishReason
		}
	}
	return all
}

// end judges a stream, which must have come to the end of every choice.
func (all choices) end(s settings) *AnswerError {
	whole := false
	for _, c := range all {
		if c.seen && c.finish == "" && !s.accepts(Unfinished) {
			return &AnswerError{Reason: Unfinished}
		}
		whole = whole || c.seen
	}
	if !whole && !s.accepts(Unfinished) {
		return &AnswerError{Reason: Unfinished}
	}
	return all.judge(s)
}

func spokenIn(d sdk.ChatCompletionChunkChoiceDelta) bool {
	//lint:ignore SA1019 old servers call functions so
	return d.Content != "" || len(d.ToolCalls) > 0 || d.FunctionCall.Name != "" || d.Audio.ID != ""
}

// Says is for Commit: it says whether a chunk has something in it that a reader
// would see: text, sound, a tool call, or the reasoning that some compatible
// servers send. A refusal is none, so that it can still be recovered.
func Says(chunk sdk.ChatCompletionChunk) bool {
	for _, c := range chunk.Choices {
		if spokenIn(c.Delta) {
			return true
		}
		for _, name := range [...]string{"reasoning_content", "reasoning"} {
			if raw := c.Delta.JSON.ExtraFields[name].Raw(); raw != "" && raw != `""` && raw != "null" {
				return true
			}
		}
	}
	return false
}

// Ends is for Complete: it says whether a chunk ends its choice. [ChatAgent]
// itself waits for the end of every choice.
func Ends(chunk sdk.ChatCompletionChunk) bool {
	for _, c := range chunk.Choices {
		if c.FinishReason != "" {
			return true
		}
	}
	return false
}
