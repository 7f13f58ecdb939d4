package anthropic_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/anthropic"
	"github.com/understudy-go/understudy/strategies"
)

// An answer costs what the client says, good or not, whole or streamed: what was
// read from a cache, and written to one, has been read too.
func TestUsage(t *testing.T) {
	prices, err := strategies.ReadPrices(strings.NewReader("claude 3 15 0.5"))
	if err != nil {
		t.Fatal(err)
	}
	const used = `{"input_tokens":50,"cache_creation_input_tokens":10,"cache_read_input_tokens":40,"output_tokens":%d}`
	whole := func(stop string) http.HandlerFunc {
		return says(200, fmt.Sprintf(`{"id":"msg_1","type":"message","role":"assistant","model":"claude-20260101","stop_reason":%q,"content":[{"type":"text","text":"Hello"}],"usage":`+used+`}`, stop, 20))
	}
	start := fmt.Sprintf(`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude","usage":`+used+`}}`, 1)
	delta := func(reason string) string {
		return fmt.Sprintf(`{"type":"message_delta","delta":{"stop_reason":%q},"usage":{"output_tokens":20}}`, reason)
	}
	want := strategies.Usage{Calls: 1, TokensIn: 100, TokensOut: 20, TokensCached: 40, Money: 60*3 + 20*15 + 40/2}
	begun := strategies.Usage{Calls: 1, TokensIn: 100, TokensOut: 1, TokensCached: 40, Money: 60*3 + 15 + 40/2}
	for _, tc := range []struct {
		it     string
		answer http.HandlerFunc
		stream bool
		want   strategies.Usage
		fails  bool
	}{
		{"tells of an answer", whole("end_turn"), false, want, false},
		{"tells of one that is none", whole("max_tokens"), false, want, true},
		{"has nothing to tell of an error", says(529, problem("overloaded_error", "busy")), false, strategies.Usage{Calls: 1}, true},
		{"tells of a stream", streams(start, block, text("Hello"), delta("end_turn"), stop), true, want, false},
		{"tells of a stream that is no answer", streams(start, block, text("Hello"), delta("max_tokens"), stop), true, want, true},
		{"tells of the beginning of one that broke", cut(streams(start, block)), true, begun, true},
	} {
		t.Run("it "+tc.it, func(t *testing.T) {
			t.Parallel()
			agent := anthropic.Messages(connect(serve(t, script{"claude": {tc.answer}}).URL)).Priced(prices).Accept("unheard of")
			var usage strategies.Usage
			var err error
			if tc.stream {
				events, end := middleware.Must(middleware.WrapStream(agent).Build()).Outcome(t.Context(), ask("claude"))
				_, err = middleware.Collect(events)
				usage = end().Usage
			} else {
				o := middleware.Must(middleware.Wrap(agent).Build()).Outcome(t.Context(), ask("claude"))
				usage, err = o.Usage, o.Err
			}
			if usage != tc.want || (err != nil) != tc.fails {
				t.Errorf("%+v, %v; want %+v", usage, err, tc.want)
			}
		})
	}
}
