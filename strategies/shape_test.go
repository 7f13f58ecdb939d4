//nolint:testpackage // what one value says by its shape is not visible from outside
package strategies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-go/understudy/internal/foreign"
)

// The SDKs' own errors are asked in internal/providers. Here are shapes: one of
// each kind, and the ones that bite.

// apiError has the fields of openai-go's, go-openai's and eino's errors.
type apiError struct {
	Code           any
	Message, Type  string
	HTTPStatusCode int
	Response       *http.Response
}

func (e *apiError) Error() string { return "api error" }

// modelError and responseError are the two halves of an AWS SDK error.
type modelError struct{ code string }

func (e *modelError) Error() string        { return e.code }
func (e *modelError) ErrorCode() string    { return e.code }
func (e *modelError) ErrorMessage() string { return "Input is too long for requested model." }

type awsResponse struct{ *http.Response }

type responseError struct {
	Response *awsResponse
	Err      error
}

func (e *responseError) Error() string       { return e.Err.Error() }
func (e *responseError) Unwrap() error       { return e.Err }
func (e *responseError) HTTPStatusCode() int { return e.Response.StatusCode }

type headerError struct {
	StatusCode int
	Header     http.Header
}

func (e headerError) Error() string { return "header error" }

type hintError struct{ after time.Duration }

func (e hintError) Error() string             { return "hint error" }
func (e hintError) RetryAfter() time.Duration { return e.after }

type codeMethodError struct{ status int }

func (e codeMethodError) Error() string   { return "method error" }
func (e codeMethodError) StatusCode() int { return e.status }

type jsonError struct{ raw string }

func (e jsonError) Error() string   { return "json error" }
func (e jsonError) RawJSON() string { return e.raw }

type googleError struct {
	Code            int
	Message, Status string
	Details         []map[string]any
}

func (e googleError) Error() string { return "google error" }

// rpcError and its parts are gRPC's status and errdetails, as generated code has them.
type (
	rpcCode   uint32
	rpcError  struct{ status *rpcStatus }
	rpcStatus struct {
		code    rpcCode
		message string
		details []any
	}
	retryInfo struct{ delay *rpcDelay }
	rpcDelay  struct{ d time.Duration }
	quota     struct{ ids []*violation }
	violation struct{ id string }
	errorInfo struct{ reason string }
)

func (e rpcError) Error() string              { return "rpc error" }
func (e rpcError) GRPCStatus() *rpcStatus     { return e.status }
func (s *rpcStatus) Code() rpcCode            { return s.code }
func (s *rpcStatus) Message() string          { return s.message }
func (s *rpcStatus) Details() []any           { return s.details }
func (r *retryInfo) GetRetryDelay() *rpcDelay { return r.delay }
func (d *rpcDelay) AsDuration() time.Duration { return d.d }
func (q *quota) GetViolations() []*violation  { return q.ids }
func (i *errorInfo) GetReason() string        { return i.reason }

//lint:ignore ST1003 protoc spells it so
func (v *violation) GetQuotaId() string { return v.id }

// bodyError is go-openai's RequestError, streamError openai-go's StreamError.
type (
	bodyError   struct{ Body []byte }
	streamError struct {
		Message string
		Event   struct{ Data []byte }
	}
)

func (e *bodyError) Error() string   { return "body error" }
func (e *streamError) Error() string { return e.Message }

// typedError has anthropic-sdk-go's Type, of a type of its own.
type (
	kind       string
	typedError struct{ StatusCode int }
)

func (e *typedError) Error() string { return "typed error" }
func (e *typedError) Type() kind    { return "overloaded_error" }

func retryAfter(value string) http.Header { return http.Header{"Retry-After": {value}} }

