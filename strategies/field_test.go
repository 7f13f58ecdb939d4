package strategies_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/understudy-go/understudy/internal/field"
	"github.com/understudy-go/understudy/strategies"
)

// The failure corpus: what providers, gateways, local servers and proxies really send, one file
// each, in testdata/field. Its README describes the format.

// fieldShape is one failure of the corpus, and what errors clients make of it.
type fieldShape struct{ field.Shape }

// response is the answer as a client holds it once it has read the body.
func (s fieldShape) response() *http.Response {
	return &http.Response{
		StatusCode: s.Status, Status: fmt.Sprint(s.Status, " ", http.StatusText(s.Status)),
		Header: s.Header(), Body: io.NopCloser(strings.NewReader("")),
	}
}

// errorObject is the "error" of the body, if it is an object.
func (s fieldShape) errorObject() (json.RawMessage, bool) {
	var body struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal([]byte(s.Text()), &body) != nil || !bytes.HasPrefix(body.Error, []byte("{")) {
		return nil, false
	}
	return body.Error, true
}

func readField(t *testing.T) []field.File {
	t.Helper()
	files, err := field.Read("testdata/field")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestFieldCorpus checks the data alone: it is well formed, and there is enough of it.
func TestFieldCorpus(t *testing.T) {
	classes := map[string]bool{}
	for _, class := range strategies.Classes() {
		classes[class.String()] = true
	}
	var shapes, friends, providers int
	for _, file := range readField(t) {
		switch file.Kind {
		case "provider", "gateway", "local server", "proxy":
			providers++
			shapes += len(file.Shapes)
		case "friends":
			friends += len(file.Shapes)
		default:
			t.Errorf("%s: kind %q is not one of the README's", file.Provider, file.Kind)
		}
		if file.Provider == "" || len(file.Shapes) == 0 {
			t.Errorf("a file has no provider or no shapes: %+v", file)
		}
		seen := map[string]bool{}
		for _, shape := range file.Shapes {
			s := fieldShape{shape}
			if fault := s.fault(classes); fault != "" {
				t.Errorf("%s, %q: %s", file.Provider, s.Name, fault)
			}
			if seen[s.Name] {
				t.Errorf("%s has two shapes called %q", file.Provider, s.Name)
			}
			seen[s.Name] = true
			if len(fieldErrors(s)) == 0 {
				t.Errorf("%s, %q: no client makes an error of it", file.Provider, s.Name)
			}
		}
	}
	t.Logf("%d shapes in %d files, %d false friends", shapes, providers, friends)
	if shapes < 150 || providers < 25 || friends < 60 {
		t.Errorf("%d shapes in %d files and %d false friends are too few", shapes, providers, friends)
	}
}

// fault is what is wrong with the data of a shape, or "".
func (s fieldShape) fault(classes map[string]bool) string {
	switch {
	case s.Name == "" || s.Source == "":
		return "it has no name or no source"
	case !classes[s.Class]:
		return fmt.Sprintf("class %q is unknown", s.Class)
	case s.Plain && (s.Status != 0 || s.Headers != nil || s.Stream || s.Text() == ""):
		return "a plain error has a text and nothing else"
	case !s.Plain && s.Stream != (s.Status == 200):
		return fmt.Sprintf("status %d: an event in a stream has 200, and nothing else has", s.Status)
	case !s.Plain && !s.Stream && (s.Status < 400 || s.Status > 599):
		return fmt.Sprintf("status %d is no failure", s.Status)
	case s.Wait < 0 || (s.Wait > 0) != (s.WaitFrom != ""):
		return "wait and wait_from belong together"
	case !strings.Contains("|headers|clock|text|body|", "|"+s.WaitFrom+"|") && s.WaitFrom != "":
		return fmt.Sprintf("wait_from %q is not one of the README's", s.WaitFrom)
	case s.WaitFrom == "clock" && s.Headers["Date"] == "":
		return "a wait by the clock needs the server's Date"
	case !strings.Contains("|error|body|headers|", "|"+s.Needs+"|") && s.Needs != "":
		return fmt.Sprintf("needs %q is not one of the README's", s.Needs)
	}
	return ""
}

// fieldError is a shape as one kind of client returns it.
type fieldError struct {
	client  string
	err     error
	headers bool // it keeps the headers of the answer
}

// fieldErrors makes of a shape the errors that clients make of it. They are written down here by
// their fields and methods alone; the SDKs themselves are asked in internal/providers.
func fieldErrors(s fieldShape) []fieldError {
	if s.Plain {
		err := errors.New(s.Text())
		return []fieldError{
			{client: "errors.New", err: err},
			{client: "fmt.Errorf", err: fmt.Errorf("agent: %w", err)},
			{client: "errors.Join", err: errors.Join(errors.New("first"), err)},
			{client: "a struct of the user's", err: &fieldUserError{Message: s.Text()}},
		}
	}
	var all []fieldError
	add := func(client string, headers bool, err error) {
		if err == nil || s.Needs == "headers" && !headers {
			return // such a client cannot know it
		}
		all = append(all, fieldError{client, fmt.Errorf("agent: %w", err), headers})
	}
	add("a body of text", true, &fieldTextError{StatusCode: s.Status, Header: s.Header(), Body: s.Text()})
	add("a response", true, s.asResponse())
	add("raw JSON", true, s.asRawJSON())
	add("the error's JSON", true, s.asErrorJSON())
	add("a parsed error", false, s.asParsed())
	if s.Stream {
		add("an event", false, s.asEvent())
		return all
	}
	add("a body of bytes", false, &fieldBytesError{HTTPStatusCode: s.Status, Body: []byte(s.Text())})
	add("Google's client", false, s.asGoogle())
	add("Amazon's client", true, s.asAmazon())
	return all
}

// The errors below are called as the clients call theirs.

// fieldUserError is no client's: it has a message, and no status.
type fieldUserError struct{ Message string }

func (e *fieldUserError) Error() string { return e.Message }

// fieldTextError keeps the body as a text.
type fieldTextError struct {
	StatusCode int
	Header     http.Header
	Body       string
}

func (e *fieldTextError) Error() string { return fmt.Sprintf("request failed (%d)", e.StatusCode) }

// fieldBytesError is made like sashabaranov/go-openai's RequestError.
type fieldBytesError struct {
	HTTPStatus     string
	HTTPStatusCode int
	Err            error
	Body           []byte
}

func (e *fieldBytesError) Error() string {
	return fmt.Sprintf("error, status code: %d, status: %s, message: %v, body: %s", e.HTTPStatusCode, e.HTTPStatus, e.Err, e.Body)
}

// fieldResponseError keeps the response, and says the body in its text only.
type fieldResponseError struct {
	Response *http.Response
	body     string
}

func (e *fieldResponseError) Error() string {
	return fmt.Sprintf("POST \"https://api.example.com/v1/chat\": %s %s", e.Response.Status, e.body)
}

func (s fieldShape) asResponse() error {
	if s.Stream {
		return nil // a response of 200 is no error
	}
	return &fieldResponseError{Response: s.response(), body: s.Text()}
}

// fieldRawError is made like anthropic-sdk-go's: the whole body, if it is JSON.
type fieldRawError struct {
	StatusCode int
	Response   *http.Response
	raw        string
}

func (e *fieldRawError) Error() string   { return e.Response.Status + " " + e.raw }
func (e *fieldRawError) RawJSON() string { return e.raw }

func (s fieldShape) asRawJSON() error {
	if !json.Valid([]byte(s.Text())) {
		return nil
	}
	return &fieldRawError{StatusCode: s.Status, Response: s.response(), raw: s.Text()}
}

// fieldErrorJSONError is made like openai-go's: what stands under "error", parsed and raw.
type fieldErrorJSONError struct {
	Code       string
	Message    string
	Param      string
	Type       string
	StatusCode int
	Response   *http.Response
	raw        string
}

func (e *fieldErrorJSONError) Error() string   { return e.Response.Status + " " + e.raw }
func (e *fieldErrorJSONError) RawJSON() string { return e.raw }

func (s fieldShape) asErrorJSON() error {
	raw, ok := s.errorObject()
	if !ok || s.Needs == "body" {
		return nil
	}
	err := &fieldErrorJSONError{StatusCode: s.Status, Response: s.response(), raw: string(raw)}
	var fields map[string]any
	_ = json.Unmarshal(raw, &fields)
	err.Code, _ = fields["code"].(string)
	err.Message, _ = fields["message"].(string)
	err.Type, _ = fields["type"].(string)
	return err
}

// fieldParsedError is made like sashabaranov/go-openai's APIError: four fields, and the rest is lost.
type fieldParsedError struct {
	Code           any     `json:"code,omitempty"`
	Message        string  `json:"message"`
	Param          *string `json:"param,omitempty"`
	Type           string  `json:"type"`
	HTTPStatus     string  `json:"-"`
	HTTPStatusCode int     `json:"-"`
}

func (e *fieldParsedError) Error() string {
	return fmt.Sprintf("error, status code: %d, message: %s", e.HTTPStatusCode, e.Message)
}

func (s fieldShape) asParsed() error {
	raw, ok := s.errorObject()
	if !ok || s.Needs != "" {
		return nil
	}
	err := &fieldParsedError{HTTPStatusCode: s.Status}
	if json.Unmarshal(raw, err) != nil {
		return nil // the client falls back to the body
	}
	if s.Stream {
		err.HTTPStatusCode = 0 // this client does not know it there
	}
	return err
}

// fieldEventError is made like openai-go's in mid-stream.
type fieldEventError struct {
	Event struct {
		Type string
		Data []byte
	}
}

func (e *fieldEventError) Error() string { return "received error while streaming" }

func (s fieldShape) asEvent() error {
	err := &fieldEventError{}
	err.Event.Data = []byte(s.Text())
	return err
}

// fieldGoogleError is made like genai's APIError: a value, which keeps what it parsed, or else the
// body as its message.
type fieldGoogleError struct {
	Code    int              `json:"code,omitempty"`
	Message string           `json:"message,omitempty"`
	Status  string           `json:"status,omitempty"`
	Details []map[string]any `json:"details,omitempty"`
}

func (e fieldGoogleError) Error() string {
	return fmt.Sprintf("Error %d, Message: %s, Status: %s, Details: %v", e.Code, e.Message, e.Status, e.Details)
}

func (s fieldShape) asGoogle() error {
	var body struct {
		Error *fieldGoogleError `json:"error,omitempty"`
	}
	text := s.Text()
	if text != "" && (json.Unmarshal([]byte(text), &body) != nil || body.Error == nil) {
		return fieldGoogleError{Code: s.Status, Status: s.response().Status, Message: text}
	}
	if body.Error == nil {
		return fieldGoogleError{Code: s.Status, Status: s.response().Status}
	}
	if body.Error.Code != s.Status || s.Needs != "" && body.Error.Details == nil {
		return nil // the status is lost, or what the shape is known by: nothing to judge
	}
	return *body.Error
}

// The errors of the AWS SDK: an operation's, around the response's, around the modeled one.
type fieldOperationError struct{ err error }

func (e *fieldOperationError) Error() string { return "operation error: " + e.err.Error() }
func (e *fieldOperationError) Unwrap() error { return e.err }

type fieldAmazonResponse struct {
	Response *fieldAmazonHTTP
	Err      error
}

type fieldAmazonHTTP struct{ *http.Response }

func (e *fieldAmazonResponse) Error() string {
	return fmt.Sprintf("https response error StatusCode: %d, %v", e.Response.StatusCode, e.Err)
}
func (e *fieldAmazonResponse) Unwrap() error       { return e.Err }
func (e *fieldAmazonResponse) HTTPStatusCode() int { return e.Response.StatusCode }

type fieldAmazonError struct{ code, message string }

func (e *fieldAmazonError) Error() string        { return e.code + ": " + e.message }
func (e *fieldAmazonError) ErrorCode() string    { return e.code }
func (e *fieldAmazonError) ErrorMessage() string { return e.message }

func (s fieldShape) asAmazon() error {
	code, _, _ := strings.Cut(s.Header().Get("X-Amzn-ErrorType"), ":")
	if code == "" {
		return nil
	}
	var body struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal([]byte(s.Text()), &body)
	return &fieldOperationError{&fieldAmazonResponse{
		Response: &fieldAmazonHTTP{s.response()},
		Err:      &fieldAmazonError{code, body.Message},
	}}
}

// What the classifier reads right today. It gets better and never worse: whoever
// teaches it more raises the one, or lowers the other.
const (
	fieldRight = 1153
	fieldTaken = 0
)

// TestField reads every shape through every client, logs a line for each provider
// (run it with -v), and holds the sum to the constants above.
func TestField(t *testing.T) {
	var all, right, friends, taken int
	for _, file := range readField(t) {
		good, ways, goodWays := 0, 0, 0
		for _, shape := range file.Shapes {
			s := fieldShape{shape}
			misses := 0
			for _, e := range fieldErrors(s) {
				ways++
				if miss := s.judge(e); miss != "" {
					misses++
					t.Logf("  miss: %s, %q, as %s: %s", file.Provider, s.Name, e.client, miss)
				}
			}
			goodWays += len(fieldErrors(s)) - misses
			if misses == 0 {
				good++
			}
		}
		t.Logf("%-42s %3d of %3d right (%3d of %3d ways)", file.Provider, good, len(file.Shapes), goodWays, ways)
		if file.Kind == "friends" {
			friends, taken = friends+len(file.Shapes), taken+len(file.Shapes)-good
		} else {
			all, right = all+len(file.Shapes), right+good
		}
	}
	t.Logf("%-42s %3d of %3d right, %d of %d false friends taken", "all", right, all, taken, friends)
	if right != fieldRight || taken != fieldTaken {
		t.Errorf("%d shapes are right and %d friends taken; it was %d and %d: if it is better now, say so above", right, taken, fieldRight, fieldTaken)
	}
}

// judge says what is wrong with the verdict on a shape, or "".
func (s fieldShape) judge(e fieldError) string {
	v := strategies.Classify(e.err)
	if got := v.Class.String(); got != s.Class {
		return fmt.Sprintf("class %s, want %s", got, s.Class)
	}
	// A client that drops the headers cannot know what stood in them.
	if unknowable := !e.headers && (s.WaitFrom == "headers" || s.WaitFrom == "clock"); v.RetryAfter != s.Hint() && !unknowable {
		return fmt.Sprintf("wait %v, want %v", v.RetryAfter, s.Hint())
	}
	return ""
}
