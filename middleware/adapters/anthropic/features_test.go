package anthropic_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/anthropic"
	"github.com/understudy-go/understudy/strategies"
)

func TestTheClientsOwnRetriesAreOff(t *testing.T) {
	t.Parallel()
	for it, options := range map[string][2][]option.RequestOption{
		"by default":               {},
		"whatever the client says": {{option.WithMaxRetries(5)}},
		"whatever the options say": {nil, {option.WithMaxRetries(5)}},
	} {
		t.Run("it sends one request "+it, func(t *testing.T) {
			busy := says(529, problem("overloaded_error", "Overloaded"), "X-Should-Retry", "true", "Retry-After-Ms", "1")
			p := serve(t, script{"narrator": {busy, busy}})
			messages := anthropic.Messages(connect(p.URL, options[0]...), options[1]...)
			if _, err := messages.Run(t.Context(), ask("narrator")); err == nil {
				t.Error("no error")
			}
			if _, err := middleware.Collect(messages.Stream(t.Context(), ask("narrator"))); err == nil {
				t.Error("no error of the stream")
			}
			if got := p.seen("narrator"); got != 2 {
				t.Errorf("%d requests for two calls", got)
			}
		})
	}
}

func TestWrappingKeepsWhatTheClientCanDo(t *testing.T) {
	t.Parallel()
	var headers []string
	var bodies []map[string]any
	p := serve(t, script{"narrator": {says(503, "")}})
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
	messages := anthropic.Messages(connect(p.URL, option.WithMiddleware(note), option.WithHeader("X-Team", "tavern")),
		option.WithHeader("X-Scene", "door"), option.WithResponseInto(&seen))
	params := ask("narrator")
	params.Temperature = sdk.Float(0.5)
	params.Tools = []sdk.ToolUnionParam{{OfTool: &sdk.ToolParam{Name: "open_door"}}}
	got, err := built(t, middleware.Wrap(messages).Retry(soon)).Run(t.Context(), params)
	if err != nil || said(got) != "A stranger, says narrator" {
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
			if len(tools) != 1 || body["temperature"] != 0.5 || body["model"] != "narrator" {
				t.Errorf("it sent %v", body)
			}
		}
	})
	t.Run("it fills a response asked for", func(t *testing.T) {
		if seen == nil || seen.StatusCode != 200 {
			t.Errorf("got %v", seen)
		}
	})
	t.Run("it delivers events that the client's accumulator takes", func(t *testing.T) {
		call := []string{
			begin, `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"open_door","input":{}}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"slowly\":true}"}}`,
			`{"type":"content_block_stop","index":0}`, end("tool_use"), stop,
		}
		p, messages := scripted(t, cut(streams(begin)), streams(call...))
		var whole sdk.Message
		for event, err := range builtStream(t, messages).Stream(t.Context(), tooled("narrator", "open_door")) {
			if err == nil {
				err = whole.Accumulate(event)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		use, ok := whole.Content[0].AsAny().(sdk.ToolUseBlock)
		if !ok || use.Name != "open_door" || string(use.Input) != `{"slowly":true}` || whole.StopReason != sdk.StopReasonToolUse {
			t.Errorf("got %+v", whole)
		}
		if got := p.seen("narrator"); got != 2 {
			t.Errorf("%d requests", got)
		}
	})
}

func TestOneAgentServesManyCallers(t *testing.T) {
	t.Parallel()
	p := serve(t, nil)
	messages := anthropic.Messages(connect(p.URL), option.WithHeader("X-Scene", "door"))
	failed := make(chan error, 8)
	for range cap(failed) {
		go func() {
			_, err := messages.Run(t.Context(), ask("narrator"))
			if _, streamed := middleware.Collect(messages.Stream(t.Context(), ask("narrator"))); err == nil {
				err = streamed
			}
			failed <- err
		}()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if got := p.seen("narrator"); got != 16 {
		t.Errorf("%d requests", got)
	}
}

func TestWhoeverLeaves(t *testing.T) {
	t.Parallel()
	t.Run("it closes the connection when the reader leaves", func(t *testing.T) {
		gone := make(chan struct{})
		_, messages := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			stall(begin, text("Hello"))(w, r)
			close(gone)
		})
		for _, err := range builtStream(t, messages).Stream(t.Context(), ask("narrator")) {
			if err != nil {
				t.Error(err)
			}
			break
		}
		<-gone // or the test never ends
	})
	t.Run("it returns at once, without another request, when the caller leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p, messages := scripted(t, func(w http.ResponseWriter, r *http.Request) {
			cancel()
			hang(w, r)
		})
		_, err := built(t, middleware.Wrap(messages).Retry(soon)).Run(ctx, ask("narrator"))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if got := p.seen("narrator"); got != 1 {
			t.Errorf("%d requests", got)
		}
	})
	for it, tt := range map[string]struct {
		fault    http.HandlerFunc
		requests int
	}{
		"before its first word, and asks again": {stall(begin, block), 2},
		"after its first word, and ends it":     {stall(begin, text("Hello")), 1},
	} {
		t.Run("it gives up a stream that falls silent "+it, func(t *testing.T) {
			p, messages := scripted(t, tt.fault)
			g, err := middleware.WrapStream(messages).Commit(anthropic.Says).Complete(anthropic.Ends).
				Retry(soon).Timeout(400 * time.Millisecond).Idle(400 * time.Millisecond).Build()
			if err != nil {
				t.Fatal(err)
			}
			_, err = middleware.Collect(g.Stream(t.Context(), ask("narrator")))
			if recovered := tt.requests == 2; recovered != (err == nil) {
				t.Errorf("got %v", err)
			}
			if failure, ok := errors.AsType[*strategies.StreamError](err); ok {
				class(t, failure.Err, strategies.ClassTimeout)
			}
			if got := p.seen("narrator"); got != tt.requests {
				t.Errorf("%d requests, want %d", got, tt.requests)
			}
		})
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	const text = "The innkeeper shrugs: \"TEXT\" \x01\n"
	m, err := anthropic.Reply(text).Run(t.Context(), ask("narrator"))
	if err != nil || said(m) != text {
		t.Fatalf("got %v, %v", m, err)
	}
	if param := m.ToParam(); len(param.Content) != 1 || param.Content[0].OfText == nil || param.Content[0].OfText.Text != text {
		t.Errorf("it cannot be sent back: %+v", param)
	}
	p := serve(t, script{"narrator": {overloaded}})
	g, err := middleware.WrapStream(anthropic.Messages(connect(p.URL))).Commit(anthropic.Says).Complete(anthropic.Ends).
		Degrade(strategies.LevelMinimal, anthropic.Reply(text)).Build()
	if err != nil {
		t.Fatal(err)
	}
	stream, outcome := g.Outcome(t.Context(), ask("narrator"))
	var whole sdk.Message
	for event, err := range stream {
		if err == nil {
			err = whole.Accumulate(event)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if o := outcome(); said(&whole) != text || whole.StopReason != sdk.StopReasonEndTurn || o.Level != strategies.LevelMinimal || o.Strategy != strategies.StrategyDegradation {
		t.Errorf("got %q, %+v", said(&whole), o)
	}
}
