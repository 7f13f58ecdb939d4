package genkit

import (
	"context"

	"github.com/firebase/genkit/go/ai"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// Effects say of tools, by their names, what they do to the world.
type Effects map[string]strategies.Effect

// Effect is the function of a tool by what it does to the world, see
// [middleware.WrapTool]: what must happen once does, however often the flow around it is
// asked, and by whomever. Put it where the function was, of DefineMultipartTool too:
//
//	pay := sdk.DefineTool(g, "pay", "pays an order", genkit.Effect("pay", strategies.EffectOnce, pays))
//
// An interrupt says that nothing was done yet, and the tool is called again when it is
// restarted; settings are the core's, its Key, its Verify, its Undo, its Approve.
//
// genkit finds a tool by its name, and so the function is wrapped and not the tool. For
// tools of others, a plugin's, name them in [Recovery].Effects.
func Effect[In, Out any](name string, effect strategies.Effect, fn ai.ToolFunc[In, Out], settings ...func(*middleware.Tool[In, Out])) ai.ToolFunc[In, Out] {
	if fn == nil {
		return func(*ai.ToolContext, In) (none Out, _ error) {
			return none, &strategies.ConfigError{Setting: "Effect " + name, Problem: "has no function", Fix: "give it that of the tool"}
		}
	}
	return func(tc *ai.ToolContext, in In) (Out, error) {
		return effectOf(tc, name, effect, in, func(ctx context.Context, in In) (Out, error) {
			own := *tc
			own.Context = ctx
			return fn(&own, in)
		}, settings)
	}
}

// effectOf asks a tool, or gives back what it has said. An interrupt is returned as it
// is.
func effectOf[In, Out any](ctx context.Context, name string, effect strategies.Effect, in In, run func(context.Context, In) (Out, error), settings []func(*middleware.Tool[In, Out])) (Out, error) {
	var pause error
	t := middleware.WrapTool(name, effect, func(ctx context.Context, in In) (Out, error) {
		out, err := run(ctx, in)
		if is, _ := ai.IsToolInterruptError(err); is {
			pause = err
			err = strategies.NotDone(err)
		}
		return out, err
	})
	for _, set := range settings {
		set(t)
	}
	out, err := t.Run(ctx, in)
	if pause != nil {
		var none Out
		return none, pause
	}
	return out, err
}

// written is the way to a tool that is named in Effects.
func (r Recovery) written(name string, next ai.ToolNext) ai.ToolNext {
	effect, named := r.Effects[name]
	if !named {
		return next
	}
	return func(ctx context.Context, params *ai.ToolParams) (*ai.MultipartToolResponse, error) {
		return effectOf(ctx, name, effect, params.Request.Input, func(ctx context.Context, _ any) (*ai.MultipartToolResponse, error) {
			return next(ctx, params)
		}, nil)
	}
}
