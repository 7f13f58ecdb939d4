package anthropic_test

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

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/anthropic"
	"github.com/understudy-go/understudy/strategies"
)

// ways are the two in which an answer comes.
var ways = [...]string{"whole", "streamed"}

// ended answers with a block that ended for a reason, whole or streamed.
func ended(way, block, finish string) http.HandlerFunc {
	if way == "whole" {
		return says(200, blocks(finish, block))
	}
	return streams(begin, fmt.Sprintf(`{"type":"content_block_start","index":0,"content_block":%s}`, block), `{"type":"content_block_stop","index":0}`, end(finish), stop)
}

// judged compares an error with the reason and the class it has to have; "": none.
func judged(t *testing.T, err error, reason string, want strategies.Class) {
	t.Helper()
	conformance.Judged(t, err, "anthropic", reason, want)
}

// run asks an agent in one of the ways, and counts the requests: there is one.
func run(t *testing.T, way string, answer http.HandlerFunc, accept []string, params sdk.MessageNewParams) error {
	t.Helper()
	p, messages := scripted(t, answer)
	return conformance.Ending(t, way, messages.Accept(accept...), params, anthropic.Ends, func() int { return p.seen("narrator") })
}

// Every stop reason that the client knows, and some that it does not: only those
// that are known to be whole are.
func TestStopReasons(t *testing.T) {
	t.Parallel()
	for stop, want := range map[sdk.StopReason]strategies.Class{
		sdk.StopReasonEndTurn: 0, sdk.StopReasonStopSequence: 0, sdk.StopReasonToolUse: 0,
		sdk.StopReasonPauseTurn: 0, // it is sent back as it is

		sdk.StopReasonMaxTokens:                  strategies.ClassInvalidAnswer,
		sdk.StopReasonRefusal:                    strategies.ClassBlocked,
		sdk.StopReasonModelContextWindowExceeded: strategies.ClassContextOverflow,

		sdk.StopReason(sdk.BetaStopReasonCompaction): strategies.ClassInvalidAnswer,
		"end_of_season":                          strategies.ClassInvalidAnswer,
		"guardrail_intervened":                   strategies.ClassBlocked, // Bedrock
		sdk.StopReason(strings.Repeat("x", 100)): strategies.ClassInvalidAnswer,
	} {
		for _, way := range ways {
			reason := string(stop[:min(len(stop), 64)])
			t.Run(reason+", "+way, func(t *testing.T) {
				if want == 0 {
					reason = ""
				}
				answer := ended(way, `{"type":"text","text":"Hello"}`, string(stop))
				judged(t, run(t, way, answer, nil, ask("narrator")), reason, want)
				judged(t, run(t, way, answer, []string{string(stop)}, ask("narrator")), "", 0)
			})
		}
	}
}

func TestToolCalls(t *testing.T) {
	t.Parallel()
	added := option.WithJSONSet("tools", []any{map[string]any{"name": "h", "input_schema": map[string]any{}}})
	for _, way := range ways {
		use := func(name string) string {
			return fmt.Sprintf(`{"type":"tool_use","id":"1","name":%q,"input":{}}`, name)
		}
		t.Run("it knows a tool of a request without any, "+way, func(t *testing.T) {
			judged(t, run(t, way, ended(way, use("f"), "tool_use"), nil, ask("narrator")), anthropic.UnknownTool, strategies.ClassInvalidAnswer)
		})
		t.Run("it knows a tool that was not offered, "+way, func(t *testing.T) {
			err := run(t, way, ended(way, use("h"+strings.Repeat("x", 100)), "tool_use"), nil, tooled("narrator", "f"))
			judged(t, err, anthropic.UnknownTool, strategies.ClassInvalidAnswer)
			if strings.Contains(err.Error(), strings.Repeat("x", 64)) {
				t.Errorf("got %v", err)
			}
		})
		t.Run("it accepts an unknown tool if told to, "+way, func(t *testing.T) {
			judged(t, run(t, way, ended(way, use("h"), "tool_use"), []string{anthropic.UnknownTool}, tooled("narrator", "f")), "", 0)
		})
		t.Run("it knows tools that an option adds, "+way, func(t *testing.T) {
			p := serve(t, script{"narrator": {ended(way, use("h"), "tool_use")}})
			messages, err := anthropic.Messages(connect(p.URL), added), error(nil)
			if way == "whole" {
				_, err = messages.Run(t.Context(), ask("narrator"))
			} else {
				_, err = middleware.Collect(messages.Stream(t.Context(), ask("narrator")))
			}
			judged(t, err, "", 0)
		})
		t.Run("it does not keep calls without an end, "+way, func(t *testing.T) {
			all := slices.Repeat([]string{use("f")}, 1025)
			answer := says(200, blocks("tool_use", all...))
			if way == "streamed" {
				for i := range all {
					all[i] = fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":%s}`, i, all[i])
				}
				answer = streams(slices.Concat([]string{begin}, all, []string{end("tool_use"), stop})...)
			}
			judged(t, run(t, way, answer, nil, tooled("narrator", "f")), anthropic.Arguments, strategies.ClassInvalidAnswer)
		})
	}
}

