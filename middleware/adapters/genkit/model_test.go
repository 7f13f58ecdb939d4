package genkit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/firebase/genkit/go/ai"
	"github.com/firebase/genkit/go/core/status"
	sdk "github.com/firebase/genkit/go/genkit"

	"github.com/understudy-go/understudy/internal/endpoint"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
	"github.com/understudy-go/understudy/strategies"
)

var away = status.Errorf(status.ErrUnavailable, "away")

// modeled is a framework without plugins, and a model that is this function.
func modeled(t *testing.T, fn func(n int, req *ai.ModelRequest, say func(text string)) (*ai.ModelResponse, error)) (*sdk.Genkit, ai.GenerateOption) {
	t.Helper()
	g, n := sdk.Init(t.Context()), 0
	model := sdk.DefineModelAction(g, "narrator", &ai.ModelOptions{Supports: &ai.ModelSupports{Multiturn: true, Tools: true}}, func(ctx context.Context, req *ai.ModelRequest, _ any, heard ai.ModelStreamCallback) (*ai.ModelResponse, error) {
		n++
		return fn(n, req, func(text string) {
			if heard == nil {
				return
			}
			if err := heard(ctx, &ai.ModelResponseChunk{Content: []*ai.Part{ai.NewTextPart(text)}}); err != nil {
				t.Errorf("the listener says %v", err)
			}
		})
	})
	return g, ai.WithModel(model)
}

func TestAttemptsShareNothing(t *testing.T) {
	t.Parallel()
	g, model := modeled(t, func(n int, req *ai.ModelRequest, _ func(string)) (*ai.ModelResponse, error) {
		if n == 1 {
			return nil, away
		}
		return &ai.ModelResponse{Message: ai.NewModelTextMessage(fmt.Sprintf("%d %s %v", len(req.Messages), req.Messages[0].Text(), req.Config))}, nil
	})
	careless := ai.MiddlewareFunc(func(context.Context) (*ai.Hooks, error) {
		return &ai.Hooks{WrapModel: func(ctx context.Context, p *ai.ModelParams, next ai.ModelNext) (*ai.ModelResponse, error) {
			p.Request.Config = fmt.Sprint(p.Request.Config, "!")
			p.Request.Messages[0].Content[0] = ai.NewTextPart(p.Request.Messages[0].Text() + "!")
			p.Request.Messages = append(p.Request.Messages, ai.NewUserTextMessage("!"))
			return next(ctx, p)
		}}, nil
	})
	resp, err := ask(t, g, model, ai.WithConfig("calm"), ai.WithUse(retrying(t), careless))
	served(t, resp, err, "2 Who is at the door?! calm!", genkit.Provenance{Strategy: strategies.StrategyRetry, ServedBy: "narrator", Attempts: 2})
}

func TestTheMarkIsOnTheAnswerAlone(t *testing.T) {
	t.Parallel()
	cached := &ai.ModelResponse{Message: ai.NewModelTextMessage("Hello")}
	cached.Message.Metadata = map[string]any{"kept": true}
	g, model := modeled(t, func(n int, _ *ai.ModelRequest, _ func(string)) (*ai.ModelResponse, error) {
		if n == 1 {
			return nil, away
		}
		return cached, nil
	})
	for _, want := range []genkit.Provenance{{Strategy: strategies.StrategyRetry, ServedBy: "narrator", Attempts: 2}, {}} {
		resp, err := ask(t, g, model, ai.WithUse(retrying(t)))
		served(t, resp, err, "Hello", want)
		if resp.Message.Metadata["kept"] != true {
			t.Errorf("the metadata is %v", resp.Message.Metadata)
		}
	}
	if _, ok := genkit.ProvenanceOf(nil); ok {
		t.Error("no answer has a provenance")
	}
}

func TestWhatCommits(t *testing.T) {
	t.Parallel()
	g, model := modeled(t, func(n int, _ *ai.ModelRequest, say func(string)) (*ai.ModelResponse, error) {
		if say(""); n == 1 {
			return nil, away
		}
		say("Hello")
		return &ai.ModelResponse{Message: ai.NewModelTextMessage("Hello")}, nil
	})
	chunks := 0
	resp, err := ask(t, g, model, ai.WithUse(retrying(t)), ai.WithStreaming(func(context.Context, *ai.ModelResponseChunk) error { chunks++; return nil }))
	served(t, resp, err, "Hello", genkit.Provenance{Strategy: strategies.StrategyRetry, ServedBy: "narrator", Attempts: 2})
	if chunks != 2 {
		t.Errorf("the user saw %d chunks, want those of the second attempt", chunks)
	}
	for it, tt := range map[string]struct {
		chunk          genkit.Chunk
		want, thinking bool
	}{
		"nothing":     {genkit.Chunk{}, false, false},
		"no parts":    {genkit.Chunk{Delta: &ai.ModelResponseChunk{}}, false, false},
		"a nil part":  {genkit.Chunk{Delta: &ai.ModelResponseChunk{Content: []*ai.Part{nil}}}, false, false},
		"no thought":  {genkit.Chunk{Delta: &ai.ModelResponseChunk{Content: []*ai.Part{ai.NewReasoningPart("", nil)}}}, false, false},
		"a thought":   {genkit.Chunk{Delta: &ai.ModelResponseChunk{Content: []*ai.Part{ai.NewReasoningPart("hm", nil)}}}, false, true},
		"a tool call": {genkit.Chunk{Delta: &ai.ModelResponseChunk{Content: []*ai.Part{ai.NewToolRequestPart(&ai.ToolRequest{Name: "knock"})}}}, false, false},
		"text":        {genkit.Chunk{Delta: &ai.ModelResponseChunk{Content: []*ai.Part{ai.NewTextPart("H")}}}, true, true},
		"the end":     {genkit.Chunk{Final: &ai.ModelResponse{}}, true, true},
	} {
		if got, thinking := genkit.Says(tt.chunk), genkit.SaysThinking(tt.chunk); got != tt.want || thinking != tt.thinking {
			t.Errorf("%s says something: %v, with reasoning %v", it, got, thinking)
		}
	}
}

