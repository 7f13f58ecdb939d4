package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/strategies"
)

const hello = `{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Hello"}}]}`

func TestTheClientsOwnRetriesAreOff(t *testing.T) {
	t.Parallel()
	for it, options := range map[string][2][]option.RequestOption{
		"by default":                {},
		"whatever the client says":  {{option.WithMaxRetries(5)}},
		"whatever the options say":  {nil, {option.WithMaxRetries(5)}},
		"whatever the server wants": {{option.WithMaxRetries(5), option.WithHeader("x-want", "retry")}},
	} {
		t.Run("it sends one request "+it, func(t *testing.T) {
			server := serve(t, says(503, "", "X-Should-Retry", "true", "Retry-After-Ms", "1"))
			chat := openai.Chat(connect(server.URL, options[0]...), options[1]...)
			if _, err := chat.Run(t.Context(), ask("gpt")); err == nil {
				t.Error("no error")
			}
			if _, err := middleware.Collect(chat.Stream(t.Context(), ask("gpt"))); err == nil {
				t.Error("no error of the stream")
			}
			if got := server.requests.Load(); got != 2 {
				t.Errorf("%d requests for two calls", got)
			}
		})
	}
}

func TestWrappingKeepsWhatTheClientCanDo(t *testing.T) {
	t.Parallel()
	var headers []string
	var bodies []map[string]any
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { says(503, "")(w, nil) }, says(200, hello))
	note := func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) { // on the caller's goroutine
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(strings.NewReader(string(data)))
		var body map[string]any
		if err := json.Unmarshal(data, &body); err != nil {
			return nil, err
		}
		headers, bodies = append(headers, r.Header.Get("X-Team")+" "+r.Header.Get("X-Scene")), append(bodies, body)
		return next(r)
	}
	var seen *http.Response
	chat := openai.Chat(connect(server.URL, option.WithMiddleware(note), option.WithHeader("X-Team", "tavern")),
		option.WithHeader("X-Scene", "door"), option.WithResponseInto(&seen))
	params := ask("gpt")
	params.Temperature = sdk.Float(0.5)
	params.Tools = []sdk.ChatCompletionToolUnionParam{sdk.ChatCompletionFunctionTool(sdk.FunctionDefinitionParam{Name: "open_door"})}
	got, err := built(t, middleware.Wrap(chat).Retry(soon)).Run(t.Context(), params)
	if err != nil || text(got) != "Hello" {
		t.Fatalf("got %v, %v", got, err)
	}
	t.Run("it sends the client's and the agent's options with every attempt", func(t *testing.T) {
		if len(headers) != 2 || headers[0] != "tavern door" || headers[1] != "tavern door" {
			t.Errorf("the client's middleware saw %q", headers)
		}
	})
	t.Run("it sends tools and settings with every attempt", func(t *testing.T) {
		for _, body := range bodies {
			tools, _ := body["tools"].([]any)
			if len(tools) != 1 || body["temperature"] != 0.5 || body["model"] != "gpt" {
				t.Errorf("it sent %v", body)
			}
		}
	})
	t.Run("it fills a response asked for", func(t *testing.T) {
		if seen == nil || seen.StatusCode != 200 {
			t.Errorf("got %v", seen)
		}
	})
	t.Run("it returns what the API sent, to the letter", func(t *testing.T) {
		if got.RawJSON() != hello {
			t.Errorf("got %s", got.RawJSON())
		}
	})
	t.Run("it delivers chunks that the client's accumulator takes", func(t *testing.T) {
		server, chat := script(t, endpoint.CutAfter(0))
		params := ask("narrator")
		params.StreamOptions.IncludeUsage = sdk.Bool(true)
		var whole sdk.ChatCompletionAccumulator
		for chunk, err := range builtStream(t, chat).Stream(t.Context(), params) {
			if err != nil {
				t.Fatal(err)
			}
			if !whole.AddChunk(chunk) {
				t.Error("the accumulator refuses a chunk")
			}
		}
		if text(&whole.ChatCompletion) != "A stranger, says narrator" || whole.Usage.TotalTokens == 0 {
			t.Errorf("got %q, usage %+v", text(&whole.ChatCompletion), whole.Usage)
		}
		if server.Requests("narrator") != 2 {
			t.Errorf("%d requests", server.Requests("narrator"))
		}
	})
}

