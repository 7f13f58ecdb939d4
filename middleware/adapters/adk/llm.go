package adk

import (
	"context"
	"iter"
	"net/http"
	"slices"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// Call is what a model is asked: the framework's request, and whether it wants
// the answer in pieces. Either way it is a stream, of one response or of many.
type Call struct {
	Request *model.LLMRequest
	Stream  bool

	asked string // the name of the model the framework believes to ask
}

// LLMAgent asks one model. It is safe for concurrent use if the model is.
type LLMAgent struct {
	llm    model.LLM
	google bool
	accept []genai.FinishReason
}

// LLM makes a model an agent, to be wrapped or to stand in. The builder refuses
// that of a nil model.
func LLM(llm model.LLM) *LLMAgent {
	if llm == nil {
		return nil
	}
	_, google := llm.(variant)
	return &LLMAgent{llm: llm, google: google}
}

// Accept returns an agent that takes a response for an answer although it has
// such a finish reason: Accept(genai.FinishReasonMaxTokens) for texts that may be
// cut short.
func (a *LLMAgent) Accept(reasons ...genai.FinishReason) *LLMAgent {
	if a == nil {
		return nil
	}
	return &LLMAgent{a.llm, a.google, slices.Concat(a.accept, reasons)}
}

// Stream asks the model, once. What the model has to say against its own answer
// comes as an [AnswerError], at the end.
func (a *LLMAgent) Stream(ctx context.Context, call Call) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		var failed *AnswerError
		said, whole := false, false
		for r, err := range a.llm.GenerateContent(ctx, a.own(call), call.Stream) {
			switch {
			case err != nil:
				yield(nil, explain(err))
				return
			case r == nil:
				continue // the framework would trip over it
			}
			// The last response sums up those before it, failures included.
			failed, whole = a.judge(r, call.Stream), whole || !r.Partial
			if failed != nil {
				continue
			}
			said = said || Says(r)
			if !yield(r, nil) {
				return
			}
		}
		switch {
		case failed != nil:
		case !whole:
			failed = &AnswerError{Reason: Unfinished}
		case !said:
			failed = &AnswerError{Reason: Empty}
		default:
			return
		}
		yield(nil, failed)
	}
}

// judge says why a response is no answer, by its error code or, where it has
// content and so no code, its finish reason.
func (a *LLMAgent) judge(r *model.LLMResponse, stream bool) *AnswerError {
	reason := genai.FinishReason(r.ErrorCode)
	if reason == "" {
		reason = r.FinishReason
	}
	switch reason {
	case genai.FinishReasonStop, genai.FinishReasonUnspecified:
		return nil
	case "":
		// A stream of Gemini that was cut off is summed up as if it were whole.
		if !a.google || !stream || r.Partial {
			return nil
		}
		reason = Unfinished
	}
	if slices.Contains(a.accept, reason) && Says(r) {
		return nil
	}
	return &AnswerError{Reason: reason, Text: r.ErrorMessage, Response: r}
}

// own copies the request for one attempt: Gemini appends to the contents and
// writes to the headers, and prefers the request's model name to its own, which
// is that of the model the framework knows. A name that a callback has chosen
// stays with the model it was chosen for.
func (a *LLMAgent) own(call Call) *model.LLMRequest {
	var req model.LLMRequest
	if call.Request != nil {
		req = *call.Request
	}
	if name := a.llm.Name(); req.Model == "" || name != call.asked {
		req.Model = name
	}
	req.Contents = slices.Clone(req.Contents)
	if req.Config == nil && !a.google {
		return &req
	}
	var config genai.GenerateContentConfig
	if req.Config != nil {
		config = *req.Config
	}
	var options genai.HTTPOptions
	if config.HTTPOptions != nil {
		options = *config.HTTPOptions
	}
	if options.Headers = options.Headers.Clone(); options.Headers == nil {
		options.Headers = http.Header{}
	}
	options.RetryOptions = &genai.HTTPRetryOptions{Attempts: genai.Ptr[int32](1)} // the retries are ours
	config.HTTPOptions = &options
	req.Config = &config
	return &req
}

// Says is for Commit: it says whether a response has something in it that a
// reader would see: text, a thought, a call of a tool, an image. Responses of
// nothing but an empty text or usage, with which streams open, have not.
func Says(r *model.LLMResponse) bool {
	return r != nil && r.Content != nil && slices.ContainsFunc(r.Content.Parts, says)
}

// says is true of whatever a part may hold but its signature and its metadata.
func says(p *genai.Part) bool {
	return p != nil && (p.Text != "" || p.FunctionCall != nil || p.FunctionResponse != nil || p.InlineData != nil || p.FileData != nil ||
		p.ExecutableCode != nil || p.CodeExecutionResult != nil || p.ToolCall != nil || p.ToolResponse != nil || p.AudioTranscription != nil)
}
