package adk_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/artifact"
	"google.golang.org/adk/v2/memory"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/model/gemini"
	"google.golang.org/adk/v2/plugin"
	"google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/conformance"
	wire "github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
)

type (
	chain   = middleware.StreamBuilder[adk.Call, *model.LLMResponse]
	answers = map[string][]wire.Answer
)

var soon = conformance.Soon

// play starts a provider whose models answer by script, then with four words.
func play(t *testing.T, script answers) *wire.Server {
	t.Helper()
	return conformance.Gemini(t, script)
}

// google returns the framework's Gemini, for a server at url.
func google(t *testing.T, url, name string) model.LLM {
	t.Helper()
	llm, err := gemini.NewModel(t.Context(), name, &genai.ClientConfig{
		APIKey: "test", Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: url},
	})
	if err != nil {
		t.Fatal(err)
	}
	return llm
}

// guard puts a chain around a model, and makes it a model again.
func guard(t *testing.T, first model.LLM, layers func(*chain) *chain) model.LLM {
	t.Helper()
	return modelOf(t, first, layers(middleware.WrapStream(adk.LLM(first)).Named("narrator").Commit(adk.Says)))
}

func modelOf(t *testing.T, first model.LLM, b *chain) model.LLM {
	t.Helper()
	llm, err := adk.NewModel(first, conformance.Built(t, b))
	if err != nil {
		t.Fatal(err)
	}
	return llm
}

func retry(b *chain) *chain { return b.Retry(soon) }

// storyteller is an agent of the framework with such a model.
func storyteller(t *testing.T, llm model.LLM, change ...func(*llmagent.Config)) agent.Agent {
	t.Helper()
	config := llmagent.Config{Name: "storyteller", Description: "Tells what happens.", Model: llm, Instruction: "Be brief."}
	for _, c := range change {
		c(&config)
	}
	a, err := llmagent.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// stage runs an agent as an application does.
type stage struct {
	*runner.Runner
	sessions session.Service
}

func newStage(t *testing.T, a agent.Agent, plugins ...*plugin.Plugin) *stage {
	t.Helper()
	sessions := session.InMemoryService()
	r, err := runner.New(runner.Config{
		AppName: "tavern", Agent: a, SessionService: sessions, ArtifactService: artifact.InMemoryService(), MemoryService: memory.InMemoryService(),
		AutoCreateSession: true, PluginConfig: runner.PluginConfig{Plugins: plugins},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &stage{r, sessions}
}

// forms are the ways in which the framework asks a model.
var forms = map[string]agent.StreamingMode{"whole": agent.StreamingModeNone, "streamed": agent.StreamingModeSSE}

// shown is what a turn looked like from outside.
type shown struct {
	partial string // the pieces, put together
	final   string // what was said for good
	events  []*session.Event
	err     error
}

func (s *stage) turn(ctx context.Context, mode agent.StreamingMode, content *genai.Content) (out shown) {
	for event, err := range s.Run(ctx, "user", "session", content, agent.RunConfig{StreamingMode: mode}) {
		if err != nil {
			out.err = err
			continue
		}
		out.events = append(out.events, event)
		if event.Partial {
			out.partial += text(&event.LLMResponse)
		} else {
			out.final += text(&event.LLMResponse)
		}
	}
	return out
}

func (s *stage) ask(t *testing.T, mode agent.StreamingMode) shown {
	t.Helper()
	return s.turn(t.Context(), mode, genai.NewContentFromText("Who is at the door?", genai.RoleUser))
}

// kept is what the session has kept.
func (s *stage) kept(t *testing.T) []*session.Event {
	t.Helper()
	got, err := s.sessions.Get(t.Context(), &session.GetRequest{AppName: "tavern", UserID: "user", SessionID: "session"})
	if err != nil {
		t.Fatal(err)
	}
	var all []*session.Event
	for event := range got.Session.Events().All() {
		all = append(all, event)
	}
	return all
}

func text(r *model.LLMResponse) string {
	if r == nil || r.Content == nil {
		return ""
	}
	var b strings.Builder
	for _, p := range r.Content.Parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

var class = conformance.Class

// recoveries notes what a chain tells of.
type recoveries struct{ events []middleware.Event }

func (r *recoveries) Observe(_ context.Context, e middleware.Event) { r.events = append(r.events, e) }
