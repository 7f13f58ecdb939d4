package adk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/adk/v2/tool/geminitool"
	"google.golang.org/adk/v2/tool/toolconfirmation"
	"google.golang.org/genai"

	"github.com/understudy-go/understudy/internal/conformance"
	wire "github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
	"github.com/understudy-go/understudy/strategies"
)

type order struct {
	Order string `json:"order"`
}

// payments are the kinds of tool that the framework runs.
func payments(t *testing.T, b *conformance.Bank, confirm bool) map[string]tool.Tool {
	t.Helper()
	plain, err := functiontool.New(functiontool.Config{Name: "pay", Description: "Pays.", RequireConfirmation: confirm},
		func(ctx agent.Context, _ order) (string, error) { return b.Pay(ctx) })
	long, err1 := functiontool.New(functiontool.Config{Name: "pay", Description: "Pays.", RequireConfirmation: confirm, IsLongRunning: true},
		func(ctx agent.Context, _ order) (map[string]any, error) {
			said, err := b.Pay(ctx)
			return map[string]any{"status": "pending", "ticket": said}, err
		})
	stream, err2 := functiontool.NewStreaming(functiontool.Config{Name: "pay", Description: "Pays."},
		func(ctx agent.Context, _ order) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				said, err := b.Pay(ctx)
				for _, piece := range strings.SplitAfter(said, "c") { // rec eipt
					if !yield(piece, err) || err != nil {
						return
					}
				}
			}
		})
	if err := errors.Join(err, err1, err2); err != nil {
		t.Fatal(err)
	}
	all := map[string]tool.Tool{"plain": adk.Effect(plain, strategies.EffectOnce), "long-running": adk.Effect(long, strategies.EffectOnce)}
	if !confirm { // one that streams asks nobody
		all["streaming"] = adk.Effect(stream, strategies.EffectOnce)
	}
	return all
}

// cashier is a model that calls the tool, again if it hears of an error, and is out of
// order so many times when it has heard of a result, or of a second error.
func cashier(t *testing.T, sick int) *wire.Server {
	t.Helper()
	var mu sync.Mutex
	answer := func(w http.ResponseWriter, r *http.Request, seen wire.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := json.Marshal(seen.Body)
		call := candidate(`{"functionCall":{"name":"pay","args":{"order":"A1"}}}`, "STOP")
		says := wire.Body(call)
		if seen.Stream {
			says = wire.Events(call)
		}
		heard, errs := strings.Count(string(body), `"functionResponse"`), strings.Count(string(body), `"error":`)
		if heard > errs || errs > 1 {
			if says = wire.Good("Hello"); sick > 0 {
				sick--
				says = wire.Overloaded()
			}
		}
		says(w, r, seen)
	}
	all := make([]wire.Answer, 20)
	for i := range all {
		all[i] = answer
	}
	return play(t, answers{"payer": all})
}

// paying is an application with an agent of the framework's that has the tool.
func paying(t *testing.T, server *wire.Server, pay tool.Tool) *stage {
	t.Helper()
	return newStage(t, storyteller(t, google(t, server.URL(), "payer"), func(c *llmagent.Config) { c.Tools = []tool.Tool{pay} }))
}

func within(out shown) (string, error) { return out.final, out.err }

func statesOf(out middleware.Outcome[string]) string {
	var all []string
	for _, e := range out.Effects {
		all = append(all, e.State.String())
	}
	return strings.Join(all, " ")
}

