package genkit_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firebase/genkit/go/ai"
	sdk "github.com/firebase/genkit/go/genkit"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
	"github.com/understudy-go/understudy/strategies"
)

// settings are what a case wants of a chain.
type settings struct {
	standIn string
	timeout time.Duration
}

func set[B any](l middleware.Layers[B], s settings) {
	l.Named("narrator")
	l.Retry(soon)
	if s.timeout > 0 {
		l.Timeout(s.timeout)
	}
}

// chains are the two ways to guard a call that nobody listens to: every case of
// the table holds for both.
var chains = map[string]func(t *testing.T, g *sdk.Genkit, s settings) genkit.Recovery{
	"with Wrap": func(t *testing.T, g *sdk.Genkit, s settings) genkit.Recovery {
		b := middleware.Wrap(genkit.Next()).Degrade(strategies.LevelReduced, genkit.Reply("The innkeeper shrugs."))
		set(b.Layers, s)
		if s.standIn != "" {
			b.Fallback(s.standIn, genkit.Model(sdk.LookupModel(g, "house/"+s.standIn)))
		}
		return whole(t, b)
	},
	"with WrapStream": func(t *testing.T, g *sdk.Genkit, s settings) genkit.Recovery {
		b := middleware.WrapStream(genkit.Next()).Degrade(strategies.LevelReduced, genkit.Reply("The innkeeper shrugs."))
		set(b.Layers, s)
		if s.standIn != "" {
			b.Fallback(s.standIn, genkit.Model(sdk.LookupModel(g, "house/"+s.standIn)))
		}
		return stream(t, b)
	},
}

func each(plan endpoint.Plan, s settings, want string, how genkit.Provenance, requests map[string]int) func(*testing.T) {
	return func(t *testing.T) {
		for it, chain := range chains {
			t.Run("it does so in a chain made "+it, func(t *testing.T) {
				server, g := play(t, plan)
				resp, err := ask(t, g, ai.WithUse(chain(t, g, s)))
				served(t, resp, err, want, how)
				for who, n := range requests {
					conformance.Requests(t, who, server.Requests(who), n)
				}
			})
		}
	}
}

func once(f endpoint.Fault) endpoint.Plan {
	return endpoint.Plan{Script: map[string][]endpoint.Fault{"narrator": {f}}}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	retried := genkit.Provenance{Strategy: strategies.StrategyRetry, ServedBy: "narrator", Level: strategies.LevelFull, Attempts: 2}
	const itself = "A stranger, says narrator"
	conformance.Run(t, map[conformance.Case]func(*testing.T){
		conformance.TransientThenSuccess: each(once(endpoint.Status(503)), settings{}, itself, retried, map[string]int{"narrator": 2}),
		conformance.RateLimitHonoured:    rateLimit,
		conformance.QuotaGoesOn: each(once(endpoint.Quota()), settings{standIn: "archivist"}, "A stranger, says archivist",
			genkit.Provenance{Strategy: strategies.StrategyFallback, ServedBy: "archivist", Attempts: 2}, map[string]int{"narrator": 1, "archivist": 1}),
		conformance.OverflowToLarger: each(once(endpoint.ContextOverflow()), settings{standIn: "large"}, "A stranger, says large",
			genkit.Provenance{Strategy: strategies.StrategyFallback, ServedBy: "large", Attempts: 2}, map[string]int{"narrator": 1, "large": 1}),
		conformance.HangTimesOut:       each(once(endpoint.Hang()), settings{timeout: 500 * time.Millisecond}, itself, retried, map[string]int{"narrator": 2}),
		conformance.StreamCut:          streamCut,
		conformance.InterruptUntouched: interruptUntouched,
		conformance.AllDownDegraded: each(endpoint.Plan{Down: map[string][]endpoint.Outage{
			"narrator": {{Fault: endpoint.Overloaded()}}, "archivist": {{Fault: endpoint.Drop()}},
		}}, settings{standIn: "archivist"}, "The innkeeper shrugs.",
			genkit.Provenance{Strategy: strategies.StrategyDegradation, ServedBy: "reduced answer", Level: strategies.LevelReduced, Attempts: 6},
			map[string]int{"narrator": 4, "archivist": 1}),
	}, nil)
}

func rateLimit(t *testing.T) {
	const wait = 30 * time.Millisecond
	server, g := script(t, endpoint.RateLimit(wait))
	var delay time.Duration
	watch := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
		if e.Kind == middleware.EventRetryScheduled {
			delay = e.Delay
		}
	})
	resp, err := ask(t, g, ai.WithUse(stream(t, middleware.WrapStream(genkit.Next()).Named("narrator").Retry(soon).Observe(watch))))
	served(t, resp, err, "A stranger, says narrator", genkit.Provenance{Strategy: strategies.StrategyRetry, ServedBy: "narrator", Attempts: 2})
	if delay < wait {
		t.Errorf("it waited %v where the provider asked for %v", delay, wait)
	}
	conformance.Requests(t, "narrator", server.Requests("narrator"), 2)
}

