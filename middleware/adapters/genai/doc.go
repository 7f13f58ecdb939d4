// Package genai makes the official Gemini client an agent that can be wrapped:
// every way in which an answer of it can be none becomes an error with a class,
// and the client's own retries are switched off.
//
//	import (
//		sdk "google.golang.org/genai"
//		"github.com/understudy-go/understudy/middleware"
//		"github.com/understudy-go/understudy/middleware/adapters/genai"
//		"github.com/understudy-go/understudy/strategies"
//	)
//
//	client, err := sdk.NewClient(ctx, nil)
//	models := genai.Models(client)
//	narrator, err := middleware.Wrap(models).
//		Retry(strategies.Retry{}).
//		Timeout(30*time.Second).
//		FallbackVia("large window", models, genai.Model("gemini-2.5-pro")).
//		Degrade(strategies.LevelReduced, genai.Reply("The innkeeper shrugs.")).
//		Build()
//	response, err := narrator.Run(ctx, genai.Request{
//		Model: "gemini-2.5-flash", Contents: sdk.Text("Who is at the door?"),
//	})
//
// The agent stands at the bottom of the chain; what it adds to the client is
// between the two lines:
//
//	retry ── breaker ── timeout ── │ ModelsAgent                        │ ── sdk.Client ── wire
//	                               │   ── Request ─────────────────────►│     (attempts: 1)
//	                               │ ◄── an answer, or an error with    │
//	                               │     a class, the answer within it  │
//
// # Streams
//
// The same agent streams. Says and Ends tell the builder which chunk is the
// first that counts (Vertex AI opens with an empty text and usage) and which is
// the terminal marker:
//
//	stream, err := middleware.WrapStream(genai.Models(client)).
//		Commit(genai.Says).
//		Alive(genai.Alive). // for Idle: pieces of a call are signs of life
//		Complete(genai.Ends).
//		Retry(strategies.Retry{}).
//		Build()
//
// Without Commit the first chunk commits, whatever it is, and next to nothing is
// recoverable. With it text commits, and function calls and thoughts do not: an
// answer of calls alone is held back until it is whole, and then delivered complete,
// so that everything before its end can be asked for again. Timeout, the time until
// the commit, must leave it the time to be written. Who shows the thoughts says
// Commit(genai.SaysThinking).
//
// A stream is judged before the chunk that ends it is delivered: the end that a
// reader sees is that of an answer. After it the connection may do as it likes.
//
// # What comes with status 200 and is no answer
//
// Whole is an answer that ended with STOP; see [strategies.ClassOfFinish]. A blocked
// prompt and a candidate held back for its content (SAFETY, RECITATION, SPII and
// their kin) are [strategies.ClassBlocked]. Every other finish reason, also one that
// nobody knows or none, an answer that is empty but for its thoughts, and a stream
// without its end are [strategies.ClassInvalidAnswer]: asked for again, at most twice,
// then of a stand-in. So is an answer with a function call that must not be run: it
// has not come whole, or the request did not declare such a function. The tools that
// the API runs are left alone.
//
// The error is a [strategies.AnswerError]. Its Reason is the API's word or one of the
// constants here, and its Answer is the response, of a stream the chunk that would
// have ended it; what was delivered is in middleware.Sent. Reasons that are fine with
// the caller are accepted, also those that nobody knows:
// Models(client).Accept(sdk.FinishReasonMaxTokens). A call that the limit may have cut
// is none of a text that may be cut short: that is Arguments.
//
// With several candidates the first decides, for it is the one that is read; a
// function call that must not be run is an error in any of them.
//
// # Traps
//
//   - The client retries only if its HTTPOptions.RetryOptions say so, without
//     regard for the wait that Google names, and a daily quota too. The agent asks
//     for one attempt with every call: leave RetryOptions out.
//   - The wait comes in the body (RetryInfo) and is known. A Retry-After header, as
//     proxies send it, is dropped by the client: put an httphint.Transport into its
//     ClientConfig.HTTPClient.
//   - The client goes on with an answer that ends in a continuation token, also
//     after its connection broke: one call, several requests. Nothing is said twice,
//     so it is left on; GenerateContentConfig.AutomaticContinuation turns it off.
//   - The client takes a comment in an event stream, with which proxies keep it alive,
//     for a broken chunk. The agent makes the client again, with a transport around
//     yours that leaves out what is no data; yours stays as it is. Other calls of the
//     client do not have it.
//   - What an answer has cost is reported to the call, money only by an agent that is
//     Priced; see middleware.UsageLimits.
//   - A request that has functions from elsewhere (a cache, MCP servers, the computer
//     use tool, an ExtraBody) may call any.
//   - HTTPOptions.Timeout and the builder's Timeout both end an attempt; use the
//     builder's.
//   - The client's error is a value: errors.AsType[sdk.APIError], without a star.
//   - Since v1.76 an error in the middle of a stream is an error; before, it was an
//     empty chunk. Do not go below.
//   - Both packages are called genai: import one of them by another name.
package genai
