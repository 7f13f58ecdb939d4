package mcp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/middleware/adapters/mcp"
)

var soon = conformance.Soon

// fault answers a request for a tool call in the server's place; nil lets it
// through.
type fault func(w http.ResponseWriter, r *http.Request)

// server is a real server behind an HTTP endpoint that fails by script.
type server struct {
	*httptest.Server
	protocol protocol
	tools    *sdk.Server
	calls    atomic.Int32 // HTTP requests for a tool call
}

// protocol is the version that is spoken, and true where the server keeps no
// session: the SDK speaks the newer one over HTTP only so.
type protocol bool

const (
	sessions  protocol = false // 2025-11-25: the server asks by requests of its own
	stateless protocol = true  // 2026-07-28: it asks by its result, in rounds
)

func (p protocol) String() string {
	return map[protocol]string{sessions: "2025-11-25", stateless: "2026-07-28"}[p]
}

func (p protocol) serve(t testing.TB, tools *sdk.Server, faults ...fault) *server {
	t.Helper()
	s := &server{protocol: p, tools: tools}
	quiet := slog.New(slog.DiscardHandler)
	handler := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return tools }, &sdk.StreamableHTTPOptions{Logger: quiet, Stateless: bool(p)})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var message struct{ Method string }
		if json.Unmarshal(body, &message) == nil && message.Method == "tools/call" {
			if n := int(s.calls.Add(1)); n <= len(faults) && faults[n-1] != nil {
				faults[n-1](w, r)
				return
			}
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// says answers with a status, a body, and headers given as name, value, ...
func says(status int, body string, headers ...string) fault {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// refuses answers with a status and a JSON-RPC error.
func refuses(status int, code, message string) fault {
	return func(w http.ResponseWriter, r *http.Request) {
		var request struct{ ID json.RawMessage }
		if body, err := io.ReadAll(r.Body); err != nil || json.Unmarshal(body, &request) != nil {
			return
		}
		says(status, `{"jsonrpc":"2.0","id":`+string(request.ID)+`,"error":{"code":`+code+`,"message":"`+message+`"}}`,
			"Content-Type", "application/json")(w, r)
	}
}

func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// cuts begins a stream of events and closes the connection.
func cuts(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, ": wait\n\n")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

var yes = true

// inn is a server with a tool of each kind, which all answer the same.
func inn(answer string) *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: "inn", Version: "1"}, &sdk.ServerOptions{Logger: slog.New(slog.DiscardHandler)})
	for name, a := range map[string]*sdk.ToolAnnotations{
		"look":  {ReadOnlyHint: true},
		"bar":   {IdempotentHint: true, DestructiveHint: &yes},
		"pay":   {},
		"knock": nil,
	} {
		add(s, name, a, func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) { return said(answer), nil })
	}
	return s
}

func add(s *sdk.Server, name string, a *sdk.ToolAnnotations, handle sdk.ToolHandler) {
	s.AddTool(&sdk.Tool{Name: name, Annotations: a, InputSchema: map[string]any{"type": "object"}}, handle)
}

func said(text string) *sdk.CallToolResult {
	return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: text}}}
}

func failed(text string) *sdk.CallToolResult {
	r := said(text)
	r.IsError = true
	return r
}

func text(r *sdk.CallToolResult) string {
	var b strings.Builder
	if r != nil {
		for _, c := range r.Content {
			if c, ok := c.(*sdk.TextContent); ok {
				b.WriteString(c.Text)
			}
		}
	}
	return b.String()
}

var host = &sdk.Implementation{Name: "host", Version: "1"}

func client(t testing.TB, options *sdk.ClientOptions, settings func(*mcp.Builder), repeatable ...string) *sdk.Client {
	t.Helper()
	c, err := mcp.NewClient(host, options, settings, repeatable...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// connect opens a session and lists the tools, as every host does.
func connect(t testing.TB, c *sdk.Client, s *server) *sdk.ClientSession {
	t.Helper()
	session, err := c.Connect(t.Context(), &sdk.StreamableClientTransport{
		Endpoint: s.URL, HTTPClient: &http.Client{Transport: httphint.Transport{Base: s.Client().Transport}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := session.InitializeResult().ProtocolVersion; got != s.protocol.String() {
		t.Fatalf("they speak %s", got)
	}
	t.Cleanup(func() { _ = session.Close() })
	if _, err := session.ListTools(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return session
}

func call(t testing.TB, session *sdk.ClientSession, tool string) (*sdk.CallToolResult, error) {
	t.Helper()
	return session.CallTool(t.Context(), &sdk.CallToolParams{Name: tool})
}
