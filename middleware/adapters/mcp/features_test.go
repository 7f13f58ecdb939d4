package mcp_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/mcp"
	"github.com/understudy-go/understudy/strategies"
)

func TestWhatIsRepeated(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		it, tool   string
		repeatable []string
		unlisted   bool
		want       int // requests
	}{
		{it: "repeats a read-only tool", tool: "look", want: 2},
		{it: "repeats an idempotent tool, destructive or not", tool: "bar", want: 2},
		{it: "does not repeat a tool whose annotations say neither", tool: "pay", want: 1},
		{it: "does not repeat a tool without annotations", tool: "knock", want: 1},
		{it: "repeats one that the user names", tool: "knock", repeatable: []string{"look", "knock"}, want: 2},
		{it: "does not repeat one that was never listed", tool: "look", unlisted: true, want: 1},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			s := stateless.serve(t, inn("a stranger"), says(503, ""))
			c := client(t, nil, retrying, tt.repeatable...)
			var session *sdk.ClientSession
			if tt.unlisted {
				var err error
				if session, err = c.Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: s.URL}, nil); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = session.Close() })
			} else {
				session = connect(t, c, s)
			}
			got, err := call(t, session, tt.tool)
			requests(t, s, tt.want)
			if tt.want == 2 {
				answered(t, got, err, "a stranger")
				return
			}
			once, ok := errors.AsType[*mcp.OnceError](err)
			if !ok || once.Tool != tt.tool || got != nil || !strings.Contains(err.Error(), "neither read-only nor idempotent") {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	t.Run("it does not hand one that may have paid to a stand-in", func(t *testing.T) {
		s, mirror := stateless.serve(t, inn(""), says(503, "")), stateless.serve(t, inn("paid twice"))
		second := connect(t, client(t, nil, nil), mirror)
		got, err := call(t, connect(t, client(t, nil, func(b *mcp.Builder) {
			b.Retry(soon).Fallback("mirror", mcp.Session(second)).Degrade(strategies.LevelReduced, mcp.Reply("nobody knows whether it is paid"))
		}), s), "pay")
		answered(t, got, err, "nobody knows whether it is paid")
		requests(t, s, 1)
		requests(t, mirror, 0)
	})
	t.Run("it hands one to a stand-in that was never sent", func(t *testing.T) {
		s, mirror := stateless.serve(t, inn("")), stateless.serve(t, inn("paid"))
		second := connect(t, client(t, nil, nil), mirror)
		open := &strategies.Breaker{}
		open.Isolate()
		got, err := call(t, connect(t, client(t, nil, func(b *mcp.Builder) {
			b.CircuitBreaker(open).Fallback("mirror", mcp.Session(second))
		}), s), "pay")
		answered(t, got, err, "paid")
		requests(t, s, 0)
		requests(t, mirror, 1)
	})
	t.Run("it does not repeat one even where a rule says so", func(t *testing.T) {
		s, mirror := stateless.serve(t, inn("paid twice"), says(503, "")), stateless.serve(t, inn("paid twice"))
		second := connect(t, client(t, nil, nil), mirror)
		rule := &strategies.Classifier{Rules: []strategies.Rule{func(error) strategies.Class { return strategies.ClassTransient }}}
		got, err := call(t, connect(t, client(t, nil, func(b *mcp.Builder) {
			b.Retry(soon).Classifier(rule).Fallback("mirror", mcp.Session(second))
		}), s), "pay")
		if got != nil || !errors.Is(err, strategies.ErrRecovery) {
			t.Errorf("got %v, %v", got, err)
		}
		requests(t, s, 1)
		requests(t, mirror, 0)
	})
}

// scripted is a read-only tool that gives these results in turn, the last for ever.
func scripted(results ...*sdk.CallToolResult) (*sdk.Server, *atomic.Int32) {
	tools, n := inn(""), &atomic.Int32{}
	add(tools, "listen", &sdk.ToolAnnotations{ReadOnlyHint: true}, func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		return results[min(int(n.Add(1)), len(results))-1], nil
	})
	return tools, n
}