// However a call is recovered, and whenever it went wrong: what must happen once does.
func TestEffectsHappenOnce(t *testing.T) {
	t.Parallel()
	// The model hears of an error as of any result, so that the turn goes on: it is the
	// model that fails in each of these.
	sick := map[string]int{conformance.Unwritten: 1, conformance.Refused: 1, conformance.Lost: 1, conformance.Unanswered: 1, conformance.Leaves: 1, conformance.Panics: 1, conformance.Unrecorded: 1, conformance.Later: 1}
	for _, m := range conformance.Moments() {
		for kind := range payments(t, conformance.OpenBank(t, ""), false) {
			for form, mode := range forms {
				name := fmt.Sprintf("%s, %s, %s", m.At, kind, form)
				rig := func(t *testing.T, confirm bool) (*conformance.Bank, tool.Tool, context.Context, middleware.Effects) {
					b := conformance.OpenBank(t, m.At)
					ctx, leave := context.WithCancel(t.Context())
					t.Cleanup(leave)
					b.During(leave)
					return b, payments(t, b, confirm)[kind], ctx, middleware.Effects{Journal: conformance.NewLedger(m.At)}
				}
				turn := func(server *wire.Server, pay tool.Tool) middleware.Runner[string, string] {
					return middleware.Func(func(ctx context.Context, q string) (string, error) { // in a session of its own
						return within(paying(t, server, pay).turn(ctx, mode, genai.NewContentFromText(q, genai.RoleUser)))
					})
				}
				t.Run("retry: "+name, func(t *testing.T) {
					b, pay, ctx, effects := rig(t, false)
					g, err := middleware.Wrap(turn(cashier(t, sick[m.At]), pay)).Retry(soon).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					b.Settled(t, g.Outcome(ctx, "Pay"), m)
				})
				t.Run("a stand-in: "+name, func(t *testing.T) {
					b, pay, ctx, effects := rig(t, false)
					g, err := middleware.Wrap(turn(cashier(t, sick[m.At]), pay)).Fallback("second", turn(cashier(t, 0), pay)).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					b.Settled(t, g.Outcome(ctx, "Pay"), m)
				})
				if kind == "streaming" {
					continue
				}
				t.Run("confirmed: "+name, func(t *testing.T) {
					b, pay, ctx, effects := rig(t, true)
					s := paying(t, cashier(t, sick[m.At]), pay)
					question := ""
					asks, err := middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
						out := s.turn(ctx, mode, genai.NewContentFromText(q, genai.RoleUser))
						for _, event := range out.events {
							for _, id := range event.LongRunningToolIDs {
								question = id
							}
						}
						return within(out)
					}).Retry(soon).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					ctx = middleware.WithCallID(ctx, "order-7")
					if _, err := asks.Run(ctx, "Pay"); m.At == conformance.Unwritten {
						return // then nobody was asked
					} else if err != nil || question == "" || b.Asked() != 0 {
						t.Fatalf("got %v; the question is %q", err, question)
					}
					resumes, err := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
						return within(s.turn(ctx, mode, &genai.Content{Role: genai.RoleUser, Parts: []*genai.Part{{FunctionResponse: &genai.FunctionResponse{
							ID: question, Name: toolconfirmation.FunctionCallName, Response: map[string]any{"confirmed": true},
						}}}}))
					}).Retry(soon).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					out := resumes.Outcome(ctx, "")
					if m.At == conformance.Refused { // the model asks for it again, and so is the person
						if b.Received() != 0 || b.Asked() != 1 || statesOf(out) != "" {
							t.Errorf("paid %d times, %d requests, %s", b.Received(), b.Asked(), statesOf(out))
						}
						return
					}
					b.Settled(t, out, m)
				})
			}
		}
	}
}

