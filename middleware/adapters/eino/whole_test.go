package eino_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/compose"
	"github.com/cloudwego/eino/flow/agent/react"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/middleware/middlewaretest"
	"github.com/understudy-go/understudy/strategies"
)

// agents are those of eino's own that run tools, each asked once.
func agents() map[string]func(t *testing.T, m model.ToolCallingChatModel, settings func(*eino.Builder), accept ...string) (said string, runs int, err error) {
	own := func(streaming bool) func(*testing.T, model.ToolCallingChatModel, func(*eino.Builder), ...string) (string, int, error) {
		return func(t *testing.T, m model.ToolCallingChatModel, settings func(*eino.Builder), accept ...string) (string, int, error) {
			ran, door := doors(t, 0)["plain"]()
			h, err := eino.Handler(settings)
			if err != nil {
				t.Fatal(err)
			}
			r, err := runner(t.Context(), m, streaming, nil, []tool.BaseTool{door}, h.Accept(accept...))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := last(r.Query(t.Context(), "Open the door"))
			if err != nil {
				return "", ran.runs, err
			}
			return answer.Content, ran.runs, nil
		}
	}
	reacts := func(streaming bool) func(*testing.T, model.ToolCallingChatModel, func(*eino.Builder), ...string) (string, int, error) {
		return func(t *testing.T, m model.ToolCallingChatModel, settings func(*eino.Builder), accept ...string) (string, int, error) {
			ran, door := doors(t, 0)["plain"]()
			config := &react.AgentConfig{ToolCallingModel: wrapped(t, m, settings).Accept(accept...)}
			config.ToolsConfig = compose.ToolsNodeConfig{Tools: []tool.BaseTool{door}}
			a, err := react.NewAgent(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			if !streaming {
				answer, err := a.Generate(t.Context(), question)
				if err != nil {
					return "", ran.runs, err
				}
				return answer.Content, ran.runs, nil
			}
			reader, err := a.Stream(t.Context(), question)
			if err != nil {
				return "", ran.runs, err
			}
			said, err := drain(reader)
			return said, ran.runs, err
		}
	}
	return map[string]func(*testing.T, model.ToolCallingChatModel, func(*eino.Builder), ...string) (string, int, error){
		"an agent": own(false), "a streaming agent": own(true), "react": reacts(false), "react, streaming": reacts(true),
	}
}

func plain(*eino.Builder) {}

// choice is an answer that ends so, with a text or a call of the door.
func choice(finish, content, arguments string) string {
	calls := ""
	if arguments != "" {
		calls = fmt.Sprintf(`,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"open_door","arguments":%q}}]`, arguments)
	}
	return fmt.Sprintf(`{"index":0,"finish_reason":%q,"%%s":{"role":"assistant","content":%q%s}}`, finish, content, calls)
}

// Nothing is taken for whole that is not known to be, and nothing is done that an
// answer says which is none.
func TestFinishReasons(t *testing.T) {
	t.Parallel()
	wholes := []string{"stop", "tool_calls", "function_call", "end_turn", "stop_sequence", "tool_use", "STOP"}
	for _, reason := range append(wholes,
		"", "length", "content_filter", // OpenAI
		"max_tokens", "pause_turn", "refusal", "model_context_window_exceeded", // Claude
		"FINISH_REASON_UNSPECIFIED", "MAX_TOKENS", "SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
		"MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY", "UNEXPECTED_TOOL_CALL", // Gemini
		"load", "unload", // Ollama
		"insufficient_system_resource", "sensitive", "network_error", "error", "abort", // DeepSeek, GLM, gateways
		"budget", "paused", "the moon is full", // which nobody here knows
	) {
		whole := strategies.ClassOfFinish(reason) == strategies.ClassUnclassified
		word := reason
		if reason == "" || reason == "FINISH_REASON_UNSPECIFIED" {
			word = eino.Unfinished
		}
		for name, ask := range agents() {
			for says, answer := range map[string]string{"text": choice(reason, "Hello", ""), "a call": choice(reason, "", "{}")} {
				t.Run(fmt.Sprintf("%q, %s, %s", reason, says, name), func(t *testing.T) {
					server := serve(t, answer, saysHello)
					said, runs, err := ask(t, connectTo(t, server.URL, "gpt"), plain)
					if whole {
						want := map[string]int{"a call": 1}[says]
						if err != nil || said != "Hello" || runs != want || len(server.requests()) != 1+want {
							t.Errorf("got %q, %v; %d runs, %d requests", said, err, runs, len(server.requests()))
						}
						return
					}
					// A text without a reason has been read when its end is missed.
					late := strategies.Classify(err).Class == strategies.ClassCutOff && word == eino.Unfinished && says == "text"
					e, ok := errors.AsType[*strategies.AnswerError](err)
					if !ok || e.Provider != "eino" || e.Reason != word || e.RecoveryClass() != strategies.ClassOfFinish(reason) || !late && said != "" {
						t.Errorf("got %q, %v", said, err)
					}
					if runs != 0 || len(server.requests()) != 1 {
						t.Errorf("%d runs, %d requests", runs, len(server.requests()))
					}
				})
			}
		}
	}
	if n := len(wholes); n != 7 {
		t.Errorf("%d reasons are of whole answers", n)
	}
}

func TestCallsThatAreNone(t *testing.T) {
	t.Parallel()
	const twice = `{"index":0,"finish_reason":"tool_calls","%s":{"role":"assistant","content":"","tool_calls":[` +
		`{"index":0,"id":"call_1","function":{"name":"open_door","arguments":"{}"}},{"index":0,"id":"call_2","function":{"name":"open_door","arguments":"{}"}}]}}`
	other := strings.ReplaceAll(choice("tool_calls", "", "{}"), "open_door", "burn_down")
	for it, tt := range map[string]struct {
		answer string
		accept []string
		runs   int
		want   string // the reason of the error
		fails  bool   // by the framework
	}{
		"runs one that is whole":                            {answer: choice("tool_calls", "", `{"door":"front"}`), runs: 1},
		"runs one of a text beside it":                      {answer: choice("tool_calls", "I open it.", `{}`), runs: 1},
		"knows cut arguments":                               {answer: choice("tool_calls", "", `{"door":"fr`), want: eino.Arguments},
		"knows arguments that are no object":                {answer: choice("stop", "", `"front"`), want: eino.Arguments},
		"knows one that was not offered":                    {answer: other, want: eino.UnknownTool},
		"knows pieces of two in one":                        {answer: twice, want: eino.Arguments},
		"names a reason as far as one can be":               {answer: choice(strings.Repeat("moon", 100), "Hello", ""), want: strings.Repeat("moon", 16)},
		"accepts what was not offered, if told to":          {answer: other, accept: []string{eino.UnknownTool}, fails: true},
		"accepts text cut short":                            {answer: choice("length", "Hello", ""), accept: []string{"Length"}},
		"accepts a call before the limit, if it is whole":   {answer: choice("length", "", `{"door":"front"}`), accept: []string{"length"}, runs: 1},
		"accepts none that was cut by the limit":            {answer: choice("length", "", `{"door":"fr`), accept: []string{"length"}, want: eino.Arguments},
		"accepts none that was cut before its first letter": {answer: choice("length", "", ` `), accept: []string{"length"}, want: eino.Arguments},
		"accepts a reason nobody knows":                     {answer: choice("the moon is full", "Hello", ""), accept: []string{"the moon is full"}},
		"accepts no reason":                                 {answer: choice("", "Hello", ""), accept: []string{eino.Unfinished}},
	} {
		for name, ask := range agents() {
			t.Run("it "+it+", "+name, func(t *testing.T) {
				server := serve(t, tt.answer, saysHello)
				said, runs, err := ask(t, connectTo(t, server.URL, "gpt"), plain, tt.accept...)
				e, refused := errors.AsType[*strategies.AnswerError](err)
				if runs != tt.runs || refused != (tt.want != "") || refused && e.Reason != tt.want {
					t.Errorf("got %q, %v; %d runs", said, err, runs)
				}
				// React takes a text for the answer, and looks no further; see
				// StreamToolCallChecker.
				if !refused && !tt.fails && (err != nil || said != "Hello") && !strings.HasPrefix(said, "I open it.") {
					t.Errorf("got %q, %v", said, err)
				}
			})
		}
	}
}

// streams starts a provider that streams these choices, and tears the connection
// or ends well; then it says hello.
func streams(t *testing.T, torn bool, choices ...string) (url string, requests *atomic.Int32) {
	t.Helper()
	requests = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		all, torn := choices, torn
		if requests.Add(1) > 1 {
			all, torn = []string{saysHello}, false
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, c := range all {
			if c == done {
				fmt.Fprint(w, "data: [DONE]\n\n")
				continue
			}
			fmt.Fprintf(w, "data: {\"id\":\"1\",\"choices\":[%s]}\n\n", fmt.Sprintf(c, "delta"))
		}
		_ = http.NewResponseController(w).Flush()
		if torn {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

// done is the marker of OpenAI's protocol, where something comes after it.
const done = "[DONE]"

func delta(content string) string {
	return fmt.Sprintf(`{"index":0,"%%s":{"role":"assistant","content":%q}}`, content)
}

func thought(content string) string {
	return fmt.Sprintf(`{"index":0,"%%s":{"role":"assistant","content":"","reasoning_content":%q}}`, content)
}

// fragment is a piece of a call of the door; name is in the first.
func fragment(name, arguments string) string {
	return fmt.Sprintf(`{"index":0,"%%s":{"role":"assistant","tool_calls":[{"index":0,"function":{"name":%q,"arguments":%q}}]}}`, name, arguments)
}

func TestStreamsOfAgents(t *testing.T) {
	t.Parallel()
	thinking := func(b *eino.Builder) { b.Retry(soon).Commit(eino.SaysThinking) }
	retry := func(b *eino.Builder) { b.Retry(soon) }
	buffer := func(b *eino.Builder) { b.Buffer(100).Retry(soon) }
	const finish = `{"index":0,"finish_reason":"tool_calls","%s":{}}`
	for it, tt := range map[string]struct {
		torn     bool
		choices  []string
		settings func(*eino.Builder)
		said     string
		runs     int
		requests int
		class    strategies.Class
	}{
		"delivers a call in pieces":                         {false, []string{fragment("open_door", ""), fragment("", `{"door":`), fragment("", `"front"}`), finish}, retry, "Hello", 1, 2, 0},
		"delivers one behind thoughts":                      {false, []string{thought("Hm"), fragment("open_door", "{}"), finish}, thinking, "Hello", 1, 2, 0},
		"delivers one from a buffer":                        {false, []string{fragment("open_door", "{}"), finish}, buffer, "Hello", 1, 2, 0},
		"begins anew after a call that was torn":            {true, []string{fragment("open_door", ""), fragment("", `{"door":`)}, retry, "Hello", 0, 2, 0},
		"begins anew after a whole call that was torn":      {true, []string{fragment("open_door", "{}")}, retry, "Hello", 0, 2, 0},
		"begins anew after a call without an end":           {false, []string{fragment("open_door", "{}")}, retry, "Hello", 0, 2, 0},
		"begins anew after a call with cut arguments":       {false, []string{fragment("open_door", `{"door":`), finish}, retry, "Hello", 0, 2, 0},
		"begins anew after thoughts":                        {true, []string{thought("Hm")}, retry, "Hello", 0, 2, 0},
		"begins anew after thoughts alone":                  {false, []string{thought("Hm"), choice("stop", "", "")}, retry, "Hello", 0, 2, 0},
		"ends what began with thoughts that are shown":      {true, []string{thought("Hm")}, thinking, "", 0, 1, strategies.ClassCutOff},
		"ends what began with text":                         {true, []string{delta("A ")}, retry, "A ", 0, 1, strategies.ClassCutOff},
		"ends text whose call was cut":                      {false, []string{delta("A "), fragment("open_door", `{"door":`), finish}, retry, "A ", 0, 1, strategies.ClassCutOff},
		"takes the end, whatever the connection does then":  {true, []string{delta("A "), choice("stop", "stranger", "")}, retry, "A stranger", 0, 1, 0},
		"takes a marker, whatever the connection does then": {true, []string{delta("A "), choice("stop", "", ""), done}, retry, "A ", 0, 1, 0},
		"runs a call before it":                             {true, []string{fragment("open_door", "{}"), finish, done}, retry, "Hello", 1, 2, 0},
		"runs a call, whatever the connection does then":    {true, []string{choice("tool_calls", "", "{}")}, retry, "Hello", 1, 2, 0},
		"knows a limit, whatever the connection does then":  {true, []string{choice("length", "A", "")}, plain, "", 0, 1, strategies.ClassInvalidAnswer},
		"knows a limit at the very end of a text":           {false, []string{delta("A "), choice("length", "", "")}, retry, "A ", 0, 1, strategies.ClassCutOff},
		"knows a call at a limit, and does not run it":      {false, []string{fragment("open_door", "{}"), choice("length", "", "")}, plain, "", 0, 1, strategies.ClassInvalidAnswer},
		"knows a call that a filter stopped":                {false, []string{fragment("open_door", "{}"), choice("content_filter", "", "")}, retry, "", 0, 1, strategies.ClassBlocked},
	} {
		for name, ask := range agents() {
			if !strings.Contains(name, "streaming") {
				continue
			}
			t.Run("it "+it+", "+name, func(t *testing.T) {
				url, requests := streams(t, tt.torn, tt.choices...)
				said, runs, err := ask(t, connectTo(t, url, "gpt"), tt.settings)
				if runs != tt.runs || int(requests.Load()) != tt.requests {
					t.Errorf("%d runs, %d requests", runs, requests.Load())
				}
				if tt.class == 0 && (err != nil || said != tt.said) || tt.class != 0 && strategies.Classify(err).Class != tt.class {
					t.Errorf("got %q, %v", said, err)
				}
				if name == "react, streaming" && said != tt.said {
					t.Errorf("the reader got %q, want %q", said, tt.said)
				}
			})
		}
	}
}

// A model by hand need not say why it ended. One that says anything has to, unless
// it is told otherwise.
func TestModelsThatGiveNoReasons(t *testing.T) {
	t.Parallel()
	index := 0
	call := schema.AssistantMessage("", []schema.ToolCall{{ID: "1", Index: &index, Function: schema.FunctionCall{Name: "open_door", Arguments: "{}"}}})
	used := schema.AssistantMessage("Hello", nil)
	used.ResponseMeta = &schema.ResponseMeta{Usage: &schema.TokenUsage{TotalTokens: 2}}
	for it, tt := range map[string]struct {
		says   []*schema.Message
		accept string
		want   string
	}{
		"takes text":                         {[]*schema.Message{schema.AssistantMessage("Hel", nil), schema.AssistantMessage("lo", nil)}, "", ""},
		"takes a call":                       {[]*schema.Message{call}, "", ""},
		"misses the reason of one that owes": {[]*schema.Message{used}, "", eino.Unfinished},
		"does without, if told to":           {[]*schema.Message{used}, eino.Unfinished, ""},
		"takes reasoning alone for empty":    {[]*schema.Message{{Role: schema.Assistant, ReasoningContent: "Hm"}}, "", eino.Empty},
		"gives it on, if told to":            {[]*schema.Message{{Role: schema.Assistant, ReasoningContent: "Hm"}}, eino.Empty, ""},
	} {
		t.Run("it "+it, func(t *testing.T) {
			_, errs := asks(t, wrapped(t, &scripted{says: tt.says}, plain).Accept(tt.accept))
			for _, err := range errs {
				if e, ok := errors.AsType[*strategies.AnswerError](err); ok != (tt.want != "") || ok && e.Reason != tt.want || !ok && err != nil {
					t.Errorf("got %v", err)
				}
			}
			standIn := func(b *eino.Builder) { b.Fallback("other", eino.StandIn(&scripted{says: tt.says}, tt.accept)) }
			_, errs = asks(t, wrapped(t, &scripted{err: errors.New("down"), atOnce: true}, standIn))
			if (errs[0] != nil) != (tt.want != "") || (errs[1] != nil) != (tt.want != "") {
				t.Errorf("as a stand-in: %v", errs)
			}
		})
	}
	t.Run("it reads arguments up to a bound, and runs nothing beyond", func(t *testing.T) {
		index := 0
		piece := func(arguments string) *schema.Message {
			return schema.AssistantMessage("", []schema.ToolCall{{ID: "1", Index: &index, Function: schema.FunctionCall{Name: "open_door", Arguments: arguments}}})
		}
		long := piece(strings.Repeat(" ", 1<<20))
		for it, says := range map[string][]*schema.Message{
			"long": {piece("{"), long, long, long, long, long, long, long, long, piece("}")},
			"many": append([]*schema.Message{piece("{}")}, slices.Repeat([]*schema.Message{piece(" ")}, 1<<16)...),
		} {
			_, errs := asks(t, wrapped(t, &scripted{says: says}, func(b *eino.Builder) { b.Buffer(1 << 17) }))
			if e, ok := errors.AsType[*strategies.AnswerError](errs[1]); !ok || e.Reason != eino.Arguments {
				t.Errorf("%s, streamed: got %v", it, errs[1])
			}
		}
	})
	t.Run("it waits for the text where every piece has a reason", func(t *testing.T) {
		stops := &schema.ResponseMeta{FinishReason: "STOP"}
		m := &scripted{says: []*schema.Message{
			{Role: schema.Assistant, ReasoningContent: "Hm", ResponseMeta: stops}, {Role: schema.Assistant, Content: "Hello", ResponseMeta: stops},
		}}
		if answers, errs := asks(t, wrapped(t, m, plain)); errs != [2]error{} || answers != [2]string{"Hello", "Hello"} {
			t.Errorf("got %q, %v", answers, errs)
		}
	})
	t.Run("it takes what comes after the end for nothing", func(t *testing.T) {
		done := schema.AssistantMessage("Hello", nil)
		done.ResponseMeta = &schema.ResponseMeta{FinishReason: "stop"}
		m := &scripted{says: []*schema.Message{done}, err: errors.New("reset")}
		reader, err := wrapped(t, m, plain).Stream(t.Context(), question)
		if err != nil {
			t.Fatal(err)
		}
		if said, err := drain(reader); err != nil || said != "Hello" || m.calls != 1 {
			t.Errorf("got %q, %v, %d calls", said, err, m.calls)
		}
	})
	t.Run("eino's own retry repeats what is no whole answer, and takes none in the end", func(t *testing.T) {
		ran, door := doors(t, 0)["plain"]()
		server := serve(t, choice("length", "", "{}"))
		r, err := runner(t.Context(), connectTo(t, server.URL, "gpt"), false, config(t, soon), []tool.BaseTool{door})
		if err != nil {
			t.Fatal(err)
		}
		_, err = last(r.Query(t.Context(), "Open the door"))
		if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Reason != "length" || ran.runs != 0 {
			t.Errorf("got %v; %d runs", err, ran.runs)
		}
		conformance.Requests(t, "gpt", len(server.requests()), 3)
	})
}

// A chain has to be built anew to know whether its settings commit: nobody may hear
// of a breaker twice for that.
func TestWhatIsBuiltTwiceIsToldOnce(t *testing.T) {
	t.Parallel()
	seen := &middlewaretest.Recorder{}
	breaker := &strategies.Breaker{Failures: 1}
	g := wrapped(t, &scripted{err: errors.New("down"), atOnce: true}, func(b *eino.Builder) { b.CircuitBreaker(breaker).Observe(seen) })
	if _, err := g.Generate(t.Context(), question); err == nil {
		t.Error("no error")
	}
	changes := 0
	for _, e := range seen.Events() {
		if e.Kind == middleware.EventBreakerChanged {
			changes++
		}
	}
	if changes != 1 || breaker.State() != strategies.StateOpen {
		t.Errorf("%d changes were told of, the breaker is %v", changes, breaker.State())
	}
}

func TestSays(t *testing.T) {
	t.Parallel()
	ended := &schema.Message{ResponseMeta: &schema.ResponseMeta{FinishReason: "tool_calls"}}
	for it, tt := range map[string]struct {
		m              *schema.Message
		says, thinking bool
	}{
		"nothing":      {nil, false, false},
		"an empty one": {&schema.Message{}, false, false},
		"text":         {schema.AssistantMessage("H", nil), true, true},
		"reasoning":    {&schema.Message{ReasoningContent: "Hm"}, false, true},
		"a thought as a part": {&schema.Message{AssistantGenMultiContent: []schema.MessageOutputPart{{
			Type: schema.ChatMessagePartTypeReasoning, Reasoning: &schema.MessageOutputReasoning{Text: "Hm"}}}}, false, true},
		"an image": {&schema.Message{AssistantGenMultiContent: []schema.MessageOutputPart{{Type: schema.ChatMessagePartTypeImageURL}}}, true, true},
		"a call":   {schema.AssistantMessage("", []schema.ToolCall{{}}), false, false},
		"the end":  {ended, true, true},
	} {
		if got, thinking := eino.Says(tt.m), eino.SaysThinking(tt.m); got != tt.says || thinking != tt.thinking {
			t.Errorf("%s says something: %v, with reasoning %v", it, got, thinking)
		}
	}
}
