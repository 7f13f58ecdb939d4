// Package strategies decides what is to be done about an AI agent that failed:
// ask again, when, whom else, or not at all.
//
// Strategies decide, and do nothing themselves: package middleware asks them and
// does what they say, package roles knows who may stand in for whom. So nothing
// here has a type parameter, and one breaker, one budget or one ladder can be
// shared by agents of different request and answer types:
//
//	budget := &strategies.Budget{}                    // of the whole process
//	openAI := &strategies.Breaker{Name: "openai"}     // of all who call that upstream
//	patient := strategies.Retry{
//		MaxRetries: 5,
//		Backoff:    strategies.Exponential{Cap: 30 * time.Second},
//		Jitter:     0.25,
//		Budget:     budget,
//	}
//
// A strategy is a struct literal whose zero fields mean the documented default
// (only [Bulkhead] and [Pace] have none: nobody else knows your limit); no zero and no
// negative number means "off", for what is not wanted is left out.
// One that holds state ([Breaker], [Budget], [Ladder], [Tally], [Bulkhead], [Pace])
// is used by pointer, may be shared, and is neither copied nor changed once in use;
// the others ([Retry], [Delays], [Exponential], [Classifier]) may be shared too,
// as long as nobody writes to them. Validate says what is wrong with the
// settings, each by its name, as a [ConfigError].
//
// # Without a call to wrap
//
// Package middleware wraps calls in layers that ask these strategies. A program
// that has no call to wrap (a queue worker, a proxy, a loop of its own) can use
// them alone: this package needs no other of the module, and adds about 0.1 MB
// to a binary. Ask a breaker for a [Permit], settle it with the verdict of
// [Classify], and let [Retry.Next] say when to come back. See the package's
// example.
//
// # In many processes
//
// What one replica of a program finds out about an upstream, the others need not find
// out again: a [Fleet] shares breakers, budgets, ladders and paces over a [Store], and a
// [StoreJournal] keeps there what was done.
//
// # What a failure means
//
// Everything begins with a [Class]. One [Classifier] is asked by every layer, so
// that they cannot disagree; its answer, a [Verdict], is a row of this table:
//
//	class            retry      fallback degrade person breaker counts
//	transient        yes        yes      yes     yes    yes
//	timeout          yes        yes      yes     yes    yes
//	rate_limited     yes        yes      yes     yes    -
//	overloaded       yes        yes      yes     yes    yes
//	quota_exhausted  -          yes      yes     yes    -
//	context_overflow -          yes      yes     yes    -
//	blocked          -          -        yes     yes    -
//	invalid_answer   2 at most  yes      yes     yes    -
//	unauthorized     -          yes      yes     yes    yes
//	not_found        -          yes      yes     yes    yes
//	bad_request      -          yes      -       -      -
//	uncertain        -          -        -       yes    if its cause does
//	unrecoverable    -          -        -       yes    -
//	panic            -          yes      yes     yes    yes
//	rejected         -          yes      yes     yes    -
//	interrupt        -          -        -       -      -
//	cut_off          -          -        -       -      if its cause does
//	canceled         -          -        -       -      -
//	stalled          yes        yes      yes     yes    -
//	over_limit       -          yes      yes     yes    -
//
// A verdict says besides what a layer must know and the table does not show: see
// [Verdict], whose other fields spare every layer from naming a class.
//
// An error nobody recognises is transient. The errors of the providers' SDKs are
// recognised by their shape, and no SDK is imported. An agent that knows better
// says so, with [WithClass], [WithRetryAfter] or an [AgentError]; so does a
// [Rule] of yours. A row is replaced in Classifier.Verdicts.
//
// # Retry
//
// [Retry] answers how long to wait before the same agent is asked again, or why
// not: a [Stop], which is a code, with a sentence for people. The zero value waits 1 s, 2 s and 4 s ([Delays]); [Exponential]
// grows. No wait is shorter than the schedule's or the provider's Retry-After,
// and none is begun that would not end before the deadline.
//
// # Budget
//
// A [Budget] is what keeps an outage from becoming a storm: a bucket of tokens
// from which the retries of all who share it are paid. Share one per process or
// per upstream; alone, an agent gets its own.
//
// # Breaker
//
// A [Breaker] stops calling an agent that is down, and tries it again later.
// Failures in a row are right for most agents, whose traffic is sparse; set
// Window, Ratio and MinCalls for a ratio where there are many calls a second. Share one among all
// who call the same upstream. Breaker.Hold makes one caller's rate limit known
// to all of them, Breaker.Isolate and Breaker.Reset are for a person's hand.
//
// # Ladder
//
// A [Ladder] remembers how much of an answer can be given at present: [LevelFull],
// [LevelReduced], [LevelMinimal] or [LevelEmergency]. It goes down at once and climbs slowly.
//
// # Tally
//
// A [Tally] counts failed calls by agent, across calls: what [AllowancePerAgent] grows
// its delays by, and who has spent the retries until the next success.
//
// # Bulkhead
//
// A [Bulkhead] bounds the calls in flight. A breaker counts calls that have
// ended, so a hundred slow ones are all let through before the first has failed;
// a bulkhead is what bounds those.
//
// A [Pace] bounds how many begin a minute, and how many tokens they use. At both the
// urgent go first: see [Priority].
//
// # People
//
// When nothing else is left, an [Intervenor] is given an [Incident] and returns
// a [Decision]. The zero Decision aborts: silence approves nothing.
//
// # Errors
//
// Every text begins with "understudy: ". There is a sentinel to test with
// errors.Is ([ErrConfig], [ErrRejected], [ErrRecovery]) and a type to inspect
// with errors.As, and the original error is always within reach of both. The page
// of [RecoveryError] shows how to take a final error apart. Classes, strategies,
// levels, states and actions are words in JSON and are read back from them; a
// RecoveryError and its attempts are written with the texts of their errors.
//
// # For layers
//
// Some of what is exported here is called by layers only: those of package
// middleware, and those you write yourself. It is promised like the rest.
//
//   - Judging: [Classifier.Classify], and the fields of [Verdict].
//   - A breaker: [Breaker.Allow] gives a [Permit]; exactly one of
//     [Permit.Settle], [Permit.Success], [Permit.Failure] and [Permit.Neutral]
//     ends it. [Permit.Trial] and [Permit.Prolong] bound a half-open trial.
//   - Retries: [Retry.Next] is asked with a [RetryState]; [Retry.Copy] keeps a
//     policy, [Retry.Worst] computes with it. [Budget.Take] and [Budget.Success]
//     move tokens; Next takes them by itself.
//   - Counting: [Tally.Of] gives the [Count] of an agent: [Count.Failed],
//     [Count.Spend], [Count.Recovered], [Count.Succeeded].
//   - Slots: [Bulkhead.AcquireAs] and [Bulkhead.ReleaseAs].
//   - Turns: [Pace.Acquire] gives a [PaceTurn], which [PaceTurn.Settle] tells of a
//     rate limit, and [PaceTurn.Return] gives back.
//   - Levels: [Ladder.State], [Ladder.Succeeded] and [Ladder.Failed].
package strategies
