package genkit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/firebase/genkit/go/ai"
	sdk "github.com/firebase/genkit/go/genkit"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
	"github.com/understudy-go/understudy/strategies"
)

type order struct{ Order string }

// payments are the ways to say what a tool does: of its function, plain or multipart,
// and by its name. Each is asked first whether it may.
func payment(b *conformance.Bank, g *sdk.Genkit, kind string, before func(*ai.ToolContext) error) (ai.Tool, genkit.Recovery) {
	pay := func(tc *ai.ToolContext, _ order) (string, error) {
		if err := before(tc); err != nil {
			return "", err
		}
		return b.Pay(tc)
	}
	switch kind {
	case "multipart":
		return sdk.DefineMultipartTool(g, "pay", "pays", genkit.Effect("pay", strategies.EffectOnce, func(tc *ai.ToolContext, o order) (*ai.MultipartToolResponse, error) {
			said, err := pay(tc, o)
			return &ai.MultipartToolResponse{Output: said}, err
		})), genkit.Recovery{}
	case "by name":
		return sdk.DefineTool(g, "pay", "pays", pay), genkit.Recovery{Effects: genkit.Effects{"pay": strategies.EffectOnce}}
	}
	return sdk.DefineTool(g, "pay", "pays", genkit.Effect("pay", strategies.EffectOnce, pay)), genkit.Recovery{}
}

// cashier is a model that calls the tool, and when it has heard of it is out of order
// so many times before it answers.
func cashier(t *testing.T, sick int) *httptest.Server {
	t.Helper()
	var mu sync.Mutex
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		wantsPaid(w, r, &sick)
	}))
	s.Config.SetKeepAlivesEnabled(false) // a client may repeat what failed on a reused connection
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func wantsPaid(w http.ResponseWriter, r *http.Request, sick *int) {
	var body struct {
		Stream   bool
		Messages []struct{ Role string }
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, "what?", http.StatusBadRequest)
		return
	}
	message := `{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"pay","arguments":"{\"Order\":\"A1\"}"}}]}`
	finish := "tool_calls"
	if body.Messages[len(body.Messages)-1].Role == "tool" {
		if *sick > 0 {
			*sick--
			says(503, `{"error":{"message":"later"}}`)(w, r)
			return
		}
		message, finish = `{"role":"assistant","content":"Hello"}`, "stop"
	}
	if body.Stream {
		streams(fmt.Sprintf(`{"choices":[{"index":0,"finish_reason":%q,"delta":%s}]}`, finish, message), "[DONE]")(w, r)
		return
	}
	says(200, fmt.Sprintf(`{"choices":[{"index":0,"finish_reason":%q,"message":%s}]}`, finish, message))(w, r)
}

