//nolint:errorlint // outermost looks at one value at a time
package genkit

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/firebase/genkit/go/ai"
	"github.com/firebase/genkit/go/core/status"

	"github.com/understudy-go/understudy/strategies"
)

// Reasons of a [strategies.AnswerError] that genkit has no word for. Its others are
// genkit's finish reasons.
const (
	// Empty: no text, no tool call, no media: nothing beside reasoning.
	Empty = "empty"
	// Unfinished: no finish reason, of a model that gives one otherwise.
	Unfinished = "unfinished"
	// Arguments: a tool call whose input is not known to be whole.
	Arguments = "arguments"
	// UnknownTool: a call of a tool that the request did not offer.
	UnknownTool = "unknown_tool"
)

// judge says why a response is no whole answer to a request, or nil.
func judge(request *ai.ModelRequest, resp *ai.ModelResponse, accept []ai.FinishReason) error {
	if resp == nil {
		return &strategies.AnswerError{Provider: provider, Reason: Empty}
	}
	if resp.Operation != nil {
		return nil // it is still being worked on
	}
	e := ended(resp)
	if e != nil && !accepts(accept, e.Reason) {
		return e
	}
	refuse := func(reason string) error {
		if accepts(accept, reason) {
			return nil
		}
		return refused(reason, strategies.ClassInvalidAnswer, resp)
	}
	has := false
	if resp.Message != nil {
		for _, p := range resp.Message.Content {
			has = has || p != nil && (p.IsToolRequest() || speaks(p, false))
			if p == nil || !p.IsToolRequest() {
				continue
			}
			offered, known := definition(request, p.ToolRequest)
			if !wholeInput(p.ToolRequest, offered, e != nil) {
				if err := refuse(Arguments); err != nil {
					return err
				}
			}
			if !known {
				if err := refuse(UnknownTool); err != nil {
					return err
				}
			}
		}
	}
	if !has {
		return refuse(Empty)
	}
	return nil
}

// ended says why a response did not end as a whole answer does, whatever the
// caller accepts.
func ended(resp *ai.ModelResponse) *strategies.AnswerError {
	switch r := resp.FinishReason; {
	case r == "":
		// A model by hand need not give a reason. One that tells more of its answer
		// does: Gemini's stream looks so if it was cut. (Usage says nothing, genkit
		// adds it.)
		if resp.Custom == nil && resp.Raw == nil {
			return nil
		}
		return refused(Unfinished, strategies.ClassInvalidAnswer, resp)
	default:
		class := strategies.ClassOfFinish(string(r))
		if class == strategies.ClassUnclassified {
			return nil
		}
		e := refused(string(r), class, resp)
		if e.Err = beside(resp.Raw); e.Err != nil && class != strategies.ClassBlocked {
			e.Class = strategies.Classify(e.Err).Class
		}
		return e
	}
}

// provider is what an error of this package says whose answer it is about.
const provider = "genkit"

// longestReason is more than any has; a longer one is somebody's text.
const longestReason = 64

func refused(reason string, class strategies.Class, resp *ai.ModelResponse) *strategies.AnswerError {
	if len(reason) > longestReason {
		reason = reason[:longestReason]
	}
	return &strategies.AnswerError{Provider: provider, Reason: reason, Text: resp.Text(), Answer: resp, Class: class}
}

// accepts says whether a reason is among those that the caller is content with.
func accepts(accept []ai.FinishReason, reason string) bool {
	return slices.ContainsFunc(accept, func(a ai.FinishReason) bool { return strings.EqualFold(string(a), reason) })
}

// definition finds the tool of a call among those that were offered. genkit would
// run any that is registered.
func definition(request *ai.ModelRequest, call *ai.ToolRequest) (*ai.ToolDefinition, bool) {
	if request == nil || call == nil {
		return nil, false
	}
	i := slices.IndexFunc(request.Tools, func(t *ai.ToolDefinition) bool { return t != nil && t.Name == call.Name })
	if i < 0 {
		return nil, false
	}
	return request.Tools[i], true
}

// wholeInput says whether the input of a call is whole: an object or nothing, unless
// the tool takes something else. In an answer that was cut, no input is what is
// missing.
func wholeInput(call *ai.ToolRequest, tool *ai.ToolDefinition, cut bool) bool {
	if call == nil || call.Partial {
		return false
	}
	var raw string
	switch in := call.Input.(type) {
	case nil:
		return !cut
	case map[string]any:
		return !cut || len(in) > 0
	case string:
		raw = in
	case json.RawMessage: // Anthropic's
		raw = string(in)
	default:
		text, err := json.Marshal(in)
		if err != nil {
			return false
		}
		raw = string(text)
	}
	if strategies.WholeArguments(raw) {
		return !cut || strings.TrimSpace(raw) != ""
	}
	if tool == nil {
		return false
	}
	kind, ok := tool.InputSchema["type"].(string)
	return ok && kind != "object"
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
	if strings.Contains(err.Error(), "could not parse tool args") { // compat_oai; the arguments are in its text
		return &strategies.AnswerError{Provider: provider, Reason: Arguments}
	}
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
