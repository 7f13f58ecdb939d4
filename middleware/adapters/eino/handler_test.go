package eino_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/components/tool/utils"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/strategies"
)

type nothing struct{}

// stuck fails so often, and then says "open".
type stuck struct{ times, runs int }

func (s *stuck) run() (string, error) {
	if s.runs++; s.runs <= s.times {
		return "", errors.New("it is stuck")
	}
	return "open", nil
}

// doors are the four kinds of tool that eino knows, each failing so often.
func doors(t *testing.T, times int) map[string]func() (*stuck, tool.BaseTool) {
	t.Helper()
	text := func(s string) *schema.ToolResult {
		return &schema.ToolResult{Parts: []schema.ToolOutputPart{{Type: schema.ToolPartTypeText, Text: s}}}
	}
	kind := func(make func(*stuck) (tool.BaseTool, error)) func() (*stuck, tool.BaseTool) {
		return func() (*stuck, tool.BaseTool) {
			s := &stuck{times: times}
			door, err := make(s)
			if err != nil {
				t.Fatal(err)
			}
			return s, door
		}
	}
	return map[string]func() (*stuck, tool.BaseTool){
		"plain": kind(func(s *stuck) (tool.BaseTool, error) {
			return utils.InferTool("open_door", "opens it", func(context.Context, nothing) (string, error) { return s.run() })
		}),
		"plain streaming": kind(func(s *stuck) (tool.BaseTool, error) {
			return utils.InferStreamTool("open_door", "opens it", func(context.Context, nothing) (*schema.StreamReader[string], error) {
				said, err := s.run()
				return schema.StreamReaderFromArray([]string{said}), err
			})
		}),
		"enhanced": kind(func(s *stuck) (tool.BaseTool, error) {
			return utils.InferEnhancedTool("open_door", "opens it", func(context.Context, nothing) (*schema.ToolResult, error) {
				said, err := s.run()
				return text(said), err
			})
		}),
		"enhanced streaming": kind(func(s *stuck) (tool.BaseTool, error) {
			return utils.InferEnhancedStreamTool("open_door", "opens it", func(context.Context, nothing) (*schema.StreamReader[*schema.ToolResult], error) {
				said, err := s.run()
				return schema.StreamReaderFromArray([]*schema.ToolResult{text(said)}), err
			})
		}),
	}
}

// opens runs an agent whose model calls the door once, and returns what the
// model heard of it.
func opens(t *testing.T, door tool.BaseTool, streaming bool, settings ...eino.ToolSettings) (heard string, requests int, err error) {
	t.Helper()
	server := serve(t, callsDoor, saysHello)
	h, err := eino.Handler(nil, settings...)
	if err != nil {
		t.Fatal(err)
	}
	agent, err := runner(t.Context(), connectTo(t, server.URL, "gpt"), streaming, nil, []tool.BaseTool{door}, h)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := last(agent.Query(t.Context(), "Open the door"))
	asked := server.requests()
	if len(asked) == 2 {
		heard = asked[1].Messages[len(asked[1].Messages)-1].Content
	} else if err == nil && len(answer.UserInputMultiContent) == 1 {
		heard = answer.UserInputMultiContent[0].Text // returned directly
	}
	return heard, len(asked), err
}

func TestToolCalls(t *testing.T) {
	t.Parallel()
	plain := func(settings func(*eino.ToolBuilder)) []eino.ToolSettings {
		return []eino.ToolSettings{eino.Tool("open_door", settings)}
	}
	spare, err := utils.InferTool("spare", "opens it too", func(context.Context, nothing) (string, error) { return "by the window", nil })
	if err != nil {
		t.Fatal(err)
	}
	for it, tt := range map[string]struct {
		times    int
		settings []eino.ToolSettings
		heard    string // of plain ones; enhanced results go as parts
		runs     int
		fails    bool
	}{
		"retries a tool that is named":               {2, plain(func(b *eino.ToolBuilder) { b.Retry(soon) }), "open", 3, false},
		"leaves one alone that is not":               {1, []eino.ToolSettings{eino.Tool("close_door", func(b *eino.ToolBuilder) { b.Retry(soon) })}, "", 1, true},
		"does not retry one that has no Retry":       {1, plain(func(b *eino.ToolBuilder) { b.CircuitBreaker(&strategies.Breaker{}) }), "", 1, true},
		"asks a stand-in":                            {9, plain(func(b *eino.ToolBuilder) { b.Fallback("window", eino.StandInTool(spare)) }), "by the window", 1, false},
		"tells the model what became of the call":    {9, plain(func(b *eino.ToolBuilder) { b.Degrade(strategies.LevelReduced, eino.ToolReply("It is stuck.")) }), "It is stuck.", 1, false},
		"validates what the tool says":               {0, plain(func(b *eino.ToolBuilder) { b.Validate(refuse).Degrade(strategies.LevelReduced, eino.ToolReply("No.")) }), "No.", 1, false},
		"says that the tool is one of another kind":  {0, []eino.ToolSettings{eino.EnhancedTool("open_door", func(*eino.EnhancedToolBuilder) {})}, "", 0, true},
		"passes on what a tool says that is healthy": {0, plain(func(b *eino.ToolBuilder) { b.Retry(soon) }), "open", 1, false},
	} {
		for _, kind := range []string{"plain", "plain streaming"} {
			for _, streaming := range []bool{false, true} {
				t.Run(fmt.Sprintf("it %s, %s, agent streaming %v", it, kind, streaming), func(t *testing.T) {
					ran, door := doors(t, tt.times)[kind]()
					heard, requests, err := opens(t, door, streaming, tt.settings...)
					if heard != tt.heard || ran.runs != tt.runs || (err != nil) != tt.fails {
						t.Errorf("the model heard %q, %d runs, %v", heard, ran.runs, err)
					}
					if want := map[bool]int{false: 2, true: 1}[tt.fails]; requests != want {
						t.Errorf("%d requests, want %d", requests, want)
					}
				})
			}
		}
	}
	for _, kind := range []string{"enhanced", "enhanced streaming"} {
		for _, streaming := range []bool{false, true} {
			t.Run(fmt.Sprintf("it retries a tool that is %s, agent streaming %v", kind, streaming), func(t *testing.T) {
				ran, door := doors(t, 2)[kind]()
				heard, requests, err := opens(t, door, streaming, eino.EnhancedTool("open_door", func(b *eino.EnhancedToolBuilder) { b.Retry(soon) }))
				if err != nil || heard != "open" || ran.runs != 3 || requests != 1 {
					t.Errorf("heard %q, %d runs, %d requests, %v", heard, ran.runs, requests, err)
				}
				ran, door = doors(t, 0)[kind]()
				if _, _, err := opens(t, door, streaming, plain(func(*eino.ToolBuilder) {})...); !errors.Is(err, strategies.ErrConfig) || ran.runs != 0 {
					t.Errorf("named as a plain one: %v, %d runs", err, ran.runs)
				}
			})
		}
	}
}

