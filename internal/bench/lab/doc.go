// Package lab simulates bad days: seeded callers, agents with latencies and
// limits, and a plan of faults, in virtual time. The same day is lived through
// by several systems of recovery, and what became of the requests is measured.
//
// # A scenario
//
// A scenario is a JSON file. Durations are Go's ("90s", "1h13m"), shares are
// numbers from 0 to 1, and a field that is not listed here is refused.
//
//	{
//	  "name": "outage",              // appears in results; unique in its folder
//	  "about": "one sentence",
//	  "seed": 1,                     // arrivals and every draw follow from it
//	  "length": "1h",                // how long requests arrive
//	  "rate": 2,                     // requests a second, a Poisson process
//	  "surges": [{"from": "10m", "for": "1m", "times": 3}],
//	  "patience": "2m",              // callers leave after that. Default 2m
//	  "timeout": "30s",              // of an attempt, for every system. Default 30s
//	  "poison": 0.02,                // requests that every agent refuses
//	  "poison_status": 400,          // with this status. Default 400
//	  "primary": {
//	    "median": "2s", "sigma": 0.4,  // latency, lognormal. Default 2s and 0.4
//	    "servers": 8,                // calls at a time. Default: no limit
//	    "queue": 100,                // calls that may wait; others get 503
//	    "slowdown": 0.5,             // all busy: so much slower than alone
//	    "tail": {"share": 0.03, "times": 10}, // calls that take so many times longer
//	    "plan": {"per_minute": 90000, "burst": "10s"}, // tokens, as a bucket that holds what comes in
//	                                 // within burst (default 1m); others get 429 and Retry-After. An answer says what is left.
//	                                 // "others": [{"from": "10m", "for": "5m", "share": 0.6}] use it up too
//	    "thrash": {"over": 8, "power": 2}, // with n calls at a time, n > 8, each takes (n/8)² as long
//	    "cold": {"calls": 3, "warm": 40} // after errors it bears 3 calls at a time, one more
//	                                 // for each answer, and with 40 any number; too many: from the start
//	  },
//	  "tokens": {"median": 900, "sigma": 0.5, "guess": 1}, // of a request; callers take it for guess times as much
//	  "tricky": {"share": 0.15, "bad": 0.9, "told": 0.05}, // requests with bad answers, fewer once told why
//	  "nested": {"deep": 4, "asks": 2, "runaway": 0.02},   // agents that ask each other; some without end
//	  "means": {                     // what systems are given besides, where they have it
//	    "pace": 90000,               // keep to so many tokens a minute
//	    "hedge": true,               // ask twice if it takes long, for 5 % more calls
//	    "told": true,                // say what was wrong with the last answer
//	    "calls": 40,                 // at most so many for a request
//	    "adaptive": 64               // as many at a time as the agent bears, at most so many
//	  },
//	  "stand_in": {},                // the same fields; without it there is none
//	  "faults": [{
//	    "on": "primary",             // or "stand_in"
//	    "from": "20m", "for": "73m", // without "for": to the end
//	    "every": "10m",              // repeats; "times" says how often
//	    "times": 3,
//	    "errors": 0.3,               // share of calls that fail, with
//	    "status": 503, "code": "",   // this HTTP status (default 503) and code
//	    "hangs": 0.1,                // share of calls that never answer
//	    "bad": 0.1,                  // share of answers that are no good, with 200
//	    "slow": 3,                   // latencies times this
//	    "limit": {"calls": 30, "per": "1m", "mute": false} // others get 429, and Retry-After unless mute
//	  }]
//	}
//
// # The agents
//
// A call takes 5 to 25 ms to reach its agent, and meets the faults of that
// moment. A refusal takes 50 to 250 ms and no server. An answer takes a server,
// first come first served, and does so to its end even if its caller has left:
// a provider goes on generating. A hang takes no server and ends with its call.
//
// What happens to call number k of request number n at an agent is drawn from
// seed, n, k and the agent alone, so it is the same in every system, and does
// not depend on the order in which calls arrive.
package lab
