package eino_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cloudwego/eino/adk"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/components/tool"
	"github.com/cloudwego/eino/components/tool/utils"
	"github.com/cloudwego/eino/compose"
	"github.com/cloudwego/eino/schema"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/strategies"
)

// scripted is a model that says what it is told; it stands for one that
// interrupts, which no provider does.
type scripted struct {
	calls  int
	says   []*schema.Message
	err    error // after what it says
	atOnce bool  // the error is that of the call, and not of the stream
	tools  []*schema.ToolInfo
}

func (s *scripted) Generate(context.Context, []*schema.Message, ...model.Option) (*schema.Message, error) {
	s.calls++
	if s.err != nil {
		return nil, s.err
	}
	if len(s.says) == 1 {
		return s.says[0], nil // shared by all calls
	}
	return schema.ConcatMessages(s.says)
}

func (s *scripted) Stream(context.Context, []*schema.Message, ...model.Option) (*schema.StreamReader[*schema.Message], error) {
	s.calls++
	if s.atOnce {
		return nil, s.err
	}
	reader, writer := schema.Pipe[*schema.Message](len(s.says) + 1)
	for _, m := range s.says {
		writer.Send(m, nil)
	}
	if s.err != nil {
		writer.Send(nil, s.err)
	}
	writer.Close()
	return reader, nil
}

func (s *scripted) WithTools(tools []*schema.ToolInfo) (model.ToolCallingChatModel, error) {
	if len(tools) == 0 {
		return nil, errors.New("no tools to bind")
	}
	bound := *s
	bound.tools = tools
	return &bound, nil
}

// interrupts are the ways in which eino pauses.
func interrupts(t *testing.T) map[string]error {
	t.Helper()
	ctx := t.Context()
	pausing, err := compose.NewChain[string, string]().
		AppendLambda(compose.InvokableLambda(func(ctx context.Context, _ string) (string, error) {
			return "", compose.Interrupt(ctx, "may I?")
		})).Compile(ctx, compose.WithCheckPointStore(&memory{}))
	if err != nil {
		t.Fatal(err)
	}
	_, ofGraph := pausing.Invoke(ctx, "open", compose.WithCheckPointID("1"))
	if _, ok := compose.ExtractInterruptInfo(ofGraph); !ok {
		t.Fatalf("the graph did not pause: %v", ofGraph)
	}
	return map[string]error{
		"of a node":           compose.Interrupt(ctx, "may I?"),
		"of a tool":           tool.StatefulInterrupt(ctx, "may I?", 1),
		"of a graph":          ofGraph,
		"of the old kind":     compose.NewInterruptAndRerunErr("may I?"),
		"with words around":   fmt.Errorf("in the cellar: %w", compose.Interrupt(ctx, "may I?")),
		"of a canceled agent": &adk.CancelError{Info: &adk.AgentCancelInfo{}},
		"of a stream":         adk.ErrStreamCanceled,
	}
}

func interruptUntouched(t *testing.T) {
	all := func(b *eino.Builder) {
		b.Retry(soon).CircuitBreaker(&strategies.Breaker{Failures: 1}).
			Fallback("archivist", eino.Reply("no")).Degrade(strategies.LevelReduced, eino.Reply("no"))
	}
	said := []*schema.Message{schema.AssistantMessage("A stranger", nil)}
	for name, pause := range interrupts(t) {
		for when, m := range map[string]*scripted{
			"at once":                    {err: pause, atOnce: true},
			"before a stream's words":    {err: pause},
			"after a stream's words":     {err: pause, says: said},
			"after what says nothing":    {err: pause, says: []*schema.Message{schema.AssistantMessage("", nil)}},
			"in spite of bound tool set": {err: pause, atOnce: true, tools: []*schema.ToolInfo{{Name: "open_door"}}},
		} {
			t.Run("it passes on one "+name+" "+when, func(t *testing.T) {
				g, err := eino.Wrap(m, all)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := g.Generate(t.Context(), question); err != pause { //nolint:errorlint // the very same is wanted
					t.Errorf("Generate returned %v", err)
				}
				reader, err := g.Stream(t.Context(), question)
				if len(m.says) > 0 && m.says[0].Content != "" {
					var text string
					if text, err = drain(reader); text != "A stranger" {
						t.Errorf("the stream said %q", text)
					}
				}
				if err != pause { //nolint:errorlint // the very same is wanted
					t.Errorf("Stream returned %v", err)
				}
				if h := g.Guarded().Health(); m.calls != 2 || h.Failures != 0 || h.Breaker != strategies.StateClosed {
					t.Errorf("%d calls, %+v", m.calls, h)
				}
			})
		}
	}
	for _, streaming := range []bool{false, true} {
		t.Run(fmt.Sprintf("it lets an agent be paused by a tool, and resumed, streaming %v", streaming), func(t *testing.T) {
			resumes(t, streaming)
		})
	}
}