// However a call is recovered, and whenever it went wrong: what must happen once does.
func TestEffectsHappenOnce(t *testing.T) {
	t.Parallel()
	sick := map[string]int{conformance.Unrecorded: 1, conformance.Later: 1}
	may := func(*ai.ToolContext) error { return nil }
	listens := map[bool][]ai.GenerateOption{true: {ai.WithStreaming(func(context.Context, *ai.ModelResponseChunk) error { return nil })}}
	for _, m := range conformance.Moments() {
		for _, kind := range []string{"a function", "multipart", "by name"} {
			for _, streaming := range []bool{false, true} {
				name := fmt.Sprintf("%s, %s, streaming %v", m.At, kind, streaming)
				rig := func(t *testing.T) (*conformance.Bank, context.Context, middleware.Effects) {
					b := conformance.OpenBank(t, m.At)
					ctx, leave := context.WithCancel(t.Context())
					t.Cleanup(leave)
					b.During(leave)
					return b, ctx, middleware.Effects{Journal: conformance.NewLedger(m.At)}
				}
				turn := func(t *testing.T, b *conformance.Bank, sick int) middleware.Runner[string, string] {
					g := connect(t, cashier(t, sick).URL)
					tool, recovery := payment(b, g, kind, may)
					options := append([]ai.GenerateOption{ai.WithModelName("house/payer"), ai.WithTools(tool)}, listens[streaming]...)
					if recovery.Effects != nil {
						options = append(options, ai.WithUse(recovery))
					}
					return middleware.Func(func(ctx context.Context, q string) (string, error) {
						resp, err := sdk.Generate(ctx, g, append(options, ai.WithPrompt(q))...)
						if err != nil {
							return "", err
						}
						return resp.Text(), nil
					})
				}
				t.Run("retry: "+name, func(t *testing.T) {
					b, ctx, effects := rig(t)
					g, err := middleware.Wrap(turn(t, b, sick[m.At])).Retry(soon).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					b.Settled(t, g.Outcome(ctx, "Pay"), m)
				})
				t.Run("a stand-in: "+name, func(t *testing.T) {
					b, ctx, effects := rig(t)
					g, err := middleware.Wrap(turn(t, b, sick[m.At])).Fallback("second", turn(t, b, 0)).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					b.Settled(t, g.Outcome(ctx, "Pay"), m)
				})
				t.Run("restarted: "+name, func(t *testing.T) {
					b, ctx, effects := rig(t)
					g := connect(t, cashier(t, sick[m.At]).URL)
					tool, recovery := payment(b, g, kind, func(tc *ai.ToolContext) error {
						if tc.IsResumed() {
							return nil
						}
						return tc.Interrupt(nil)
					})
					options := append([]ai.GenerateOption{ai.WithModelName("house/payer"), ai.WithTools(tool)}, listens[streaming]...)
					if recovery.Effects != nil {
						options = append(options, ai.WithUse(recovery))
					}
					var asked *ai.ModelResponse
					asks, err := middleware.WrapFunc(func(ctx context.Context, q string) (_ string, err error) {
						asked, err = sdk.Generate(ctx, g, append(options, ai.WithPrompt(q))...)
						return "", err
					}).Retry(soon).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					ctx = middleware.WithCallID(ctx, "order-7")
					if _, err := asks.Run(ctx, "Pay"); err != nil || len(asked.Interrupts()) != 1 {
						t.Fatalf("got %v, %v", asked, err)
					}
					restart := tool.Restart(asked.Interrupts()[0], nil) //nolint:staticcheck // of a tool whose types are not known
					resumes, err := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
						resp, err := sdk.Generate(ctx, g, append(options, ai.WithMessages(asked.History()...), ai.WithToolRestarts(restart))...)
						if err != nil {
							return "", err
						}
						return resp.Text(), nil
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

func TestEffect(t *testing.T) {
	t.Parallel()
	t.Run("a tool that may be called again is", func(t *testing.T) {
		for kind, want := range map[strategies.Effect]int{strategies.EffectOnce: 1, strategies.EffectIdempotent: 2, strategies.EffectReadOnly: 2} {
			paid := 0
			g := connect(t, cashier(t, 1).URL)
			pay := sdk.DefineTool(g, "pay", "pays", genkit.Effect("pay", kind, func(*ai.ToolContext, order) (string, error) { paid++; return "receipt", nil }))
			guarded, err := middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
				resp, err := sdk.Generate(ctx, g, ai.WithModelName("house/payer"), ai.WithTools(pay), ai.WithPrompt(q))
				if err != nil {
					return "", err
				}
				return resp.Text(), nil
			}).Retry(soon).Effects(middleware.Effects{}).Build()
			if err != nil {
				t.Fatal(err)
			}
			if said, err := guarded.Run(t.Context(), "Pay"); said != "Hello" || err != nil || paid != want {
				t.Errorf("%v: called %d times, %q, %v", kind, paid, said, err)
			}
		}
	})
	t.Run("its settings are the core's, and its types the tool's", func(t *testing.T) {
		b := conformance.OpenBank(t, conformance.Unanswered)
		g := connect(t, cashier(t, 0).URL)
		asks := ""
		pay := sdk.DefineTool(g, "pay", "pays", genkit.Effect("pay", strategies.EffectOnce,
			func(tc *ai.ToolContext, _ order) (string, error) { return b.Pay(tc) },
			func(t *middleware.Tool[order, string]) {
				t.Key(func(o order) string { return o.Order }).
					Verify(func(_ context.Context, key string) (string, bool, error) { asks += key; return "found", true, nil })
			}))
		guarded, err := middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
			resp, err := sdk.Generate(ctx, g, ai.WithModelName("house/payer"), ai.WithTools(pay), ai.WithPrompt(q))
			if err != nil {
				return "", err
			}
			return resp.Text(), nil
		}).Effects(middleware.Effects{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		if said, err := guarded.Run(t.Context(), "Pay"); said != "Hello" || err != nil || asks != "A1" || b.Received() != 1 {
			t.Errorf("got %q, %v; asked about %q, paid %d times", said, err, asks, b.Received())
		}
	})
	t.Run("it stands inside of the chain of a tool", func(t *testing.T) {
		b := conformance.OpenBank(t, conformance.Refused)
		g := connect(t, cashier(t, 0).URL)
		chain, err := middleware.Wrap(genkit.NextTool()).Retry(soon).Effects(middleware.Effects{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		pay := sdk.DefineTool(g, "pay", "pays", func(tc *ai.ToolContext, _ order) (string, error) { return b.Pay(tc) })
		resp, err := ask(t, g, ai.WithTools(pay), ai.WithUse(genkit.Recovery{Tools: genkit.Tools{"pay": chain}, Effects: genkit.Effects{"pay": strategies.EffectOnce}}))
		if err != nil || resp.Text() != "Hello" || b.Received() != 1 || b.Asked() != 2 {
			t.Errorf("got %v, %v; paid %d times by %d requests", resp, err, b.Received(), b.Asked())
		}
	})
	t.Run("it refuses nonsense", func(t *testing.T) {
		g := connect(t, cashier(t, 0).URL)
		pay := sdk.DefineTool(g, "pay", "pays", genkit.Effect[order, string]("pay", strategies.EffectOnce, nil))
		if _, err := ask(t, g, ai.WithTools(pay)); err == nil || !strings.Contains(err.Error(), "has no function") {
			t.Errorf("got %v", err)
		}
		if _, err := ask(t, g, ai.WithUse(genkit.Recovery{Effects: genkit.Effects{"pay": 9}})); err == nil || !strings.Contains(err.Error(), "an effect that there is not") {
			t.Errorf("got %v", err)
		}
	})
}
