//nolint:errorlint // one value is looked at here; whoever asks walks the tree
package foreign

import (
	"cmp"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Facts is what one error value says of itself. Empty: it says nothing of that.
type Facts struct {
	Code   string        // what happened, in the provider's word: "insufficient_quota"
	Kind   string        // the coarser type beside it: "invalid_request_error"
	RPC    string        // the name of the gRPC status: "UNAVAILABLE"
	Status int           // the HTTP status
	Text   string        // what it says to people
	Wait   time.Duration // how long it asks to be left alone; never negative, at most 366 days
	Daily  bool          // the quota that ran out comes back tomorrow
	Late   bool          // it says it is a timeout
}

// The bounds of what is read of a stranger's error.
const (
	maxText    = 16 << 10 // bytes of a text for people
	maxCode    = 256      // bytes of a code; what is longer is none
	maxBody    = 1 << 20  // bytes of a JSON body; a longer one is not read
	maxDetails = 100      // details, and violations in one of them
)

// Read looks at err alone, not at what it wraps, and collects what it says. It
// does not panic: a part of err that panics is a part that says nothing.
func Read(err error) Facts {
	var f Facts
	if err == nil || Bare(err) {
		return f
	}
	v := reflect.ValueOf(err)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return f
		}
		v = v.Elem()
	}
	if v.Kind() == reflect.Struct {
		f.fields(v)
	}
	f.methods(err)
	f.foreign(reflect.ValueOf(err))
	if f.Text == "" && f.Status >= 400 {
		f.Text = Ask(err.Error)
	}
	f.Text = f.Text[:min(len(f.Text), maxText)]
	f.Wait = Clamp(f.Wait)
	return f
}

// Ask calls a method of a stranger's. A panic is no answer.
func Ask[T any](method func() T) (answer T) {
	defer quiet()
	return method()
}

// quiet is deferred where strangers' code runs, or their values are looked into.
func quiet() { _ = recover() }

// fields reads the exported fields of an SDK's error struct.
func (f *Facts) fields(v reflect.Value) {
	defer quiet()
	f.Text = word(v, "Message", "ErrorMessage")
	f.setKind(word(v, "Type"))
	f.RPC = word(v, "Status")
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
		f.jsonDetails(list)
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
func (f *Facts) answer(v reflect.Value) {
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
func (f *Facts) header(h http.Header) {
	now := time.Now()
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	if d, ok := ParseRetryAfter(h, now); ok {
		f.setWait(d)
	}
}

// methods asks the methods whose types are known without importing anything.
func (f *Facts) methods(err error) {
	if e, ok := err.(interface{ RetryAfter() time.Duration }); ok {
		f.Wait = cmp.Or(max(Ask(e.RetryAfter), 0), f.Wait)
	}
	if e, ok := err.(interface{ Timeout() bool }); ok {
		f.Late = Ask(e.Timeout)
	}
	if e, ok := err.(interface{ HTTPStatusCode() int }); ok { // smithy
		f.setStatus(strconv.Itoa(Ask(e.HTTPStatusCode)))
	}
	if e, ok := err.(interface{ StatusCode() int }); ok {
		f.setStatus(strconv.Itoa(Ask(e.StatusCode)))
	}
	f.smithy(err)
	if e, ok := err.(interface{ RawJSON() string }); ok { // openai-go, anthropic-sdk-go
		f.body([]byte(Ask(e.RawJSON)))
	}
}

// smithy asks an error of the AWS SDK: the modeled error has the code, and the
// response error that wraps it has the status. The walk meets the status first,
// so the code is fetched from one level below.
func (f *Facts) smithy(err error) {
	type coded interface{ ErrorCode() string }
	e, ok := err.(coded)
	if w, wraps := err.(interface{ Unwrap() error }); !ok && wraps && f.Status != 0 {
		e, ok = Ask(w.Unwrap).(coded)
	}
	if ok {
		f.setCode(Ask(e.ErrorCode))
		if m, ok := e.(interface{ ErrorMessage() string }); ok {
			f.Text = cmp.Or(f.Text, Ask(m.ErrorMessage))
		}
	}
}

// foreign asks the methods that return an SDK's own types. Their names are
// literals on purpose: with a computed one the linker must keep every exported
// method of the whole program.
func (f *Facts) foreign(v reflect.Value) {
	defer quiet()
	if kind, ok := call(v.MethodByName("Type")); ok && kind.Kind() == reflect.String { // anthropic-sdk-go
		f.setKind(kind.String())
	}
	status, ok := call(v.MethodByName("GRPCStatus"))
	if !ok {
		return
	}
	if code, ok := call(status.MethodByName("Code")); ok && code.CanUint() && code.Uint() < uint64(len(rpcNames)) {
		f.RPC = rpcNames[code.Uint()]
	}
	if m, ok := value[interface{ Message() string }](status); ok {
		f.Text = cmp.Or(m.Message(), f.Text)
	}
	if m, ok := value[interface{ Details() []any }](status); ok {
		details := m.Details()
		for _, d := range details[:min(len(details), maxDetails)] {
			f.protoDetail(d)
		}
	}
}

// The setters keep what came first: it came from a better source.

func (f *Facts) setCode(code string) {
	switch {
	case len(code) > maxCode:
	case isNumber(code):
		f.setStatus(code) // OpenRouter and vLLM repeat the status as the code
	default:
		f.Code = cmp.Or(f.Code, code)
	}
}

func (f *Facts) setKind(kind string) {
	if len(kind) <= maxCode {
		f.Kind = cmp.Or(f.Kind, kind)
	}
}

func (f *Facts) setStatus(status string) {
	if n, err := strconv.Atoi(status); err == nil && n >= 100 && n < 600 && f.Status < 400 {
		f.Status = n
	}
}

func (f *Facts) setWait(d time.Duration) { f.Wait = cmp.Or(f.Wait, max(d, 0)) }

func (f *Facts) setQuota(id string) { f.Daily = f.Daily || strings.Contains(id, "PerDay") }
