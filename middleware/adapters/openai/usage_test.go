package openai_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/strategies"
)

const (
	used         = `{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":40}}`
	usedResponse = `"model":"gpt-4.1-2025-04-14","usage":{"input_tokens":100,"output_tokens":20,"total_tokens":120,"input_tokens_details":{"cached_tokens":40}}`
)

func prices(t *testing.T) *strategies.Prices {
	t.Helper()
	p, err := strategies.ReadPrices(strings.NewReader("gpt-4.1 2 8 0.5"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// An answer costs what the client says, good or not, whole or streamed.
func TestUsage(t *testing.T) {
	whole := func(finish, model string) http.HandlerFunc {
		return says(200, fmt.Sprintf(`{"model":%q,"choices":[{"index":0,"finish_reason":%q,"message":{"content":"Hello"}}],"usage":%s}`, model, finish, used))
	}
	stream := func(finish string, more ...string) http.HandlerFunc {
		return streams(append([]string{fragment(`"content":"Hello"`, "null"), fragment("", fmt.Sprintf("%q", finish))}, more...)...)
	}
	last, ended := `{"model":"gpt-4.1","choices":[],"usage":`+used+`}`, "[DONE]"
	tokens := strategies.Usage{Calls: 1, TokensIn: 100, TokensOut: 20, TokensCached: 40}
	money := tokens
	money.Money = 60*2 + 20*8 + 40/2
	for _, tc := range []struct {
		it     string
		answer http.HandlerFunc
		stream bool
		model  string
		want   strategies.Usage
		fails  bool
	}{
		{"tells of an answer", whole("stop", "gpt-4.1-2025-04-14"), false, "alias", money, false},
		{"tells of one that is none", whole("length", "gpt-4.1"), false, "alias", money, true},
		{"finds the price of what was asked for", whole("stop", "deployment-7"), false, "gpt-4.1", money, false},
		{"knows no price", whole("stop", "deployment-7"), false, "alias", tokens, false},
		{"has nothing to tell of an error", says(500, `{"error":{"message":"down"}}`), false, "gpt-4.1", strategies.Usage{Calls: 1}, true},
		{"tells of a stream", stream("stop", last, ended), true, "alias", money, false},
		{"tells of a stream that is no answer", stream("length", last, ended), true, "alias", money, true},
		{"counts once what comes with every chunk", streams(`{"choices":[{"index":0,"delta":{"content":"Hello"}}],"usage":{"prompt_tokens":100,"completion_tokens":1}}`,
			`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":`+used+`}`, ended), true, "gpt-4.1", money, false},
		{"has nothing to tell of a stream without", stream("stop", ended), true, "gpt-4.1", strategies.Usage{Calls: 1}, false},
		{"does not wait for more than the end", cut(stream("length")), true, "gpt-4.1", strategies.Usage{Calls: 1}, true},
	} {
		t.Run("it "+tc.it, func(t *testing.T) {
			t.Parallel()
			chat := openai.Chat(connect(serve(t, tc.answer).URL)).Priced(prices(t)).Accept("unheard of")
			params := ask(tc.model)
			params.StreamOptions = sdk.ChatCompletionStreamOptionsParam{IncludeUsage: sdk.Bool(true)}
			var usage strategies.Usage
			var err error
			if tc.stream {
				chunks, end := middleware.Must(middleware.WrapStream(chat).Build()).Outcome(t.Context(), params)
				_, err = middleware.Collect(chunks)
				usage = end().Usage
			} else {
				o := middleware.Must(middleware.Wrap(chat).Build()).Outcome(t.Context(), params)
				usage, err = o.Usage, o.Err
			}
			if usage != tc.want || (err != nil) != tc.fails {
				t.Errorf("%+v, %v; want %+v", usage, err, tc.want)
			}
		})
	}
}

func TestUsageOfResponses(t *testing.T) {
	want := strategies.Usage{Calls: 1, TokensIn: 100, TokensOut: 20, TokensCached: 40, Money: 60*2 + 20*8 + 40/2}
	for status, fails := range map[string]bool{"completed": false, "incomplete": true, "failed": true} {
		for _, way := range ways {
			t.Run(status+" "+way, func(t *testing.T) {
				t.Parallel()
				body := response(status, answered, usedResponse)
				var usage strategies.Usage
				var err error
				if way == "whole" {
					agent := openai.Responses(connect(serve(t, says(200, body)).URL)).Priced(prices(t))
					o := middleware.Must(middleware.Wrap(agent).Build()).Outcome(t.Context(), input("alias"))
					usage, err = o.Usage, o.Err
				} else {
					agent := openai.Responses(connect(serve(t, streams(`{"type":"response.`+status+`","response":`+body+`}`)).URL)).Priced(prices(t))
					events, end := middleware.Must(middleware.WrapStream(agent).Build()).Outcome(t.Context(), input("alias"))
					_, err = middleware.Collect(events)
					usage = end().Usage
				}
				if usage != want || (err != nil) != fails {
					t.Errorf("%+v, %v; want %+v", usage, err, want)
				}
			})
		}
	}
}
