package genkit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/firebase/genkit/go/ai"
	sdk "github.com/firebase/genkit/go/genkit"
	"github.com/firebase/genkit/go/plugins/googlegenai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
	"github.com/understudy-go/understudy/strategies"
)

// doorway is a tool that counts its calls, and one that no call of a model offers.
func doorway(t *testing.T, g *sdk.Genkit) (door ai.Tool, opened, burnt *atomic.Int32) {
	t.Helper()
	opened, burnt = new(atomic.Int32), new(atomic.Int32)
	door = sdk.DefineTool(g, "open_door", "opens a door", func(*ai.ToolContext, map[string]any) (string, error) {
		opened.Add(1)
		return "open", nil
	})
	sdk.DefineTool(g, "burn_down", "burns it down", func(*ai.ToolContext, map[string]any) (string, error) {
		burnt.Add(1)
		return "ashes", nil
	})
	return door, opened, burnt
}

// ways are those in which a model is asked: by a chain of its own, by one for
// streams, and by that with a listener. heard is what the listener heard.
func ways(heard *string) map[string]func(t *testing.T, agent *genkit.ModelAgent) []ai.GenerateOption {
	listen := ai.WithStreaming(func(_ context.Context, chunk *ai.ModelResponseChunk) error {
		if chunk.Role != ai.RoleTool {
			*heard += chunk.Text()
		}
		return nil
	})
	return map[string]func(*testing.T, *genkit.ModelAgent) []ai.GenerateOption{
		"whole": func(t *testing.T, agent *genkit.ModelAgent) []ai.GenerateOption {
			return []ai.GenerateOption{ai.WithUse(whole(t, middleware.Wrap(agent)))}
		},
		"a stream": func(t *testing.T, agent *genkit.ModelAgent) []ai.GenerateOption {
			return []ai.GenerateOption{ai.WithUse(stream(t, middleware.WrapStream(agent)))}
		},
		"a stream that is heard": func(t *testing.T, agent *genkit.ModelAgent) []ai.GenerateOption {
			return []ai.GenerateOption{ai.WithUse(stream(t, middleware.WrapStream(agent))), listen}
		},
	}
}

// chat answers as a server of OpenAI's protocol does, whole or streamed.
func chat(finish, content, arguments string) http.HandlerFunc {
	message := map[string]any{"role": "assistant", "content": content}
	if arguments != "" {
		message["tool_calls"] = []any{map[string]any{"index": 0, "id": "call_1", "type": "function", "function": map[string]any{"name": "open_door", "arguments": arguments}}}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		choice := map[string]any{"index": 0, "finish_reason": finish}
		if finish == "" {
			choice["finish_reason"] = nil
		}
		streaming := r.Header.Get("X-Streams") != ""
		if streaming {
			choice["delta"] = message
		} else {
			choice["message"] = message
		}
		body, _ := json.Marshal(map[string]any{"choices": []any{choice}})
		if streaming {
			streams(string(body), "[DONE]")(w, r)
			return
		}
		says(200, string(body))(w, r)
	}
}

// google answers as Gemini does.
func google(finish, part string) http.HandlerFunc {
	if finish != "" {
		finish = `"finishReason":"` + finish + `",`
	}
	body := `{"candidates":[{` + finish + `"content":{"role":"model","parts":[` + part + `]}}]}`
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "stream") {
			streams(body)(w, r)
			return
		}
		says(200, body)(w, r)
	}
}

