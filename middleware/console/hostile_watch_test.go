package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/middleware/console"
)

type slowWriter struct {
	*httptest.ResponseRecorder
}

func (slowWriter) SetWriteDeadline(time.Time) error { return nil }

// Who watches is let go once they may not look any more, and no more than Watchers watch.
func TestHostileWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var may atomic.Bool
		may.Store(true)
		z := newHostile(t, func(*http.Request) (console.Person, error) { return console.Person{Look: may.Load()}, nil }, func(s *console.Settings) { s.Watchers = 2 })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan *httptest.ResponseRecorder, 2)
		for range 2 {
			go func() {
				w := httptest.NewRecorder()
				z.ServeHTTP(slowWriter{w}, httptest.NewRequestWithContext(ctx, "GET", "/console/api/v1/stream", nil))
				ended <- w
			}()
		}
		time.Sleep(time.Second)
		if w := z.do("GET", "/console/api/v1/stream", "", nil); w.Code != http.StatusServiceUnavailable {
			t.Error(w.Code, w.Body)
		}
		z.br.Isolate()
		time.Sleep(time.Second)
		may.Store(false)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		for range 2 {
			select {
			case w := <-ended:
				if !strings.Contains(w.Body.String(), "event: hello") || !strings.Contains(w.Body.String(), "isolated") {
					t.Errorf("%.500s", w.Body)
				}
				if ct := w.Header().Get("Content-Type"); !strings.HasPrefix(ct, "text/event-stream") {
					t.Error(ct)
				}
			default:
				t.Error("still watches")
				cancel()
				<-ended
			}
		}
		may.Store(true)
		short, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		w := httptest.NewRecorder()
		z.ServeHTTP(slowWriter{w}, httptest.NewRequestWithContext(short, "GET", "/console/api/v1/stream", nil))
		if w.Code != 200 {
			t.Error("the places are not given back:", w.Code, w.Body)
		}
	})
}
