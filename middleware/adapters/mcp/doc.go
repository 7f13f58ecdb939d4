// Package mcp recovers the tool calls of an MCP client: it repeats what may be
// repeated and nothing else, bounds every call, has a circuit breaker for each
// server, and never lets a person be asked the same thing twice.
//
//	import (
//		sdk "github.com/modelcontextprotocol/go-sdk/mcp"
//		"github.com/understudy-go/understudy/middleware/adapters/mcp"
//		"github.com/understudy-go/understudy/strategies"
//	)
//
//	client, err := mcp.NewClient(impl, options, func(b *mcp.Builder) {
//		b.Named("weather").
//			Retry(strategies.Retry{Jitter: 0.25}).
//			CircuitBreaker(&strategies.Breaker{}).
//			Timeout(30*time.Second).
//			Degrade(strategies.LevelReduced, mcp.Reply("The forecast is not available."))
//	})
//	session, err := client.Connect(ctx, transport, nil)
//
// The client is the SDK's own, so everything that takes one works. Only tool
// calls go through the layers:
//
//	CallTool ── NewClient's middleware ── retry ── breaker ── timeout ── rounds of the SDK ── wire
//	   ▲               │                                                      │
//	   └── result ◄────┘                 the person is asked here, once ──────┘
//
// # What may be repeated
//
// A tool that its server lists as read-only or idempotent; the listing is read
// in passing, from the host's own ListTools. A tool without annotations, or one
// never listed, may do harm when it is called twice: neither the same server nor a
// stand-in is asked, and its failure is a [OnceError]. Unless it is known that nothing
// was done: the server was too busy, did not know who asks or has no such session, or
// nobody was there. Annotations are a server's word; a tool that is safe although its
// server does not say so is named to NewClient:
//
//	mcp.NewClient(impl, options, settings, "forecast")
//
// The same holds for a call in the course of which the server has asked
// something, by elicitation or sampling: it is not made again, whatever the tool
// is. While somebody is asked no limit of ours ends the call, the caller's
// context does.
//
// # Tools with side effects
//
// Within a call that writes down what it does, of the host's agent or of the client's own
// chain, see [middleware.Builder.Effects], a tool that must happen once does so however
// often the agent is asked, and by whomever:
//
//	guarded, err := middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
//		return agent(ctx, q) // calls session.CallTool(ctx, ...)
//	}).Retry(strategies.Retry{}).Fallback("second", second).Effects(middleware.Effects{}).Build()
//
// Whoever calls the same tool of the same server with the same arguments again gets the
// result that was written down; a stand-in [Session] is the same server. A failure that
// leaves it open whether the tool has acted is a [strategies.UncertainError] in the place
// of a OnceError: nobody repeats the call, nor what it is part of, and no reduced answer
// covers it up. That a tool itself says that it failed, by IsError, leaves it open too:
// the result comes back as ever, and what the agent makes of it is its own, but nobody
// asks again. A rule of the builder's Classifier that knows better (ClassBadRequest for
// "no money") is believed.
//
// The annotations say what a tool does (readOnlyHint, then idempotentHint, or else once),
// and the user's word goes before them:
//
//	mcp.NewClientWith(impl, options, settings, mcp.Tools{
//		"pay":      {Effect: strategies.EffectOnce, Settings: func(t *mcp.EffectTool) { t.Verify(askTheBank) }},
//		"forecast": {Effect: strategies.EffectReadOnly},
//	})
//
// The server finds the key of an effect in _meta, under [MetaIdempotencyKey].
//
// # Errors
//
// A result with IsError is a [ToolError] between the layers, retried at most
// twice, and comes back unchanged and without an error: it is for the model to
// read. A reduced answer is marked in its _meta, under [MetaLevel].
//
// An elicitation that the host answers later (the error with code -32042, or a
// [strategies.ClassInterrupt] of the host's own handler) passes through untouched.
// So does a result that NeedsInput, when the SDK's rounds are disabled.
//
// # Traps
//
//   - The SDK drops status and Retry-After of an HTTP error. A
//     [github.com/understudy-go/understudy/middleware/adapters/httphint.Transport]
//     in the transport's HTTPClient brings both back; without it a 429 is taken for
//     a passing failure.
//   - An HTTP error other than 429, 500, 502, 503 and 504, without a JSON-RPC
//     error in its body, ends the session for the SDK, and a 404 always does:
//     no retry helps, a stand-in does (see [Session]). A new session has a new
//     breaker.
//   - A stream that breaks off is resumed by the SDK, up to five times, where the
//     server numbers its events; that repeats no call. Where it does not, the call
//     fails and is repeated here.
//   - A server that sheds load (it wants input, and names none) is called three
//     times by the SDK for each attempt of ours. The rounds of a question, at most
//     ten, are part of one attempt.
//   - In the protocol of 2025-11-25 a question does not say which call it belongs
//     to: every call under way in the session counts as one that asked.
//   - A middleware that is added to the client afterwards stands outside and sees
//     one call, however many are made.
//   - Connect is not bounded: give it a context with a deadline.
package mcp
