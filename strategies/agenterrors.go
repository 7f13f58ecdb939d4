package strategies

import (
	"fmt"
	"strings"

	"github.com/understudy-go/understudy/internal/errtree"
)

// What an agent says, or what became of its call: its own word, a panic, an
// answer that is no good, a stream that broke.

// Unrecoverable marks err as a failure that only a person can help with: no
// retry, stand-in or reduced answer is tried, and a person is asked at once. It
// is an [AgentError] whose Recoverable is false. A nil err stays nil.
func Unrecoverable(err error) error {
	if err == nil {
		return nil
	}
	return &AgentError{Err: err}
}

// AgentError is an agent's own account of its failure.
type AgentError struct {
	// Recoverable true leaves the class to what Err is. False, the zero value,
	// means that only a person can help: a person is asked at once. Whoever
	// leaves this field out wakes somebody up; see [Unrecoverable].
	Recoverable bool
	Agent       string // who failed; may be ""
	Err         error
}

func (e *AgentError) Error() string {
	kind := "recoverable"
	if !e.Recoverable {
		kind = "unrecoverable"
	}
	if e.Agent == "" {
		return fmt.Sprintf("understudy: %s: %v", kind, e.Err)
	}
	return fmt.Sprintf("understudy: agent %q: %s: %v", e.Agent, kind, e.Err)
}

// Unwrap returns the error the agent failed with.
func (e *AgentError) Unwrap() error { return e.Err }

// RecoveryClass is [ClassUnrecoverable], or no opinion.
func (e *AgentError) RecoveryClass() Class {
	if e.Recoverable {
		return ClassUnclassified
	}
	return ClassUnrecoverable
}

// PanicError is a panic that became an error, with the stack it came from.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("understudy: agent panicked: %v", e.Value) }

// Unwrap returns the panic's value if that was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// RecoveryClass is [ClassPanic].
func (e *PanicError) RecoveryClass() Class { return ClassPanic }

// InvalidAnswerError is an answer that came and was refused by validation. Its text
// is what the validation said, and nothing of the answer.
type InvalidAnswerError struct {
	Err error
	// Answer is what was refused: as the agent returned it, or an [Answer] of a stream
	// that has checks. nil: it is not known.
	Answer any
}

func (e *InvalidAnswerError) Error() string {
	return fmt.Sprintf("understudy: invalid answer: %v", e.Err)
}

// Unwrap returns what the validation said.
func (e *InvalidAnswerError) Unwrap() error { return e.Err }

// RecoveryClass is [ClassInvalidAnswer].
func (e *InvalidAnswerError) RecoveryClass() Class { return ClassInvalidAnswer }

// AnswerError is an answer that came and is no whole one: cut short, filtered,
// refused, without the call it should hold. The provider reported no error, so
// an adapter makes one of the answer; it is the same type for all providers:
//
//	var answer *strategies.AnswerError
//	if errors.As(err, &answer) && answer.Reason == "content_filter" {
//		log.Print("filtered by ", answer.Provider)
//	}
//
// Its text names the provider and the reason, and never the answer: what a model
// says has no place in a log.
type AnswerError struct {
	Provider string // whose answer: "openai"; may be ""
	Reason   string // why it is not whole, in the provider's word: "max_tokens"
	Text     string // what there is of the answer, as text; may be ""
	Answer   any    // the answer itself, of the SDK's type; may be nil
	Class    Class  // how it is judged. ClassUnclassified: ClassInvalidAnswer
	Err      error  // what is behind it; may be nil
}

func (e *AnswerError) Error() string {
	s := "understudy: unusable answer"
	if e.Provider != "" {
		s += " of " + e.Provider
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Err != nil {
		s += fmt.Sprintf(": %v", e.Err)
	}
	return s
}

// Unwrap returns what is behind it.
func (e *AnswerError) Unwrap() error { return e.Err }

// RecoveryClass is Class, or [ClassInvalidAnswer] if there is none.
func (e *AnswerError) RecoveryClass() Class {
	if e.Class == ClassUnclassified {
		return ClassInvalidAnswer
	}
	return e.Class
}

// StreamError is a stream that failed after some of it had reached the caller.
type StreamError struct {
	Agent  string // who was speaking
	Chunks int    // how many chunks of the call had been delivered
	Err    error  // what went wrong
}

func (e *StreamError) Error() string {
	return fmt.Sprintf("understudy: stream of agent %q cut off after %s: %v", e.Agent, plural(e.Chunks, "chunk"), e.Err)
}

// Unwrap returns what went wrong.
func (e *StreamError) Unwrap() error { return e.Err }

// RecoveryClass is [ClassCutOff].
func (e *StreamError) RecoveryClass() Class { return ClassCutOff }

// StreamLimitError is an answer longer than its buffer.
type StreamLimitError struct{ Limit int }

func (e *StreamLimitError) Error() string {
	return fmt.Sprintf("understudy: answer is longer than the buffer of %s: raise Buffer, or deliver it as it comes", plural(e.Limit, "chunk"))
}

// RecoveryClass is [ClassContextOverflow]: the same agent would say as much again,
// another one may be briefer.
func (e *StreamLimitError) RecoveryClass() Class { return ClassContextOverflow }

// AnswerFault is what was wrong with an answer that came and is none, in words for
// the model that gave it: what a validation said, or the reason why it is not whole.
// "" if err is no such failure. It is at most 1,000 letters, in one line.
func AnswerFault(err error) string {
	if refused, ok := errtree.As[*InvalidAnswerError](err); ok && refused.Err != nil {
		return short(errtree.Text(refused.Err), 1000)
	}
	if answer, ok := errtree.As[*AnswerError](err); ok {
		fault := faultOf(answer.Reason)
		if answer.Err != nil {
			fault += ": " + errtree.Text(answer.Err)
		}
		return short(fault, 1000)
	}
	return ""
}

// RefusedAnswer is the answer that err says is none, as the agent or the adapter gave
// it, and its text as far as that is known. nil and "" if err is no such failure.
func RefusedAnswer(err error) (answer any, text string) {
	if refused, ok := errtree.As[*InvalidAnswerError](err); ok {
		switch a := refused.Answer.(type) {
		case Answer:
			return a, a.Text
		case string:
			return a, a
		}
		return refused.Answer, ""
	}
	if refused, ok := errtree.As[*AnswerError](err); ok {
		return refused.Answer, refused.Text
	}
	return nil, ""
}

// faultOf says the reason why an answer is not whole to the model that gave it.
func faultOf(reason string) string {
	switch strings.ToLower(reason) {
	case "length", "max_tokens", "max_output_tokens", "model_length":
		return "it was cut off by the limit of tokens: be shorter"
	case "arguments", "malformed_function_call", "malformed_tool_call":
		return "the arguments of a tool call are no JSON object: write them as one"
	case "unknown_tool", "unexpected_tool_call":
		return "a tool was called that is not offered: use those that are, or none"
	case "empty":
		return "it was empty"
	case "unfinished":
		return "it broke off before its end"
	}
	return reason
}
