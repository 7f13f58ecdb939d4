package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	sdk "github.com/openai/openai-go/v3"

	"github.com/understudy-go/understudy/strategies"
)

// Why an answer is none, in a [strategies.AnswerError]. The provider's own words
// stand beside these, whatever they are: a finish reason of a chat, the status of
// a response or the reason why it is incomplete.
const (
	// Refusal: the model declined, in so many words, which are the Text.
	Refusal = "refusal"
	// ContentFilter: the provider's filter cut the answer out.
	ContentFilter = "content_filter"
	// Length: a token limit cut it short. The Responses API says
	// max_output_tokens, which is accepted by this name too.
	Length = "length"
	// Empty: no text, no tool call, no sound. Reasoning alone is no answer.
	Empty = "empty"
	// Unfinished: no finish reason, or a stream without its terminal marker. The
	// client reports no error for that.
	Unfinished = "unfinished"
	// Failed: the provider says so, in the body of a 200. Err is what it says.
	Failed = "failed"
	// Arguments: those of a tool call are no whole JSON object.
	Arguments = "arguments"
	// UnknownTool: it calls a function that the request did not offer.
	UnknownTool = "unknown_tool"
)

// outputTokens is what the Responses API calls [Length].
const outputTokens = "max_output_tokens"

const (
	mostText      = 64 << 10 // of an answer, kept for its error
	mostArguments = 8 << 20  // of a tool call
	mostCalls     = 1 << 10
	mostWord      = 64 // a finish reason, or the name of a tool
)

// keep adds a piece to what is kept, up to a bound.
func keep(kept []byte, piece string, most int) []byte {
	return append(kept, piece[:min(len(piece), most-len(kept))]...)
}

// answer is what is known of an answer: of one choice of a chat, or of a response.
type answer struct {
	seen    bool
	finish  string // why it ended, in the provider's word; "": it has not
	said    bool   // text, sound, a call
	text    []byte
	refusal []byte
	calls   []call
}

// says takes note of text.
func (a *answer) says(text string) {
	a.said = a.said || text != ""
	a.text = keep(a.text, text, mostText)
}

func (a *answer) refuses(text string) { a.refusal = keep(a.refusal, text, mostText) }

// none is the error that says that it is no answer.
func (a *answer) none(reason string, class strategies.Class, err error) *strategies.AnswerError {
	text := a.text
	if reason == Refusal {
		text = a.refusal
	}
	return &strategies.AnswerError{Provider: "openai", Reason: word(reason), Text: strings.ToValidUTF8(string(text), ""), Class: class, Err: err}
}

// word is a word of the provider's, or as much of it as a word may have.
func word(s string) string { return strings.ToValidUTF8(s[:min(len(s), mostWord)], "") }

func unknown(tool string) error { return fmt.Errorf("the request offers no function %q", word(tool)) }

// call is what has come of a tool call.
type call struct {
	index     int64
	id        string
	kind      string
	name      string
	arguments []byte
	open      bool // more of it is to come
}

// function says whether it is ours to run by name: the tools that the provider
// runs itself, and custom ones, whose input is any text, are not.
func (c *call) function() bool { return c.kind == "function" || c.kind == "" }

// whole says whether it may be run. No arguments at all are how a call without
// any is sent, unless its answer was cut: then they are what is missing.
func (c *call) whole(answer bool) bool {
	return !c.open && (answer || len(bytes.TrimSpace(c.arguments)) > 0) && strategies.WholeArguments(string(c.arguments))
}

// hear takes note of a fragment of a call. A fragment belongs to the last call of
// its index, unless it brings another id: some servers give all the same index.
func (a *answer) hear(index int64, id, kind, name, arguments string) {
	if id+kind+name+arguments == "" {
		return
	}
	a.said = true
	at := -1
	for i := range a.calls {
		if a.calls[i].index == index {
			at = i
		}
	}
	if at < 0 || id != "" && a.calls[at].id != "" && a.calls[at].id != id {
		if len(a.calls) == mostCalls {
			a.calls[len(a.calls)-1].open = true // one too many breaks it
			return
		}
		a.calls = append(a.calls, call{index: index})
		at = len(a.calls) - 1
	}
	c := &a.calls[at]
	if c.id == "" {
		c.id = id
	}
	if c.kind == "" {
		c.kind = kind
	}
	if c.name != name { // some servers repeat it
		c.name = word(c.name + name)
	}
	c.arguments = keep(c.arguments, arguments, mostArguments)
}

// bodyError is an error object that came where an answer should be. The
// classifier reads its JSON as it reads that of the client's errors.
type bodyError struct{ code, raw string }

// failed makes an error of an error object, which came with an answer or in its
// place.
func failed(raw string, answer any) *strategies.AnswerError {
	var object struct{ Code any }
	_ = json.Unmarshal([]byte(raw), &object) // what cannot be read stays in raw
	code, _ := object.Code.(string)
	err := &bodyError{code: code, raw: raw}
	return &strategies.AnswerError{Provider: "openai", Reason: Failed, Answer: answer, Class: strategies.Classify(err).Class, Err: err}
}

func (e *bodyError) Error() string {
	return "the provider reports an error in place of an answer: " + strings.ToValidUTF8(e.raw[:min(len(e.raw), 4<<10)], "")
}

// RawJSON returns the error object.
func (e *bodyError) RawJSON() string { return e.raw }

// RecoveryClass knows the codes that say enough only beside a status, which
// there is none of here.
func (e *bodyError) RecoveryClass() strategies.Class {
	switch e.code {
	case "invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url", "invalid_image_mode",
		"image_too_large", "image_too_small", "image_parse_error", "image_file_too_large", "image_file_not_found",
		"unsupported_image_media_type", "empty_image_file":
		return strategies.ClassBadRequest
	case "data_residency_mismatch":
		return strategies.ClassUnauthorized // this account's; another agent's may do
	}
	return strategies.ClassUnclassified
}

// HTTPError is a response with an error status whose body the client could not
// read or left unread: {"error":"too many requests"}, for one, and a body
// without an "error" at all. The client drops status and Retry-After of the
// first, and the text of both.
type HTTPError struct {
	StatusCode int
	Header     http.Header
	Message    string // the body, at most its first 4 KiB
	Err        error  // as the client gave it
}

func (e *HTTPError) Error() string {
	return fmt.Sprintf("understudy: openai: HTTP status %d: %v", e.StatusCode, e.Err)
}

// Unwrap returns the error as the client gave it.
func (e *HTTPError) Unwrap() error { return e.Err }

// RawJSON returns the body, for the classifier.
func (e *HTTPError) RawJSON() string { return e.Message }

// explain adds to an error of the client what it has thrown away of the response.
func explain(err error, resp *http.Response) error {
	if resp == nil || resp.StatusCode < 400 {
		return err
	}
	if own, ok := errors.AsType[*sdk.Error](err); ok && own.RawJSON() != "" {
		return err
	}
	e := &HTTPError{StatusCode: resp.StatusCode, Header: resp.Header, Err: err}
	if resp.Body != nil { // which the client has filled again
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // what can be read of it is enough
		_ = resp.Body.Close()
		e.Message = string(text)
	}
	return e
}
