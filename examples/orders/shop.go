package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// shop is the server that the tools call, on the loopback interface. It counts what
// it really did, whatever its callers believe.
type shop struct {
	url    string
	server *http.Server

	mu       sync.Mutex
	reserved map[string]bool     // by Idempotency-Key, or by number where there is none
	goods    map[string]int      // order: reservations
	paid     map[string][]string // order: references of the payments
	hangUp   map[string]bool     // orders whose payment is taken and not answered, once
	blind    map[string]bool     // orders whose payments it cannot look up
	asked    map[string]int      // order: questions whether it was paid
}

func open() (*shop, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &shop{
		url: "http://" + l.Addr().String(), reserved: map[string]bool{}, goods: map[string]int{}, paid: map[string][]string{},
		hangUp: map[string]bool{}, blind: map[string]bool{}, asked: map[string]int{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /price/{order}", s.servePrice)
	mux.HandleFunc("POST /reserve/{order}", s.serveReserve)
	mux.HandleFunc("POST /pay/{order}", s.servePay)
	mux.HandleFunc("GET /paid/{order}", s.servePaid)
	s.server = &http.Server{Handler: mux}
	go func() { _ = s.server.Serve(l) }() // until close
	return s, nil
}

func (s *shop) close() { _ = s.server.Close() }

func (s *shop) servePrice(w http.ResponseWriter, _ *http.Request) { answer(w, 700) }

func (s *shop) serveReserve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		key = fmt.Sprint("no key ", len(s.reserved))
	}
	if !s.reserved[key] {
		s.reserved[key] = true
		s.goods[r.PathValue("order")]++
	}
	answer(w, "reserved "+r.PathValue("order"))
}

func (s *shop) servePay(w http.ResponseWriter, r *http.Request) {
	var p payment
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.paid[p.Order] = append(s.paid[p.Order], p.reference())
	cut := s.hangUp[p.Order]
	delete(s.hangUp, p.Order)
	s.mu.Unlock()
	if cut {
		panic(http.ErrAbortHandler) // the money is taken, and the line is cut
	}
	answer(w, "receipt for "+p.reference())
}

func (s *shop) servePaid(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	order, reference := r.PathValue("order"), r.URL.Query().Get("reference")
	s.asked[order]++
	if s.blind[order] {
		http.Error(w, "the books are closed", http.StatusServiceUnavailable)
		return
	}
	for _, p := range s.paid[order] {
		if p == reference {
			answer(w, "receipt for "+p)
			return
		}
	}
	http.Error(w, "no such payment", http.StatusNotFound)
}

func answer(w io.Writer, v any) { _ = json.NewEncoder(w).Encode(v) }

// payment is what the tool that pays is asked for; its amount is in cents.
type payment struct {
	Order  string
	Amount int
}

func (p payment) reference() string {
	return fmt.Sprintf("%s: %d.%02d", p.Order, p.Amount/100, p.Amount%100)
}

// The tools, as anybody would write them.

func (s *shop) price(ctx context.Context, order string) (int, error) {
	return call[int](ctx, http.MethodGet, s.url+"/price/"+order, "", nil)
}

func (s *shop) reserve(ctx context.Context, order string) (string, error) {
	key, _ := middleware.CallOf(ctx).IdempotencyKey() // none in a chain without an identity
	return call[string](ctx, http.MethodPost, s.url+"/reserve/"+order, key, nil)
}

func (s *shop) pay(ctx context.Context, p payment) (string, error) {
	return call[string](ctx, http.MethodPost, s.url+"/pay/"+p.Order, "", p)
}

// find asks the shop for a payment of which nothing was heard.
func (s *shop) find(ctx context.Context, reference string) (string, bool, error) {
	receipt, err := call[string](ctx, http.MethodGet, s.url+"/paid/"+reference[:2]+"?reference="+url.QueryEscape(reference), "", nil)
	if strategies.Classify(err).Class == strategies.ClassNotFound {
		return "", false, nil
	}
	return receipt, err == nil, err
}

// call makes a request and reads its answer.
func call[T any](ctx context.Context, method, address, key string, body any) (result T, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return result, err
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(data))
	if err != nil {
		return result, err
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return result, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return result, &statusError{resp.StatusCode}
	}
	return result, json.NewDecoder(resp.Body).Decode(&result)
}

// statusError is an answer that is none. Its method StatusCode is what the classifier looks for.
type statusError struct{ code int }

func (e *statusError) Error() string {
	return fmt.Sprintf("the shop says %d %s", e.code, http.StatusText(e.code))
}
func (e *statusError) StatusCode() int { return e.code }