func refuse(context.Context, eino.ToolCall, string) error { return errors.New("no") }

func TestNothingIsRetriedTwice(t *testing.T) {
	t.Parallel()
	theirs, err := eino.RetryConfig(soon, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, streaming := range []bool{false, true} {
		server := serve(t, unavailable, saysHello)
		for it, tt := range map[string]struct {
			settings func(*eino.Builder)
			refused  bool
		}{
			"refuses eino's retry beside ours":  {func(b *eino.Builder) { b.Retry(soon) }, true},
			"takes it beside a chain without":   {func(b *eino.Builder) { b.CircuitBreaker(&strategies.Breaker{}) }, false},
			"takes it beside no chain whatever": {nil, false},
		} {
			t.Run("it "+it, func(t *testing.T) {
				h, err := eino.Handler(tt.settings)
				if err != nil {
					t.Fatal(err)
				}
				agent, err := runner(t.Context(), connectTo(t, server.URL, "gpt"), streaming, theirs, nil, h)
				if err != nil {
					t.Fatal(err)
				}
				before := len(server.requests())
				_, err = last(agent.Query(t.Context(), "Hello"))
				if errors.Is(err, strategies.ErrConfig) != tt.refused || !tt.refused && err != nil {
					t.Errorf("got %v", err)
				}
				if tt.refused {
					conformance.Requests(t, "gpt", len(server.requests())-before, 0)
				}
				if (h.Guarded() == nil) != (tt.settings == nil) {
					t.Error("it has a chain it was not asked for, or none")
				}
			})
		}
	}
}

func TestMisconfiguration(t *testing.T) {
	t.Parallel()
	var typed *scripted
	for want, build := range map[string]func() error{
		"Wrap is nil":          func() error { _, err := eino.Wrap(nil, func(*eino.Builder) {}); return err },
		"Wrap is nil: give":    func() error { _, err := eino.Wrap(typed, func(*eino.Builder) {}); return err },
		"Wrap has no settings": func() error { _, err := eino.Wrap(&scripted{}, nil); return err },
		"Retry.MaxRetries is negative": func() error {
			_, err := eino.Handler(func(b *eino.Builder) { b.Retry(strategies.Retry{MaxRetries: -2}) })
			return err
		},
		`Fallback "x" is nil`: func() error {
			_, err := eino.Handler(func(b *eino.Builder) { b.Fallback("x", eino.StandIn(nil)) })
			return err
		},
		`Tool "x" has no settings`: func() error { _, err := eino.Handler(nil, eino.Tool("x", nil)); return err },
		`Tool "" has no name`:      func() error { _, err := eino.Handler(nil, eino.Tool("", func(*eino.ToolBuilder) {})); return err },
		`EnhancedTool "x" is set twice`: func() error {
			twice := eino.EnhancedTool("x", func(*eino.EnhancedToolBuilder) {})
			_, err := eino.Handler(nil, twice, twice)
			return err
		},
		"Retry.Allowance is PerAgent": func() error {
			_, err := eino.RetryConfig(strategies.Retry{Allowance: strategies.AllowancePerAgent}, nil)
			return err
		},
		"Retry.Jitter is -1": func() error { _, err := eino.RetryConfig(strategies.Retry{Jitter: -1}, nil); return err },
	} {
		if err := build(); !errors.Is(err, strategies.ErrConfig) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	call := eino.Call{Options: slices.Grow([]model.Option{model.WithModel("small")}, 8)}
	large, err := eino.With(model.WithModel("large"), model.WithTemperature(0.5))(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eino.With(model.WithModel("other"))(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	if o := model.GetCommonOptions(nil, large.Options...); *o.Model != "large" || *o.Temperature != 0.5 || len(call.Options) != 1 {
		t.Errorf("got %+v", o)
	}
}

var _ adk.ChatModelAgentMiddleware = (*eino.AgentHandler)(nil)
