package providers_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

// hinted is the real client with a Transport under it and a Layer around it.
func hinted(t *testing.T, answer http.HandlerFunc, options ...option.RequestOption) (_ *middleware.Builder[string, string], events *middlewaretest.Recorder, requests *atomic.Int64) {
	t.Helper()
	events, requests = &middlewaretest.Recorder{}, &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	client := openai.NewClient(append([]option.RequestOption{
		option.WithBaseURL(server.URL), option.WithAPIKey("test"),
		option.WithHTTPClient(&http.Client{Transport: httphint.Transport{}}),
	}, options...)...)
	agent := func(ctx context.Context, question string) (string, error) {
		completion, err := client.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{
			Model:    "gpt",
			Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(question)},
		})
		if err != nil {
			return "", err
		}
		return completion.Choices[0].Message.Content, nil
	}
	return middleware.WrapFunc(agent).Named("bard").Observe(events).
		Around(middleware.StageAgent, httphint.Layer(httphint.Hidden(events, "bard"))), events, requests
}

// What the client drops on its way to an error, the hint has kept.
func TestOpenAIByItsHint(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		it     string
		answer http.HandlerFunc
		want   strategies.Class
		wait   time.Duration
		lost   bool // the client's own error is a json.UnmarshalTypeError
	}{
		{"knows a bad gateway whose error is only a text", says(502, `{"error":"bad gateway"}`, "Retry-After", "4"), strategies.ClassTransient, 4 * time.Second, true},
		{"knows a rate limit whose error is only a text", says(429, `{"error":"too many requests"}`, "Retry-After", "3"), strategies.ClassRateLimited, 3 * time.Second, true},
		{"knows a wrong key whose error is only a text", says(401, `{"error":"no such key"}`), strategies.ClassUnauthorized, 0, true},
		{"knows an overload whose error is only a text", says(529, `{"error":"too busy"}`), strategies.ClassOverloaded, 0, true},
		{"believes the code of a quota before the status", says(429, openAI(`"insufficient_quota"`, "insufficient_quota", "")), strategies.ClassQuotaExhausted, 0, false},
		{"believes the code of an overflow before the status", says(400, openAI(`"context_length_exceeded"`, "invalid_request_error", "")), strategies.ClassContextOverflow, 0, false},
	} {
		t.Run("it "+tc.it, func(t *testing.T) {
			t.Parallel()
			b, _, requests := hinted(t, tc.answer, option.WithMaxRetries(0))
			guarded, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			_, err = guarded.Run(t.Context(), "hello")
			hint, ok := errors.AsType[*httphint.Error](err)
			if !ok {
				t.Fatalf("no hint in %T: %v", err, err)
			}
			if _, lost := errors.AsType[*json.UnmarshalTypeError](hint.Err); lost != tc.lost {
				t.Errorf("the client's error is a %T", hint.Err)
			}
			if got := strategies.Classify(hint); got.Class != tc.want || got.RetryAfter != tc.wait {
				t.Errorf("got %v, %v, want %v, %v", got.Class, got.RetryAfter, tc.want, tc.wait)
			}
			if tc.lost {
				if got := strategies.Classify(hint.Err); got.Class != strategies.ClassTransient || got.RetryAfter != 0 {
					t.Errorf("without the hint: got %v, %v", got.Class, got.RetryAfter)
				}
			}
			if requests.Load() != 1 {
				t.Errorf("the server saw %d requests", requests.Load())
			}
		})
	}
}

func TestOpenAIsHiddenRetries(t *testing.T) {
	t.Parallel()
	// Retry-After-Ms keeps the client's own waits short.
	down := says(503, openAI("null", "server_error", ""), "Retry-After-Ms", "1")
	for _, tc := range []struct {
		it       string
		options  []option.RequestOption
		requests int64
		hidden   int
	}{
		{"it counts the client's two retries an attempt", nil, 12, 4},
		{"it says nothing where they are switched off", []option.RequestOption{option.WithMaxRetries(0)}, 4, 0},
	} {
		t.Run(tc.it, func(t *testing.T) {
			t.Parallel()
			b, events, requests := hinted(t, down, tc.options...)
			guarded, err := b.Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).Build()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := guarded.Run(t.Context(), "hello"); !errors.Is(err, strategies.ErrRecovery) {
				t.Errorf("got %v", err)
			}
			if got := requests.Load(); got != tc.requests {
				t.Errorf("the server saw %d requests, want %d", got, tc.requests)
			}
			if got := events.Count(middleware.EventHiddenRequests); got != tc.hidden {
				t.Errorf("%d events of hidden requests, want %d", got, tc.hidden)
			}
			for _, e := range events.Events() {
				if e.Kind == middleware.EventHiddenRequests && e.Count != 3 {
					t.Errorf("an attempt sent %d requests, want 3", e.Count)
				}
			}
		})
	}
}
