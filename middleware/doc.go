// Package middleware wraps an AI agent in layers that keep its promise to its
// caller when it fails: the call is retried, then handed to another agent, then
// answered in a reduced way, then put before a person, in that order.
//
//	narrator, err := middleware.Wrap(agent).
//		Named("narrator").
//		Retry(strategies.Retry{}).                 // 3 retries, after 1 s, 2 s, 4 s
//		CircuitBreaker(&strategies.Breaker{}).     // opens after 5 failures in a row
//		Timeout(30 * time.Second).                 // each attempt
//		Fallback("archivist", archivist).          // any Runner of the same types
//		Degrade(strategies.LevelReduced, cannedReply).  // a rung: a level and a Runner
//		Build()
//	answer, err := narrator.Run(ctx, "Who is at the door?")
//
// # The documented order
//
// The order in which the builder is called does not matter. It always nests in
// this one, outermost first:
//
//	observe                                 events; costs nothing while all goes well
//	  identify                              the call's id, and what its tools have done: nothing is done twice
//	    coalesce                            identical calls at the same time share one
//	      intervene                         a person decides: retry, answer, use another agent, abort
//	        degrade                         rungs reduced → minimal → emergency, marked as such
//	          deadline                      total time for all agents together
//	            fallback                    the agent, then each stand-in
//	              hedge                     a slow call is asked of somebody else too
//	                retry                   backoff, Retry-After, budget
//	                  breaker               sees every attempt
//	                    pace                so many a minute, the urgent first; learns from rate limits
//	                      bulkhead          attempts in flight; its rejections never feed the breaker
//	                        renew           a credential that was refused, once for all who wait
//	                          timeout       one attempt
//	                            validate    a bad answer becomes an error
//	                              recover   a panic becomes an error
//	                                agent
//
// The breaker is inside retry so that each attempt is counted, and it can open
// in the middle of a retry loop; the timeout is inside the breaker so that
// slowness counts as failure; fallback is outside retry so that a stand-in is
// called only when the agent is truly spent; degrade is outside the deadline so
// that there is time left to say something.
//
// # Transparent, and never silent
//
// [Guarded.Run] has the shape of the agent's own Run. [Guarded.Outcome] is the
// same call with its provenance: who answered, by which strategy, at what level,
// after how many attempts. An [Observer] is told of every step. When all fails
// the error is a [strategies.RecoveryError], with every attempt's own error
// within reach of errors.Is and errors.As.
//
// # What a layer may do
//
// Layers decide nothing: they ask a strategy (package strategies) and do what it
// says. What an error means is asked of one [strategies.Classifier] by all of
// them, so they cannot disagree.
//
// # By hand
//
// Each layer is also a function that returns a [Middleware], to be put together
// with [Chain] in whatever order is wanted, or used at a stage of the documented
// order ([Builder.Use]). All layers of one agent get the same [Owner]: by that
// pointer they know whose failure they see, and whose limit ended a context. A
// layer whose settings make no sense lets no call through: it answers each with a
// [strategies.ConfigError]. From the builder, the same error comes out of Build.
//
// What sees no value (spans, logs, limits) needs no types: [Builder.Around].
//
// # How a call is carried
//
//	Guarded / GuardedStream     typed shells, thin
//	  └─ Owner                  the agent: name, classifier, observer, its layers, its limits
//	       └─ call              one guarded call: attempt, level, who caused it ([CallOf])
//	            └─ account      a failure on its way up: judged once, never written to once returned
//	                 └─ strategies.RecoveryError    what the caller gets, made at the edge
//
// A call that goes well at once makes neither a call nor an account.
//
// # Streams
//
// An agent that answers piece by piece is wrapped by [WrapStream], with the same
// settings, the same layers and the same order. A program that has both whole and
// streamed calls writes them once: [Settings].
package middleware
