package adk

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/toolutils"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// EffectTool is the core's tool, for the settings of one: its Key, its Verify, its Undo,
// its Approve. A tool that streams has its whole text as the only value of its result.
type EffectTool = middleware.Tool[map[string]any, map[string]any]

// What the framework asks of a tool that it runs, beside [tool.Tool].
type (
	declares interface {
		Declaration() *genai.FunctionDeclaration
	}
	runs interface {
		tool.Tool
		declares
		Run(ctx agent.Context, args any) (map[string]any, error)
	}
	streams interface {
		tool.Tool
		declares
		RunStream(ctx agent.Context, args any) iter.Seq2[string, error]
	}
	processes interface {
		ProcessRequest(ctx agent.Context, req *model.LLMRequest) error
	}
	defers interface{ DefersResponse() bool }
)

// Effect is a tool by what it does to the world, see [middleware.WrapTool]: what must
// happen once does, however often the agent around it is asked, and by whomever. Put
// it where the tool was:
//
//	llmagent.Config{Tools: []tool.Tool{adk.Effect(pay, strategies.EffectOnce)}}
//
// A tool that asks for a confirmation has done nothing yet, and is called again when it
// was given. Of a long-running one the effect is that it began: what it returned first
// is given back. The state and the artifacts that a tool changes are those of the turn,
// and are not written down.
//
// The framework tells the model of an error as of any result. Of an effect that is
// uncertain it is told, and told not to repeat it; the call of the chain is marked by it
// whatever the model says, see [middleware.Outcome].
//
// A tool that cannot be run is refused when a request is made: the error names it.
func Effect(t tool.Tool, effect strategies.Effect, settings ...func(*EffectTool)) tool.Tool {
	switch t := t.(type) {
	case runs:
		return &effectRun{effectTool[runs]{t, effect, settings}}
	case streams:
		return &effectStream{effectTool[streams]{t, effect, settings}}
	}
	return noTool{t}
}

// noTool stands where a tool cannot be wrapped.
type noTool struct{ is tool.Tool }

func (n noTool) Name() string {
	if n.is == nil {
		return "nil"
	}
	return n.is.Name()
}
func (noTool) Description() string { return "" }
func (noTool) IsLongRunning() bool { return false }

func (n noTool) ProcessRequest(agent.Context, *model.LLMRequest) error {
	return &strategies.ConfigError{Setting: "Effect " + n.Name(), Problem: "is given no tool that it can run", Fix: "give it a function tool; what a model runs itself has no effects here"}
}

// effectTool is what both kinds have in common.
type effectTool[T interface {
	tool.Tool
	declares
}] struct {
	is       T
	effect   strategies.Effect
	settings []func(*EffectTool)
}

func (e *effectTool[T]) Name() string        { return e.is.Name() }
func (e *effectTool[T]) Description() string { return e.is.Description() }
func (e *effectTool[T]) IsLongRunning() bool { return e.is.IsLongRunning() }

func (e *effectTool[T]) Declaration() *genai.FunctionDeclaration { return e.is.Declaration() }

func (e *effectTool[T]) DefersResponse() bool {
	d, ok := any(e.is).(defers)
	return ok && d.DefersResponse()
}

// process lets the tool change the request, and takes its place among those that the
// framework runs, which is where it has put itself.
func (e *effectTool[T]) process(ctx agent.Context, req *model.LLMRequest, self toolutils.Tool) error {
	p, ok := any(e.is).(processes)
	if !ok {
		return toolutils.PackTool(req, self)
	}
	_, before := req.Tools[e.Name()]
	if err := p.ProcessRequest(ctx, req); err != nil {
		return err
	}
	if !before && req.Tools[e.Name()] != nil {
		req.Tools[e.Name()] = self
	}
	return nil
}

// run asks the tool, or gives back what it has said. That a person has to confirm, or
// would not, is the framework's own error and returned as it is.
func (e *effectTool[T]) run(ctx agent.Context, args any, ask func(agent.Context) (map[string]any, error)) (map[string]any, error) {
	given, _ := args.(map[string]any)
	var pause error
	t := middleware.WrapTool(e.Name(), e.effect, func(inner context.Context, _ map[string]any) (map[string]any, error) {
		result, err := ask(within{ctx, inner})
		if errors.Is(err, tool.ErrConfirmationRequired) || errors.Is(err, tool.ErrConfirmationRejected) {
			pause = err
			return nil, strategies.NotDone(err)
		}
		return result, err
	})
	for _, set := range e.settings {
		set(t)
	}
	result, err := t.Run(ctx, given)
	if pause != nil {
		return nil, pause
	}
	return result, err
}

type effectRun struct{ effectTool[runs] }

func (e *effectRun) ProcessRequest(ctx agent.Context, req *model.LLMRequest) error {
	return e.process(ctx, req, e)
}

func (e *effectRun) Run(ctx agent.Context, args any) (map[string]any, error) {
	return e.run(ctx, args, func(ctx agent.Context) (map[string]any, error) { return e.is.Run(ctx, args) })
}

type effectStream struct{ effectTool[streams] }

func (e *effectStream) ProcessRequest(ctx agent.Context, req *model.LLMRequest) error {
	return e.process(ctx, req, e)
}

// said is where the text of a tool that streams is written down.
const said = "result"

// RunStream gives what was written down in one piece. The tool itself is heard to its
// end, also by one who has stopped to listen.
func (e *effectStream) RunStream(ctx agent.Context, args any) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		ran, listens := false, true
		result, err := e.run(ctx, args, func(ctx agent.Context) (map[string]any, error) {
			ran = true
			var all strings.Builder
			for piece, err := range e.is.RunStream(ctx, args) {
				if err != nil {
					return nil, err
				}
				all.WriteString(piece)
				listens = listens && yield(piece, nil)
			}
			return map[string]any{said: all.String()}, nil
		})
		switch text, _ := result[said].(string); {
		case !listens:
		case err != nil:
			yield("", err)
		case !ran:
			yield(text, nil)
		}
	}
}

// within is the context of the framework within that of the effect: a tool's has no
// copy with another one inside.
type within struct {
	agent.Context
	effect context.Context
}

func (w within) Deadline() (time.Time, bool) { return w.effect.Deadline() }
func (w within) Done() <-chan struct{}       { return w.effect.Done() }
func (w within) Err() error                  { return w.effect.Err() }
func (w within) Value(key any) any           { return w.effect.Value(key) }
