// Package openai makes the official OpenAI client an agent that can be wrapped:
// every way in which an answer of it can be none becomes an error with a class,
// and the client's own retries are switched off.
//
//	import (
//		sdk "github.com/openai/openai-go/v3"
//		"github.com/understudy-go/understudy/middleware"
//		"github.com/understudy-go/understudy/middleware/adapters/openai"
//		"github.com/understudy-go/understudy/strategies"
//	)
//
//	chat := openai.Chat(sdk.NewClient())
//	narrator, err := middleware.Wrap(chat).
//		Retry(strategies.Retry{}).
//		Timeout(30*time.Second).
//		FallbackVia("large window", chat, openai.Model("gpt-4.1")).
//		Degrade(strategies.LevelReduced, openai.Reply("The innkeeper shrugs.")).
//		Build()
//	completion, err := narrator.Run(ctx, sdk.ChatCompletionNewParams{...})
//
// The agent stands at the bottom of the chain; what it adds to the client is
// between the two lines:
//
//	retry ── breaker ── timeout ── │ ChatAgent                          │ ── sdk.Client ── wire
//	                               │   ── params ──────────────────────►│     (retries: 0)
//	                               │ ◄── an answer, or an error with    │
//	                               │     a class, the answer within it  │
//
// # Streams
//
// The same agent streams. Says and Ends tell the builder which chunk is the
// first that counts (the client's first chunk has a role and no text) and which
// is the terminal marker:
//
//	stream, err := middleware.WrapStream(openai.Chat(client)).
//		Commit(openai.Says).
//		Alive(openai.Alive). // for Idle: pieces of a call are signs of life
//		Complete(openai.Ends).
//		Retry(strategies.Retry{}).
//		Build()
//
// Without Commit the first chunk commits, whatever it is, and next to nothing is
// recoverable. With it text commits, and tool calls and reasoning do not: an answer
// of tool calls alone is held back until it is whole, and then delivered complete,
// so that everything before its end can be asked for again. Timeout, the time until
// the commit, must leave it the time to be written. Who shows the reasoning says
// Commit(openai.SaysThinking).
//
// A stream is judged before the chunk that ends it is delivered: the end that a
// reader sees is that of an answer. After it the connection may do as it likes.
//
// # What comes with status 200 and is no answer
//
// Whole is an answer whose finish reason is known to be a whole one's, see
// [strategies.ClassOfFinish]; of responses it is the status that counts, and the
// reason why one is incomplete. A refusal and a content filter are
// [strategies.ClassBlocked]. An answer that is empty but for its reasoning, cut
// short by a token limit, or that ended for a reason nobody knows or for none is
// [strategies.ClassInvalidAnswer]. So is one with a tool call that must not be run:
// its arguments are no whole JSON object, or the request did not offer such a
// function. The tools that the provider runs, and custom ones, are left alone. An
// error in the body of a 200 (OpenRouter, a Responses call that failed) is what its
// code says.
//
// The error is a [strategies.AnswerError]. Its Reason is the provider's word or one
// of the constants here, and its Answer is what came: *sdk.ChatCompletion,
// *responses.Response, or the sdk.ChatCompletionChunk that would have ended a chat
// stream, whose text is in middleware.Sent. Reasons that are fine with the caller
// are accepted, also those that nobody knows: Chat(client).Accept(openai.Length).
// Half a tool call is none of a text that may be cut short: that is Arguments.
//
// With several choices (params.N) the first decides, for it is the one that is
// read; a tool call that must not be run is an error in any of them.
//
// # Traps
//
//   - The client retries twice by default, insufficient_quota included, so three
//     retries of ours would be twelve requests. The agent sends WithMaxRetries(0)
//     with every call, after all other options: leave the client's setting as it is.
//   - The client's WithRequestTimeout and the builder's Timeout both end an
//     attempt; use the builder's.
//   - A chat stream says what it has cost only if the request asks for it
//     (StreamOptions.IncludeUsage), and after its end: read it to the end. Money is
//     reported by an agent that is Priced; see middleware.UsageLimits.
//   - A stream that fails after its first words is not retried, whoever is asked:
//     see Continue and Buffer of the builder.
//   - A tool call is an answer. So is a Responses answer that asks for approval
//     (mcp_approval_request). One that is made in the background is not yet one:
//     Accept("queued", "in_progress", openai.Empty) returns it as it is.
//   - What is offered is read from the request that was sent. A request that has
//     tools from elsewhere (a stored prompt, the conversation before, a search for
//     tools) may call any.
//   - Both packages are called openai: import one of them by another name.
package openai