func TestAnEmptyPartIsNoAnswer(t *testing.T) {
	t.Parallel()
	g, model := modeled(t, func(int, *ai.ModelRequest, func(string)) (*ai.ModelResponse, error) {
		return &ai.ModelResponse{Message: ai.NewModelTextMessage("")}, nil
	})
	_, err := ask(t, g, model, ai.WithUse(whole(t, middleware.Wrap(genkit.Next()))))
	if e, ok := errors.AsType[*strategies.AnswerError](err); !ok || e.Reason != genkit.Empty {
		t.Errorf("got %v", err)
	}
}

func TestAModelThatPanics(t *testing.T) {
	t.Parallel()
	g, model := modeled(t, func(int, *ai.ModelRequest, func(string)) (*ai.ModelResponse, error) { panic("the roof") })
	resp, err := ask(t, g, model, ai.WithUse(stream(t, middleware.WrapStream(genkit.Next()).Named("narrator").Retry(soon).
		Degrade(strategies.LevelMinimal, genkit.Reply("Later.")))))
	served(t, resp, err, "Later.", genkit.Provenance{Strategy: strategies.StrategyDegradation, ServedBy: "minimal answer", Level: strategies.LevelMinimal, Attempts: 2})
}

func TestLongRunningModels(t *testing.T) {
	t.Parallel()
	_, g := play(t, endpoint.Plan{})
	n := 0
	sdk.DefineBackgroundModelAction(g, "house/painter", nil, func(context.Context, *ai.ModelRequest, any) (*ai.ModelOperation, error) {
		if n++; n == 1 {
			return nil, away
		}
		return &ai.ModelOperation{ID: "op-1"}, nil
	}, func(_ context.Context, op *ai.ModelOperation) (*ai.ModelOperation, error) { return op, nil })
	op, err := sdk.GenerateOperation(t.Context(), g, ai.WithModelName("house/painter"), ai.WithPrompt("A tavern."), ai.WithUse(retrying(t)))
	if err != nil || op.ID != "op-1" || n != 2 {
		t.Errorf("got %v, %v after %d calls", op, err, n)
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	for streaming, want := range map[bool]int{true: 2, false: 1} {
		call := genkit.Call{Request: &ai.ModelRequest{}, Streaming: streaming}
		chunks, err := middleware.Collect(genkit.Reply("Later.").Stream(t.Context(), call))
		if err != nil || len(chunks) != want || !genkit.Says(chunks[0]) || !genkit.Ends(chunks[want-1]) || chunks[want-1].Final.Text() != "Later." {
			t.Errorf("streaming %v: got %+v, %v", streaming, chunks, err)
		}
	}
}

func TestAToolWithoutAResponse(t *testing.T) {
	t.Parallel()
	server := serve(t, says(200, call), says(200, hello))
	g := connect(t, server.URL)
	door := sdk.DefineTool(g, "open_door", "opens a door", func(*ai.ToolContext, map[string]any) (string, error) { return "", nil })
	tool, err := middleware.Wrap(genkit.NextTool()).Retry(soon).Build()
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	silent := ai.MiddlewareFunc(func(context.Context) (*ai.Hooks, error) {
		return &ai.Hooks{WrapTool: func(ctx context.Context, p *ai.ToolParams, next ai.ToolNext) (*ai.MultipartToolResponse, error) {
			if calls++; calls == 1 {
				p.Request.Name = "nothing" // which the next attempt must not see
				return nil, nil
			}
			if p.Request.Name != "open_door" {
				t.Errorf("the tool is called %q", p.Request.Name)
			}
			return next(ctx, p)
		}}, nil
	})
	resp, err := ask(t, g, ai.WithTools(door), ai.WithUse(genkit.Recovery{Tool: tool}, silent))
	if err != nil || resp.Text() != "Hello" || calls != 2 {
		t.Errorf("got %v, %v after %d calls", resp, err, calls)
	}
}
