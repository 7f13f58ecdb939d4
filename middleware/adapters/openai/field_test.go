package openai_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/understudy-go/understudy/internal/field"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/openai"
	"github.com/understudy-go/understudy/strategies"
)

// TestEveryProvidersFailureLeadsWhereTheTableSays sends every failure of the corpus,
// in the words of whichever provider, to the real client. What comes of it is what
// the table of classes says of its class, and the requests are counted: a full
// window reaches the larger one with 1 + 1, an empty account is asked once.
func TestEveryProvidersFailureLeadsWhereTheTableSays(t *testing.T) {
	files, err := field.Read("../../../strategies/testdata/field")
	if err != nil {
		t.Fatal(err)
	}
	var now atomic.Pointer[field.Shape]
	var sick, well atomic.Int64
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		sick.Add(1)
		now.Load().Send(w)
	}))
	t.Cleanup(failing.Close)
	healthy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		well.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}]}`)
	}))
	t.Cleanup(healthy.Close)
	agent := func(url string) *openai.ChatAgent {
		return openai.Chat(sdk.NewClient(option.WithBaseURL(url), option.WithAPIKey("k")))
	}
	counts := map[string]int{}
	for _, file := range files {
		for _, shape := range file.Shapes {
			if shape.Plain || shape.Stream {
				continue
			}
			now.Store(&shape)
			sick.Store(0)
			well.Store(0)
			breaker := &strategies.Breaker{Failures: 1000}
			b := middleware.Wrap(agent(failing.URL)).Named("first").CircuitBreaker(breaker).
				Retry(strategies.Retry{MaxRetries: 1, Backoff: strategies.Delays{0}, MaxRetryAfter: time.Millisecond})
			var class strategies.Class
			for _, c := range strategies.Classes() {
				if c.String() == shape.Class {
					class = c
				}
			}
			v := strategies.VerdictOf(class)
			standsIn := v.Fallback
			if class == strategies.ClassContextOverflow {
				b = b.FallbackFor("larger", agent(healthy.URL), class)
			} else {
				b = b.Fallback("other", agent(healthy.URL))
			}
			g, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			_, err = g.Run(context.Background(), sdk.ChatCompletionNewParams{Model: "m", Messages: []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("hello")}})
			asked := int64(1)
			if held := v.Holds || shape.Wait > 0; v.Retry && !held && shape.Wait <= 0.001 {
				asked = 2 // once again, for it may pass
			}
			if got := [2]int64{sick.Load(), well.Load()}; got != [2]int64{asked, map[bool]int64{true: 1}[standsIn]} || (err == nil) != standsIn {
				t.Errorf("%s, %q (%s): %d requests to the first, %d to the other, %v", file.Provider, shape.Name, shape.Class, got[0], got[1], err)
			}
			if held := breaker.RetryAfter(); v.Holds && shape.Wait > 1 && shape.Wait < 3600 && (held < shape.Hint()-10*time.Second || held > shape.Hint()+time.Minute) {
				t.Errorf("%s, %q: the breaker is held for %v, and the provider said %v", file.Provider, shape.Name, held, shape.Hint())
			}
			counts[shape.Class]++
		}
	}
	t.Logf("failures by class: %v", counts)
}
