package eino

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"strings"
	"sync"

	"github.com/cloudwego/eino/components"
	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

type (
	// EffectTool is the core's tool, for the settings of one: its Key, its Verify, its
	// Undo, its Approve. The arguments are the JSON that the model wrote.
	EffectTool = middleware.Tool[json.RawMessage, string]

	// EnhancedEffectTool is the same for a tool that returns a [schema.ToolResult].
	EnhancedEffectTool = middleware.Tool[json.RawMessage, *schema.ToolResult]
)

// Effect is a tool by what it does to the world, see [middleware.WrapTool]: what must
// happen once does, however often the agent around it is asked, and by whomever. Put
// it where the tool was:
//
//	config.ToolsConfig.Tools = []tool.BaseTool{eino.Effect(pay, strategies.EffectOnce)}
//
// It takes an [tool.InvokableTool], a [tool.StreamableTool] or one that is both, and
// is the same. What is written down of a stream is all of it together: the first time
// it comes in its chunks, and when it is given back in one. It is read to its end
// whoever listens.
//
// An interrupt says that nothing was done yet, and the tool is called again when the
// agent is resumed. A tool that cannot be wrapped says so when eino asks for its Info,
// which is when the agent is made.
func Effect(t tool.BaseTool, effect strategies.Effect, settings ...func(*EffectTool)) tool.BaseTool {
	e := &effectOf[string]{BaseTool: t, effect: effect, settings: settings, join: joined}
	asked, invokes := t.(tool.InvokableTool)
	heard, streams := t.(tool.StreamableTool)
	switch in, st := (invoked{e, asked}), (streamed{e, heard}); {
	case isNil(t):
	case invokes && streams:
		return struct {
			*effectOf[string]
			invoked
			streamed
		}{e, in, st}
	case invokes:
		return struct {
			*effectOf[string]
			invoked
		}{e, in}
	case streams:
		return struct {
			*effectOf[string]
			streamed
		}{e, st}
	}
	return noTool{"Effect", "an InvokableTool or a StreamableTool; EnhancedEffect is for one that returns a ToolResult"}
}

// EnhancedEffect is [Effect] for a tool that returns a [schema.ToolResult].
func EnhancedEffect(t tool.BaseTool, effect strategies.Effect, settings ...func(*EnhancedEffectTool)) tool.BaseTool {
	e := &effectOf[*schema.ToolResult]{BaseTool: t, effect: effect, settings: settings, join: schema.ConcatToolResults}
	asked, invokes := t.(tool.EnhancedInvokableTool)
	heard, streams := t.(tool.EnhancedStreamableTool)
	switch in, st := (enhancedInvoked{e, asked}), (enhancedStreamed{e, heard}); {
	case isNil(t):
	case invokes && streams:
		return struct {
			*effectOf[*schema.ToolResult]
			enhancedInvoked
			enhancedStreamed
		}{e, in, st}
	case invokes:
		return struct {
			*effectOf[*schema.ToolResult]
			enhancedInvoked
		}{e, in}
	case streams:
		return struct {
			*effectOf[*schema.ToolResult]
			enhancedStreamed
		}{e, st}
	}
	return noTool{"EnhancedEffect", "an EnhancedInvokableTool or an EnhancedStreamableTool; Effect is for one that returns a text"}
}