func TestWhoeverLeaves(t *testing.T) {
	t.Parallel()
	t.Run("it closes the connection when the reader leaves", func(t *testing.T) {
		gone := make(chan struct{})
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			streams(`{"choices":[{"index":0,"delta":{"content":"Hello"}}]}`)(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			close(gone)
		})
		for chunk, err := range builtStream(t, openai.Chat(connect(server.URL))).Stream(t.Context(), ask("gpt")) {
			if err != nil || chunk.Choices[0].Delta.Content != "Hello" {
				t.Errorf("got %v, %v", chunk, err)
			}
			break
		}
		<-gone // or the test never ends
	})
	t.Run("it returns at once, without another request, when the caller leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		_, err := built(t, middleware.Wrap(openai.Chat(connect(server.URL))).Retry(soon)).Run(ctx, ask("gpt"))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if got := server.requests.Load(); got != 1 {
			t.Errorf("%d requests", got)
		}
	})
	t.Run("it gives up a stream that falls silent, before and after its first word", func(t *testing.T) {
		for fault, want := range map[endpoint.Fault]int{endpoint.StallAfter(0): 2, endpoint.StallAfter(1): 1} {
			server, chat := script(t, fault)
			g, err := middleware.WrapStream(chat).Commit(openai.Says).Complete(openai.Ends).
				Retry(soon).Timeout(400 * time.Millisecond).Idle(400 * time.Millisecond).Build()
			if err != nil {
				t.Fatal(err)
			}
			_, err = middleware.Collect(g.Stream(t.Context(), ask("narrator")))
			if recovered := want == 2; recovered != (err == nil) {
				t.Errorf("%v: got %v", fault, err)
			}
			if cut, ok := errors.AsType[*strategies.StreamError](err); ok {
				class(t, cut.Err, strategies.ClassTimeout)
			}
			if got := server.Requests("narrator"); got != want {
				t.Errorf("%v: %d requests, want %d", fault, got, want)
			}
		}
	})
}

func TestReply(t *testing.T) {
	t.Parallel()
	const said = "The innkeeper shrugs: \"no\" \x01\n"
	c, err := openai.Reply(said).Run(t.Context(), ask("gpt"))
	if err != nil || text(c) != said {
		t.Fatalf("got %v, %v", c, err)
	}
	if param := c.Choices[0].Message.ToParam(); param.OfAssistant.Content.OfString.Value != said {
		t.Errorf("it cannot be sent back: %+v", param)
	}
	chunks, err := middleware.Collect(openai.Reply(said).Stream(t.Context(), ask("gpt")))
	if err != nil || joined(chunks) != said || !openai.Says(chunks[0]) || !openai.Ends(chunks[0]) {
		t.Errorf("got %v, %v", chunks, err)
	}
	server := play(t, endpoint.Plan{Down: map[string][]endpoint.Outage{"narrator": {{}}}})
	g, err := middleware.WrapStream(openai.Chat(connect(server.URL()))).Commit(openai.Says).Complete(openai.Ends).
		Degrade(strategies.LevelMinimal, openai.Reply("Later.")).Build()
	if err != nil {
		t.Fatal(err)
	}
	stream, outcome := g.Outcome(t.Context(), ask("narrator"))
	chunks, err = middleware.Collect(stream)
	if o := outcome(); err != nil || joined(chunks) != "Later." || o.Level != strategies.LevelMinimal || o.Strategy != strategies.StrategyDegradation {
		t.Errorf("got %q, %v, %+v", joined(chunks), err, o)
	}
}
