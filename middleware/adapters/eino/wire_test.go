package eino_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// wire is a provider that says what it is told, for what the endpoint does not
// play: tool calls, odd finish reasons.
type wire struct {
	*httptest.Server

	mu      sync.Mutex
	asked   []asked
	answers []string
}

// asked is what a request says.
type asked struct {
	Model    string
	Stream   bool
	Tools    []any
	Messages []struct{ Role, Content string }
}

const (
	unavailable = `503`
	broken      = `500`
	callsDoor   = `{"index":0,"finish_reason":"tool_calls","%s":{"role":"assistant","content":"","tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"open_door","arguments":"{}"}}]}}`
	saysHello   = `{"index":0,"finish_reason":"stop","%s":{"role":"assistant","content":"Hello"}}`
	isFiltered  = `{"index":0,"finish_reason":"content_filter","%s":{"role":"assistant","content":"He"}}`
	isTruncated = `{"index":0,"finish_reason":"length","%s":{"role":"assistant","content":"He"}}`
	saysNothing = `{"index":0,"finish_reason":"stop","%s":{"role":"assistant","content":""}}`
)

// serve answers request n with answer n, and those beyond with the last one.
func serve(t *testing.T, answers ...string) *wire {
	t.Helper()
	w := &wire{answers: answers}
	w.Server = httptest.NewServer(http.HandlerFunc(w.answer))
	t.Cleanup(w.Close)
	return w
}

func (w *wire) answer(rw http.ResponseWriter, r *http.Request) {
	var a asked
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	w.asked = append(w.asked, a)
	choice := w.answers[min(len(w.asked), len(w.answers))-1]
	w.mu.Unlock()
	say(rw, a, choice)
}

func say(rw http.ResponseWriter, a asked, choice string) {
	switch {
	case choice == unavailable:
		rw.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(rw, `{"error":{"message":"later","type":"server_error"}}`)
	case choice == broken:
		rw.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(rw, `{"error":{"message":"out of order","type":"server_error"}}`)
	case a.Stream:
		rw.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(rw, "data: {\"id\":\"1\",\"choices\":[%s]}\n\ndata: [DONE]\n\n", fmt.Sprintf(choice, "delta"))
	default:
		fmt.Fprintf(rw, `{"id":"1","choices":[%s]}`, fmt.Sprintf(choice, "message"))
	}
}

func (w *wire) requests() []asked {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]asked(nil), w.asked...)
}
