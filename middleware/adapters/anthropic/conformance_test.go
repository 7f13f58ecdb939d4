package anthropic_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/anthropic"
	"github.com/understudy-go/understudy/strategies"
)

type (
	builder = middleware.Builder[sdk.MessageNewParams, *sdk.Message]
	guarded = middleware.Guarded[sdk.MessageNewParams, *sdk.Message]
	stream  = middleware.GuardedStream[sdk.MessageNewParams, sdk.MessageStreamEventUnion]
)

var (
	soon       = strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}
	overloaded = says(529, problem("overloaded_error", "Overloaded"))
	tooLong    = says(400, problem("invalid_request_error", "prompt is too long: 212345 tokens > 200000 maximum"))
	noCredit   = says(400, problem("invalid_request_error", "Your credit balance is too low to access the Anthropic API."))
	drop       = cut(func(http.ResponseWriter, *http.Request) {})
)

func built(t *testing.T, b *builder) *guarded {
	t.Helper()
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// scripted is a provider with one model that fails so, and the agent asking it.
func scripted(t *testing.T, faults ...http.HandlerFunc) (*provider, *anthropic.MessagesAgent) {
	t.Helper()
	p := serve(t, script{"narrator": faults})
	return p, anthropic.Messages(connect(p.URL))
}

// served fails the test unless the call was answered so.
func served(t *testing.T, o middleware.Outcome[*sdk.Message], want string, by string, how strategies.Strategy, attempts int) {
	t.Helper()
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	if said(o.Value) != want || o.ServedBy != by || o.Strategy != how || o.Attempts != attempts {
		t.Errorf("got %q by %s, %v, %d attempts; want %q by %s, %v, %d",
			said(o.Value), o.ServedBy, o.Strategy, o.Attempts, want, by, how, attempts)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance.Run(t, map[conformance.Case]func(*testing.T){
		conformance.TransientThenSuccess: func(t *testing.T) {
			p, messages := scripted(t, says(503, ""))
			o := built(t, middleware.Wrap(messages).Named("narrator").Retry(soon)).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says narrator", "narrator", strategies.StrategyRetry, 2)
			conformance.Requests(t, "narrator", p.seen("narrator"), 2)
		},
		conformance.RateLimitHonoured: func(t *testing.T) {
			const wait = 30 * time.Millisecond
			p, messages := scripted(t, says(429, problem("rate_limit_error", "slow down"), "Retry-After", "0.03"))
			var delay time.Duration
			watch := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
				if e.Kind == middleware.EventRetryScheduled {
					delay = e.Delay
				}
			})
			o := built(t, middleware.Wrap(messages).Named("narrator").Retry(soon).Observe(watch)).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says narrator", "narrator", strategies.StrategyRetry, 2)
			if delay < wait {
				t.Errorf("it waited %v where the provider asked for %v", delay, wait)
			}
			conformance.Requests(t, "narrator", p.seen("narrator"), 2)
		},
		conformance.QuotaGoesOn: func(t *testing.T) {
			p, messages := scripted(t, noCredit)
			o := built(t, middleware.Wrap(messages).Named("narrator").Retry(soon).
				FallbackVia("archivist", messages, anthropic.Model("archivist"))).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says archivist", "archivist", strategies.StrategyFallback, 2)
			conformance.Requests(t, "narrator", p.seen("narrator"), 1)
			conformance.Requests(t, "archivist", p.seen("archivist"), 1)
		},
		conformance.OverflowToLarger: func(t *testing.T) {
			// The second one is found out only while it answers.
			for _, overflow := range []http.HandlerFunc{tooLong, says(200, message("model_context_window_exceeded", "A str"))} {
				p, messages := scripted(t, overflow)
				o := built(t, middleware.Wrap(messages).Named("narrator").Retry(soon).
					FallbackVia("large window", messages, anthropic.Model("large"))).Outcome(t.Context(), ask("narrator"))
				served(t, o, "A stranger, says large", "large window", strategies.StrategyFallback, 2)
				conformance.Requests(t, "narrator", p.seen("narrator"), 1)
				conformance.Requests(t, "large window", p.seen("large"), 1)
			}
		},
		conformance.HangTimesOut: func(t *testing.T) {
			p, messages := scripted(t, hang)
			o := built(t, middleware.Wrap(messages).Named("narrator").Retry(soon).Timeout(500*time.Millisecond)).Outcome(t.Context(), ask("narrator"))
			served(t, o, "A stranger, says narrator", "narrator", strategies.StrategyRetry, 2)
			conformance.Requests(t, "narrator", p.seen("narrator"), 2)
		},
		conformance.StreamCut:          streamCut,
		conformance.InterruptUntouched: interruptUntouched,
		conformance.AllDownDegraded: func(t *testing.T) {
			p := serve(t, script{"narrator": {overloaded, overloaded, overloaded}, "archivist": {drop}})
			messages := anthropic.Messages(connect(p.URL))
			o := built(t, middleware.Wrap(messages).Named("narrator").Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{time.Millisecond}}).
				FallbackVia("archivist", messages, anthropic.Model("archivist")).
				Degrade(strategies.LevelReduced, anthropic.Reply("The innkeeper shrugs."))).Outcome(t.Context(), ask("narrator"))
			served(t, o, "The innkeeper shrugs.", "reduced answer", strategies.StrategyDegradation, 5)
			if o.Level != strategies.LevelReduced {
				t.Errorf("the answer is marked %v", o.Level)
			}
			conformance.Requests(t, "narrator", p.seen("narrator"), 3)
			conformance.Requests(t, "archivist", p.seen("archivist"), 1)
		},
	}, nil)
}

