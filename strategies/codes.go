package strategies

import (
	"cmp"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/understudy-go/understudy/internal/foreign"
)

// recognise says what the shape of one error means, not what it wraps: the
// fields and methods that the SDKs of providers have in common, so that none of
// them need be imported. Package foreign reads them. Unclassified: nothing.
func recognise(err error) (Class, time.Duration) {
	if broken(err) {
		return ClassTransient, 0
	}
	switch err.(type) { //nolint:errorlint // ours say what they are by method, and have nothing else to be read
	case nil, *OpenError, *AgentError, *AnswerError, *ConfigError, *FullError, *InvalidAnswerError, *PanicError,
		*RecoveryError, *StreamError, *StreamLimitError, *TimeoutError, *classError:
		return ClassUnclassified, 0
	}
	if foreign.Bare(err) {
		return ClassUnclassified, 0 // most errors are, and reflection is slow
	}
	f := foreign.Read(err)
	return judge(&f), f.Wait
}

// broken says that err is itself the end of a connection.
func broken(err error) bool {
	switch err { //nolint:errorlint // the walk unwraps
	case io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE:
		return true
	}
	return false
}

// judge says what facts mean: codes before the status, the status before the text.
func judge(f *foreign.Facts) Class {
	if f.Daily {
		return ClassQuotaExhausted
	}
	if c := cmp.Or(codeClass(f.Code), codeClass(f.Kind)); c != ClassUnclassified {
		return c
	}
	status := f.Status
	if status < 400 {
		status = cmp.Or(vague(f.Code), vague(f.Kind))
	}
	c := cmp.Or(rpcClass(f.RPC), statusClass(status))
	switch {
	case c == ClassBadRequest && (f.Code == "" || vague(f.Code) != 0):
		return textClass(f.Text)
	case c == ClassUnclassified && f.Late:
		return ClassTimeout
	}
	return c
}

// The tables below are the providers' vocabulary, compared in lower case and as
// whole words: prose is changed without notice, codes are a contract.

// codeClass is the class of a provider's error code or type. The vague ones
// ("server_error") are in [vague]: the HTTP status knows more than they do.
func codeClass(code string) Class {
	switch strings.ToLower(code) {
	case "rate_limit_exceeded", "rate_limit_error", "rate_limit", "throttlingexception":
		return ClassRateLimited
	case "overloaded_error", "server_is_overloaded", "server_overloaded", "service_unavailable_error",
		"slow_down", "flex_unavailable":
		return ClassOverloaded
	case "insufficient_quota", "quota_exceeded", "billing_error", "billing_hard_limit_reached",
		"billing_not_active", "billing_disabled", "credit_balance_exhausted", "usage_limit_exceeded", "organization_usage_limit_exceeded",
		"organization_spend_limit_exceeded", "project_spend_limit_exceeded", "servicequotaexceededexception":
		return ClassQuotaExhausted
	case "context_length_exceeded", "model_context_window_exceeded", "exceed_context_size_error", "token_limit":
		return ClassContextOverflow
	case "content_filter", "content_policy_violation", "image_content_policy_violation",
		"responsibleaipolicyviolation", "moderation_blocked", "invalid_prompt", "refusal",
		"cyber_policy", "bio_policy", "misalignment_policy_violation":
		return ClassBlocked // OpenAI's invalid_prompt is "flagged as violating our usage policy"
	case "invalid_api_key", "api_key_invalid", "authentication_error", "authentication", "permission_error",
		"permission_denied", "accessdeniedexception", "expiredtokenexception":
		return ClassUnauthorized
	case "model_not_found", "not_found_error", "deploymentnotfound", "resource_not_found", "resourcenotfoundexception":
		return ClassUnauthorized // see 404 in statusClass
	case "request_too_large", "string_above_max_length":
		return ClassBadRequest
	case "timeout_error", "timeout", "request_timeout", "vector_store_timeout", "modeltimeoutexception":
		return ClassTimeout
	case "modelnotreadyexception", "modelerrorexception", "modelstreamerrorexception":
		return ClassTransient // Amazon sends them as 4xx
	}
	return ClassUnclassified
}

// vague is the HTTP status that a code stands for when it says no more than
// such a status does. It counts only where there is no status: in a stream,
// whose own status was 200.
func vague(code string) int {
	switch strings.ToLower(code) {
	case "invalid_request_error", "invalid_request", "invalid_argument", "bad_request", "badrequesterror", "validationexception":
		return 400
	case "api_error", "server_error", "internal_error", "internal_server_error", "provider_unavailable":
		return 500
	}
	return 0
}

// rpcClass is the class of a gRPC code. CANCELLED is left to the caller's
// context, which knows who canceled.
func rpcClass(name string) Class {
	switch name {
	case "UNAVAILABLE", "ABORTED", "INTERNAL", "UNKNOWN", "DATA_LOSS":
		return ClassTransient
	case "DEADLINE_EXCEEDED":
		return ClassTimeout
	case "RESOURCE_EXHAUSTED":
		return ClassRateLimited
	case "PERMISSION_DENIED", "UNAUTHENTICATED", "NOT_FOUND":
		return ClassUnauthorized
	case "INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "ALREADY_EXISTS", "UNIMPLEMENTED":
		return ClassBadRequest
	}
	return ClassUnclassified
}

// statusClass is the class of an HTTP status that nothing better is known of.
func statusClass(status int) Class {
	switch status {
	case 401, 403, 404:
		// 404 is a model that is not there for us: like a wrong credential it
		// does not heal, another agent may do, and somebody must be told.
		return ClassUnauthorized
	case 402:
		return ClassQuotaExhausted
	case 408:
		return ClassTimeout
	case 409, 425:
		return ClassTransient
	case 429:
		return ClassRateLimited
	case 499: // "client closed request": the caller's context knows
		return ClassUnclassified
	case 529:
		return ClassOverloaded
	}
	switch {
	case status >= 400 && status < 500:
		return ClassBadRequest
	case status >= 500 && status < 600:
		return ClassTransient
	}
	return ClassUnclassified
}

// textClass reads what a provider says of a bad request to people, for want of
// a code: Anthropic, Google and most servers of open models have none for the
// two cases that are not the request's fault everywhere.
func textClass(text string) Class {
	text = strings.ToLower(text)
	for _, phrase := range [...]string{
		"prompt is too long", "maximum context length", "exceeds the maximum number of tokens", "context window",
		"exceed context limit", "available context size", "input is too long for requested model",
	} {
		if strings.Contains(text, phrase) {
			return ClassContextOverflow
		}
	}
	if strings.Contains(text, "credit balance is too low") {
		return ClassQuotaExhausted // Anthropic, as 400 invalid_request_error
	}
	return ClassBadRequest
}