func TestErrorsOfTheToolItself(t *testing.T) {
	t.Parallel()
	breaker := &strategies.Breaker{Failures: 1}
	both := func(b *mcp.Builder) { b.Retry(soon).CircuitBreaker(breaker) }
	t.Run("it retries one", func(t *testing.T) {
		tools, _ := scripted(failed("too loud"), said("steps"))
		s := sessions.serve(t, tools)
		got, err := call(t, connect(t, client(t, nil, both), s), "listen")
		answered(t, got, err, "steps")
		requests(t, s, 2)
	})
	t.Run("it gives back the last one unchanged, without an error, and blames no server", func(t *testing.T) {
		last := failed("still too loud")
		last.StructuredContent, last.Meta = map[string]any{"decibel": 90.0}, sdk.Meta{"room": "bar"}
		tools, _ := scripted(failed("too loud"), failed("too loud"), last)
		s := sessions.serve(t, tools)
		got, err := call(t, connect(t, client(t, nil, both), s), "listen")
		if err != nil || !got.IsError || text(got) != "still too loud" || got.Meta["room"] != "bar" || got.Meta[mcp.MetaLevel] != nil ||
			got.StructuredContent.(map[string]any)["decibel"] != 90.0 {
			t.Errorf("got %+v, %v", got, err)
		}
		if breaker.State() != strategies.StateClosed {
			t.Errorf("the breaker is %v", breaker.State())
		}
		requests(t, s, 3)
	})
	t.Run("it gives back that of a tool that may not be repeated", func(t *testing.T) {
		tools := inn("")
		add(tools, "pay", nil, func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			return failed("no money"), nil
		})
		s := sessions.serve(t, tools)
		got, err := call(t, connect(t, client(t, nil, both), s), "pay")
		if err != nil || !got.IsError || text(got) != "no money" {
			t.Errorf("got %v, %v", got, err)
		}
		requests(t, s, 1)
	})
	t.Run("it gives the error of the wire where that came last", func(t *testing.T) {
		tools, _ := scripted(failed("too loud"))
		s := sessions.serve(t, tools, nil, refuses(400, "-32602", "no such thing"))
		got, err := call(t, connect(t, client(t, nil, retrying), s), "listen")
		if got != nil || !errors.Is(err, strategies.ErrRecovery) || !strings.Contains(err.Error(), "no such thing") {
			t.Errorf("got %v, %v", got, err)
		}
		requests(t, s, 2)
	})
	t.Run("it lets a rule decide by the result", func(t *testing.T) {
		tools, _ := scripted(failed("no such room"))
		s := sessions.serve(t, tools)
		rule := func(err error) strategies.Class {
			if e, ok := errors.AsType[*mcp.ToolError](err); ok && text(e.Result) == "no such room" {
				return strategies.ClassBadRequest
			}
			return strategies.ClassUnclassified
		}
		got, err := call(t, connect(t, client(t, nil, func(b *mcp.Builder) {
			retrying(b)
			b.Classifier(&strategies.Classifier{Rules: []strategies.Rule{rule}})
		}), s), "listen")
		if err != nil || text(got) != "no such room" {
			t.Errorf("got %v, %v", got, err)
		}
		requests(t, s, 1)
	})
}

func TestServersAreApart(t *testing.T) {
	t.Parallel()
	down, up := stateless.serve(t, inn(""), says(503, ""), says(503, "")), stateless.serve(t, inn("a stranger"))
	var mu sync.Mutex
	var opened int
	c := client(t, nil, func(b *mcp.Builder) {
		b.CircuitBreaker(&strategies.Breaker{Failures: 2}).Observe(middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == middleware.EventBreakerChanged {
				opened++
			}
		}))
	})
	first, second := connect(t, c, down), connect(t, c, up)
	for range 3 {
		if _, err := call(t, first, "look"); err == nil {
			t.Error("no error")
		}
	}
	requests(t, down, 2) // the third was refused
	got, err := call(t, second, "look")
	answered(t, got, err, "a stranger")
	mu.Lock()
	defer mu.Unlock()
	if opened != 1 {
		t.Errorf("%d breakers changed", opened)
	}
}

func TestALostSession(t *testing.T) {
	t.Parallel()
	s, mirror := sessions.serve(t, inn(""), says(404, "session not found")), sessions.serve(t, inn("a stranger"))
	second := connect(t, client(t, nil, nil), mirror)
	again := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
		if e.Kind == middleware.EventRetryScheduled {
			t.Errorf("it is retried: %v", e.Err)
		}
	})
	session := connect(t, client(t, nil, func(b *mcp.Builder) {
		b.Retry(soon).Fallback("mirror", mcp.Session(second)).Observe(again)
	}), s)
	for range 2 { // the second does not even reach the wire
		got, err := call(t, session, "look")
		answered(t, got, err, "a stranger")
	}
	requests(t, s, 1)
	requests(t, mirror, 2)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	t.Run("it refuses nonsense when the client is made", func(t *testing.T) {
		c, err := mcp.NewClient(host, nil, func(b *mcp.Builder) { b.Timeout(-1).Fallback("mirror", mcp.Session(nil)) })
		if c != nil || !errors.Is(err, strategies.ErrConfig) || !strings.Contains(err.Error(), "Timeout") || !strings.Contains(err.Error(), "mirror") {
			t.Errorf("got %v, %v", c, err)
		}
	})
	t.Run("it has a breaker, a timeout and retries by default", func(t *testing.T) {
		g, err := func() (*middleware.Guarded[mcp.Call, *sdk.CallToolResult], error) {
			b := middleware.Wrap(mcp.Reply(""))
			mcp.Defaults(b)
			return b.Build()
		}()
		if err != nil {
			t.Fatal(err)
		}
		for _, layer := range []string{"retry", "breaker", "timeout"} {
			if plan := g.Explain().String(); !strings.Contains(plan, layer) {
				t.Errorf("no %s in %s", layer, plan)
			}
		}
	})
}

