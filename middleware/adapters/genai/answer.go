package genai

import (
	"slices"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/strategies"
)

// What the API has no finish reason for.
const (
	// PromptBlocked: the prompt was refused, so that there is no candidate.
	PromptBlocked sdk.FinishReason = "PROMPT_BLOCKED"
	// Empty: no text beside thoughts, no call of a function, no image.
	Empty sdk.FinishReason = "EMPTY"
	// Unfinished: the stream ended without a finish reason. The client reports no
	// error for that.
	Unfinished sdk.FinishReason = "UNFINISHED"
)

// AnswerError is an answer that came with status 200 and is none.
type AnswerError struct {
	// Reason is the API's finish reason, or one of the three above.
	Reason sdk.FinishReason
	// Block is why the prompt was blocked.
	Block sdk.BlockedReason
	// Text is what the API says about it, if anything.
	Text string
	// Response is the answer; of a stream its last chunk, nil if it had none. What
	// had been delivered of a stream is in middleware.Sent.
	Response *sdk.GenerateContentResponse
}

func (e *AnswerError) Error() string {
	s := "understudy: genai: no answer: " + string(e.Reason)
	if e.Block != "" {
		s += ": " + string(e.Block)
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// RecoveryClass is [strategies.ClassBlocked] or [strategies.ClassInvalidAnswer] by the
// Reason: what is held back for its content will be held back again; what went
// wrong in the making may not, or not with another model.
func (e *AnswerError) RecoveryClass() strategies.Class {
	switch e.Reason {
	case PromptBlocked, sdk.FinishReasonSafety, sdk.FinishReasonRecitation, sdk.FinishReasonBlocklist, sdk.FinishReasonProhibitedContent,
		sdk.FinishReasonSPII, sdk.FinishReasonImageSafety, sdk.FinishReasonImageProhibitedContent, sdk.FinishReasonImageRecitation:
		return strategies.ClassBlocked
	}
	return strategies.ClassInvalidAnswer
}

// finish is the reason why a candidate ended; "": it has not.
func finish(c *sdk.Candidate) sdk.FinishReason {
	if c.FinishReason == sdk.FinishReasonUnspecified {
		return ""
	}
	return c.FinishReason
}

// one is what is known of a candidate.
type one struct {
	seen   bool
	said   bool // more than thoughts
	finish sdk.FinishReason
	text   string
}

func (o one) reason() sdk.FinishReason {
	switch {
	case o.finish != "" && o.finish != sdk.FinishReasonStop:
		return o.finish
	case !o.said:
		return Empty
	}
	return ""
}

// heard is what is known of an answer: its candidates by their index.
type heard struct {
	all   []one
	block *sdk.GenerateContentResponsePromptFeedback
	last  *sdk.GenerateContentResponse
}

// most is how many candidates are looked at; the API gives 8.
const most = 128

func (h *heard) hear(chunk *sdk.GenerateContentResponse) {
	h.last = chunk
	if f := chunk.PromptFeedback; f != nil && f.BlockReason != "" && f.BlockReason != sdk.BlockedReasonUnspecified {
		h.block = f
	}
	for _, c := range chunk.Candidates {
		if c == nil || c.Index < 0 || c.Index >= most {
			continue
		}
		for int(c.Index) >= len(h.all) {
			h.all = append(h.all, one{})
		}
		o := &h.all[c.Index]
		o.seen = true
		if c.Content != nil {
			o.said = o.said || slices.ContainsFunc(c.Content.Parts, func(p *sdk.Part) bool { return says(p) && !p.Thought })
		}
		if reason := finish(c); reason != "" {
			o.finish, o.text = reason, c.FinishMessage
		}
	}
}

// end says whether a stream has not come to the end of each of its candidates.
func (h *heard) end(accept []sdk.FinishReason) *AnswerError {
	if h.block != nil || slices.Contains(accept, Unfinished) {
		return nil
	}
	whole := false
	for _, o := range h.all {
		if o.seen && o.finish == "" {
			return &AnswerError{Reason: Unfinished}
		}
		whole = whole || o.seen
	}
	if !whole {
		return &AnswerError{Reason: Unfinished}
	}
	return nil
}

// judge says why there is no answer, by the first candidate; or nil. One good
// candidate makes a good answer.
func (h *heard) judge(accept []sdk.FinishReason) *AnswerError {
	if h.block != nil {
		if slices.Contains(accept, PromptBlocked) {
			return nil
		}
		return &AnswerError{Reason: PromptBlocked, Block: h.block.BlockReason, Text: h.block.BlockReasonMessage}
	}
	var e *AnswerError
	for _, o := range h.all {
		if !o.seen {
			continue
		}
		reason := o.reason()
		if reason == sdk.FinishReasonMaxTokens && !o.said && slices.Contains(accept, reason) {
			reason = Empty // cut before its first word
		}
		if reason == "" || slices.Contains(accept, reason) {
			return nil
		}
		if e == nil {
			e = &AnswerError{Reason: reason, Text: o.text}
		}
	}
	if e == nil && !slices.Contains(accept, Empty) {
		e = &AnswerError{Reason: Empty}
	}
	return e
}
