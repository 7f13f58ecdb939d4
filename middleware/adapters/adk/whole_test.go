package adk_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openai/openai-go/v3/option"
	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/model/apigee"
	"google.golang.org/adk/v2/model/openaimodel"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/genai"

	wire "github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
	"github.com/understudy-go/understudy/strategies"
)

// doorway is an agent of the framework that may open a door, and counts.
func doorway(t *testing.T, llm model.LLM, change ...func(*llmagent.Config)) (s *stage, opened *atomic.Int32) {
	t.Helper()
	opened = new(atomic.Int32)
	door, err := functiontool.New(functiontool.Config{Name: "open_door", Description: "Opens it."},
		func(agent.Context, map[string]any) (string, error) { opened.Add(1); return "open", nil })
	if err != nil {
		t.Fatal(err)
	}
	return newStage(t, storyteller(t, llm, append(change, func(c *llmagent.Config) { c.Tools = []tool.Tool{door} })...)), opened
}

// candidate is an answer with one part, which is JSON.
func candidate(part, finish string) string {
	if finish != "" {
		finish = `"finishReason":"` + finish + `",`
	}
	return `{"candidates":[{` + finish + `"content":{"role":"model","parts":[` + part + `]}}]}`
}

const callsDoor = `{"functionCall":{"name":"open_door","args":{}}}`

// No other reason than STOP ends a whole answer, and nothing is done that an answer
// says which is none. With what it says text and a call of a tool, whole and
// streamed, through the framework.
func TestFinishReasons(t *testing.T) {
	t.Parallel()
	for _, reason := range []genai.FinishReason{
		genai.FinishReasonStop,
		"", genai.FinishReasonUnspecified, genai.FinishReasonMaxTokens, genai.FinishReasonSafety, genai.FinishReasonRecitation,
		genai.FinishReasonLanguage, genai.FinishReasonOther, genai.FinishReasonBlocklist, genai.FinishReasonProhibitedContent,
		genai.FinishReasonSPII, genai.FinishReasonMalformedFunctionCall, genai.FinishReasonImageSafety,
		genai.FinishReasonUnexpectedToolCall, genai.FinishReasonTooManyToolCalls, genai.FinishReasonImageProhibitedContent,
		genai.FinishReasonNoImage, genai.FinishReasonImageRecitation, genai.FinishReasonImageOther, genai.FinishReasonContinuation,
		"MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE", "THE_MOON_IS_FULL", // which nobody here knows
	} {
		word, class := string(reason), strategies.ClassOfFinish(string(reason))
		if reason == "" || reason == genai.FinishReasonUnspecified {
			word = adk.Unfinished
		}
		for form, mode := range forms {
			for says, part := range map[string]string{"text": `{"text":"Hello"}`, "a call": callsDoor} {
				t.Run(fmt.Sprintf("%q, %s, %s", reason, says, form), func(t *testing.T) {
					body := candidate(part, string(reason))
					answer := map[string]wire.Answer{"whole": wire.Body(body), "streamed": wire.Events(body)}[form]
					server := play(t, answers{"narrator": {answer}})
					s, opened := doorway(t, guard(t, google(t, server.URL(), "narrator"), func(b *chain) *chain { return b }))
					got := s.ask(t, mode)
					if reason == genai.FinishReasonStop {
						ran := map[string]int32{"text": 0, "a call": 1}[says]
						if got.err != nil || got.final == "" || opened.Load() != ran || server.Total() != 1+int(ran) {
							t.Errorf("got %q, %v; the door was opened %d times, %d requests", got.final, got.err, opened.Load(), server.Total())
						}
						return
					}
					e, ok := errors.AsType[*strategies.AnswerError](got.err)
					if !ok || e.Provider != "adk" || e.Reason != word || e.RecoveryClass() != class {
						t.Errorf("got %v", got.err)
					}
					if got.final != "" || got.partial != map[bool]string{true: "Hello"}[form == "streamed" && says == "text" && word == adk.Unfinished] {
						t.Errorf("it said %q, in pieces %q", got.final, got.partial)
					}
					if opened.Load() != 0 || server.Total() != 1 {
						t.Errorf("the door was opened %d times, %d requests", opened.Load(), server.Total())
					}
				})
			}
		}
	}
}