// Nothing is taken for whole that is not known to be, and nothing is done that an
// answer says which is none. The words are those of the providers, which genkit's
// plugins read, and genkit's own.
func TestFinishReasons(t *testing.T) {
	t.Parallel()
	type row struct {
		word   string
		reason string // genkit's, of the error; "": it is whole
	}
	for provider, rows := range map[string][]row{
		"compat_oai": {
			{"stop", ""}, {"tool_calls", ""}, {"end_turn", ""},
			{"length", "length"}, {"model_context_window_exceeded", "length"}, {"content_filter", "blocked"}, {"sensitive", "blocked"},
			{"error", "other"}, {"function_call", "other"}, {"network_error", "other"}, {"insufficient_system_resource", "other"},
			{"", "unknown"}, {"pause_turn", "unknown"}, {"budget", "unknown"}, {"the moon is full", "unknown"},
		},
		"googlegenai": {
			{"STOP", ""},
			{"", genkit.Unfinished}, {"FINISH_REASON_UNSPECIFIED", genkit.Unfinished}, {"MAX_TOKENS", "length"},
			{"SAFETY", "blocked"}, {"RECITATION", "blocked"}, {"LANGUAGE", "blocked"}, {"BLOCKLIST", "blocked"}, {"PROHIBITED_CONTENT", "blocked"},
			{"SPII", "blocked"}, {"IMAGE_SAFETY", "blocked"}, {"IMAGE_PROHIBITED_CONTENT", "blocked"}, {"IMAGE_RECITATION", "blocked"},
			{"MALFORMED_FUNCTION_CALL", "other"}, {"UNEXPECTED_TOOL_CALL", "other"}, {"NO_IMAGE", "other"}, {"IMAGE_OTHER", "other"}, {"OTHER", "other"},
			{"MISSING_THOUGHT_SIGNATURE", "other"}, {"TOO_MANY_TOOL_CALLS", "unknown"}, {"CONTINUATION", "unknown"}, {"THE_MOON_IS_FULL", "unknown"},
		},
		"a model by hand": {
			{"stop", ""}, {"", ""}, {"tool_calls", ""},
			{"length", "length"}, {"blocked", "blocked"}, {"aborted", "aborted"}, {"interrupted", "interrupted"}, {"other", "other"}, {"unknown", "unknown"},
			{"content_filter", "content_filter"}, {"paused", "paused"}, {"budget", "budget"}, {"the moon is full", "the moon is full"},
		},
	} {
		for _, tt := range rows {
			for _, saying := range []string{"text", "a call"} {
				var heard string
				for way, options := range ways(&heard) {
					t.Run(fmt.Sprintf("%s, %q, %s, %s", provider, tt.word, saying, way), func(t *testing.T) {
						heard = ""
						var g *sdk.Genkit
						var model ai.GenerateOption
						var requests func() int
						switch provider {
						case "compat_oai":
							server := serve(t, headed(way, map[string]http.HandlerFunc{"text": chat(tt.word, "Hello", ""), "a call": chat(tt.word, "", "{}")}[saying]), headed(way, chat("stop", "Hello", "")))
							g, model = connect(t, server.URL), ai.WithModelName("house/narrator")
							requests = func() int { return int(server.requests.Load()) }
						case "googlegenai":
							part := map[string]string{"text": `{"text":"Hello"}`, "a call": `{"functionCall":{"name":"open_door","args":{}}}`}[saying]
							server := serve(t, google(tt.word, part), google("STOP", `{"text":"Hello"}`))
							g = sdk.Init(t.Context(), sdk.WithPlugins(&googlegenai.GoogleAI{APIKey: "test", BaseURL: server.URL, HTTPClient: server.Client()}))
							model = ai.WithModelName("googleai/gemini-2.5-flash")
							requests = func() int { return int(server.requests.Load()) }
						default:
							asked := 0
							g, model = modeled(t, func(n int, _ *ai.ModelRequest, say func(string)) (*ai.ModelResponse, error) {
								if asked = n; saying == "a call" && n == 1 {
									return &ai.ModelResponse{FinishReason: ai.FinishReason(tt.word), Message: ai.NewModelMessage(ai.NewToolRequestPart(&ai.ToolRequest{Name: "open_door", Input: map[string]any{}}))}, nil
								}
								say("Hello")
								return &ai.ModelResponse{FinishReason: ai.FinishReason(tt.word), Message: ai.NewModelTextMessage("Hello")}, nil
							})
							requests = func() int { return asked }
						}
						door, opened, _ := doorway(t, g)
						resp, err := ask(t, g, append(options(t, genkit.Next()), model, ai.WithTools(door))...)
						if tt.reason == "" {
							runs := map[string]int32{"a call": 1}[saying]
							if err != nil || resp.Text() != "Hello" || opened.Load() != runs || requests() != 1+int(runs) {
								t.Errorf("got %v, %v; %d runs, %d requests", resp, err, opened.Load(), requests())
							}
							if way == "a stream that is heard" && heard != "Hello" {
								t.Errorf("the listener heard %q", heard)
							}
							return
						}
						e, ok := errors.AsType[*strategies.AnswerError](err)
						if !ok || e.Provider != "genkit" || e.Reason != tt.reason || e.RecoveryClass() != strategies.ClassOfFinish(tt.reason) {
							t.Errorf("got %v, %v", resp, err)
						}
						if opened.Load() != 0 || requests() != 1 {
							t.Errorf("%d runs, %d requests", opened.Load(), requests())
						}
					})
				}
			}
		}
	}
}

