package mcp_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/middleware/adapters/mcp"
)

// person is the host side of a question: it counts how often they were asked,
// and takes that long to answer.
func person(asked *atomic.Int32, wait time.Duration) *sdk.ClientOptions {
	return &sdk.ClientOptions{ElicitationHandler: func(context.Context, *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
		asked.Add(1)
		done := make(chan struct{})
		time.AfterFunc(wait, func() { close(done) })
		<-done
		return &sdk.ElicitResult{Action: "accept"}, nil
	}}
}

// asking is an inn with a read-only tool that asks, in the way of the protocol.
func asking(p protocol, then func() (*sdk.CallToolResult, error)) *sdk.Server {
	tools := inn("")
	handle := eliciting("Open?", then)
	if p == sessions {
		handle = func(ctx context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			if _, err := r.Session.Elicit(ctx, &sdk.ElicitParams{Message: "Open?"}); err != nil {
				return nil, err
			}
			return then()
		}
	}
	add(tools, "open", &sdk.ToolAnnotations{ReadOnlyHint: true}, handle)
	return tools
}

func TestAPersonIsAskedOnce(t *testing.T) {
	t.Parallel()
	for _, p := range []protocol{sessions, stateless} {
		opens := func() (*sdk.CallToolResult, error) { return said("open"), nil }
		t.Run(p.String()+": it lets the answer through", func(t *testing.T) {
			var asked atomic.Int32
			s := p.serve(t, asking(p, opens))
			got, err := call(t, connect(t, client(t, person(&asked, 0), retrying), s), "open")
			answered(t, got, err, "open")
			if asked.Load() != 1 {
				t.Errorf("asked %d times", asked.Load())
			}
		})
		t.Run(p.String()+": it does not repeat a call that failed after the answer", func(t *testing.T) {
			var asked, ran atomic.Int32
			breaks := func() (*sdk.CallToolResult, error) { ran.Add(1); return nil, errors.New("the lock is stuck") }
			s := p.serve(t, asking(p, breaks))
			_, err := call(t, connect(t, client(t, person(&asked, 0), retrying), s), "open")
			if once, ok := errors.AsType[*mcp.OnceError](err); !ok || !strings.Contains(once.Reason, "asked") {
				t.Errorf("got %v", err)
			}
			if asked.Load() != 1 || ran.Load() != 1 {
				t.Errorf("asked %d times, ran %d times", asked.Load(), ran.Load())
			}
		})
		t.Run(p.String()+": it repeats one that failed before the question", func(t *testing.T) {
			var asked atomic.Int32
			s := p.serve(t, asking(p, opens), says(503, ""))
			got, err := call(t, connect(t, client(t, person(&asked, 0), retrying), s), "open")
			answered(t, got, err, "open")
			if asked.Load() != 1 {
				t.Errorf("asked %d times", asked.Load())
			}
		})
		t.Run(p.String()+": it gives the person time", func(t *testing.T) {
			var asked atomic.Int32
			s := p.serve(t, asking(p, opens))
			slow := func(b *mcp.Builder) { b.Retry(soon).Timeout(200 * time.Millisecond) }
			got, err := call(t, connect(t, client(t, person(&asked, 300*time.Millisecond), slow), s), "open")
			answered(t, got, err, "open")
			if asked.Load() != 1 {
				t.Errorf("asked %d times", asked.Load())
			}
		})
		t.Run(p.String()+": it lets the caller leave meanwhile", func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			options := &sdk.ClientOptions{ElicitationHandler: func(hctx context.Context, _ *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
				leave()
				if p == stateless { // elsewhere the question has a context of its own
					<-hctx.Done()
				}
				return nil, errors.New("nobody is there any more")
			}}
			s := p.serve(t, asking(p, opens))
			_, err := connect(t, client(t, options, retrying), s).CallTool(ctx, &sdk.CallToolParams{Name: "open"})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			requests(t, s, 1)
		})
	}
}

// A request by which a server asks does not say for which call: it is held against
// those under way, and not against those to come.
func TestAQuestionIsNotHeldAgainstALaterCall(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	opens := func() (*sdk.CallToolResult, error) { return said("open"), nil }
	s := sessions.serve(t, asking(sessions, opens), nil, says(503, ""))
	session := connect(t, client(t, person(&asked, 0), retrying), s)
	got, err := call(t, session, "open")
	answered(t, got, err, "open")
	got, err = call(t, session, "open") // 503 at first
	answered(t, got, err, "open")
	requests(t, s, 3)
	if asked.Load() != 2 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestTheModelIsAskedOnce(t *testing.T) {
	t.Parallel()
	var asked, ran atomic.Int32
	tools := inn("")
	add(tools, "guess", &sdk.ToolAnnotations{ReadOnlyHint: true}, func(ctx context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		ran.Add(1)
		//lint:ignore SA1019 servers of today sample
		if _, err := r.Session.CreateMessage(ctx, &sdk.CreateMessageParams{MaxTokens: 1}); err != nil {
			return nil, err
		}
		return nil, errors.New("nobody understands the answer")
	})
	options := &sdk.ClientOptions{}
	//lint:ignore SA1019 as above
	options.CreateMessageHandler = func(context.Context, *sdk.CreateMessageRequest) (*sdk.CreateMessageResult, error) {
		asked.Add(1)
		//lint:ignore SA1019 as above
		return &sdk.CreateMessageResult{Content: &sdk.TextContent{Text: "42"}, Role: "assistant"}, nil
	}
	_, err := call(t, connect(t, client(t, options, retrying), sessions.serve(t, tools)), "guess")
	if _, ok := errors.AsType[*mcp.OnceError](err); !ok {
		t.Errorf("got %v", err)
	}
	if asked.Load() != 1 || ran.Load() != 1 {
		t.Errorf("asked %d times, ran %d times", asked.Load(), ran.Load())
	}
}
