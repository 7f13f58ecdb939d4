package eino_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
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

var (
	_ tool.InvokableTool = eino.Effect(struct{ tool.InvokableTool }{}, strategies.EffectOnce).(tool.InvokableTool)
)

type order struct{ Order string }

// payments are the kinds of tool that eino knows, each of which pays; before is asked
// first.
func payments(t *testing.T, b *conformance.Bank, before func(context.Context) error) map[string]tool.BaseTool {
	t.Helper()
	pay := func(ctx context.Context) (string, error) {
		if err := before(ctx); err != nil {
			return "", err
		}
		return b.Pay(ctx)
	}
	result := func(s string) *schema.ToolResult {
		return &schema.ToolResult{Parts: []schema.ToolOutputPart{{Type: schema.ToolPartTypeText, Text: s}}}
	}
	plain, err := utils.InferTool("pay", "pays", func(ctx context.Context, _ order) (string, error) { return pay(ctx) })
	stream, err1 := utils.InferStreamTool("pay", "pays", func(ctx context.Context, _ order) (*schema.StreamReader[string], error) {
		said, err := pay(ctx)
		if err != nil {
			return nil, err
		}
		return schema.StreamReaderFromArray(strings.SplitAfter(said, "c")), nil // rec eipt
	})
	enhanced, err2 := utils.InferEnhancedTool("pay", "pays", func(ctx context.Context, _ order) (*schema.ToolResult, error) {
		said, err := pay(ctx)
		return result(said), err
	})
	enhancedStream, err3 := utils.InferEnhancedStreamTool("pay", "pays", func(ctx context.Context, _ order) (*schema.StreamReader[*schema.ToolResult], error) {
		said, err := pay(ctx)
		return schema.StreamReaderFromArray([]*schema.ToolResult{result(said)}), err
	})
	if err := errors.Join(err, err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return map[string]tool.BaseTool{
		"plain": eino.Effect(plain, strategies.EffectOnce), "streaming": eino.Effect(stream, strategies.EffectOnce),
		"enhanced": eino.EnhancedEffect(enhanced, strategies.EffectOnce), "enhanced streaming": eino.EnhancedEffect(enhancedStream, strategies.EffectOnce),
	}
}

// cashier is a model that calls the tool, and when it has heard of it is out of order
// so many times before it answers.
func cashier(t *testing.T, kind string, sick int) model.ToolCallingChatModel {
	t.Helper()
	if strings.HasPrefix(kind, "enhanced") {
		return &byHand{sick: sick}
	}
	const callsPay = `{"index":0,"finish_reason":"tool_calls","%s":{"role":"assistant","content":"","tool_calls":[` +
		`{"index":0,"id":"call_1","type":"function","function":{"name":"pay","arguments":"{\"Order\":\"A1\"}"}}]}}`
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var a asked
		if err != nil || json.Unmarshal(body, &a) != nil {
			http.Error(w, "what?", http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		choice := callsPay
		if strings.Contains(string(body), `"role":"tool"`) {
			if choice = saysHello; sick > 0 {
				sick--
				choice = unavailable
			}
		}
		say(w, a, choice)
	}))
	t.Cleanup(server.Close)
	return connectTo(t, server.URL, "gpt")
}

// byHand is such a model that hears of a tool in more than text, which eino's own for
// OpenAI's protocol does not.
type byHand struct {
	mu   sync.Mutex
	sick int
}

func (m *byHand) Generate(_ context.Context, input []*schema.Message, _ ...model.Option) (*schema.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if input[len(input)-1].Role != schema.Tool {
		return schema.AssistantMessage("", []schema.ToolCall{{ID: "call_1", Function: schema.FunctionCall{Name: "pay", Arguments: `{"Order":"A1"}`}}}), nil
	}
	if m.sick > 0 {
		m.sick--
		return nil, errors.New("out of order")
	}
	return schema.AssistantMessage("Hello", nil), nil
}

func (m *byHand) Stream(ctx context.Context, input []*schema.Message, opts ...model.Option) (*schema.StreamReader[*schema.Message], error) {
	answer, err := m.Generate(ctx, input, opts...)
	if err != nil {
		return nil, err
	}
	return schema.StreamReaderFromArray([]*schema.Message{answer}), nil
}

func (m *byHand) WithTools([]*schema.ToolInfo) (model.ToolCallingChatModel, error) { return m, nil }

