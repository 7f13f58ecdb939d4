package genai_test

import (
	"context"
	"errors"
	"testing"
	"time"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/strategies"
)

// served fails the test unless the call was answered so.
func served(t *testing.T, o middleware.Outcome[*sdk.GenerateContentResponse], want string, by string, how strategies.Strategy, attempts int) {
	t.Helper()
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	if o.Value.Text() != want || o.ServedBy != by || o.Strategy != how || o.Attempts != attempts {
		t.Errorf("got %q by %s, %v, %d attempts; want %q by %s, %v, %d",
			o.Value.Text(), o.ServedBy, o.Strategy, o.Attempts, want, by, how, attempts)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance.Run(t, map[conformance.Case]func(*testing.T){
		conformance.TransientThenSuccess: func(t *testing.T) {
			server, agent := narrator(t, gemini.Overloaded())
			o := built(t, middleware.Wrap(agent).Named("narrator").Retry(soon)).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says narrator", "narrator", strategies.StrategyRetry, 2)
			conformance.Requests(t, "narrator", server.Requests("narrator"), 2)
		},
		conformance.RateLimitHonoured: func(t *testing.T) { // Google says how long in the body
			const wait = 30 * time.Millisecond
			server, agent := narrator(t, gemini.RateLimit(wait))
			var delay time.Duration
			watch := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
				if e.Kind == middleware.EventRetryScheduled {
					delay = e.Delay
				}
			})
			o := built(t, middleware.Wrap(agent).Named("narrator").Retry(soon).Observe(watch)).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says narrator", "narrator", strategies.StrategyRetry, 2)
			if delay < wait {
				t.Errorf("it waited %v where the provider asked for %v", delay, wait)
			}
			conformance.Requests(t, "narrator", server.Requests("narrator"), 2)
		},
		conformance.QuotaGoesOn: func(t *testing.T) {
			server, agent := narrator(t, gemini.Quota())
			o := built(t, middleware.Wrap(agent).Named("narrator").Retry(soon).
				FallbackVia("archivist", agent, genai.Model("archivist"))).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says archivist", "archivist", strategies.StrategyFallback, 2)
			conformance.Requests(t, "narrator", server.Requests("narrator"), 1)
			conformance.Requests(t, "archivist", server.Requests("archivist"), 1)
		},
		conformance.OverflowToLarger: func(t *testing.T) {
			server, agent := narrator(t, gemini.Overflow())
			o := built(t, middleware.Wrap(agent).Named("narrator").Retry(soon).
				FallbackVia("large window", agent, genai.Model("large"))).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says large", "large window", strategies.StrategyFallback, 2)
			conformance.Requests(t, "narrator", server.Requests("narrator"), 1)
			conformance.Requests(t, "large window", server.Requests("large"), 1)
		},
		conformance.HangTimesOut: func(t *testing.T) {
			server, agent := narrator(t, gemini.Stall())
			o := built(t, middleware.Wrap(agent).Named("narrator").Retry(soon).Timeout(500*time.Millisecond)).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says narrator", "narrator", strategies.StrategyRetry, 2)
			conformance.Requests(t, "narrator", server.Requests("narrator"), 2)
		},
		conformance.StreamCut:          streamCut,
		conformance.InterruptUntouched: interruptUntouched,
		conformance.AllDownDegraded: func(t *testing.T) {
			server := gemini.StartDown(nil, map[string]gemini.Answer{"narrator": gemini.Overloaded(), "archivist": gemini.Drop()})
			t.Cleanup(server.Close)
			agent := genai.Models(connect(t, server.URL()))
			o := built(t, middleware.Wrap(agent).Named("narrator").Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{time.Millisecond}}).
				FallbackVia("archivist", agent, genai.Model("archivist")).
				Degrade(strategies.LevelReduced, genai.Reply("The innkeeper shrugs."))).Outcome(t.Context(), ask("narrator"))
			served(t, o, "The innkeeper shrugs.", "reduced answer", strategies.StrategyDegradation, 5)
			if o.Level != strategies.LevelReduced {
				t.Errorf("the answer is marked %v", o.Level)
			}
			conformance.Requests(t, "narrator", server.Requests("narrator"), 3)
			conformance.Requests(t, "archivist", server.Requests("archivist"), 1)
		},
	}, nil)
}

