package adk_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
	"github.com/understudy-go/understudy/strategies"
)

// shelf is a toolset; with notes, one that changes requests.
type shelf struct{ tools []tool.Tool }

func (shelf) Name() string                                       { return "shelf" }
func (s shelf) Tools(agent.ReadonlyContext) ([]tool.Tool, error) { return s.tools, nil }

type noted struct {
	shelf
	requests *int
}

func (n noted) ProcessRequest(agent.Context, *model.LLMRequest) error { *n.requests++; return nil }

// builtin is a tool that the model runs itself.
type builtin struct{ tool.Tool }

func (builtin) Name() string { return "search" }

// What is known only when the toolset is asked is done once all the same.
func TestToolset(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"plain", "that changes requests"} {
		t.Run(way, func(t *testing.T) {
			b := conformance.OpenBank(t, conformance.Never)
			pay, err := functiontool.New(functiontool.Config{Name: "pay", Description: "Pays."}, func(ctx agent.Context, _ order) (string, error) { return b.Pay(ctx) })
			if err != nil {
				t.Fatal(err)
			}
			requests := 0
			var set tool.Toolset = shelf{[]tool.Tool{pay}}
			if way != "plain" {
				set = noted{shelf{[]tool.Tool{pay}}, &requests}
			}
			var named []string
			own, err := adk.Toolset(set, nil, func(name string, _ *adk.EffectTool) { named = append(named, name) })
			if err != nil {
				t.Fatal(err)
			}
			server := cashier(t, 1)
			turns := newStage(t, storyteller(t, google(t, server.URL(), "payer"), func(c *llmagent.Config) { c.Toolsets = []tool.Toolset{own} }))
			turn := func(ctx context.Context, q string) (string, error) {
				return within(turns.turn(ctx, agent.StreamingModeNone, genai.NewContentFromText(q, genai.RoleUser)))
			}
			g := middleware.Must(middleware.WrapFunc(turn).Retry(soon).Effects(middleware.Effects{}).Build())
			if _, err := g.Run(t.Context(), "Pay"); err != nil {
				t.Fatal(err)
			}
			if b.Received() != 1 || !slices.Contains(named, "pay") || way != "plain" && requests == 0 {
				t.Errorf("paid %d times, settings asked for %q, %d requests changed", b.Received(), named, requests)
			}
		})
	}
	own, err := adk.Toolset(shelf{[]tool.Tool{builtin{}}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := own.Tools(nil); err != nil || len(all) != 1 || all[0] != tool.Tool(builtin{}) {
		t.Errorf("the model's own tool became %v, %v", all, err)
	}
	for it, set := range map[string]tool.Toolset{"nil": nil, "an effect that there is not": shelf{}} {
		if _, err := adk.Toolset(set, map[string]strategies.Effect{"pay": 9}, nil); !errors.Is(err, strategies.ErrConfig) {
			t.Errorf("%s: %v", it, err)
		}
	}
}