// payer is an agent of eino's own with the tool.
func payer(t *testing.T, chat model.ToolCallingChatModel, pay tool.BaseTool, streaming bool, store compose.CheckPointStore) *adk.Runner {
	t.Helper()
	config := &adk.ChatModelAgentConfig{Name: "payer", Description: "pays", Model: chat}
	config.ToolsConfig.Tools = []tool.BaseTool{pay}
	a, err := adk.NewChatModelAgent(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return adk.NewRunner(t.Context(), adk.RunnerConfig{Agent: a, EnableStreaming: streaming, CheckPointStore: store})
}

// whole is an agent of eino's as one for a chain.
func whole(r *adk.Runner) middleware.Runner[string, string] {
	return middleware.Func(func(ctx context.Context, q string) (string, error) {
		answer, err := last(r.Query(ctx, q))
		if err != nil {
			return "", err
		}
		return answer.Content, nil
	})
}

// However a call is recovered, and whenever it went wrong: what must happen once does.
func TestEffectsHappenOnce(t *testing.T) {
	t.Parallel()
	sick := map[string]int{conformance.Unrecorded: 1, conformance.Later: 1}
	ask := func(context.Context) error { return nil }
	for _, m := range conformance.Moments() {
		for kind := range payments(t, conformance.OpenBank(t, ""), ask) {
			for _, streaming := range []bool{false, true} {
				name := fmt.Sprintf("%s, %s, streaming %v", m.At, kind, streaming)
				rig := func(t *testing.T, before func(context.Context) error) (*conformance.Bank, tool.BaseTool, context.Context, middleware.Effects) {
					b := conformance.OpenBank(t, m.At)
					ctx, leave := context.WithCancel(t.Context())
					t.Cleanup(leave)
					b.During(leave)
					return b, payments(t, b, before)[kind], ctx, middleware.Effects{Journal: conformance.NewLedger(m.At)}
				}
				t.Run("retry: "+name, func(t *testing.T) {
					b, pay, ctx, effects := rig(t, ask)
					g, err := middleware.Wrap(whole(payer(t, cashier(t, kind, sick[m.At]), pay, streaming, nil))).Retry(soon).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					b.Settled(t, g.Outcome(ctx, "Pay"), m)
				})
				t.Run("a stand-in: "+name, func(t *testing.T) {
					b, pay, ctx, effects := rig(t, ask)
					second := whole(payer(t, cashier(t, kind, 0), pay, !streaming, nil))
					if kind == "plain" { // and one with layers of its own
						g, err := middleware.Wrap(second).Named("second").Retry(soon).Build()
						if err != nil {
							t.Fatal(err)
						}
						second = g
					}
					g, err := middleware.Wrap(whole(payer(t, cashier(t, kind, sick[m.At]), pay, streaming, nil))).Fallback("second", second).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					b.Settled(t, g.Outcome(ctx, "Pay"), m)
				})
				t.Run("resumed: "+name, func(t *testing.T) {
					b, pay, ctx, effects := rig(t, func(ctx context.Context) error {
						if resumed, _, _ := tool.GetResumeContext[string](ctx); resumed {
							return nil
						}
						return tool.Interrupt(ctx, "may I?")
					})
					r := payer(t, cashier(t, kind, sick[m.At]), pay, streaming, &memory{})
					var target string
					pauses, err := middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
						events := r.Query(ctx, q, adk.WithCheckPointID("1"))
						for event, more := events.Next(); more; event, more = events.Next() {
							if event.Err != nil {
								return "", event.Err
							}
							if event.Action != nil && event.Action.Interrupted != nil {
								target = event.Action.Interrupted.InterruptContexts[0].ID
							}
						}
						return "paused", nil
					}).Retry(soon).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					ctx = middleware.WithCallID(ctx, "order-7")
					if _, err := pauses.Run(ctx, "Pay"); err != nil || target == "" {
						t.Fatalf("not paused: %v", err)
					}
					resumes, err := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
						events, err := r.ResumeWithParams(ctx, "1", &adk.ResumeParams{Targets: map[string]any{target: "yes"}})
						if err != nil {
							return "", err
						}
						answer, err := last(events)
						if err != nil {
							return "", err
						}
						return answer.Content, nil
					}).Retry(soon).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					b.Settled(t, resumes.Outcome(ctx, ""), m)
				})
			}
		}
	}
}

// both is a tool that answers in both ways, and has a type and callbacks of its own.
type both struct {
	runs, opens int
	arguments   []string
	err         error
	chunks      []string
}

func (*both) Info(context.Context) (*schema.ToolInfo, error) {
	return &schema.ToolInfo{Name: "pay", Desc: "pays"}, nil
}
func (*both) GetType() string          { return "Till" }
func (*both) IsCallbacksEnabled() bool { return true }

func (b *both) InvokableRun(_ context.Context, arguments string, _ ...tool.Option) (string, error) {
	b.runs++
	b.arguments = append(b.arguments, arguments)
	return "receipt", b.err
}

func (b *both) StreamableRun(_ context.Context, arguments string, _ ...tool.Option) (*schema.StreamReader[string], error) {
	b.opens++
	b.arguments = append(b.arguments, arguments)
	reader, writer := schema.Pipe[string](len(b.chunks) + 1)
	for _, c := range b.chunks {
		writer.Send(c, nil)
	}
	if b.err != nil {
		writer.Send("", b.err)
	}
	writer.Close()
	return reader, nil
}