func TestRecognise(t *testing.T) {
	for _, tt := range []struct {
		it   string
		err  error
		want Class
		hint time.Duration
	}{
		{"says nothing of nil", nil, ClassUnclassified, 0},
		{"says nothing of a text", errors.New("429 Too Many Requests"), ClassUnclassified, 0},
		{"leaves what is wrapped to the walk", fmt.Errorf("x: %w", io.EOF), ClassUnclassified, 0},
		{"leaves a cancellation to the context", context.Canceled, ClassUnclassified, 0},
		{"knows a deadline", context.DeadlineExceeded, ClassTimeout, 0},
		{"knows a network timeout", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, ClassTimeout, 0},
		{"knows EOF", io.EOF, ClassTransient, 0},
		{"knows a cut body", io.ErrUnexpectedEOF, ClassTransient, 0},
		{"knows a reset connection", syscall.ECONNRESET, ClassTransient, 0},
		{"knows a refused connection", syscall.ECONNREFUSED, ClassTransient, 0},
		{"knows a broken pipe", syscall.EPIPE, ClassTransient, 0},

		{"reads a code that is an any", &apiError{Code: "insufficient_quota", HTTPStatusCode: 429}, ClassQuotaExhausted, 0},
		{"reads a code in any case", &apiError{Code: "Content_Filter", HTTPStatusCode: 400}, ClassBlocked, 0},
		{"reads a status that is repeated as the code", &apiError{Code: 503}, ClassTransient, 0},
		{"reads a status that JSON made a float", &apiError{Code: 429.0}, ClassRateLimited, 0},
		{"reads a status in a text", &apiError{Code: "402"}, ClassQuotaExhausted, 0},
		{"prefers the code to the type", &apiError{Code: "context_length_exceeded", Type: "rate_limit_error", HTTPStatusCode: 400}, ClassContextOverflow, 0},
		{"prefers the type to the status", &apiError{Type: "overloaded_error", HTTPStatusCode: 200}, ClassOverloaded, 0},
		{"prefers the status to a vague type", &apiError{Type: "server_error", HTTPStatusCode: 429}, ClassRateLimited, 0},
		{"falls back to a vague type without a status", &apiError{Type: "invalid_request_error"}, ClassBadRequest, 0},
		{"reads the text of a bad request without a code", &apiError{Type: "invalid_request_error", Message: "This model's maximum context length is 8192 tokens", HTTPStatusCode: 400}, ClassContextOverflow, 0},
		{"knows an empty account by the text", &apiError{Type: "invalid_request_error", Message: "Your credit balance is too low to access the API", HTTPStatusCode: 400}, ClassQuotaExhausted, 0},
		{"reads the text where the code is vague", &apiError{Code: "invalid_request_error", Message: "prompt is too long: 9 > 8", HTTPStatusCode: 400}, ClassContextOverflow, 0},
		{"reads no text where there is a code", &apiError{Code: "unsupported_value", Message: "context window", HTTPStatusCode: 400}, ClassBadRequest, 0},
		{"reads who ran out of what", &apiError{Message: "You exceeded your current quota, check your billing", HTTPStatusCode: 429}, ClassQuotaExhausted, 0},
		{"reads no quota out of one that is back in seconds", &apiError{Message: "You exceeded your current quota. Please retry in 26.5s.", HTTPStatusCode: 429}, ClassRateLimited, 26500 * time.Millisecond},
		{"says nothing of a success", &apiError{HTTPStatusCode: 200, Message: "prompt is too long"}, ClassUnclassified, 0},

		{"finds headers in the response", &apiError{HTTPStatusCode: 429, Response: &http.Response{Header: retryAfter("7")}}, ClassRateLimited, 7 * time.Second},
		{"finds the status in the response", &apiError{Response: &http.Response{StatusCode: 529}}, ClassOverloaded, 0},
		{"finds headers in the error", headerError{503, retryAfter("7")}, ClassTransient, 7 * time.Second},
		{"measures a date by the server's clock", headerError{503, http.Header{
			"Date": {"Sun, 01 Mar 2026 12:00:00 GMT"}, "Retry-After": {"Sun, 01 Mar 2026 12:00:30 GMT"},
		}}, ClassTransient, 30 * time.Second},
		{"finds a hint in a method", hintError{time.Minute}, ClassUnclassified, time.Minute},
		{"makes a negative hint none", hintError{-time.Minute}, ClassUnclassified, 0},
		{"cuts a hint beyond a year", hintError{1 << 62}, ClassUnclassified, foreign.MaxWait},
		{"leaves our own errors to what they say themselves", &OpenError{RetryAfter: time.Second}, ClassUnclassified, 0},
		{"finds a status in a method", codeMethodError{504}, ClassTransient, 0},

		{"reads the code below an AWS status", &responseError{&awsResponse{&http.Response{StatusCode: 400, Header: retryAfter("2")}}, &modelError{"ThrottlingException"}}, ClassRateLimited, 2 * time.Second},
		{"reads the text below an AWS status", &responseError{&awsResponse{&http.Response{StatusCode: 400}}, &modelError{"ValidationException"}}, ClassContextOverflow, 0},
		{"reads an AWS status", &responseError{&awsResponse{&http.Response{StatusCode: 403}}, errors.New("x")}, ClassUnauthorized, 0},

		{"reads JSON in an envelope", jsonError{`{"type":"error","error":{"type":"billing_error","message":"x"}}`}, ClassQuotaExhausted, 0},
		{"reads bare JSON", jsonError{`{"code":529}`}, ClassOverloaded, 0},
		{"reads JSON whose error is a text", jsonError{`{"code":"rate_limit_exceeded","error":"slow down"}`}, ClassRateLimited, 0},
		{"says nothing of what is no JSON", jsonError{`<html>502</html>`}, ClassUnclassified, 0},
		{"reads Google's details in JSON", jsonError{`{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[
			{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}`}, ClassRateLimited, 1500 * time.Millisecond},
		{"survives details of other types", googleError{Code: 429, Details: []map[string]any{
			nil, {"@type": 1}, {"@type": "x/google.rpc.QuotaFailure", "violations": []any{1, nil, map[string]any{"quotaId": 2}}},
			{"@type": "google.rpc.RetryInfo", "retryDelay": 5}, {"@type": "google.rpc.RetryInfo", "retryDelay": "soon"},
		}}, ClassRateLimited, 0},

		{"reads a body of bytes", &bodyError{[]byte(`{"error":{"code":"insufficient_quota"}}`)}, ClassQuotaExhausted, 0},
		{"reads the event that ended a stream", &streamError{Event: struct{ Data []byte }{[]byte(`{"error":{"type":"server_error"}}`)}}, ClassTransient, 0},
		{"asks a method whose type is not known", &typedError{200}, ClassOverloaded, 0},
		{"reads a daily quota and a reason in JSON", googleError{Code: 429, Details: []map[string]any{
			{"@type": "x/google.rpc.QuotaFailure", "violations": []any{map[string]any{"quotaId": "RequestsPerDay"}}},
			{"@type": "x/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"},
		}}, ClassQuotaExhausted, 0},

		{"reads a gRPC status", rpcError{&rpcStatus{code: 14}}, ClassTransient, 0},
		{"reads a gRPC wait", rpcError{&rpcStatus{code: 8, details: []any{&errorInfo{}, &retryInfo{&rpcDelay{time.Minute}}}}}, ClassRateLimited, time.Minute},
		{"reads a gRPC quota", rpcError{&rpcStatus{code: 8, details: []any{&quota{[]*violation{{"PerMinute"}, {"PerDay"}}}}}}, ClassQuotaExhausted, 0},
		{"reads a gRPC reason", rpcError{&rpcStatus{code: 3, details: []any{&errorInfo{"API_KEY_INVALID"}}}}, ClassUnauthorized, 0},
		{"reads a gRPC text", rpcError{&rpcStatus{code: 3, message: "exceeds the maximum number of tokens"}}, ClassContextOverflow, 0},
		{"says nothing of a gRPC status that is nil", rpcError{}, ClassUnclassified, 0},
		{"says nothing of a gRPC code nobody knows", rpcError{&rpcStatus{code: 99}}, ClassUnclassified, 0},
		{"says nothing of a canceled RPC", rpcError{&rpcStatus{code: 1}}, ClassUnclassified, 0},
		{"reads a detail that is nil as none", rpcError{&rpcStatus{code: 8, details: []any{(*retryInfo)(nil)}}}, ClassRateLimited, 0},

		{"mistakes no SMTP code for an HTTP status", &textproto.Error{Code: 450, Msg: "mailbox busy"}, ClassUnclassified, 0},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if class, hint := recognise(tt.err); class != tt.want || hint != tt.hint {
				t.Errorf("got %v, %v, want %v, %v", class, hint, tt.want, tt.hint)
			}
		})
	}
}

