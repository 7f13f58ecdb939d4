package genkit_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/firebase/genkit/go/ai"
	sdk "github.com/firebase/genkit/go/genkit"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
	"github.com/understudy-go/understudy/strategies"
)

// layers are the two ways to guard a call that nobody listens to: every case of the
// table holds for both.
var layers = map[string]func(t *testing.T, g *sdk.Genkit, s conformance.Scene[endpoint.Fault]) genkit.Recovery{
	"with Wrap": func(t *testing.T, g *sdk.Genkit, s conformance.Scene[endpoint.Fault]) genkit.Recovery {
		b := conformance.Set(middleware.Wrap(genkit.Next()), s)
		if s.StandIn.Name != "" {
			b.Fallback(s.StandIn.Name, genkit.Model(sdk.LookupModel(g, "house/"+s.StandIn.Model)))
		}
		if s.Reduced != "" {
			b.Degrade(strategies.LevelReduced, genkit.Reply(s.Reduced))
		}
		return whole(t, b)
	},
	"with WrapStream": func(t *testing.T, g *sdk.Genkit, s conformance.Scene[endpoint.Fault]) genkit.Recovery {
		b := conformance.Set(middleware.WrapStream(genkit.Next()), s)
		if s.StandIn.Name != "" {
			b.Fallback(s.StandIn.Name, genkit.Model(sdk.LookupModel(g, "house/"+s.StandIn.Model)))
		}
		if s.Reduced != "" {
			b.Degrade(strategies.LevelReduced, genkit.Reply(s.Reduced))
		}
		return stream(t, b)
	},
}

func TestConformance(t *testing.T) {
	t.Parallel()
	ways := conformance.Ways[endpoint.Fault]{}
	for way, recovery := range layers {
		ways[way] = func(t *testing.T, s conformance.Scene[endpoint.Fault]) conformance.Result {
			server := conformance.Endpoint(t, s.Script)
			g := connect(t, server.URL())
			resp, err := ask(t, g, ai.WithUse(recovery(t, g, s)))
			return resultOf(resp, err, server)
		}
	}
	conformance.Run(t, conformance.Adapter[endpoint.Fault]{
		Faults: conformance.EndpointFaults(), Ways: ways, Cuts: conformance.EndpointCuts(), Stream: hear, Interrupt: interruptUntouched,
	})
}

func resultOf(resp *ai.ModelResponse, err error, server conformance.Provider) conformance.Result {
	r := conformance.Result{Err: err, Provider: server}
	if err == nil {
		how, _ := genkit.ProvenanceOf(resp)
		r.Text, r.Level, r.Strategy, r.ServedBy, r.Attempts = resp.Text(), how.Level, how.Strategy, how.ServedBy, how.Attempts
	}
	return r
}

// hear listens to a stream; what the user saw is the text, and the response must
// say the same.
func hear(t *testing.T, cut conformance.Cut[endpoint.Fault]) conformance.Result {
	server, g := script(t, cut.Fault)
	var heard string
	listen := ai.WithStreaming(func(_ context.Context, chunk *ai.ModelResponseChunk) error {
		heard += chunk.Text()
		return nil
	})
	resp, err := ask(t, g, listen, ai.WithUse(stream(t, middleware.WrapStream(genkit.Next()).Named("narrator").Retry(soon).
		Degrade(strategies.LevelReduced, genkit.Reply("The innkeeper shrugs.")))))
	if !cut.Ends() {
		served(t, resp, err, cut.Said, genkit.Provenance{Strategy: strategies.StrategyRetry, ServedBy: "narrator", Attempts: 2})
	}
	return conformance.Result{Text: heard, Err: err, Provider: server, Sent: conformance.SentBefore(err, func(chunks []genkit.Chunk) (sent string) {
		for _, c := range chunks {
			sent += c.Delta.Text()
		}
		return sent
	})}
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
