// Package eino recovers the models, agents and tools of CloudWeGo's eino where
// they are registered: one handler for a ChatModelAgent, or one wrapper for the
// model of a graph.
//
//	import (
//		"github.com/cloudwego/eino/adk"
//		"github.com/understudy-go/understudy/middleware/adapters/eino"
//		"github.com/understudy-go/understudy/strategies"
//	)
//
//	recovery, err := eino.Handler(func(b *eino.Builder) {
//		b.Named("narrator").
//			Retry(strategies.Retry{}).
//			CircuitBreaker(&strategies.Breaker{}).
//			Timeout(30*time.Second).
//			Fallback("archivist", eino.StandIn(archivist)). // any model of eino's
//			Degrade(strategies.LevelReduced, eino.Reply("The innkeeper shrugs."))
//	}, eino.Tool("search", func(b *eino.ToolBuilder) { // a tool that may run twice
//		b.Retry(strategies.Retry{}).Timeout(10 * time.Second)
//	}))
//	agent, err := adk.NewChatModelAgent(ctx, &adk.ChatModelAgentConfig{
//		Model: chat, Handlers: []adk.ChatModelAgentMiddleware{recovery}, ...
//	})
//
// [Wrap] takes the same settings and returns a model for graphs, chains and the
// react agent. Where the layers stand:
//
//	ChatModelAgent ── failover ── ModelRetryConfig ── events ── │ Handler │ ── callbacks ── model
//	               └─ tools node ────────────────────────────── │  Tool   │ ── tool
//	graph node ── callbacks, unless the model has its own ───── │  Wrap   │ ── model
//
// # One chain for messages and streams
//
// [Builder] is the core's builder. It is the one for streams, and a whole message
// is a stream of one chunk to it: so Generate and Stream share a breaker, a
// budget and a count of failures, and are set up once. What differs is in the
// documentation of Builder; there is no HardTimeout.
//
// A stream is recoverable until it has text or other content in it, and if it
// calls tools until the calls are whole: nobody can have acted on them before. The
// chunks before that are held back, and then come as they are, so that what looks
// at a stream's first chunk, as the react agent does, sees what it always saw. Show
// the reasoning with Commit([SaysThinking]); it is then what a stream begins with.
// A tool call has to be whole before Timeout.
//
// Messages of the other type, [schema.AgenticMessage], have the same layers by
// [WrapAgentic], [HandlerAgentic], [StandInAgentic] and [ReplyAgentic].
//
// # What comes without an error and is no whole answer
//
// It is a [strategies.AnswerError], and eino runs no tool that it calls.
//
//   - A finish reason that is not known to be that of a whole answer, length for
//     one. What it means is said by [strategies.ClassOfFinish].
//   - [Unfinished]: no finish reason. It is expected of a model that tells anything
//     of its answers: whose messages, or chunks, have a ResponseMeta, as those of
//     all of eino's own models have. So a stream that was cut is known to be; and a
//     model by hand that tells nothing is taken at its word.
//   - [Empty]: nothing, or nothing but reasoning.
//   - [Arguments]: a tool call whose arguments are no whole JSON object, put together
//     from their chunks, and [UnknownTool]: one that was not offered, where the call
//     says what is. Tools that were bound before a model was wrapped it does not say.
//
// Reasons that are fine with the caller are accepted by their names:
// [ChatModel.Accept], [AgentHandler] has the same, and [StandIn] takes them. Whoever
// has an UnknownToolsHandler accepts UnknownTool.
//
// A stream whose finish reason has come is whole, whatever the connection does
// afterwards.
//
// # Tools with side effects
//
// A retried agent, and a stand-in, calls its tools again. [Effect] says of a tool what it
// does to the world, and a chain around the agent with Effects writes it down:
//
//	config.ToolsConfig.Tools = []tool.BaseTool{eino.Effect(pay, strategies.EffectOnce)}
//	...
//	guarded, err := middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
//		return ask(runner.Query(ctx, q)) // hand ctx on: the tool finds its call by it
//	}).Retry(strategies.Retry{}).Fallback("second", second).Effects(middleware.Effects{}).Build()
//
// Whoever asks for the same again within the call gets what was said the first time, and
// the tool is not called. Give the call an id with [middleware.WithCallID], and a journal
// that lasts, and the same is true of an agent that is resumed, by another process too.
// An error that leaves it open whether the tool has acted ends the agent's run, and the
// call is not repeated: see [strategies.UncertainError].
//
//   - The chain of a model, of [Handler] and [Wrap], repeats no tool. Only what stands
//     around the agent does, or the tool's own chain ([Tool]), which may have Effects too.
//   - The same is: the tool's name, and its arguments in canonical JSON. A model that
//     writes one and the same thing in other words asks for another: give it a Key.
//   - [EnhancedEffect] is for tools that return a [schema.ToolResult].
//   - In a chain without Effects that repeats the agent, a tool that must happen once
//     refuses to be called a second time.
//
// # Never silent
//
// [Level] says of a message whether it is a reduced one. Who answered, and how, is
// in the events: Observe and Logger of the builder.
//
// # What is left alone
//
// Interrupts and canceled agents pass through every layer as the very error they
// are, before and after a stream's first words; an agent that a tool has paused
// is resumed as ever. Tools that are not named are not touched.
//
// # Traps
//
//   - eino's ModelRetryConfig stands outside of a handler, and would repeat every
//     retry of ours: a handler with Retry refuses to work beside it. Leave out one
//     of the two, or let [RetryConfig] make eino's follow our policy. The same is
//     true of ModelFailoverConfig, which a handler cannot see, and of the retries
//     of some models: claude's client has 2, ark's RetryTimes is 2.
//   - eino's models drop the Retry-After. Give their HTTP client a
//     httphint.Transport.
//   - A retried tool runs twice, unless it is an [Effect]. Retry only those that may.
//   - The options of a call go to its stand-in too, the name of a model among them:
//     see [With] and FallbackVia.
//   - A reader that is closed early frees what it holds with the next chunk, or
//     when its context ends. Set Idle, or end the context.
//   - eino's OpenAI model keeps an empty last chunk, the finish reason in it, until
//     the connection has ended well: one that breaks in between is a stream that was
//     cut.
//   - The react agent takes a text for the answer, and runs no tool called after it,
//     unless its StreamToolCallChecker reads on.
//   - A model whose stream does not heed its context cannot be timed out.
//   - An error that ends the retries of eino's own hides its cause from errors.As;
//     [Rule] and [RetriesError] find it.
package eino
