// Package equals simulates days of several equals, such as the keys or the regions of
// one model, in virtual time: seeded callers, members with limits and latencies, and
// what became of the calls. Beside our pool stand models of the routing of LiteLLM:
// its strategies simple-shuffle, least-busy and latency-based, with its cooldowns (a
// 429 at once, for as long as Retry-After says or 5 s; 3 failures within a minute)
// and its 2 retries, at once while there is somebody who is not cooling down.
package equals
