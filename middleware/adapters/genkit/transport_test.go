package genkit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/firebase/genkit/go/ai"
	sdk "github.com/firebase/genkit/go/genkit"
	"github.com/firebase/genkit/go/plugins/googlegenai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTransport(t *testing.T) {
	t.Parallel()
	reset := errors.New("connection reset")
	for it, tt := range map[string]struct {
		kind, body string
		ends       bool
	}{
		"ends at OpenAI's":                      {"text/event-stream", `data: {"finish_reason": "stop"}`, true},
		"ends at OpenAI's marker":               {"text/event-stream; charset=utf-8", "data: [DONE]\n", true},
		"ends at Anthropic's":                   {"text/event-stream", `data: {"delta":{"stop_reason":"end_turn"}}`, true},
		"ends at Gemini's":                      {"text/event-stream", `data: {"finishReason":"STOP"}`, true},
		"goes on where there is none":           {"text/event-stream", `data: {"finish_reason":null}`, false},
		"goes on where the text says one":       {"text/event-stream", `data: {"content":"{\"finish_reason\":\"stop\"}"}`, false},
		"leaves what is no stream alone":        {"application/json", `{"finish_reason":"stop"}`, false},
		"leaves what does not say what it is":   {"", `{"finish_reason":"stop"}`, false},
		"goes on where a long text is streamed": {"text/event-stream", strings.Repeat("data: word\n", 1000), false},
		"ends behind a long text":               {"text/event-stream", strings.Repeat("data: word\n", 1000) + `{"finish_reason":"stop"}`, true},
	} {
		for way, slow := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader} {
			t.Run("it "+it+", "+way, func(t *testing.T) {
				base := roundTrip(func(*http.Request) (*http.Response, error) {
					return &http.Response{Header: http.Header{"Content-Type": {tt.kind}}, Body: io.NopCloser(io.MultiReader(slow(strings.NewReader(tt.body)), iotest.ErrReader(reset)))}, nil
				})
				resp, err := genkit.Transport{Base: base}.RoundTrip(&http.Request{})
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if string(body) != tt.body || (err == nil) != tt.ends || err != nil && !errors.Is(err, reset) {
					t.Errorf("got %d bytes, %v", len(body), err)
				}
			})
		}
	}
	t.Run("it passes on a failure", func(t *testing.T) {
		_, err := genkit.Transport{Base: roundTrip(func(*http.Request) (*http.Response, error) { return nil, reset })}.RoundTrip(&http.Request{})
		if !errors.Is(err, reset) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it lets Gemini's stream end", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			streams(`{"candidates":[{"content":{"role":"model","parts":[{"text":"A "}]}}]}`,
				`{"candidates":[{"finishReason":"STOP","content":{"role":"model","parts":[{"text":"stranger"}]}}]}`)(w, r)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		g := sdk.Init(t.Context(), sdk.WithPlugins(&googlegenai.GoogleAI{
			APIKey: "test", BaseURL: server.URL, HTTPClient: &http.Client{Transport: genkit.Transport{Base: server.Client().Transport}},
		}))
		heard := ""
		resp, err := ask(t, g, ai.WithModelName("googleai/gemini-2.5-flash"), ai.WithUse(stream(t, middleware.WrapStream(genkit.Next()).Retry(soon))),
			ai.WithStreaming(func(_ context.Context, chunk *ai.ModelResponseChunk) error {
				heard += chunk.Text()
				return nil
			}))
		if err != nil || resp.Text() != "A stranger" || heard != "A stranger" || server.requests.Load() != 1 {
			t.Errorf("got %v, %v; heard %q, %d requests", resp, err, heard, server.requests.Load())
		}
	})
}
