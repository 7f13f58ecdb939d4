//nolint:errorlint // one value is looked at here; whoever asks walks the tree
package foreign

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Facts is what one error value says of itself. Empty: it says nothing of that.
type Facts struct {
	Codes   Words         // what happened, in the provider's words, the outer ones first: "insufficient_quota"
	Kinds   Words         // the coarser types beside them: "invalid_request_error"
	Number  int           // a provider's own number that is no HTTP status: 1113
	Where   string        // the key of what Number stood in: "error", "errors", "base_resp", or "" for the body itself
	RPC     string        // the name of the gRPC status: "UNAVAILABLE"
	Status  int           // the HTTP status
	Text    string        // what it says to people
	Wait    time.Duration // how long it asks to be left alone; never negative, at most 366 days
	Reset   time.Duration // when its limit is lifted: a hint only if it was a limit
	Daily   bool          // the quota that ran out comes back tomorrow
	Late    bool          // it says it is a timeout
	Blocked bool          // it says what of the request was flagged
	Lost    bool          // it is a provider's, and the client lost the status

	date  string    // the server's clock, as it came
	now   time.Time // the same, or ours
	erred bool      // an error stood in a body
}

// Words are the first few words of a kind; the rest is empty.
type Words [6]string

// The bounds of what is read of a stranger's error.
const (
	maxText    = 16 << 10 // bytes of a text for people
	maxCode    = 256      // bytes of a code; what is longer is none
	maxBody    = 1 << 20  // bytes of a body; a longer one is not read
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
		f.say(Ask(err.Error), 0) // some keep the body nowhere else
	}
	f.Lost = f.Lost && f.Status < 400
	f.Wait, f.Reset = Clamp(f.Wait), Clamp(f.Reset)
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
	f.answer(v) // first, for the server's clock
	f.setKind(word(v, "Type"))
	f.status(v)
	// A number in Code is an HTTP status only in an error made like an API's:
	// net/textproto's 550 is not.
	if code := word(v, "Code", "ErrorCode"); field(v, "Message").IsValid() || !isNumber(code) {
		f.setCode(code, place{"code", "error"})
	}
	if text := word(v, "Message", "ErrorMessage"); f.Status >= 400 || f.Lost || f.RPC != "" {
		f.say(text, 0)
	} else {
		f.plain(text) // the words of no provider: JSON in them is quoted
	}
	if d, ok := value[time.Duration](field(v, "RetryAfter")); ok {
		f.setWait(d)
	}
	if list, ok := value[[]map[string]any](field(v, "Details")); ok { // genai
		f.jsonDetails(list)
	}
	body := field(v, "Body") // go-openai's RequestError has bytes, others have text
	if data, ok := value[[]byte](body); ok {
		f.body(string(data[:min(len(data), maxBody+1)]))
	} else if body.Kind() == reflect.String {
		f.body(body.String())
	}
	if event := field(v, "Event"); event.Kind() == reflect.Struct { // openai-go, in mid-stream
		if data, ok := value[[]byte](field(event, "Data")); ok {
			f.Lost = true
			f.body(string(data[:min(len(data), maxBody+1)]))
		}
	}
}

// status reads the fields that a status may stand in.
func (f *Facts) status(v reflect.Value) {
	text := word(v, "Status")
	f.RPC = cmp.Or(f.RPC, rpcName(text))
	for _, name := range [...]string{"StatusCode", "HTTPStatusCode", "HTTPCode"} {
		at := field(v, name)
		if at.CanInt() {
			f.putStatus(int(at.Int())) // as most are: no text need be made of it
		} else {
			f.setStatus(wordOf(at))
		}
		if f.Status == 0 && name != "HTTPCode" && at.IsValid() && at.IsZero() {
			f.Lost = true
		}
	}
	f.setStatus(text)
	if code := field(v, "Code"); f.Status == 0 && code.CanInt() && code.IsZero() && field(v, "Details").IsValid() {
		f.Lost = true // genai behind a proxy that spells errors its own way
	}
}

// answer reads the HTTP response, or its headers, if the error holds them.
func (f *Facts) answer(v reflect.Value) {
	for _, holder := range [...]reflect.Value{v, field(v, "Response"), field(v, "RawResponse")} {
		if holder = reflect.Indirect(holder); holder.Kind() != reflect.Struct {
			continue
		}
		if at := field(holder, "StatusCode"); at.CanInt() {
			f.putStatus(int(at.Int()))
		} else {
			f.setStatus(wordOf(at))
		}
		for _, name := range [...]string{"Header", "ResponseHeader", "HTTPHeader"} {
			if h, ok := value[http.Header](field(holder, name)); ok {
				f.header(h)
			}
		}
		if body, ok := value[io.ReadCloser](field(holder, "Body")); ok && f.Status >= 400 {
			f.body(peek(body))
		}
	}
}

