package genai_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genai"
	"github.com/understudy-go/understudy/strategies"
)

const pro = `{"functionCall":{"name":"f","args":{"a":1}}}`

// Until an answer is whole nobody can have acted on a function call of it, so that
// everything before its end can be asked for again.
func TestStreamsOfFunctionCalls(t *testing.T) {
	t.Parallel()
	thought, word := response(candidate("", `{"text":"Hm","thought":true}`)), gemini.Candidate("I look. ", "")
	call, stranger := response(candidate("", pro)), response(candidate("", `{"functionCall":{"name":"g"}}`))
	first := response(candidate("", `{"functionCall":{"name":"f","willContinue":true}}`))
	piece := response(candidate("", `{"functionCall":{"partialArgs":[{"jsonPath":"$.a","numberValue":1}],"willContinue":true}}`))
	over := response(candidate("", `{"functionCall":{}}`))
	stop, limit := gemini.Candidate("", "STOP"), gemini.Candidate("", "MAX_TOKENS")
	whole := gemini.Events(thought, call, stop)
	type accept = []sdk.FinishReason
	for _, tt := range []struct {
		it       string
		first    gemini.Answer
		accept   accept
		commit   func(*sdk.GenerateContentResponse) bool // nil: Says
		requests int
		chunks   int    // that the reader gets
		want     string // the reason why it ended; "": it ended well
		cut      bool   // or it was cut
	}{
		{it: "delivers one that is whole, all of it", first: whole, requests: 1, chunks: 3},
		{it: "delivers one that comes in pieces", first: gemini.Events(first, piece, over, stop), requests: 1, chunks: 4},
		{it: "delivers two that come in pieces", first: gemini.Events(first, over, first, piece, over, stop), requests: 1, chunks: 6},
		{it: "asks again for one cut before its end", first: gemini.Cut(thought, call), requests: 2, chunks: 3},
		{it: "asks again for one that ends before its end", first: gemini.Events(thought, call), requests: 2, chunks: 3},
		{it: "asks again for one whose pieces are missing", first: gemini.Events(first, piece, stop), requests: 2, chunks: 3},
		{it: "asks again for one that was not declared", first: gemini.Events(stranger, stop), requests: 2, chunks: 3},
		{it: "asks again for one that a limit cut", first: gemini.Events(first, piece, limit), requests: 2, chunks: 3},
		{it: "asks again for a broken one", first: gemini.Events(thought, gemini.Candidate("", "MALFORMED_FUNCTION_CALL")), requests: 2, chunks: 3},
		{it: "asks again for thoughts that were cut", first: gemini.Cut(thought), requests: 2, chunks: 3},
		{it: "ends thoughts that were shown", first: gemini.Cut(thought, thought), commit: genai.SaysThinking, requests: 1, chunks: 2, cut: true},
		{it: "ends one whose words were said", first: gemini.Cut(word, call), requests: 1, chunks: 2, cut: true},
		{it: "does not deliver one that was not declared", first: gemini.Events(word, stranger, call, stop), requests: 1, chunks: 1, want: genai.UnknownTool},
		{it: "names the limit that cut it", first: gemini.Events(word, first, limit), requests: 1, chunks: 2, want: "MAX_TOKENS"},
		{it: "takes no half of one with a limit that is accepted", first: gemini.Events(word, first, limit), accept: accept{sdk.FinishReasonMaxTokens}, requests: 1, chunks: 2, want: genai.Arguments},
		{it: "takes no half of one without an end", first: gemini.Events(word, first), accept: accept{genai.Unfinished}, requests: 1, chunks: 2, want: genai.Arguments},
		{it: "takes one in pieces before a limit that is accepted", first: gemini.Events(first, piece, over, limit), accept: accept{sdk.FinishReasonMaxTokens}, requests: 1, chunks: 4},
		{it: "accepts half of one if told to", first: gemini.Events(first, stop), accept: accept{genai.Arguments}, requests: 1, chunks: 2},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			server, agent := narrator(t, tt.first, whole)
			if tt.commit == nil {
				tt.commit = genai.Says
			}
			b := middleware.WrapStream(agent.Accept(tt.accept...)).Commit(tt.commit).Retry(soon)
			got, err := middleware.Collect(conformance.Built(t, b).Stream(t.Context(), declaring("narrator", "f")))
			if len(got) != tt.chunks {
				t.Errorf("%d chunks, want %d", len(got), tt.chunks)
			}
			if failure, ok := errors.AsType[*strategies.StreamError](err); ok && tt.cut {
				class(t, failure.Err, strategies.ClassTransient)
			} else {
				judged(t, err, tt.want, strategies.ClassCutOff)
			}
			if n := server.Requests("narrator"); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

// A request may have functions that cannot be seen in it.
func TestFunctionsFromElsewhere(t *testing.T) {
	t.Parallel()
	extra := sdk.HTTPOptions{ExtraBody: map[string]any{"tools": []any{}}}
	for it, tt := range map[string]struct {
		config *sdk.GenerateContentConfig
		client func(*sdk.ClientConfig)
		want   string
	}{
		"no config":               {want: genai.UnknownTool},
		"no function of this one": {config: &sdk.GenerateContentConfig{Tools: []*sdk.Tool{{FunctionDeclarations: []*sdk.FunctionDeclaration{{Name: "g"}}}}}, want: genai.UnknownTool},
		"a cache":                 {config: &sdk.GenerateContentConfig{CachedContent: "cachedContents/1"}},
		"the computer use tool":   {config: &sdk.GenerateContentConfig{Tools: []*sdk.Tool{{ComputerUse: &sdk.ComputerUse{}}}}},
		"MCP servers":             {config: &sdk.GenerateContentConfig{Tools: []*sdk.Tool{{MCPServers: []*sdk.MCPServer{{Name: "m"}}}}}},
		"the body":                {config: &sdk.GenerateContentConfig{HTTPOptions: &extra}},
		"the body of the client":  {client: func(c *sdk.ClientConfig) { c.HTTPOptions.ExtraBody = extra.ExtraBody }},
	} {
		t.Run("it looks at "+it, func(t *testing.T) {
			answer := response(candidate("STOP", pro))
			server := play(t, answers{"narrator": {gemini.Body(answer), gemini.Events(answer)}})
			if tt.client == nil {
				tt.client = func(*sdk.ClientConfig) {}
			}
			agent, req := genai.Models(connect(t, server.URL(), tt.client)), ask("narrator")
			req.Config = tt.config
			_, whole := agent.Run(t.Context(), req)
			_, streamed := middleware.Collect(agent.Stream(t.Context(), req))
			judged(t, whole, tt.want, strategies.ClassInvalidAnswer)
			judged(t, streamed, tt.want, strategies.ClassInvalidAnswer)
		})
	}
}

type streamBuilder = middleware.StreamBuilder[genai.Request, *sdk.GenerateContentResponse]

// policies are what a stream may do after its first words.
var policies = map[string]func(*streamBuilder) *streamBuilder{
	"Terminate": func(b *streamBuilder) *streamBuilder { return b.Commit(genai.Says) },
	"Continue": func(b *streamBuilder) *streamBuilder {
		return b.Commit(genai.Says).Continue(2, func(_ context.Context, req genai.Request, _ []*sdk.GenerateContentResponse) (genai.Request, bool) {
			return req, true
		})
	},
	"Buffer": func(b *streamBuilder) *streamBuilder { return b.Buffer(100) },
}

// What comes after its terminal marker is no failure of an answer's, and nothing
// is asked for again.
func TestWhatComesAfterTheEnd(t *testing.T) {
	t.Parallel()
	hello, stop := gemini.Candidate("Hello", ""), gemini.Candidate("", "STOP")
	second, other := `{"candidates":[{"index":1,"content":{"parts":[{"text":"Hi"}]}}]}`, `{"candidates":[{"index":1,"finishReason":"STOP"}]}`
	usage, overloaded := `{"usageMetadata":{"totalTokenCount":2}}`, gemini.ErrorBody(503, "UNAVAILABLE", "The model is overloaded.")
	two := ask("narrator")
	two.Config = &sdk.GenerateContentConfig{CandidateCount: 2}
	for it, tt := range map[string]struct {
		req    genai.Request
		answer gemini.Answer
		said   string
	}{
		"a cut":                   {ask("narrator"), gemini.Cut(hello, stop), "Hello"},
		"a cut after usage":       {ask("narrator"), gemini.Cut(hello, stop, usage), "Hello"},
		"a cut after one chunk":   {ask("narrator"), gemini.Cut(gemini.Candidate("Hello", "STOP")), "Hello"},
		"a cut within the next":   {ask("narrator"), gemini.Cut(hello, stop, `{"usage`), "Hello"},
		"an error":                {ask("narrator"), gemini.Events(hello, stop, overloaded), "Hello"},
		"garbage":                 {ask("narrator"), gemini.Events(hello, stop, "garbage"), "Hello"},
		"silence":                 {ask("narrator"), gemini.Stall(hello, stop), "Hello"},
		"a cut after both":        {two, gemini.Cut(hello, second, stop, other), "HelloHi"},
		"a function call and cut": {declaring("narrator", "f"), gemini.Cut(response(candidate("", pro)), stop), ""},
	} {
		for name, policy := range policies {
			t.Run("it takes no notice of "+it+", "+name, func(t *testing.T) {
				server, agent := narrator(t, tt.answer)
				b := policy(middleware.WrapStream(agent).Complete(genai.Ends)).Retry(soon).Idle(400 * time.Millisecond)
				chunks, err := middleware.Collect(conformance.Built(t, b).Stream(t.Context(), tt.req))
				if err != nil || joined(chunks) != tt.said || len(chunks) == 0 {
					t.Errorf("got %q, %v", joined(chunks), err)
				}
				if n := server.Requests("narrator"); n != 1 {
					t.Errorf("%d requests", n)
				}
			})
		}
	}
	t.Run("it misses the candidates that were asked for", func(t *testing.T) {
		_, agent := narrator(t, gemini.Cut(hello, stop))
		_, err := middleware.Collect(agent.Stream(t.Context(), two))
		class(t, err, strategies.ClassTransient)
	})
}

// What proxies put into an event stream is none of its data.
func TestEventStreams(t *testing.T) {
	t.Parallel()
	hello, stop := gemini.Candidate("Hello", ""), gemini.Candidate("", "STOP")
	long := gemini.Candidate(strings.Repeat("x", 10_000), "")
	for it, tt := range map[string]struct{ stream, said string }{
		"a comment before the first":     {": keep-alive\n\ndata: " + hello + "\n\ndata: " + stop + "\n\n", "Hello"},
		"a comment between two":          {"data: " + hello + "\n\n: keep-alive\n\n: keep-alive\n\ndata: " + stop + "\n\n", "Hello"},
		"a comment after the last":       {"data: " + hello + "\n\ndata: " + stop + "\n\n: bye\n\n", "Hello"},
		"a comment in the same event":    {": keep-alive\ndata: " + hello + "\n\ndata: " + stop + "\n: keep-alive\n\n", "Hello"},
		"an empty comment":               {":\n\ndata: " + hello + "\n\n:\n\ndata: " + stop + "\n\n", "Hello"},
		"a long comment":                 {":" + strings.Repeat("data: x", 10_000) + "\n\ndata: " + hello + "\n\ndata: " + stop + "\n\n", "Hello"},
		"names, numbers and retry times": {"event: message\nid: 7\nretry: 10\ndata: " + hello + "\n\nevent: message\ndata: " + stop + "\n\n", "Hello"},
		"line ends of another kind":      {": keep-alive\r\n\r\ndata: " + hello + "\r\n\r\n: keep-alive\r\n\r\ndata: " + stop + "\r\n\r\n", "Hello"},
		"more blank lines than one":      {"\n\n\ndata: " + hello + "\n\n\n\n\ndata: " + stop + "\n\n", "Hello"},
		"a long event":                   {"data: " + long + "\n\n: keep-alive\n\ndata: " + stop + "\n\n", strings.Repeat("x", 10_000)},
		"no line after the last":         {"data: " + hello + "\n\n: keep-alive\n\ndata: " + stop, "Hello"},
	} {
		t.Run("it reads a stream with "+it, func(t *testing.T) {
			_, agent := narrator(t, events(tt.stream))
			chunks, err := middleware.Collect(agent.Stream(t.Context(), ask("narrator")))
			if err != nil || joined(chunks) != tt.said || len(chunks) != 2 {
				t.Errorf("got %d chunks, %v", len(chunks), err)
			}
		})
	}
	t.Run("it delivers a chunk as soon as it has come", func(t *testing.T) {
		read := make(chan struct{})
		_, agent := narrator(t, func(w http.ResponseWriter, r *http.Request, seen gemini.Request) {
			events(": keep-alive\n\ndata: "+hello+"\n\n")(w, r, seen)
			_ = http.NewResponseController(w).Flush()
			<-read // or the test never ends
			_, _ = io.WriteString(w, ": keep-alive\n\ndata: "+stop+"\n\n")
		})
		for chunk, err := range agent.Stream(t.Context(), ask("narrator")) {
			if err != nil {
				t.Error(err)
			}
			if chunk.Text() == "Hello" {
				close(read)
			}
		}
	})
	t.Run("it leaves an error that is no event", func(t *testing.T) {
		_, agent := narrator(t, events(": keep-alive\n\n"+gemini.ErrorBody(503, "UNAVAILABLE", "The model is overloaded.")+"\n\n"))
		_, err := middleware.Collect(agent.Stream(t.Context(), ask("narrator")))
		if own, ok := errors.AsType[sdk.APIError](err); !ok || own.Code != 503 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it leaves the caller's client as it is, and what is in its transport", func(t *testing.T) {
		server := play(t, answers{"narrator": {events(": keep-alive\n\ndata: " + gemini.Candidate("Hello", "STOP") + "\n\n")}})
		seen := 0
		own := &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
			seen++
			return http.DefaultTransport.RoundTrip(r)
		})}
		client := connect(t, server.URL(), func(c *sdk.ClientConfig) { c.HTTPClient = own })
		chunks, err := middleware.Collect(genai.Models(client).Stream(t.Context(), ask("narrator")))
		if err != nil || joined(chunks) != "Hello" || seen != 1 {
			t.Errorf("got %q, %v, seen %d times", joined(chunks), err, seen)
		}
		if _, ok := own.Transport.(tripper); !ok {
			t.Errorf("the transport is %T now", own.Transport)
		}
	})
}

