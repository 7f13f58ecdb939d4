// Package httphint tells the layers what an HTTP client has thrown away: the
// status, the Retry-After, what the body of a failure said, and how many requests
// one call really sent.
//
// Many SDKs and frameworks drop the response on their way to an error, keep no
// more of it than a text, and retry by themselves where nobody sees it. A [Transport] under the client
// notes both in a hint carried by the context; a [Layer] around the agent gives
// each attempt a hint of its own, and adds what it says to the attempt's error:
//
//	client := &http.Client{Transport: httphint.Transport{}}
//	agent := newAgent(client)                          // any SDK that takes a client
//	guarded, err := middleware.Wrap(agent).
//		Around(middleware.StageAgent, httphint.Layer(observe)).
//		Retry(strategies.Retry{}).
//		Build()
//
// The classifier then knows what the provider has said, and how long it asked to
// wait, as it does of an official SDK's error. Of the body of a failure at most
// the first 4 KiB are read, and put back for the client:
//
//	retry ── attempt ── Layer ── agent ── SDK ── Transport ── wire
//	                      └──────── hint ◄──────────┘
//
// An agent that calls another one, or a tool on the web, through the same client
// has those requests in its hint too: give tools a client of their own.
//
// # Tools with side effects
//
// [Idempotent] is for the client of a tool whose destination knows the header
// Idempotency-Key: it sends the key of the call, the same in every attempt.
//
// It uses the standard library only. A healthy call pays one context value and
// one small allocation; a call without a Layer above pays a look-up. A response
// that is no failure is not looked into.
package httphint

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Seen is what one attempt sent and got.
type Seen struct {
	// Requests is how many were really sent, those without a response included.
	// A redirect that is followed is the same request still.
	Requests int
	// Status is that of the last response; 0: the last request has had none.
	Status int
	// RetryAfter is what the last response asked for, in its headers or its body;
	// 0: nothing.
	RetryAfter time.Duration
	// Class is what the last response means, by its status, its headers and the
	// beginning of its body. ClassUnclassified: it was no failure.
	Class strategies.Class

	whole bool // the body of the last response was read to its end, and was no page
}

// Hint is the note of one attempt. An attempt that was left behind may still
// write to it, so it is guarded.
type Hint struct {
	up   *Hint // of whoever called this agent
	mu   sync.Mutex
	seen Seen
	paid int // of its requests: charged to agents that were called in their turn
}

// Seen returns what has been noted so far.
func (h *Hint) Seen() Seen {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen
}

// charge reports the requests beyond the one that was asked for as calls, see
// [middleware.Call.Spent]: those of agents below, which have a layer of their own,
// they have reported themselves.
func (h *Hint) charge(ctx context.Context) {
	h.mu.Lock()
	own := h.seen.Requests - h.paid
	h.mu.Unlock()
	if own > 1 {
		middleware.CallOf(ctx).Spent(strategies.Usage{Calls: own - 1})
	}
	for up := h.up; up != nil; up = up.up {
		up.mu.Lock()
		up.paid += own
		up.mu.Unlock()
	}
}

// began is told of a request before it is sent: one that never comes back has
// been sent all the same.
func (h *Hint) began(req *http.Request) {
	for ; h != nil; h = h.up {
		h.mu.Lock()
		if req.Response == nil { // set on the request of a redirect
			h.seen.Requests++
		}
		h.seen = Seen{Requests: h.seen.Requests}
		h.mu.Unlock()
	}
}

func (h *Hint) got(resp *http.Response) {
	if resp == nil {
		return
	}
	if h == nil {
		return
	}
	seen := Seen{Status: resp.StatusCode}
	if resp.StatusCode >= 400 {
		text, whole := begin(resp)
		v := strategies.Classify(&failure{StatusCode: resp.StatusCode, Header: resp.Header, Body: text})
		seen.Class, seen.RetryAfter, seen.whole = v.Class, v.RetryAfter, whole && json.Valid([]byte(text))
	} else {
		seen.RetryAfter, _ = strategies.ParseRetryAfter(resp.Header, time.Now())
	}
	for ; h != nil; h = h.up {
		h.mu.Lock()
		seen.Requests = h.seen.Requests
		h.seen = seen
		h.mu.Unlock()
	}
}

// beginning is how much of a failure's body is read.
const beginning = 4 << 10

// begin reads the beginning of a body and puts it back, with whatever went wrong
// in the reading; whole: there was no more.
func begin(resp *http.Response) (text string, whole bool) {
	if resp.Body == nil || resp.Header.Get("Content-Encoding") != "" {
		return "", false // compressed: the client asked for it so, and unpacks it
	}
	head := make([]byte, beginning)
	n, err := io.ReadFull(resp.Body, head)
	rest := io.Reader(resp.Body)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF { //nolint:errorlint // as io.ReadFull returns it
		rest = broken{err}
	}
	resp.Body = &body{io.MultiReader(bytes.NewReader(head[:n]), rest), resp.Body}
	return string(head[:n]), err == io.EOF || err == io.ErrUnexpectedEOF //nolint:errorlint // as above
}

