package httphint

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/understudy-go/understudy/middleware"
)

// IdempotencyKey is the header that [Idempotent] sends.
const IdempotencyKey = "Idempotency-Key"

// Idempotent sends a key with what is no mere reading, so that a destination that
// knows the header (draft-ietf-httpapi-idempotency-key-header; most payment services
// do) does the same thing once, in however many attempts it is asked for:
//
//	client := &http.Client{Transport: httphint.Idempotent{}}
//	pay := middleware.WrapTool("pay", strategies.EffectIdempotent, payBy(client))
//
// The key begins with [middleware.Call.IdempotencyKey] of the request's context, which
// within a tool of [middleware.WrapTool] is that of the effect. Its end is made of
// method and URL: a tool that sends to two addresses has a key for each. It is not made
// of the body, so two requests of one effect to one address need keys of their own.
//
// A request that has a key keeps it. One whose call has no identity gets none, and
// never a fresh one: that would be a new key for each attempt, which is worse than
// none. Give it to the client of the tools, not to that of the models: all that one
// call asks a model would have the same key.
type Idempotent struct {
	Base http.RoundTripper // nil: http.DefaultTransport
}

func (t Idempotent) base() http.RoundTripper { return Transport{Base: t.Base}.base() }

// CloseIdleConnections lets http.Client.CloseIdleConnections through to Base.
func (t Idempotent) CloseIdleConnections() { Transport{Base: t.Base}.CloseIdleConnections() }

// RoundTrip sends the request, once.
func (t Idempotent) RoundTrip(req *http.Request) (*http.Response, error) {
	if safe(req.Method) || len(req.Header.Values(IdempotencyKey)) > 0 {
		return t.base().RoundTrip(req)
	}
	key, err := middleware.CallOf(req.Context()).IdempotencyKey()
	if err != nil {
		return t.base().RoundTrip(req)
	}
	own := req.Clone(req.Context()) // a RoundTripper leaves the request as it is
	if own.Header == nil {
		own.Header = http.Header{}
	}
	to := sha256.Sum256([]byte(req.Method + " " + req.URL.String()))
	own.Header.Set(IdempotencyKey, `"`+key+"-"+hex.EncodeToString(to[:4])+`"`) // the draft has a quoted string
	return t.base().RoundTrip(own)
}

// safe says of a method that it only reads.
func safe(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}
