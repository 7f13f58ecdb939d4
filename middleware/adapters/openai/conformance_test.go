package openai_test

import (
	"context"
	"errors"
	"testing"
	"time"

	sdk "github.com/openai/openai-go/v3"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/strategies"
)

type (
	builder = middleware.Builder[sdk.ChatCompletionNewParams, *sdk.ChatCompletion]
	guarded = middleware.Guarded[sdk.ChatCompletionNewParams, *sdk.ChatCompletion]
	stream  = middleware.GuardedStream[sdk.ChatCompletionNewParams, sdk.ChatCompletionChunk]
)

var soon = strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}

func built(t *testing.T, b *builder) *guarded {
	t.Helper()
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// script is a provider with one model that fails so, and the agent asking it.
func script(t *testing.T, faults ...endpoint.Fault) (*endpoint.Server, *openai.ChatAgent) {
	t.Helper()
	server := play(t, endpoint.Plan{Script: map[string][]endpoint.Fault{"narrator": faults}})
	return server, openai.Chat(connect(server.URL()))
}

// served fails the test unless the call was answered so.
func served(t *testing.T, o middleware.Outcome[*sdk.ChatCompletion], want string, by string, how strategies.Strategy, attempts int) {
	t.Helper()
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	if text(o.Value) != want || o.ServedBy != by || o.Strategy != how || o.Attempts != attempts {
		t.Errorf("got %q by %s, %v, %d attempts; want %q by %s, %v, %d",
			text(o.Value), o.ServedBy, o.Strategy, o.Attempts, want, by, how, attempts)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance.Run(t, map[conformance.Case]func(*testing.T){
		conformance.TransientThenSuccess: func(t *testing.T) {
			server, chat := script(t, endpoint.Status(503))
			o := built(t, middleware.Wrap(chat).Named("narrator").Retry(soon)).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says narrator", "narrator", strategies.StrategyRetry, 2)
			conformance.Requests(t, "narrator", server.Requests("narrator"), 2)
		},
		conformance.RateLimitHonoured: func(t *testing.T) {
			const wait = 30 * time.Millisecond
			server, chat := script(t, endpoint.RateLimit(wait))
			var delay time.Duration
			watch := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
				if e.Kind == middleware.EventRetryScheduled {
					delay = e.Delay
				}
			})
			o := built(t, middleware.Wrap(chat).Named("narrator").Retry(soon).Observe(watch)).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says narrator", "narrator", strategies.StrategyRetry, 2)
			if delay < wait {
				t.Errorf("it waited %v where the provider asked for %v", delay, wait)
			}
			conformance.Requests(t, "narrator", server.Requests("narrator"), 2)
		},
		conformance.QuotaGoesOn: func(t *testing.T) {
			server, chat := script(t, endpoint.Quota())
			o := built(t, middleware.Wrap(chat).Named("narrator").Retry(soon).
				FallbackVia("archivist", chat, openai.Model("archivist"))).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says archivist", "archivist", strategies.StrategyFallback, 2)
			conformance.Requests(t, "narrator", server.Requests("narrator"), 1)
			conformance.Requests(t, "archivist", server.Requests("archivist"), 1)
		},
		conformance.OverflowToLarger: func(t *testing.T) {
			server, chat := script(t, endpoint.ContextOverflow())
			o := built(t, middleware.Wrap(chat).Named("narrator").Retry(soon).
				FallbackVia("large window", chat, openai.Model("large"))).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says large", "large window", strategies.StrategyFallback, 2)
			conformance.Requests(t, "narrator", server.Requests("narrator"), 1)
			conformance.Requests(t, "large window", server.Requests("large"), 1)
		},
		conformance.HangTimesOut: func(t *testing.T) {
			server, chat := script(t, endpoint.Hang())
			o := built(t, middleware.Wrap(chat).Named("narrator").Retry(soon).Timeout(500*time.Millisecond)).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says narrator", "narrator", strategies.StrategyRetry, 2)
			conformance.Requests(t, "narrator", server.Requests("narrator"), 2)
		},
		conformance.StreamCut:          streamCut,
		conformance.InterruptUntouched: interruptUntouched,
		conformance.AllDownDegraded: func(t *testing.T) {
			server := play(t, endpoint.Plan{Down: map[string][]endpoint.Outage{
				"narrator": {{Fault: endpoint.Overloaded()}}, "archivist": {{Fault: endpoint.Drop()}},
			}})
			chat := openai.Chat(connect(server.URL()))
			o := built(t, middleware.Wrap(chat).Named("narrator").Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{time.Millisecond}}).
				FallbackVia("archivist", chat, openai.Model("archivist")).
				Degrade(strategies.LevelReduced, openai.Reply("The innkeeper shrugs."))).Outcome(t.Context(), ask("narrator"))
			served(t, o, "The innkeeper shrugs.", "reduced answer", strategies.StrategyDegradation, 5)
			if o.Level != strategies.LevelReduced {
				t.Errorf("the answer is marked %v", o.Level)
			}
			conformance.Requests(t, "narrator", server.Requests("narrator"), 3)
			conformance.Requests(t, "archivist", server.Requests("archivist"), 1)
		},
	}, nil)
}

