package endpoint

import (
	"fmt"
	"time"
)

// Kind names a way to go wrong, as [Fault.String] prints it. The constructors below are the
// vocabulary; [Start] refuses any other.
type Kind string

const (
	kindOK              Kind = "ok"
	kindStatus          Kind = "status"
	kindRateLimit       Kind = "rate-limit"
	kindQuota           Kind = "quota"
	kindContextOverflow Kind = "context-overflow"
	kindUnauthorized    Kind = "unauthorized"
	kindBadRequest      Kind = "bad-request"
	kindServerError     Kind = "server-error"
	kindOverloaded      Kind = "overloaded"

	kindDrop          Kind = "drop"
	kindHang          Kind = "hang"
	kindSlow          Kind = "slow"
	kindCutBody       Kind = "cut-body"
	kindMalformed     Kind = "malformed"
	kindRefusal       Kind = "refusal"
	kindContentFilter Kind = "content-filter"
	kindEmpty         Kind = "empty"
	kindTruncated     Kind = "truncated"

	kindCutBeforeFirst   Kind = "cut-before-first"
	kindCutAfter         Kind = "cut-after"
	kindStallBefore      Kind = "stall-before"
	kindStallAfter       Kind = "stall-after"
	kindCleanEOFBefore   Kind = "clean-eof-before"
	kindCleanEOFAfter    Kind = "clean-eof-after"
	kindErrorEventBefore Kind = "error-event-before"
	kindErrorEventAfter  Kind = "error-event-after"
)

// Fault is the fate of one request. The zero value is [OK]. Faults are comparable, so a test
// can say entry.Fault == endpoint.Hang().
//
// Every fault has a meaning for both forms of a request, so that one script serves a caller
// who streams and one who does not. Where a constructor speaks of streams only, a request
// without a stream gets the nearest thing: a torn body for a cut, no response for a stall,
// half a JSON document for an early end, a 500 for an error event.
type Fault struct {
	Kind   Kind
	Code   int           // the HTTP status of Status
	Chunks int           // how many content chunks go out before a stream fault strikes
	Wait   time.Duration // the hint of RateLimit, the delay of Slow
}

// OK answers as if nothing were wrong. It is for the gaps between faults in a script.
func OK() Fault { return Fault{Kind: kindOK} }

// Status answers with a bare HTTP error, 400 to 599: a body in the provider's shape, but
// without a code that says more than the status does.
func Status(code int) Fault { return Fault{Kind: kindStatus, Code: code} }

// RateLimit answers 429 rate_limit_exceeded. A hint of whole seconds goes out as Retry-After,
// any other as retry-after-ms, rounded up, because a shortened hint invites the next 429.
// Zero sends no hint at all, as gateways often do.
func RateLimit(retryAfter time.Duration) Fault { return Fault{Kind: kindRateLimit, Wait: retryAfter} }

// Quota answers 429 insufficient_quota, in the code and in the type: the status says "later"
// while the body says "never".
func Quota() Fault { return Fault{Kind: kindQuota} }

// ContextOverflow answers 400 context_length_exceeded.
func ContextOverflow() Fault { return Fault{Kind: kindContextOverflow} }

// Unauthorized answers 401 invalid_api_key.
func Unauthorized() Fault { return Fault{Kind: kindUnauthorized} }

// BadRequest answers 400 invalid_request_error, without a code.
func BadRequest() Fault { return Fault{Kind: kindBadRequest} }

// ServerError answers 500 server_error.
func ServerError() Fault { return Fault{Kind: kindServerError} }

// Overloaded answers 503 server_is_overloaded.
func Overloaded() Fault { return Fault{Kind: kindOverloaded} }

// Drop reads the request and closes the connection without a byte of response.
func Drop() Fault { return Fault{Kind: kindDrop} }

// Hang reads the request and never responds. It lets go when the client goes away or the
// server is closed.
func Hang() Fault { return Fault{Kind: kindHang} }

// Slow waits before it answers well; in a stream it sends the headers at once and waits
// before every chunk.
func Slow(d time.Duration) Fault { return Fault{Kind: kindSlow, Wait: d} }

// CutBody closes the connection in the middle of the answer, which the headers had promised
// whole. In a stream it strikes after half of the content chunks.
func CutBody() Fault { return Fault{Kind: kindCutBody} }

