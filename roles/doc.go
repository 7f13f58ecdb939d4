// Package roles knows who can stand in for whom.
//
// An understudy knows another actor's role and steps in when that actor falls
// ill. Here a [Role] is what an agent does, [Understudies] is the table of who
// can play which role, and a [Cast] is the company: it wraps each agent when it
// is registered, so that the rest of the program just calls Run.
//
//	cast, err := roles.NewCast(roles.Understudies{"writer": {"editor"}},
//		func(b *middleware.Builder[string, string], _ roles.Agent[string, string]) {
//			b.Retry(strategies.Retry{}).CircuitBreaker(&strategies.Breaker{}).Timeout(30 * time.Second)
//		})
//	editor, err := cast.Register(roles.AsFunc("ed", "editor", edit))
//	writer, err := cast.Register(roles.AsFunc("will", "writer", write))
//	text, err := writer.Run(ctx, "a scene at the tavern")
//
// When will has failed for good, ed is asked, through ed's own breaker and
// timeout but without ed's retries and stand-ins:
//
//	will ── retry ── breaker ── timeout ── agent
//	  └─ spent: the roles that stand in for "writer", first registered agent each
//	       └─ ed ── breaker ── timeout ── agent
//
// # Stand-ins are looked up when they are needed
//
// The order in which roles are registered does not matter, and an agent
// registered later is found by those registered before. A table with a cycle is
// refused; at run time an agent already asked in a call is not asked again.
//
// # Streams, and agents of different types
//
// A [StreamCast] is the same for agents that stream. Casts of different types may share
// a table; [Together] is one view of them all.
//
// # State
//
// The cast keeps the failed calls of each agent by name ([Cast.Failures],
// [Cast.Reset]) and shows the health of all ([Cast.Health]). What else is
// shared, a breaker or a budget, is shared by using one value in the recipe.
package roles
