// Package genkit recovers the model and tool calls of genkit: one middleware
// with chains of this library inside, for calls that stream and calls that do
// not.
//
//	import (
//		sdk "github.com/firebase/genkit/go/genkit"
//		"github.com/understudy-go/understudy/middleware"
//		"github.com/understudy-go/understudy/middleware/adapters/genkit"
//		"github.com/understudy-go/understudy/strategies"
//	)
//
//	narrator, err := middleware.WrapStream(genkit.Next()).
//		Commit(genkit.Says).
//		Complete(genkit.Ends).
//		Retry(strategies.Retry{}).
//		Timeout(30*time.Second).
//		Fallback("large window", genkit.Model(sdk.LookupModel(g, "openai/gpt-4.1"))).
//		Degrade(strategies.LevelReduced, genkit.Reply("The innkeeper shrugs.")).
//		Build()
//	recovery := genkit.Recovery{Stream: narrator}
//
//	resp, err := sdk.Generate(ctx, g, ai.WithUse(recovery), ai.WithPrompt("Who is at the door?"))
//
// Build the chains once: breakers and budgets live in them. What stands where:
//
//	Generate ──► Recovery.model ──► retry ── breaker ── timeout ── Next() ──► model
//	   │ ▲                            │
//	   │ └── callback ◄── chunks ◄────┘ (from the first with content on, final)
//	   └───────► Recovery.tool ───► retry ── breaker ── timeout ── NextTool() ──► tool
//
// Only the one call that failed is made again: a retried model does not repeat
// the tools before it. Of an attempt that failed before its first content the
// user's callback sees nothing; one that fails later ends the call with
// [strategies.ClassCutOff] and is not repeated, so that no text comes twice.
//
// # One chain or two
//
// Recovery.Stream serves every call of a model. Its Timeout is the time until
// the first content; for a call without a callback, which has nothing but its
// end, that is the whole of it. Give Recovery.Model a chain of its own, made with
// middleware.Wrap(genkit.Next()), if those calls want other settings: let both
// share one breaker then.
//
// # Tools
//
// A tool without a chain is called as ever. One in Recovery.Tools, or any other if
// there is a Recovery.Tool, goes through its chain: see [NextTool] and [Output].
// Whether it may be retried is for who knows it to say; genkit has no word for a
// tool that may be called twice. An interrupt passes through as it is, and the
// call is resumed as ever.
//
// # Tools with side effects
//
// A flow that is asked again calls its tools again. [Effect] says of a tool's function
// what it does to the world, and a chain around the flow with Effects writes it down:
//
//	pay := sdk.DefineTool(g, "pay", "pays an order", genkit.Effect("pay", strategies.EffectOnce, pays))
//	...
//	guarded, err := middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
//		return sdk.GenerateText(ctx, g, ai.WithPrompt(q), ai.WithTools(pay)) // hand ctx on
//	}).Retry(strategies.Retry{}).Fallback("second", second).Effects(middleware.Effects{}).Build()
//
// Whoever asks for the same again within the call, which is the tool's name and its
// input, gets what was said the first time. Tools of others are named:
// Recovery{Effects: genkit.Effects{"mail/send": strategies.EffectOnce}}, which stands
// inside of their chains. Give the call an id with [middleware.WithCallID], and the same
// is true of a tool that is restarted after an interrupt. An error that leaves it open
// whether the tool has acted ends the call, and nobody repeats it: see
// [strategies.UncertainError].
//
// # What was recovered
//
// [ProvenanceOf] tells of a response how it came about: a reduced answer is
// marked as such in the metadata of its message.
//
// # Flows
//
// Wrap the function, and hand what was built to DefineFlow:
//
//	guarded, err := middleware.Wrap(genkit.Flow(tell)).Timeout(time.Minute).Build()
//	flow := sdk.DefineFlow(g, "tell", guarded.Run)
//
// # What comes without an error and is no whole answer
//
// It is a [strategies.AnswerError] that holds the response, and genkit runs no tool
// that it calls.
//
//   - A finish reason that is not known to be that of a whole answer, length for
//     one, and unknown: that is how a connection looks that ended too soon. What it
//     means is said by [strategies.ClassOfFinish]. Interrupted is what genkit says
//     above the chain, when a tool asks a person; of a model's answer it is one too,
//     for genkit would run that tool at once.
//   - [Unfinished]: no finish reason, of a model that tells anything of its answer,
//     as the plugins' models do in Custom or Raw: Gemini's stream, cut. A model by
//     hand that sets neither is taken at its word.
//   - [Empty]: nothing, or nothing but reasoning.
//   - [Arguments]: a tool call whose input is no whole object, and [UnknownTool]: one
//     that the request did not offer. genkit would run any tool that is registered.
//
// Reasons that are fine with the caller are accepted by their names:
// Next().Accept(ai.FinishReasonLength).
//
// A stream has said something with its first text, or at its end: a tool call can
// be begun anew until it is whole. Give Commit [SaysThinking] to show reasoning. Give
// the plugin's client a [Transport], so that a stream is whole whose finish reason
// has come, whatever the connection does afterwards.
//
// # Traps
//
//   - genkit's own Retry and Fallback (plugins/middleware) retry a stream whose
//     words the user has seen, and an exhausted quota: leave them out. Recovery
//     should be the first one in WithUse.
//   - The clients of the plugins for OpenAI and Anthropic retry twice, so three
//     retries of ours would be twelve requests: give the plugin
//     Opts: []option.RequestOption{option.WithMaxRetries(0)}.
//   - compat_oai with a BaseURL that does not end in "/" is a data race between
//     concurrent calls, in its client (openai-go v1.8.2).
//   - A wrapped ai.Model in WithModel is never called: genkit looks its name up.
//   - A flow that is retried repeats what its tools did, unless they are an [Effect],
//     and a tool that is retried what it streamed to the user.
//   - An output that does not fit its schema is found out behind the middleware:
//     use the builder's Validate to have it repeated.
//   - The plugin for Ollama says stop of every answer, also of one that was cut; that
//     for OpenAI's protocol says unknown of words that are not OpenAI's, and fails a
//     call without arguments: Accept(ai.FinishReasonUnknown) for servers that say eos.
//   - genkit asks for a genai that swallows errors in the middle of a stream; this
//     module asks for a newer one.
//   - Both packages are called genkit: import one of them by another name.
package genkit
