// Package fleetlab lives through one bad day with fleets of 1 to 1,000 replicas, in virtual
// time: an outage of five minutes, and later a rate limit with a Retry-After. The same day
// is lived through by breakers that a [strategies.Fleet] shares, by breakers that nobody
// shares, by gobreaker's own distributed breaker, and by a model of LiteLLM's cooldowns,
// which every replica reads again each second.
//
// Each replica has four callers, and each of them calls every 10 s on average. A good
// answer takes a second, a refusal 20 ms. The store is far away: an operation takes as
// long as the day says, and may be lost.
package fleetlab