func isNil(t any) bool {
	v := reflect.ValueOf(t)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// noTool stands where a tool cannot be wrapped.
type noTool struct{ setting, fix string }

func (n noTool) Info(context.Context) (*schema.ToolInfo, error) {
	return nil, &strategies.ConfigError{Setting: n.setting, Problem: "is given no tool that it can call", Fix: "give it " + n.fix}
}

type invoked struct {
	e *effectOf[string]
	t tool.InvokableTool
}

func (i invoked) InvokableRun(ctx context.Context, arguments string, opts ...tool.Option) (string, error) {
	return i.e.run(ctx, arguments, func(ctx context.Context) (string, error) { return i.t.InvokableRun(ctx, arguments, opts...) })
}

type streamed struct {
	e *effectOf[string]
	t tool.StreamableTool
}

func (s streamed) StreamableRun(ctx context.Context, arguments string, opts ...tool.Option) (*schema.StreamReader[string], error) {
	return s.e.stream(ctx, arguments, func(ctx context.Context) (*schema.StreamReader[string], error) {
		return s.t.StreamableRun(ctx, arguments, opts...)
	})
}

type enhancedInvoked struct {
	e *effectOf[*schema.ToolResult]
	t tool.EnhancedInvokableTool
}

func (i enhancedInvoked) InvokableRun(ctx context.Context, a *schema.ToolArgument, opts ...tool.Option) (*schema.ToolResult, error) {
	return i.e.run(ctx, a.Text, func(ctx context.Context) (*schema.ToolResult, error) { return i.t.InvokableRun(ctx, a, opts...) })
}

type enhancedStreamed struct {
	e *effectOf[*schema.ToolResult]
	t tool.EnhancedStreamableTool
}

func (s enhancedStreamed) StreamableRun(ctx context.Context, a *schema.ToolArgument, opts ...tool.Option) (*schema.StreamReader[*schema.ToolResult], error) {
	return s.e.stream(ctx, a.Text, func(ctx context.Context) (*schema.StreamReader[*schema.ToolResult], error) {
		return s.t.StreamableRun(ctx, a, opts...)
	})
}

// effectOf is what the kinds of tool have in common. It is the tool as eino describes
// it, too.
type effectOf[T any] struct {
	tool.BaseTool
	effect   strategies.Effect
	settings []func(*middleware.Tool[json.RawMessage, T])
	join     func([]T) (T, error)
}

// GetType returns the type of the tool.
func (e *effectOf[T]) GetType() string { return typeOf(e.BaseTool) }

// IsCallbacksEnabled says what the tool says.
func (e *effectOf[T]) IsCallbacksEnabled() bool { return components.IsCallbacksEnabled(e.BaseTool) }

// run asks the tool, or gives back what it has said. eino's own errors are returned
// as they are: a pause, after which the tool is called again, and a cancellation,
// which leaves open whether it has acted.
func (e *effectOf[T]) run(ctx context.Context, arguments string, ask func(context.Context) (T, error)) (T, error) {
	var none T
	info, err := e.Info(ctx)
	if err != nil {
		return none, strategies.NotDone(err)
	}
	var own error
	t := middleware.WrapTool(info.Name, e.effect, func(ctx context.Context, _ json.RawMessage) (T, error) {
		result, err := ask(ctx)
		if err != nil && interrupted(err) {
			if own = err; paused(err) {
				err = strategies.NotDone(err)
			}
		}
		return result, err
	})
	for _, set := range e.settings {
		set(t)
	}
	if strings.TrimSpace(arguments) == "" {
		arguments = "{}" // so some models call a tool that wants none
	}
	result, err := t.Run(ctx, json.RawMessage(arguments))
	if own != nil {
		return none, own
	}
	return result, err
}

// stream is run for a tool that streams. The effect ends with its stream and not with
// who listens, so it is read on a goroutine of its own.
func (e *effectOf[T]) stream(ctx context.Context, arguments string, open func(context.Context) (*schema.StreamReader[T], error)) (*schema.StreamReader[T], error) {
	if e.effect == strategies.EffectReadOnly {
		return open(ctx)
	}
	l := &live[T]{more: make(chan struct{}, 1)}
	go func() {
		err := errors.New("understudy: eino: the goroutine that called the tool has ended")
		var result T
		defer func() { l.end(result, err) }()
		result, err = e.run(ctx, arguments, func(ctx context.Context) (none T, _ error) {
			reader, err := open(ctx)
			if err != nil {
				return none, err
			}
			l.tell(func() { l.runs = true })
			var all []T
			for chunk, err := range read(reader) {
				if err != nil {
					return none, err
				}
				all = append(all, chunk)
				l.say(chunk)
			}
			if len(all) == 0 {
				return none, nil
			}
			return e.join(all)
		})
	}()
	return piped(ctx, l.listen(), same)
}

// live is what a tool says on its way to who listens, whom it does not wait for.
type live[T any] struct {
	mu    sync.Mutex
	said  []T  // and not heard yet
	runs  bool // the tool itself; or else it is what was written down
	ended bool
	err   error
	more  chan struct{} // something is new
}

func (l *live[T]) tell(what func()) {
	l.mu.Lock()
	what()
	l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
}

func (l *live[T]) say(chunk T) { l.tell(func() { l.said = append(l.said, chunk) }) }

func (l *live[T]) end(result T, err error) {
	l.tell(func() {
		if l.ended, l.err = true, err; err == nil && !l.runs && !isNil(result) {
			l.said = append(l.said, result)
		}
	})
}

func (l *live[T]) listen() iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for {
			l.mu.Lock()
			said, ended, err := l.said, l.ended, l.err
			l.said = nil
			l.mu.Unlock()
			for _, chunk := range said {
				if !yield(chunk, nil) {
					return
				}
			}
			if ended {
				if err != nil {
					yield(none, err)
				}
				return
			}
			<-l.more // also when the caller has left: what the tool makes of it must be known
		}
	}
}
