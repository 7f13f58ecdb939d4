package eino_test

import (
	"context"
	"fmt"
	stdlog "log"

	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/components/tool/utils"
	"github.com/cloudwego/eino/compose"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/strategies"
)

// An agent that fails after it has paid is asked again, and does not pay again.
func ExampleEffect() {
	type order struct{ Number string }
	pay, err := utils.InferTool("pay", "pays an order", func(_ context.Context, o order) (string, error) {
		fmt.Println("paying", o.Number)
		return "receipt for " + o.Number, nil
	})
	if err != nil {
		stdlog.Fatal(err)
	}
	tools, err := compose.NewToolNode(context.Background(), &compose.ToolsNodeConfig{
		Tools: []tool.BaseTool{eino.Effect(pay, strategies.EffectOnce)}, // this line is all
	})
	if err != nil {
		stdlog.Fatal(err)
	}
	asked := 0
	// In the place of an agent: it lets its tool run, and then its model fails.
	agent := func(ctx context.Context, number string) (string, error) {
		call := schema.ToolCall{ID: "1", Function: schema.FunctionCall{Name: "pay", Arguments: fmt.Sprintf(`{"Number":%q}`, number)}}
		heard, err := tools.Invoke(ctx, schema.AssistantMessage("", []schema.ToolCall{call}))
		if err != nil {
			return "", err
		}
		if asked++; asked == 1 {
			return "", fmt.Errorf("the model is out of order")
		}
		return "Paid: " + heard[0].Content, nil
	}
	buyer, err := middleware.WrapFunc(agent).
		Retry(strategies.Retry{Backoff: strategies.Delays{0}}).
		Effects(middleware.Effects{}).
		Build()
	if err != nil {
		stdlog.Fatal(err)
	}
	out := buyer.Outcome(context.Background(), "A1")
	fmt.Println(out.Value, out.Err)
	for _, e := range out.Effects {
		fmt.Println(e.Tool, e.State)
	}
	// Output:
	// paying A1
	// Paid: receipt for A1 <nil>
	// pay done
	// pay replayed
}
