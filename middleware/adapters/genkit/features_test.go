package genkit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firebase/genkit/go/ai"
	"github.com/firebase/genkit/go/core/api"
	"github.com/firebase/genkit/go/core/tracing"
	sdk "github.com/firebase/genkit/go/genkit"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
	"github.com/understudy-go/understudy/strategies"
)

func retrying(t *testing.T) genkit.Recovery {
	t.Helper()
	return stream(t, middleware.WrapStream(genkit.Next()).Named("narrator").Retry(soon))
}

func TestToolsStillBind(t *testing.T) {
	t.Parallel()
	server := serve(t, says(503, "{}"), says(200, call), says(503, "{}"), says(200, hello))
	g := connect(t, server.URL)
	var opened []string
	door := sdk.DefineTool(g, "open_door", "opens a door", func(_ *ai.ToolContext, in struct {
		Door string `json:"door"`
	}) (string, error) {
		opened = append(opened, in.Door)
		return in.Door + " is open", nil
	})
	resp, err := ask(t, g, ai.WithTools(door), ai.WithSystem("You are a narrator."), ai.WithDocs(ai.DocumentFromText("The door is oak.", nil)),
		ai.WithUse(retrying(t)))
	if err != nil || resp.Text() != "Hello" {
		t.Fatalf("got %v, %v", resp, err)
	}
	t.Run("it calls the tool once, whatever is retried around it", func(t *testing.T) {
		if !slices.Equal(opened, []string{"front"}) {
			t.Errorf("opened %q", opened)
		}
	})
	close(server.bodies)
	var bodies []string
	for b := range server.bodies {
		bodies = append(bodies, b)
	}
	if len(bodies) != 4 {
		t.Fatalf("%d requests", len(bodies))
	}
	t.Run("it sends an attempt what it sent the one before", func(t *testing.T) {
		// genkit writes the documents into the messages it is given.
		if bodies[0] != bodies[1] || bodies[2] != bodies[3] || !strings.Contains(bodies[0], "The door is oak.") {
			t.Errorf("it sent:\n%s", strings.Join(bodies, "\n"))
		}
	})
	t.Run("it sends the tools, and what they answered", func(t *testing.T) {
		for i, body := range bodies {
			var sent struct {
				Tools []struct{ Function struct{ Name string } }
			}
			if err := json.Unmarshal([]byte(body), &sent); err != nil {
				t.Fatal(err)
			}
			if len(sent.Tools) != 1 || sent.Tools[0].Function.Name != "open_door" || strings.Contains(body, "front is open") != (i >= 2) {
				t.Errorf("request %d: %s", i+1, body)
			}
		}
	})
}

