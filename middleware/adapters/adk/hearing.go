package adk

import (
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/strategies"
)

// hearing is one answer of a model, whole or in pieces, on its way to the
// framework. What is not partial the framework acts upon at once, so it is judged
// before.
type hearing struct {
	agent  *LLMAgent
	stream bool
	tools  map[string]bool // offered; nil: nobody knows
	yield  func(*model.LLMResponse, error) bool

	finish genai.FinishReason      // the last that was given: the terminal marker
	parts  []*genai.Part           // of the pieces
	last   *model.LLMResponse      // of the pieces
	goesOn bool                    // a call of a tool has begun in the pieces, and not ended
	whole  bool                    // a response came that is not partial
	said   bool                    // there was something in the answer
	held   []*model.LLMResponse    // whole ones in which there is nothing
	failed *strategies.AnswerError // what the last response says against the answer
}

// hear takes a response and says whether the reader wants more.
func (h *hearing) hear(r *model.LLMResponse) bool {
	if r.FinishReason != "" && r.FinishReason != genai.FinishReasonUnspecified {
		h.finish = r.FinishReason
	}
	if r.Partial {
		h.gather(r)
		// The last response sums up those before it, failures included.
		if h.failed = h.ended(r, reasonOf(r)); h.failed != nil && !accepts(h.agent.accept, h.failed.Reason) {
			return true
		}
		h.failed = nil
	} else {
		h.whole = true
		if h.failed = h.judge(r); h.failed != nil {
			return true
		}
		if !speaks(r, false) && !h.said {
			h.held = append(h.held, r)
			return true
		}
	}
	h.said = h.said || speaks(r, false)
	return h.flush() && h.yield(r, nil)
}

func (h *hearing) gather(r *model.LLMResponse) {
	h.last = r
	if r.Content == nil {
		return
	}
	for _, p := range r.Content.Parts {
		if p == nil {
			continue
		}
		if h.parts = append(h.parts, p); p.FunctionCall != nil {
			h.goesOn = goesOn(p.FunctionCall)
		}
	}
}

// ended says why a response did not end as a whole answer does, whatever the
// caller accepts.
func (h *hearing) ended(r *model.LLMResponse, reason string) *strategies.AnswerError {
	if reason != "" {
		if class := classOf(r, reason, h.agent.google); class != strategies.ClassUnclassified || r.ErrorCode != "" {
			return refuse(reason, class, r)
		}
		return nil
	}
	switch {
	case r.Partial, r.FinishReason == "" && !h.agent.google:
		return nil // it goes on, or it is of a model that gives no reasons
	case !h.agent.google && h.stream && r.UsageMetadata != nil && r.UsageMetadata.TotalTokenCount > 0:
		return nil // so end the streams of the framework's openaimodel that were completed
	}
	return refuse(Unfinished, strategies.ClassInvalidAnswer, r)
}

// judge says why a response that is not partial is no whole answer.
func (h *hearing) judge(r *model.LLMResponse) *strategies.AnswerError {
	reason := reasonOf(r)
	if reason == "" {
		reason = string(h.finish)
	}
	accept, invalid := h.agent.accept, strategies.ClassInvalidAnswer
	e := h.ended(r, reason)
	if e != nil && !accepts(accept, e.Reason) {
		return e
	}
	calls := callsOf(r)
	for _, c := range calls {
		// In an answer that was cut, no arguments are what is missing.
		if (e != nil && len(c.Args) == 0 || h.goesOn || goesOn(c) || len(c.PartialArgs) > 0) && !accepts(accept, Arguments) {
			return refuse(Arguments, invalid, r)
		}
		if (c.Name == "" || h.tools != nil && !h.tools[c.Name]) && !accepts(accept, UnknownTool) {
			return refuse(UnknownTool, invalid, r)
		}
	}
	return nil
}

// end is called when the model has nothing more to say.
func (h *hearing) end() {
	if !h.whole && h.failed == nil {
		if h.finish == "" && !accepts(h.agent.accept, Unfinished) {
			h.failed = refuse(Unfinished, strategies.ClassInvalidAnswer, h.last)
		} else if !h.hear(h.sum()) {
			return
		}
	}
	if h.failed == nil && !h.said && !accepts(h.agent.accept, Empty) {
		h.failed = refuse(Empty, strategies.ClassInvalidAnswer, h.last)
	}
	if h.failed != nil {
		h.yield(nil, h.failed)
		return
	}
	h.flush()
}

// sum puts the pieces of an answer together whose terminal marker was seen, and
// whose connection broke before the model could.
func (h *hearing) sum() *model.LLMResponse {
	var sum model.LLMResponse
	if h.last != nil {
		sum = *h.last
	}
	sum.Partial, sum.TurnComplete, sum.FinishReason = false, true, h.finish
	var parts []*genai.Part
	for _, p := range h.parts {
		switch n := len(parts); {
		case n > 0 && isText(p) && isText(parts[n-1]) && p.Thought == parts[n-1].Thought:
			joined := *parts[n-1]
			joined.Text += p.Text
			if len(p.ThoughtSignature) > 0 {
				joined.ThoughtSignature = p.ThoughtSignature
			}
			parts[n-1] = &joined
		case p.Text != "" || !isText(p):
			parts = append(parts, p)
		}
	}
	sum.Content = &genai.Content{Role: genai.RoleModel, Parts: parts}
	return &sum
}

// flush gives the reader what was held back.
func (h *hearing) flush() bool {
	for _, r := range h.held {
		if !h.yield(r, nil) {
			return false
		}
	}
	h.held = nil
	return true
}
