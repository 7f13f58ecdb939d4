package openai_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/strategies"
)

// ways are the two in which an answer comes.
var ways = [...]string{"whole", "streamed"}

// fragment is a chunk of a stream.
func fragment(delta, finish string) string {
	return fmt.Sprintf(`{"choices":[{"index":0,"delta":{%s},"finish_reason":%s}]}`, delta, finish)
}

// ended answers with such a message, whole or streamed, that ended for a reason.
func ended(way, message, finish string) http.HandlerFunc {
	quoted := strconv.Quote(finish)
	if way == "whole" {
		return completion(fmt.Sprintf(`{"index":0,"finish_reason":%s,"message":{%s}}`, quoted, message))
	}
	return streams(fragment(`"role":"assistant"`, "null"), fragment(message, "null"), fragment("", quoted), "[DONE]")
}

// judged compares an error with the reason and the class it has to have; "": none.
func judged(t *testing.T, err error, reason string, want strategies.Class) {
	t.Helper()
	conformance.Judged(t, err, "openai", reason, want)
}

// run asks an agent in one of the ways, and counts the requests: there is one.
func run(t *testing.T, way string, answer http.HandlerFunc, accept []string, params sdk.ChatCompletionNewParams) error {
	t.Helper()
	server := serve(t, answer)
	return conformance.Ending(t, way, openai.Chat(connect(server.URL)).Accept(accept...), params, openai.Ends, func() int { return int(server.requests.Load()) })
}

// Every finish reason that the client's documentation names, and some that it
// does not: only those that are known to be whole are.
func TestFinishReasons(t *testing.T) {
	t.Parallel()
	for finish, want := range map[string]strategies.Class{
		"stop": 0, "tool_calls": 0, "function_call": 0,
		"length": strategies.ClassInvalidAnswer, "content_filter": strategies.ClassBlocked,

		"insufficient_system_resource": strategies.ClassOverloaded, // DeepSeek
		"model_length":                 strategies.ClassInvalidAnswer,
		"stopped_by_gremlins":          strategies.ClassInvalidAnswer,
		"STOP":                         0,
		strings.Repeat("x", 100):       strategies.ClassInvalidAnswer,
	} {
		for _, way := range ways {
			t.Run(finish[:min(len(finish), 64)]+", "+way, func(t *testing.T) {
				reason := finish[:min(len(finish), 64)]
				if want == 0 {
					reason = ""
				}
				judged(t, run(t, way, ended(way, `"content":"Hello"`, finish), nil, ask("gpt")), reason, want)
				judged(t, run(t, way, ended(way, `"content":"Hello"`, finish), []string{finish}, ask("gpt")), "", 0)
			})
		}
	}
}

// Every status of a response, and every reason why one is incomplete.
func TestStatuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]struct {
		reason string
		class  strategies.Class
	}{
		string(responses.ResponseStatusCompleted):                               {},
		string(responses.ResponseStatusFailed):                                  {openai.Failed, strategies.ClassTransient},
		string(responses.ResponseStatusInProgress):                              {"in_progress", strategies.ClassInvalidAnswer},
		string(responses.ResponseStatusCancelled):                               {"cancelled", strategies.ClassInvalidAnswer},
		string(responses.ResponseStatusQueued):                                  {"queued", strategies.ClassInvalidAnswer},
		string(responses.ResponseStatusIncomplete):                              {"incomplete", strategies.ClassInvalidAnswer},
		`incomplete","incomplete_details":{"reason":"max_output_tokens"},"x":"`: {"max_output_tokens", strategies.ClassInvalidAnswer},
		`incomplete","incomplete_details":{"reason":"content_filter"},"x":"`:    {openai.ContentFilter, strategies.ClassBlocked},
		`incomplete","incomplete_details":{"reason":"gremlins"},"x":"`:          {"gremlins", strategies.ClassInvalidAnswer},
		"expired":             {"expired", strategies.ClassInvalidAnswer},
		"stopped_by_gremlins": {"stopped_by_gremlins", strategies.ClassInvalidAnswer},
	} {
		for _, way := range ways {
			t.Run(status+", "+way, func(t *testing.T) {
				body := response(status, answered)
				server := serve(t, says(200, body))
				if way == "streamed" {
					server = serve(t, streams(`{"type":"response.incomplete","response":`+body+`}`))
				}
				for _, accept := range [][]string{nil, {want.reason}} {
					agent, err := openai.Responses(connect(server.URL)).Accept(accept...), error(nil)
					if way == "whole" {
						_, err = agent.Run(t.Context(), input("gpt"))
					} else {
						_, err = middleware.Collect(agent.Stream(t.Context(), input("gpt")))
					}
					if accept == nil {
						judged(t, err, want.reason, want.class)
					} else {
						judged(t, err, "", 0)
					}
				}
				if n := server.requests.Load(); n != 2 {
					t.Errorf("%d requests", n)
				}
			})
		}
	}
	t.Run("no status at all, whole", func(t *testing.T) {
		server := serve(t, says(200, `{"id":"resp_1","output":[`+answered+`]}`))
		_, err := openai.Responses(connect(server.URL)).Run(t.Context(), input("gpt"))
		judged(t, err, openai.Unfinished, strategies.ClassInvalidAnswer)
	})
}