// headed tells a handler whether the request streams, which is in its body alone.
func headed(way string, answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if way == "a stream that is heard" {
			r.Header.Set("X-Streams", "yes")
		}
		answer(w, r)
	}
}

func TestCallsThatAreNone(t *testing.T) {
	t.Parallel()
	call := func(name string, input any) *ai.Part {
		return ai.NewToolRequestPart(&ai.ToolRequest{Name: name, Input: input})
	}
	whole := map[string]any{"door": "front"}
	partial := call("open_door", whole)
	partial.ToolRequest.Partial = true
	asks := call("open_door", whole)
	asks.Metadata = map[string]any{"interrupt": true}
	for it, tt := range map[string]struct {
		finish ai.FinishReason
		parts  []*ai.Part
		accept []ai.FinishReason
		runs   int32
		want   string // the reason of the error
	}{
		"runs one with an object":               {"stop", []*ai.Part{call("open_door", whole)}, nil, 1, ""},
		"runs one with an empty object":         {"stop", []*ai.Part{call("open_door", map[string]any{})}, nil, 1, ""},
		"runs one with raw JSON":                {"stop", []*ai.Part{call("open_door", json.RawMessage(`{"door":"front"}`))}, nil, 1, ""},
		"knows a text that was cut":             {"stop", []*ai.Part{call("open_door", `{"door":"fr`)}, nil, 0, genkit.Arguments},
		"knows what is no object":               {"stop", []*ai.Part{call("open_door", 7)}, nil, 0, genkit.Arguments},
		"knows a piece of one":                  {"stop", []*ai.Part{partial}, nil, 0, genkit.Arguments},
		"knows a good one beside a bad one":     {"stop", []*ai.Part{call("open_door", whole), call("open_door", "{")}, nil, 0, genkit.Arguments},
		"knows one that was not offered":        {"stop", []*ai.Part{call("burn_down", whole)}, nil, 0, genkit.UnknownTool},
		"knows one that nobody has":             {"stop", []*ai.Part{call("fly", whole)}, nil, 0, genkit.UnknownTool},
		"accepts text cut short":                {"length", []*ai.Part{ai.NewTextPart("Hel")}, []ai.FinishReason{"LENGTH"}, 0, ""},
		"accepts a whole call in it":            {"length", []*ai.Part{ai.NewTextPart("Hel"), call("open_door", whole)}, []ai.FinishReason{"length"}, 1, ""},
		"accepts none that lost its input":      {"length", []*ai.Part{ai.NewTextPart("Hel"), call("open_door", map[string]any{})}, []ai.FinishReason{"length"}, 0, genkit.Arguments},
		"accepts none that never had one":       {"length", []*ai.Part{ai.NewTextPart("Hel"), call("open_door", nil)}, []ai.FinishReason{"length"}, 0, genkit.Arguments},
		"accepts none whose input was cut":      {"length", []*ai.Part{call("open_door", `{"door":"fr`)}, []ai.FinishReason{"length"}, 0, genkit.Arguments},
		"accepts both":                          {"length", []*ai.Part{call("open_door", map[string]any{})}, []ai.FinishReason{"length", genkit.Arguments}, 1, ""},
		"accepts a reason nobody knows":         {"moon", []*ai.Part{ai.NewTextPart("Hel")}, []ai.FinishReason{"moon"}, 0, ""},
		"takes reasoning alone for empty":       {"stop", []*ai.Part{ai.NewReasoningPart("Hm", nil)}, nil, 0, genkit.Empty},
		"accepts that":                          {"stop", []*ai.Part{ai.NewReasoningPart("Hm", nil)}, []ai.FinishReason{genkit.Empty}, 0, ""},
		"takes an interrupt without a question": {"interrupted", []*ai.Part{ai.NewTextPart("May I?")}, nil, 0, "interrupted"},
		"takes one with a question, too":        {"interrupted", []*ai.Part{asks}, nil, 0, "interrupted"},
		"takes media for an answer":             {"stop", []*ai.Part{ai.NewMediaPart("image/png", "data:,")}, nil, 0, ""},
	} {
		var heard string
		for way, options := range ways(&heard) {
			t.Run("it "+it+", "+way, func(t *testing.T) {
				g, model := modeled(t, func(n int, _ *ai.ModelRequest, _ func(string)) (*ai.ModelResponse, error) {
					if n > 1 {
						return &ai.ModelResponse{FinishReason: "stop", Message: ai.NewModelTextMessage("Hello")}, nil
					}
					return &ai.ModelResponse{FinishReason: tt.finish, Message: ai.NewModelMessage(tt.parts...)}, nil
				})
				door, opened, burnt := doorway(t, g)
				_, err := ask(t, g, append(options(t, genkit.Next().Accept(tt.accept...)), model, ai.WithTools(door))...)
				e, refused := errors.AsType[*strategies.AnswerError](err)
				if opened.Load() != tt.runs || burnt.Load() != 0 || refused != (tt.want != "") || refused && e.Reason != tt.want || !refused && err != nil {
					t.Errorf("got %v; %d runs", err, opened.Load()+burnt.Load())
				}
			})
		}
	}
	t.Run("it takes what genkit refuses of a model for no answer", func(t *testing.T) {
		g, model := modeled(t, func(int, *ai.ModelRequest, func(string)) (*ai.ModelResponse, error) {
			return &ai.ModelResponse{Message: ai.NewModelMessage(call("open_door", json.RawMessage(`{"door":"fr`)))}, nil
		})
		door, opened, _ := doorway(t, g)
		_, err := ask(t, g, model, ai.WithTools(door), ai.WithUse(stream(t, middleware.WrapStream(genkit.Next()))))
		if class(t, err, strategies.ClassInvalidAnswer); opened.Load() != 0 {
			t.Errorf("%d runs", opened.Load())
		}
	})
	t.Run("it says of arguments that cannot be read what they are, and not what they say", func(t *testing.T) {
		var heard string
		for way, options := range ways(&heard) {
			g := connect(t, serve(t, headed(way, chat("tool_calls", "", `{"door":"the back door`))).URL)
			door, opened, _ := doorway(t, g)
			_, err := ask(t, g, append(options(t, genkit.Next()), ai.WithTools(door))...)
			if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Reason != genkit.Arguments || opened.Load() != 0 || strings.Contains(err.Error(), "back door") {
				t.Errorf("%s: got %v; %d runs", way, err, opened.Load())
			}
		}
	})
	t.Run("it lets a tool take what its schema says", func(t *testing.T) {
		g, model := modeled(t, func(n int, _ *ai.ModelRequest, _ func(string)) (*ai.ModelResponse, error) {
			if n > 1 {
				return &ai.ModelResponse{Message: ai.NewModelTextMessage("Hello")}, nil
			}
			return &ai.ModelResponse{Message: ai.NewModelMessage(call("knock", "twice"))}, nil
		})
		var heard string
		knock := sdk.DefineTool(g, "knock", "knocks", func(_ *ai.ToolContext, how string) (string, error) { heard = how; return "come in", nil })
		if _, err := ask(t, g, model, ai.WithTools(knock), ai.WithUse(retrying(t))); err != nil || heard != "twice" {
			t.Errorf("got %v, the tool heard %q", err, heard)
		}
	})
}

