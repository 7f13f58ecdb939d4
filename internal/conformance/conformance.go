// Package conformance is the table every adapter passes: eight things that go
// wrong with real agents, each played by a real server to the framework's real
// client, with the requests that the server saw counted exactly.
//
// The kit knows what must come of each case. An adapter says two things: how its
// provider is made to fail, and how its client is asked.
//
//	conformance.Run(t, conformance.Adapter[endpoint.Fault]{
//		Faults: conformance.EndpointFaults(),
//		Ways:   conformance.Ways[endpoint.Fault]{"": ask},  // makes a client, asks once
//		Cuts:   conformance.EndpointCuts(),                 // streams that break
//		Stream: hear,                                       // makes a client, reads one
//		Interrupt: pause,                                   // the framework's own pause
//	})
//
//	case ──► Scene: the faults in turn, and the layers ──► the adapter asks
//	                                                            │
//	     text, marks, events, requests: compared exactly ◄── Result
//
// The suite sees to it that no case is left out without a reason.
package conformance

import (
	"slices"
	"testing"

	"github.com/understudy-go/understudy/strategies"
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

// Adapter is what the kit has to know of one. F is how its provider says that a
// request goes wrong.
type Adapter[F any] struct {
	// Faults are the provider's own forms of each [Fault]; each of several plays
	// the case by itself.
	Faults Faults[F]
	// Ways are those in which the framework calls a model; each plays every case.
	Ways Ways[F]
	// Cuts are streams that break, and Stream reads one.
	Cuts   []Cut[F]
	Stream func(t *testing.T, cut Cut[F]) Result
	// Interrupt plays the framework's own pause for a person.
	Interrupt func(t *testing.T)
	// Without names the cases that do not exist for a framework (a protocol
	// without streams has none to cut), each with the reason why.
	Without map[Case]string
}

// Ways are functions that start a provider which fares as a scene says, make the
// framework's real client with its layers, and ask once; by name.
type Ways[F any] map[string]func(t *testing.T, s Scene[F]) Result

// Run runs the table.
func Run[F any](t *testing.T, a Adapter[F]) {
	t.Helper()
	for c := range a.Without {
		if !slices.Contains(Cases(), c) {
			t.Errorf("%q is not a case of the table", c)
		}
	}
	for _, c := range Cases() {
		if reason := a.Without[c]; reason != "" {
			t.Logf("left out: %s: %s", c, reason)
			continue
		}
		t.Run(string(c), func(t *testing.T) {
			switch c {
			case StreamCut:
				a.playCuts(t)
			case InterruptUntouched:
				if a.Interrupt == nil {
					t.Fatal("the adapter has no test for it")
				}
				a.Interrupt(t)
			default:
				a.play(t, plots[c])
			}
		})
	}
}

// Requests fails the test unless a server saw exactly so many.
func Requests(t *testing.T, who string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("the server of %s saw %d requests, want exactly %d", who, got, want)
	}
}

// Class fails the test unless an error is of a class.
func Class(t *testing.T, err error, want strategies.Class) {
	t.Helper()
	if got := strategies.Classify(err).Class; got != want {
		t.Errorf("class %v, want %v, of %T: %v", got, want, err, err)
	}
}

// Built is what a builder builds.
func Built[G any](t testing.TB, b interface{ Build() (G, error) }) G {
	t.Helper()
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}
