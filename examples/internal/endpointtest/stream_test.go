package endpointtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/understudy-go/understudy/internal/endpoint"
)

func TestStreamFaults(t *testing.T) {
	whole := []string{"", "one ", "two ", "three ", "four", ""} // role, words, finish_reason
	for _, tt := range []struct {
		fault           endpoint.Fault
		chunks          []string
		finish, refusal string
		err             string // "" is a stream that reports no error
		is              error
	}{
		{fault: endpoint.OK(), chunks: whole, finish: "stop"},
		{fault: endpoint.Slow(time.Millisecond), chunks: whole, finish: "stop"},
		{fault: endpoint.Empty(), chunks: []string{"", ""}, finish: "stop"},
		{fault: endpoint.ContentFilter(), chunks: []string{"", ""}, finish: "content_filter"},
		{fault: endpoint.Truncated(), chunks: []string{"", "one ", "two", ""}, finish: "length"},
		{fault: endpoint.Refusal(), chunks: make([]string, 10), finish: "stop", refusal: "I'm sorry, but I can't help with that."},

		{fault: endpoint.Drop(), err: "EOF", is: io.EOF},
		{fault: endpoint.CutBeforeFirst(), err: "unexpected EOF", is: io.ErrUnexpectedEOF},
		{fault: endpoint.CutAfter(0), chunks: whole[:1], err: "unexpected EOF", is: io.ErrUnexpectedEOF},
		{fault: endpoint.CutAfter(3), chunks: whole[:4], err: "unexpected EOF", is: io.ErrUnexpectedEOF},
		{fault: endpoint.CutAfter(99), chunks: whole[:5], err: "unexpected EOF", is: io.ErrUnexpectedEOF},
		{fault: endpoint.CutBody(), chunks: whole[:3], err: "unexpected EOF", is: io.ErrUnexpectedEOF},
		{fault: endpoint.Malformed(), chunks: whole[:1], err: "invalid character 'o'"},

		{fault: endpoint.CleanEOFBefore()},
		{fault: endpoint.CleanEOFAfter(0), chunks: whole[:1]},
		{fault: endpoint.CleanEOFAfter(2), chunks: whole[:3]},

		{fault: endpoint.ErrorEventBefore(), err: "received error while streaming"},
		{fault: endpoint.ErrorEventAfter(2), chunks: whole[:3], err: "received error while streaming"},
	} {
		t.Run(tt.fault.String(), func(t *testing.T) {
			srv := scripted(t, tt.fault)
			got := listen(t.Context(), client(srv), ask(model, "hello"))
			if !slices.Equal(got.chunks, tt.chunks) || got.finish != tt.finish || got.refusal != tt.refusal {
				t.Errorf("got %q finish %q refusal %q", got.chunks, got.finish, got.refusal)
			}
			if n := srv.Requests(model); n != 1 {
				t.Errorf("got %d requests, want 1", n)
			}
			switch {
			case tt.err == "" && got.err != nil:
				t.Errorf("got error %v, want none", got.err)
			case tt.err != "" && got.err == nil:
				t.Errorf("got no error, want %q", tt.err)
			case tt.err != "":
				contains(t, got.err.Error(), tt.err)
			}
			if tt.is != nil && !errors.Is(got.err, tt.is) {
				t.Errorf("got %v, want errors.Is %v", got.err, tt.is)
			}
		})
	}
}

func TestErrorEventCarriesTheErrorObject(t *testing.T) {
	got := listen(t.Context(), client(scripted(t, endpoint.ErrorEventAfter(1))), ask(model, "hello"))
	e, ok := errors.AsType[*ssestream.StreamError](got.err)
	if !ok {
		t.Fatalf("got %T %v, want *ssestream.StreamError", got.err, got.err)
	}
	var body struct {
		Error struct{ Message, Type string }
	}
	if err := json.Unmarshal(e.Event.Data, &body); err != nil || body.Error.Type != "server_error" || body.Error.Message == "" {
		t.Errorf("got event %s (%v)", e.Event.Data, err)
	}
}

func TestStreamsThatNeverEnd(t *testing.T) {
	var all sync.WaitGroup // together, so that the test waits but once
	defer all.Wait()
	for _, tt := range []struct {
		fault  endpoint.Fault
		chunks []string
	}{
		{fault: endpoint.Hang()},
		{fault: endpoint.Slow(time.Hour)},
		{fault: endpoint.StallBefore()},
		{fault: endpoint.StallAfter(0), chunks: []string{""}},
		{fault: endpoint.StallAfter(2), chunks: []string{"", "one ", "two "}},
	} {
		srv := scripted(t, tt.fault)
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			got := listen(ctx, client(srv), ask(model, "hello"))
			if !errors.Is(got.err, context.DeadlineExceeded) {
				t.Errorf("%v: got %v, want the deadline", tt.fault, got.err)
			}
			if !slices.Equal(got.chunks, tt.chunks) {
				t.Errorf("%v: got %q, want %q", tt.fault, got.chunks, tt.chunks)
			}
		})
	}
}

func TestStreamUsageWhenAsked(t *testing.T) {
	srv := scripted(t, endpoint.OK())
	params := ask(model, "hello there")
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	if got := listen(t.Context(), client(srv), params); got.err != nil || got.usage != 2+4 {
		t.Errorf("got usage %d, error %v; want 6 tokens", got.usage, got.err)
	}
	if got := listen(t.Context(), client(srv), ask(model, "hello there")); got.usage != 0 {
		t.Errorf("got usage %d without asking for it", got.usage)
	}
}

func TestStreamAndBodyTellTheSameStory(t *testing.T) {
	srv := start(t, endpoint.Plan{Seed: 7})
	answer, err := client(srv).Chat.Completions.New(t.Context(), ask(model, "I open the door"))
	if err != nil {
		t.Fatal(err)
	}
	got := listen(t.Context(), client(srv), ask(model, "I open the door"))
	if want := answer.Choices[0].Message.Content; got.text != want || want == "" {
		t.Errorf("streamed %q, answered %q", got.text, want)
	}
	contains(t, got.text, "I open the door")
}
