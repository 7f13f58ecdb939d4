package genkit

import (
	"context"
	"iter"

	"github.com/firebase/genkit/go/ai"

	"github.com/understudy-go/understudy/middleware"
)

// Canned gives the same answer to everything, whole or as a stream.
type Canned struct{ text string }

// Reply is a rung for Degrade: an answer of this text, without any model. A call
// that wants an output of a type needs a text in its JSON.
func Reply(text string) *Canned { return &Canned{text} }

// Run returns the response, a new one each time.
func (c *Canned) Run(_ context.Context, call Call) (*ai.ModelResponse, error) {
	return &ai.ModelResponse{
		Message: ai.NewModelTextMessage(c.text), FinishReason: ai.FinishReasonStop, Request: call.Request, Usage: &ai.GenerationUsage{},
	}, nil
}

// Stream yields it in one chunk, and its end.
func (c *Canned) Stream(ctx context.Context, call Call) iter.Seq2[Chunk, error] {
	return middleware.FromCallback(func(ctx context.Context, call Call, emit func(Chunk) error) error {
		if call.Streaming {
			if err := emit(Chunk{Delta: &ai.ModelResponseChunk{Role: ai.RoleModel, Content: []*ai.Part{ai.NewTextPart(c.text)}}}); err != nil {
				return err
			}
		}
		final, err := c.Run(ctx, call)
		if err != nil {
			return err
		}
		return emit(Chunk{Final: final})
	}).Stream(ctx, call)
}

// Flow makes the function of a flow an agent. Its chain goes to DefineFlow in
// its place:
//
//	guarded, err := middleware.Wrap(genkit.Flow(tell)).Timeout(time.Minute).Build()
//	flow := sdk.DefineFlow(g, "tell", guarded.Run)
//
// A flow that is retried repeats what its tools did.
func Flow[In, Out any](fn func(ctx context.Context, in In) (Out, error)) middleware.Runner[In, Out] {
	if fn == nil {
		return nil
	}
	return middleware.Func(func(ctx context.Context, in In) (Out, error) {
		out, err := fn(ctx, in)
		if err != nil {
			var none Out
			return none, explain(err)
		}
		return out, nil
	})
}
