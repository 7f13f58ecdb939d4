package genai

import (
	"context"
	"iter"
	"slices"

	sdk "google.golang.org/genai"

	"github.com/understudy-go/understudy/strategies"
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
	models  *sdk.Models
	options sdk.HTTPOptions // of the client
	accept  []sdk.FinishReason
	prices  *strategies.Prices
}

// Models makes the models of a client an agent. The client's retries are off,
// also if a setting says otherwise.
func Models(client *sdk.Client) *ModelsAgent {
	return &ModelsAgent{models: listening(client), options: client.ClientConfig().HTTPOptions}
}

// Accept returns an agent that takes an answer for one although it has such a
// reason not to be, a finish reason of whatever name or one of the constants here:
// Accept(sdk.FinishReasonMaxTokens) for texts that may be cut short. Half a
// function call is still none; see [Arguments].
func (a *ModelsAgent) Accept(reasons ...sdk.FinishReason) *ModelsAgent {
	own := *a
	own.accept = slices.Concat(a.accept, reasons)
	return &own
}

// minds says whether the caller minds a reason.
func (a *ModelsAgent) minds(reason sdk.FinishReason) bool { return !slices.Contains(a.accept, reason) }

// Run generates content, once. The error is the client's own, or a
// [strategies.AnswerError] whose Answer is the response.
func (a *ModelsAgent) Run(ctx context.Context, req Request) (*sdk.GenerateContentResponse, error) {
	response, err := a.models.GenerateContent(ctx, req.Model, req.Contents, once(req.Config))
	if err != nil {
		return nil, err
	}
	cost := spent{}
	cost.hear(response)
	cost.report(ctx, a.prices, req.Model)
	if e := a.check(response, offered(a.options, req.Config)); e != nil {
		e.Answer = response
		return nil, e
	}
	return response, nil
}

func (a *ModelsAgent) check(response *sdk.GenerateContentResponse, offers func(string) bool) *strategies.AnswerError {
	switch {
	case isBlocked(response):
		return a.blocked(response) // or it is accepted, with nothing in it
	case len(response.Candidates) == 0 && a.minds(Empty):
		return (&candidate{}).none(Empty, strategies.ClassInvalidAnswer, nil)
	}
	for i, c := range response.Candidates {
		one := &candidate{}
		if c != nil {
			one.hear(c)
		}
		e := a.judgeCalls(one, offers)
		if i == 0 {
			e = a.judge(one, offers) // it is the one that everybody reads
		}
		if e != nil {
			return e
		}
	}
	return nil
}

// Stream generates content in chunks, once. A reason why it is no answer comes in
// the place of the chunk that would end it, which is its Answer; half a function
// call, and whatever follows it, is not delivered at all. After that chunk the
// answer is whole, whatever becomes of the connection.
func (a *ModelsAgent) Stream(ctx context.Context, req Request) iter.Seq2[*sdk.GenerateContentResponse, error] {
	return func(yield func(*sdk.GenerateContentResponse, error) bool) {
		h := &hearing{agent: a, offers: offered(a.options, req.Config), least: 1}
		if req.Config != nil {
			h.least = max(1, req.Config.CandidateCount)
		}
		cost := spent{}
		defer func() { cost.report(ctx, a.prices, req.Model) }()
		for chunk, err := range a.models.GenerateContentStream(ctx, req.Model, req.Contents, once(req.Config)) {
			if err != nil {
				if !h.all.ended(h.least) {
					yield(nil, err)
				}
				return
			}
			cost.hear(chunk)
			if e := h.hear(chunk); e != nil {
				e.Answer = chunk
				yield(nil, e)
				return
			}
			if !h.broken && !yield(chunk, nil) {
				return
			}
		}
		if e := h.end(); e != nil {
			if h.last != nil {
				e.Answer = h.last
			}
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

// Says is for Commit, on a stream of [ModelsAgent]: it says whether a chunk has
// something in it that a reader would see or act on. That is text, sound or an
// image, and the end of the first candidate: an answer of function calls alone is
// delivered when it is whole, and nobody has acted on one of them before. Neither
// is a thought, see [SaysThinking]. Chunks of nothing but an empty text or usage,
// with which streams of Vertex AI open, are none.
func Says(chunk *sdk.GenerateContentResponse) bool {
	return is(chunk, func(c *sdk.Candidate) bool { return c.Index == 0 && ends(c) || has(c, shows) })
}

// SaysThinking is [Says] for a reader who is shown the thoughts: they commit too.
func SaysThinking(chunk *sdk.GenerateContentResponse) bool {
	return Says(chunk) || is(chunk, func(c *sdk.Candidate) bool {
		return has(c, func(p *sdk.Part) bool { return p.Thought && p.Text != "" })
	})
}

// Alive is for Alive: it says whether the model is at work, in text, thoughts, a call
// of a function or anything else that a part may hold.
func Alive(chunk *sdk.GenerateContentResponse) bool {
	return is(chunk, func(c *sdk.Candidate) bool { return ends(c) || has(c, says) })
}

// Ends is for Complete: it says whether a chunk ends its candidate.
// [ModelsAgent] itself waits for the end of every candidate.
func Ends(chunk *sdk.GenerateContentResponse) bool {
	return is(chunk, ends)
}

func ends(c *sdk.Candidate) bool {
	return c.FinishReason != "" && c.FinishReason != sdk.FinishReasonUnspecified
}

// is says whether one of a chunk's candidates is so.
func is(chunk *sdk.GenerateContentResponse, so func(*sdk.Candidate) bool) bool {
	return chunk != nil && slices.ContainsFunc(chunk.Candidates, func(c *sdk.Candidate) bool { return c != nil && so(c) })
}

// has says whether one of a candidate's parts is so.
func has(c *sdk.Candidate, so func(*sdk.Part) bool) bool {
	return c.Content != nil && slices.ContainsFunc(c.Content.Parts, func(p *sdk.Part) bool { return p != nil && so(p) })
}

// shows is true of what a reader sees, but for thoughts.
func shows(p *sdk.Part) bool {
	return !p.Thought && (p.Text != "" || p.InlineData != nil || p.FileData != nil || p.AudioTranscription != nil)
}

// says is true of whatever a part may hold but its signature and its metadata.
func says(p *sdk.Part) bool {
	return p != nil && (p.Text != "" || p.FunctionCall != nil || p.FunctionResponse != nil || p.InlineData != nil || p.FileData != nil ||
		p.ExecutableCode != nil || p.CodeExecutionResult != nil || p.ToolCall != nil || p.ToolResponse != nil || p.AudioTranscription != nil)
}
