package adk_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/adk/v2/tool/toolconfirmation"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/conformance"
	wire "github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
	"github.com/understudy-go/understudy/strategies"
)

// scene is one case: the models answer so, these layers stand around the first,
// and a turn of an agent in its runner must be answered so.
type scene struct {
	script   answers
	down     map[string]wire.Answer
	layers   func(b *chain, other func(name string) *adk.LLMAgent) *chain
	want     string
	how      strategies.Strategy
	by       string
	wait     time.Duration // at least, before a retry
	reduced  bool
	requests map[string]int
}

// play plays it whole and streamed.
func (s scene) play(t *testing.T) {
	for form, mode := range forms {
		t.Run(form, func(t *testing.T) {
			server := wire.StartDown(s.script, s.down)
			t.Cleanup(server.Close)
			seen := &recoveries{}
			other := func(name string) *adk.LLMAgent { return adk.LLM(google(t, server.URL(), name)) }
			llm := guard(t, google(t, server.URL(), "narrator"), func(b *chain) *chain { return s.layers(b.Observe(seen), other) })
			got := newStage(t, storyteller(t, llm)).ask(t, mode)
			if got.err != nil || got.final != s.want {
				t.Fatalf("got %q, %v; want %q", got.final, got.err, s.want)
			}
			if e := seen.last(middleware.EventRecovered); e.Strategy != s.how || e.ServedBy != s.by {
				t.Errorf("recovered by %s, %v; want %s, %v", e.ServedBy, e.Strategy, s.by, s.how)
			}
			if e := seen.last(middleware.EventRetryScheduled); e.Delay < s.wait {
				t.Errorf("it waited %v where the provider asked for %v", e.Delay, s.wait)
			}
			if last := got.events[len(got.events)-1]; adk.Degraded(&last.LLMResponse) != s.reduced {
				t.Errorf("the answer is marked as reduced: %v", !s.reduced)
			}
			for name, n := range s.requests {
				conformance.Requests(t, name, server.Requests(name), n)
			}
		})
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	type other = func(string) *adk.LLMAgent
	retried := func(b *chain, _ other) *chain { return b.Retry(soon) }
	relieved := func(b *chain, o other) *chain { return b.Retry(soon).Fallback("archivist", o("archivist")) }
	conformance.Run(t, map[conformance.Case]func(*testing.T){
		conformance.TransientThenSuccess: scene{
			script: answers{"narrator": {wire.Overloaded()}}, layers: retried,
			want: "A stranger, says narrator", how: strategies.StrategyRetry, by: "narrator", requests: map[string]int{"narrator": 2},
		}.play,
		conformance.RateLimitHonoured: scene{
			script: answers{"narrator": {wire.RateLimit(30 * time.Millisecond)}}, layers: retried, wait: 30 * time.Millisecond,
			want: "A stranger, says narrator", how: strategies.StrategyRetry, by: "narrator", requests: map[string]int{"narrator": 2},
		}.play,
		conformance.QuotaGoesOn: scene{
			script: answers{"narrator": {wire.Quota()}}, layers: relieved,
			want: "A stranger, says archivist", how: strategies.StrategyFallback, by: "archivist", requests: map[string]int{"narrator": 1, "archivist": 1},
		}.play,
		conformance.OverflowToLarger: scene{
			script: answers{"narrator": {wire.Overflow()}}, layers: relieved,
			want: "A stranger, says archivist", how: strategies.StrategyFallback, by: "archivist", requests: map[string]int{"narrator": 1, "archivist": 1},
		}.play,
		conformance.HangTimesOut: scene{
			script: answers{"narrator": {wire.Stall()}},
			layers: func(b *chain, _ other) *chain { return b.Retry(soon).Timeout(500 * time.Millisecond) },
			want:   "A stranger, says narrator", how: strategies.StrategyRetry, by: "narrator", requests: map[string]int{"narrator": 2},
		}.play,
		conformance.StreamCut:          streamCut,
		conformance.InterruptUntouched: interruptUntouched,
		conformance.AllDownDegraded: scene{
			down: map[string]wire.Answer{"narrator": wire.Overloaded(), "archivist": wire.Drop()},
			layers: func(b *chain, o other) *chain {
				return b.Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{time.Millisecond}}).
					Fallback("archivist", o("archivist")).Degrade(strategies.LevelReduced, adk.Reply("The innkeeper shrugs."))
			},
			want: "The innkeeper shrugs.", how: strategies.StrategyDegradation, by: "reduced answer", reduced: true,
			requests: map[string]int{"narrator": 3, "archivist": 1},
		}.play,
	}, nil)
}

