package anthropic_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"github.com/understudy-go/understudy/internal/conformance"
)

// connect returns the real client, for a server at url.
func connect(url string, options ...option.RequestOption) sdk.Client {
	return sdk.NewClient(append([]option.RequestOption{option.WithBaseURL(url), option.WithAPIKey("test")}, options...)...)
}

// ask is a question to a model of the server.
func ask(model sdk.Model) sdk.MessageNewParams {
	return sdk.MessageNewParams{
		Model:     model,
		MaxTokens: 100,
		Messages:  []sdk.MessageParam{sdk.NewUserMessage(sdk.NewTextBlock("Who is at the door?"))},
	}
}

// tooled is a question to a model that is offered these tools.
func tooled(model sdk.Model, names ...string) sdk.MessageNewParams {
	params := ask(model)
	for _, name := range names {
		params.Tools = append(params.Tools, sdk.ToolUnionParam{OfTool: &sdk.ToolParam{Name: name}})
	}
	return params
}

// script is how a model's requests fare, in turn. Then all is well.
type script map[string][]http.HandlerFunc

// provider is a server on the loopback interface that speaks as Anthropic's.
type provider struct {
	*httptest.Server
	mu       sync.Mutex
	requests map[string]int
}

// start starts a provider that fails by script, and otherwise says "A stranger,
// says " and the model's name.
func start(script script) *provider {
	p := &provider{requests: map[string]int{}}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Model  string
			Stream bool
		}
		data, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(data, &request)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.mu.Lock()
		n := p.requests[request.Model]
		p.requests[request.Model]++
		p.mu.Unlock()
		switch faults := script[request.Model]; {
		case n < len(faults):
			faults[n](w, r)
		case request.Stream:
			streams(begin, text("A stranger, "), text("says "+request.Model), end("end_turn"), stop)(w, r)
		default:
			says(200, message("end_turn", "A stranger, says "+request.Model))(w, r)
		}
	}))
	p.Config.SetKeepAlivesEnabled(false) // a client may repeat what failed on a reused connection
	p.Start()
	return p
}

// Requests is seen, for the kit.
func (p *provider) Requests(model string) int { return p.seen(model) }

func (p *provider) seen(model string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[model]
}

// serve is start for a test.
func serve(t *testing.T, script script) *provider {
	t.Helper()
	p := start(script)
	t.Cleanup(p.Close)
	return p
}

// message is a whole message of a text.
func message(stop, text string) string {
	return blocks(stop, fmt.Sprintf(`{"type":"text","text":%q}`, text))
}

func blocks(stop string, content ...string) string {
	return fmt.Sprintf(`{"id":"msg_1","type":"message","role":"assistant","model":"claude","stop_reason":%q,"content":[%s],"usage":{"input_tokens":1,"output_tokens":1}}`,
		stop, strings.Join(content, ","))
}

// The events of a stream.
const (
	begin = `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude","usage":{"input_tokens":1,"output_tokens":1}}}`
	block = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
	ping  = `{"type":"ping"}`
	stop  = `{"type":"message_stop"}`
)

func text(s string) string {
	return fmt.Sprintf(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%q}}`, s)
}

func end(reason string) string {
	return fmt.Sprintf(`{"type":"message_delta","delta":{"stop_reason":%q,"stop_sequence":null},"usage":{"output_tokens":1}}`, reason)
}

// problem is an error object of the API.
func problem(kind, text string) string {
	return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q},"request_id":"req_1"}`, kind, text)
}

func says(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// streams answers 200 with these events, and ends well.
func streams(events ...string) http.HandlerFunc {
	var b strings.Builder
	for _, e := range events {
		var named struct{ Type string }
		if err := json.Unmarshal([]byte(e), &named); err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", named.Type, e)
	}
	return says(200, b.String(), "Content-Type", "text/event-stream")
}

// cut answers like next, and then the connection breaks.
func cut(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		next(w, r)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// stall streams these events and falls silent until the client leaves.
func stall(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		streams(events...)(w, r)
		_ = http.NewResponseController(w).Flush()
		hang(w, r)
	}
}

// hang answers nothing for as long as somebody waits.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func said(m *sdk.Message) string {
	if m == nil || len(m.Content) == 0 {
		return ""
	}
	return m.Content[0].Text
}

func joined(events []sdk.MessageStreamEventUnion) string {
	var b strings.Builder
	for _, e := range events {
		b.WriteString(e.Delta.Text)
	}
	return b.String()
}

var class = conformance.Class
