package anthropic

import (
	sdk "github.com/anthropics/anthropic-sdk-go"

	"github.com/understudy-go/understudy/strategies"
)

// Reason says why a message is no answer.
type Reason string

const (
	// Refusal: a policy ended it.
	Refusal Reason = "refusal"
	// Length: MaxTokens cut it short.
	Length Reason = "max_tokens"
	// Window: the model's context window is full, and cut it short.
	Window Reason = "model_context_window_exceeded"
	// Empty: no text and no tool call.
	Empty Reason = "empty"
	// Unfinished: the stream ended without its terminal marker. The client
	// reports no error for that.
	Unfinished Reason = "unfinished"
)

// AnswerError is a message that came with status 200 and is no answer. Of a
// stream it holds no Message: what had been delivered of it is in
// middleware.Sent.
type AnswerError struct {
	Reason  Reason
	Text    string // the API's explanation of a refusal, if there is one
	Message *sdk.Message
}

func (e *AnswerError) Error() string {
	s := "understudy: anthropic: no answer: " + string(e.Reason)
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// RecoveryClass is [strategies.ClassBlocked], [strategies.ClassContextOverflow] or
// [strategies.ClassInvalidAnswer] by the Reason.
func (e *AnswerError) RecoveryClass() strategies.Class {
	switch e.Reason {
	case Refusal:
		return strategies.ClassBlocked
	case Window:
		return strategies.ClassContextOverflow
	default:
		return strategies.ClassInvalidAnswer
	}
}

// ending is what is known of a message at its end.
type ending struct {
	said    bool // text, or any block that is not thinking
	stop    sdk.StopReason
	details string
}

// judge says why it is no answer, or nil.
func (m ending) judge(accept func(Reason) bool) *AnswerError {
	e := &AnswerError{}
	switch m.stop {
	case sdk.StopReasonRefusal:
		e.Reason, e.Text = Refusal, m.details
	case sdk.StopReasonMaxTokens:
		e.Reason = Length
	case sdk.StopReasonModelContextWindowExceeded:
		e.Reason = Window
	case sdk.StopReasonPauseTurn:
		return nil // whatever is in it, it goes back as it is
	}
	if !m.said && (e.Reason == "" || e.Reason != Refusal && accept(e.Reason)) {
		e.Reason = Empty
	}
	if e.Reason == "" || accept(e.Reason) {
		return nil
	}
	return e
}
