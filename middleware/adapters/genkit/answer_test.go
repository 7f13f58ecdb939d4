package genkit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/firebase/genkit/go/ai"
	"github.com/firebase/genkit/go/core/status"
	sdk "github.com/firebase/genkit/go/genkit"
	"github.com/firebase/genkit/go/plugins/googlegenai"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
	"github.com/understudy-go/understudy/strategies"
)

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	finish := func(reason, content string) string {
		return fmt.Sprintf(`{"choices":[{"index":0,"finish_reason":%q,"message":{"role":"assistant","content":%q}}]}`, reason, content)
	}
	for it, tt := range map[string]struct {
		body   string
		reason string
		class  strategies.Class
	}{
		"a refusal":               {`{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":null,"refusal":"I will not."}}]}`, "blocked", strategies.ClassBlocked},
		"a content filter":        {finish("content_filter", ""), "blocked", strategies.ClassBlocked},
		"one cut short":           {finish("length", "A stran"), "length", strategies.ClassInvalidAnswer},
		"an empty one":            {finish("stop", ""), genkit.Empty, strategies.ClassInvalidAnswer},
		"one broken off":          {finish("network_error", "A"), "other", strategies.ClassInvalidAnswer},
		"a gateway's rate limit":  {`{"choices":[{"index":0,"finish_reason":"error","error":{"code":429,"message":"slow down"},"message":{"role":"assistant","content":"A"}}]}`, "other", strategies.ClassRateLimited},
		"a gateway's dry account": {`{"choices":[{"index":0,"finish_reason":"error","error":{"code":402,"message":"no credit"},"message":{"role":"assistant","content":""}}]}`, "other", strategies.ClassQuotaExhausted},
	} {
		t.Run("it makes an error of "+it, func(t *testing.T) {
			g := connect(t, serve(t, says(200, tt.body)).URL)
			_, err := ask(t, g, ai.WithUse(whole(t, middleware.Wrap(genkit.Next()))))
			class(t, err, tt.class)
			e, ok := errors.AsType[*strategies.AnswerError](err)
			if !ok || e.Provider != "genkit" || e.Reason != tt.reason || e.Answer == nil {
				t.Fatalf("got %v", err)
			}
			resp, err := ask(t, g, ai.WithUse(whole(t, middleware.Wrap(genkit.Next().Accept(ai.FinishReason(tt.reason), genkit.Empty)))))
			if err != nil || resp.Text() != e.Text {
				t.Errorf("accepted: got %v, %v", resp, err)
			}
		})
	}
	t.Run("it takes an unknown word for the end of a whole answer if told to", func(t *testing.T) {
		g := connect(t, serve(t, says(200, finish("eos", "Hello"))).URL)
		_, err := ask(t, g, ai.WithUse(whole(t, middleware.Wrap(genkit.Next()))))
		class(t, err, strategies.ClassInvalidAnswer)
		resp, err := ask(t, g, ai.WithUse(whole(t, middleware.Wrap(genkit.Next().Accept(ai.FinishReasonUnknown)))))
		served(t, resp, err, "Hello", genkit.Provenance{})
	})
	t.Run("it takes one for the end of a stream if told to", func(t *testing.T) {
		g := connect(t, serve(t, streams(`{"choices":[{"index":0,"delta":{"content":"Hello"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"eos"}]}`)).URL)
		listen := ai.WithStreaming(func(context.Context, *ai.ModelResponseChunk) error { return nil })
		_, err := ask(t, g, listen, ai.WithUse(stream(t, middleware.WrapStream(genkit.Next()))))
		class(t, err, strategies.ClassCutOff)
		resp, err := ask(t, g, listen, ai.WithUse(stream(t, middleware.WrapStream(genkit.Next().Accept(ai.FinishReasonUnknown)))))
		served(t, resp, err, "Hello", genkit.Provenance{})
	})
	t.Run("it does not take an answer cut before its first word for a short one", func(t *testing.T) {
		g := connect(t, serve(t, says(200, finish("length", ""))).URL)
		_, err := ask(t, g, ai.WithUse(whole(t, middleware.Wrap(genkit.Next().Accept(ai.FinishReasonLength)))))
		if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Reason != genkit.Empty {
			t.Errorf("got %v", err)
		}
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()
	quota := &providerError{StatusCode: 429, Code: "insufficient_quota", Message: "no credit"}
	for it, tt := range map[string]struct {
		err  error
		want strategies.Class
	}{
		"a status alone":                        {status.Errorf(status.ErrUnavailable, "away"), strategies.ClassTransient},
		"a rate limit":                          {status.Errorf(status.ErrResourceExhausted, "slow down"), strategies.ClassRateLimited},
		"a quota behind a rate limit":           {status.Errorf(status.ErrResourceExhausted, "%w", quota), strategies.ClassQuotaExhausted},
		"a quota behind two layers of text":     {fmt.Errorf("a: %w", status.Errorf(status.ErrResourceExhausted, "b: %w", quota)), strategies.ClassQuotaExhausted},
		"a long request behind a bad one":       {status.Errorf(status.ErrInvalidArgument, "%w", &providerError{StatusCode: 400, Code: "context_length_exceeded"}), strategies.ClassContextOverflow},
		"402, which genkit calls unknown":       {status.Errorf(status.ErrUnknown, "%w", &providerError{StatusCode: 402}), strategies.ClassQuotaExhausted},
		"422, which genkit calls unknown":       {status.Errorf(status.ErrUnknown, "%w", &providerError{StatusCode: 422, Message: "no"}), strategies.ClassBadRequest},
		"529, which genkit calls internal":      {status.Errorf(status.ErrInternal, "%w", &providerError{StatusCode: 529}), strategies.ClassOverloaded},
		"a tool that failed by a bad request":   {status.Errorf(ai.ErrToolFailed, "%w", &providerError{StatusCode: 400}), strategies.ClassTransient},
		"a class given by hand":                 {status.Errorf(status.ErrUnavailable, "%w", strategies.WithClass(strategies.ClassBlocked, quota)), strategies.ClassBlocked},
		"a class given by hand, outside":        {strategies.WithClass(strategies.ClassBlocked, status.Errorf(status.ErrResourceExhausted, "%w", quota)), strategies.ClassBlocked},
		"one of several errors":                 {errors.Join(errors.New("a"), status.Errorf(status.ErrResourceExhausted, "%w", quota)), strategies.ClassQuotaExhausted},
		"a tool that failed by our own error":   {status.Errorf(ai.ErrToolFailed, "%w", &strategies.RecoveryError{Class: strategies.ClassBlocked}), strategies.ClassTransient},
		"a hint without a class, outside":       {strategies.WithRetryAfter(1, status.Errorf(status.ErrResourceExhausted, "%w", quota)), strategies.ClassQuotaExhausted},
		"a tool's interrupt":                    {fmt.Errorf("tool: %w", ai.NewToolInterruptError(nil)), strategies.ClassInterrupt},
		"a nil error of genkit's in a variable": {(*status.Error)(nil), strategies.ClassTransient},
	} {
		t.Run("it knows "+it, func(t *testing.T) {
			if got := (&strategies.Classifier{Rules: []strategies.Rule{genkit.Status}}).Classify(tt.err).Class; got != tt.want {
				t.Errorf("class %v, want %v", got, tt.want)
			}
			_, err := genkit.Flow(func(context.Context, int) (int, error) { return 0, tt.err }).Run(t.Context(), 0)
			class(t, err, tt.want)
		})
	}
}

// providerError has the fields that errors of SDKs have.
type providerError struct {
	StatusCode    int
	Code, Message string
}

func (e *providerError) Error() string { return e.Message }

// Google's plugin puts the hint into the details of its status.
func TestGoogle(t *testing.T) {
	t.Parallel()
	const failure = `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded for requests per %s","details":[
		{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPer%s"}]},
		{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0.040s"}]}}`
	server := serve(t, says(429, fmt.Sprintf(failure, "minute", "Minute")),
		says(200, `{"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[{"text":"Hello"}]}}]}`),
		says(429, fmt.Sprintf(failure, "day", "Day")))
	g := sdk.Init(t.Context(), sdk.WithPlugins(&googlegenai.GoogleAI{APIKey: "test", BaseURL: server.URL, HTTPClient: server.Client()}))
	var delays []time.Duration
	recovery := whole(t, middleware.Wrap(genkit.Next()).Named("narrator").Retry(soon).
		Observe(middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
			if e.Kind == middleware.EventRetryScheduled {
				delays = append(delays, e.Delay)
			}
		})))
	resp, err := ask(t, g, ai.WithModelName("googleai/gemini-2.5-flash"), ai.WithUse(recovery))
	served(t, resp, err, "Hello", genkit.Provenance{Strategy: strategies.StrategyRetry, ServedBy: "narrator", Attempts: 2})
	if len(delays) != 1 || delays[0] < 40*time.Millisecond {
		t.Errorf("it waited %v where the provider asked for 40ms", delays)
	}
	_, err = ask(t, g, ai.WithModelName("googleai/gemini-2.5-flash"), ai.WithUse(recovery))
	class(t, err, strategies.ClassQuotaExhausted)
	if n := server.requests.Load(); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestRetryAfterOfDetails(t *testing.T) {
	t.Parallel()
	for _, ms := range []any{int64(40), 40, 40.0} {
		_, err := genkit.Flow(func(context.Context, int) (int, error) {
			return 0, status.Errorf(status.ErrResourceExhausted, "slow down").WithDetails(map[string]any{"retryAfterMs": ms})
		}).Run(t.Context(), 0)
		if v := strategies.Classify(err); v.RetryAfter != 40*time.Millisecond || v.Class != strategies.ClassRateLimited {
			t.Errorf("%T: got %+v", ms, v)
		}
	}
	for _, ms := range []any{int64(-1), "soon", nil} {
		_, err := genkit.Flow(func(context.Context, int) (int, error) {
			return 0, status.Errorf(status.ErrResourceExhausted, "slow down").WithDetails(map[string]any{"retryAfterMs": ms})
		}).Run(t.Context(), 0)
		if v := strategies.Classify(err); v.RetryAfter != 0 {
			t.Errorf("%v: got %+v", ms, v)
		}
	}
}