func TestToolCalls(t *testing.T) {
	t.Parallel()
	// called is a message that calls functions: id, name and arguments of each.
	called := func(calls ...string) string {
		var b strings.Builder
		for i := 0; i+2 < len(calls); i += 3 {
			fmt.Fprintf(&b, `{"index":%d,"id":%q,"type":"function","function":{"name":%q,"arguments":%q}},`, i/3, calls[i], calls[i+1], calls[i+2])
		}
		return `"content":null,"tool_calls":[` + strings.TrimSuffix(b.String(), ",") + `]`
	}
	for _, tt := range []struct {
		it, message, finish string
		accept              []string
		params              sdk.ChatCompletionNewParams
		want                string
	}{
		{it: "takes one", message: called("1", "f", `{"a":1}`), finish: "tool_calls"},
		{it: "takes one that ends with a stop, as a forced one does", message: called("1", "f", `{"a":1}`), finish: "stop"},
		{it: "takes one without arguments", message: called("1", "f", ""), finish: "tool_calls"},
		{it: "takes two", message: called("1", "f", `{}`, "2", "g", `{}`), finish: "tool_calls"},
		{it: "takes a function call of old", message: `"function_call":{"name":"f","arguments":"{}"}`, finish: "function_call"},
		{it: "takes a custom one, whose input is any text", message: `"tool_calls":[{"index":0,"id":"1","type":"custom","custom":{"name":"sql","input":"SELECT"}}]`, finish: "tool_calls"},
		{it: "leaves those of a server's own kind alone", message: `"tool_calls":[{"index":0,"id":"1","type":"builtin_function","function":{"name":"$web_search","arguments":"{"}}]`, finish: "tool_calls"},

		{it: "takes no half of one", message: called("1", "f", `{"a":1`), finish: "tool_calls", want: openai.Arguments},
		{it: "takes no list for arguments", message: called("1", "f", `[1]`), finish: "tool_calls", want: openai.Arguments},
		{it: "takes nothing after the arguments", message: called("1", "f", `{"a":1}}`), finish: "tool_calls", want: openai.Arguments},
		{it: "takes no half of the second", message: called("1", "f", `{}`, "2", "g", `{"a`), finish: "tool_calls", want: openai.Arguments},
		{it: "takes no half of a function call of old", message: `"function_call":{"name":"f","arguments":"{"}`, finish: "function_call", want: openai.Arguments},
		{it: "accepts half of one if told to", message: called("1", "f", `{"a":1`), finish: "tool_calls", accept: []string{openai.Arguments}},
		{it: "names the limit that cut it", message: called("1", "f", `{"a":1`), finish: "length", want: openai.Length},
		{it: "takes no half of one with a limit that is accepted", message: called("1", "f", `{"a":1`), finish: "length", accept: []string{openai.Length}, want: openai.Arguments},
		{it: "takes none that was cut before its arguments", message: called("1", "f", ""), finish: "length", accept: []string{openai.Length}, want: openai.Arguments},
		{it: "accepts both if told so", message: called("1", "f", `{"a":1`), finish: "length", accept: []string{openai.Length, openai.Arguments}},

		{it: "knows a tool that was not offered", message: called("1", "h", `{}`), finish: "tool_calls", want: openai.UnknownTool},
		{it: "knows a tool without a name", message: called("1", "", `{}`), finish: "tool_calls", want: openai.UnknownTool},
		{it: "knows a tool of a request without any", message: called("1", "f", `{}`), finish: "tool_calls", params: ask("gpt"), want: openai.UnknownTool},
		{it: "accepts an unknown tool if told to", message: called("1", "h", `{}`), finish: "tool_calls", accept: []string{openai.UnknownTool}},
		{it: "looks at its arguments then", message: called("1", "h", `{`), finish: "tool_calls", accept: []string{openai.UnknownTool}, want: openai.Arguments},
	} {
		for _, way := range ways {
			t.Run("it "+tt.it+", "+way, func(t *testing.T) {
				params := tt.params
				if params.Model == "" {
					params = tooled("gpt", "f", "g")
				}
				judged(t, run(t, way, ended(way, tt.message, tt.finish), tt.accept, params), tt.want, strategies.ClassInvalidAnswer)
			})
		}
	}
	t.Run("it names an unknown tool, up to a bound", func(t *testing.T) {
		err := run(t, "whole", ended("whole", called("1", "open_sesame"+strings.Repeat("x", 100), `{}`), "tool_calls"), nil, tooled("gpt", "f"))
		if s := fmt.Sprint(err); !strings.Contains(s, "open_sesame") || strings.Contains(s, strings.Repeat("x", 80)) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it knows tools that an option adds", func(t *testing.T) {
		server := serve(t, ended("whole", called("1", "h", `{}`), "tool_calls"))
		added := option.WithJSONSet("tools", []any{map[string]any{"type": "function", "function": map[string]any{"name": "h"}}})
		_, err := openai.Chat(connect(server.URL), added).Run(t.Context(), ask("gpt"))
		judged(t, err, "", 0)
	})
	for it, tools := range map[string]string{
		"a namespace":                  `"tools":[{"type":"namespace","name":"crm","tools":[{"type":"function","name":"h"}]}]`,
		"those found on the way":       `"input":[{"type":"tool_search_output","tools":[{"type":"function","name":"h"}]}]`,
		"those that are searched":      `"tools":[{"type":"tool_search"}]`,
		"those of a stored prompt":     `"prompt":{"id":"pmpt_1"}`,
		"those of a conversation":      `"conversation":"conv_1"`,
		"those of the response before": `"previous_response_id":"resp_0"`,
	} {
		t.Run("it knows of "+it, func(t *testing.T) {
			server := serve(t, says(200, response("completed", `{"type":"function_call","name":"h","arguments":"{}"}`)))
			body := option.WithRequestBody("application/json", []byte("{"+tools+"}"))
			_, err := openai.Responses(connect(server.URL), body).Run(t.Context(), input("gpt"))
			judged(t, err, "", 0)
		})
	}
}

