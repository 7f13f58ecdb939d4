package foreign_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/internal/foreign"
)

// apiError has the fields that most SDKs' errors have in common.
type apiError struct {
	Code          any
	Type, Message string
	StatusCode    int
	Response      *http.Response
	RetryAfter    time.Duration
	Body          []byte
	Details       []map[string]any
}

func (e *apiError) Error() string { return "api error" }

// statusError says only its status, and a text.
type statusError struct {
	status int
	text   string
}

func (e statusError) Error() string   { return e.text }
func (e statusError) StatusCode() int { return e.status }

type jsonError struct{ raw string }

func (e jsonError) Error() string   { return "json error" }
func (e jsonError) RawJSON() string { return e.raw }

// rpcError is a gRPC status, as generated code has it.
type (
	rpcError  struct{ status *rpcStatus }
	rpcStatus struct {
		code    uint32
		details []any
	}
	hostileDetail struct{}
	quota         struct{ ids []*violation }
	violation     string
)

func (e rpcError) Error() string             { return "rpc error" }
func (e rpcError) GRPCStatus() *rpcStatus    { return e.status }
func (s *rpcStatus) Code() uint32            { return s.code }
func (s *rpcStatus) Message() string         { return "the text of the status" }
func (s *rpcStatus) Details() []any          { return s.details }
func (hostileDetail) GetReason() string      { panic("GetReason") }
func (q *quota) GetViolations() []*violation { return q.ids }

//lint:ignore ST1003 protoc spells it so
func (v *violation) GetQuotaId() string { return string(*v) }

func named(ids ...violation) (list []*violation) {
	for i := range ids {
		list = append(list, &ids[i])
	}
	return list
}

// hostile panics wherever it is asked, but for its status.
type hostile struct{ StatusCode int }

func (hostile) Error() string             { panic("Error") }
func (hostile) RetryAfter() time.Duration { panic("RetryAfter") }
func (hostile) Timeout() bool             { panic("Timeout") }
func (hostile) ErrorCode() string         { panic("ErrorCode") }
func (hostile) Type() string              { panic("Type") }
func (hostile) GRPCStatus() *rpcStatus    { panic("GRPCStatus") }
func (hostile) RawJSON() string           { return `{"error":{"code":"still_read"}}` }

// shown is what is known from outside: the clock that was read is none of it.
func shown(f foreign.Facts) string {
	v, all := reflect.ValueOf(f), ""
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			all += fmt.Sprintf("%s:%v ", v.Type().Field(i).Name, v.Field(i).Interface())
		}
	}
	return all
}

