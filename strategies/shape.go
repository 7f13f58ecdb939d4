//nolint:errorlint // one value is looked at here; the classifier walks the tree
package strategies

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// recognise looks at err alone (not at what it wraps) and says what its shape
// tells: the fields and methods that the SDKs of providers have in common, so
// that none of them need be imported. Unclassified: nothing.
func recognise(err error) (Class, time.Duration) {
	switch err {
	case nil:
		return ClassUnclassified, 0
	case io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE:
		return ClassTransient, 0
	}
	switch own := err.(type) { // ours say what they are by method
	case *OpenError:
		return ClassUnclassified, clampDelay(own.RetryAfter)
	case *AgentError, *AnswerError, *ConfigError, *FullError, *InvalidAnswerError, *PanicError,
		*RecoveryError, *StreamError, *StreamLimitError, *TimeoutError, *classError:
		return ClassUnclassified, 0
	}
	switch reflect.TypeOf(err) {
	case plainError, wrapError, wrapErrors, joinError:
		return ClassUnclassified, 0 // most errors are these, and reflection is slow
	}
	var f facts
	f.read(err)
	return f.class(), clampDelay(f.wait)
}

// facts is what one error value says of itself.
type facts struct {
	code   string        // what happened, in the provider's word: "insufficient_quota"
	kind   string        // the coarser type beside it: "invalid_request_error"
	rpc    string        // the gRPC status: "UNAVAILABLE"
	status int           // the HTTP status
	text   string        // for people; asked last
	wait   time.Duration // the retry hint
	daily  bool          // the quota that ran out comes back tomorrow
	late   bool          // it says it is a timeout
}

// class judges the facts: codes before the status, the status before the text.
func (f *facts) class() Class {
	if f.daily {
		return ClassQuotaExhausted
	}
	if c := cmp.Or(codeClass(f.code), codeClass(f.kind)); c != ClassUnclassified {
		return c
	}
	status := f.status
	if status < 400 {
		status = cmp.Or(vague(f.code), vague(f.kind))
	}
	c := cmp.Or(rpcClass(f.rpc), statusClass(status))
	switch {
	case c == ClassBadRequest && (f.code == "" || vague(f.code) != 0):
		return textClass(f.text)
	case c == ClassUnclassified && f.late:
		return ClassTimeout
	}
	return c
}

// read collects the facts. Foreign code runs here, on values that may be half
// empty, so a panic ends the reading, and what was read until then counts.
func (f *facts) read(err error) {
	defer func() { _ = recover() }()
	v := reflect.ValueOf(err)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if v.Kind() == reflect.Struct {
		f.fields(v)
	}
	f.methods(err)
	f.foreign(reflect.ValueOf(err))
	if f.text == "" && f.status >= 400 {
		f.text = err.Error()
	}
}

// fields reads the exported fields of an SDK's error struct.
func (f *facts) fields(v reflect.Value) {
	f.text = word(v, "Message", "ErrorMessage")
	f.kind = word(v, "Type")
	f.rpc = word(v, "Status")
	f.setStatus(word(v, "StatusCode", "HTTPStatusCode", "HTTPCode", "Status"))
	// A number in Code is an HTTP status only in an error made like an API's:
	// net/textproto's 550 is not.
	if code := word(v, "Code", "ErrorCode"); field(v, "Message").IsValid() || !isNumber(code) {
		f.setCode(code)
	}
	f.answer(v)
	if d, ok := value[time.Duration](field(v, "RetryAfter")); ok {
		f.setWait(d)
	}
	if list, ok := value[[]map[string]any](field(v, "Details")); ok { // genai
		for _, d := range list {
			f.jsonDetail(d)
		}
	}
	if body, ok := value[[]byte](field(v, "Body")); ok { // go-openai's RequestError
		f.body(body)
	}
	if event := field(v, "Event"); event.Kind() == reflect.Struct { // openai-go, in mid-stream
		if data, ok := value[[]byte](field(event, "Data")); ok {
			f.body(data)
		}
	}
}

// answer reads the HTTP response, or its headers, if the error holds them.
func (f *facts) answer(v reflect.Value) {
	for _, holder := range [...]reflect.Value{v, field(v, "Response"), field(v, "RawResponse")} {
		if holder = reflect.Indirect(holder); holder.Kind() != reflect.Struct {
			continue
		}
		f.setStatus(word(holder, "StatusCode"))
		for _, name := range [...]string{"Header", "ResponseHeader", "HTTPHeader"} {
			if h, ok := value[http.Header](field(holder, name)); ok {
				f.header(h)
			}
		}
	}
}

// header reads the retry hint. A date in it is the server's, so it is compared
// with the server's own clock where the answer has one.
func (f *facts) header(h http.Header) {
	now := time.Now()
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	if d, ok := ParseRetryAfter(h, now); ok {
		f.setWait(d)
	}
}