// A stream that only calls tools can be begun anew until it is whole.
func TestStreamsOfAgents(t *testing.T) {
	t.Parallel()
	delta := func(content string) string {
		return fmt.Sprintf(`{"choices":[{"index":0,"delta":{"content":%q}}]}`, content)
	}
	thought := func(content string) string {
		return fmt.Sprintf(`{"choices":[{"index":0,"delta":{"reasoning_content":%q}}]}`, content)
	}
	fragment := func(name, arguments string) string {
		id := ""
		if name != "" {
			id = `"id":"call_1",`
		}
		return fmt.Sprintf(`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,%s"function":{"name":%q,"arguments":%q}}]}}]}`, id, name, arguments)
	}
	finish := func(reason string) string {
		return fmt.Sprintf(`{"choices":[{"index":0,"delta":{},"finish_reason":%q}]}`, reason)
	}
	const done = "[DONE]"
	for it, tt := range map[string]struct {
		torn     bool
		events   []string
		commit   func(genkit.Chunk) bool
		heard    string
		runs     int32
		requests int
		class    strategies.Class
	}{
		"delivers a call in pieces":                    {false, []string{fragment("open_door", ""), fragment("", `{"door":`), fragment("", `"front"}`), finish("tool_calls"), done}, genkit.Says, "Hello", 1, 2, 0},
		"delivers one behind thoughts":                 {false, []string{thought("Hm"), fragment("open_door", "{}"), finish("tool_calls"), done}, genkit.SaysThinking, "Hello", 1, 2, 0},
		"begins anew after a call that was torn":       {true, []string{fragment("open_door", `{"door":`)}, genkit.Says, "Hello", 0, 2, 0},
		"begins anew after a whole call that was torn": {true, []string{fragment("open_door", `{}`)}, genkit.Says, "Hello", 0, 2, 0},
		"begins anew after a call without an end":      {false, []string{fragment("open_door", `{}`)}, genkit.Says, "Hello", 0, 2, 0},
		"begins anew after cut arguments":              {false, []string{fragment("open_door", `{"door":`), finish("tool_calls"), done}, genkit.Says, "Hello", 0, 2, 0},
		"begins anew after thoughts":                   {true, []string{thought("Hm")}, genkit.Says, "Hello", 0, 2, 0},
		"begins anew after thoughts alone":             {false, []string{thought("Hm"), finish("stop"), done}, genkit.Says, "Hello", 0, 2, 0},
		"ends what began with thoughts that are shown": {true, []string{thought("Hm")}, genkit.SaysThinking, "", 0, 1, strategies.ClassCutOff},
		"ends what began with text":                    {true, []string{delta("A ")}, genkit.Says, "A ", 0, 1, strategies.ClassCutOff},
		"ends text whose call was cut":                 {false, []string{delta("A "), fragment("open_door", `{"door":`), finish("tool_calls"), done}, genkit.Says, "A ", 0, 1, strategies.ClassCutOff},
		"ends text without an end":                     {false, []string{delta("A ")}, genkit.Says, "A ", 0, 1, strategies.ClassCutOff},
		"takes the end, whatever comes before [DONE]":  {true, []string{delta("A "), delta("stranger"), finish("stop")}, genkit.Says, "A stranger", 0, 1, 0},
		"runs a call, whatever comes before [DONE]":    {true, []string{fragment("open_door", "{}"), finish("tool_calls")}, genkit.Says, "Hello", 1, 2, 0},
		"takes the end, whatever comes after it":       {true, []string{delta("A "), delta("stranger"), finish("stop"), done}, genkit.Says, "A stranger", 0, 1, 0},
		"runs a call, whatever comes after it":         {true, []string{fragment("open_door", "{}"), finish("tool_calls"), done}, genkit.Says, "Hello", 1, 2, 0},
		"knows a call at a limit":                      {false, []string{fragment("open_door", "{}"), finish("length"), done}, genkit.Says, "Hello", 0, 2, 0},
		"knows a call that a filter stopped":           {false, []string{fragment("open_door", "{}"), finish("content_filter"), done}, genkit.Says, "", 0, 1, strategies.ClassBlocked},
	} {
		t.Run("it "+it, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				streams(tt.events...)(w, r)
				if tt.torn {
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
			}, streams(delta("Hello"), finish("stop"), done))
			g := connect(t, server.URL)
			door, opened, _ := doorway(t, g)
			heard := ""
			recovery := genkit.Recovery{}
			guarded, err := middleware.WrapStream(genkit.Next()).Commit(tt.commit).Complete(genkit.Ends).Retry(soon).Build()
			if err != nil {
				t.Fatal(err)
			}
			recovery.Stream = guarded
			resp, err := ask(t, g, ai.WithTools(door), ai.WithUse(recovery), ai.WithStreaming(func(_ context.Context, chunk *ai.ModelResponseChunk) error {
				if chunk.Role != ai.RoleTool {
					heard += chunk.Text()
				}
				return nil
			}))
			if opened.Load() != tt.runs || int(server.requests.Load()) != tt.requests || heard != tt.heard {
				t.Errorf("heard %q; %d runs, %d requests", heard, opened.Load(), server.requests.Load())
			}
			if tt.class != 0 {
				class(t, err, tt.class)
			} else if err != nil || resp.Text() != tt.heard {
				t.Errorf("got %v, %v", resp, err)
			}
		})
	}
}
