package httphint_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

// newAgent is an agent whose client asks three times by itself and says little
// of why it gave up.
func newAgent(client *http.Client, url string) func(ctx context.Context, question string) (string, error) {
	return func(ctx context.Context, _ string) (string, error) {
		for range 3 {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return "", err
			}
			resp, err := client.Do(req)
			if err != nil {
				return "", err
			}
			if err := resp.Body.Close(); err != nil {
				return "", err
			}
			if resp.StatusCode == http.StatusOK {
				return "A stranger.", nil
			}
		}
		return "", errors.New("no answer")
	}
}

// The agent's error is "no answer" and nothing more. What the wire said decides
// all the same: a rate limit is waited for as long as the provider asks, and
// the client's own retries come to light.
func Example() {
	requests := 0
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests++; requests <= 3 {
			w.Header().Set("Retry-After-Ms", "20")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer provider.Close()

	log := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
		fmt.Printf("%v: %v, %v %q\n", e.Kind, e.Class, e.Delay, e.Detail)
	})
	client := &http.Client{Transport: httphint.Transport{}} // any SDK that takes a client
	narrator, err := middleware.WrapFunc(newAgent(client, provider.URL)).
		Named("narrator").
		Around(middleware.StageAgent, httphint.Layer(httphint.Hidden(log, "narrator"))).
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
		Observe(log).
		Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := narrator.Run(context.Background(), "Who is at the door?")
	fmt.Println(answer, err)
	// Output:
	// hidden_requests: unclassified, 0s "3 requests where 1 was asked for: switch off the retries below"
	// attempt_failed: rate_limited, 0s ""
	// retry_scheduled: rate_limited, 20ms ""
	// recovered: rate_limited, 0s ""
	// A stranger. <nil>
}

// A hint can be carried without a chain, too.
func ExampleWith() {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer provider.Close()

	ctx, hint := httphint.With(context.Background())
	_, err := newAgent(&http.Client{Transport: httphint.Transport{}}, provider.URL)(ctx, "Who is at the door?")
	seen := hint.Seen()
	fmt.Printf("%v: %d requests, the last one %d, come back in %v\n", err, seen.Requests, seen.Status, seen.RetryAfter)
	// Output: no answer: 3 requests, the last one 503, come back in 20s
}

// A tool whose destination knows the header may be called again: it acts once.
func ExampleIdempotent() {
	paid := map[string]bool{}
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get(httphint.IdempotencyKey)
		fmt.Println("asked; paid already:", paid[key])
		if !paid[key] {
			paid[key] = true
			panic(http.ErrAbortHandler) // it has acted, and its answer is lost
		}
	}))
	defer shop.Close()

	client := &http.Client{Transport: httphint.Idempotent{}}
	pay := middleware.WrapTool("pay", strategies.EffectIdempotent, func(ctx context.Context, url string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
		if err != nil {
			return "", err
		}
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		return resp.Status, resp.Body.Close()
	})
	buyer, err := middleware.Wrap(pay). // in place of an agent with this tool
						Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
						Identify().
						Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(buyer.Run(context.Background(), shop.URL))
	// Output:
	// asked; paid already: false
	// asked; paid already: true
	// 200 OK <nil>
}
