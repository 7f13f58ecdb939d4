package genai

import (
	"context"
	"iter"
	"slices"

	sdk "google.golang.org/genai"
)

// Request is what the client's GenerateContent takes, in one value.
type Request struct {
	Model    string
	Contents []*sdk.Content
	Config   *sdk.GenerateContentConfig // nil: the client's defaults
}

// ModelsAgent generates content, whole or as a stream. It is safe for concurrent
// use, as its client is; calls may share a Config, which is not written to.
type ModelsAgent struct {
	models *sdk.Models
	accept []sdk.FinishReason
}

// Models makes the models of a client an agent. The client's retries are off,
// also if a setting says otherwise.
func Models(client *sdk.Client) *ModelsAgent { return &ModelsAgent{models: client.Models} }

// Accept returns an agent that takes an answer for one although it has such a
// reason not to be: Accept(sdk.FinishReasonMaxTokens) for texts that may be cut
// short.
func (a *ModelsAgent) Accept(reasons ...sdk.FinishReason) *ModelsAgent {
	return &ModelsAgent{a.models, slices.Concat(a.accept, reasons)}
}

// Run generates content, once. The error is the client's own, or an
// [AnswerError].
func (a *ModelsAgent) Run(ctx context.Context, req Request) (*sdk.GenerateContentResponse, error) {
	response, err := a.models.GenerateContent(ctx, req.Model, req.Contents, once(req.Config))
	if err != nil {
		return nil, err
	}
	var h heard
	h.hear(response)
	if e := h.judge(a.accept); e != nil {
		e.Response = response
		return nil, e
	}
	return response, nil
}

// Stream generates content in chunks, once. A reason why it is no answer comes
// at its end, after what there was of it.
func (a *ModelsAgent) Stream(ctx context.Context, req Request) iter.Seq2[*sdk.GenerateContentResponse, error] {
	return func(yield func(*sdk.GenerateContentResponse, error) bool) {
		var h heard
		for chunk, err := range a.models.GenerateContentStream(ctx, req.Model, req.Contents, once(req.Config)) {
			if err != nil {
				yield(nil, err)
				return
			}
			h.hear(chunk)
			if !yield(chunk, nil) {
				return
			}
		}
		e := h.end(a.accept)
		if e == nil {
			e = h.judge(a.accept)
		}
		if e != nil {
			e.Response = h.last
			yield(nil, e)
		}
	}
}

// once returns a copy of a config that asks the client for a single attempt. It
// is a copy for another reason too: the client fills in its HTTPOptions.
func once(config *sdk.GenerateContentConfig) *sdk.GenerateContentConfig {
	var own sdk.GenerateContentConfig
	if config != nil {
		own = *config
	}
	var options sdk.HTTPOptions
	if own.HTTPOptions != nil {
		options = *own.HTTPOptions
	}
	options.RetryOptions = &sdk.HTTPRetryOptions{Attempts: sdk.Ptr[int32](1)}
	own.HTTPOptions = &options
	return &own
}

// Says is for Commit: it says whether a chunk has something in it that a reader
// would see: text, a thought, a call of a function, an image. Chunks of nothing
// but an empty text or usage, with which streams of Vertex AI open, have not.
func Says(chunk *sdk.GenerateContentResponse) bool {
	if chunk == nil {
		return false
	}
	for _, c := range chunk.Candidates {
		if c != nil && c.Content != nil && slices.ContainsFunc(c.Content.Parts, says) {
			return true
		}
	}
	return false
}

// Ends is for Complete: it says whether a chunk ends its candidate.
// [ModelsAgent] itself waits for the end of every candidate.
func Ends(chunk *sdk.GenerateContentResponse) bool {
	if chunk == nil {
		return false
	}
	return slices.ContainsFunc(chunk.Candidates, func(c *sdk.Candidate) bool { return c != nil && finish(c) != "" })
}

// says is true of whatever a part may hold but its signature and its metadata.
func says(p *sdk.Part) bool {
	return p != nil && (p.Text != "" || p.FunctionCall != nil || p.FunctionResponse != nil || p.InlineData != nil || p.FileData != nil ||
		p.ExecutableCode != nil || p.CodeExecutionResult != nil || p.ToolCall != nil || p.ToolResponse != nil || p.AudioTranscription != nil)
}
