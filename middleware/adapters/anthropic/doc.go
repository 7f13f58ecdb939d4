// Package anthropic makes the official Anthropic client an agent that can be
// wrapped: every way in which a message of it can be no answer becomes an error
// with a class, and the client's own retries are switched off.
//
//	import (
//		sdk "github.com/anthropics/anthropic-sdk-go"
//		"github.com/understudy-go/understudy/middleware"
//		"github.com/understudy-go/understudy/middleware/adapters/anthropic"
//		"github.com/understudy-go/understudy/strategies"
//	)
//
//	messages := anthropic.Messages(sdk.NewClient())
//	narrator, err := middleware.Wrap(messages).
//		Retry(strategies.Retry{}).
//		Timeout(30*time.Second).
//		FallbackVia("sonnet", messages, anthropic.Model("claude-sonnet-4-5")).
//		Degrade(strategies.LevelReduced, anthropic.Reply("The innkeeper shrugs.")).
//		Build()
//	message, err := narrator.Run(ctx, sdk.MessageNewParams{...})
//
// The agent stands at the bottom of the chain; what it adds to the client is
// between the two lines:
//
//	retry ── breaker ── timeout ── │ MessagesAgent                      │ ── sdk.Client ── wire
//	                               │   ── params ──────────────────────►│     (retries: 0)
//	                               │ ◄── an answer, or an error with    │
//	                               │     a class, the answer within it  │
//
// # Streams
//
// The same agent streams. Says and Ends tell the builder which event is the
// first that counts (message_start says nothing) and which is the terminal
// marker (message_stop):
//
//	stream, err := middleware.WrapStream(anthropic.Messages(client)).
//		Commit(anthropic.Says).
//		Alive(anthropic.Alive). // for Idle: pieces of a call are signs of life
//		Complete(anthropic.Ends).
//		Retry(strategies.Retry{}).
//		Build()
//
// Without Commit the first event commits, whatever it is, and next to nothing is
// recoverable. With it text commits, and tool calls and thinking do not: a message
// of tool calls alone is held back until it is whole, and then delivered complete,
// so that everything before its end can be asked for again. Timeout, the time until
// the commit, must leave it the time to be written. Who shows the thinking says
// Commit(anthropic.SaysThinking).
//
// A stream is judged before the event that says why it stopped is delivered: the
// end that a reader sees is that of an answer. After message_stop the connection may
// do as it likes.
//
// # What comes with status 200 and is no answer
//
// Whole is a message whose stop reason is known to be a whole one's, see
// [strategies.ClassOfFinish]. A refusal is [strategies.ClassBlocked], max_tokens is
// [strategies.ClassInvalidAnswer], model_context_window_exceeded is
// [strategies.ClassContextOverflow]; a stop reason that nobody knows, or none, a
// message that is empty but for its thinking, and a stream without its end are
// [strategies.ClassInvalidAnswer]. So is a message with a tool call that must not be
// run: its input is no whole JSON object, or the request did not offer such a tool.
// The tools that the API runs are left alone. An overload in the middle of a stream,
// whose status was 200, is known by its type.
//
// The error is a [strategies.AnswerError]. Its Reason is the API's word or one of the
// constants here, and its Answer is what came: *sdk.Message, or the
// sdk.MessageStreamEventUnion that would have ended a stream, whose text is in
// middleware.Sent. Reasons that are fine with the caller are accepted, also those that
// nobody knows: Messages(client).Accept(anthropic.Length). A tool call that the limit
// may have cut is none of a text that may be cut short: that is Arguments.
//
// # Traps
//
//   - The client retries twice by default, and sleeps as long as Retry-After says,
//     without a bound. The agent sends WithMaxRetries(0) with every call, after all
//     other options: leave the client's setting as it is.
//   - The client refuses to ask for a whole message with a MaxTokens that may take
//     more than 10 minutes, without sending anything: that is a
//     [strategies.ClassBadRequest] here. Use the stream.
//   - The client swallows pings, so that they do not move the builder's Idle clock.
//   - What an answer has cost is reported to the call, money only by an agent that is
//     Priced; see middleware.UsageLimits.
//   - A stream that fails after its first words is not retried, whoever is asked:
//     see Continue and Buffer of the builder.
//   - tool_use and pause_turn are answers: the one wants a tool's result, the other
//     to be sent back as it is, so that it may be empty.
//   - Both packages are called anthropic: import one of them by another name.
package anthropic
