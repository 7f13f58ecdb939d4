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
//		Complete(openai.Ends).
//		Retry(strategies.Retry{}).
//		Build()
//
// Without Commit the first chunk commits, whatever it is, and next to nothing is
// recoverable.
//
// # What comes with status 200 and is no answer
//
// A refusal and a content filter are [strategies.ClassBlocked]; an answer that is
// empty, cut short by a token limit, or without its end is
// [strategies.ClassInvalidAnswer]; an error in the body of a 200 (OpenRouter, a
// Responses call that failed) is what its code says. The error is an
// [AnswerError] and holds the answer. Reasons that are fine with the caller are
// accepted: Chat(client).Accept(openai.Length).
//
// With several choices (params.N) one good choice makes a good answer.
//
// # Traps
//
//   - The client retries twice by default, insufficient_quota included, so three
//     retries of ours would be twelve requests. The agent sends WithMaxRetries(0)
//     with every call, after all other options: leave the client's setting as it is.
//   - The client's WithRequestTimeout and the builder's Timeout both end an
//     attempt; use the builder's.
//   - A stream that fails after its first words is not retried, whoever is asked:
//     see Continue and Buffer of the builder.
//   - A tool call is an answer. So is a Responses answer that asks for approval
//     (mcp_approval_request), and one that is queued in the background.
//   - Both packages are called openai: import one of them by another name.
package openai