// The agent makes the client again, wherever its settings came from.
func TestEveryClientHears(t *testing.T) {
	t.Setenv("GOOGLE_CLOUD_PROJECT", "tavern")
	t.Setenv("GOOGLE_CLOUD_LOCATION", "europe-west4")
	for it, change := range map[string]func(*sdk.ClientConfig){
		"of Gemini":                   func(*sdk.ClientConfig) {},
		"of Vertex AI":                func(c *sdk.ClientConfig) { c.Backend = sdk.BackendVertexAI },
		"of a project on Vertex AI":   func(c *sdk.ClientConfig) { c.Backend, c.APIKey, c.HTTPClient = sdk.BackendVertexAI, "", &http.Client{} },
		"with an HTTP client, a copy": func(c *sdk.ClientConfig) { c.HTTPClient = &http.Client{Timeout: time.Minute} },
	} {
		t.Run("it hears one "+it, func(t *testing.T) {
			server := play(t, answers{"narrator": {events(": keep-alive\n\ndata: " + gemini.Candidate("Hello", "STOP") + "\n\n")}})
			chunks, err := middleware.Collect(genai.Models(connect(t, server.URL(), change)).Stream(t.Context(), ask("narrator")))
			if err != nil || joined(chunks) != "Hello" {
				t.Errorf("got %q, %v", joined(chunks), err)
			}
		})
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// events answers with an event stream, to the letter.
func events(stream string) gemini.Answer {
	return gemini.Body(stream, "Content-Type", "text/event-stream; charset=utf-8")
}
