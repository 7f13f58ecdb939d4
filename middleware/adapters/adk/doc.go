// Package adk lets models and agents of Google's Agent Development Kit
// (google.golang.org/adk/v2) be wrapped, and be models and agents of it still:
// one line where the model is registered.
//
//	import (
//		"google.golang.org/adk/v2/agent/llmagent"
//		"google.golang.org/adk/v2/model/gemini"
//		"github.com/understudy-go/understudy/middleware"
//		"github.com/understudy-go/understudy/middleware/adapters/adk"
//		"github.com/understudy-go/understudy/strategies"
//	)
//
//	flash, err := gemini.NewModel(ctx, "gemini-2.5-flash", nil)
//	pro, err := gemini.NewModel(ctx, "gemini-2.5-pro", nil)
//	guarded, err := middleware.WrapStream(adk.LLM(flash)).
//		Commit(adk.Says).
//		Retry(strategies.Retry{}).
//		Timeout(20*time.Second).
//		Fallback("pro", adk.LLM(pro)).
//		Degrade(strategies.LevelReduced, adk.Reply("The innkeeper shrugs.")).
//		Build()
//	llm, err := adk.NewModel(flash, guarded)
//	narrator, err := llmagent.New(llmagent.Config{Name: "narrator", Model: llm})
//
// A model of the framework answers whole and streamed by one method, so one
// chain serves both; it stands between the framework and its models:
//
//	              ┌ NewModel ───────────────────────────────┐
//	llmagent ────►│ fallback ── retry ── timeout ── LLM ────│──► gemini, flash
//	              │     └────────────────────────── LLM ────│──► gemini, pro
//	              └─────────────────────────────────────────┘
//
// [LLM] copies the request for every attempt and puts the name of its own model
// in it: the framework writes that of the first, and Gemini believes the request.
// [NewModel] has the variant and the client of the first model if that has them,
// so that output schemas, telemetry and live sessions stay as they were.
//
// # What comes without an error and is no whole answer
//
// It is a [strategies.AnswerError], for every provider of the same type, and never
// given to the framework as an answer: it runs the tools that a response calls,
// whatever the finish reason says.
//
//   - A finish reason other than STOP, or an error code. What it means is said by
//     [strategies.ClassOfFinish]; what nobody knows is no whole answer either.
//   - [Unfinished]: a stream without its end, which the framework takes for whole,
//     or no finish reason at all, from Gemini and the framework's openaimodel. Of
//     other models it is expected only if they give one.
//   - [Empty]: nothing but thoughts, or nothing at all, which the framework skips
//     in silence.
//   - [Arguments]: a call of a tool that may have been cut, and [UnknownTool]: of
//     one that was not offered.
//
// Reasons that are fine with the caller are accepted, by whatever name:
// LLM(flash).Accept(genai.FinishReasonMaxTokens) for texts that may be cut short,
// LLM(flash).Accept(adk.UnknownTool) to let the framework tell the model of it.
//
// A stream whose finish reason has come is whole, whatever the connection does
// afterwards. Until then nothing was said by thoughts and by calls of tools, so
// that all of it can be begun anew; give Commit [SaysThinking] to show thoughts.
//
// # Reduced answers
//
// [Reply] is a rung for a chain. [DegradePlugin] answers for every model of a
// runner, chain or not, and is called when a chain has failed. Both mark what
// they say, for the session too: see [Degraded].
//
// # Agents by role
//
// [Agent] makes an agent of the framework one for a chain, and [NewAgent] a chain
// an agent of the framework. A stand-in takes the turn for as long as nothing has
// been said or done: see [Acts]. An event that is no whole answer is judged as a
// response is, before the framework runs what it calls; [TurnAgent.Accept] says what
// is fine.
//
// # Tools with side effects
//
// A turn that is taken again calls its tools again. [Effect] says of a tool what it does
// to the world, and a chain around the turn with Effects writes it down:
//
//	llmagent.Config{Tools: []tool.Tool{adk.Effect(pay, strategies.EffectOnce)}}
//	...
//	guarded, err := middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
//		return ask(runner.Run(ctx, user, session, content(q), agent.RunConfig{})) // hand ctx on
//	}).Retry(strategies.Retry{}).Fallback("second", second).Effects(middleware.Effects{}).Build()
//
// Whoever asks for the same again within the call, which is the tool's name and its
// arguments, gets what was said the first time. Give the call an id with
// [middleware.WithCallID], and the same is true of a turn that goes on after a
// confirmation. Function tools, long-running ones and those that stream are wrapped;
// confirmations are asked for as ever, and mean that nothing was done yet.
//
//   - The framework tells the model of a tool's error as of any result, and the model may
//     go on. Of an effect that is uncertain it reads that nobody may repeat it, and if it
//     tries, it reads that again; [middleware.Outcome].Effects has it, whatever the model
//     says, and a failure after it is not retried.
//   - What a tool changes in the state of the session, or its artifacts, is not written
//     down: a turn that starts anew in another session gets the result alone.
//
// # Traps
//
//   - The framework asks for genai v1.66, which swallows errors in the middle of a
//     stream. This module raises it to v1.77; do not go below v1.76.
//   - Leave HTTPOptions.RetryOptions of genai out: every attempt is sent once,
//     whatever they say. The RetryConfig of a workflow node repeats a whole agent:
//     leave it nil. The plugin retryandreflect repeats tools, not models, and may
//     stay.
//   - Gemini reports a blocked prompt as "empty response", without the reason, when
//     asked for a whole answer; it is then taken for [Empty].
//   - The framework's openaimodel lets its client retry twice: give it
//     option.WithMaxRetries(0) in its Options. When streamed it fails with nothing
//     but a text, so that a quota looks like any failure, and does not say how it
//     ended: only that it used tokens shows that the stream was completed. Accept
//     Unfinished for servers that do not count them. A refusal of its looks like
//     any text.
//   - Without Commit the first piece commits, whatever it is.
//   - Live sessions go by the client, past every chain.
//   - Agents are wrapped by NewAgent and not by embedding: an embedded LlmAgent is
//     none to the framework any more. The role itself is no LlmAgent either, so it
//     is a root or a sub-agent of other agents, and its SubAgents are the cast.
//   - Do not repeat whole agents after their first act: tools would run twice. A
//     chain does not.
package adk
