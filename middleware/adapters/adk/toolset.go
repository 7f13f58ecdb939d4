package adk

import (
	"fmt"
	"maps"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"

	"github.com/understudy-go/understudy/strategies"
)

// Toolset is [Effect] for all tools of a toolset, such as those of an MCP server, which
// are known only when it is asked for them. effects says by name what each does to the
// world, and settings, if not nil, what is known of it beyond. A tool that is not named
// must happen once. Tools that the model runs itself stay as they are.
func Toolset(set tool.Toolset, effects map[string]strategies.Effect, settings func(name string, t *EffectTool)) (tool.Toolset, error) {
	if set == nil {
		return nil, &strategies.ConfigError{Setting: "Toolset", Problem: "is nil", Fix: "give it a toolset"}
	}
	for name, effect := range effects {
		if effect > strategies.EffectReadOnly {
			return nil, &strategies.ConfigError{Setting: fmt.Sprintf("Toolset %q", name), Problem: fmt.Sprintf("has effect %d", effect), Fix: "use EffectOnce, EffectIdempotent or EffectReadOnly"}
		}
	}
	own := &effectSet{set, maps.Clone(effects), settings}
	if p, ok := set.(processes); ok { // the framework asks for it by this method
		return &processingSet{own, p}, nil
	}
	return own, nil
}

type effectSet struct {
	tool.Toolset
	effects  map[string]strategies.Effect
	settings func(name string, t *EffectTool)
}

// Tools wraps what the toolset has at the moment.
func (s *effectSet) Tools(ctx agent.ReadonlyContext) ([]tool.Tool, error) {
	all, err := s.Toolset.Tools(ctx)
	if err != nil {
		return nil, err
	}
	own := make([]tool.Tool, 0, len(all))
	for _, t := range all {
		switch t.(type) {
		case runs, streams:
			name := t.Name()
			t = Effect(t, s.effects[name], func(e *EffectTool) {
				if s.settings != nil {
					s.settings(name, e)
				}
			})
		}
		own = append(own, t)
	}
	return own, nil
}

type processingSet struct {
	*effectSet
	process processes
}

func (s *processingSet) ProcessRequest(ctx agent.Context, req *model.LLMRequest) error {
	return s.process.ProcessRequest(ctx, req)
}
