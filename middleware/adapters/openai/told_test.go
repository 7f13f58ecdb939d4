package openai_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	sdk "github.com/openai/openai-go/v3"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/strategies"
)

// What was wrong with an answer is told to the model, over the wire, and nothing else is.
func TestTold(t *testing.T) {
	for _, tc := range []struct {
		it    string
		first string // the first answer's finish reason, or a status
		told  string // that the second request says; "": it is the first one again
	}{
		{"an answer that was cut is asked to be shorter", "length", "be shorter"},
		{"a server's failure is nothing to the model", "503", ""},
	} {
		t.Run(tc.it, func(t *testing.T) {
			var bodies []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				bodies = append(bodies, string(body))
				w.Header().Set("Content-Type", "application/json")
				finish := "stop"
				if len(bodies) == 1 {
					if finish = tc.first; finish == "503" {
						w.WriteHeader(503)
						return
					}
				}
				_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"finish_reason":"`+finish+`","message":{"role":"assistant","content":"hi"}}]}`)
			}))
			t.Cleanup(server.Close)
			g := middleware.Must(middleware.Wrap(openai.Chat(connect(server.URL))).Retry(strategies.Retry{Backoff: strategies.Delays{0}}).RetryVia(openai.Told).Build())
			request := ask("m")
			if _, err := g.Run(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			if len(bodies) != 2 || strings.Contains(bodies[1], "could not be used") != (tc.told != "") || !strings.Contains(bodies[1], tc.told) || len(request.Messages) != 1 {
				t.Errorf("asked %q", bodies)
			}
		})
	}
	var none sdk.ChatCompletionNewParams
	if got, err := openai.Told(t.Context(), none, middleware.Failure{Err: errors.New("x")}); err != nil || len(got.Messages) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}
