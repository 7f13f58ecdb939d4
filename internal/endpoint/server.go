package endpoint

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Server is a running endpoint. Its methods are safe for concurrent use, and those that
// report still do after Close.
type Server struct {
	url    string
	answer func(model string, messages []Message) string
	http   *http.Server
	cancel context.CancelFunc // ends the context of every request
	served sync.WaitGroup     // the accept loop
	conns  sync.WaitGroup     // every connection, which includes its handler

	mu     sync.Mutex
	dealer *dealer
	log    []Entry
}

// Entry is one request and the fate it was dealt.
type Entry struct {
	Model    string
	N        int // the number of the request among those of its model, from 1
	Stream   bool
	Messages []Message
	Fault    Fault
}

// Start checks the plan and serves it on a free port of the loopback interface. A plan that
// makes no sense is refused with an error that names every field at fault.
func Start(plan Plan) (*Server, error) {
	if err := plan.check(); err != nil {
		return nil, err
	}
	plan = plan.clone()
	if plan.Answer == nil {
		plan.Answer = storyteller(plan.Seed)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		url:    "http://" + listener.Addr().String() + "/v1",
		answer: plan.Answer,
		cancel: cancel,
		dealer: newDealer(plan),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", s.complete)
	mux.HandleFunc("/", notFound)
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.conns.Add(1)
			case http.StateClosed:
				s.conns.Done()
			}
		},
	}
	s.http.SetKeepAlivesEnabled(false) // see the package comment: a run must be repeatable
	s.served.Add(1)
	go func() {
		defer s.served.Done()
		_ = s.http.Serve(listener)
	}()
	return s, nil
}

// URL is the base URL for a client. It ends in /v1.
func (s *Server) URL() string { return s.url }

// Close cuts every connection, releases the handlers that hang, and returns when all of them
// have returned. It may be called more than once.
func (s *Server) Close() {
	s.cancel()
	_ = s.http.Close() // an error of a listener that will not be used again
	s.served.Wait()    // from here on there are no new connections
	s.conns.Wait()
}

// Requests is how many well-formed requests for the model have arrived so far.
func (s *Server) Requests(model string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dealer.seen(model)
}

// Total is how many well-formed requests have arrived so far, for all models together.
func (s *Server) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.log)
}

// Log is every well-formed request in the order of arrival.
func (s *Server) Log() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request) {
	req, err := readRequest(w, r)
	if err != nil {
		writeError(w, http.StatusBadRequest, apiError{Message: err.Error(), Type: invalidRequest})
		return
	}
	n, fault := s.deal(req)
	rep := newReply(req, n, s.answer(req.Model, slices.Clone(req.Messages)), fault)
	w.Header().Set("X-Request-Id", fmt.Sprintf("req-%s-%d", req.Model, n))

	if status, e, ok := errorOf(fault, req.Model); ok {
		if fault.Kind == kindRateLimit {
			hint(w.Header(), fault.Wait)
		}
		writeError(w, status, e)
		return
	}
	switch {
	case fault.Kind == kindDrop:
		cut()
	case fault.Kind == kindHang:
		hang(r.Context())
	case req.Stream:
		stream(w, r, rep, fault)
	default:
		unary(w, r, rep, fault)
	}
}

func (s *Server) deal(req request) (n int, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, fault = s.dealer.deal(req.Model)
	s.log = append(s.log, Entry{Model: req.Model, N: n, Stream: req.Stream, Messages: req.Messages, Fault: fault})
	return n, fault
}

func notFound(w http.ResponseWriter, r *http.Request) {
	writeError(w, http.StatusNotFound, apiError{
		Message: fmt.Sprintf("Unknown request URL: %s %s.", r.Method, r.URL.Path),
		Type:    invalidRequest,
		Code:    to("unknown_url"),
	})
}

// cut closes the connection under the response. net/http keeps this panic for the purpose; it
// is simpler than a hijack and leaves the connection in the server's books.
func cut() { panic(http.ErrAbortHandler) }

// hang waits until the client goes away or the server is closed, and then cuts: to return
// would send an empty but proper response to a client that is still there.
func hang(ctx context.Context) {
	<-ctx.Done()
	cut()
}

// pause waits for d, or cuts if the wait has lost its purpose.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		cut()
	}
}

// flush sends what has been written so far. An error means that the client has gone away.
func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
