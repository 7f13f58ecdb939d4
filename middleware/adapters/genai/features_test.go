package genai_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

// eager is how a client is told to retry, quickly.
func eager() *sdk.HTTPRetryOptions {
	return &sdk.HTTPRetryOptions{Attempts: sdk.Ptr[int32](5), InitialDelay: sdk.Ptr(0.0), Jitter: sdk.Ptr(0.0)}
}

func TestTheClientsOwnRetriesAreOff(t *testing.T) {
	t.Parallel()
	for it, tt := range map[string]struct{ client, config *sdk.HTTPOptions }{
		"by default":               {},
		"whatever the client says": {client: &sdk.HTTPOptions{RetryOptions: eager()}},
		"whatever the config says": {config: &sdk.HTTPOptions{RetryOptions: eager()}},
	} {
		t.Run("it sends one request "+it, func(t *testing.T) {
			server := gemini.StartDown(nil, map[string]gemini.Answer{"narrator": gemini.Overloaded()})
			t.Cleanup(server.Close)
			client := connect(t, server.URL(), func(c *sdk.ClientConfig) {
				if tt.client != nil {
					tt.client.BaseURL = c.HTTPOptions.BaseURL
					c.HTTPOptions = *tt.client
				}
			})
			agent, req := genai.Models(client), ask("narrator")
			if tt.config != nil {
				req.Config = &sdk.GenerateContentConfig{HTTPOptions: tt.config}
			}
			if _, err := agent.Run(t.Context(), req); err == nil {
				t.Error("no error")
			}
			if _, err := middleware.Collect(agent.Stream(t.Context(), req)); err == nil {
				t.Error("no error of the stream")
			}
			if got := server.Requests("narrator"); got != 2 {
				t.Errorf("%d requests for two calls", got)
			}
			if tt.config != nil && *tt.config.RetryOptions.Attempts != 5 {
				t.Error("the caller's config was written to")
			}
		})
	}
}

