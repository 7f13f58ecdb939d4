package endpointtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"

	"github.com/understudy-go/understudy/internal/endpoint"
)

func TestFaultsWithAnHTTPStatus(t *testing.T) {
	const later = 20 * time.Second
	for _, tt := range []struct {
		fault             endpoint.Fault
		status            int
		kind, code, param string
		header, value     string
	}{
		{fault: endpoint.Status(503), status: 503, kind: "server_error"},
		{fault: endpoint.Status(404), status: 404, kind: "invalid_request_error"},
		{fault: endpoint.RateLimit(later), status: 429, kind: "requests", code: "rate_limit_exceeded", header: "Retry-After", value: "20"},
		{fault: endpoint.RateLimit(250 * time.Millisecond), status: 429, kind: "requests", code: "rate_limit_exceeded", header: "Retry-After-Ms", value: "250"},
		{fault: endpoint.RateLimit(time.Microsecond), status: 429, kind: "requests", code: "rate_limit_exceeded", header: "Retry-After-Ms", value: "1"},
		{fault: endpoint.RateLimit(0), status: 429, kind: "requests", code: "rate_limit_exceeded", header: "Retry-After", value: ""},
		{fault: endpoint.Quota(), status: 429, kind: "insufficient_quota", code: "insufficient_quota"},
		{fault: endpoint.ContextOverflow(), status: 400, kind: "invalid_request_error", code: "context_length_exceeded", param: "messages"},
		{fault: endpoint.Unauthorized(), status: 401, kind: "invalid_request_error", code: "invalid_api_key"},
		{fault: endpoint.BadRequest(), status: 400, kind: "invalid_request_error", param: "messages"},
		{fault: endpoint.ServerError(), status: 500, kind: "server_error"},
		{fault: endpoint.Overloaded(), status: 503, kind: "service_unavailable_error", code: "server_is_overloaded"},
		{fault: endpoint.ErrorEventAfter(1), status: 500, kind: "server_error"},
		{fault: endpoint.ErrorEventBefore(), status: 500, kind: "server_error"},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			srv := scripted(t, tt.fault)
			_, err := client(srv).Chat.Completions.New(t.Context(), ask(model, "hello"))
			check := func(err error) {
				t.Helper()
				e, ok := errors.AsType[*openai.Error](err)
				if !ok {
					t.Fatalf("got %T %v, want *openai.Error", err, err)
				}
				if e.StatusCode != tt.status || e.Type != tt.kind || e.Code != tt.code || e.Param != tt.param {
					t.Errorf("got %d type %q code %q param %q", e.StatusCode, e.Type, e.Code, e.Param)
				}
				if e.Message == "" {
					t.Error("got no message")
				}
				if got := e.Response.Header.Get(tt.header); tt.header != "" && got != tt.value {
					t.Errorf("got %s %q, want %q", tt.header, got, tt.value)
				}
				var body struct {
					Error map[string]json.RawMessage
				}
				raw, readErr := io.ReadAll(e.Response.Body)
				if readErr != nil || json.Unmarshal(raw, &body) != nil || len(body.Error) != 4 {
					t.Errorf("got body %s, want an error of message, type, param and code", raw)
				}
				if tt.code == "" && string(body.Error["code"]) != "null" {
					t.Errorf("got code %s, want null", body.Error["code"])
				}
			}
			check(err)
			if got := srv.Requests(model); got != 1 {
				t.Errorf("got %d requests, want 1", got)
			}
			if _, err := client(srv).Chat.Completions.New(t.Context(), ask(model, "hello")); err != nil {
				t.Errorf("after the script: %v", err)
			}

			if tt.fault == endpoint.ErrorEventAfter(1) || tt.fault == endpoint.ErrorEventBefore() {
				return // these have a form of their own in a stream
			}
			check(listen(t.Context(), client(scripted(t, tt.fault)), ask(model, "hello")).err)
		})
	}
}

func TestFaultsOfTheBody(t *testing.T) {
	for _, tt := range []struct {
		fault                    endpoint.Fault
		content, refusal, finish string
		is                       error  // errors.Is holds
		text                     string // or the error says this
	}{
		{fault: endpoint.OK(), content: "one two three four", finish: "stop"},
		{fault: endpoint.Fault{}, content: "one two three four", finish: "stop"},
		{fault: endpoint.Slow(time.Millisecond), content: "one two three four", finish: "stop"},
		{fault: endpoint.Refusal(), refusal: "I'm sorry, but I can't help with that.", finish: "stop"},
		{fault: endpoint.ContentFilter(), finish: "content_filter"},
		{fault: endpoint.Empty(), finish: "stop"},
		{fault: endpoint.Truncated(), content: "one two", finish: "length"},
		{fault: endpoint.Drop(), is: io.EOF},
		{fault: endpoint.CutBody(), is: io.ErrUnexpectedEOF},
		{fault: endpoint.CutBeforeFirst(), is: io.ErrUnexpectedEOF},
		{fault: endpoint.CutAfter(1), is: io.ErrUnexpectedEOF},
		{fault: endpoint.Malformed(), text: "invalid character 'o'"},
		{fault: endpoint.CleanEOFBefore(), text: "error parsing response json"},
		{fault: endpoint.CleanEOFAfter(1), text: "error parsing response json"},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			srv := scripted(t, tt.fault)
			answer, err := client(srv).Chat.Completions.New(t.Context(), ask(model, "hello"))
			if got := srv.Requests(model); got != 1 {
				t.Errorf("got %d requests, want 1", got)
			}
			if tt.is != nil || tt.text != "" {
				if err == nil || (tt.is != nil && !errors.Is(err, tt.is)) {
					t.Fatalf("got %v, want %v %s", err, tt.is, tt.text)
				}
				contains(t, err.Error(), tt.text)
				if e, ok := errors.AsType[*openai.Error](err); ok {
					t.Errorf("got the provider's error %v for a failure of transport", e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			choice := answer.Choices[0]
			if choice.Message.Content != tt.content || choice.Message.Refusal != tt.refusal || choice.FinishReason != tt.finish {
				t.Errorf("got content %q refusal %q finish %q", choice.Message.Content, choice.Message.Refusal, choice.FinishReason)
			}
			if u := answer.Usage; u.PromptTokens != 1 || u.TotalTokens != u.PromptTokens+u.CompletionTokens {
				t.Errorf("got usage %+v", u)
			}
		})
	}
}

func TestFaultsThatNeverEnd(t *testing.T) {
	var all sync.WaitGroup // together, so that the test waits but once
	defer all.Wait()
	for _, fault := range []endpoint.Fault{
		endpoint.Hang(), endpoint.StallBefore(), endpoint.StallAfter(2), endpoint.Slow(time.Hour),
	} {
		srv := scripted(t, fault)
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := client(srv).Chat.Completions.New(ctx, ask(model, "hello"))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v: got %v, want the deadline", fault, err)
			}
			if got := srv.Requests(model); got != 1 {
				t.Errorf("%v: got %d requests, want 1", fault, got)
			}
		})
	}
}

func TestSlowWaits(t *testing.T) {
	const delay = 20 * time.Millisecond
	begin := time.Now()
	if _, err := client(scripted(t, endpoint.Slow(delay))).Chat.Completions.New(t.Context(), ask(model, "hello")); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < delay {
		t.Errorf("answered after %v, want at least %v", took, delay)
	}
}
