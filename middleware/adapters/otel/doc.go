// Package otel writes what happens to an agent's calls as OpenTelemetry spans
// and metrics.
//
//	telemetry, err := otel.New(otel.Options{}) // the global providers
//	...
//	b := middleware.Wrap(agent).
//		Named("narrator").
//		Retry(strategies.Retry{}).
//		Fallback("archivist", archivist)
//	narrator, err := otel.Instrument(b, "narrator", telemetry).Build()
//
// Instrument adds an observer and two layers: one around the whole call, one
// around each attempt that is really made.
//
//	invoke_agent narrator          a span a call: agent, strategy, level, served by, error.type, call id
//	│ ● understudy.attempt_failed  an event a step of recovery, in order
//	│ ● understudy.retry_scheduled
//	├── attempt narrator           a span an attempt: number, level, error.type, HTTP requests
//	│   └── ...                    what the agent's own instrumentation writes
//	└── attempt narrator
//
// # Metrics
//
//	gen_ai.invoke_agent.duration   s          a call: agent, error.type, understudy.strategy, understudy.level
//	understudy.attempt.duration    s          an attempt: agent, error.type
//	understudy.failures            {failure}  agent, error.type, understudy.served_by
//	understudy.recoveries          {call}     agent, understudy.strategy, understudy.level, understudy.served_by
//	understudy.retry.delay         s          the wait before a retry: agent, error.type
//	understudy.requests            {request}  HTTP requests really sent, if an httphint.Transport is under the client
//	understudy.breaker.state       1          1 for the state the breaker is in, 0 for the others
//	understudy.degradation.level   1          where the ladder stands: 0 full to 3 emergency
//
// The number of calls and of attempts is the count of their histograms. The
// breaker and the ladder have a value from their first change on.
//
// Names that begin with gen_ai are those of the semantic conventions for
// generative AI (status: development); the rest is our own. The duration of a
// call is exactly that of its span.
//
// # What an error.type can be
//
// One of [strategies.Classes], and nothing else: transient, timeout,
// rate_limited, and so on. A caller who left is "canceled" and no error of the
// span's; an interrupt, and a stream whose reader left the loop, is no error at
// all and marked understudy.interrupted.
//
// # What is never written
//
// Requests, answers, the text of errors (which quotes both), and who decided.
// Metrics know agents, stand-ins, classes, strategies and levels only: as many
// series as your configuration has names, whatever callers do.
//
// # From a log line to its span
//
// A call in which anything happened has an id. Its span and the events in that
// have it as understudy.call, and so do log lines, under the key "call". No
// metric has it. A call that goes well at once has none, and no log line either.
//
// An attempt has the number that its events have and that the agent itself finds
// in [middleware.CallOf]. It begins anew where all layers do: after a person has
// the agent asked again, and where a stream that was cut off is continued.
//
// # Traps
//
//   - Give Instrument the name that the builder has. A cast's recipe has it from
//     agent.Name().
//   - A stand-in or a rung without layers of its own has no attempt span. Put it
//     into [Traced], or instrument its own chain.
//   - The attempt's layer is at [middleware.StageTimeout]: a refusal of the
//     breaker or the bulkhead is an event and a failure, but no attempt, for
//     nobody was asked.
//   - Both packages are called otel: import one of them by another name.
//   - It is not free when healthy, as the core is: two spans and two durations a
//     call, about 2 µs and 28 allocations where nothing listens, 6 µs where the
//     SDK samples (BenchmarkHealthy).
//   - Nothing is to be switched off: it retries nothing. The spans of an
//     instrumented SDK or HTTP client become children of the attempt's.
package otel
