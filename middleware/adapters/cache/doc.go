// Package cache keeps the full answers of an agent: for the same request while they
// are fresh, and as a reduced answer once the agent is out.
//
//	answers, err := cache.New(cache.Settings[string, string]{
//		Key:   func(question string) string { return question },
//		Fresh: time.Minute,
//		Stale: 24 * time.Hour,
//	})
//	guarded, err := middleware.Wrap(agent).
//		Use(middleware.StageFallback, answers.Layer()).           // fresh: nobody is asked
//		Fallback("sage", sage).
//		Degrade(strategies.LevelReduced, answers.Rung(nil)).      // stale: while all are out
//		Build()
//
// The layer stands inside of Degrade, so that an apology is never kept, and outside of
// whatever you want a fresh answer to save:
//
//	degrade ── Rung ◄── stale answers ──┐
//	  fallback ── Layer ── kept? ───────┤ one store, bounded by entries or weight
//	    retry ── breaker ── agent ──────┘ what comes back full is kept
//
// Only full answers are kept: not one that was given while the ladder of the chain
// stood lower. What another agent inside of yours had to reduce is yours to know: it
// looks like a full answer from here. An answer is shared by all who get it, and must not be written to. Nothing is kept
// for a request whose key is "".
//
// The store is otter (github.com/maypok86/otter/v2): it evicts by W-TinyLFU, which
// keeps what is asked for again and again through a flood of requests that come once,
// and it does so without a lock for readers. It costs a call a look-up, and an answer
// that is kept one allocation more.
package cache
