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

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/eino"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

var (
	_ tool.InvokableTool = eino.Effect(struct{ tool.InvokableTool }{}, strategies.EffectOnce).(tool.InvokableTool)

	errWritten = errors.New("the journal is out of ink")
)

// bank is where the tool acts: it counts what it did, and the first request ends as
// it is told.
type bank struct {
	*httptest.Server
	mu       sync.Mutex
	requests int
	paid     int
	keys     map[string]bool
	first    string
	during   func() // the first request, when it has acted
}

func founds(t *testing.T, first string) *bank {
	t.Helper()
	b := &bank{first: first, keys: map[string]bool{}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.requests++
		first := b.first
		if b.requests > 1 {
			first = ""
		}
		b.keys[r.Header.Get(httphint.IdempotencyKey)] = true
		if first != refused && first != lost {
			b.paid++
		}
		during := b.during
		b.mu.Unlock()
		switch first {
		case refused:
			w.WriteHeader(http.StatusTooManyRequests)
		case lost, unanswered:
			panic(http.ErrAbortHandler)
		case leaves:
			during()
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "receipt")
	}))
	t.Cleanup(b.Close)
	return b
}

// The moments at which something goes wrong.
const (
	never      = "never"
	unwritten  = "before it is written down"
	refused    = "the destination refuses it"
	lost       = "on the way to the destination"
	unanswered = "after it has acted, before its answer"
	leaves     = "the caller leaves before its answer"
	panics     = "the tool panics after the answer"
	unrecorded = "after the answer, before the record"
	later      = "after the record"
)

// moments are those at which something goes wrong, and what comes of each.
var moments = []struct {
	at   string
	paid int  // at the destination
	open bool // it is uncertain, and so nobody asks again
}{
	{never, 1, false}, {unwritten, 1, false}, {refused, 1, false}, {lost, 0, true}, {unanswered, 1, true},
	{leaves, 1, true}, {panics, 1, true}, {unrecorded, 1, false}, {later, 1, false},
}

// pays asks the bank, once.
func (b *bank) pays(ctx context.Context) (string, error) {
	client := &http.Client{Transport: httphint.Idempotent{Base: &http.Transport{DisableKeepAlives: true}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", strategies.WithClass(strategies.ClassRateLimited, errors.New(resp.Status))
	}
	if b.first == panics {
		panic("out of paper")
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

type order struct{ Order string }

// payments are the kinds of tool that eino knows, each of which pays; before is asked
// first.
func (b *bank) payments(t *testing.T, before func(context.Context) error) map[string]tool.BaseTool {
	t.Helper()
	pay := func(ctx context.Context) (string, error) {
		if err := before(ctx); err != nil {
			return "", err
		}
		return b.pays(ctx)
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

// ledger is a journal that cannot always be written.
type ledger struct {
	strategies.MemoryJournal
	mu    sync.Mutex
	fails string // at which moment the first time
	spent bool
}

func (l *ledger) once(at string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails != at || l.spent {
		return false
	}
	l.spent = true
	return true
}

func (l *ledger) Begin(ctx context.Context, r strategies.EffectRecord) (strategies.EffectRecord, bool, error) {
	if l.once(unwritten) {
		return strategies.EffectRecord{}, false, errWritten
	}
	return l.MemoryJournal.Begin(ctx, r)
}

func (l *ledger) End(ctx context.Context, r strategies.EffectRecord) error {
	if r.State == strategies.EffectDone && l.once(unrecorded) {
		return errWritten
	}
	return l.MemoryJournal.End(ctx, r)
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

// settled checks what came of a call against what the moment promises.
func settled(t *testing.T, b *bank, out middleware.Outcome[string], paid int, open bool) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paid != paid {
		t.Errorf("paid %d times, want %d", b.paid, paid)
	}
	if b.keys[""] || len(b.keys) > 1 {
		t.Errorf("it was sent the keys %v", b.keys)
	}
	uncertain := false
	for _, e := range out.Effects {
		uncertain = uncertain || e.State == strategies.EffectUncertain && e.Tool == "pay"
	}
	if uncertain != open {
		t.Errorf("the effects are %+v", out.Effects)
	}
	if open == (out.Err == nil) || !open && out.Value != "Hello" {
		t.Errorf("got %q, %v", out.Value, out.Err)
	}
	if open && b.requests != 1 {
		t.Errorf("the bank was asked %d times", b.requests)
	}
}

// However a call is recovered, and whenever it went wrong: what must happen once does.
func TestEffectsHappenOnce(t *testing.T) {
	t.Parallel()
	sick := map[string]int{unrecorded: 1, later: 1}
	ask := func(context.Context) error { return nil }
	for _, m := range moments {
		for kind := range founds(t, "").payments(t, ask) {
			for _, streaming := range []bool{false, true} {
				name := fmt.Sprintf("%s, %s, streaming %v", m.at, kind, streaming)
				rig := func(t *testing.T, before func(context.Context) error) (*bank, tool.BaseTool, context.Context, middleware.Effects) {
					b := founds(t, m.at)
					ctx, leave := context.WithCancel(t.Context())
					t.Cleanup(leave)
					b.during = leave
					return b, b.payments(t, before)[kind], ctx, middleware.Effects{Journal: &ledger{fails: m.at}}
				}
				t.Run("retry: "+name, func(t *testing.T) {
					b, pay, ctx, effects := rig(t, ask)
					g, err := middleware.Wrap(whole(payer(t, cashier(t, kind, sick[m.at]), pay, streaming, nil))).Retry(soon).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					settled(t, b, g.Outcome(ctx, "Pay"), m.paid, m.open)
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
					g, err := middleware.Wrap(whole(payer(t, cashier(t, kind, sick[m.at]), pay, streaming, nil))).Fallback("second", second).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					settled(t, b, g.Outcome(ctx, "Pay"), m.paid, m.open)
				})
				t.Run("resumed: "+name, func(t *testing.T) {
					b, pay, ctx, effects := rig(t, func(ctx context.Context) error {
						if resumed, _, _ := tool.GetResumeContext[string](ctx); resumed {
							return nil
						}
						return tool.Interrupt(ctx, "may I?")
					})
					r := payer(t, cashier(t, kind, sick[m.at]), pay, streaming, &memory{})
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
					settled(t, b, resumes.Outcome(ctx, ""), m.paid, m.open)
				})
			}
		}
	}
}