func streamCut(t *testing.T) {
	for it, tt := range map[string]struct {
		fault    endpoint.Fault
		want     string
		requests int
		fails    bool
		class    strategies.Class // of the failure behind
	}{
		"retries one cut before its first chunk":    {endpoint.CutBeforeFirst(), "A stranger, says narrator", 2, false, 0},
		"retries one cut after its role chunk":      {endpoint.CutAfter(0), "A stranger, says narrator", 2, false, 0},
		"retries one that ended after its role":     {endpoint.CleanEOFAfter(0), "A stranger, says narrator", 2, false, 0},
		"retries one without any event":             {endpoint.CleanEOFBefore(), "A stranger, says narrator", 2, false, 0},
		"retries an error before the first token":   {endpoint.ErrorEventAfter(0), "A stranger, says narrator", 2, false, 0},
		"retries one that is empty to its very end": {endpoint.Empty(), "A stranger, says narrator", 2, false, 0},
		"ends one cut after its first token":        {endpoint.CutAfter(2), "A stranger, ", 1, true, strategies.ClassTransient},
		"ends one that ended before its marker":     {endpoint.CleanEOFAfter(2), "A stranger, ", 1, true, strategies.ClassInvalidAnswer},
		"ends one with an error after two tokens":   {endpoint.ErrorEventAfter(2), "A stranger, ", 1, true, strategies.ClassTransient},
		"ends one whose tokens ran out":             {endpoint.Truncated(), "A stranger,", 1, true, strategies.ClassInvalidAnswer},
	} {
		t.Run("it "+it, func(t *testing.T) {
			server, g := script(t, tt.fault)
			var heard string
			listen := ai.WithStreaming(func(_ context.Context, chunk *ai.ModelResponseChunk) error {
				heard += chunk.Text()
				return nil
			})
			resp, err := ask(t, g, listen, ai.WithUse(stream(t, middleware.WrapStream(genkit.Next()).Named("narrator").Retry(soon).
				Degrade(strategies.LevelReduced, genkit.Reply("The innkeeper shrugs.")))))
			if heard != tt.want {
				t.Errorf("the user saw %q, want %q", heard, tt.want)
			}
			conformance.Requests(t, "narrator", server.Requests("narrator"), tt.requests)
			if !tt.fails {
				served(t, resp, err, tt.want, genkit.Provenance{Strategy: strategies.StrategyRetry, ServedBy: "narrator", Attempts: 2})
				return
			}
			class(t, err, strategies.ClassCutOff)
			cut, ok := errors.AsType[*strategies.StreamError](err)
			if !ok {
				t.Fatalf("got %T: %v", err, err)
			}
			class(t, cut.Err, tt.class)
			var sent string
			chunks, _ := middleware.Sent[genkit.Chunk](err)
			for _, c := range chunks {
				sent += c.Delta.Text()
			}
			if sent != tt.want {
				t.Errorf("the error says that %q was sent", sent)
			}
		})
	}
}

// A tool pauses for a person. The interrupt passes through the tool's chain as
// it is, and what the person says resumes the call.
func interruptUntouched(t *testing.T) {
	server := serve(t, says(200, call), says(200, hello))
	g := connect(t, server.URL)
	type input struct {
		Door string `json:"door"`
	}
	type question struct {
		Who string `json:"who"`
	}
	var calls atomic.Int32
	door := sdk.DefineTool(g, "open_door", "opens a door", func(tc *ai.ToolContext, in input) (string, error) {
		if calls.Add(1); !tc.IsResumed() {
			return "", ai.InterruptWith(tc, question{Who: "the landlord"})
		}
		return in.Door + " is open", nil
	})
	tool, err := middleware.Wrap(genkit.NextTool()).Named("door").Retry(soon).Degrade(strategies.LevelReduced, genkit.Output("no")).Build()
	if err != nil {
		t.Fatal(err)
	}
	var inside, outside error // of the chain
	note := func(seen *error) ai.Middleware {
		return ai.MiddlewareFunc(func(context.Context) (*ai.Hooks, error) {
			return &ai.Hooks{WrapTool: func(ctx context.Context, p *ai.ToolParams, next ai.ToolNext) (*ai.MultipartToolResponse, error) {
				resp, err := next(ctx, p)
				*seen = err
				return resp, err
			}}, nil
		})
	}
	recovery := stream(t, middleware.WrapStream(genkit.Next()).Named("narrator").Retry(soon))
	recovery.Tool = tool
	resp, err := ask(t, g, ai.WithTools(door), ai.WithUse(note(&outside), recovery, note(&inside)))
	if err != nil {
		t.Fatal(err)
	}
	if inside == nil || inside != outside { //nolint:errorlint // the very same is wanted
		t.Errorf("the tool returned %#v, the chain %#v", inside, outside)
	}
	asked, ok := ai.InterruptAs[question](resp.Interrupts()[0])
	if resp.FinishReason != ai.FinishReasonInterrupted || !ok || asked.Who != "the landlord" || calls.Load() != 1 {
		t.Errorf("got %v, %+v after %d calls", resp.FinishReason, asked, calls.Load())
	}
	conformance.Requests(t, "narrator", int(server.requests.Load()), 1)

	restart, err := door.RestartWith(resp.Interrupts()[0])
	if err != nil {
		t.Fatal(err)
	}
	resp, err = sdk.Generate(t.Context(), g, ai.WithModelName("house/narrator"), ai.WithMessages(resp.History()...),
		ai.WithTools(door), ai.WithToolRestarts(restart), ai.WithUse(recovery))
	if err != nil || resp.Text() != "Hello" || calls.Load() != 2 {
		t.Errorf("resumed: got %v, %v after %d calls", resp, err, calls.Load())
	}
	conformance.Requests(t, "narrator", int(server.requests.Load()), 2)
}
