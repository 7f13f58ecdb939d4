//nolint:errorlint // outermost looks at one value at a time
package genkit

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/firebase/genkit/go/ai"
	"github.com/firebase/genkit/go/core/status"

	"github.com/understudy-go/understudy/strategies"
)

// Empty is the reason of an [AnswerError] that genkit has no word for: the
// answer has neither text nor a tool call in it.
const Empty ai.FinishReason = "empty"

// AnswerError is a response that came without an error and is no answer.
type AnswerError struct {
	Reason ai.FinishReason
	// Response is as the model gave it. FinishMessage is in it.
	Response *ai.ModelResponse
	// Err is the provider's own error, which some gateways put beside the
	// answer; nil if there was none.
	Err error
}

func (e *AnswerError) Error() string {
	s := "understudy: genkit: no answer: " + string(e.Reason)
	if e.Response != nil && e.Response.FinishMessage != "" {
		s += ": " + e.Response.FinishMessage
	}
	return s
}

// Unwrap returns the provider's own error.
func (e *AnswerError) Unwrap() error { return e.Err }

// RecoveryClass is [strategies.ClassBlocked] for what was blocked, what the
// provider's own error says if there is one, and else
// [strategies.ClassInvalidAnswer].
func (e *AnswerError) RecoveryClass() strategies.Class {
	switch {
	case e.Reason == ai.FinishReasonBlocked:
		return strategies.ClassBlocked
	case e.Err != nil:
		return strategies.Classify(e.Err).Class
	}
	return strategies.ClassInvalidAnswer
}

// judge says why a response is no answer, or nil.
func judge(resp *ai.ModelResponse, streamed bool, accept []ai.FinishReason) error {
	if resp == nil {
		return &AnswerError{Reason: Empty}
	}
	if resp.Operation != nil {
		return nil // it is still being worked on
	}
	e := &AnswerError{Response: resp}
	said := resp.Message != nil && slices.ContainsFunc(resp.Message.Content, says)
	switch r := resp.FinishReason; {
	case r == ai.FinishReasonBlocked, r == ai.FinishReasonLength, r == ai.FinishReasonOther, r == ai.FinishReasonAborted,
		r == ai.FinishReasonUnknown && streamed: // a connection that ended too soon looks so
		e.Reason, e.Err = r, beside(resp.Raw)
	case !said && r != ai.FinishReasonInterrupted:
		e.Reason = Empty
	}
	if e.Reason == ai.FinishReasonLength && !said && slices.Contains(accept, ai.FinishReasonLength) {
		e.Reason = Empty // cut before its first word
	}
	if e.Reason == "" || slices.Contains(accept, e.Reason) {
		return nil
	}
	return e
}

// beside returns the error object that compat_oai leaves in Raw when a gateway
// reports a failure with status 200.
func beside(raw any) error {
	fields, _ := raw.(map[string]any)
	if object, ok := fields["error"].(map[string]any); ok {
		if text, err := json.Marshal(object); err == nil {
			return bodyError(text)
		}
	}
	return nil
}

// bodyError is an error object. The classifier reads its JSON.
type bodyError string

func (e bodyError) Error() string {
	return "the provider reports an error beside its answer: " + string(e)
}

// RawJSON returns the error object.
func (e bodyError) RawJSON() string { return string(e) }

// Status is a [strategies.Rule] for genkit's errors: put it into the classifier
// of a chain around a flow. The agents of this package follow it already.
//
// A status says less than the error of the provider within it: an account
// without credit is RESOURCE_EXHAUSTED like any rate limit, and a request that
// is too long INVALID_ARGUMENT. So the error within is asked first. INTERNAL is
// left as it is, for genkit says so of a tool that failed, whatever its failure
// was. A tool's interrupt is [strategies.ClassInterrupt].
func Status(err error) strategies.Class {
	if paused, _ := ai.IsToolInterruptError(err); paused {
		return strategies.ClassInterrupt
	}
	e := outermost(err)
	if e == nil {
		return strategies.ClassUnclassified
	}
	switch class := strategies.Classify(e.Unwrap()).Class; {
	case class == strategies.ClassTransient,
		e.Status == status.Internal && class != strategies.ClassOverloaded: // 529, which genkit has no status for
		return strategies.ClassUnclassified
	default:
		return class
	}
}

// outermost returns the first status of an error tree, unless a class was given
// further out, which the classifier finds for itself.
func outermost(err error) *status.Error {
	if e, ok := err.(*status.Error); ok {
		return e // may be nil
	}
	if own, ok := err.(interface{ RecoveryClass() strategies.Class }); ok && own.RecoveryClass() != strategies.ClassUnclassified {
		return nil
	}
	switch w := err.(type) {
	case interface{ Unwrap() error }:
		return outermost(w.Unwrap())
	case interface{ Unwrap() []error }:
		for _, branch := range w.Unwrap() {
			if e := outermost(branch); e != nil {
				return e
			}
		}
	}
	return nil
}

// retryAfter returns the provider's hint in the details of a genkit error.
func retryAfter(err error) time.Duration {
	e, ok := errors.AsType[*status.Error](err)
	if !ok || e == nil {
		return 0
	}
	var ms float64
	switch n := e.Details["retryAfterMs"].(type) {
	case int64:
		ms = float64(n)
	case int:
		ms = float64(n)
	case float64: // by JSON
		ms = n
	}
	// A day is more than any layer waits, and fits.
	return time.Duration(min(max(ms, 0), 24*60*60*1000) * float64(time.Millisecond))
}

// pauseError is a tool's interrupt on its way through the chain.
type pauseError struct{ err error }

func (e *pauseError) Error() string                   { return e.err.Error() }
func (e *pauseError) Unwrap() error                   { return e.err }
func (e *pauseError) RecoveryClass() strategies.Class { return strategies.ClassInterrupt }

// explain marks an error of genkit with what the classifier cannot see in it.
func explain(err error) error {
	class := Status(err)
	if class == strategies.ClassInterrupt {
		return &pauseError{err}
	}
	if class != strategies.ClassUnclassified {
		err = strategies.WithClass(class, err)
	}
	if wait := retryAfter(err); wait > 0 {
		err = strategies.WithRetryAfter(wait, err)
	}
	return err
}
