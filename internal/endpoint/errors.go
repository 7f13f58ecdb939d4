package endpoint

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// apiError is the provider's error object. Param and Code are null, not "", where they say
// nothing; clients look at whether they are there.
type apiError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

type errorBody struct {
	Error apiError `json:"error"`
}

const (
	invalidRequest = "invalid_request_error"
	serverFailed   = "server_error"
	serverSorry    = "The server had an error while processing your request. Sorry about that!"
)

// errorOf is the HTTP error that a fault stands for, and false if it stands for none.
func errorOf(fault Fault, model string) (status int, e apiError, ok bool) {
	switch fault.Kind {
	case kindStatus:
		e = apiError{Message: http.StatusText(fault.Code), Type: invalidRequest}
		if fault.Code >= 500 {
			e = apiError{Message: serverSorry, Type: serverFailed}
		}
		return fault.Code, e, true
	case kindRateLimit:
		text := fmt.Sprintf("Rate limit reached for %s on requests per min (RPM): Limit 3, Used 3, Requested 1.", model)
		if fault.Wait > 0 {
			text += fmt.Sprintf(" Please try again in %v.", fault.Wait)
		}
		return 429, apiError{Message: text, Type: "requests", Code: to("rate_limit_exceeded")}, true
	case kindQuota:
		return 429, apiError{
			Message: "You exceeded your current quota, please check your plan and billing details.",
			Type:    "insufficient_quota",
			Code:    to("insufficient_quota"),
		}, true
	case kindContextOverflow:
		return 400, apiError{
			Message: "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. Please reduce the length of the messages.",
			Type:    invalidRequest,
			Param:   to("messages"),
			Code:    to("context_length_exceeded"),
		}, true
	case kindUnauthorized:
		return 401, apiError{
			Message: "Incorrect API key provided.",
			Type:    invalidRequest,
			Code:    to("invalid_api_key"),
		}, true
	case kindBadRequest:
		return 400, apiError{
			Message: "Invalid 'messages': the last message has a role that is not known.",
			Type:    invalidRequest,
			Param:   to("messages"),
		}, true
	case kindServerError:
		return 500, apiError{Message: serverSorry, Type: serverFailed}, true
	case kindOverloaded:
		return 503, apiError{
			Message: "The engine is currently overloaded, please try again later.",
			Type:    "service_unavailable_error",
			Code:    to("server_is_overloaded"),
		}, true
	}
	return 0, apiError{}, false
}

func writeError(w http.ResponseWriter, status int, e apiError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(mustJSON(errorBody{e})) // a client that has gone away is no concern of ours
}

// hint sets the header that says when to come back.
func hint(h http.Header, wait time.Duration) {
	switch {
	case wait <= 0:
	case wait%time.Second == 0:
		h.Set("Retry-After", strconv.FormatInt(int64(wait/time.Second), 10))
	default:
		ms := (wait + time.Millisecond - 1) / time.Millisecond
		h.Set("Retry-After-Ms", strconv.FormatInt(int64(ms), 10))
	}
}