func TestRecogniseStatus(t *testing.T) {
	for status, want := range map[int]Class{
		-1: ClassUnclassified, 0: ClassUnclassified, 100: ClassUnclassified, 204: ClassUnclassified, 302: ClassUnclassified,
		400: ClassBadRequest, 401: ClassUnauthorized, 402: ClassQuotaExhausted, 403: ClassUnauthorized, 404: ClassNotFound, 407: ClassUnauthorized, 410: ClassNotFound, 424: ClassTransient, 524: ClassTimeout,
		405: ClassBadRequest, 408: ClassTimeout, 409: ClassTransient, 413: ClassBadRequest, 418: ClassBadRequest, 422: ClassBadRequest,
		425: ClassTransient, 429: ClassRateLimited, 499: ClassUnclassified,
		500: ClassTransient, 501: ClassTransient, 502: ClassTransient, 503: ClassTransient, 504: ClassTransient, 520: ClassTransient, 529: ClassOverloaded,
		600: ClassUnclassified, 1 << 40: ClassUnclassified,
	} {
		if got, _ := recognise(codeMethodError{status}); got != want {
			t.Errorf("%d: got %v, want %v", status, got, want)
		}
	}
}

func TestRecogniseCode(t *testing.T) {
	for class, codes := range map[Class][]string{
		ClassRateLimited:     {"rate_limit_exceeded", "rate_limit_error"},
		ClassOverloaded:      {"overloaded_error", "server_is_overloaded", "slow_down"},
		ClassQuotaExhausted:  {"insufficient_quota", "billing_error", "billing_hard_limit_reached", "quota_exceeded"},
		ClassContextOverflow: {"context_length_exceeded", "model_context_window_exceeded"},
		ClassBlocked:         {"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation", "refusal", "invalid_prompt"},
		ClassUnauthorized:    {"invalid_api_key", "authentication_error", "permission_error", "permission_denied"},
		ClassNotFound:        {"model_not_found", "not_found_error", "model_decommissioned"},
		ClassBadRequest:      {"request_too_large", "string_above_max_length", "invalid_request_error"},
		ClassTimeout:         {"timeout_error", "ModelTimeoutException"},
		ClassTransient:       {"api_error", "server_error", "ModelNotReadyException"},
		ClassUnclassified:    {"", "requests", "tokens", "no_such_code"},
	} {
		for _, code := range codes {
			for name, err := range map[string]error{"code": &apiError{Code: code}, "type": &apiError{Type: code, HTTPStatusCode: 200}} {
				if got, _ := recognise(err); got != class {
					t.Errorf("%s %q: got %v, want %v", name, code, got, class)
				}
			}
		}
	}
	for code, class := range map[rpcCode]Class{
		0: ClassUnclassified, 1: ClassUnclassified, 2: ClassTransient, 3: ClassBadRequest, 4: ClassTimeout, 5: ClassNotFound, 6: ClassBadRequest,
		7: ClassUnauthorized, 8: ClassRateLimited, 9: ClassBadRequest, 10: ClassTransient, 11: ClassBadRequest, 12: ClassBadRequest,
		13: ClassTransient, 14: ClassTransient, 15: ClassTransient, 16: ClassUnauthorized, 17: ClassUnclassified,
	} {
		if got, _ := recognise(rpcError{&rpcStatus{code: code}}); got != class {
			t.Errorf("gRPC %d: got %v, want %v", code, got, class)
		}
	}
}

