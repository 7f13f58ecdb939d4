package adk

import (
	"errors"

	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/strategies"
)

// What the models have no reason for.
const (
	// Empty: a response without content, which the framework skips in silence.
	Empty genai.FinishReason = "EMPTY"
	// Unfinished: the stream ended without a response that is not partial, or,
	// from Gemini, without a finish reason.
	Unfinished genai.FinishReason = "UNFINISHED"
)

// AnswerError is a response that came without an error and is no answer.
type AnswerError struct {
	// Reason is the response's error code, else its finish reason, or one of the
	// two above.
	Reason genai.FinishReason
	// Text is what the model says about it, if anything.
	Text string
	// Response is the response; nil if there was none.
	Response *model.LLMResponse

	event *session.Event // that it came in
}

func (e *AnswerError) Error() string {
	s := "understudy: adk: no answer: " + string(e.Reason)
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// RecoveryClass is [strategies.ClassBlocked] for what is held back for its content,
// and [strategies.ClassInvalidAnswer] for what went wrong in the making. A code of
// another provider's is left to the error within.
func (e *AnswerError) RecoveryClass() strategies.Class {
	if e.Response != nil && e.Response.FinishReason == "" {
		switch genai.BlockedReason(e.Reason) { // of the prompt
		case genai.BlockedReasonSafety, genai.BlockedReasonOther, genai.BlockedReasonBlocklist, genai.BlockedReasonProhibitedContent,
			genai.BlockedReasonImageSafety, genai.BlockedReasonModelArmor, genai.BlockedReasonJailbreak, genai.BlockedReasonUnspecified:
			return strategies.ClassBlocked
		}
	}
	switch e.Reason {
	case genai.FinishReasonSafety, genai.FinishReasonRecitation, genai.FinishReasonBlocklist, genai.FinishReasonProhibitedContent,
		genai.FinishReasonSPII, genai.FinishReasonImageSafety, genai.FinishReasonImageProhibitedContent, genai.FinishReasonImageRecitation:
		return strategies.ClassBlocked
	case Empty, Unfinished, genai.FinishReasonMaxTokens, genai.FinishReasonLanguage, genai.FinishReasonOther,
		genai.FinishReasonMalformedFunctionCall, genai.FinishReasonUnexpectedToolCall, genai.FinishReasonTooManyToolCalls,
		genai.FinishReasonNoImage, genai.FinishReasonImageOther, genai.FinishReasonContinuation:
		return strategies.ClassInvalidAnswer
	}
	return strategies.ClassUnclassified
}

// Unwrap returns the reason in the form in which the classifier knows codes.
func (e *AnswerError) Unwrap() error {
	return &codeError{Code: string(e.Reason), Status: string(e.Reason), Message: e.Text}
}

type codeError struct{ Code, Status, Message string }

func (e *codeError) Error() string { return e.Code + ": " + e.Message }

// explain gives a class to the one error of the framework's Gemini that has
// neither code nor type: no candidates, for whatever reason. Whether the prompt
// was blocked is lost.
func explain(err error) error {
	if err.Error() == "empty response" {
		return &AnswerError{Reason: Empty, Text: "no candidates"}
	}
	return err
}

// given returns the failure that decided a call if it came as a response, and so
// can be given back as one. A stream without its end and a response without
// content stay errors: the framework would take them for an answer.
func given(err error) *AnswerError {
	if re, ok := errors.AsType[*strategies.RecoveryError](err); ok {
		if re.Cause != nil || len(re.Attempts) == 0 {
			return nil
		}
		err = re.Attempts[len(re.Attempts)-1].Err
	}
	e, ok := errors.AsType[*AnswerError](err)
	if !ok || e.Response == nil || e.Response.Partial || e.Reason == Unfinished || e.Reason == Empty {
		return nil
	}
	return e
}