func TestRead(t *testing.T) {
	header := http.Header{"Retry-After": {"7"}}
	for _, tt := range []struct {
		it   string
		err  error
		want foreign.Facts
	}{
		{"reads nothing of nil", nil, foreign.Facts{}},
		{"reads nothing of a text", errors.New("429"), foreign.Facts{}},
		{"reads nothing of what only wraps", fmt.Errorf("x: %w", &apiError{StatusCode: 503}), foreign.Facts{}},
		{"reads nothing of a nil pointer", (*apiError)(nil), foreign.Facts{}},
		{"reads the fields that SDKs have in common",
			&apiError{Code: "insufficient_quota", Type: "billing", Message: "no money", StatusCode: 429, RetryAfter: time.Second},
			foreign.Facts{Codes: foreign.Words{"insufficient_quota"}, Kinds: foreign.Words{"billing"}, Text: "no money", Status: 429, Wait: time.Second}},
		{"takes a number for a status", &apiError{Code: 503.0, Message: "x"}, foreign.Facts{Status: 503, Text: "x"}},
		{"reads the response behind an error", &apiError{Message: "x", Response: &http.Response{StatusCode: 529, Header: header}}, foreign.Facts{Status: 529, Wait: 7 * time.Second, Text: "x"}},
		{"takes the error's own text where a status failed", statusError{400, "prompt is too long"}, foreign.Facts{Status: 400, Text: "prompt is too long"}},
		{"leaves the text of a success", statusError{200, "prompt is too long"}, foreign.Facts{Status: 200}},
		{"reads JSON in an envelope", jsonError{`{"error":{"code":"a","type":"b","status":"UNAVAILABLE","message":"c"}}`}, foreign.Facts{Lost: true, Codes: foreign.Words{"a"}, Kinds: foreign.Words{"b"}, RPC: "UNAVAILABLE", Text: "c"}},
		{"reads a body of bytes", &apiError{Message: "x", Body: []byte(`{"code":"a"}`)}, foreign.Facts{Lost: true, Codes: foreign.Words{"a"}, Text: "x"}},
		{"reads a gRPC status", rpcError{&rpcStatus{code: 14}}, foreign.Facts{RPC: "UNAVAILABLE", Text: "the text of the status"}},
		{"reads a quota that comes back tomorrow", rpcError{&rpcStatus{code: 8, details: []any{&quota{named("PerMinute", "RequestsPerDay")}}}}, foreign.Facts{RPC: "RESOURCE_EXHAUSTED", Text: "the text of the status", Daily: true}},
		{"goes on behind a detail that panics", rpcError{&rpcStatus{code: 8, details: []any{hostileDetail{}, &quota{named("PerDay")}}}}, foreign.Facts{RPC: "RESOURCE_EXHAUSTED", Text: "the text of the status", Daily: true}},
		{"goes on behind methods that panic", hostile{503}, foreign.Facts{Status: 503, Codes: foreign.Words{"still_read"}}},
		{"cuts a wait beyond a year", &apiError{Message: "x", RetryAfter: math.MaxInt64}, foreign.Facts{Lost: true, Text: "x", Wait: foreign.MaxWait}},
		{"takes a negative wait for none", &apiError{Message: "x", RetryAfter: -time.Hour}, foreign.Facts{Lost: true, Text: "x"}},
		{"takes no novel for a code", &apiError{Message: "x", Code: strings.Repeat("a", 300), Type: strings.Repeat("b", 300)}, foreign.Facts{Lost: true, Text: "x"}},
		{"reads no body of megabytes", jsonError{`{"code":"a","x":"` + strings.Repeat("y", 1<<20) + `"}`}, foreign.Facts{Lost: true}},
		{"cuts a long text", &apiError{Message: strings.Repeat("x", 1<<20)}, foreign.Facts{Lost: true, Text: strings.Repeat("x", 16<<10)}},
		{"reads no more details than a provider sends", &apiError{Message: "x", Details: append(make([]map[string]any, 200), map[string]any{"@type": "google.rpc.ErrorInfo", "reason": "late"})}, foreign.Facts{Lost: true, Text: "x"}},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got := foreign.Read(tt.err); shown(got) != shown(tt.want) {
				t.Errorf("got  %.500v\nwant %.500v", shown(got), shown(tt.want))
			}
		})
	}
}

func TestBare(t *testing.T) {
	for _, err := range []error{errors.New("x"), fmt.Errorf("x: %w", io.EOF), fmt.Errorf("%w%w", io.EOF, io.EOF), errors.Join(io.EOF)} {
		if !foreign.Bare(err) {
			t.Errorf("%T has something to be read", err)
		}
	}
	for _, err := range []error{nil, &apiError{}, statusError{}} {
		if foreign.Bare(err) {
			t.Errorf("%T has nothing to be read", err)
		}
	}
}

func TestAsk(t *testing.T) {
	if got := foreign.Ask(func() int { return 7 }); got != 7 {
		t.Errorf("got %d", got)
	}
	if got := foreign.Ask(func() int { panic("no") }); got != 0 {
		t.Errorf("got %d", got)
	}
}

func TestClamp(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{
		math.MinInt64: 0, -1: 0, 0: 0, 1: 1, foreign.MaxWait: foreign.MaxWait, foreign.MaxWait + 1: foreign.MaxWait, math.MaxInt64: foreign.MaxWait,
	} {
		if got := foreign.Clamp(in); got != want {
			t.Errorf("%v: got %v, want %v", in, got, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"google.rpc.RetryInfo","retryDelay":"53s"}]}}`, "insufficient_quota", 429)
	f.Add(`{"error":{"details":[{"@type":"google.rpc.QuotaFailure","violations":[{"quotaId":"PerDay"}]}]}}`, "503", 0)
	f.Add(`[1]`, "", -1)
	f.Fuzz(func(t *testing.T, body, code string, status int) {
		for _, err := range []error{jsonError{body}, &apiError{Code: code, Body: []byte(body), StatusCode: status, Message: body}} {
			got := foreign.Read(err)
			if got.Wait < 0 || got.Wait > foreign.MaxWait || got.Status != 0 && (got.Status < 100 || got.Status > 599) || len(got.Codes[0]) > 256 || got.Reset < 0 || got.Reset > foreign.MaxWait || len(got.Text) > 16<<10 {
				t.Errorf("%.500q: %.500v", body, fmt.Sprintf("%+v", got))
			}
		}
	})
}