// Errors made to hurt whoever looks at them.

type (
	uncomparable struct{ Details []map[string]any }
	number       int
	function     func()
	circle       struct {
		Code    any
		Message string
		Next    *circle
	}
	hidden   struct{ inner }
	inner    struct{ Response *http.Response }
	embedder struct {
		*inner
		StatusCode int
	}
	panicker struct{ StatusCode int }
	odd      struct {
		Code       chan int
		Type       []string
		StatusCode struct{}
		Message    func()
		Response   any
		Header     map[string]string
		Event      *circle
		Body       string
	}
	selfish struct{ StatusCode int }
)

func (uncomparable) Error() string         { return "" }
func (number) Error() string               { return "" }
func (function) Error() string             { return "" }
func (*circle) Error() string              { return "" }
func (hidden) Error() string               { return "" }
func (*embedder) Error() string            { return "" }
func (*odd) Error() string                 { return "" }
func (*selfish) Error() string             { return "" }
func (e *selfish) Unwrap() error           { return e }
func (e *panicker) Error() string          { panic("Error") }
func (e *panicker) RawJSON() string        { panic("RawJSON") }
func (e *panicker) Type() string           { panic("Type") }
func (e *panicker) GRPCStatus(int) *circle { panic("GRPCStatus") }

func TestRecogniseNeverPanics(t *testing.T) {
	round := &circle{Message: "x"}
	round.Next, round.Code = round, &round.Code
	for _, tt := range []struct {
		it   string
		err  error
		want Class
	}{
		{"survives a nil pointer", (*apiError)(nil), ClassUnclassified},
		{"survives a nil pointer with methods", (*panicker)(nil), ClassUnclassified},
		{"survives a nil func", function(nil), ClassUnclassified},
		{"survives an error that is a number", number(429), ClassUnclassified},
		{"survives what cannot be compared", uncomparable{}, ClassUnclassified},
		{"survives a code that holds itself", round, ClassUnclassified},
		{"survives fields of other types", &odd{Response: round, Event: round}, ClassUnclassified},
		{"survives a value that wraps itself", &selfish{503}, ClassTransient},
		{"looks past an embedded nil pointer", &embedder{StatusCode: 503}, ClassTransient},
		{"looks into an embedded unexported struct", hidden{inner{&http.Response{StatusCode: 503}}}, ClassTransient},
		{"keeps what it read before a method panicked", &panicker{503}, ClassTransient},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got, _ := recognise(tt.err); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func FuzzRecogniseJSON(f *testing.F) {
	f.Add(`{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"google.rpc.RetryInfo","retryDelay":"53s"}]}}`)
	f.Add(`{"error":"text","code":"insufficient_quota"}`)
	f.Add(`[{"error":{}}]`)
	f.Fuzz(func(t *testing.T, raw string) {
		if class, hint := recognise(jsonError{raw}); class >= classes || hint < 0 || hint > foreign.MaxWait {
			t.Errorf("%q: %v, %v", raw, class, hint)
		}
	})
}

func TestRecognisePlainErrorsAllocateNothing(t *testing.T) {
	for _, err := range []error{errors.New("x"), fmt.Errorf("x: %w", io.EOF), errors.Join(io.EOF, io.EOF)} {
		if n := testing.AllocsPerRun(100, func() { recognise(err) }); n != 0 {
			t.Errorf("%T: %v allocations", err, n)
		}
	}
}

func BenchmarkRecognise(b *testing.B) {
	for _, bb := range []struct {
		name string
		err  error
	}{
		{"plain", errors.New("x")},
		{"wrapped", fmt.Errorf("x: %w", io.EOF)},
		{"net", &net.OpError{Op: "read", Err: syscall.ECONNRESET}},
		{"api", &apiError{Code: "rate_limit_exceeded", HTTPStatusCode: 429, Response: &http.Response{Header: retryAfter("7")}}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				recognise(bb.err)
			}
		})
	}
}
