package openai

import (
	"context"
	"iter"
	"net/http"
	"slices"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/strategies"
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
// reason not to be, one of the constants or any word of the provider's:
// Accept(Length) for texts that may be cut short. Half a tool call is still none;
// see [Arguments].
func (a *ChatAgent) Accept(reasons ...string) *ChatAgent {
	return &ChatAgent{a.accepting(reasons), a.completions}
}

// Run asks for a completion, once. The error is the client's own, a
// [strategies.AnswerError] whose Answer is the *sdk.ChatCompletion, or an
// [HTTPError].
func (a *ChatAgent) Run(ctx context.Context, params sdk.ChatCompletionNewParams) (*sdk.ChatCompletion, error) {
	var resp *http.Response
	completion, err := a.completions.New(ctx, params, a.call(&resp)...)
	if err != nil {
		return nil, explain(err, resp)
	}
	if completion != nil {
		cost := spent{}
		cost.chat(completion.Model, completion.Usage)
		cost.report(ctx, a.prices, params.Model)
	}
	if e := a.check(completion, offered(&resp, params)); e != nil {
		return nil, e
	}
	return completion, nil
}

func (a *ChatAgent) check(completion *sdk.ChatCompletion, offers func(string) bool) *strategies.AnswerError {
	if completion == nil {
		return (&answer{}).none(Empty, strategies.ClassInvalidAnswer, nil) // the body was "null"
	}
	var e *strategies.AnswerError
	if len(completion.Choices) == 0 {
		if field, ok := completion.JSON.ExtraFields["error"]; ok {
			return failed(field.Raw(), completion) // OpenRouter
		}
		if a.minds(Empty) {
			e = (&answer{}).none(Empty, strategies.ClassInvalidAnswer, nil)
		}
	}
	for i := range completion.Choices {
		if e != nil {
			break
		}
		e = a.judgeChoice(int64(i), said(&completion.Choices[i]), offers)
	}
	if e != nil {
		e.Answer = completion
	}
	return e
}

// said is what a choice says.
func said(c *sdk.ChatCompletionChoice) *answer {
	a := &answer{seen: true, finish: c.FinishReason, said: c.Message.Audio.ID != ""}
	a.says(c.Message.Content)
	a.refuses(c.Message.Refusal)
	for i, t := range c.Message.ToolCalls {
		a.hear(int64(i), t.ID, t.Type, t.Function.Name, t.Function.Arguments)
	}
	//lint:ignore SA1019 old servers call functions so
	if f := c.Message.FunctionCall; f.Name != "" || f.Arguments != "" {
		a.hear(-1, "", "", f.Name, f.Arguments)
	}
	return a
}

// Stream asks for a completion in chunks, once. A reason why it is no answer
// comes in the place of the chunk that would end it, which is its Answer. After
// that chunk the answer is whole, whatever becomes of the connection.
func (a *ChatAgent) Stream(ctx context.Context, params sdk.ChatCompletionNewParams) iter.Seq2[sdk.ChatCompletionChunk, error] {
	return func(yield func(sdk.ChatCompletionChunk, error) bool) {
		var none sdk.ChatCompletionChunk
		var resp *http.Response
		stream := a.completions.NewStreaming(ctx, params, a.call(&resp)...)
		defer func() { _ = stream.Close() }() // nothing is lost by a failure to leave
		all, offers := make(choices, 0, 4), offered(&resp, params)
		cost := spent{}
		defer func() { cost.report(ctx, a.prices, params.Model) }()
		for stream.Next() {
			chunk := stream.Current()
			all = all.hear(chunk)
			cost.chat(chunk.Model, chunk.Usage)
			if e := all.ending(a.settings, chunk, offers); e != nil {
				if params.StreamOptions.IncludeUsage.Value && cost.usage.TokensIn == 0 && stream.Next() {
					next := stream.Current() // it comes after the end, of what is no answer too
					cost.chat(next.Model, next.Usage)
				}
				yield(none, e)
				return
			}
			if !yield(chunk, nil) {
				return
			}
		}
		if err := stream.Err(); err != nil {
			if !all.ended(max(1, params.N.Value)) {
				yield(none, explain(err, resp))
			}
			return
		}
		if e := all.end(a.settings, offers); e != nil {
			yield(none, e)
		}
	}
}

// choices are those of one answer, by their index.
type choices []answer

// most is how many choices the API gives at most.
const most = 128

// hear takes note of a chunk.
func (all choices) hear(chunk sdk.ChatCompletionChunk) choices {
	for _, c := range chunk.Choices {
		if c.Index < 0 || c.Index >= most {
			continue
		}
		for int64(len(all)) <= c.Index {
			all = append(all, answer{})
		}
		one := &all[c.Index]
		one.seen, one.said = true, one.said || c.Delta.Audio.ID != ""
		one.says(c.Delta.Content)
		one.refuses(c.Delta.Refusal)
		for _, t := range c.Delta.ToolCalls {
			one.hear(t.Index, t.ID, t.Type, t.Function.Name, t.Function.Arguments)
		}
		//lint:ignore SA1019 old servers call functions so
		if f := c.Delta.FunctionCall; f.Name != "" || f.Arguments != "" {
			one.hear(-1, "", "", f.Name, f.Arguments)
		}
		if c.FinishReason != "" {
			one.finish = c.FinishReason
		}
	}
	return all
}

// ending judges the choices that a chunk ends: the first one, and the tool calls
// of the others.
func (all choices) ending(s settings, chunk sdk.ChatCompletionChunk, offers func(string) bool) *strategies.AnswerError {
	for _, c := range chunk.Choices {
		if c.FinishReason == "" || c.Index < 0 || c.Index >= most {
			continue
		}
		if e := s.judgeChoice(c.Index, &all[c.Index], offers); e != nil {
			e.Answer = chunk
			return e
		}
	}
	return nil
}

// ended says whether that many choices, and all that were begun, have come to
// their end.
func (all choices) ended(least int64) bool {
	for i := range all {
		if all[i].finish != "" {
			least--
		} else if all[i].seen {
			return false
		}
	}
	return least <= 0
}

// end judges a stream that is over.
func (all choices) end(s settings, offers func(string) bool) *strategies.AnswerError {
	if len(all) == 0 {
		all = choices{{}}
	}
	for i := range all {
		if one := &all[i]; one.finish == "" && (one.seen || i == 0) {
			if s.minds(Unfinished) {
				return one.none(Unfinished, strategies.ClassInvalidAnswer, nil)
			}
			if e := s.judgeChoice(int64(i), one, offers); e != nil {
				return e
			}
		}
	}
	return nil
}

// Says is for Commit, on a stream of [ChatAgent]: it says whether a chunk has
// something in it that a reader would see or act on. That is text or sound, and
// the end of the first choice: an answer of tool calls alone is delivered when it
// is whole, for nobody can act on half of one. A refusal is none, so that it can
// still be recovered; neither is reasoning, see [SaysThinking].
func Says(chunk sdk.ChatCompletionChunk) bool {
	return slices.ContainsFunc(chunk.Choices, func(c sdk.ChatCompletionChunkChoice) bool {
		return c.Delta.Content != "" || c.Delta.Audio.ID != "" || c.Index == 0 && c.FinishReason != ""
	})
}

// SaysThinking is [Says] for a reader who is shown the reasoning that some
// compatible servers send: it commits too.
func SaysThinking(chunk sdk.ChatCompletionChunk) bool {
	return Says(chunk) || slices.ContainsFunc(chunk.Choices, func(c sdk.ChatCompletionChunkChoice) bool {
		for _, name := range [...]string{"reasoning_content", "reasoning"} {
			if raw := c.Delta.JSON.ExtraFields[name].Raw(); raw != "" && raw != `""` && raw != "null" {
				return true
			}
		}
		return false
	})
}

// Alive is for Alive: it says whether the model is at work, in text, reasoning, a
// call of a tool or anything else. A chunk with nothing in it is a heartbeat.
func Alive(chunk sdk.ChatCompletionChunk) bool {
	return SaysThinking(chunk) || slices.ContainsFunc(chunk.Choices, func(c sdk.ChatCompletionChunkChoice) bool {
		//lint:ignore SA1019 old servers call functions so
		return len(c.Delta.ToolCalls) > 0 || c.Delta.Refusal != "" || c.Delta.FunctionCall.Name != "" || c.Delta.FunctionCall.Arguments != "" || c.FinishReason != ""
	})
}

// Ends is for Complete: it says whether a chunk ends its choice. [ChatAgent]
// itself waits for the end of every choice.
func Ends(chunk sdk.ChatCompletionChunk) bool {
	return slices.ContainsFunc(chunk.Choices, func(c sdk.ChatCompletionChunkChoice) bool { return c.FinishReason != "" })
}