func TestWrappingKeepsWhatTheClientCanDo(t *testing.T) {
	t.Parallel()
	tools := inn("a stranger")
	type guests struct {
		Count int `json:"count"`
	}
	sdk.AddTool(tools, &sdk.Tool{Name: "count", Annotations: &sdk.ToolAnnotations{ReadOnlyHint: true}},
		func(ctx context.Context, r *sdk.CallToolRequest, in guests) (*sdk.CallToolResult, guests, error) {
			err := r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: 1})
			return nil, guests{in.Count + 1}, err
		})
	tools.AddPrompt(&sdk.Prompt{Name: "greet"}, func(context.Context, *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
		return &sdk.GetPromptResult{Description: "hello"}, nil
	})
	progress := make(chan float64, 4)
	c := client(t, &sdk.ClientOptions{ProgressNotificationHandler: func(_ context.Context, r *sdk.ProgressNotificationClientRequest) {
		progress <- r.Params.Progress
	}}, nil)
	var outside, seen atomic.Int32
	c.AddSendingMiddleware(func(next sdk.MethodHandler) sdk.MethodHandler {
		return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
			if outside.Add(1); method == "tools/call" {
				seen.Add(1)
			}
			return next(ctx, method, req)
		}
	})
	there, here := sdk.NewInMemoryTransports()
	if _, err := tools.Connect(t.Context(), there, nil); err != nil {
		t.Fatal(err)
	}
	session, err := c.Connect(t.Context(), here, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	t.Run("it keeps typed tools, progress and meta data", func(t *testing.T) {
		params := &sdk.CallToolParams{Name: "count", Arguments: guests{2}}
		params.SetProgressToken("p")
		got, err := session.CallTool(t.Context(), params)
		if err != nil || got.StructuredContent.(map[string]any)["count"] != 3.0 {
			t.Fatalf("got %+v, %v", got, err)
		}
		if p := <-progress; p != 1 {
			t.Errorf("progress %v", p)
		}
	})
	t.Run("it leaves other methods alone", func(t *testing.T) {
		got, err := session.GetPrompt(t.Context(), &sdk.GetPromptParams{Name: "greet"})
		if err != nil || got.Description != "hello" {
			t.Errorf("got %+v, %v", got, err)
		}
		if _, err := session.ListTools(t.Context(), nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("it keeps the host's own middleware", func(t *testing.T) {
		if seen.Load() != 1 || outside.Load() < 4 { // hello, call, prompt, list
			t.Errorf("it saw %d calls of %d messages", seen.Load(), outside.Load())
		}
	})
	t.Run("it keeps the error of a tool that does not exist", func(t *testing.T) {
		_, err := call(t, session, "fly")
		if !errors.Is(err, strategies.ErrRecovery) || strategies.Classify(err).Class != strategies.ClassBadRequest {
			t.Errorf("got %v", err)
		}
	})
}

func TestAStandInOfAnotherProtocol(t *testing.T) {
	t.Parallel()
	s, mirror := stateless.serve(t, inn(""), says(503, "")), sessions.serve(t, inn(""))
	var meta sdk.Meta
	add(mirror.tools, "look", nil, func(_ context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		meta = r.Params.Meta
		return said("a mirrored stranger"), nil
	})
	second := connect(t, client(t, nil, nil), mirror)
	session := connect(t, client(t, nil, func(b *mcp.Builder) { b.Fallback("mirror", mcp.Session(second)) }), s)
	got, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "look", Meta: sdk.Meta{"table": "4"}})
	answered(t, got, err, "a mirrored stranger")
	if len(meta) != 1 || meta["table"] != "4" {
		t.Errorf("the stand-in got the first server's meta data: %v", meta)
	}
}