func TestStreaming(t *testing.T) {
	t.Parallel()
	t.Run("it delivers the chunks in order, with the roles and indexes of a whole tool loop", func(t *testing.T) {
		role := `{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}`
		text := func(s string) string { return `{"choices":[{"index":0,"delta":{"content":"` + s + `"}}]}` }
		end := func(why string) string { return `{"choices":[{"index":0,"delta":{},"finish_reason":"` + why + `"}]}` }
		use := `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"knock","arguments":"{}"}}]}}]}`
		server := serve(t, streams(role), streams(text("Knock "), text("first."), use, end("tool_calls")), streams(role), says(503, "{}"),
			streams(role, text("Who "), text("is there?"), end("stop"), "[DONE]"))
		g := connect(t, server.URL)
		knock := sdk.DefineTool(g, "knock", "knocks", func(*ai.ToolContext, struct{}) (string, error) { return "knocked", nil })
		var heard []string
		for value, err := range sdk.GenerateStream(t.Context(), g, ai.WithModelName("house/narrator"), ai.WithPrompt("Go on."),
			ai.WithTools(knock), ai.WithUse(retrying(t))) {
			if err != nil {
				t.Fatal(err)
			}
			if value.Done {
				heard = append(heard, "= "+value.Response.Text())
				continue
			}
			heard = append(heard, fmt.Sprintf("%s %d %s", value.Chunk.Role, value.Chunk.Index, value.Chunk.Text()))
		}
		want := []string{"model 0 Knock ", "model 0 first.", "model 0 ", "tool 1 ", "model 2 Who ", "model 2 is there?", "= Who is there?"}
		if !slices.Equal(heard, want) || server.requests.Load() != 5 {
			t.Errorf("heard %q in %d requests, want %q", heard, server.requests.Load(), want)
		}
	})
	t.Run("it ends the call with the listener's own error, and asks nobody else", func(t *testing.T) {
		server, g := play(t, endpoint.Plan{})
		enough := errors.New("enough")
		recovery := stream(t, middleware.WrapStream(genkit.Next()).Retry(soon).
			Fallback("archivist", genkit.Model(sdk.LookupModel(g, "house/archivist"))).Degrade(strategies.LevelReduced, genkit.Reply("no")))
		_, err := ask(t, g, ai.WithUse(recovery), ai.WithStreaming(func(context.Context, *ai.ModelResponseChunk) error { return enough }))
		if !errors.Is(err, enough) || server.Total() != 1 {
			t.Errorf("got %v after %d requests", err, server.Total())
		}
	})
	t.Run("it gives up a stream that falls silent, before and after its first word", func(t *testing.T) {
		for fault, want := range map[endpoint.Fault]int{endpoint.StallAfter(0): 2, endpoint.StallAfter(1): 1} {
			server, g := script(t, fault)
			recovery := stream(t, middleware.WrapStream(genkit.Next()).Retry(soon).Timeout(400*time.Millisecond).Idle(400*time.Millisecond))
			_, err := ask(t, g, ai.WithUse(recovery), ai.WithStreaming(func(context.Context, *ai.ModelResponseChunk) error { return nil }))
			if recovered := want == 2; recovered != (err == nil) || server.Total() != want {
				t.Errorf("%v: got %v after %d requests, want %d", fault, err, server.Total(), want)
			}
			if cut, ok := errors.AsType[*strategies.StreamError](err); ok {
				class(t, cut.Err, strategies.ClassTimeout)
			}
		}
	})
	t.Run("it lets the rung and the stand-in speak to the listener", func(t *testing.T) {
		for want, fault := range map[string]endpoint.Fault{"A stranger, says archivist": endpoint.OK(), "The innkeeper shrugs.": endpoint.Drop()} {
			_, g := play(t, endpoint.Plan{
				Down: map[string][]endpoint.Outage{"narrator": {{Fault: endpoint.Quota()}}}, Script: map[string][]endpoint.Fault{"archivist": {fault}},
			})
			recovery := stream(t, middleware.WrapStream(genkit.Next()).Fallback("archivist", genkit.Model(sdk.LookupModel(g, "house/archivist"))).
				Degrade(strategies.LevelReduced, genkit.Reply("The innkeeper shrugs.")))
			var heard string
			resp, err := ask(t, g, ai.WithUse(recovery), ai.WithStreaming(func(_ context.Context, c *ai.ModelResponseChunk) error {
				heard += c.Text()
				return nil
			}))
			if err != nil || heard != want || resp.Text() != want || len(resp.History()) != 2 {
				t.Errorf("heard %q, got %v, %v; want %q", heard, resp, err, want)
			}
		}
	})
	t.Run("it returns at once, without another request, when the caller leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		server, g := script(t, endpoint.StallAfter(1))
		_, err := sdk.Generate(ctx, g, ai.WithModelName("house/narrator"), ai.WithPrompt("Go on."), ai.WithUse(retrying(t)),
			ai.WithStreaming(func(context.Context, *ai.ModelResponseChunk) error { cancel(); return nil }))
		if !errors.Is(err, context.Canceled) || server.Total() != 1 {
			t.Errorf("got %v after %d requests", err, server.Total())
		}
	})
}