// The fragments of a call come in many ways.
func TestFragments(t *testing.T) {
	t.Parallel()
	piece := func(index int, id, name, arguments string) string {
		return fragment(fmt.Sprintf(`"tool_calls":[{"index":%d,"id":%q,"function":{"name":%q,"arguments":%q}}]`, index, id, name, arguments), "null")
	}
	done := fragment("", `"tool_calls"`)
	for _, tt := range []struct {
		it     string
		chunks []string
		want   string
	}{
		{"puts one together", []string{piece(0, "1", "f", ""), piece(0, "", "", `{"a"`), piece(0, "", "", `:1}`), done}, ""},
		{"misses the last piece", []string{piece(0, "1", "f", ""), piece(0, "", "", `{"a"`), done}, openai.Arguments},
		{"tells two apart by their index", []string{piece(0, "1", "f", `{`), piece(1, "2", "g", `{`), piece(0, "", "", `}`), piece(1, "", "", `}`), done}, ""},
		{"tells two apart by their id", []string{piece(0, "1", "f", `{}`), piece(0, "2", "g", `{}`), done}, ""},
		{"knows a name that is repeated", []string{piece(0, "1", "f", `{`), piece(0, "1", "f", `}`), done}, ""},
		{"puts a name together, up to a bound", append(many(500, func(i int) string { return piece(0, "1", "n"+strconv.Itoa(i), "") }), done), openai.UnknownTool},
		{"survives an index that is none", []string{piece(-7, "1", "f", `{`), piece(-7, "", "", `}`), done}, ""},
		{"does not keep calls without an end", append(many(2000, func(i int) string { return piece(i, strconv.Itoa(i), "f", `{}`) }), done), openai.Arguments},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			judged(t, run(t, "streamed", streams(tt.chunks...), nil, tooled("gpt", "f", "g")), tt.want, strategies.ClassInvalidAnswer)
		})
	}
}