// resumes is a whole conversation: the model calls a tool, which wants to be
// approved; the agent pauses; somebody approves; the agent goes on.
func resumes(t *testing.T, streaming bool) {
	server := serve(t, unavailable, callsDoor, unavailable, saysHello)
	runs, failures := 0, 0
	type nothing struct{}
	door, err := utils.InferTool("open_door", "opens the door", func(ctx context.Context, _ nothing) (string, error) {
		runs++
		if _, _, approved := tool.GetResumeContext[string](ctx); approved != "" {
			if failures++; failures == 1 {
				return "", errors.New("it is stuck")
			}
			return approved, nil
		}
		return "", tool.Interrupt(ctx, "may I?")
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := eino.Handler(func(b *eino.Builder) { b.Retry(soon).Degrade(strategies.LevelReduced, eino.Reply("no")) },
		eino.Tool("open_door", func(b *eino.ToolBuilder) {
			b.Retry(soon).Degrade(strategies.LevelReduced, eino.ToolReply("no"))
		}))
	if err != nil {
		t.Fatal(err)
	}
	agent, err := runner(t.Context(), connectTo(t, server.URL, "gpt"), streaming, nil, []tool.BaseTool{door}, h)
	if err != nil {
		t.Fatal(err)
	}
	var target string
	events := agent.Query(t.Context(), "Open the door", adk.WithCheckPointID("1"))
	for event, more := events.Next(); more; event, more = events.Next() {
		if event.Err != nil {
			t.Fatal(event.Err)
		}
		if event.Output != nil && event.Output.MessageOutput != nil {
			if _, err := event.Output.MessageOutput.GetMessage(); err != nil {
				t.Fatal(err)
			}
		}
		if event.Action != nil && event.Action.Interrupted != nil {
			target = event.Action.Interrupted.InterruptContexts[0].ID
		}
	}
	if target == "" || runs != 1 {
		t.Fatalf("not paused: target %q, the tool ran %d times", target, runs)
	}
	conformance.Requests(t, "gpt", len(server.requests()), 2)

	events, err = agent.ResumeWithParams(t.Context(), "1", &adk.ResumeParams{Targets: map[string]any{target: "the door is open"}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := last(events)
	if err != nil || answer.Content != "Hello" || eino.Level(answer) != strategies.LevelFull {
		t.Errorf("got %v, %v", answer, err)
	}
	if runs != 3 {
		t.Errorf("the tool ran %d times: once to ask, once to fail, once to open", runs)
	}
	requests := server.requests()
	conformance.Requests(t, "gpt", len(requests), 4)
	if heard := requests[3].Messages[len(requests[3].Messages)-1]; heard.Role != "tool" || heard.Content != "the door is open" {
		t.Errorf("the model heard %+v", heard)
	}
}

func TestRule(t *testing.T) {
	t.Parallel()
	for name, pause := range interrupts(t) {
		if got := eino.Rule(pause); got != strategies.ClassInterrupt {
			t.Errorf("an interrupt %s is %v", name, got)
		}
	}
	quota := strategies.WithClass(strategies.ClassQuotaExhausted, errors.New("no credit"))
	for name, tt := range map[string]struct {
		err  error
		want strategies.Class
	}{
		"what it does not know":          {errors.New("no idea"), strategies.ClassUnclassified},
		"no error":                       {nil, strategies.ClassUnclassified},
		"exhausted retries":              {fmt.Errorf("in the cellar: %w", &adk.RetryExhaustedError{LastErr: quota}), strategies.ClassQuotaExhausted},
		"exhausted retries, unexplained": {&adk.RetryExhaustedError{}, strategies.ClassUnclassified},
		"an interrupt behind retries":    {&adk.RetryExhaustedError{LastErr: compose.Interrupt(t.Context(), 1)}, strategies.ClassInterrupt},
	} {
		if got := eino.Rule(tt.err); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	t.Run("it finds the cause inside of exhausted retries", func(t *testing.T) {
		m := &scripted{err: &adk.RetryExhaustedError{LastErr: strategies.WithClass(strategies.ClassBlocked, quota)}, atOnce: true}
		g, err := eino.Wrap(m, func(b *eino.Builder) { b.Retry(soon) })
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Generate(t.Context(), question)
		if !errors.Is(err, quota) || !errors.Is(err, adk.ErrExceedMaxRetries) || strategies.Classify(err).Class != strategies.ClassBlocked || m.calls != 1 {
			t.Errorf("got %v after %d calls", err, m.calls)
		}
	})
	t.Run("it serves a chain around a compiled graph", func(t *testing.T) {
		pause, runs := compose.Interrupt(t.Context(), "may I?"), 0
		g, err := middleware.WrapFunc(func(context.Context, string) (string, error) { runs++; return "", pause }).
			Retry(soon).Classifier(&strategies.Classifier{Rules: []strategies.Rule{eino.Rule}}).Build()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Run(t.Context(), "open"); err != pause || runs != 1 { //nolint:errorlint // the very same is wanted
			t.Errorf("got %v after %d runs", err, runs)
		}
	})
}