func TestFlows(t *testing.T) {
	t.Parallel()
	server, g := script(t, endpoint.Status(503), endpoint.Quota(), endpoint.Quota())
	tell := func(ctx context.Context, name string) (string, error) {
		return sdk.GenerateText(ctx, g, ai.WithModelName("house/narrator"), ai.WithPrompt("Who is %s?", name))
	}
	var classes []strategies.Class
	guarded, err := middleware.Wrap(genkit.Flow(tell)).Named("tell").Retry(soon).
		Observe(middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
			if e.Kind == middleware.EventAttemptFailed {
				classes = append(classes, e.Class)
			}
		})).
		Degrade(strategies.LevelReduced, middleware.Func(func(_ context.Context, name string) (string, error) { return name + " is a stranger.", nil })).
		Build()
	if err != nil {
		t.Fatal(err)
	}
	flow := sdk.DefineFlow(g, "tell", guarded.Run)
	got, err := flow.Run(t.Context(), "Ada")
	if err != nil || got != "Ada is a stranger." || server.Total() != 2 {
		t.Errorf("it asks again, and does not retry a quota: got %q, %v after %d requests", got, err, server.Total())
	}
	if want := []strategies.Class{strategies.ClassTransient, strategies.ClassQuotaExhausted}; !slices.Equal(classes, want) {
		t.Errorf("it took the failures for %v, want %v", classes, want)
	}
	if !slices.ContainsFunc(sdk.ListFlows(g), func(a api.Action) bool { return a.Name() == "tell" }) {
		t.Error("it is not registered")
	}
	if genkit.Flow[string, string](nil) != nil {
		t.Error("a nil flow is an agent")
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	server, err := endpoint.Start(endpoint.Plan{
		Script: map[string][]endpoint.Fault{"narrator": {endpoint.Status(503)}},
		Answer: func(string, []endpoint.Message) string { return "A stranger." },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	recovery := retrying(t)
	g := connect(t, server.URL(), recovery.Plugin())
	t.Run("it is known to the developer UI by its name", func(t *testing.T) {
		desc := sdk.LookupMiddleware(g, recovery.Name())
		if desc == nil || desc.Name != "understudy/recovery" || desc.Description == "" {
			t.Fatalf("got %+v", desc)
		}
		if text, err := json.Marshal(desc); err != nil || strings.Contains(string(text), "Stream") {
			t.Errorf("its description is %s, %v", text, err)
		}
	})
	t.Run("it recovers a call that names it", func(t *testing.T) {
		resp, err := sdk.GenerateWithRequest(t.Context(), g, &ai.GenerateActionOptions{
			Model: "house/narrator", Messages: []*ai.Message{ai.NewUserTextMessage("Who is it?")},
			Use: []*ai.MiddlewareRef{{Name: recovery.Name()}},
		}, nil, nil)
		served(t, resp, err, "A stranger.", genkit.Provenance{Strategy: strategies.StrategyRetry, ServedBy: "narrator", Attempts: 2})
	})
}

func TestTelemetry(t *testing.T) { // not parallel: there is one tracer provider
	spans := tracetest.NewSpanRecorder()
	tracing.TracerProvider().RegisterSpanProcessor(spans)
	defer tracing.TracerProvider().UnregisterSpanProcessor(spans)
	_, g := script(t, endpoint.Status(503))
	if _, err := ask(t, g, ai.WithUse(retrying(t))); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range spans.Ended() {
		names = append(names, s.Name()+" "+s.Status().Code.String())
	}
	if want := []string{"house/narrator Error", "house/narrator Unset", "generate Unset"}; !slices.Equal(names, want) {
		t.Errorf("it traces %q, want a span for every attempt: %q", names, want)
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	server := serve(t, says(503, "{}"), says(200, `{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"{\"name\":\"Ada\"}"}}]}`), says(402, "{}"))
	g := connect(t, server.URL)
	recovery := stream(t, middleware.WrapStream(genkit.Next()).Retry(soon).Degrade(strategies.LevelReduced, genkit.Reply(`{"name":"nobody"}`)))
	for _, want := range []string{"Ada", "nobody"} {
		got, resp, err := sdk.GenerateData[struct {
			Name string `json:"name"`
		}](t.Context(), g, ai.WithModelName("house/narrator"), ai.WithPrompt("Who?"), ai.WithUse(recovery))
		if err != nil || got.Name != want {
			t.Errorf("got %v, %v; want %q", got, err, want)
		}
		if p, ok := genkit.ProvenanceOf(resp); !ok || (p.Level == strategies.LevelFull) != (want == "Ada") {
			t.Errorf("it is marked %+v", p)
		}
	}
}

func TestManyCallsShareOneRecovery(t *testing.T) {
	t.Parallel()
	_, g := script(t, slices.Repeat([]endpoint.Fault{endpoint.Status(503), endpoint.OK()}, 10)...)
	recovery := retrying(t)
	var wg sync.WaitGroup
	var heard atomic.Int32
	for range 20 {
		wg.Go(func() {
			_, err := sdk.Generate(t.Context(), g, ai.WithModelName("house/narrator"), ai.WithPrompt("Who?"), ai.WithUse(recovery),
				ai.WithStreaming(func(context.Context, *ai.ModelResponseChunk) error { heard.Add(1); return nil }))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if heard.Load() != 20*4 {
		t.Errorf("the listeners heard %d chunks, want four words each", heard.Load())
	}
}