// peek looks at a body that was read and put back, as openai-go does, and leaves it
// as it is. Of any other it reads nothing: it may block, and it is somebody's.
func peek(body io.ReadCloser) string {
	v := reflect.ValueOf(body)
	if v.Kind() != reflect.Struct { // io.NopCloser is a struct with a Reader in it
		return ""
	}
	reader, _ := value[io.Reader](field(v, "Reader"))
	switch r := reader.(type) {
	case *bytes.Buffer:
		if r != nil {
			return string(r.Bytes()[:min(r.Len(), maxBody)])
		}
	case *bytes.Reader:
		if r != nil {
			return ahead(r, r.Size(), r.Len())
		}
	case *strings.Reader:
		if r != nil {
			return ahead(r, r.Size(), r.Len())
		}
	}
	return ""
}

func ahead(r io.ReaderAt, size int64, left int) string {
	data := make([]byte, min(left, maxBody))
	n, _ := r.ReadAt(data, size-int64(left))
	return string(data[:n])
}

// header reads the retry hint. A date in it is the server's, so it is compared
// with the server's own clock where the answer has one.
func (f *Facts) header(h http.Header) {
	f.date = cmp.Or(f.date, h.Get("Date"))
	if h.Get("Retry-After") != "" || h.Get("Retry-After-Ms") != "" {
		if d, ok := ParseRetryAfter(h, f.clock()); ok {
			f.setWait(d)
		}
	}
	f.resets(h)
	if kind, _, _ := strings.Cut(h.Get("X-Amzn-Errortype"), ":"); kind != "" {
		f.setCode(kind, place{"code", "error"})
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
		f.putStatus(Ask(e.HTTPStatusCode))
	}
	if e, ok := err.(interface{ StatusCode() int }); ok {
		f.putStatus(Ask(e.StatusCode))
	}
	f.smithy(err)
	if e, ok := err.(interface{ RawJSON() string }); ok { // openai-go, anthropic-sdk-go
		f.Lost = true // in a stream, whose status was 200
		f.body(Ask(e.RawJSON))
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
		f.setCode(Ask(e.ErrorCode), place{"code", "error"})
		if m, ok := e.(interface{ ErrorMessage() string }); ok {
			f.say(Ask(m.ErrorMessage), 0)
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
		f.say(m.Message(), 0)
	}
	if m, ok := value[interface{ Details() []any }](status); ok {
		details := m.Details()
		for _, d := range details[:min(len(details), maxDetails)] {
			f.protoDetail(d)
		}
	}
}

// The setters keep what came first: it came from a better source.

func (f *Facts) setCode(code string, at place) {
	n, ok := whole(code)
	switch {
	case code == "" || len(code) > maxCode:
	case !ok:
		f.addCode(&f.Codes, code)
	case n >= 100 && n < 600 && at.key != "error_code" && at.in != "base_resp":
		f.setStatus(code) // OpenRouter and vLLM repeat the status as the code
	case f.Number == 0 && n > 0:
		f.Number, f.Where, f.erred = n, at.in, true
		if at.key == "error_code" {
			f.Where = at.key
		}
	}
}

func (f *Facts) addCode(to *Words, code string) {
	if strings.Contains(code, "://") {
		return // the type of problem+json (RFC 9457): an address
	}
	for i, known := range to {
		if known == "" || known == code {
			to[i] = code
			return
		}
	}
}

func (f *Facts) setKind(kind string) {
	if kind != "" && len(kind) <= maxCode {
		f.addCode(&f.Kinds, kind)
	}
}

func (f *Facts) setStatus(status string) {
	if n, ok := whole(status); ok {
		f.putStatus(n)
	}
}

func (f *Facts) putStatus(n int) {
	if n >= 100 && n < 600 && f.Status < 400 {
		f.Status = n
	}
}

// whole reads a whole number, and makes no error of what is none.
func whole(text string) (int, bool) {
	if text == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') || text[len(text)-1] < '0' || text[len(text)-1] > '9' {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

func (f *Facts) setWait(d time.Duration) { f.Wait = cmp.Or(f.Wait, max(d, 0)) }

func (f *Facts) setQuota(id string) { f.Daily = f.Daily || strings.Contains(id, "PerDay") }
