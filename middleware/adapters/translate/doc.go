// Package translate lets a conversation survive a change of provider: an agent of
// OpenAI, Anthropic or Gemini stands in for one of another provider, is handed a
// history that it can read, and the first one can read what it finds when it comes
// back.
//
//	import (
//		"github.com/understudy-go/understudy/middleware"
//		"github.com/understudy-go/understudy/middleware/adapters/anthropic"
//		"github.com/understudy-go/understudy/middleware/adapters/openai"
//		"github.com/understudy-go/understudy/middleware/adapters/translate"
//	)
//
//	narrator, err := middleware.Wrap(anthropic.Messages(claude)).
//		Use(middleware.StageAgent, translate.MendingAnthropic).
//		Fallback("gpt", translate.OpenAIForAnthropic(openai.Chat(gpt), "gpt-5")).
//		Build()
//	message, err := narrator.Run(ctx, params) // params and message are Anthropic's, whoever answers
//
// The history stays in the form of the first provider. Each turn it goes through
// one of two doors:
//
//	            ┌── mended ─────────────────────────────► claude ──┐
//	history ────┤   ids, pairs, foreign thoughts                   ├──► answer, appended
//	(Anthropic) └── read ── neutral ── written ─► gpt ── read ── written
//	                          │
//	                          └ no counterpart? an UnsupportedError; the next stand-in is asked
//
// There is a function for each of the six directions, [OpenAIForAnthropic] and its
// neighbours, and one that mends for each provider: [MendAnthropic], [MendOpenAI],
// [MendGemini]; as layers [MendingAnthropic], [MendingOpenAI], [MendingGemini].
// They keep no state and are safe for concurrent use; requests are not written to.
// Whole answers only: a stream is not translated. [Stay] keeps a conversation with
// whoever answered it last, if you like.
//
// # What is carried
//
// The system prompt, turns of text and pictures, tool calls and their results,
// tools with their JSON schemas, the tool choice, parallel calls, the format of the
// answer, max tokens, temperature, top_p, top_k, penalties, seed and stop
// sequences, as far as the other provider has a word for it. Of the answer: text,
// calls, why it ended, its model's name and two sums of tokens.
//
// # What is left out
//
// These say nothing to another provider:
//
//   - Thoughts and their signatures, which only their own model can read; how much
//     the first model thinks, which says nothing about the second (change says it).
//   - Cache hints, user ids, metadata, service tiers, store, labels, log
//     probabilities, the client's own settings: they are about an account, not
//     about the conversation.
//   - Sources beside a text (citations, annotations, grounding): the text is whole.
//   - The detail and the display name of a picture, and of Gemini its resolution.
//   - strict of a tool, for Gemini alone, which has no such promise: check the
//     arguments as ever.
//   - Details of usage: of the tokens the two sums remain.
//
// All else that has no counterpart is an [UnsupportedError] with the field's name:
// documents, sound, the provider's own tools, several answers, a safety setting, a
// conversation that is kept elsewhere (previous_response_id, cachedContent), an
// answer begun (prefill), and every field that this package does not know. Names of
// tools are not changed, for the answer would call what nobody knows.
//
// # The rules of histories
//
//   - An id of a call stays as it is if the other provider takes it (OpenAI: at most
//     40 characters; Anthropic: letters, digits, _ and -). If not, and if it is used
//     twice, it becomes a hash of itself: the same one every time, in the call and in
//     its result, and no two the same.
//   - A result stands right behind its call, in the order of the calls. A call
//     without one gets a result that is an error and says so; no tool ever seems to
//     have run. A result without a call becomes text that says what it is.
//   - OpenAI has no field for a result that is an error: it begins with "[error] ".
//     In Gemini it is the field "error". What is text there is "output".
//   - OpenAI and Gemini read no pictures in results: they follow behind.
//   - Turns alternate and begin with the user, except with OpenAI. Empty texts go. A
//     system prompt in the middle joins the one at the top, except with OpenAI.
//   - Anthropic wants max_tokens: [MaxTokens] if nobody says. A history with calls
//     and a request without tools gets the tools by name, and may call none.
//   - Anthropic wants a thought before a call if it shall think with a budget. In a
//     turn that somebody else began there is none, so thinking is off for it, and on
//     again in the next turn. Adaptive thinking stays on: it asks for none.
//   - Gemini 3 wants a signature with a call. One that somebody else made gets the
//     value that Google documents for it, in the turn that goes on.
//   - Schemas go to Gemini as JSON schemas (ParametersJsonSchema), with $ref and
//     additionalProperties.
//
// # Traps
//
//   - Mend the first provider too, or its own rules end the conversation when it
//     comes back.
//   - A number beyond 2^53 in a call's arguments would be rounded by Gemini's client:
//     it is an UnsupportedError.
//   - A picture by its address goes to Gemini only if its name says what it is
//     (.png). Others read it in their own ways: the picture itself is safer.
//   - Prompt caches are of one provider: the first turn elsewhere costs its full
//     price.
package translate
