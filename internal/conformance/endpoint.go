package conformance

import (
	"testing"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/strategies"
)

// EndpointFaults are those of the protocol of OpenAI, as internal/endpoint plays
// them.
func EndpointFaults() Faults[endpoint.Fault] {
	return Faults[endpoint.Fault]{
		Unavailable: {endpoint.Status(503)},
		RateLimited: {endpoint.RateLimit(Wait)},
		Quota:       {endpoint.Quota()},
		Overflow:    {endpoint.ContextOverflow()},
		Hang:        {endpoint.Hang()},
		Overloaded:  {endpoint.Overloaded()},
		Drop:        {endpoint.Drop()},
	}
}

// EndpointCuts are broken streams of that protocol.
func EndpointCuts() []Cut[endpoint.Fault] {
	return []Cut[endpoint.Fault]{
		Retried("one cut before its first chunk", endpoint.CutBeforeFirst()),
		Retried("one cut after its role chunk", endpoint.CutAfter(0)),
		Retried("one that ended after its role", endpoint.CleanEOFAfter(0)),
		Retried("one without any event", endpoint.CleanEOFBefore()),
		Retried("an error before the first token", endpoint.ErrorEventAfter(0)),
		Retried("one that is empty to its very end", endpoint.Empty()),
		Ended("one cut after its first token", endpoint.CutAfter(2), "A stranger, ", strategies.ClassTransient),
		Ended("one that ended before its marker", endpoint.CleanEOFAfter(2), "A stranger, ", strategies.ClassInvalidAnswer),
		Ended("one with an error after two tokens", endpoint.ErrorEventAfter(2), "A stranger, ", strategies.ClassTransient),
		Ended("one whose tokens ran out", endpoint.Truncated(), "A stranger,", strategies.ClassInvalidAnswer),
	}
}

// Endpoint starts a server that fails by script, and otherwise answers with
// [Says].
func Endpoint(t *testing.T, script map[string][]endpoint.Fault) *endpoint.Server {
	t.Helper()
	server, err := endpoint.Start(endpoint.Plan{
		Script: script,
		Answer: func(model string, _ []endpoint.Message) string { return Says(model) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}
