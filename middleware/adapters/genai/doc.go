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
//		Complete(genai.Ends).
//		Retry(strategies.Retry{}).
//		Build()
//
// Without Commit the first chunk commits, whatever it is, and next to nothing is
// recoverable.
//
// # What comes with status 200 and is no answer
//
// A blocked prompt and a candidate held back for its content (SAFETY,
// RECITATION, SPII and their kin) are [strategies.ClassBlocked]. Every other finish
// reason than STOP, an empty answer and a stream without its end are
// [strategies.ClassInvalidAnswer]: asked for again, at most twice, then of a stand-in.
// The error is an [AnswerError] and holds the response. Reasons that are fine
// with the caller are accepted: Models(client).Accept(sdk.FinishReasonMaxTokens).
//
// With several candidates one good candidate makes a good answer.
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
//   - HTTPOptions.Timeout and the builder's Timeout both end an attempt; use the
//     builder's.
//   - The client's error is a value: errors.AsType[sdk.APIError], without a star.
//   - Since v1.76 an error in the middle of a stream is an error; before, it was an
//     empty chunk. Do not go below.
//   - Both packages are called genai: import one of them by another name.
package genai
