package providers_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/strategies"
)

func askOpenAI(ctx context.Context, url string, stream bool) error {
	client := openai.NewClient(option.WithBaseURL(url), option.WithAPIKey("test"), option.WithMaxRetries(0))
	params := openai.ChatCompletionNewParams{
		Model:    "gpt",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello")},
	}
	if !stream {
		_, err := client.Chat.Completions.New(ctx, params)
		return err
	}
	s := client.Chat.Completions.NewStreaming(ctx, params)
	defer s.Close()
	for s.Next() {
	}
	return s.Err()
}

// openAI is an error as OpenAI's API sends it.
func openAI(code, kind, message string) string {
	return fmt.Sprintf(`{"error":{"message":%q,"type":%q,"param":null,"code":%s}}`, message, kind, code)
}

func TestOpenAI(t *testing.T) {
	t.Parallel()
	rate := openAI(`"rate_limit_exceeded"`, "requests", "Rate limit reached for gpt-4o in organization org-x on requests per min (RPM)")
	const chunk = `data: {"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hel"}}]}` + "\n\n"
	check(t, askOpenAI, []failure{
		{it: "tells a quota from a rate limit by its code", answer: says(429, openAI(`"insufficient_quota"`, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details.")), want: strategies.ClassQuotaExhausted},
		{it: "reads a rate limit with a wait in seconds", answer: says(429, rate, "Retry-After", "7"), want: strategies.ClassRateLimited, hint: 7 * time.Second},
		{it: "reads a rate limit with a wait in milliseconds", answer: says(429, rate, "Retry-After", "2", "Retry-After-Ms", "1500"), want: strategies.ClassRateLimited, hint: 1500 * time.Millisecond},
		{it: "reads a rate limit with a date", answer: says(429, rate, "Date", "Sun, 01 Mar 2026 12:00:00 GMT", "Retry-After", "Sun, 01 Mar 2026 12:00:30 GMT"), want: strategies.ClassRateLimited, hint: 30 * time.Second},
		{it: "takes a 429 without a code for a rate limit", answer: says(429, openAI("null", "", "slow down")), want: strategies.ClassRateLimited},
		{it: "knows a quota by the type alone", answer: says(429, openAI("null", "insufficient_quota", "")), want: strategies.ClassQuotaExhausted},
		{it: "knows an inactive account", answer: says(429, openAI(`"billing_not_active"`, "billing_not_active", "")), want: strategies.ClassQuotaExhausted},
		{it: "knows an overflow by its code", answer: says(400, openAI(`"context_length_exceeded"`, "invalid_request_error", "This model's maximum context length is 8192 tokens.")), want: strategies.ClassContextOverflow},
		{it: "knows an overflow of a compatible server by its text", answer: says(400, openAI("400", "BadRequestError", "This model's maximum context length is 4096 tokens.")), want: strategies.ClassContextOverflow},
		{it: "takes a text that is too long for a bad request", answer: says(400, openAI(`"string_above_max_length"`, "invalid_request_error", "Invalid 'messages[0].content': string too long.")), want: strategies.ClassBadRequest},
		{it: "knows a bad request", answer: says(400, openAI("null", "invalid_request_error", "Missing required parameter")), want: strategies.ClassBadRequest},
		{it: "knows a wrong key", answer: says(401, openAI(`"invalid_api_key"`, "invalid_request_error", "Incorrect API key provided")), want: strategies.ClassUnauthorized},
		{it: "takes a payment that is due for a quota", answer: says(402, openAI("null", "", "payment required")), want: strategies.ClassQuotaExhausted},
		{it: "knows a region that is not served", answer: says(403, openAI(`"unsupported_country_region_territory"`, "request_forbidden", "")), want: strategies.ClassUnauthorized},
		{it: "knows a model that is not there", answer: says(404, openAI(`"model_not_found"`, "invalid_request_error", "The model `x` does not exist")), want: strategies.ClassNotFound},
		{it: "takes 409 for transient", answer: says(409, openAI("null", "", "")), want: strategies.ClassTransient},
		{it: "knows a request too large", answer: says(413, openAI("null", "", "")), want: strategies.ClassBadRequest},
		{it: "knows an unprocessable request", answer: says(422, openAI("null", "", "")), want: strategies.ClassBadRequest},
		{it: "knows a server error", answer: says(500, openAI("null", "server_error", "The server had an error")), want: strategies.ClassTransient},
		{it: "takes a proxy's page for what its status says", answer: says(502, html, "Content-Type", "text/html"), want: strategies.ClassTransient},
		// The SDK returns its own json.UnmarshalTypeError here and drops the response.
		{it: "can tell nothing of an error that is only a text", answer: says(429, `{"error":"too many requests"}`, "Retry-After", "3"), want: strategies.ClassTransient},
		{it: "takes an empty body for what its status says", answer: says(503, "", "Retry-After", "3"), want: strategies.ClassTransient, hint: 3 * time.Second},
		{it: "knows an overloaded server", answer: says(503, openAI(`"server_is_overloaded"`, "service_unavailable_error", "")), want: strategies.ClassOverloaded},
		{it: "knows a slow_down", answer: says(503, openAI(`"slow_down"`, "", "")), want: strategies.ClassOverloaded},
		{it: "knows 529 of a compatible server", answer: says(529, openAI("null", "", "")), want: strategies.ClassOverloaded},
		{it: "knows Azure's content filter", answer: says(400, `{"error":{"message":"The response was filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`), want: strategies.ClassBlocked},
		{it: "knows a flagged prompt", answer: says(400, openAI(`"invalid_prompt"`, "invalid_request_error", "Invalid prompt: your prompt was flagged")), want: strategies.ClassBlocked},
		{it: "knows a daily quota of Gemini's compatible endpoint", answer: says(429, `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"RequestsPerDayPerProject"}]}]}}`), want: strategies.ClassQuotaExhausted},
		{it: "takes a dropped connection for transient", answer: drops, want: strategies.ClassTransient},
		{it: "takes a cut answer for transient", answer: cuts(says(200, `{"id":`)), want: strategies.ClassTransient},

		{it: "knows a rate limit before a stream", stream: true, answer: says(429, rate, "Retry-After", "7"), want: strategies.ClassRateLimited, hint: 7 * time.Second},
		{it: "knows an overload in a stream", stream: true, answer: streams(chunk + "data: " + openAI(`"server_is_overloaded"`, "service_unavailable_error", "Our servers are currently overloaded.") + "\n\n"), want: strategies.ClassOverloaded},
		{it: "knows a quota in a stream", stream: true, answer: streams(chunk + "data: " + openAI("null", "insufficient_quota", "") + "\n\n"), want: strategies.ClassQuotaExhausted},
		{it: "knows a bad request in a stream", stream: true, answer: streams("data: " + openAI("null", "invalid_request_error", "") + "\n\n"), want: strategies.ClassBadRequest},
		{it: "reads a status in a stream", stream: true, answer: streams(chunk + `data: {"error":{"code":429,"message":"Provider returned error"}}` + "\n\n"), want: strategies.ClassRateLimited},
		{it: "takes a server error in a stream for transient", stream: true, answer: streams(chunk + "data: " + openAI("null", "server_error", "") + "\n\n"), want: strategies.ClassTransient},
		{it: "takes a cut stream for transient", stream: true, answer: cuts(streams(chunk)), want: strategies.ClassTransient},
	})
}
