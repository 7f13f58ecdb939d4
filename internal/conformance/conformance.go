// Package conformance is the table every adapter passes: eight things that go
// wrong with real agents, each played by a real server to the framework's real
// client. An adapter brings one test a case; the suite sees to it that none is
// left out, and that requests are counted exactly.
package conformance

import (
	"slices"
	"testing"
)

// Case is one of the eight.
type Case string

// The cases, in the order of the table.
const (
	TransientThenSuccess Case = "it retries a 503 and answers"
	RateLimitHonoured    Case = "it waits for the Retry-After of a 429"
	QuotaGoesOn          Case = "it does not retry an exhausted quota, and asks the stand-in"
	OverflowToLarger     Case = "it hands a context overflow to a stand-in with a larger window"
	HangTimesOut         Case = "it gives up an attempt that hangs, and answers"
	StreamCut            Case = "it recovers a stream cut before the first token, and ends one cut after it"
	InterruptUntouched   Case = "it passes an interrupt through untouched"
	AllDownDegraded      Case = "it answers in a reduced way, marked as such, when all are down"
)

// Cases returns all eight.
func Cases() []Case {
	return []Case{
		TransientThenSuccess, RateLimitHonoured, QuotaGoesOn, OverflowToLarger,
		HangTimesOut, StreamCut, InterruptUntouched, AllDownDegraded,
	}
}

// Run runs the table. A case that does not exist for a framework (a protocol
// without streams has none to cut) is named in without, with the reason why; one
// that is in neither fails.
func Run(t *testing.T, table map[Case]func(t *testing.T), without map[Case]string) {
	t.Helper()
	for c := range table {
		if !slices.Contains(Cases(), c) {
			t.Errorf("%q is not a case of the table", c)
		}
	}
	for _, c := range Cases() {
		play, ok := table[c]
		switch reason := without[c]; {
		case ok:
			t.Run(string(c), play)
		case reason != "":
			t.Logf("left out: %s: %s", c, reason)
		default:
			t.Errorf("the table has no test for: %s", c)
		}
	}
}

// Requests fails the test unless a server saw exactly so many.
func Requests(t *testing.T, who string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("the server of %s saw %d requests, want exactly %d", who, got, want)
	}
}
