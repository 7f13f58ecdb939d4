package adk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
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

	wire "github.com/understudy-go/understudy/internal/gemini"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/adk"
	"github.com/understudy-go/understudy/middleware/adapters/httphint"
	"github.com/understudy-go/understudy/strategies"
)

var errWritten = errors.New("the journal is out of ink")

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

// received and asked are what it has counted so far.
func (b *bank) received() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.paid
}

func (b *bank) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
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

type order struct {
	Order string `json:"order"`
}

// payments are the kinds of tool that the framework runs.
func (b *bank) payments(t *testing.T, confirm bool) map[string]tool.Tool {
	t.Helper()
	plain, err := functiontool.New(functiontool.Config{Name: "pay", Description: "Pays.", RequireConfirmation: confirm},
		func(ctx agent.Context, _ order) (string, error) { return b.pays(ctx) })
	long, err1 := functiontool.New(functiontool.Config{Name: "pay", Description: "Pays.", RequireConfirmation: confirm, IsLongRunning: true},
		func(ctx agent.Context, _ order) (map[string]any, error) {
			said, err := b.pays(ctx)
			return map[string]any{"status": "pending", "ticket": said}, err
		})
	stream, err2 := functiontool.NewStreaming(functiontool.Config{Name: "pay", Description: "Pays."},
		func(ctx agent.Context, _ order) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				said, err := b.pays(ctx)
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
	if open == (out.Err == nil) || !open && !strings.Contains(out.Value, "Hello") {
		t.Errorf("got %q, %v", out.Value, out.Err)
	}
	if open && b.requests != 1 {
		t.Errorf("the bank was asked %d times", b.requests)
	}
}

// However a call is recovered, and whenever it went wrong: what must happen once does.
func TestEffectsHappenOnce(t *testing.T) {
	t.Parallel()
	// The model hears of an error as of any result, so that the turn goes on: it is the
	// model that fails in each of these.
	sick := map[string]int{unwritten: 1, refused: 1, lost: 1, unanswered: 1, leaves: 1, panics: 1, unrecorded: 1, later: 1}
	for _, m := range moments {
		for kind := range founds(t, "").payments(t, false) {
			for form, mode := range forms {
				name := fmt.Sprintf("%s, %s, %s", m.at, kind, form)
				rig := func(t *testing.T, confirm bool) (*bank, tool.Tool, context.Context, middleware.Effects) {
					b := founds(t, m.at)
					ctx, leave := context.WithCancel(t.Context())
					t.Cleanup(leave)
					b.during = leave
					return b, b.payments(t, confirm)[kind], ctx, middleware.Effects{Journal: &ledger{fails: m.at}}
				}
				turn := func(server *wire.Server, pay tool.Tool) middleware.Runner[string, string] {
					return middleware.Func(func(ctx context.Context, q string) (string, error) { // in a session of its own
						return within(paying(t, server, pay).turn(ctx, mode, genai.NewContentFromText(q, genai.RoleUser)))
					})
				}
				t.Run("retry: "+name, func(t *testing.T) {
					b, pay, ctx, effects := rig(t, false)
					g, err := middleware.Wrap(turn(cashier(t, sick[m.at]), pay)).Retry(soon).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					settled(t, b, g.Outcome(ctx, "Pay"), m.paid, m.open)
				})
				t.Run("a stand-in: "+name, func(t *testing.T) {
					b, pay, ctx, effects := rig(t, false)
					g, err := middleware.Wrap(turn(cashier(t, sick[m.at]), pay)).Fallback("second", turn(cashier(t, 0), pay)).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					settled(t, b, g.Outcome(ctx, "Pay"), m.paid, m.open)
				})
				if kind == "streaming" {
					continue
				}
				t.Run("confirmed: "+name, func(t *testing.T) {
					b, pay, ctx, effects := rig(t, true)
					s := paying(t, cashier(t, sick[m.at]), pay)
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
					if _, err := asks.Run(ctx, "Pay"); m.at == unwritten {
						return // then nobody was asked
					} else if err != nil || question == "" || b.asked() != 0 {
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
					if m.at == refused { // the model asks for it again, and so is the person
						b.mu.Lock()
						defer b.mu.Unlock()
						if b.paid != 0 || b.requests != 1 || statesOf(out) != "" {
							t.Errorf("paid %d times, %d requests, %s", b.paid, b.requests, statesOf(out))
						}
						return
					}
					settled(t, b, out, m.paid, m.open)
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
		b := founds(t, never)
		s := paying(t, cashier(t, 0), b.payments(t, true)["plain"])
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
		if question == "" || b.asked() != 0 {
			t.Errorf("question %q, %d requests", question, b.asked())
		}
	})
	t.Run("its settings are the core's", func(t *testing.T) {
		b := founds(t, unanswered)
		pay, err := functiontool.New(functiontool.Config{Name: "pay", Description: "Pays."}, func(ctx agent.Context, _ order) (string, error) { return b.pays(ctx) })
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
		if said, err := g.Run(t.Context(), "Pay"); said != "Hello" || err != nil || asks != "A1" || b.received() != 1 {
			t.Errorf("got %q, %v; asked about %q, paid %d times", said, err, asks, b.received())
		}
	})
}
