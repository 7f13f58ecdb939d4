package providers_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/understudy-go/understudy/strategies"
)

func askAnthropic(ctx context.Context, url string, stream bool) error {
	client := anthropic.NewClient(option.WithBaseURL(url), option.WithAPIKey("test"), option.WithMaxRetries(0))
	params := anthropic.MessageNewParams{
		Model:     "claude",
		MaxTokens: 100,
		Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hello"))},
	}
	if !stream {
		_, err := client.Messages.New(ctx, params)
		return err
	}
	s := client.Messages.NewStreaming(ctx, params)
	defer s.Close()
	for s.Next() {
	}
	return s.Err()
}

// anthropicError is an error as Anthropic's API sends it.
func anthropicError(kind, message string) string {
	return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q},"request_id":"req_1"}`, kind, message)
}

func TestAnthropic(t *testing.T) {
	t.Parallel()
	rate := anthropicError("rate_limit_error", "This request would exceed your organization's rate limit")
	const start = "event: message_start\n" +
		`data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude","usage":{"input_tokens":1,"output_tokens":1}}}` + "\n\n"
	event := func(kind, message string) string {
		return start + "event: error\ndata: " + anthropicError(kind, message) + "\n\n"
	}
	check(t, askAnthropic, []failure{
		{it: "reads a rate limit with a wait in seconds", answer: says(429, rate, "Retry-After", "7"), want: strategies.ClassRateLimited, hint: 7 * time.Second},
		{it: "reads a rate limit with a date", answer: says(429, rate, "Date", "Sun, 01 Mar 2026 12:00:00 GMT", "Retry-After", "Sun, 01 Mar 2026 12:00:30 GMT"), want: strategies.ClassRateLimited, hint: 30 * time.Second},
		{it: "reads a rate limit without a wait", answer: says(429, rate), want: strategies.ClassRateLimited},
		{it: "knows a billing error", answer: says(402, anthropicError("billing_error", "")), want: strategies.ClassQuotaExhausted},
		{it: "knows an empty account, which is sent as a bad request", answer: says(400, anthropicError("invalid_request_error", "Your credit balance is too low to access the Anthropic API.")), want: strategies.ClassQuotaExhausted},
		{it: "knows an overflow by its text", answer: says(400, anthropicError("invalid_request_error", "prompt is too long: 212345 tokens > 200000 maximum")), want: strategies.ClassContextOverflow},
		{it: "knows an overflow by the answer", answer: says(400, anthropicError("invalid_request_error", "input length and `max_tokens` exceed context limit: 197626 + 8192 > 200000")), want: strategies.ClassContextOverflow},
		{it: "knows a bad request", answer: says(400, anthropicError("invalid_request_error", "max_tokens: Field required")), want: strategies.ClassBadRequest},
		{it: "knows a wrong key", answer: says(401, anthropicError("authentication_error", "invalid x-api-key")), want: strategies.ClassUnauthorized},
		{it: "knows a missing permission", answer: says(403, anthropicError("permission_error", "")), want: strategies.ClassUnauthorized},
		{it: "knows a model that is not there", answer: says(404, anthropicError("not_found_error", "model: x")), want: strategies.ClassNotFound},
		{it: "knows a request too large", answer: says(413, anthropicError("request_too_large", "Request exceeds the maximum size")), want: strategies.ClassBadRequest},
		{it: "knows an unprocessable request", answer: says(422, anthropicError("invalid_request_error", "")), want: strategies.ClassBadRequest},
		{it: "knows a server error", answer: says(500, anthropicError("api_error", "Internal server error")), want: strategies.ClassTransient},
		{it: "takes a proxy's page for what its status says", answer: says(502, html, "Content-Type", "text/html"), want: strategies.ClassTransient},
		{it: "takes an empty body for what its status says", answer: says(503, "", "Retry-After", "3"), want: strategies.ClassTransient, hint: 3 * time.Second},
		{it: "knows a timeout of the server's", answer: says(504, anthropicError("timeout_error", "Request timed out")), want: strategies.ClassTimeout},
		{it: "knows an overload", answer: says(529, anthropicError("overloaded_error", "Overloaded"), "Retry-After", "5"), want: strategies.ClassOverloaded, hint: 5 * time.Second},
		{it: "takes a dropped connection for transient", answer: drops, want: strategies.ClassTransient},
		{it: "takes a cut answer for transient", answer: cuts(says(200, `{"id":`)), want: strategies.ClassTransient},

		{it: "knows an overload before a stream", stream: true, answer: says(529, anthropicError("overloaded_error", "Overloaded")), want: strategies.ClassOverloaded},
		{it: "knows an overload in a stream, whose status is 200", stream: true, answer: streams(event("overloaded_error", "Overloaded")), want: strategies.ClassOverloaded},
		{it: "knows a rate limit in a stream", stream: true, answer: streams(event("rate_limit_error", "")), want: strategies.ClassRateLimited},
		{it: "takes a server error in a stream for transient", stream: true, answer: streams(event("api_error", "Internal server error")), want: strategies.ClassTransient},
		{it: "knows an overflow in a stream", stream: true, answer: streams(event("invalid_request_error", "prompt is too long: 3 tokens > 2 maximum")), want: strategies.ClassContextOverflow},
		{it: "takes a cut stream for transient", stream: true, answer: cuts(streams(start)), want: strategies.ClassTransient},
	})
}
