package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/understudy-go/understudy/strategies"
)

// Reason says why an answer is none.
type Reason string

const (
	// Refusal: the model declined, in so many words.
	Refusal Reason = "refusal"
	// ContentFilter: the provider's filter cut the answer out.
	ContentFilter Reason = "content_filter"
	// Length: a token limit cut it short.
	Length Reason = "length"
	// Empty: no text, no tool call, no sound.
	Empty Reason = "empty"
	// Unfinished: the stream ended without its terminal marker. The client
	// reports no error for that.
	Unfinished Reason = "unfinished"
	// Failed: the provider says so, in the body of a 200.
	Failed Reason = "failed"
)

// AnswerError is an answer that came with status 200 and is none. Of a chat
// stream it holds no Completion: what had been delivered of it is in
// middleware.Sent.
type AnswerError struct {
	Reason Reason
	// Text is what the model says when it refuses, or the provider when it fails.
	Text       string
	Completion *sdk.ChatCompletion
	Response   *responses.Response
	// Err is the provider's own error, with its code; nil unless Failed.
	Err error
}

func (e *AnswerError) Error() string {
	s := "understudy: openai: no answer: " + string(e.Reason)
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Unwrap returns the provider's own error.
func (e *AnswerError) Unwrap() error { return e.Err }

// RecoveryClass is [strategies.ClassBlocked] or [strategies.ClassInvalidAnswer] by the
// Reason; what is Failed is left to the code in Err.
func (e *AnswerError) RecoveryClass() strategies.Class {
	switch e.Reason {
	case Refusal, ContentFilter:
		return strategies.ClassBlocked
	case Length, Empty, Unfinished:
		return strategies.ClassInvalidAnswer
	}
	return strategies.ClassUnclassified
}

// bodyError is an error object that came where an answer should be. The
// classifier reads its JSON as it reads that of the client's errors.
type bodyError struct{ code, raw string }

// failed makes an error of an error object.
func failed(raw string, completion *sdk.ChatCompletion, response *responses.Response) *AnswerError {
	var object struct {
		Code    any
		Message string
	}
	_ = json.Unmarshal([]byte(raw), &object) // what cannot be read stays in raw
	code, _ := object.Code.(string)
	return &AnswerError{
		Reason: Failed, Text: object.Message, Completion: completion, Response: response, Err: &bodyError{code: code, raw: raw},
	}
}

func (e *bodyError) Error() string {
	return "the provider reports an error in place of an answer: " + e.raw
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
