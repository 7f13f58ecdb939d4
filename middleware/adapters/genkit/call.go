package genkit

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/firebase/genkit/go/ai"
	"github.com/firebase/genkit/go/core/status"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Call is one call of a model, as the chain sees it: what is asked, and the way
// to the model that was chosen for it.
type Call struct {
	// Request is never changed: whoever wants another one puts a copy here.
	Request *ai.ModelRequest
	// Streaming says that somebody listens to the answer as it comes.
	Streaming bool

	next ai.ModelNext
}

// Chunk is a piece of an answer. The last one of every answer is its Final; an
// answer nobody listens to has no other.
type Chunk struct {
	Delta *ai.ModelResponseChunk
	Final *ai.ModelResponse
}

// ModelAgent asks a model, whole or as a stream. It is safe for concurrent use.
type ModelAgent struct {
	model  ai.Model // nil: the one that was chosen for the call
	config any      // for model
	accept []ai.FinishReason
}

// Next is the agent at the bottom of a chain: the model that was chosen for the
// call, with the middleware that comes after [Recovery]. It answers only there.
func Next() *ModelAgent { return &ModelAgent{} }

// Model is a stand-in: another model, from [genkit.LookupModel]. The call's
// config stays behind, for it is of another model's type; see Config. A nil
// model is refused by the builder.
//
// [genkit.LookupModel]: https://pkg.go.dev/github.com/firebase/genkit/go/genkit#LookupModel
func Model(model ai.Model) *ModelAgent {
	if model == nil {
		return nil
	}
	return &ModelAgent{model: model}
}

// Config returns an agent that sends this config to the model of a stand-in.
// The agent of [Next] keeps the config of the call.
func (a *ModelAgent) Config(config any) *ModelAgent {
	return &ModelAgent{model: a.model, config: config, accept: a.accept}
}

// Accept returns an agent that takes an answer for whole although it ended for such
// a reason, genkit's or this package's: Accept(ai.FinishReasonLength) for texts that
// may be cut short. Half a tool call is still none; see [Arguments].
func (a *ModelAgent) Accept(reasons ...ai.FinishReason) *ModelAgent {
	return &ModelAgent{model: a.model, config: a.config, accept: slices.Concat(a.accept, reasons)}
}

// Run asks for a whole answer, once. The error is the model's own, marked with
// a class where its status says less than its cause, or a
// [strategies.AnswerError].
func (a *ModelAgent) Run(ctx context.Context, call Call) (*ai.ModelResponse, error) {
	return a.ask(ctx, call, nil)
}

// Stream asks for an answer in chunks, once; for a whole one in a single chunk
// if nobody listens. A reason why it is no answer comes at its end, after what
// there was of it.
func (a *ModelAgent) Stream(ctx context.Context, call Call) iter.Seq2[Chunk, error] {
	return middleware.FromCallback(a.stream).Stream(ctx, call)
}

func (a *ModelAgent) stream(ctx context.Context, call Call, emit func(Chunk) error) error {
	var heard ai.ModelStreamCallback
	if call.Streaming {
		heard = func(_ context.Context, delta *ai.ModelResponseChunk) error {
			if delta == nil {
				return nil
			}
			return emit(Chunk{Delta: delta})
		}
	}
	final, err := a.ask(ctx, call, heard)
	if err != nil {
		return err
	}
	return emit(Chunk{Final: final})
}

func (a *ModelAgent) ask(ctx context.Context, call Call, heard ai.ModelStreamCallback) (*ai.ModelResponse, error) {
	request := attempt(call.Request)
	ctx, report := middleware.Spending(ctx)
	var resp *ai.ModelResponse
	defer func() { report(spent(resp)) }()
	var err error
	switch {
	case a.model != nil:
		request.Config = a.config
		resp, err = a.model.Generate(ctx, request, heard)
	case call.next != nil:
		resp, err = call.next(ctx, &ai.ModelParams{Request: request, Callback: heard})
	default:
		err = &strategies.ConfigError{Setting: "genkit.Next", Problem: "is asked where there is no call", Fix: "put its chain into a Recovery, for ai.WithUse"}
	}
	if errors.Is(err, status.ErrInvalidOutput) && strategies.Classify(err).Class == strategies.ClassTransient {
		return nil, strategies.WithClass(strategies.ClassInvalidAnswer, explain(err))
	}
	if err != nil {
		return nil, explain(err)
	}
	if e := judge(request, resp, a.accept); e != nil {
		return nil, e
	}
	return resp, nil
}

// attempt copies a request for one attempt: genkit puts the config into another
// type, in place, and the simulated system prompt into the messages.
func attempt(request *ai.ModelRequest) *ai.ModelRequest {
	if request == nil {
		return &ai.ModelRequest{}
	}
	own := *request
	own.Messages = slices.Clone(request.Messages)
	for i, m := range own.Messages {
		if m != nil {
			message := *m
			message.Content = slices.Clone(m.Content)
			own.Messages[i] = &message
		}
	}
	own.Docs, own.Tools = slices.Clone(request.Docs), slices.Clone(request.Tools)
	return &own
}

// Says is for Commit: it says whether a chunk has something in it that a reader
// would see, text or media, or is the end. The pieces of a tool call are nothing,
// for nobody can have acted on them, nor is reasoning.
func Says(chunk Chunk) bool { return says(chunk, false) }

// SaysThinking is [Says] for those who show the reasoning as well.
func SaysThinking(chunk Chunk) bool { return says(chunk, true) }

func says(chunk Chunk, thinking bool) bool {
	return chunk.Final != nil || chunk.Delta != nil && slices.ContainsFunc(chunk.Delta.Content, func(p *ai.Part) bool {
		return p != nil && speaks(p, thinking)
	})
}

func speaks(p *ai.Part, thinking bool) bool {
	switch {
	case p.IsToolRequest():
		return false
	case p.IsReasoning():
		return thinking && p.Text != ""
	}
	return p.Text != "" || !p.IsText()
}

// Alive is for Alive, beside an Idle: it says whether the model is at work, in text,
// reasoning or a call of a tool. A chunk with nothing in it is a heartbeat.
func Alive(chunk Chunk) bool {
	return SaysThinking(chunk) || chunk.Delta != nil && slices.ContainsFunc(chunk.Delta.Content, func(p *ai.Part) bool {
		return p != nil && (p.Text != "" || !p.IsText())
	})
}

// Ends is for Complete: it says whether a chunk is the last one.
func Ends(chunk Chunk) bool { return chunk.Final != nil }
