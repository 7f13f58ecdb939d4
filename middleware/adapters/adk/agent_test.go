package adk_test

import (
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/adk/v2/workflow"
	"google.golang.org/genai"

	wire "github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
	"github.com/understudy-go/understudy/strategies"
)

// role casts agents of the framework in one role: the first leads.
func role(t *testing.T, agents ...agent.Agent) agent.Agent {
	t.Helper()
	b := middleware.WrapStream(adk.Agent(agents[0])).Named(agents[0].Name()).Commit(adk.Acts)
	for _, a := range agents[1:] {
		b.Fallback(a.Name(), adk.Agent(a))
	}
	g, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	r, err := adk.NewAgent(agent.Config{Name: "narrator", Description: "Tells what happens.", SubAgents: agents}, g)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// named is an agent with a model of its own name.
func named(t *testing.T, url, name string, change ...func(*llmagent.Config)) agent.Agent {
	t.Helper()
	return storyteller(t, google(t, url, name), append(change, func(c *llmagent.Config) { c.Name = name })...)
}

// acts is an agent that takes a turn as told.
func acts(t *testing.T, name string, run func(agent.InvocationContext, func(*session.Event, error) bool)) agent.Agent {
	t.Helper()
	a, err := agent.New(agent.Config{Name: name, Run: func(ic agent.InvocationContext) iter.Seq2[*session.Event, error] {
		return func(yield func(*session.Event, error) bool) { run(ic, yield) }
	}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestNewAgent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		it       string
		bard     wire.Answer
		mode     agent.StreamingMode
		want     string
		partial  string
		author   string
		fails    strategies.Class
		requests [2]int
	}{
		{it: "lets the lead speak", bard: wire.Good("A stranger, says bard"), want: "A stranger, says bard", author: "bard", requests: [2]int{1, 0}},
		{it: "lets the next one speak when the lead fails", bard: wire.Overloaded(), want: "A stranger, says archivist", author: "archivist", requests: [2]int{1, 1}},
		{it: "does so before the first words of a stream", bard: wire.Cut(), mode: agent.StreamingModeSSE, want: "A stranger, says archivist", partial: "A stranger, says archivist", author: "archivist", requests: [2]int{1, 1}},
		{it: "does so when a call of a tool is broken", bard: wire.Body(wire.Candidate("", "MALFORMED_FUNCTION_CALL")), want: "A stranger, says archivist", author: "archivist", requests: [2]int{1, 1}},
		{it: "says nothing twice", bard: wire.Cut(wire.Candidate("A ", "")), mode: agent.StreamingModeSSE, partial: "A ", fails: strategies.ClassCutOff, requests: [2]int{1, 0}},
		{it: "lets the next one speak when the lead refuses the request", bard: wire.Error(400, "INVALID_ARGUMENT", "no"), want: "A stranger, says archivist", author: "archivist", requests: [2]int{1, 1}},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if tt.mode == "" {
				tt.mode = agent.StreamingModeNone
			}
			server := play(t, answers{"bard": {tt.bard}})
			s := newStage(t, role(t, named(t, server.URL(), "bard"), named(t, server.URL(), "archivist")))
			got := s.ask(t, tt.mode)
			if got.final != tt.want || got.partial != tt.partial {
				t.Errorf("got %q, in pieces %q, %v", got.final, got.partial, got.err)
			}
			if tt.fails != 0 {
				class(t, got.err, tt.fails)
			} else if all := s.kept(t); got.err != nil || len(all) != 2 || all[1].Author != tt.author {
				t.Errorf("got %v; the session has %d events", got.err, len(all))
			}
			if n := [2]int{server.Requests("bard"), server.Requests("archivist")}; n != tt.requests {
				t.Errorf("%v requests, want %v", n, tt.requests)
			}
		})
	}
	t.Run("it runs no tool twice: who has asked for one keeps the turn", func(t *testing.T) {
		call := wire.Body(`{"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[{"functionCall":{"name":"open_door","args":{}}}]}}]}`)
		server := play(t, answers{"bard": {call, wire.Overloaded()}})
		opened := 0
		door, err := functiontool.New(functiontool.Config{Name: "open_door", Description: "Opens it."},
			func(agent.Context, struct{}) (string, error) { opened++; return "open", nil })
		if err != nil {
			t.Fatal(err)
		}
		tools := func(c *llmagent.Config) { c.Tools = []tool.Tool{door} }
		got := newStage(t, role(t, named(t, server.URL(), "bard", tools), named(t, server.URL(), "archivist", tools))).ask(t, agent.StreamingModeNone)
		class(t, got.err, strategies.ClassCutOff)
		if opened != 1 || server.Requests("archivist") != 0 {
			t.Errorf("opened %d times, %d requests to the archivist", opened, server.Requests("archivist"))
		}
	})
	t.Run("it says why, where nobody does better", func(t *testing.T) {
		held := wire.Body(wire.Candidate("", "SAFETY"))
		server := play(t, answers{"bard": {held}})
		got := newStage(t, role(t, named(t, server.URL(), "bard"), named(t, server.URL(), "archivist"))).ask(t, agent.StreamingModeNone)
		e, ok := errors.AsType[*strategies.AnswerError](got.err)
		if !ok || len(got.events) != 0 || e.Reason != "SAFETY" || e.Answer.(*model.LLMResponse).ErrorCode != "SAFETY" {
			t.Errorf("got %+v, %v", got.events, got.err)
		}
	})
	t.Run("it leaves an error code after the first words to the framework", func(t *testing.T) {
		late := acts(t, "bard", func(ic agent.InvocationContext, yield func(*session.Event, error) bool) {
			for _, r := range []*model.LLMResponse{says("Hello"), {ErrorCode: "SAFETY"}, says("Bye")} {
				e := session.NewEvent(ic, ic.InvocationID())
				if e.LLMResponse = *r; !yield(e, nil) {
					return
				}
			}
		})
		got := newStage(t, role(t, late)).ask(t, agent.StreamingModeNone)
		if got.err != nil || len(got.events) != 3 || got.events[1].ErrorCode != "SAFETY" {
			t.Errorf("got %+v, %v", got.events, got.err)
		}
	})
	t.Run("it takes words with an error code for no answer, unless told to", func(t *testing.T) {
		short := acts(t, "bard", func(ic agent.InvocationContext, yield func(*session.Event, error) bool) {
			e := session.NewEvent(ic, ic.InvocationID())
			e.LLMResponse = model.LLMResponse{Content: says("A stran").Content, ErrorCode: "MAX_TOKENS"}
			yield(e, nil)
		})
		server := play(t, nil)
		next := named(t, server.URL(), "archivist")
		got := newStage(t, role(t, short, next)).ask(t, agent.StreamingModeNone)
		if got.err != nil || got.final != "A stranger, says archivist" || server.Requests("archivist") != 1 {
			t.Errorf("got %q, %v", got.final, got.err)
		}
		g, err := middleware.WrapStream(adk.Agent(short).Accept(genai.FinishReasonMaxTokens)).Commit(adk.Acts).Build()
		if err != nil {
			t.Fatal(err)
		}
		a, err := adk.NewAgent(agent.Config{Name: "narrator", SubAgents: []agent.Agent{short}}, g)
		if err != nil {
			t.Fatal(err)
		}
		if got := newStage(t, a).ask(t, agent.StreamingModeNone); got.err != nil || got.final != "A stran" {
			t.Errorf("accepted: %q, %v", got.final, got.err)
		}
	})
	t.Run("it gives up a lead that hangs", func(t *testing.T) {
		server := play(t, answers{"bard": {wire.Stall()}})
		bard, archivist := named(t, server.URL(), "bard"), named(t, server.URL(), "archivist")
		g, err := middleware.WrapStream(adk.Agent(bard)).Commit(adk.Acts).Timeout(400*time.Millisecond).Fallback("archivist", adk.Agent(archivist)).Build()
		if err != nil {
			t.Fatal(err)
		}
		a, err := adk.NewAgent(agent.Config{Name: "narrator", SubAgents: []agent.Agent{bard, archivist}}, g)
		if err != nil {
			t.Fatal(err)
		}
		got := newStage(t, a).ask(t, agent.StreamingModeNone)
		if got.err != nil || got.final != "A stranger, says archivist" || server.Requests("bard") != 1 {
			t.Errorf("got %q, %v", got.final, got.err)
		}
	})
	t.Run("it passes on the framework's pauses as they are", func(t *testing.T) {
		for _, pause := range []error{fmt.Errorf("node: %w", workflow.ErrNodeInterrupted), fmt.Errorf("tool: %w", tool.ErrConfirmationRequired)} {
			asked := false
			waits := acts(t, "bard", func(_ agent.InvocationContext, yield func(*session.Event, error) bool) { yield(nil, pause) })
			next := acts(t, "archivist", func(agent.InvocationContext, func(*session.Event, error) bool) { asked = true })
			got := newStage(t, role(t, waits, next)).ask(t, agent.StreamingModeNone)
			if got.err != pause || asked { //nolint:errorlint // the very same is wanted
				t.Errorf("got %v; the next was asked: %v", got.err, asked)
			}
		}
	})
	t.Run("it takes a turn without any event for a failure", func(t *testing.T) {
		silent := acts(t, "bard", func(_ agent.InvocationContext, yield func(*session.Event, error) bool) { yield(nil, nil) })
		server := play(t, nil)
		got := newStage(t, role(t, silent, named(t, server.URL(), "archivist"))).ask(t, agent.StreamingModeNone)
		if got.err != nil || got.final != "A stranger, says archivist" {
			t.Errorf("got %q, %v", got.final, got.err)
		}
	})
	t.Run("it refuses a config that is not of a role", func(t *testing.T) {
		lead := acts(t, "bard", func(agent.InvocationContext, func(*session.Event, error) bool) {})
		g, err := middleware.WrapStream(adk.Agent(lead)).Commit(adk.Acts).Build()
		if err != nil {
			t.Fatal(err)
		}
		own := func(agent.InvocationContext) iter.Seq2[*session.Event, error] { return nil }
		for _, c := range []agent.Config{{Name: "narrator"}, {Name: "narrator", SubAgents: []agent.Agent{lead}, Run: own}} {
			if _, err := adk.NewAgent(c, g); !errors.Is(err, strategies.ErrConfig) {
				t.Errorf("got %v", err)
			}
		}
		if _, err := middleware.WrapStream(adk.Agent(nil)).Build(); !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("got %v", err)
		}
	})
}

func TestActs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		event *session.Event
		want  bool
	}{
		"no event":    {nil, false},
		"nothing":     {&session.Event{}, false},
		"an error":    {&session.Event{LLMResponse: model.LLMResponse{ErrorCode: "SAFETY"}}, false},
		"text":        {&session.Event{LLMResponse: *says("Hello")}, true},
		"state":       {&session.Event{Actions: session.EventActions{StateDelta: map[string]any{"door": "open"}}}, true},
		"an artifact": {&session.Event{Actions: session.EventActions{ArtifactDelta: map[string]int64{"map": 1}}}, true},
		"a transfer":  {&session.Event{Actions: session.EventActions{TransferToAgent: "bard"}}, true},
		"escalation":  {&session.Event{Actions: session.EventActions{Escalate: true}}, true},
		"a question":  {&session.Event{RequestedInput: &session.RequestInput{}}, true},
		"output":      {&session.Event{Output: 1}, true},
		"a route":     {&session.Event{Routes: []string{"left"}}, true},
		"long work":   {&session.Event{LongRunningToolIDs: []string{"1"}}, true},
	} {
		if got := adk.Acts(tt.event); got != tt.want {
			t.Errorf("it says of %s that it acts: %v", name, got)
		}
	}
}