func streamCut(t *testing.T) {
	const whole = "A stranger, says narrator"
	role := `{"candidates":[{"content":{"role":"model","parts":[{"text":""}]}}]}` // Vertex AI opens so
	usage := `{"usageMetadata":{"trafficType":"ON_DEMAND"}}`
	a, stranger := gemini.Candidate("A ", ""), gemini.Candidate("stranger, ", "")
	broken := gemini.ErrorBody(503, "UNAVAILABLE", "The model is overloaded.")
	for it, tt := range map[string]struct {
		answer   gemini.Answer
		want     string
		requests int
		class    strategies.Class // of the failure behind; 0: there is none
	}{
		"retries one cut before its first chunk":       {gemini.Cut(), whole, 2, 0},
		"retries one cut after chunks without a word":  {gemini.Cut(role, usage), whole, 2, 0},
		"retries one that ended after such chunks":     {gemini.Events(role, usage), whole, 2, 0},
		"retries one without any event":                {gemini.Events(), whole, 2, 0},
		"retries an error before the first word":       {gemini.Events(role, broken), whole, 2, 0},
		"retries one that is empty to its very end":    {gemini.Events(role, gemini.Candidate("", "STOP")), whole, 2, 0},
		"retries a broken call of a function":          {gemini.Events(role, gemini.Candidate("", "MALFORMED_FUNCTION_CALL")), whole, 2, 0},
		"ends one cut after its first words":           {gemini.Cut(a, stranger), "A stranger, ", 1, strategies.ClassTransient},
		"ends one cut within a chunk":                  {gemini.Cut(a, stranger, `{"candidates":[{"con`), "A stranger, ", 1, strategies.ClassTransient},
		"ends one that ended before its finish reason": {gemini.Events(a, stranger), "A stranger, ", 1, strategies.ClassInvalidAnswer},
		"ends one with an error after two words":       {gemini.Events(a, stranger, broken), "A stranger, ", 1, strategies.ClassTransient},
		"ends one whose tokens ran out":                {gemini.Events(a, stranger, gemini.Candidate("", "MAX_TOKENS")), "A stranger, ", 1, strategies.ClassInvalidAnswer},
		"ends one that the filter stopped":             {gemini.Events(a, stranger, gemini.Candidate("", "SAFETY")), "A stranger, ", 1, strategies.ClassBlocked},
	} {
		t.Run("it "+it, func(t *testing.T) {
			server, agent := narrator(t, tt.answer)
			chunks, err := middleware.Collect(builtStream(t, agent).Stream(t.Context(), ask("narrator")))
			if got := joined(chunks); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if fails := tt.class != 0; !fails && err != nil || fails && strategies.Classify(err).Class != strategies.ClassCutOff {
				t.Errorf("got error %v", err)
			}
			if cut, ok := errors.AsType[*strategies.StreamError](err); ok {
				class(t, cut.Err, tt.class)
				if sent, _ := middleware.Sent[*sdk.GenerateContentResponse](err); joined(sent) != tt.want {
					t.Errorf("the error says that %q was sent", joined(sent))
				}
			}
			conformance.Requests(t, "narrator", server.Requests("narrator"), tt.requests)
		})
	}
}

// The client has no pause of its own. What pauses is a call of a function that
// somebody must approve: the answer that asks for it is an answer, and the
// interrupt that a layer above makes of it passes through.
func interruptUntouched(t *testing.T) {
	call := gemini.Body(`{"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[{"functionCall":{"name":"open_door","args":{}}}]}}]}`)
	t.Run("it passes on a call of a function", func(t *testing.T) {
		server, agent := narrator(t, call)
		o := built(t, middleware.Wrap(agent).Named("narrator").Retry(soon)).Outcome(t.Context(), ask("narrator"))
		if o.Err != nil || len(o.Value.FunctionCalls()) != 1 || o.Strategy != strategies.StrategyNone {
			t.Errorf("got %+v", o)
		}
		conformance.Requests(t, "narrator", server.Requests("narrator"), 1)
	})
	t.Run("it passes on the interrupt made of it, as it is", func(t *testing.T) {
		server, agent := narrator(t, call)
		pause := strategies.WithClass(strategies.ClassInterrupt, errors.New("open_door wants approval"))
		type runner = middleware.Runner[genai.Request, *sdk.GenerateContentResponse]
		approve := func(next runner) runner {
			return middleware.Func(func(ctx context.Context, req genai.Request) (*sdk.GenerateContentResponse, error) {
				response, err := next.Run(ctx, req)
				if err == nil && len(response.FunctionCalls()) > 0 {
					return nil, pause
				}
				return response, err
			})
		}
		_, err := built(t, middleware.Wrap(agent).Named("narrator").Retry(soon).
			Degrade(strategies.LevelReduced, genai.Reply("no")).Use(middleware.StageAgent, approve)).Run(t.Context(), ask("narrator"))
		if err != pause { //nolint:errorlint // the very same is wanted
			t.Errorf("got %v", err)
		}
		conformance.Requests(t, "narrator", server.Requests("narrator"), 1)
	})
}
