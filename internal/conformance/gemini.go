package conformance

import (
	"testing"

	"github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/strategies"
)

// GeminiFaults are those of the protocol of Gemini, as internal/gemini plays them.
// Google says in the body how long to wait.
func GeminiFaults() Faults[gemini.Answer] {
	return Faults[gemini.Answer]{
		Unavailable: {gemini.Overloaded()}, // a 503
		RateLimited: {gemini.RateLimit(Wait)},
		Quota:       {gemini.Quota()},
		Overflow:    {gemini.Overflow()},
		Hang:        {gemini.Stall()},
		Overloaded:  {gemini.Overloaded()},
		Drop:        {gemini.Drop()},
	}
}

// GeminiCuts are broken streams of that protocol.
func GeminiCuts() []Cut[gemini.Answer] {
	role := `{"candidates":[{"content":{"role":"model","parts":[{"text":""}]}}]}` // Vertex AI opens so
	usage := `{"usageMetadata":{"trafficType":"ON_DEMAND"}}`
	a, stranger := gemini.Candidate("A ", ""), gemini.Candidate("stranger, ", "")
	broken := gemini.ErrorBody(503, "UNAVAILABLE", "The service is unavailable.")
	return []Cut[gemini.Answer]{
		Retried("one cut before its first chunk", gemini.Cut()),
		Retried("one cut after chunks without a word", gemini.Cut(role, usage)),
		Retried("one that ended after such chunks", gemini.Events(role, usage)),
		Retried("one without any event", gemini.Events()),
		Retried("an error before the first word", gemini.Events(role, broken)),
		Retried("one that is empty to its very end", gemini.Events(role, gemini.Candidate("", "STOP"))),
		Retried("a broken call of a function", gemini.Events(role, gemini.Candidate("", "MALFORMED_FUNCTION_CALL"))),
		Ended("one cut after its first words", gemini.Cut(a, stranger), "A stranger, ", strategies.ClassTransient),
		Ended("one cut within a chunk", gemini.Cut(a, stranger, `{"candidates":[{"con`), "A stranger, ", strategies.ClassTransient),
		Ended("one that ended before its finish reason", gemini.Events(a, stranger), "A stranger, ", strategies.ClassInvalidAnswer),
		Ended("one with an error after two words", gemini.Events(a, stranger, broken), "A stranger, ", strategies.ClassTransient),
		Ended("one whose tokens ran out", gemini.Events(a, stranger, gemini.Candidate("", "MAX_TOKENS")), "A stranger, ", strategies.ClassInvalidAnswer),
		Ended("one that the filter stopped", gemini.Events(a, stranger, gemini.Candidate("", "SAFETY")), "A stranger, ", strategies.ClassBlocked),
	}
}

// Gemini starts a server that answers by script, and otherwise with [Says].
func Gemini(t *testing.T, script map[string][]gemini.Answer) *gemini.Server {
	t.Helper()
	server := gemini.Start(script)
	t.Cleanup(server.Close)
	return server
}
