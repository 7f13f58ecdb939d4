package httphint_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

// till is a destination that knows the header: it acts once a key, and notes what it
// was sent.
type till struct {
	*httptest.Server
	mu   sync.Mutex
	keys []string // of each request; "": none
	acts map[string]int
	cut  int // so many requests lose their answer, after it has acted
}

func opens(t *testing.T, cut int) *till {
	t.Helper()
	k := &till{acts: map[string]int{}, cut: cut}
	k.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		k.mu.Lock()
		key := r.Header.Get(httphint.IdempotencyKey)
		k.keys = append(k.keys, key)
		if key == "" || k.acts[key] == 0 {
			k.acts[key]++
		}
		lost := len(k.keys) <= k.cut
		k.mu.Unlock()
		if lost {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *till) done() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, acts := range k.acts {
		n += acts
	}
	return n
}

func (k *till) client() *http.Client {
	return &http.Client{Transport: httphint.Idempotent{Base: &http.Transport{DisableKeepAlives: true}}}
}

// sends is a tool, or an agent, that sends one request.
func (k *till) sends(method, path string, headers ...string) func(ctx context.Context, _ string) (string, error) {
	return func(ctx context.Context, _ string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, method, k.URL+path, strings.NewReader("7 crowns"))
		if err != nil {
			return "", err
		}
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := k.client().Do(req)
		if err != nil {
			return "", err
		}
		if req.Header.Get(httphint.IdempotencyKey) != "" && len(headers) == 0 {
			return "", errors.New("the caller's request was written to")
		}
		return "paid", resp.Body.Close()
	}
}

func TestIdempotent(t *testing.T) {
	t.Parallel()
	again := strategies.Retry{Backoff: strategies.Delays{0}}
	for _, tt := range []struct {
		it       string
		method   string
		headers  []string
		identity bool
		cut      int
		sent     int // requests
		done     int // what the destination did
		keyed    bool
	}{
		{it: "sends the same key in every attempt", method: http.MethodPost, identity: true, cut: 2, sent: 3, done: 1, keyed: true},
		{it: "sends one with PATCH", method: http.MethodPatch, identity: true, sent: 1, done: 1, keyed: true},
		{it: "sends one with PUT", method: http.MethodPut, identity: true, sent: 1, done: 1, keyed: true},
		{it: "sends one with DELETE", method: http.MethodDelete, identity: true, sent: 1, done: 1, keyed: true},
		{it: "sends none with what only reads", method: http.MethodGet, identity: true, sent: 1, done: 1},
		{it: "sends none without an identity, and no fresh one", method: http.MethodPost, cut: 1, sent: 2, done: 2},
		{it: "keeps the request's own", method: http.MethodPost, headers: []string{httphint.IdempotencyKey, `"mine"`}, identity: true, cut: 1, sent: 2, done: 1},
		{it: "keeps one that is empty", method: http.MethodPost, headers: []string{httphint.IdempotencyKey, ""}, identity: true, sent: 1, done: 1},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			k := opens(t, tt.cut)
			b := middleware.WrapFunc(k.sends(tt.method, "/pay", tt.headers...)).Retry(again)
			if tt.identity {
				b.Identify()
			}
			g, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			if answer, err := g.Run(t.Context(), ""); err != nil || answer != "paid" {
				t.Fatalf("got %q, %v", answer, err)
			}
			expect(t, "requests", len(k.keys), tt.sent)
			expect(t, "done", k.done(), tt.done)
			for _, key := range k.keys {
				expect(t, "a key of ours: "+key, len(key) == 43 && key[0] == '"' && key[42] == '"', tt.keyed)
				expect(t, "the same", key, k.keys[0])
			}
		})
	}
	t.Run("it has a key for each effect, each address and each call", func(t *testing.T) {
		k := opens(t, 0)
		begins := map[string]string{}
		pay := middleware.WrapTool("pay", strategies.EffectIdempotent, func(ctx context.Context, order string) (string, error) {
			key, err := middleware.CallOf(ctx).IdempotencyKey()
			begins[order] = key
			for _, path := range []string{"/reserve", "/pay"} {
				if err == nil {
					_, err = k.sends(http.MethodPost, path)(ctx, "")
				}
			}
			return "", err
		})
		g, err := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
			for _, order := range []string{"A1", "A2", "A1"} {
				if _, err := pay.Run(ctx, order); err != nil {
					return "", err
				}
			}
			return "ok", nil
		}).Identify().Build()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := g.Run(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
		}
		expect(t, "requests", len(k.keys), 12)
		expect(t, "keys", len(k.acts), 8)
		expect(t, "the key begins with that of the effect", strings.HasPrefix(k.keys[11], `"`+begins["A1"]+"-"), true)
	})
	t.Run("its zero value sends by way of the default", func(t *testing.T) {
		k := opens(t, 0)
		client := &http.Client{Transport: httphint.Idempotent{}}
		resp, err := client.Post(k.URL, "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		client.CloseIdleConnections()
		expect(t, "closed", resp.Body.Close(), nil)
		expect(t, "key", k.keys[0], "")
	})
}
