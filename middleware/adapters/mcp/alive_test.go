package mcp_test

import (
	"context"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/mcp"
)

// A tool that reports progress has longer than its silence, in the client's own chain
// and in that of an agent that calls it; one that does not is ended, and nobody is asked
// for progress whose chain does not listen.
func TestProgressIsASignOfLife(t *testing.T) {
	t.Parallel()
	const silence, step, steps = time.Second, 200 * time.Millisecond, 8
	tokens := make(chan any, 8)
	tools := inn("")
	work := func(reports bool) sdk.ToolHandler {
		return func(ctx context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			token := r.Params.GetProgressToken()
			tokens <- token
			ticks := time.NewTicker(step)
			defer ticks.Stop()
			for i := range steps {
				select {
				case <-ticks.C:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				if reports && token != nil {
					_ = r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Progress: float64(i)})
				}
			}
			return said("done"), nil
		}
	}
	once := &sdk.ToolAnnotations{ReadOnlyHint: true}
	add(tools, "report", once, work(true))
	add(tools, "brood", once, work(false))
	alive := func(b *mcp.Builder) { b.TimeoutWhileAlive(silence, time.Minute) }
	plain := func(b *mcp.Builder) { b.Timeout(time.Minute) }
	for _, tc := range []struct {
		it, tool string
		settings func(*mcp.Builder)
		agent    bool // an agent with such a chain calls it
		token    any
		works    bool
		asked    bool // for progress
	}{
		{"it reports", "report", alive, false, nil, true, true},
		{"its caller had asked for progress", "report", alive, false, "mine", true, true},
		{"it broods", "brood", alive, false, nil, false, true},
		{"an agent calls it", "report", plain, true, nil, true, true},
		{"nobody listens", "report", plain, false, nil, true, false},
	} {
		t.Run(tc.it, func(t *testing.T) {
			s := sessions.serve(t, tools)
			session := connect(t, client(t, nil, tc.settings), s)
			run := func(ctx context.Context, _ string) (string, error) {
				params := &sdk.CallToolParams{Name: tc.tool}
				if tc.token != nil {
					params.SetProgressToken(tc.token)
				}
				got, err := session.CallTool(ctx, params)
				return text(got), err
			}
			if tc.agent {
				run = middleware.Must(middleware.WrapFunc(run).TimeoutWhileAlive(silence, time.Minute).Build()).Run
			}
			got, err := run(t.Context(), "")
			if works := err == nil && got == "done"; works != tc.works {
				t.Errorf("got %q, %v", got, err)
			}
			if token := <-tokens; token != nil != tc.asked || tc.token != nil && token != tc.token {
				t.Errorf("asked for progress by %v", token)
			}
		})
	}
}
