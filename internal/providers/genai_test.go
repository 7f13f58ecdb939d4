package providers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/genai"

	"github.com/understudy-go/understudy/strategies"
)

func askGenAI(ctx context.Context, url string, stream bool) error {
	client, err := genai.NewClient(ctx, &genai.ClientConfig{
		APIKey:      "test",
		Backend:     genai.BackendGeminiAPI,
		HTTPOptions: genai.HTTPOptions{BaseURL: url},
	})
	if err != nil {
		return err
	}
	if !stream {
		_, err = client.Models.GenerateContent(ctx, "gemini", genai.Text("hello"), nil)
		return err
	}
	for _, err := range client.Models.GenerateContentStream(ctx, "gemini", genai.Text("hello"), nil) {
		if err != nil {
			return err
		}
	}
	return nil
}

// google is an error as Google's APIs send it.
func google(code int, status, message string, details ...string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q,"details":[%s]}}`, code, message, status, strings.Join(details, ","))
}

func TestGenAI(t *testing.T) {
	t.Parallel()
	const (
		retryInfo = `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"53s"}`
		perMinute = `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"m","quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}`
		perDay    = `{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProject"},{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}`
		wrongKey  = `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}`
		chunk     = `data: {"candidates":[{"content":{"parts":[{"text":"Hel"}],"role":"model"}}]}` + "\n\n"
	)
	check(t, askGenAI, []failure{
		{it: "reads a rate limit with its wait", answer: says(429, google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", perMinute, retryInfo)), want: strategies.ClassRateLimited, hint: 53 * time.Second},
		{it: "tells a daily quota from a rate limit", answer: says(429, google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", perDay, retryInfo)), want: strategies.ClassQuotaExhausted, hint: 53 * time.Second},
		{it: "takes an exhausted resource without details for a rate limit", answer: says(429, google(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")), want: strategies.ClassRateLimited},
		{it: "knows an overflow by its text", answer: says(400, google(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).")), want: strategies.ClassContextOverflow},
		{it: "knows a bad request", answer: says(400, google(400, "INVALID_ARGUMENT", "Unknown name \"x\"")), want: strategies.ClassBadRequest},
		{it: "knows a wrong key, which is sent as a bad request", answer: says(400, google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", wrongKey)), want: strategies.ClassUnauthorized},
		{it: "knows a failed precondition", answer: says(400, google(400, "FAILED_PRECONDITION", "The file is not in an ACTIVE state.")), want: strategies.ClassBadRequest},
		{it: "knows a country that is not served", answer: says(400, google(400, "FAILED_PRECONDITION", "User location is not supported for the API use.")), want: strategies.ClassUnauthorized},
		{it: "knows missing credentials", answer: says(401, google(401, "UNAUTHENTICATED", "")), want: strategies.ClassUnauthorized},
		{it: "takes a payment that is due for a quota", answer: says(402, `{}`), want: strategies.ClassQuotaExhausted},
		{it: "knows a missing permission", answer: says(403, google(403, "PERMISSION_DENIED", "")), want: strategies.ClassUnauthorized},
		{it: "knows a model that is not there", answer: says(404, google(404, "NOT_FOUND", "models/x is not found")), want: strategies.ClassNotFound},
		{it: "knows a request too large", answer: says(413, html, "Content-Type", "text/html"), want: strategies.ClassBadRequest},
		{it: "knows a server error", answer: says(500, google(500, "INTERNAL", "An internal error has occurred.")), want: strategies.ClassTransient},
		{it: "takes a proxy's page for what its status says", answer: says(502, html, "Content-Type", "text/html"), want: strategies.ClassTransient},
		{it: "takes an empty body for what its status says", answer: says(503, ""), want: strategies.ClassTransient},
		{it: "knows an overloaded model", answer: says(503, google(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")), want: strategies.ClassOverloaded},
		{it: "knows a deadline of the server's", answer: says(504, google(504, "DEADLINE_EXCEEDED", "")), want: strategies.ClassTimeout},
		{it: "knows 529", answer: says(529, ""), want: strategies.ClassOverloaded},
		{it: "takes a dropped connection for transient", answer: drops, want: strategies.ClassTransient},
		{it: "takes a cut answer for transient", answer: cuts(says(200, `{"candidates":`)), want: strategies.ClassTransient},

		{it: "knows a rate limit before a stream", stream: true, answer: says(429, google(429, "RESOURCE_EXHAUSTED", "", retryInfo)), want: strategies.ClassRateLimited, hint: 53 * time.Second},
		{it: "knows an error frame in a stream", stream: true, answer: streams(chunk + "data: " + google(429, "RESOURCE_EXHAUSTED", "", retryInfo) + "\n\n"), want: strategies.ClassRateLimited, hint: 53 * time.Second},
		{it: "knows a bare error in a stream", stream: true, answer: streams(chunk + google(403, "PERMISSION_DENIED", "") + "\n\n"), want: strategies.ClassUnauthorized},
		{it: "takes a cut stream for transient", stream: true, answer: cuts(streams(chunk)), want: strategies.ClassTransient},
	})
}