func TestCallsThatAreNone(t *testing.T) {
	t.Parallel()
	piece := func(parts ...*genai.Part) *model.LLMResponse {
		return &model.LLMResponse{Partial: true, Content: &genai.Content{Role: genai.RoleModel, Parts: parts}}
	}
	call := func(c genai.FunctionCall) *genai.Part {
		if c.Name == "" {
			c.Name = "open_door"
		}
		return &genai.Part{FunctionCall: &c}
	}
	whole := func(reason genai.FinishReason, parts ...*genai.Part) *model.LLMResponse {
		return &model.LLMResponse{FinishReason: reason, Content: &genai.Content{Role: genai.RoleModel, Parts: parts}}
	}
	more := call(genai.FunctionCall{WillContinue: genai.Ptr(true)})
	hello := &genai.Part{Text: "Hello"}
	for _, tt := range []struct {
		it        string
		responses []*model.LLMResponse
		accept    []genai.FinishReason
		offers    *genai.Tool // beside the door
		want      string      // "": it is run
	}{
		{it: "runs a call that came whole", responses: []*model.LLMResponse{whole("STOP", call(genai.FunctionCall{}))}},
		{it: "runs one that came in pieces", responses: []*model.LLMResponse{piece(more), piece(call(genai.FunctionCall{})), whole("STOP", call(genai.FunctionCall{}))}},
		{it: "knows one whose arguments were to go on", responses: []*model.LLMResponse{whole("STOP", more)}, want: adk.Arguments},
		{it: "knows one with a part of its arguments", responses: []*model.LLMResponse{whole("STOP", call(genai.FunctionCall{PartialArgs: []*genai.PartialArg{{}}}))}, want: adk.Arguments},
		{it: "knows one that goes on in the pieces, and is summed up", responses: []*model.LLMResponse{piece(more), whole("STOP", call(genai.FunctionCall{}))}, want: adk.Arguments},
		{it: "knows one that was not offered", responses: []*model.LLMResponse{whole("STOP", call(genai.FunctionCall{Name: "burn_down"}))}, want: adk.UnknownTool},
		{it: "knows one without a name", responses: []*model.LLMResponse{whole("STOP", &genai.Part{FunctionCall: &genai.FunctionCall{}})}, want: adk.UnknownTool},
		{it: "accepts text cut short, and no call in it", responses: []*model.LLMResponse{whole("MAX_TOKENS", hello, call(genai.FunctionCall{}))}, accept: []genai.FinishReason{"max_tokens"}, want: adk.Arguments},
		{it: "accepts a call before the limit that has its arguments", responses: []*model.LLMResponse{whole("MAX_TOKENS", hello, call(genai.FunctionCall{Args: map[string]any{"door": "front"}}))}, accept: []genai.FinishReason{"MAX_TOKENS"}},
		{it: "accepts both", responses: []*model.LLMResponse{whole("MAX_TOKENS", call(genai.FunctionCall{}))}, accept: []genai.FinishReason{"MAX_TOKENS", adk.Arguments}},
		{it: "accepts a reason nobody knows", responses: []*model.LLMResponse{whole("MOON", hello)}, accept: []genai.FinishReason{"moon"}, want: "-"},
		{it: "leaves a call that was not offered to the framework, if told to", responses: []*model.LLMResponse{whole("STOP", call(genai.FunctionCall{Name: "burn_down"}))}, accept: []genai.FinishReason{adk.UnknownTool}, want: "-"},
		{it: "does not know what is offered beside a computer", responses: []*model.LLMResponse{whole("STOP", call(genai.FunctionCall{Name: "click"}))}, offers: &genai.Tool{ComputerUse: &genai.ComputerUse{}}, want: "-"},
		{it: "names a reason as far as one can be", responses: []*model.LLMResponse{whole(genai.FinishReason(strings.Repeat("MOON", 100)), hello)}, want: strings.Repeat("MOON", 16)},
		{it: "takes the reason of a piece for that of the answer", responses: []*model.LLMResponse{{Partial: true, FinishReason: "SAFETY"}, whole("", call(genai.FunctionCall{}))}, want: "SAFETY"},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			m := &script{responses: tt.responses}
			agentOf := adk.LLM(m).Accept(tt.accept...)
			s, opened := doorway(t, modelOf(t, m, middleware.WrapStream(agentOf).Commit(adk.Says)), func(c *llmagent.Config) {
				c.GenerateContentConfig = &genai.GenerateContentConfig{Tools: []*genai.Tool{nil, tt.offers}}
			})
			var err error
			// One turn of the model is enough: the next one would say the same.
			for event, e := range s.Run(t.Context(), "user", "session", genai.NewContentFromText("Open it", genai.RoleUser), agent.RunConfig{StreamingMode: agent.StreamingModeSSE}) {
				if err = e; e != nil || event.Content != nil && event.Content.Role == genai.RoleUser { // the tool's answer
					break
				}
			}
			want := map[bool]int32{true: 1}[tt.want == ""]
			if opened.Load() != want {
				t.Errorf("the door was opened %d times, %v", opened.Load(), err)
			}
			if e, ok := errors.AsType[*strategies.AnswerError](err); ok != (tt.want != "" && tt.want != "-") || ok && e.Reason != tt.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Whose model has no chain of its own is judged by its events, before the framework
// runs what they call.
func TestAgentsDoNotActOnHalfAnAnswer(t *testing.T) {
	t.Parallel()
	half := candidate(callsDoor, "MAX_TOKENS")
	for form, mode := range forms {
		for _, tt := range []struct {
			it       string
			bard     []string
			accept   []genai.FinishReason
			runs     int32
			author   string
			requests [2]int
		}{
			{it: "asks the next", bard: []string{half}, author: "archivist", requests: [2]int{1, 1}},
			{it: "asks nobody after a tool has run, and runs no other", bard: []string{candidate(callsDoor, "STOP"), half}, runs: 1, requests: [2]int{2, 0}},
			{it: "runs it if told to", bard: []string{half}, accept: []genai.FinishReason{"MAX_TOKENS"}, runs: 1, author: "bard", requests: [2]int{2, 0}},
		} {
			t.Run("it "+tt.it+", "+form, func(t *testing.T) {
				var script []wire.Answer
				for _, body := range tt.bard {
					script = append(script, map[string]wire.Answer{"whole": wire.Body(body), "streamed": wire.Events(body)}[form])
				}
				server := play(t, answers{"bard": script})
				var opened atomic.Int32
				door, err := functiontool.New(functiontool.Config{Name: "open_door", Description: "Opens it."},
					func(agent.Context, map[string]any) (string, error) { opened.Add(1); return "open", nil })
				if err != nil {
					t.Fatal(err)
				}
				tools := func(c *llmagent.Config) { c.Tools = []tool.Tool{door} }
				bard, archivist := named(t, server.URL(), "bard", tools), named(t, server.URL(), "archivist", tools)
				g, err := middleware.WrapStream(adk.Agent(bard).Accept(tt.accept...)).Commit(adk.Acts).Fallback("archivist", adk.Agent(archivist)).Build()
				if err != nil {
					t.Fatal(err)
				}
				a, err := adk.NewAgent(agent.Config{Name: "narrator", SubAgents: []agent.Agent{bard, archivist}}, g)
				if err != nil {
					t.Fatal(err)
				}
				got := newStage(t, a).ask(t, mode)
				if n := [2]int{server.Requests("bard"), server.Requests("archivist")}; n != tt.requests || opened.Load() != tt.runs {
					t.Errorf("%v requests, %d runs", n, opened.Load())
				}
				if tt.author == "" {
					class(t, got.err, strategies.ClassCutOff)
				} else if got.err != nil || got.events[len(got.events)-1].Author != tt.author {
					t.Errorf("got %+v, %v", got.events, got.err)
				}
			})
		}
	}
	if adk.Agent(nil).Accept("x") != nil {
		t.Error("no agent accepts something")
	}
}

// What the connection does after the finish reason is nobody's concern.
func TestTheTerminalMarkerEndsAStream(t *testing.T) {
	t.Parallel()
	thought := candidate(`{"text":"Hm","thought":true}`, "")
	for _, tt := range []struct {
		it     string
		events []string
		says   string
		runs   int32
		want   string // the reason of the error
	}{
		{it: "takes the text before it", events: []string{wire.Candidate("A ", ""), wire.Candidate("stranger", "STOP")}, says: "A stranger"},
		{it: "takes thoughts and an image with it", events: []string{thought, candidate(`{"inlineData":{"mimeType":"image/png","data":"AA=="}}`, ""), wire.Candidate("A ", ""), wire.Candidate("stranger", "STOP")}, says: "A stranger"},
		{it: "takes the text before a marker of its own", events: []string{wire.Candidate("A ", ""), wire.Candidate("stranger", ""), wire.Candidate("", "STOP")}, says: "A stranger"},
		{it: "runs the call before it, once", events: []string{thought, candidate(callsDoor, "STOP")}, runs: 1},
		{it: "knows that it says no", events: []string{wire.Candidate("Hel", "MAX_TOKENS")}, want: "MAX_TOKENS"},
		{it: "knows that there was nothing before it", events: []string{thought, wire.Candidate("", "STOP")}, want: adk.Empty},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			server := play(t, answers{"narrator": {wire.Cut(tt.events...)}})
			s, opened := doorway(t, guard(t, google(t, server.URL(), "narrator"), func(b *chain) *chain { return b }))
			got := s.ask(t, agent.StreamingModeSSE)
			if tt.want != "" {
				if e, ok := errors.AsType[*strategies.AnswerError](got.err); !ok || e.Reason != tt.want {
					t.Errorf("got %q, %v", got.final, got.err)
				}
			} else if got.err != nil || opened.Load() != tt.runs || tt.says != "" && (strings.TrimPrefix(got.final, "Hm") != tt.says || strings.TrimPrefix(got.partial, "Hm") != tt.says) {
				t.Errorf("got %q, in pieces %q, %v; %d runs", got.final, got.partial, got.err, opened.Load())
			}
			if n := server.Total(); n != 1+int(tt.runs) {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// Thoughts and calls that were not finished commit nothing: another attempt may
// still be made, and nobody sees the first.
func TestWhatCommits(t *testing.T) {
	t.Parallel()
	thought := candidate(`{"text":"Hm","thought":true}`, "")
	for _, tt := range []struct {
		it       string
		answer   wire.Answer
		commit   func(*model.LLMResponse) bool
		requests int
		class    strategies.Class
	}{
		{it: "begins anew after thoughts", answer: wire.Cut(thought), commit: adk.Says, requests: 2},
		{it: "ends what began with thoughts for those who show them", answer: wire.Cut(thought), commit: adk.SaysThinking, requests: 1, class: strategies.ClassCutOff},
		{it: "begins anew after a call without an end", answer: wire.Cut(candidate(callsDoor, "")), commit: adk.Says, requests: 2},
		{it: "begins anew after a call whose finish reason was lost", answer: wire.Events(thought, candidate(callsDoor, "")), commit: adk.Says, requests: 2},
		{it: "ends what began with text", answer: wire.Cut(wire.Candidate("A ", "")), commit: adk.Says, requests: 1, class: strategies.ClassCutOff},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			server := play(t, answers{"narrator": {tt.answer}})
			first := google(t, server.URL(), "narrator")
			s, opened := doorway(t, modelOf(t, first, middleware.WrapStream(adk.LLM(first)).Commit(tt.commit).Retry(soon)))
			got := s.ask(t, agent.StreamingModeSSE)
			if n := server.Total(); n != tt.requests || opened.Load() != 0 {
				t.Errorf("%d requests, the door was opened %d times", n, opened.Load())
			}
			if tt.class != 0 {
				class(t, got.err, tt.class)
			} else if got.err != nil || got.final != "A stranger, says narrator" || got.partial != got.final {
				t.Errorf("got %q, in pieces %q, %v", got.final, got.partial, got.err)
			}
		})
	}
}

// The framework's own model of OpenAI says nothing of how a stream ended.
func TestOpenAI(t *testing.T) {
	t.Parallel()
	const (
		created  = `{"type":"response.created","response":{"id":"r","model":"gpt","status":"in_progress","output":[]}}`
		delta    = `{"type":"response.output_text.delta","item_id":"m","delta":"Hello"}`
		added    = `{"type":"response.output_item.added","item":{"type":"function_call","id":"f","call_id":"c","name":"open_door","arguments":""}}`
		args     = `{"type":"response.function_call_arguments.done","item_id":"f","arguments":"{}"}`
		cutArgs  = `{"type":"response.function_call_arguments.done","item_id":"f","arguments":"{\"door\":\"fr"}`
		complete = `{"type":"response.completed","response":{"id":"r","model":"gpt","status":"completed","output":[],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}`
		short    = `{"type":"response.incomplete","response":{"id":"r","model":"gpt","status":"incomplete","output":[],"incomplete_details":{"reason":"max_output_tokens"},"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}`
	)
	text := func(details string) string {
		return `{"id":"r","model":"gpt","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hello"}]}]` + details + `}`
	}
	calls := func(arguments, details string) string {
		return fmt.Sprintf(`{"id":"r","model":"gpt","output":[{"type":"function_call","id":"f","call_id":"c","name":"open_door","arguments":%q}]%s}`, arguments, details)
	}
	const limit, filter = `,"incomplete_details":{"reason":"max_output_tokens"}`, `,"incomplete_details":{"reason":"content_filter"}`
	for _, tt := range []struct {
		it     string
		body   string   // whole
		events []string // streamed
		want   string   // the reason of the error; "": it is an answer
		runs   int32
	}{
		{it: "takes text", body: text("")},
		{it: "takes a call", body: calls("{}", ""), runs: 1},
		{it: "knows a limit", body: text(limit), want: "MAX_TOKENS"},
		{it: "knows a limit at a call", body: calls("{}", limit), want: "MAX_TOKENS"},
		{it: "knows a filter", body: text(filter), want: "SAFETY"},
		{it: "knows cut arguments", body: calls(`{"door":"fr`, ""), want: adk.Arguments},
		{it: "knows an answer without anything", body: `{"id":"r","output":[]}`, want: adk.Empty},
		{it: "takes text", events: []string{created, delta, complete}},
		{it: "takes a call", events: []string{created, added, args, complete}, runs: 1},
		{it: "knows text that was cut", events: []string{created, delta}, want: adk.Unfinished},
		{it: "knows text cut by a limit", events: []string{created, delta, short}, want: adk.Unfinished},
		{it: "knows a call without an end", events: []string{created, added, args}, want: adk.Unfinished},
		{it: "knows a call at a limit", events: []string{created, added, args, short}, want: adk.Unfinished},
		{it: "knows cut arguments", events: []string{created, added, cutArgs, complete}, want: adk.Arguments},
		{it: "knows a stream without anything", events: []string{created, complete}, want: adk.Unfinished},
	} {
		mode, form := agent.StreamingModeNone, "whole"
		if tt.body == "" {
			mode, form = agent.StreamingModeSSE, "streamed"
		}
		t.Run("it "+tt.it+", "+form, func(t *testing.T) {
			var requests atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				body, events := tt.body, tt.events
				if requests.Add(1) > 1 { // after the call
					body, events = text(""), []string{created, delta, complete}
				}
				if mode == agent.StreamingModeNone {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(body))
					return
				}
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = w.Write([]byte("data: " + strings.Join(events, "\n\ndata: ") + "\n\n"))
			}))
			t.Cleanup(server.Close)
			llm, err := openaimodel.NewModel(t.Context(), "gpt", &openaimodel.ClientConfig{
				APIKey: "test", BaseURL: server.URL, Options: []option.RequestOption{option.WithMaxRetries(0)},
			})
			if err != nil {
				t.Fatal(err)
			}
			s, opened := doorway(t, guard(t, llm, func(b *chain) *chain { return b }))
			got := s.ask(t, mode)
			if int(requests.Load()) != 1+int(tt.runs) || opened.Load() != tt.runs {
				t.Errorf("%d requests, the door was opened %d times", requests.Load(), opened.Load())
			}
			if tt.want == "" {
				if got.err != nil || !strings.HasSuffix(got.final, "Hello") {
					t.Errorf("got %q, %v", got.final, got.err)
				}
			} else if e, ok := errors.AsType[*strategies.AnswerError](got.err); !ok || e.Reason != tt.want || got.final != "" {
				t.Errorf("got %q, %v", got.final, got.err)
			}
		})
	}
}

// Gemini by a proxy does not say that it is Gemini, and gives reasons as well.
func TestApigee(t *testing.T) {
	server := play(t, answers{"apigee/gemini/narrator": {wire.Events(wire.Candidate("Hel", ""))}})
	t.Setenv("GOOGLE_API_KEY", "test")
	llm, err := apigee.NewModel(t.Context(), "apigee/gemini/narrator", apigee.WithProxyURL(server.URL()))
	if err != nil {
		t.Fatal(err)
	}
	got := newStage(t, storyteller(t, guard(t, llm, func(b *chain) *chain { return b }))).ask(t, agent.StreamingModeSSE)
	if e, ok := errors.AsType[*strategies.AnswerError](got.err); !ok || e.Reason != adk.Unfinished || got.final != "" {
		t.Errorf("got %q, %v", got.final, got.err)
	}
}
