// Package gemini is a model provider on the loopback interface which speaks the
// REST protocol of Gemini, whole and streamed, and goes wrong by script: what
// internal/endpoint is for the protocol of OpenAI.
//
//	server := gemini.Start(map[string][]gemini.Answer{
//		"narrator": {gemini.Overloaded(), gemini.CutAfter(2)},
//	})
//	defer server.Close()
//	client, err := genai.NewClient(ctx, &genai.ClientConfig{
//		APIKey: "test", Backend: genai.BackendGeminiAPI,
//		HTTPOptions: genai.HTTPOptions{BaseURL: server.URL()},
//	})
//
// Requests are numbered per model: the n-th gets the n-th answer of its model's
// script, and a good one when that is used up. Each has a connection of its own,
// for an HTTP client may repeat a request that failed on a reused one.
package gemini

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Request is one that the server saw.
type Request struct {
	Model  string
	Stream bool
	Header http.Header
	Body   map[string]any
}

// Answer answers one request.
type Answer func(w http.ResponseWriter, r *http.Request, seen Request)

// Server is one provider. It is safe for concurrent use.
type Server struct {
	http   *httptest.Server
	script map[string][]Answer
	down   map[string]Answer

	mu  sync.Mutex
	log []Request
}

// Start starts a server. It ends with Close.
func Start(script map[string][]Answer) *Server { return StartDown(script, nil) }

// StartDown starts a server some models of which give the same answer for ever.
func StartDown(script map[string][]Answer, down map[string]Answer) *Server {
	s := &Server{script: maps.Clone(script), down: maps.Clone(down)}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.SetKeepAlivesEnabled(false)
	s.http.Start()
	return s
}

// URL is the base URL for a client.
func (s *Server) URL() string { return s.http.URL }

// Close ends all calls, the hanging ones too.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Requests is how many the model has had.
func (s *Server) Requests(model string) int {
	n := 0
	for _, r := range s.Log() {
		if r.Model == model {
			n++
		}
	}
	return n
}

// Total is how many requests there were, of any model.
func (s *Server) Total() int { return len(s.Log()) }

// Log returns what was asked, in order.
func (s *Server) Log() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// ServeHTTP answers POST .../models/{model}:generateContent, and
// :streamGenerateContent with alt=sse, below the paths of Gemini and Vertex AI.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := Request{Header: r.Header.Clone()}
	data, err := io.ReadAll(r.Body) // to its end, or nobody notices that the client has gone
	if err == nil {
		err = json.Unmarshal(data, &seen.Body)
	}
	_, path, _ := strings.Cut(r.URL.Path, "/models/")
	model, method, ok := strings.Cut(path, ":")
	seen.Model, seen.Stream = model, method == "streamGenerateContent"
	if err != nil || !ok || seen.Stream && r.URL.Query().Get("alt") != "sse" {
		Error(404, "NOT_FOUND", "no such method: "+r.URL.Path)(w, r, seen)
		return
	}
	s.next(seen)(w, r, seen)
}

func (s *Server) next(seen Request) Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.log {
		if r.Model == seen.Model {
			n++
		}
	}
	s.log = append(s.log, seen)
	if answer := s.down[seen.Model]; answer != nil {
		return answer
	}
	if script := s.script[seen.Model]; n < len(script) {
		return script[n]
	}
	return Good("A stranger, says " + seen.Model)
}

// Good answers with a text, streamed word by word.
func Good(text string) Answer {
	return func(w http.ResponseWriter, r *http.Request, seen Request) {
		if !seen.Stream {
			Body(Candidate(text, "STOP"))(w, r, seen)
			return
		}
		words := strings.SplitAfter(text, " ")
		events := make([]string, 0, len(words)+1)
		for _, word := range words {
			events = append(events, Candidate(word, ""))
		}
		Events(append(events, Candidate("", "STOP"))...)(w, r, seen)
	}
}

// Candidate is a response with one candidate; "" leaves text or reason out.
func Candidate(text, finish string) string {
	c := map[string]any{"index": 0}
	if text != "" {
		c["content"] = map[string]any{"role": "model", "parts": []any{map[string]any{"text": text}}}
	}
	if finish != "" {
		c["finishReason"] = finish
	}
	data, err := json.Marshal(map[string]any{
		"candidates": []any{c}, "modelVersion": "test", "responseId": "1",
		"usageMetadata": map[string]any{"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
	})
	if err != nil {
		panic(err) // strings and numbers are always JSON
	}
	return string(data)
}

// Body answers 200 with a body; headers are given as name, value, ...
func Body(body string, headers ...string) Answer { return Status(200, body, headers...) }

// Status answers with a body and a status.
func Status(code int, body string, headers ...string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body) // a client that has gone away is no concern of ours
	}
}

// Events streams these objects, and ends well.
func Events(objects ...string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ Request) { stream(w, objects) }
}

func stream(w http.ResponseWriter, objects []string) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(200)
	for _, o := range objects {
		_, _ = fmt.Fprintf(w, "data: %s\n\n", o)
	}
	_ = http.NewResponseController(w).Flush()
}

// Cut streams these objects and tears the connection.
func Cut(objects ...string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ Request) {
		stream(w, objects)
		panic(http.ErrAbortHandler)
	}
}

// Stall streams these objects, if any, and falls silent until the client leaves.
func Stall(objects ...string) Answer {
	return func(w http.ResponseWriter, r *http.Request, _ Request) {
		if len(objects) > 0 {
			stream(w, objects)
		}
		<-r.Context().Done()
	}
}

// Drop tears the connection without an answer.
func Drop() Answer {
	return func(http.ResponseWriter, *http.Request, Request) { panic(http.ErrAbortHandler) }
}

// ErrorBody is an error as Google's APIs send it, also inside of a stream.
func ErrorBody(code int, status, message string, details ...string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q,"details":[%s]}}`, code, message, status, strings.Join(details, ","))
}

// Error answers with such an error.
func Error(code int, status, message string, details ...string) Answer {
	return Status(code, ErrorBody(code, status, message, details...))
}

// Overloaded answers 503 UNAVAILABLE.
func Overloaded() Answer {
	return Error(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
}

// RateLimit answers 429 with a RetryInfo, where Google says how long to wait.
func RateLimit(wait time.Duration) Answer {
	return Error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.",
		`{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProject"}]}`,
		fmt.Sprintf(`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"%gs"}`, wait.Seconds()))
}

// Quota answers 429 with a daily quota: the same status, but tomorrow.
func Quota() Answer {
	return Error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.",
		`{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}`)
}

// Overflow answers 400: the request is longer than the model's window.
func Overflow() Answer {
	return Error(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).")
}