func builtStream(t *testing.T, chat *openai.ChatAgent) *stream {
	t.Helper()
	g, err := middleware.WrapStream(chat).Named("narrator").Commit(openai.Says).Complete(openai.Ends).Retry(soon).Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func streamCut(t *testing.T) {
	for it, tt := range map[string]struct {
		faults   []endpoint.Fault
		want     string
		requests int
		fails    bool
		class    strategies.Class // of the failure behind
	}{
		"retries one cut before its first chunk":    {[]endpoint.Fault{endpoint.CutBeforeFirst()}, "A stranger, says narrator", 2, false, 0},
		"retries one cut after its role chunk":      {[]endpoint.Fault{endpoint.CutAfter(0)}, "A stranger, says narrator", 2, false, 0},
		"retries one that ended after its role":     {[]endpoint.Fault{endpoint.CleanEOFAfter(0)}, "A stranger, says narrator", 2, false, 0},
		"retries one without any event":             {[]endpoint.Fault{endpoint.CleanEOFBefore()}, "A stranger, says narrator", 2, false, 0},
		"retries an error before the first token":   {[]endpoint.Fault{endpoint.ErrorEventAfter(0)}, "A stranger, says narrator", 2, false, 0},
		"ends one cut after its first token":        {[]endpoint.Fault{endpoint.CutAfter(2)}, "A stranger, ", 1, true, strategies.ClassTransient},
		"ends one that ended before its marker":     {[]endpoint.Fault{endpoint.CleanEOFAfter(2)}, "A stranger, ", 1, true, strategies.ClassInvalidAnswer},
		"ends one with an error after two tokens":   {[]endpoint.Fault{endpoint.ErrorEventAfter(2)}, "A stranger, ", 1, true, strategies.ClassTransient},
		"ends one whose tokens ran out":             {[]endpoint.Fault{endpoint.Truncated()}, "A stranger,", 1, true, strategies.ClassInvalidAnswer},
		"retries one that is empty to its very end": {[]endpoint.Fault{endpoint.Empty()}, "A stranger, says narrator", 2, false, 0},
	} {
		t.Run("it "+it, func(t *testing.T) {
			server, chat := script(t, tt.faults...)
			chunks, err := middleware.Collect(builtStream(t, chat).Stream(t.Context(), ask("narrator")))
			if got := joined(chunks); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !tt.fails && err != nil || tt.fails && strategies.Classify(err).Class != strategies.ClassCutOff {
				t.Errorf("got error %v", err)
			}
			if cut, ok := errors.AsType[*strategies.StreamError](err); ok {
				class(t, cut.Err, tt.class)
				if sent, _ := middleware.Sent[sdk.ChatCompletionChunk](err); joined(sent) != tt.want {
					t.Errorf("the error says that %q was sent", joined(sent))
				}
			}
			conformance.Requests(t, "narrator", server.Requests("narrator"), tt.requests)
		})
	}
}

// The client has no pause of its own. What pauses is a tool call that somebody
// must approve: the answer that asks for it is an answer, and the interrupt that
// a layer above makes of it passes through.
func interruptUntouched(t *testing.T) {
	call := says(200, `{"choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,
		"tool_calls":[{"id":"call_1","type":"function","function":{"name":"open_door","arguments":"{}"}}]}}]}`)
	t.Run("it passes on a tool call", func(t *testing.T) {
		server := serve(t, call)
		o := built(t, middleware.Wrap(openai.Chat(connect(server.URL))).Named("narrator").Retry(soon)).Outcome(t.Context(), ask("narrator"))
		if o.Err != nil || len(o.Value.Choices[0].Message.ToolCalls) != 1 || o.Strategy != strategies.StrategyNone {
			t.Errorf("got %+v", o)
		}
		conformance.Requests(t, "narrator", int(server.requests.Load()), 1)
	})
	t.Run("it passes on the interrupt made of it, as it is", func(t *testing.T) {
		server := serve(t, call)
		pause := strategies.WithClass(strategies.ClassInterrupt, errors.New("open_door wants approval"))
		type runner = middleware.Runner[sdk.ChatCompletionNewParams, *sdk.ChatCompletion]
		approve := func(next runner) runner {
			return middleware.Func(func(ctx context.Context, params sdk.ChatCompletionNewParams) (*sdk.ChatCompletion, error) {
				completion, err := next.Run(ctx, params)
				if err == nil && len(completion.Choices[0].Message.ToolCalls) > 0 {
					return nil, pause
				}
				return completion, err
			})
		}
		_, err := built(t, middleware.Wrap(openai.Chat(connect(server.URL))).Named("narrator").Retry(soon).
			Degrade(strategies.LevelReduced, openai.Reply("no")).Use(middleware.StageAgent, approve)).Run(t.Context(), ask("narrator"))
		if err != pause { //nolint:errorlint // the very same is wanted
			t.Errorf("got %v", err)
		}
		conformance.Requests(t, "narrator", int(server.requests.Load()), 1)
	})
}
