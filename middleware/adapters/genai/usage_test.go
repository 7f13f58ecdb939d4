package genai_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// An answer costs what the client says, good or not, whole or streamed: thoughts are
// written, and what tools have found is read.
func TestUsage(t *testing.T) {
	prices, err := strategies.ReadPrices(strings.NewReader("gemini-pro 2 8 0.5"))
	if err != nil {
		t.Fatal(err)
	}
	const used = `{"promptTokenCount":90,"toolUsePromptTokenCount":10,"cachedContentTokenCount":40,"candidatesTokenCount":%d,"thoughtsTokenCount":5}`
	body := func(finish string, out int) string {
		return fmt.Sprintf(`{"modelVersion":"models/gemini-pro","candidates":[{"content":{"parts":[{"text":"Hello"}]}%s}],"usageMetadata":`+used+`}`, finish, out)
	}
	const good, bad = `,"finishReason":"STOP"`, `,"finishReason":"MAX_TOKENS"`
	want := strategies.Usage{Calls: 1, TokensIn: 100, TokensOut: 20, TokensCached: 40, Money: 60*2 + 20*8 + 40/2}
	begun := strategies.Usage{Calls: 1, TokensIn: 100, TokensOut: 6, TokensCached: 40, Money: 60*2 + 6*8 + 40/2}
	for _, tc := range []struct {
		it     string
		answer gemini.Answer
		stream bool
		want   strategies.Usage
		fails  bool
	}{
		{"tells of an answer", gemini.Body(body(good, 15)), false, want, false},
		{"tells of one that is none", gemini.Body(body(bad, 15)), false, want, true},
		{"has nothing to tell of an error", gemini.Overloaded(), false, strategies.Usage{Calls: 1}, true},
		{"tells of a stream", gemini.Events(body("", 1), body(good, 15)), true, want, false},
		{"tells of a stream that is no answer", gemini.Events(body("", 1), body(bad, 15)), true, want, true},
		{"tells of the beginning of one that broke", gemini.Cut(body("", 1)), true, begun, true},
	} {
		t.Run("it "+tc.it, func(t *testing.T) {
			t.Parallel()
			_, agent := narrator(t, tc.answer)
			agent = agent.Priced(prices).Accept("UNHEARD_OF")
			var usage strategies.Usage
			var err error
			if tc.stream {
				chunks, end := middleware.Must(middleware.WrapStream(agent).Build()).Outcome(t.Context(), ask("narrator"))
				_, err = middleware.Collect(chunks)
				usage = end().Usage
			} else {
				o := middleware.Must(middleware.Wrap(agent).Build()).Outcome(t.Context(), ask("narrator"))
				usage, err = o.Usage, o.Err
			}
			if usage != tc.want || (err != nil) != tc.fails {
				t.Errorf("%+v, %v; want %+v", usage, err, tc.want)
			}
		})
	}
}