func TestEffect(t *testing.T) {
	t.Parallel()
	t.Run("it is the tool, as the framework sees it", func(t *testing.T) {
		door, err := functiontool.New(functiontool.Config{Name: "pay", Description: "Pays.", IsLongRunning: true}, func(agent.Context, order) (order, error) { return order{}, nil })
		if err != nil {
			t.Fatal(err)
		}
		wrapped := adk.Effect(door, strategies.EffectOnce)
		declares := func(x tool.Tool) string {
			d, err := json.Marshal(x.(interface {
				Declaration() *genai.FunctionDeclaration
			}).Declaration())
			if err != nil {
				t.Fatal(err)
			}
			return string(d)
		}
		if wrapped.Name() != "pay" || wrapped.Description() != "Pays." || !wrapped.IsLongRunning() || declares(wrapped) != declares(door) {
			t.Errorf("it is %q, %q", wrapped.Name(), wrapped.Description())
		}
	})
	t.Run("what cannot be run is refused, by name", func(t *testing.T) {
		for name, none := range map[string]tool.Tool{"google_search": geminitool.GoogleSearch{}, "nil": nil} {
			server := play(t, answers{})
			got := paying(t, server, adk.Effect(none, strategies.EffectOnce)).ask(t, agent.StreamingModeNone)
			if !errors.Is(got.err, strategies.ErrConfig) || !strings.Contains(got.err.Error(), name) || server.Total() != 0 {
				t.Errorf("got %v", got.err)
			}
		}
	})
	t.Run("a tool that may be called again is", func(t *testing.T) {
		for kind, want := range map[strategies.Effect]int{strategies.EffectOnce: 1, strategies.EffectIdempotent: 2, strategies.EffectReadOnly: 2} {
			paid := 0
			pay, err := functiontool.New(functiontool.Config{Name: "pay", Description: "Pays."}, func(agent.Context, order) (string, error) { paid++; return "receipt", nil })
			if err != nil {
				t.Fatal(err)
			}
			server := cashier(t, 1)
			g, err := middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
				return within(paying(t, server, adk.Effect(pay, kind)).turn(ctx, agent.StreamingModeNone, genai.NewContentFromText(q, genai.RoleUser)))
			}).Retry(soon).Effects(middleware.Effects{}).Build()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.Run(t.Context(), "Pay"); err != nil || paid != want {
				t.Errorf("%v: called %d times, %v", kind, paid, err)
			}
		}
	})
	t.Run("a confirmation that was refused leaves nothing open", func(t *testing.T) {
		b := conformance.OpenBank(t, conformance.Never)
		s := paying(t, cashier(t, 0), payments(t, b, true)["plain"])
		effects := middleware.Effects{}
		question, confirmed := "", false
		g, err := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
			content := genai.NewContentFromText("Pay", genai.RoleUser)
			if question != "" {
				content = &genai.Content{Role: genai.RoleUser, Parts: []*genai.Part{{FunctionResponse: &genai.FunctionResponse{
					ID: question, Name: toolconfirmation.FunctionCallName, Response: map[string]any{"confirmed": confirmed},
				}}}}
			}
			out := s.turn(ctx, agent.StreamingModeNone, content)
			for _, event := range out.events {
				for _, id := range event.LongRunningToolIDs {
					question = id
				}
			}
			return within(out)
		}).Effects(effects).Build()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if out := g.Outcome(middleware.WithCallID(t.Context(), "order-7"), ""); out.Err != nil || len(out.Effects) != 0 {
				t.Errorf("got %v, %+v", out.Err, out.Effects)
			}
		}
		if question == "" || b.Asked() != 0 {
			t.Errorf("question %q, %d requests", question, b.Asked())
		}
	})
	t.Run("its settings are the core's", func(t *testing.T) {
		b := conformance.OpenBank(t, conformance.Unanswered)
		pay, err := functiontool.New(functiontool.Config{Name: "pay", Description: "Pays."}, func(ctx agent.Context, _ order) (string, error) { return b.Pay(ctx) })
		if err != nil {
			t.Fatal(err)
		}
		asks := ""
		verified := adk.Effect(pay, strategies.EffectOnce, func(t *adk.EffectTool) {
			t.Key(func(args map[string]any) string { return fmt.Sprint(args["order"]) }).
				Verify(func(_ context.Context, key string) (map[string]any, bool, error) {
					asks += key
					return map[string]any{"result": "found"}, true, nil
				})
		})
		server := cashier(t, 0)
		g, err := middleware.WrapFunc(func(ctx context.Context, q string) (string, error) {
			return within(paying(t, server, verified).turn(ctx, agent.StreamingModeNone, genai.NewContentFromText(q, genai.RoleUser)))
		}).Effects(middleware.Effects{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		if said, err := g.Run(t.Context(), "Pay"); said != "Hello" || err != nil || asks != "A1" || b.Received() != 1 {
			t.Errorf("got %q, %v; asked about %q, paid %d times", said, err, asks, b.Received())
		}
	})
}
