package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/examples/internal/golden"
	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware/adapters/policy"
)

func TestOutput(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, "policy.yaml"); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "output.txt", out.String())
}

// front is a gateway in front of one provider that fails like that.
func front(t *testing.T, path string, plan endpoint.Plan) (*httptest.Server, *policy.File) {
	t.Helper()
	file, err := policy.Open(path, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server, err := endpoint.Start(plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	g, err := newGateway(file, provider{"only", server.URL(), "no-key"})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	return srv, file
}

func client(srv *httptest.Server) sdk.Client {
	return sdk.NewClient(option.WithBaseURL(srv.URL+"/v1"), option.WithAPIKey("x"), option.WithMaxRetries(0))
}

func question(user string) sdk.ChatCompletionNewParams {
	return sdk.ChatCompletionNewParams{Model: model, SafetyIdentifier: sdk.String(user), Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("well?")}}
}

func TestWhenNobodyCanAnswer(t *testing.T) {
	for it, tc := range map[string]struct {
		fault  endpoint.Fault
		status int
	}{
		"is limited": {endpoint.RateLimit(2 * time.Minute), http.StatusTooManyRequests}, "has too little room": {endpoint.ContextOverflow(), http.StatusBadRequest},
	} {
		srv, _ := front(t, "policy.yaml", endpoint.Plan{Down: map[string][]endpoint.Outage{model: {{Fault: tc.fault}}}})
		for _, streamed := range []bool{false, true} {
			_, err := ask(t.Context(), client(srv), question("ann"), streamed)
			var refused *sdk.Error
			if !errors.As(err, &refused) || refused.StatusCode != tc.status || refused.Message == "" {
				t.Errorf("the only one %s: %v", it, err)
			}
		}
	}
}

func TestAStreamThatIsCutOff(t *testing.T) {
	srv, _ := front(t, "policy.yaml", endpoint.Plan{Down: map[string][]endpoint.Outage{model: {{Fault: endpoint.CutAfter(2)}}}})
	answer, err := ask(t.Context(), client(srv), question("ann"), true)
	if err == nil || answer == "" {
		t.Errorf("%q, %v: what was said was said, and there is an error behind it", answer, err)
	}
}

func TestAnAllowanceAndANewPolicy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("defaults:\n  keys: {allowance: {calls: 1}}\n")
	srv, file := front(t, path, endpoint.Plan{})
	asks := func(user string) int {
		_, err := ask(t.Context(), client(srv), question(user), false)
		var refused *sdk.Error
		if errors.As(err, &refused) {
			return refused.StatusCode
		}
		return http.StatusOK
	}
	if got := [3]int{asks("ann"), asks("ann"), asks("bob")}; got != [3]int{200, 429, 200} {
		t.Errorf("%v", got)
	}
	write("defaults:\n  keys: {allowance: {calls: 2}}\n")
	if err := file.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := [2]int{asks("ann"), asks("ann")}; got != [2]int{200, 429} {
		t.Errorf("after the new policy: %v", got)
	}
	write("agents: {}\n")
	if err := file.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := asks("ann"); got != 200 {
		t.Errorf("without an allowance: %v", got)
	}
}

func TestWhatIsNoQuestion(t *testing.T) {
	srv, _ := front(t, "policy.yaml", endpoint.Plan{})
	for _, tc := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/chat/completions", "", 404}, {"POST", "/v1/other", "{}", 404}, {"POST", "/v1/chat/completions", "{", 400},
		{"POST", "/v1/chat/completions", `{"x":"` + strings.Repeat("y", mostBody) + `"}`, 400},
	} {
		req, err := http.NewRequestWithContext(context.Background(), tc.method, srv.URL+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != tc.status || tc.status == 400 && !json.Valid(body) {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, resp.StatusCode, body)
		}
	}
}