// Malformed answers 200 with a whole document that is not JSON. In a stream the event after
// the role chunk is broken, and the last.
func Malformed() Fault { return Fault{Kind: kindMalformed} }

// Refusal answers 200 with message.refusal set, no content, and finish_reason "stop": only a
// caller who looks at the refusal field sees it.
func Refusal() Fault { return Fault{Kind: kindRefusal} }

// ContentFilter answers 200 with no content and finish_reason "content_filter".
func ContentFilter() Fault { return Fault{Kind: kindContentFilter} }

// Empty answers 200 with empty content and finish_reason "stop".
func Empty() Fault { return Fault{Kind: kindEmpty} }

// Truncated answers 200 with the first half of the answer and finish_reason "length".
func Truncated() Fault { return Fault{Kind: kindTruncated} }

// CutBeforeFirst closes the connection after the headers of a stream, before any chunk.
func CutBeforeFirst() Fault { return Fault{Kind: kindCutBeforeFirst} }

// CutAfter closes the connection after n content chunks. The role chunk, which carries no
// text, goes out before them and is not counted; so CutAfter(0) is a stream that has begun
// but has said nothing. An n beyond the answer strikes after its last word. The same holds
// for every n below.
func CutAfter(n int) Fault { return Fault{Kind: kindCutAfter, Chunks: n} }

// StallBefore sends the headers of a stream and then nothing more.
func StallBefore() Fault { return Fault{Kind: kindStallBefore} }

// StallAfter falls silent after n content chunks, with the connection open.
func StallAfter(n int) Fault { return Fault{Kind: kindStallAfter, Chunks: n} }

// CleanEOFBefore ends a stream properly after its headers: a stream without any event.
func CleanEOFBefore() Fault { return Fault{Kind: kindCleanEOFBefore} }

// CleanEOFAfter ends a stream after n content chunks as far as HTTP can tell, but with
// neither a finish_reason nor [DONE]. SDKs report no error for it: it looks like an answer.
func CleanEOFAfter(n int) Fault { return Fault{Kind: kindCleanEOFAfter, Chunks: n} }

// ErrorEventBefore sends an error object in place of the first chunk of a stream.
func ErrorEventBefore() Fault { return Fault{Kind: kindErrorEventBefore} }

// ErrorEventAfter sends an error object in the stream after n content chunks, and ends it.
func ErrorEventAfter(n int) Fault { return Fault{Kind: kindErrorEventAfter, Chunks: n} }

// String prints the fault as its constructor was called: "cut-after(3)", "rate-limit(20s)".
func (f Fault) String() string {
	switch f.Kind {
	case "":
		return string(kindOK)
	case kindStatus:
		return fmt.Sprintf("%s(%d)", f.Kind, f.Code)
	case kindRateLimit, kindSlow:
		return fmt.Sprintf("%s(%v)", f.Kind, f.Wait)
	case kindCutAfter, kindStallAfter, kindCleanEOFAfter, kindErrorEventAfter:
		return fmt.Sprintf("%s(%d)", f.Kind, f.Chunks)
	default:
		return string(f.Kind)
	}
}

// check reports what is wrong with the fault, as a sentence that continues its field's name.
func (f Fault) check() error {
	switch f.Kind {
	case "", kindOK, kindQuota, kindContextOverflow, kindUnauthorized, kindBadRequest,
		kindServerError, kindOverloaded, kindDrop, kindHang, kindCutBody, kindMalformed,
		kindRefusal, kindContentFilter, kindEmpty, kindTruncated, kindCutBeforeFirst,
		kindStallBefore, kindCleanEOFBefore, kindErrorEventBefore:
		return nil
	case kindStatus:
		if f.Code < 400 || f.Code > 599 {
			return fmt.Errorf("has Code %d; want an HTTP error, 400 to 599", f.Code)
		}
	case kindRateLimit:
		if f.Wait < 0 {
			return fmt.Errorf("has a negative Wait, %v", f.Wait)
		}
	case kindSlow:
		if f.Wait <= 0 {
			return fmt.Errorf("has Wait %v; want more than zero", f.Wait)
		}
	case kindCutAfter, kindStallAfter, kindCleanEOFAfter, kindErrorEventAfter:
		if f.Chunks < 0 {
			return fmt.Errorf("has a negative Chunks, %d", f.Chunks)
		}
	default:
		return fmt.Errorf("has the unknown Kind %q", f.Kind)
	}
	return nil
}