// Until a tool call is whole nobody can have acted on it, so that everything
// before its end can be asked for again.
func TestStreamsOfTools(t *testing.T) {
	t.Parallel()
	at := func(i int, form string) string { return strings.ReplaceAll(form, "INDEX", strconv.Itoa(i)) }
	const (
		thinking = `{"type":"content_block_start","index":INDEX,"content_block":{"type":"thinking","thinking":"","signature":""}}`
		thought  = `{"type":"content_block_delta","index":INDEX,"delta":{"type":"thinking_delta","thinking":"Hm"}}`
		tool     = `{"type":"content_block_start","index":INDEX,"content_block":{"type":"tool_use","id":"1","name":"f","input":{}}}`
		piece    = `{"type":"content_block_delta","index":INDEX,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}`
		rest     = `{"type":"content_block_delta","index":INDEX,"delta":{"type":"input_json_delta","partial_json":"1}"}}`
		over     = `{"type":"content_block_stop","index":INDEX}`
	)
	word, closed := text("I look. "), at(0, over)
	stranger := strings.Replace(tool, `"f"`, `"g"`, 1)
	whole := []string{begin, at(0, thinking), at(0, thought), closed, at(1, tool), at(1, piece), at(1, rest), at(1, over), end("tool_use"), stop}
	for _, tt := range []struct {
		it       string
		first    http.HandlerFunc
		accept   []string
		commit   func(sdk.MessageStreamEventUnion) bool // nil: Says
		requests int
		events   int    // that the reader gets
		want     string // the reason why it ended; "": it ended well, or was cut
	}{
		{it: "delivers one that is whole, all of it", first: streams(whole...), requests: 1, events: 10},
		{it: "asks again for one cut within its arguments", first: cut(streams(whole[:6]...)), requests: 2, events: 10},
		{it: "asks again for one cut after them", first: cut(streams(whole[:8]...)), requests: 2, events: 10},
		{it: "asks again for one cut before its marker", first: cut(streams(whole[:9]...)), requests: 2, events: 10},
		{it: "asks again for one that ends within its arguments", first: streams(whole[:6]...), requests: 2, events: 10},
		{it: "asks again for half of one", first: streams(begin, at(0, tool), at(0, piece), closed, end("tool_use"), stop), requests: 2, events: 10},
		{it: "asks again for one of a tool that was not offered", first: streams(begin, at(0, stranger), closed, end("tool_use"), stop), requests: 2, events: 10},
		{it: "asks again for one that a limit cut", first: streams(begin, at(0, tool), at(0, piece), closed, end("max_tokens"), stop), requests: 2, events: 10},
		{it: "asks again for thinking that was cut", first: cut(streams(whole[:3]...)), requests: 2, events: 10},
		{it: "ends thinking that was shown", first: cut(streams(whole[:3]...)), commit: anthropic.SaysThinking, requests: 1, events: 3, want: "cut"},
		{it: "ends one whose words were said", first: cut(streams(begin, word, closed, at(1, tool))), requests: 1, events: 4, want: "cut"},
		{it: "does not deliver the completion of half of one", first: streams(begin, word, closed, at(1, tool), at(1, piece), at(1, over), word, end("tool_use"), stop), requests: 1, events: 5, want: anthropic.Arguments},
		{it: "does not deliver one of a tool that was not offered", first: streams(begin, word, closed, at(1, stranger), at(1, over), end("tool_use"), stop), requests: 1, events: 3, want: anthropic.UnknownTool},
		{it: "names the limit that cut it", first: streams(begin, word, closed, at(1, tool), at(1, piece), at(1, over), end("max_tokens"), stop), requests: 1, events: 5, want: anthropic.Length},
		{it: "takes no half of one with a limit that is accepted", first: streams(begin, word, closed, at(1, tool), at(1, piece), at(1, over), end("max_tokens"), stop), accept: []string{anthropic.Length}, requests: 1, events: 5, want: anthropic.Arguments},
		{it: "takes none that a limit cut before its arguments", first: streams(begin, word, closed, at(1, tool), at(1, over), end("max_tokens"), stop), accept: []string{anthropic.Length}, requests: 1, events: 5, want: anthropic.Arguments},
		{it: "accepts half of one if told to", first: streams(begin, at(0, tool), at(0, piece), closed, end("max_tokens"), stop), accept: []string{anthropic.Length, anthropic.Arguments}, requests: 1, events: 6},
		{it: "takes no half of one without an end", first: streams(begin, word, closed, at(1, tool), at(1, piece)), accept: []string{anthropic.Unfinished}, requests: 1, events: 5, want: anthropic.Arguments},
		{it: "believes no more of one after it was complete", first: streams(begin, word, closed, at(1, tool), at(1, piece), at(1, over), at(1, rest), end("tool_use"), stop), requests: 1, events: 5, want: anthropic.Arguments},
		{it: "takes a call whose input comes at once", first: streams(begin, strings.Replace(at(0, tool), `{}`, `{"a":1}`, 1), closed, end("tool_use"), stop), requests: 1, events: 5},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			p, messages := scripted(t, tt.first, streams(whole...))
			if tt.commit == nil {
				tt.commit = anthropic.Says
			}
			b := middleware.WrapStream(messages.Accept(tt.accept...)).Commit(tt.commit).Retry(soon)
			if !slices.Contains(tt.accept, anthropic.Unfinished) {
				b.Complete(anthropic.Ends)
			}
			got, err := middleware.Collect(conformance.Built(t, b).Stream(t.Context(), tooled("narrator", "f")))
			if len(got) != tt.events {
				t.Errorf("%d events, want %d", len(got), tt.events)
			}
			if failure, ok := errors.AsType[*strategies.StreamError](err); ok && tt.want == "cut" {
				class(t, failure.Err, strategies.ClassTransient)
			} else {
				judged(t, err, tt.want, strategies.ClassCutOff)
			}
			if n := p.seen("narrator"); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

type streamBuilder = middleware.StreamBuilder[sdk.MessageNewParams, sdk.MessageStreamEventUnion]

// policies are what a stream may do after its first words.
var policies = map[string]func(*streamBuilder) *streamBuilder{
	"Terminate": func(b *streamBuilder) *streamBuilder { return b.Commit(anthropic.Says) },
	"Continue": func(b *streamBuilder) *streamBuilder {
		return b.Commit(anthropic.Says).Continue(2, func(_ context.Context, params sdk.MessageNewParams, _ []sdk.MessageStreamEventUnion) (sdk.MessageNewParams, bool) {
			return params, true
		})
	},
	"Buffer": func(b *streamBuilder) *streamBuilder { return b.Buffer(100) },
}

// What comes after its terminal marker is no failure of an answer's, and nothing
// is asked for again.
func TestWhatComesAfterTheEnd(t *testing.T) {
	t.Parallel()
	said := []string{begin, block, text("Hello"), end("end_turn"), stop}
	use := []string{begin, `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"1","name":"f","input":{}}}`, end("tool_use"), stop}
	for it, tt := range map[string]struct {
		answer http.HandlerFunc
		said   string
	}{
		"a cut":    {cut(streams(said...)), "Hello"},
		"an error": {streams(append(said, problem("overloaded_error", "Overloaded"))...), "Hello"},
		"garbage": {func(w http.ResponseWriter, r *http.Request) {
			streams(said...)(w, r)
			_, _ = w.Write([]byte("event: x\ndata: {\n\n"))
		}, "Hello"},
		"silence":             {stall(said...), "Hello"},
		"a tool call and cut": {cut(streams(use...)), ""},
	} {
		for name, policy := range policies {
			t.Run("it takes no notice of "+it+", "+name, func(t *testing.T) {
				p, messages := scripted(t, tt.answer)
				b := policy(middleware.WrapStream(messages).Complete(anthropic.Ends)).Retry(soon).Idle(400 * time.Millisecond)
				events, err := middleware.Collect(conformance.Built(t, b).Stream(t.Context(), tooled("narrator", "f")))
				if err != nil || joined(events) != tt.said || len(events) == 0 || !anthropic.Ends(events[len(events)-1]) {
					t.Errorf("got %q, %v", joined(events), err)
				}
				if n := p.seen("narrator"); n != 1 {
					t.Errorf("%d requests", n)
				}
			})
		}
	}
}
