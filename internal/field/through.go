package field

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

// Client is a real client: Ask asks a server for one answer, by way of an HTTP
// client, without retries of its own.
type Client struct {
	Name string
	Ask  func(ctx context.Context, url string, via *http.Client) error
	// Alone is how many of a hundred shapes at least are judged right by the
	// client's own error, without a hint.
	Alone int
}

// Through sends what lies in the corpus to clients. With a hint every shape must
// be judged right through every one of them, whatever it has dropped.
func Through(t *testing.T, dir string, clients ...Client) {
	t.Helper()
	files, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var now atomic.Pointer[Shape]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		now.Load().Send(w)
	}))
	defer server.Close()
	via := &http.Client{Transport: httphint.Transport{}}
	for _, c := range clients {
		var all, alone, hinted, silent int
		for _, file := range files {
			for _, shape := range file.Shapes {
				if shape.Plain || shape.Stream {
					continue
				}
				now.Store(&shape)
				all++
				own, err := c.once(t.Context(), server.URL, via)
				if own == nil { // the client's own fault, and nobody's to know
					silent++
					continue
				}
				if shape.Wrong(own) == "" {
					alone++
				}
				if wrong := shape.Wrong(err); wrong != "" {
					t.Errorf("%s, %s, %q: %s: %.300v", c.Name, file.Provider, shape.Name, wrong, own)
					continue
				}
				hinted++
			}
		}
		t.Logf("%-24s %3d of %3d right by a hint, %3d by its own error, no error at all of %d", c.Name, hinted, all, alone, silent)
		if alone*100 < c.Alone*all {
			t.Errorf("%s: %d of %d shapes are right by its own error, it was %d of a hundred", c.Name, alone, all, c.Alone)
		}
	}
}

// once asks once, and returns the client's own error and the hinted one.
func (c Client) once(ctx context.Context, url string, via *http.Client) (own, hinted error) {
	_, hinted = middleware.Chain(middleware.Func(func(ctx context.Context, _ string) (string, error) {
		own = c.Ask(ctx, url, via)
		return "", own
	}), middleware.Around[string, string](httphint.Layer(nil))).Run(ctx, "")
	return own, hinted
}

// Send answers a request with it.
func (s Shape) Send(w http.ResponseWriter) {
	w.Header()["Date"] = nil // ours would be taken for the clock of the shape's server
	for name, values := range s.Header() {
		w.Header()[name] = values
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(s.Status)
	_, _ = io.WriteString(w, s.Text())
}

// Wrong says what is wrong with the verdict on the error that a shape has become,
// or "".
func (s Shape) Wrong(err error) string {
	v := strategies.Classify(err)
	switch {
	case v.Class.String() != s.Class:
		return fmt.Sprintf("class %v, want %s", v.Class, s.Class)
	case v.RetryAfter != s.Hint():
		return fmt.Sprintf("wait %v, want %v", v.RetryAfter, s.Hint())
	}
	return ""
}
