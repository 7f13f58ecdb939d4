// Package policy keeps the settings of agents in a file: YAML or JSON, one recipe for
// each agent, with defaults. What is wrong with a file is said with line and column. The
// file is watched, and a new one takes the place of the old while the program runs: as
// a whole, or not at all, and no breaker, hold or count is lost.
//
//	file, err := policy.Open("policy.yaml", policy.Options{Told: func(c policy.Change) { log.Print(c) }})
//	narrator, err := policy.Guard(file, "narrator", func(r *policy.Recipe) *middleware.Builder[Req, Resp] {
//		return middleware.Wrap(agent).Fallback("archivist", archivist)
//	})
//	go file.Watch(ctx, 2*time.Second)
//
// The names in a file are those of the Go settings, in snake case:
//
//	defaults:
//	  timeout: 30s
//	  retry: {max_retries: 2, jitter: 0.25}
//	  circuit_breaker: {failures: 5, share: openai}
//	agents:
//	  narrator:
//	    timeout: 10s
//	  archivist:
//	    retry: off
//
// schema.json beside this file describes it to an editor. The command understudy-lint
// says what Build and Explain would say.
package policy