func many(n int, of func(int) string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = of(i)
	}
	return all
}

type streamBuilder = middleware.StreamBuilder[sdk.ChatCompletionNewParams, sdk.ChatCompletionChunk]

// policies are what a stream may do after its first words.
var policies = map[string]func(*streamBuilder) *streamBuilder{
	"Terminate": func(b *streamBuilder) *streamBuilder { return b.Commit(openai.Says) },
	"Continue": func(b *streamBuilder) *streamBuilder {
		return b.Commit(openai.Says).Continue(2, func(_ context.Context, params sdk.ChatCompletionNewParams, _ []sdk.ChatCompletionChunk) (sdk.ChatCompletionNewParams, bool) {
			return params, true
		})
	},
	"Buffer": func(b *streamBuilder) *streamBuilder { return b.Buffer(100) },
}

// What comes after its terminal marker is no failure of an answer's, and nothing
// is asked for again.
func TestWhatComesAfterTheEnd(t *testing.T) {
	t.Parallel()
	const (
		word  = `{"choices":[{"index":0,"delta":{"content":"Hello"}}]}`
		stop  = `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
		both  = `{"choices":[{"index":1,"delta":{"content":"Hi"}}]}`
		other = `{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}`
		usage = `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`
	)
	two := ask("gpt")
	two.N = sdk.Int(2)
	for it, tt := range map[string]struct {
		params sdk.ChatCompletionNewParams
		answer http.HandlerFunc
		said   string
	}{
		"a cut":               {ask("gpt"), cut(streams(word, stop)), "Hello"},
		"a cut after usage":   {ask("gpt"), cut(streams(word, stop, usage)), "Hello"},
		"an error":            {ask("gpt"), streams(word, stop, `{"error":{"code":"server_error"}}`), "Hello"},
		"garbage":             {ask("gpt"), streams(word, stop, `{"choices"`), "Hello"},
		"a cut after both":    {two, cut(streams(word, both, stop, other)), "HelloHi"},
		"silence":             {ask("gpt"), stall(streams(word, stop)), "Hello"},
		"a tool call and cut": {tooled("gpt", "f"), cut(streams(fragment(`"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":"{}"}}]`, "null"), fragment("", `"tool_calls"`))), ""},
	} {
		for name, policy := range policies {
			t.Run("it takes no notice of "+it+", "+name, func(t *testing.T) {
				server := serve(t, tt.answer)
				b := policy(middleware.WrapStream(openai.Chat(connect(server.URL))).Complete(openai.Ends)).Retry(soon).Idle(400 * time.Millisecond)
				chunks, err := middleware.Collect(conformance.Built(t, b).Stream(t.Context(), tt.params))
				if err != nil || joined(chunks) != tt.said || !slices.ContainsFunc(chunks, openai.Ends) {
					t.Errorf("got %q, %v", joined(chunks), err)
				}
				if n := server.requests.Load(); n != 1 {
					t.Errorf("%d requests", n)
				}
			})
		}
	}
	t.Run("it misses the choices that were asked for", func(t *testing.T) {
		server := serve(t, cut(streams(word, stop)))
		_, err := middleware.Collect(openai.Chat(connect(server.URL)).Stream(t.Context(), two))
		class(t, err, strategies.ClassTransient)
	})
	t.Run("it takes no notice of it in a stream of responses", func(t *testing.T) {
		for _, then := range []func(http.HandlerFunc) http.HandlerFunc{cut, stall} {
			server := serve(t, then(streams(`{"type":"response.output_text.delta","delta":"Hello"}`, `{"type":"response.completed","response":`+response("completed", answered)+`}`)))
			g := conformance.Built(t, middleware.WrapStream(openai.Responses(connect(server.URL))).Commit(openai.ResponsesSays).Complete(openai.ResponsesEnds).Retry(soon))
			events, err := middleware.Collect(g.Stream(t.Context(), input("gpt")))
			if err != nil || len(events) != 2 || server.requests.Load() != 1 {
				t.Errorf("got %d events, %v, %d requests", len(events), err, server.requests.Load())
			}
		}
	})
}

// Until a tool call is whole nobody can have acted on it, so that everything
// before its end can be asked for again.
func TestStreamsOfTools(t *testing.T) {
	t.Parallel()
	const reasoning, word = `"reasoning_content":"Hm"`, `"content":"I look. "`
	open, arguments := `"tool_calls":[{"index":0,"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\""}}]`, `"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]`
	stranger := strings.Replace(open, `"f"`, `"g"`, 1)
	chunks := func(deltas ...string) []string {
		all := make([]string, len(deltas))
		for i, d := range deltas {
			all[i] = fragment(d, "null")
		}
		return all
	}
	done := fragment("", `"tool_calls"`)
	whole := append(chunks(`"role":"assistant"`, reasoning, open, arguments), done)
	for _, tt := range []struct {
		it       string
		first    http.HandlerFunc
		commit   func(sdk.ChatCompletionChunk) bool
		requests int32
		chunks   int // that the reader gets
		class    strategies.Class
	}{
		{"delivers one that is whole, all of it", streams(whole...), openai.Says, 1, 5, 0},
		{"asks again for one cut within its arguments", cut(streams(chunks(reasoning, open)...)), openai.Says, 2, 5, 0},
		{"asks again for one that ends within its arguments", streams(chunks(reasoning, open)...), openai.Says, 2, 5, 0},
		{"asks again for one whose arguments are no object", streams(append(chunks(open), done)...), openai.Says, 2, 5, 0},
		{"asks again for one of a tool that was not offered", streams(append(chunks(stranger, arguments), done)...), openai.Says, 2, 5, 0},
		{"asks again for one that a limit cut", streams(append(chunks(open), fragment("", `"length"`))...), openai.Says, 2, 5, 0},
		{"asks again for reasoning that was cut", cut(streams(chunks(reasoning, reasoning)...)), openai.Says, 2, 5, 0},
		{"ends reasoning that was shown", cut(streams(chunks(reasoning, reasoning)...)), openai.SaysThinking, 1, 2, strategies.ClassTransient},
		{"ends one whose words were said", cut(streams(chunks(word, open)...)), openai.Says, 1, 2, strategies.ClassTransient},
		{"ends one whose words were said, before its end", streams(append(chunks(word, open), done)...), openai.Says, 1, 2, strategies.ClassInvalidAnswer},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			server := serve(t, tt.first, streams(whole...))
			g := conformance.Built(t, middleware.WrapStream(openai.Chat(connect(server.URL))).Commit(tt.commit).Complete(openai.Ends).Retry(soon))
			got, err := middleware.Collect(g.Stream(t.Context(), tooled("gpt", "f")))
			if len(got) != tt.chunks {
				t.Errorf("%d chunks, want %d", len(got), tt.chunks)
			}
			if failure, ok := errors.AsType[*strategies.StreamError](err); ok {
				class(t, failure.Err, tt.class)
			} else if err != nil || tt.class != 0 {
				t.Errorf("got %v", err)
			}
			if n := server.requests.Load(); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

// The same of responses: there an event completes a call before the end.
func TestResponsesOfTools(t *testing.T) {
	t.Parallel()
	const (
		reasoning = `{"type":"response.reasoning_summary_text.delta","delta":"Hm"}`
		word      = `{"type":"response.output_text.delta","delta":"I look."}`
		added     = `{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","name":"f","arguments":"","status":"in_progress"}}`
		piece     = `{"type":"response.function_call_arguments.delta","output_index":1,"delta":"{}"}`
		given     = `{"type":"response.function_call_arguments.done","output_index":1,"arguments":"{}"}`
		item      = `{"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","name":"f","arguments":"{}","status":"completed"}}`
		brief     = `{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[]}}`
	)
	half := strings.ReplaceAll(item, `"{}"`, `"{"`)
	limit := `{"type":"response.incomplete","response":` + response("incomplete", "", `"incomplete_details":{"reason":"max_output_tokens"}`) + `}`
	whole := []string{reasoning, added, piece, given, item, brief}
	for _, tt := range []struct {
		it       string
		first    http.HandlerFunc
		accept   []string
		requests int32
		events   int
		want     string // the reason why it ended; "": it ended well, or was cut
	}{
		{it: "delivers one that is whole, all of it", first: streams(whole...), requests: 1, events: 6},
		{it: "asks again for one cut within its arguments", first: cut(streams(reasoning, added, piece)), requests: 2, events: 6},
		{it: "asks again for one cut after them", first: cut(streams(added, piece, given, item)), requests: 2, events: 6},
		{it: "asks again for half of one", first: streams(added, half, brief), requests: 2, events: 6},
		{it: "asks again for one that never was complete", first: streams(added, piece, brief), requests: 2, events: 6},
		{it: "asks again for one of a tool that was not offered", first: streams(strings.ReplaceAll(added, `"f"`, `"g"`), given, brief), requests: 2, events: 6},
		{it: "asks again for reasoning alone", first: streams(reasoning, brief), requests: 2, events: 6},
		{it: "does not deliver the completion of half of one", first: streams(word, added, half, word, brief), requests: 1, events: 2, want: openai.Arguments},
		{it: "believes no end that repeats it otherwise", first: streams(word, added, half, `{"type":"response.completed","response":`+response("completed", `{"type":"function_call","name":"f","arguments":"{}"}`)+`}`), requests: 1, events: 2, want: openai.Arguments},
		{it: "names the limit that cut it", first: streams(word, added, half, limit), requests: 1, events: 2, want: "max_output_tokens"},
		{it: "takes no half of one with a limit that is accepted", first: streams(word, added, half, limit), accept: []string{openai.Length}, requests: 1, events: 2, want: openai.Arguments},
		{it: "accepts half of one if told to", first: streams(added, half, brief), accept: []string{openai.Arguments}, requests: 1, events: 3},
		{it: "does without an end if told to", first: streams(word, added, item), accept: []string{openai.Unfinished}, requests: 1, events: 3},
		{it: "takes no half of one without an end", first: streams(word, added, piece), accept: []string{openai.Unfinished}, requests: 1, events: 3, want: openai.Arguments},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			server := serve(t, tt.first, streams(whole...))
			b := middleware.WrapStream(openai.Responses(connect(server.URL)).Accept(tt.accept...)).Commit(openai.ResponsesSays).Retry(soon)
			if !slices.Contains(tt.accept, openai.Unfinished) {
				b.Complete(openai.ResponsesEnds)
			}
			params := input("gpt")
			params.Tools = []responses.ToolUnionParam{{OfFunction: &responses.FunctionToolParam{Name: "f"}}}
			got, err := middleware.Collect(conformance.Built(t, b).Stream(t.Context(), params))
			if len(got) != tt.events {
				t.Errorf("%d events, want %d", len(got), tt.events)
			}
			judged(t, err, tt.want, strategies.ClassCutOff)
			if n := server.requests.Load(); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}