// within calls a tool in the course of one call that is written down.
func within(t *testing.T, run func(ctx context.Context)) middleware.Outcome[string] {
	t.Helper()
	g, err := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) { run(ctx); return "", nil }).Effects(middleware.Effects{}).Build()
	if err != nil {
		t.Fatal(err)
	}
	return g.Outcome(t.Context(), "")
}

func chunksOf(t *testing.T, reader *schema.StreamReader[string], err error) (chunks []string, _ error) {
	t.Helper()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	for {
		chunk, err := reader.Recv()
		if err == io.EOF { //nolint:errorlint // as eino gives it
			return chunks, nil
		}
		if err != nil {
			return chunks, err
		}
		chunks = append(chunks, chunk)
	}
}

func TestEffect(t *testing.T) {
	t.Parallel()
	type ways interface {
		tool.InvokableTool
		tool.StreamableTool
		GetType() string
		IsCallbacksEnabled() bool
	}
	t.Run("it is the tool, as eino sees it", func(t *testing.T) {
		wrapped := eino.Effect(&both{}, strategies.EffectOnce).(ways)
		info, err := wrapped.Info(t.Context())
		if err != nil || info.Name != "pay" || info.Desc != "pays" || wrapped.GetType() != "Till" || !wrapped.IsCallbacksEnabled() {
			t.Errorf("it is %+v, %v, of type %q", info, err, wrapped.GetType())
		}
		if _, streams := eino.Effect(struct{ tool.InvokableTool }{&both{}}, strategies.EffectOnce).(tool.StreamableTool); streams {
			t.Error("one that does not stream does")
		}
		if _, invokes := eino.Effect(struct{ tool.StreamableTool }{&both{}}, strategies.EffectOnce).(tool.InvokableTool); invokes {
			t.Error("one that only streams does more")
		}
	})
	t.Run("a stream comes as it did, and in one chunk when it is given back", func(t *testing.T) {
		b := &both{chunks: []string{"re", "cei", "pt"}}
		wrapped := eino.Effect(b, strategies.EffectOnce).(ways)
		out := within(t, func(ctx context.Context) {
			for _, want := range []int{3, 1} {
				reader, err := wrapped.StreamableRun(ctx, `{"a":1,"b":2}`)
				if chunks, err := chunksOf(t, reader, err); err != nil || len(chunks) != want || strings.Join(chunks, "") != "receipt" {
					t.Errorf("got %v, %v", chunks, err)
				}
			}
			// The other way is the same tool, and these are the same arguments.
			if said, err := wrapped.InvokableRun(ctx, ` {"b":2, "a":1}`); said != "receipt" || err != nil {
				t.Errorf("got %q, %v", said, err)
			}
		})
		if b.opens != 1 || b.runs != 0 || len(out.Effects) != 3 || string(out.Effects[0].Result) != `"receipt"` {
			t.Errorf("%d and %d runs, %+v", b.opens, b.runs, out.Effects)
		}
	})
	t.Run("a stream that nobody reads is written down all the same", func(t *testing.T) {
		b := &both{chunks: []string{"re", "cei", "pt"}}
		wrapped := eino.Effect(b, strategies.EffectOnce).(ways)
		within(t, func(ctx context.Context) {
			reader, err := wrapped.StreamableRun(ctx, `{}`)
			if err != nil {
				t.Fatal(err)
			}
			reader.Close()
			if said, err := wrapped.InvokableRun(ctx, `{}`); said != "receipt" || err != nil {
				t.Errorf("got %q, %v", said, err)
			}
		})
		if b.opens != 1 || b.runs != 0 {
			t.Errorf("%d and %d runs", b.opens, b.runs)
		}
	})
	t.Run("a stream that breaks leaves it open", func(t *testing.T) {
		b := &both{chunks: []string{"re"}, err: errors.New("reset")}
		wrapped := eino.Effect(b, strategies.EffectOnce).(ways)
		out := within(t, func(ctx context.Context) {
			for _, want := range []int{1, 0} { // the second is told at once
				reader, err := wrapped.StreamableRun(ctx, `{}`)
				chunks, err := chunksOf(t, reader, err)
				if _, ok := errors.AsType[*strategies.UncertainError](err); !ok || len(chunks) != want {
					t.Errorf("got %v, %v", chunks, err)
				}
			}
		})
		if b.opens != 1 || len(out.Effects) != 1 || out.Effects[0].State != strategies.EffectUncertain {
			t.Errorf("%d runs, %+v", b.opens, out.Effects)
		}
	})
	t.Run("a stream of nothing says nothing", func(t *testing.T) {
		b := &both{}
		wrapped := eino.Effect(b, strategies.EffectOnce).(ways)
		within(t, func(ctx context.Context) {
			reader, err := wrapped.StreamableRun(ctx, `{}`)
			if chunks, err := chunksOf(t, reader, err); err != nil || len(chunks) != 0 {
				t.Errorf("got %v, %v", chunks, err)
			}
		})
	})
	t.Run("the tool gets the arguments as they came", func(t *testing.T) {
		b := &both{}
		wrapped := eino.Effect(b, strategies.EffectOnce).(ways)
		within(t, func(ctx context.Context) {
			for _, arguments := range []string{"", " {} ", `{"b":1,"a":2}`, `{"half`} {
				_, err := wrapped.InvokableRun(ctx, arguments)
				if _, ok := errors.AsType[*strategies.JournalError](err); ok != (arguments == `{"half`) {
					t.Errorf("%q: %v", arguments, err)
				}
			}
		})
		if got := strings.Join(b.arguments, "|"); got != `|{"b":1,"a":2}` { // "" and {} are the same
			t.Errorf("it got %s", got)
		}
	})
	t.Run("a tool that may be called again is", func(t *testing.T) {
		for _, kind := range []strategies.Effect{strategies.EffectIdempotent, strategies.EffectReadOnly} {
			b := &both{chunks: []string{"receipt"}}
			wrapped := eino.Effect(b, kind).(ways)
			out := within(t, func(ctx context.Context) {
				for range 2 {
					if _, err := wrapped.InvokableRun(ctx, "{}"); err != nil {
						t.Error(err)
					}
					reader, err := wrapped.StreamableRun(ctx, "{}")
					if chunks, err := chunksOf(t, reader, err); err != nil || len(chunks) != 1 {
						t.Errorf("got %v, %v", chunks, err)
					}
				}
			})
			if b.runs != 2 || b.opens != 2 || len(out.Effects) != 0 {
				t.Errorf("%v: %d and %d runs, %v", kind, b.runs, b.opens, out.Effects)
			}
		}
	})
	t.Run("a cancellation is eino's own, and leaves it open", func(t *testing.T) {
		b := &both{err: adk.ErrStreamCanceled}
		wrapped := eino.Effect(b, strategies.EffectOnce).(ways)
		out := within(t, func(ctx context.Context) {
			if _, err := wrapped.InvokableRun(ctx, "{}"); err != b.err { //nolint:errorlint // the very same is wanted
				t.Errorf("got %v", err)
			}
		})
		if len(out.Effects) != 1 || out.Effects[0].State != strategies.EffectUncertain {
			t.Errorf("%+v", out.Effects)
		}
	})
	t.Run("its settings are the core's", func(t *testing.T) {
		b := &both{err: errors.New("reset")}
		wrapped := eino.Effect(b, strategies.EffectOnce, func(t *eino.EffectTool) {
			t.Key(func(json.RawMessage) string { return "A1" }).
				Verify(func(_ context.Context, key string) (string, bool, error) { return "found " + key, true, nil })
		}).(ways)
		within(t, func(ctx context.Context) {
			if said, err := wrapped.InvokableRun(ctx, "{}"); said != "found A1" || err != nil {
				t.Errorf("got %q, %v", said, err)
			}
		})
	})
	t.Run("the chain of a tool has effects of its own", func(t *testing.T) {
		// The model's chain repeats no tool, so a tool whose own chain does needs nothing else.
		settings := eino.Tool("open_door", func(builder *eino.ToolBuilder) {
			builder.Retry(soon).Effects(middleware.Effects{})
		})
		s, door := doors(t, 1)["plain"]()
		opened, requests, err := opens(t, eino.Effect(door, strategies.EffectOnce), false, settings)
		if s.runs != 1 || opened != "" || requests != 1 || strategies.Classify(err).Class != strategies.ClassUncertain {
			t.Errorf("%d runs, %q, %d requests, %v", s.runs, opened, requests, err)
		}
	})
	t.Run("what is no tool says so when the agent is made", func(t *testing.T) {
		var none *both
		_, enhanced := doors(t, 0)["enhanced"]()
		_, plain := doors(t, 0)["plain"]()
		for name, wrong := range map[string]tool.BaseTool{
			"nil": eino.Effect(nil, strategies.EffectOnce), "a nil pointer": eino.Effect(none, strategies.EffectOnce),
			"an enhanced one": eino.Effect(enhanced, strategies.EffectOnce), "a plain one": eino.EnhancedEffect(plain, strategies.EffectOnce),
			"an enhanced nil": eino.EnhancedEffect(nil, strategies.EffectOnce),
		} {
			_, err := compose.NewToolNode(t.Context(), &compose.ToolsNodeConfig{Tools: []tool.BaseTool{wrong}})
			if !errors.Is(err, strategies.ErrConfig) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}
