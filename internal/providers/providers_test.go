// Package providers_test asks the real SDKs for real errors: their clients talk
// to a server of ours that fails, and what they return is classified. The
// library itself knows the SDKs only by the shape of their errors, so a new
// version of one may break it silently; here it breaks a test instead.
package providers_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // genai logs what it also returns
	os.Exit(m.Run())
}

// failure is one way to fail and what it must be taken for.
type failure struct {
	it     string
	answer http.HandlerFunc
	stream bool // ask for a stream
	want   strategies.Class
	hint   time.Duration
}

// ask is how an SDK is called: once, with its own retries off.
type ask func(ctx context.Context, url string, stream bool) error

func check(t *testing.T, ask ask, failures []failure) {
	t.Helper()
	for _, f := range failures {
		t.Run("it "+f.it, func(t *testing.T) {
			t.Parallel()
			calls := make(chan struct{}, 10)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls <- struct{}{}
				f.answer(w, r)
			}))
			t.Cleanup(server.Close)
			err := ask(t.Context(), server.URL, f.stream)
			if err == nil {
				t.Fatal("the SDK reports no error")
			}
			if len(calls) != 1 {
				t.Errorf("the SDK called %d times", len(calls))
			}
			got := strategies.Classify(err)
			if got.Class != f.want || got.RetryAfter != f.hint {
				t.Errorf("got %v, %v, want %v, %v, for %T: %v", got.Class, got.RetryAfter, f.want, f.hint, err, err)
			}
		})
	}
	t.Run("it takes a refused connection for transient", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(nil)
		server.Close()
		if got := strategies.Classify(ask(t.Context(), server.URL, false)); got.Class != strategies.ClassTransient {
			t.Errorf("got %v", got.Class)
		}
	})
	t.Run("it takes a deadline for a timeout", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(http.HandlerFunc(hang))
		t.Cleanup(server.Close)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := ask(ctx, server.URL, false)
		if got := strategies.Classify(err); got.Class != strategies.ClassTimeout {
			t.Errorf("got %v for %T: %v", got.Class, err, err)
		}
	})
	t.Run("it takes a cancellation for no reason: whether the caller has left is known to the layers", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cancel()
			hang(w, r)
		}))
		t.Cleanup(server.Close)
		err := ask(ctx, server.URL, false)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %T: %v", err, err)
		}
		if got := strategies.Classify(err); got.Class != strategies.ClassTransient {
			t.Errorf("got %v for %T: %v", got.Class, err, err)
		}
	})
}

// says answers with a status, a JSON body and headers given as name, value, ...
func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// streams answers 200 with these server-sent events, and ends well.
func streams(events string) http.HandlerFunc {
	return says(http.StatusOK, events, "Content-Type", "text/event-stream")
}

// cuts answers like next, and then the connection breaks.
func cuts(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		next(w, r)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// drops breaks the connection without a word.
func drops(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hang answers nothing for as long as somebody waits.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a server sees the client leave only after it has read the request
	<-r.Context().Done()
}

const html = "<html><h1>502 Bad Gateway</h1></html>"