// methods asks the methods whose types are known without importing anything.
func (f *facts) methods(err error) {
	if e, ok := err.(interface{ RetryAfter() time.Duration }); ok {
		f.wait = cmp.Or(max(e.RetryAfter(), 0), f.wait)
	}
	if e, ok := err.(interface{ Timeout() bool }); ok {
		f.late = e.Timeout()
	}
	if e, ok := err.(interface{ HTTPStatusCode() int }); ok { // smithy
		f.setStatus(strconv.Itoa(e.HTTPStatusCode()))
	}
	if e, ok := err.(interface{ StatusCode() int }); ok {
		f.setStatus(strconv.Itoa(e.StatusCode()))
	}
	f.smithy(err)
	if e, ok := err.(interface{ RawJSON() string }); ok { // openai-go, anthropic-sdk-go
		f.body([]byte(e.RawJSON()))
	}
}

// smithy asks an error of the AWS SDK: the modeled error has the code, and the
// response error that wraps it has the status. The walk meets the status first,
// so the code is fetched from one level below.
func (f *facts) smithy(err error) {
	type coded interface{ ErrorCode() string }
	e, ok := err.(coded)
	if w, wraps := err.(interface{ Unwrap() error }); !ok && wraps && f.status != 0 {
		e, ok = w.Unwrap().(coded)
	}
	if ok {
		f.setCode(e.ErrorCode())
		if m, ok := e.(interface{ ErrorMessage() string }); ok {
			f.text = cmp.Or(f.text, m.ErrorMessage())
		}
	}
}

// foreign asks the methods that return an SDK's own types. Their names are
// literals on purpose: with a computed one the linker must keep every exported
// method of the whole program.
func (f *facts) foreign(v reflect.Value) {
	if kind, ok := call(v.MethodByName("Type")); ok && kind.Kind() == reflect.String { // anthropic-sdk-go
		f.kind = cmp.Or(f.kind, kind.String())
	}
	status, ok := call(v.MethodByName("GRPCStatus"))
	if !ok {
		return
	}
	if code, ok := call(status.MethodByName("Code")); ok && code.CanUint() && code.Uint() < uint64(len(rpcNames)) {
		f.rpc = rpcNames[code.Uint()]
	}
	if m, ok := value[interface{ Message() string }](status); ok {
		f.text = cmp.Or(m.Message(), f.text)
	}
	if m, ok := value[interface{ Details() []any }](status); ok {
		for _, d := range m.Details() {
			f.protoDetail(d)
		}
	}
}

// body reads a JSON error, bare or in the usual {"error": {...}}.
func (f *facts) body(data []byte) {
	type inner struct {
		Code    any
		Type    string
		Status  any
		Message string
		Details []map[string]any
	}
	var outer struct {
		Error inner
		inner
	}
	_ = json.Unmarshal(data, &outer) // a field of another type is left out, no more
	for _, e := range [...]inner{outer.Error, outer.inner} {
		f.setCode(word(reflect.ValueOf(e), "Code"))
		f.kind = cmp.Or(f.kind, e.Type)
		if s, ok := e.Status.(string); ok && f.rpc == "" {
			f.rpc = s
		}
		f.text = cmp.Or(e.Message, f.text)
		for _, d := range e.Details {
			f.jsonDetail(d)
		}
	}
}

// jsonDetail reads one google.rpc detail of a JSON error.
func (f *facts) jsonDetail(d map[string]any) {
	name, _ := d["@type"].(string)
	switch name = name[strings.LastIndexByte(name, '/')+1:]; name {
	case "google.rpc.RetryInfo":
		delay, _ := d["retryDelay"].(string) // "53s", "0.5s"
		if wait, ok := parseDelay(strings.TrimSuffix(delay, "s"), time.Second); ok {
			f.setWait(wait)
		}
	case "google.rpc.QuotaFailure":
		violations, _ := d["violations"].([]any)
		for _, violation := range violations {
			fields, _ := violation.(map[string]any)
			id, _ := fields["quotaId"].(string)
			f.setQuota(id)
		}
	case "google.rpc.ErrorInfo":
		reason, _ := d["reason"].(string) // a wrong key is 400 API_KEY_INVALID
		f.setCode(reason)
	}
}

// protoDetail reads one google.rpc detail of a gRPC status.
func (f *facts) protoDetail(d any) {
	v := reflect.ValueOf(d)
	if delay, ok := call(v.MethodByName("GetRetryDelay")); ok { // RetryInfo
		if m, ok := value[interface{ AsDuration() time.Duration }](delay); ok {
			f.setWait(m.AsDuration())
		}
	}
	if list, ok := call(v.MethodByName("GetViolations")); ok && list.Kind() == reflect.Slice { // QuotaFailure
		for i := range list.Len() {
			if m, ok := value[interface{ GetQuotaId() string }](list.Index(i)); ok {
				f.setQuota(m.GetQuotaId())
			}
		}
	}
	if m, ok := d.(interface{ GetReason() string }); ok { // ErrorInfo
		f.setCode(m.GetReason())
	}
}

// The setters keep what came first: it came from a better source.

func (f *facts) setCode(code string) {
	if isNumber(code) {
		f.setStatus(code) // OpenRouter and vLLM repeat the status as the code
	} else {
		f.code = cmp.Or(f.code, code)
	}
}

func (f *facts) setStatus(status string) {
	if n, err := strconv.Atoi(status); err == nil && n >= 100 && n < 600 && f.status < 400 {
		f.status = n
	}
}

func (f *facts) setWait(d time.Duration) { f.wait = cmp.Or(f.wait, max(d, 0)) }

func (f *facts) setQuota(id string) { f.daily = f.daily || strings.Contains(id, "PerDay") }