func streamCut(t *testing.T) {
	const whole = "A stranger, says narrator"
	role := `{"candidates":[{"content":{"role":"model","parts":[{"text":""}]}}]}`
	usage := `{"usageMetadata":{"trafficType":"ON_DEMAND"}}`
	a, stranger := wire.Candidate("A ", ""), wire.Candidate("stranger, ", "")
	broken := wire.ErrorBody(503, "UNAVAILABLE", "The model is overloaded.")
	for it, tt := range map[string]struct {
		answer   wire.Answer
		said     string // in pieces
		requests int
		class    strategies.Class // of the failure behind; 0: there is none
	}{
		"retries one cut before its first chunk":      {wire.Cut(), whole, 2, 0},
		"retries one cut after chunks without a word": {wire.Cut(role, usage), whole, 2, 0},
		"retries one that ended after such chunks":    {wire.Events(role, usage), whole, 2, 0},
		"retries one without any event":               {wire.Events(), whole, 2, 0},
		"retries an error before the first word":      {wire.Events(role, broken), whole, 2, 0},
		"retries a broken call of a tool":             {wire.Events(role, wire.Candidate("", "MALFORMED_FUNCTION_CALL")), whole, 2, 0},
		"ends one cut after its first words":          {wire.Cut(a, stranger), "A stranger, ", 1, strategies.ClassTransient},
		"ends one that ended before its end":          {wire.Events(a, stranger), "A stranger, ", 1, strategies.ClassInvalidAnswer},
		"ends one with an error after two words":      {wire.Events(a, stranger, broken), "A stranger, ", 1, strategies.ClassTransient},
	} {
		t.Run("it "+it, func(t *testing.T) {
			server := play(t, answers{"narrator": {tt.answer}})
			s := newStage(t, storyteller(t, guard(t, google(t, server.URL(), "narrator"), retry)))
			got := s.ask(t, agent.StreamingModeSSE)
			if got.partial != tt.said {
				t.Errorf("got %q, want %q", got.partial, tt.said)
			}
			cut, failed := errors.AsType[*strategies.StreamError](got.err)
			switch {
			case tt.class == 0:
				if got.err != nil || got.final != whole || len(s.kept(t)) != 2 {
					t.Errorf("got %q, %v; the session has %d events", got.final, got.err, len(s.kept(t)))
				}
			case !failed:
				t.Errorf("got %v", got.err)
			default:
				class(t, got.err, strategies.ClassCutOff)
				class(t, cut.Err, tt.class)
				if got.final != "" || len(s.kept(t)) != 1 {
					t.Errorf("%q is taken for an answer; the session has %d events", got.final, len(s.kept(t)))
				}
				var sent string
				chunks, _ := middleware.Sent[*model.LLMResponse](got.err)
				for _, c := range chunks {
					sent += text(c)
				}
				if sent != tt.said {
					t.Errorf("the error says that %q was sent", sent)
				}
			}
			conformance.Requests(t, "narrator", server.Requests("narrator"), tt.requests)
		})
	}
}

// The framework asks a person before a tool runs. The question passes through
// the chain as it is, and the answer to it is taken up where the turn stopped.
func interruptUntouched(t *testing.T) {
	call := wire.Body(`{"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[{"functionCall":{"id":"call_1","name":"open_door","args":{}}}]}}]}`)
	server := play(t, answers{"narrator": {wire.Overloaded(), call, wire.Overloaded()}})
	opened := 0
	door, err := functiontool.New(functiontool.Config{Name: "open_door", Description: "Opens it.", RequireConfirmation: true},
		func(agent.Context, struct{}) (string, error) { opened++; return "open", nil })
	if err != nil {
		t.Fatal(err)
	}
	seen := &recoveries{}
	llm := guard(t, google(t, server.URL(), "narrator"), func(b *chain) *chain {
		return b.Retry(soon).Observe(seen).Degrade(strategies.LevelReduced, adk.Reply("no"))
	})
	s := newStage(t, storyteller(t, llm, func(c *llmagent.Config) { c.Tools = []tool.Tool{door} }))
	got := s.ask(t, agent.StreamingModeNone)
	if got.err != nil || opened != 0 {
		t.Fatalf("got %v; the door was opened %d times", got.err, opened)
	}
	var question string
	for _, event := range got.events {
		for _, id := range event.LongRunningToolIDs {
			question = id
		}
	}
	conformance.Requests(t, "narrator", server.Requests("narrator"), 2)

	got = s.turn(t.Context(), agent.StreamingModeNone, &genai.Content{Role: genai.RoleUser, Parts: []*genai.Part{{FunctionResponse: &genai.FunctionResponse{
		ID: question, Name: toolconfirmation.FunctionCallName, Response: map[string]any{"confirmed": true},
	}}}})
	if got.err != nil || opened != 1 || got.final != "A stranger, says narrator" {
		t.Errorf("got %q, %v; the door was opened %d times", got.final, got.err, opened)
	}
	conformance.Requests(t, "narrator", server.Requests("narrator"), 4)
	for _, e := range seen.events {
		if e.Kind == middleware.EventFailed || e.Strategy == strategies.StrategyDegradation {
			t.Errorf("the chain took the question for a failure: %+v", e)
		}
	}
}