func builtStream(t *testing.T, messages *anthropic.MessagesAgent) *stream {
	t.Helper()
	g, err := middleware.WrapStream(messages).Named("narrator").Commit(anthropic.Says).Complete(anthropic.Ends).Retry(soon).Build()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func streamCut(t *testing.T) {
	busy := problem("overloaded_error", "Overloaded")
	for it, tt := range map[string]struct {
		fault    http.HandlerFunc
		want     string
		requests int
		class    strategies.Class // of the failure behind; 0: none
	}{
		"retries one cut before its first event":         {cut(streams()), "A stranger, says narrator", 2, 0},
		"retries one cut before its first word":          {cut(streams(begin, block, ping)), "A stranger, says narrator", 2, 0},
		"retries one that ended before its first word":   {streams(begin, block), "A stranger, says narrator", 2, 0},
		"retries one without any event":                  {streams(), "A stranger, says narrator", 2, 0},
		"retries an overload before its first word":      {streams(begin, busy), "A stranger, says narrator", 2, 0},
		"retries one that is empty to its very end":      {streams(begin, end("end_turn"), stop), "A stranger, says narrator", 2, 0},
		"ends one cut after its first word":              {cut(streams(begin, text("A "))), "A ", 1, strategies.ClassTransient},
		"ends one that ended before its marker":          {streams(begin, text("A "), end("end_turn")), "A ", 1, strategies.ClassInvalidAnswer},
		"ends one with an overload after its first word": {streams(begin, text("A "), busy), "A ", 1, strategies.ClassOverloaded},
		"ends one whose tokens ran out":                  {streams(begin, text("A "), end("max_tokens"), stop), "A ", 1, strategies.ClassInvalidAnswer},
		"ends one that a policy ended":                   {streams(begin, text("A "), end("refusal"), stop), "A ", 1, strategies.ClassBlocked},
	} {
		t.Run("it "+it, func(t *testing.T) {
			p, messages := scripted(t, tt.fault)
			events, err := middleware.Collect(builtStream(t, messages).Stream(t.Context(), ask("narrator")))
			if got := joined(events); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			failure, ok := errors.AsType[*strategies.StreamError](err)
			switch {
			case tt.class == strategies.ClassUnclassified:
				if err != nil {
					t.Errorf("got %v", err)
				}
			case !ok:
				t.Errorf("got %v", err)
			default:
				class(t, failure.Err, tt.class)
				if sent, _ := middleware.Sent[sdk.MessageStreamEventUnion](err); joined(sent) != tt.want {
					t.Errorf("the error says that %q was sent", joined(sent))
				}
			}
			conformance.Requests(t, "narrator", p.seen("narrator"), tt.requests)
		})
	}
}

// The client has no pause of its own that looks like an error. What pauses are
// answers, and the interrupt that a layer above makes of one passes through.
func interruptUntouched(t *testing.T) {
	call := blocks("tool_use", `{"type":"tool_use","id":"toolu_1","name":"open_door","input":{}}`)
	for it, answer := range map[string]string{
		"a tool call":                 call,
		"a paused turn":               blocks("pause_turn", `{"type":"server_tool_use","id":"srv_1","name":"web_search","input":{}}`),
		"a paused turn without words": blocks("pause_turn"),
	} {
		t.Run("it passes on "+it, func(t *testing.T) {
			p, messages := scripted(t, says(200, answer))
			o := built(t, middleware.Wrap(messages).Named("narrator").Retry(soon)).Outcome(t.Context(), ask("narrator"))
			if o.Err != nil || o.Value.RawJSON() != answer || o.Strategy != strategies.StrategyNone {
				t.Errorf("got %+v", o)
			}
			conformance.Requests(t, "narrator", p.seen("narrator"), 1)
		})
	}
	t.Run("it passes on the interrupt made of one, as it is", func(t *testing.T) {
		p, messages := scripted(t, says(200, call))
		pause := strategies.WithClass(strategies.ClassInterrupt, errors.New("open_door wants approval"))
		type runner = middleware.Runner[sdk.MessageNewParams, *sdk.Message]
		approve := func(next runner) runner {
			return middleware.Func(func(ctx context.Context, params sdk.MessageNewParams) (*sdk.Message, error) {
				m, err := next.Run(ctx, params)
				if err == nil && m.StopReason == sdk.StopReasonToolUse {
					return nil, pause
				}
				return m, err
			})
		}
		_, err := built(t, middleware.Wrap(messages).Named("narrator").Retry(soon).
			Degrade(strategies.LevelReduced, anthropic.Reply("no")).Use(middleware.StageAgent, approve)).Run(t.Context(), ask("narrator"))
		if err != pause { //nolint:errorlint // the very same is wanted
			t.Errorf("got %v", err)
		}
		conformance.Requests(t, "narrator", p.seen("narrator"), 1)
	})
}