// body is one whose beginning has been read.
type body struct {
	io.Reader
	io.Closer
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// failure is a response as the classifier reads it.
type failure struct {
	StatusCode int
	Header     http.Header
	Body       string
}

func (f *failure) Error() string { return fmt.Sprintf("HTTP status %d", f.StatusCode) }

type key struct{}

// With returns a context with an empty hint. If there is one in ctx already, it
// is told as well: whoever called has sent these requests too.
func With(ctx context.Context) (context.Context, *Hint) {
	h := &Hint{up: From(ctx)}
	return context.WithValue(ctx, key{}, h), h
}

// From returns the hint a context carries, or nil.
func From(ctx context.Context) *Hint {
	h, _ := ctx.Value(key{}).(*Hint)
	return h
}

// Transport notes every response in the hint of its request's context. The zero
// value sends by way of http.DefaultTransport.
type Transport struct {
	Base http.RoundTripper // nil: http.DefaultTransport
	// Pace learns from the headers of every response how much of a plan is left; see
	// [strategies.Pace.Learn]. nil: nobody does.
	Pace *strategies.Pace
}

func (t Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

// CloseIdleConnections lets http.Client.CloseIdleConnections through to Base.
func (t Transport) CloseIdleConnections() {
	if base, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// RoundTrip sends the request, once and unchanged.
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	h := From(req.Context())
	h.began(req)
	resp, err := t.base().RoundTrip(req)
	h.got(resp)
	if t.Pace != nil && resp != nil {
		t.Pace.Learn(resp.Header, time.Now())
	}
	return resp, err
}

// Layer gives each attempt a hint of its own and adds what it says to the
// attempt's error. It belongs at
// [middleware.StageAgent], of a stream too. hidden, if not nil, is
// told of an attempt that sent more than one request: somebody below retries
// too, and every retry of ours is multiplied by theirs. It is called on the
// goroutine of the attempt; [Hidden] makes one of an observer.
//
// An error is added to only if the last response had an error's status, and an
// interrupt never.
func Layer(hidden func(ctx context.Context, seen Seen)) func(ctx context.Context, next func(context.Context) error) error {
	return func(ctx context.Context, next func(context.Context) error) error {
		noted, hint := With(ctx)
		err := next(noted)
		hint.charge(ctx)
		seen := hint.Seen()
		if seen.Requests > 1 && hidden != nil {
			hidden(ctx, seen)
		}
		if err != nil && seen.Status >= 400 && !strategies.Classify(err).Pass {
			err = &Error{Seen: seen, Err: err}
		}
		return err
	}
}

// Error is an attempt's error with what the wire said. It reads as the error
// itself; the classifier finds status and wait by its methods, and believes a
// code in Err before either.
type Error struct {
	Seen Seen
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// MarshalText writes what the error says, in JSON too.
func (e *Error) MarshalText() ([]byte, error) { return []byte(errtree.Text(e)), nil }

// Unwrap returns the error as the client gave it.
func (e *Error) Unwrap() error { return e.Err }

// RecoveryClass is what the error says of itself, where it says it by a method.
// Else what the wire said goes first, for the client has read no more than that;
// and where the wire had nothing but a status, what the error is known by.
func (e *Error) RecoveryClass() strategies.Class {
	own, wire := strategies.Classify(e.Err).Class, e.Seen.Class
	switch {
	case errtree.Any(e.Err, saysClass), wire == strategies.ClassUnclassified:
		return own
	case e.Seen.whole, wire != strategies.Classify(&failure{StatusCode: e.Seen.Status}).Class:
		return wire
	case own == strategies.ClassTransient, own == strategies.ClassTimeout:
		return wire // a response that was cut, or came too late, is judged by what there is of it
	}
	return own
}

// RecoveryHint is how long the provider asked to wait, by what it sent. Where the
// error says itself that it is longer, that counts: a hint is never shortened.
func (e *Error) RecoveryHint() time.Duration {
	own := strategies.Classify(e.Err).RetryAfter
	if e.Seen.RetryAfter > 0 && !errtree.Any(e.Err, saysHint) {
		return e.Seen.RetryAfter
	}
	return max(e.Seen.RetryAfter, own)
}

func saysClass(err error) bool {
	own, ok := err.(interface{ RecoveryClass() strategies.Class }) //nolint:errorlint // the tree is walked
	return ok && own.RecoveryClass() != strategies.ClassUnclassified
}

func saysHint(err error) bool {
	own, ok := err.(interface{ RecoveryHint() time.Duration }) //nolint:errorlint // the tree is walked
	return ok && own.RecoveryHint() > 0
}

// Hidden returns a function for [Layer] that tells an observer of hidden
// requests, as an event of kind [middleware.EventHiddenRequests]. A nil observer is
// nobody to tell.
func Hidden(observer middleware.Observer, agent string) func(context.Context, Seen) {
	if observer == nil {
		return nil
	}
	return func(ctx context.Context, seen Seen) {
		observer.Observe(ctx, middleware.Event{
			Kind: middleware.EventHiddenRequests, Time: time.Now(), Agent: agent, ServedBy: agent,
			Attempt: middleware.CallOf(ctx).Attempt(), Count: seen.Requests,
			Detail: fmt.Sprintf("%d requests where 1 was asked for: switch off the retries below", seen.Requests),
		})
	}
}