func TestWrappingKeepsWhatTheClientCanDo(t *testing.T) {
	t.Parallel()
	t.Run("it sends settings, tools and headers with every attempt", func(t *testing.T) {
		server := play(t, answers{"narrator": {gemini.Overloaded()}})
		agent := genai.Models(connect(t, server.URL(), func(c *sdk.ClientConfig) {
			c.HTTPOptions.Headers = http.Header{"X-Team": {"tavern"}}
		}))
		req := ask("narrator")
		req.Config = &sdk.GenerateContentConfig{
			Temperature: sdk.Ptr[float32](0.5), SystemInstruction: sdk.NewContentFromText("Be brief.", sdk.RoleUser),
			Tools:       []*sdk.Tool{{FunctionDeclarations: []*sdk.FunctionDeclaration{{Name: "open_door"}}}},
			HTTPOptions: &sdk.HTTPOptions{Headers: http.Header{"X-Scene": {"door"}}, ExtraBody: map[string]any{"extra": true}},
		}
		if _, err := built(t, middleware.Wrap(agent).Retry(soon)).Run(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		log := server.Log()
		if len(log) != 2 {
			t.Fatalf("%d requests", len(log))
		}
		for _, r := range log {
			tools, _ := r.Body["tools"].([]any)
			settings, _ := r.Body["generationConfig"].(map[string]any)
			if len(tools) != 1 || settings["temperature"] != 0.5 || r.Body["systemInstruction"] == nil || r.Body["extra"] != true {
				t.Errorf("it sent %v", r.Body)
			}
			if r.Header.Get("X-Team") != "tavern" || r.Header.Get("X-Scene") != "door" {
				t.Errorf("it sent %v", r.Header)
			}
		}
	})
	t.Run("it writes to no config, so that calls can share one", func(t *testing.T) {
		_, agent := narrator(t)
		req := ask("narrator")
		req.Config = &sdk.GenerateContentConfig{HTTPOptions: &sdk.HTTPOptions{}}
		var all sync.WaitGroup // the race detector looks on
		for range 4 {
			all.Go(func() {
				if _, err := agent.Run(t.Context(), req); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if o := req.Config.HTTPOptions; o.Headers != nil || o.RetryOptions != nil {
			t.Errorf("it wrote %+v", o)
		}
	})
	t.Run("it lets the client continue an answer by its token", func(t *testing.T) {
		const token = `{"candidates":[{"content":{"role":"model","parts":[{"text":"A "}]},"finishReason":"CONTINUATION","continuationToken":"YQ=="}]}`
		server, agent := narrator(t, gemini.Body(token), gemini.Body(gemini.Candidate("stranger.", "STOP")),
			gemini.Events(token), gemini.Events(gemini.Candidate("stranger.", "STOP")))
		got, err := agent.Run(t.Context(), ask("narrator"))
		if err != nil || got.Text() != "A stranger." {
			t.Errorf("got %v, %v", got, err)
		}
		chunks, err := middleware.Collect(agent.Stream(t.Context(), ask("narrator")))
		if err != nil || joined(chunks) != "A stranger." {
			t.Errorf("got %q, %v", joined(chunks), err)
		}
		if n := server.Requests("narrator"); n != 4 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("it keeps the client's own error within reach, which is a value", func(t *testing.T) {
		_, agent := narrator(t, gemini.Quota())
		_, err := built(t, middleware.Wrap(agent).Retry(soon)).Run(t.Context(), ask("narrator"))
		if own, ok := errors.AsType[sdk.APIError](err); !ok || own.Code != 429 {
			t.Errorf("got %v", err)
		}
		class(t, err, strategies.ClassQuotaExhausted)
	})
	t.Run("it hears of a Retry-After header by way of httphint", func(t *testing.T) {
		server := play(t, answers{"narrator": {gemini.Status(503, "", "Retry-After-Ms", "30")}})
		agent := genai.Models(connect(t, server.URL(), func(c *sdk.ClientConfig) {
			c.HTTPClient = &http.Client{Transport: httphint.Transport{}}
		}))
		var delay time.Duration
		watch := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
			if e.Kind == middleware.EventRetryScheduled {
				delay = e.Delay
			}
		})
		if _, err := built(t, middleware.Wrap(agent).Retry(soon).Observe(watch).
			Around(middleware.StageAgent, httphint.Layer(nil))).Run(t.Context(), ask("narrator")); err != nil {
			t.Error(err)
		}
		if delay < 30*time.Millisecond {
			t.Errorf("it waited %v", delay)
		}
	})
}

func TestWhoeverLeaves(t *testing.T) {
	t.Parallel()
	t.Run("it closes the connection when the reader leaves", func(t *testing.T) {
		gone := make(chan struct{})
		_, agent := narrator(t, func(w http.ResponseWriter, r *http.Request, seen gemini.Request) {
			gemini.Stall(gemini.Candidate("Hello", ""))(w, r, seen)
			close(gone)
		})
		for chunk, err := range builtStream(t, agent).Stream(t.Context(), ask("narrator")) {
			if err != nil || chunk.Text() != "Hello" {
				t.Errorf("got %v, %v", chunk, err)
			}
			break
		}
		<-gone // or the test never ends
	})
	t.Run("it returns at once, without another request, when the caller leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		server, agent := narrator(t, func(w http.ResponseWriter, r *http.Request, seen gemini.Request) {
			cancel()
			gemini.Stall()(w, r, seen)
		})
		_, err := built(t, middleware.Wrap(agent).Retry(soon)).Run(ctx, ask("narrator"))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if got := server.Requests("narrator"); got != 1 {
			t.Errorf("%d requests", got)
		}
	})
	t.Run("it gives up a stream that falls silent, before and after its first word", func(t *testing.T) {
		for _, tt := range []struct {
			said     string
			requests int
		}{{"", 2}, {"Hello", 1}} {
			server, agent := narrator(t, gemini.Stall(gemini.Candidate(tt.said, "")))
			g, err := middleware.WrapStream(agent).Commit(genai.Says).Complete(genai.Ends).
				Retry(soon).Timeout(400 * time.Millisecond).Idle(400 * time.Millisecond).Build()
			if err != nil {
				t.Fatal(err)
			}
			_, err = middleware.Collect(g.Stream(t.Context(), ask("narrator")))
			if recovered := tt.requests == 2; recovered != (err == nil) {
				t.Errorf("after %q: got %v", tt.said, err)
			}
			if cut, ok := errors.AsType[*strategies.StreamError](err); ok {
				class(t, cut.Err, strategies.ClassTimeout)
			}
			if got := server.Requests("narrator"); got != tt.requests {
				t.Errorf("after %q: %d requests, want %d", tt.said, got, tt.requests)
			}
		}
	})
}

func TestReply(t *testing.T) {
	t.Parallel()
	const said = "The innkeeper shrugs."
	one, err := genai.Reply(said).Run(t.Context(), ask("gemini"))
	if err != nil || one.Text() != said || one.Candidates[0].Content.Role != sdk.RoleModel {
		t.Fatalf("got %v, %v", one, err)
	}
	if two, _ := genai.Reply(said).Run(t.Context(), ask("gemini")); two == one {
		t.Error("two calls share an answer")
	}
	chunks, err := middleware.Collect(genai.Reply(said).Stream(t.Context(), ask("gemini")))
	if err != nil || joined(chunks) != said || !genai.Says(chunks[0]) || !genai.Ends(chunks[0]) {
		t.Errorf("got %v, %v", chunks, err)
	}
	server := gemini.StartDown(nil, map[string]gemini.Answer{"narrator": gemini.Overloaded()})
	t.Cleanup(server.Close)
	g, err := middleware.WrapStream(genai.Models(connect(t, server.URL()))).Commit(genai.Says).Complete(genai.Ends).
		Degrade(strategies.LevelMinimal, genai.Reply("Later.")).Build()
	if err != nil {
		t.Fatal(err)
	}
	stream, outcome := g.Outcome(t.Context(), ask("narrator"))
	chunks, err = middleware.Collect(stream)
	if o := outcome(); err != nil || joined(chunks) != "Later." || o.Level != strategies.LevelMinimal || o.Strategy != strategies.StrategyDegradation {
		t.Errorf("got %q, %v, %+v", joined(chunks), err, o)
	}
}
