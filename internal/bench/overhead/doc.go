// Package overhead measures what a layer costs per call, beside the libraries
// one would use instead: the same work, in the same run, in turns.
//
// A [Case] is a piece of work; a [System] is a way of doing it. Every system is
// given the same policies, nested alike:
//
//	fallback → retry → breaker → timeout → agent
//
// with three retries without any delay, so that what is measured is the library
// and not its sleep. [Systems] says how each is configured, in its own words;
// [Cases] which of them a case has, and why one is missing.
//
// In a round every system of a case has one turn, and every round begins with
// another of them, so that a busy machine slows all alike. A turn is preceded by
// a garbage collection, lest one pay for what another left behind, and what it
// collects while it runs is its own. The medians of the rounds are reported;
// allocations are counted by the runtime, over the whole turn.
//
// The ratio is to the bare breaker, gobreaker's Execute and nothing else, in the
// same case. A chunk of a stream has none: there is no breaker to compare with.
package overhead
