package adk_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"testing"
	"time"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/plugin"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/genai"

	wire "github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
	"github.com/understudy-go/understudy/strategies"
)

// What the framework asks of a model beside its interface.
type (
	varied    interface{ GetGoogleLLMVariant() genai.Backend }
	connected interface{ Client() *genai.Client }
)

type onlyVaried struct{ script }

func (*onlyVaried) GetGoogleLLMVariant() genai.Backend { return genai.BackendVertexAI }

type onlyConnected struct{ script }

func (*onlyConnected) Client() *genai.Client { return nil }

func TestNewModel(t *testing.T) {
	t.Parallel()
	for it, tt := range map[string]struct {
		first             model.LLM
		varied, connected bool
	}{
		"forwards the variant and the client of Gemini": {google(t, "http://127.0.0.1:0", "narrator"), true, true},
		"forwards a variant alone":                      {&onlyVaried{}, true, false},
		"forwards a client alone":                       {&onlyConnected{}, false, true},
		"has neither where there is neither":            {&script{}, false, false},
	} {
		t.Run("it "+it, func(t *testing.T) {
			llm := guard(t, tt.first, retry)
			if llm.Name() != tt.first.Name() {
				t.Errorf("it is called %q", llm.Name())
			}
			v, is := llm.(varied)
			if is != tt.varied || is && v.GetGoogleLLMVariant() != tt.first.(varied).GetGoogleLLMVariant() {
				t.Errorf("it has a variant: %v", is)
			}
			c, is := llm.(connected)
			if is != tt.connected || is && c.Client() != tt.first.(connected).Client() {
				t.Errorf("it has a client: %v", is)
			}
		})
	}
	t.Run("it refuses nonsense", func(t *testing.T) {
		whole, err := middleware.WrapStream(adk.LLM(&script{})).Build()
		if err != nil {
			t.Fatal(err)
		}
		for _, try := range []func() error{
			func() error { _, err := adk.NewModel(nil, whole); return err },
			func() error { _, err := adk.NewModel(&script{}, nil); return err },
			func() error { _, err := middleware.WrapStream(adk.LLM(nil).Accept("x")).Build(); return err },
			func() error { _, err := adk.NewAgent(agent.Config{Name: "x"}, nil); return err },
		} {
			if err := try(); !errors.Is(err, strategies.ErrConfig) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestTheRequestOfAnAttempt(t *testing.T) {
	t.Parallel()
	t.Run("it carries the name of the model that is asked", func(t *testing.T) {
		server := play(t, answers{"narrator": {wire.Quota()}})
		llm := guard(t, google(t, server.URL(), "narrator"), func(b *chain) *chain {
			return b.Fallback("archivist", adk.LLM(google(t, server.URL(), "archivist")))
		})
		_, _ = middleware.Collect(llm.GenerateContent(t.Context(), &model.LLMRequest{Model: "narrator", Contents: genai.Text("Who?")}, false))
		if server.Requests("narrator") != 1 || server.Requests("archivist") != 1 {
			t.Errorf("it asked %v", server.Log())
		}
	})
	t.Run("it leaves the name that a callback has chosen to the first model", func(t *testing.T) {
		server := play(t, answers{"special": {wire.Quota()}})
		llm := guard(t, google(t, server.URL(), "narrator"), func(b *chain) *chain {
			return b.Fallback("archivist", adk.LLM(google(t, server.URL(), "archivist")))
		})
		choose := func(_ agent.Context, req *model.LLMRequest) (*model.LLMResponse, error) {
			req.Model = "special"
			return nil, nil
		}
		got := newStage(t, storyteller(t, llm, func(c *llmagent.Config) {
			c.BeforeModelCallbacks = []llmagent.BeforeModelCallback{choose}
		})).ask(t, agent.StreamingModeNone)
		if got.err != nil || got.final != "A stranger, says archivist" || server.Requests("special") != 1 || server.Requests("narrator") != 0 {
			t.Errorf("got %q, %v", got.final, got.err)
		}
	})
	t.Run("it is a copy, and the framework's request stays as it was", func(t *testing.T) {
		server := play(t, answers{"narrator": {wire.Overloaded(), wire.Overloaded()}})
		llm := guard(t, google(t, server.URL(), "narrator"), retry)
		headers := http.Header{"X-Scene": {"door"}}
		contents := append(make([]*genai.Content, 0, 4), genai.NewContentFromText("Who?", genai.RoleUser), genai.NewContentFromText("I", genai.RoleModel))
		req := &model.LLMRequest{
			Model:    "narrator",
			Contents: contents,
			Config:   &genai.GenerateContentConfig{HTTPOptions: &genai.HTTPOptions{Headers: headers}},
		}
		if _, err := middleware.Collect(llm.GenerateContent(t.Context(), req, true)); err != nil {
			t.Fatal(err)
		}
		if len(req.Contents) != 2 || contents[:3][2] != nil || len(headers) != 1 || req.Config.HTTPOptions.RetryOptions != nil {
			t.Errorf("it was written to: %d contents, %v", len(req.Contents), headers)
		}
		log := server.Log()
		if len(log) != 3 {
			t.Fatalf("%d requests", len(log))
		}
		for _, r := range log { // Gemini adds a content of its own
			if contents, _ := r.Body["contents"].([]any); len(contents) != 3 || r.Header.Get("X-Scene") != "door" {
				t.Errorf("it sent %d contents, %v", len(contents), r.Header)
			}
		}
	})
	t.Run("it leaves a model that is not Google's without a config where there is none", func(t *testing.T) {
		s := &script{responses: []*model.LLMResponse{says("Hello")}}
		if _, err := middleware.Collect(guard(t, s, retry).GenerateContent(t.Context(), &model.LLMRequest{}, false)); err != nil {
			t.Fatal(err)
		}
		if s.asked[0].Config != nil || s.asked[0].Model != "script" {
			t.Errorf("it asked %+v", s.asked[0])
		}
	})
	t.Run("it sends once, whatever the client says", func(t *testing.T) {
		server := wire.StartDown(nil, map[string]wire.Answer{"narrator": wire.Overloaded()})
		t.Cleanup(server.Close)
		llm := google(t, server.URL(), "narrator")
		eager := &genai.HTTPRetryOptions{Attempts: genai.Ptr[int32](5), InitialDelay: genai.Ptr(0.0), Jitter: genai.Ptr(0.0)}
		req := &model.LLMRequest{Contents: genai.Text("Who?"), Config: &genai.GenerateContentConfig{HTTPOptions: &genai.HTTPOptions{RetryOptions: eager}}}
		for _, stream := range []bool{false, true} {
			if _, err := middleware.Collect(adk.LLM(llm).Stream(t.Context(), adk.Call{Request: req, Stream: stream})); err == nil {
				t.Error("no error")
			}
		}
		if n := server.Requests("narrator"); n != 2 {
			t.Errorf("%d requests for two calls", n)
		}
	})
}

func TestWrappingKeepsWhatTheFrameworkCanDo(t *testing.T) {
	t.Parallel()
	for form, mode := range forms {
		t.Run("it binds tools, runs callbacks and counts tokens, "+form, func(t *testing.T) {
			call := `{"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[{"functionCall":{"name":"open_door","args":{}}}]}}]}`
			ask := map[string]wire.Answer{"whole": wire.Body(call), "streamed": wire.Events(call)}[form]
			server := play(t, answers{"narrator": {wire.Overloaded(), ask, wire.Overloaded()}})
			opened, before, after := 0, 0, 0
			door, err := functiontool.New(functiontool.Config{Name: "open_door", Description: "Opens it."},
				func(agent.Context, struct{}) (string, error) { opened++; return "open", nil })
			if err != nil {
				t.Fatal(err)
			}
			s := newStage(t, storyteller(t, guard(t, google(t, server.URL(), "narrator"), retry), func(c *llmagent.Config) {
				c.Tools = []tool.Tool{door}
				c.BeforeModelCallbacks = []llmagent.BeforeModelCallback{func(agent.Context, *model.LLMRequest) (*model.LLMResponse, error) { before++; return nil, nil }}
				c.AfterModelCallbacks = []llmagent.AfterModelCallback{func(_ agent.Context, r *model.LLMResponse, _ error) (*model.LLMResponse, error) {
					if !r.Partial {
						after++
					}
					return nil, nil
				}}
			}))
			got := s.ask(t, mode)
			if got.err != nil || got.final != "A stranger, says narrator" {
				t.Fatalf("got %q, %v", got.final, got.err)
			}
			if opened != 1 || before != 2 || after != 2 || server.Requests("narrator") != 4 {
				t.Errorf("opened %d times, %d and %d callbacks, %d requests", opened, before, after, server.Requests("narrator"))
			}
			last := got.events[len(got.events)-1]
			if last.UsageMetadata == nil || last.UsageMetadata.TotalTokenCount != 2 || last.Author != "storyteller" {
				t.Errorf("got %+v", last)
			}
			for _, r := range server.Log() {
				if tools, _ := r.Body["tools"].([]any); len(tools) != 1 {
					t.Errorf("it sent %v", r.Body["tools"])
				}
			}
		})
	}
	t.Run("it takes no piece with an error code for an answer", func(t *testing.T) {
		llm := guard(t, &script{responses: []*model.LLMResponse{{ErrorCode: "SAFETY", Partial: true}}}, retry)
		got := newStage(t, storyteller(t, llm)).ask(t, agent.StreamingModeSSE)
		if e, ok := errors.AsType[*strategies.AnswerError](got.err); !ok || e.Reason != "SAFETY" || len(got.events) != 0 {
			t.Errorf("got %+v, %v", got.events, got.err)
		}
	})
	t.Run("it gives no response back to a caller who has left", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		leaves := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
			if e.Kind == middleware.EventRetryScheduled {
				cancel()
			}
		})
		cut := &model.LLMResponse{Content: says("A stran").Content, FinishReason: genai.FinishReasonMaxTokens}
		llm := guard(t, &script{responses: []*model.LLMResponse{cut}}, func(b *chain) *chain {
			return b.Retry(strategies.Retry{Backoff: strategies.Delays{time.Hour}}).Observe(leaves)
		})
		got, err := middleware.Collect(llm.GenerateContent(ctx, &model.LLMRequest{}, false))
		if !errors.Is(err, context.Canceled) || len(got) != 0 {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("it keeps the client's own error within reach", func(t *testing.T) {
		server := play(t, answers{"narrator": {wire.Quota()}})
		got := newStage(t, storyteller(t, guard(t, google(t, server.URL(), "narrator"), retry))).ask(t, agent.StreamingModeNone)
		if own, ok := errors.AsType[genai.APIError](got.err); !ok || own.Code != 429 || !errors.Is(got.err, strategies.ErrRecovery) {
			t.Errorf("got %v", got.err)
		}
	})
}

func TestDegradePlugin(t *testing.T) {
	t.Parallel()
	degrade := func(t *testing.T) *plugin.Plugin {
		p, err := adk.DegradePlugin("The innkeeper shrugs.")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tt := range []struct {
		it      string
		answer  wire.Answer
		mode    agent.StreamingMode
		bare    bool // without a chain
		reduced bool
	}{
		{it: "answers where a chain failed", answer: wire.Quota(), mode: agent.StreamingModeNone, reduced: true},
		{it: "answers where a model without a chain failed", answer: wire.Overloaded(), mode: agent.StreamingModeNone, bare: true, reduced: true},
		{it: "answers where a stream failed before its first word", answer: wire.Quota(), mode: agent.StreamingModeSSE, reduced: true},
		{it: "says nothing to a bad request", answer: wire.Error(400, "INVALID_ARGUMENT", "no"), mode: agent.StreamingModeNone},
		{it: "says nothing after the first words", answer: wire.Cut(wire.Candidate("A ", "")), mode: agent.StreamingModeSSE},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			server := play(t, answers{"narrator": {tt.answer}})
			llm := google(t, server.URL(), "narrator")
			if !tt.bare {
				llm = guard(t, llm, retry)
			}
			s := newStage(t, storyteller(t, llm), degrade(t))
			got := s.ask(t, tt.mode)
			if !tt.reduced {
				if got.err == nil || got.final != "" {
					t.Errorf("got %q, %v", got.final, got.err)
				}
				return
			}
			if got.err != nil || got.final != "The innkeeper shrugs." {
				t.Fatalf("got %q, %v", got.final, got.err)
			}
			if all := s.kept(t); len(all) != 2 || adk.Degraded(&all[0].LLMResponse) || !adk.Degraded(&all[1].LLMResponse) {
				t.Errorf("the session has %+v", all)
			}
		})
	}
	for of, bare := range map[string]bool{"a chain": false, "a model without a chain": true} {
		t.Run("it says nothing to a caller who has left "+of, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			server := play(t, answers{"narrator": {func(w http.ResponseWriter, r *http.Request, seen wire.Request) {
				cancel()
				wire.Stall()(w, r, seen)
			}}})
			llm := google(t, server.URL(), "narrator")
			if !bare {
				llm = guard(t, llm, retry)
			}
			left := 0 // the next plugin is asked where the one before it says nothing
			next, err := plugin.New(plugin.Config{Name: "next", OnModelErrorCallback: func(agent.Context, *model.LLMRequest, error) (*model.LLMResponse, error) {
				left++
				return nil, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			s := newStage(t, storyteller(t, llm), degrade(t), next)
			got := s.turn(ctx, agent.StreamingModeNone, genai.NewContentFromText("Who?", genai.RoleUser))
			if !errors.Is(got.err, context.Canceled) || got.final != "" || server.Requests("narrator") != 1 || left != 1 {
				t.Errorf("got %q, %v, %d requests, %d errors left to the next plugin", got.final, got.err, server.Requests("narrator"), left)
			}
		})
	}
	if adk.Degraded(nil) || adk.Degraded(&model.LLMResponse{}) {
		t.Error("it takes an answer of a model for a reduced one")
	}
}

func TestWhoeverLeaves(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"of a model", "of an agent"} {
		t.Run("it closes the connection when the reader leaves the stream "+name, func(t *testing.T) {
			gone := make(chan struct{})
			server := play(t, answers{"narrator": {func(w http.ResponseWriter, r *http.Request, seen wire.Request) {
				wire.Stall(wire.Candidate("Hello", ""))(w, r, seen)
				close(gone)
			}}})
			llm := guard(t, google(t, server.URL(), "narrator"), func(b *chain) *chain { return b.Retry(soon).Timeout(time.Minute).Idle(time.Minute) })
			if name == "of a model" {
				leave(t, llm.GenerateContent(t.Context(), &model.LLMRequest{Contents: genai.Text("Who?")}, true))
			} else {
				leave(t, newStage(t, storyteller(t, llm)).Run(t.Context(), "user", "session", genai.NewContentFromText("Who?", genai.RoleUser), agent.RunConfig{StreamingMode: agent.StreamingModeSSE}))
			}
			<-gone // or the test never ends
		})
	}
}

func leave[T any](t *testing.T, stream iter.Seq2[T, error]) {
	t.Helper()
	for _, err := range stream {
		if err != nil {
			t.Errorf("got %v", err)
		}
		return
	}
	t.Error("it said nothing")
}
