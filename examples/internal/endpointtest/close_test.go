package endpointtest_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-go/understudy/internal/endpoint"
)

func TestCloseReleasesWhatHangs(t *testing.T) {
	before := goroutines()
	srv, err := endpoint.Start(endpoint.Plan{Script: map[string][]endpoint.Fault{
		"unary":  {endpoint.Hang()},
		"stream": {endpoint.StallAfter(1)},
		"slow":   {endpoint.Slow(time.Hour)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	for _, name := range []string{"unary", "slow"} {
		clients.Go(func() {
			if _, err := client(srv).Chat.Completions.New(t.Context(), ask(name, "hello")); err == nil {
				t.Errorf("%s: got an answer from a closed server", name)
			}
		})
	}
	clients.Go(func() {
		if got := listen(t.Context(), client(srv), ask("stream", "hello")); got.err == nil {
			t.Errorf("got a stream %q without an error from a closed server", got.chunks)
		}
	})
	for srv.Total() < 3 {
		runtime.Gosched()
	}

	srv.Close()
	srv.Close()
	clients.Wait()
	settle(t, before)
	if srv.Requests("unary") != 1 || len(srv.Log()) != 3 {
		t.Error("the books are gone after Close")
	}
	if _, err := client(srv).Chat.Completions.New(t.Context(), ask(model, "hello")); err == nil {
		t.Error("a closed server answered")
	}
}

func TestAHandlerEndsWithItsClient(t *testing.T) {
	srv := start(t, endpoint.Plan{Down: map[string][]endpoint.Outage{
		"unary":  {{Fault: endpoint.Hang()}},
		"stream": {{Fault: endpoint.StallBefore()}},
	}})
	before := goroutines()
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	clients.Go(func() { _, _ = client(srv).Chat.Completions.New(ctx, ask("unary", "hello")) })
	clients.Go(func() { listen(ctx, client(srv), ask("stream", "hello")) })
	for srv.Total() < 2 {
		runtime.Gosched()
	}
	cancel()
	clients.Wait()
	settle(t, before) // the server still runs: only the connections may be gone
}

func TestWhatIsNotACompletion(t *testing.T) {
	srv := start(t, endpoint.Plan{})
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/chat/completions", "", 404, "Unknown request URL: GET /v1/chat/completions."},
		{"POST", "/responses", "{}", 404, "Unknown request URL"},
		{"POST", "/chat/completions", "{", 400, "could not parse the JSON body"},
		{"POST", "/chat/completions", `{"messages":[{"role":"user","content":"x"}]}`, 400, "model parameter"},
		{"POST", "/chat/completions", `{"model":"m"}`, 400, "'messages'"},
		{"POST", "/chat/completions", `{"model":"m","messages":[{"role":"user","content":7}]}`, 400, "parse"},
		{"POST", "/chat/completions", `{"model":"m","messages":[{"role":"assistant","content":null},{"role":"user","content":[{"type":"text","text":"I "},{"type":"text","text":"wait"}]}]}`, 200, "I wait"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, srv.URL()+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if !res.Close {
			t.Error("the connection may be used again, so a client may repeat a request on its own")
		}
		if err != nil || res.StatusCode != tt.status {
			t.Errorf("%s %s %s: got %d, %v", tt.method, tt.path, tt.body, res.StatusCode, err)
		}
		contains(t, string(body), tt.want)
	}
	if srv.Total() != 1 || srv.Requests("m") != 1 {
		t.Errorf("counted %d requests, want only the well-formed one", srv.Total())
	}
}

// goroutines counts those that serve or carry an HTTP connection, at either end.
func goroutines() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	count := 0
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "created by net/http.") {
			count++
		}
	}
	return count
}

// settle waits until there are no more of them than before: a connection's goroutine is a
// few instructions from its end when it reports itself closed.
func settle(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Second)
	for goroutines() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", goroutines(), before, stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}