func TestTools(t *testing.T) {
	t.Parallel()
	type result = middleware.Runner[genkit.ToolCall, *ai.MultipartToolResponse]
	build := func(b *middleware.Builder[genkit.ToolCall, *ai.MultipartToolResponse]) result {
		g, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	retry := build(middleware.Wrap(genkit.NextTool()).Retry(soon))
	canned := build(middleware.Wrap(genkit.NextTool()).Degrade(strategies.LevelReduced, genkit.Output("it is stuck")))
	for it, tt := range map[string]struct {
		recovery genkit.Recovery
		calls    int
		fails    bool
		output   string // in what is sent to the model
	}{
		"calls a tool without a chain once":          {genkit.Recovery{Tools: genkit.Tools{"another": retry}}, 1, true, ""},
		"retries a tool by its name":                 {genkit.Recovery{Tools: genkit.Tools{"open_door": retry}}, 2, false, "front is open"},
		"retries any tool that has no other chain":   {genkit.Recovery{Tool: retry}, 2, false, "front is open"},
		"lets the name go before the others":         {genkit.Recovery{Tool: retry, Tools: genkit.Tools{"open_door": nil}}, 1, true, ""},
		"lets the model go on with a canned output":  {genkit.Recovery{Tool: canned}, 1, false, "it is stuck"},
		"leaves the model's calls alone without one": {genkit.Recovery{Tool: retry}, 2, false, "front is open"},
	} {
		t.Run("it "+it, func(t *testing.T) {
			server := serve(t, says(200, call), says(200, hello))
			g := connect(t, server.URL)
			calls := 0
			door := sdk.DefineTool(g, "open_door", "opens a door", func(_ *ai.ToolContext, in struct {
				Door string `json:"door"`
			}) (string, error) {
				if calls++; calls == 1 {
					return "", errors.New("it sticks")
				}
				return in.Door + " is open", nil
			})
			resp, err := ask(t, g, ai.WithTools(door), ai.WithUse(tt.recovery))
			if calls != tt.calls || (err != nil) != tt.fails {
				t.Fatalf("%d calls, %v", calls, err)
			}
			if tt.fails {
				if !errors.Is(err, ai.ErrToolFailed) {
					t.Errorf("got %v", err)
				}
				return
			}
			history := resp.History()
			outputs := slices.Collect(func(yield func(string) bool) {
				for _, m := range history {
					for _, p := range m.Content {
						if p.IsToolResponse() && !yield(fmt.Sprint(p.ToolResponse.Output)) {
							return
						}
					}
				}
			})
			if !slices.Equal(outputs, []string{tt.output}) || server.requests.Load() != 2 {
				t.Errorf("the model was told %q in %d requests, want %q", outputs, server.requests.Load(), tt.output)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	t.Run("it refuses a recovery without a chain", func(t *testing.T) {
		_, g := play(t, endpoint.Plan{})
		_, err := ask(t, g, ai.WithUse(genkit.Recovery{}))
		if !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it refuses to stream where it could not take back what was said", func(t *testing.T) {
		server, g := play(t, endpoint.Plan{})
		_, err := ask(t, g, ai.WithUse(whole(t, middleware.Wrap(genkit.Next()))),
			ai.WithStreaming(func(context.Context, *ai.ModelResponseChunk) error { return nil }))
		if !errors.Is(err, strategies.ErrConfig) || server.Total() != 0 {
			t.Errorf("got %v after %d requests", err, server.Total())
		}
	})
	t.Run("it says where its agents belong", func(t *testing.T) {
		_, err := genkit.Next().Run(t.Context(), genkit.Call{})
		if !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("got %v", err)
		}
		if _, err := genkit.NextTool().Run(t.Context(), genkit.ToolCall{}); !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it refuses a stand-in that is not there", func(t *testing.T) {
		_, g := play(t, endpoint.Plan{})
		_, err := middleware.Wrap(genkit.Next()).Fallback("nobody", genkit.Model(sdk.LookupModel(g, "nowhere/nobody"))).Build()
		if !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it gives each model its own config", func(t *testing.T) {
		for it, tt := range map[string]struct {
			standIn func(ai.Model) *genkit.ModelAgent
			want    any
		}{
			"none of the call's": {genkit.Model, nil},
			"one of its own":     {func(m ai.Model) *genkit.ModelAgent { return genkit.Model(m).Config(map[string]any{"calm": true}) }, map[string]any{"calm": true}},
		} {
			_, g := play(t, endpoint.Plan{})
			var asked []any
			model := func(name string, err error) ai.Model {
				return sdk.DefineModelAction(g, name, nil, func(_ context.Context, req *ai.ModelRequest, _ any, _ ai.ModelStreamCallback) (*ai.ModelResponse, error) {
					asked = append(asked, req.Config)
					return &ai.ModelResponse{Message: ai.NewModelTextMessage("Hello")}, err
				})
			}
			first, second := model("first", status.Errorf(status.ErrPermissionDenied, "no")), model("second", nil)
			recovery := stream(t, middleware.WrapStream(genkit.Next()).Fallback("second", tt.standIn(second)))
			resp, err := ask(t, g, ai.WithModel(first), ai.WithConfig(map[string]any{"wild": true}), ai.WithUse(recovery))
			if err != nil || resp.Text() != "Hello" {
				t.Fatalf("%s: got %v, %v", it, resp, err)
			}
			if got, want := fmt.Sprint(asked), fmt.Sprint([]any{map[string]any{"wild": true}, tt.want}); got != want {
				t.Errorf("%s: it sent %s, want %s", it, got, want)
			}
		}
	})
}
