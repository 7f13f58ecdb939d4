package genkit_test

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

	"github.com/firebase/genkit/go/ai"
	sdk "github.com/firebase/genkit/go/genkit"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/genkit"
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

type order struct{ Order string }

// payments are the ways to say what a tool does: of its function, plain or multipart,
// and by its name. Each is asked first whether it may.
func (b *bank) payment(g *sdk.Genkit, kind string, before func(*ai.ToolContext) error) (ai.Tool, genkit.Recovery) {
	pay := func(tc *ai.ToolContext, _ order) (string, error) {
		if err := before(tc); err != nil {
			return "", err
		}
		return b.pays(tc)
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
	sick := map[string]int{unrecorded: 1, later: 1}
	may := func(*ai.ToolContext) error { return nil }
	listens := map[bool][]ai.GenerateOption{true: {ai.WithStreaming(func(context.Context, *ai.ModelResponseChunk) error { return nil })}}
	for _, m := range moments {
		for _, kind := range []string{"a function", "multipart", "by name"} {
			for _, streaming := range []bool{false, true} {
				name := fmt.Sprintf("%s, %s, streaming %v", m.at, kind, streaming)
				rig := func(t *testing.T) (*bank, context.Context, middleware.Effects) {
					b := founds(t, m.at)
					ctx, leave := context.WithCancel(t.Context())
					t.Cleanup(leave)
					b.during = leave
					return b, ctx, middleware.Effects{Journal: &ledger{fails: m.at}}
				}
				turn := func(t *testing.T, b *bank, sick int) middleware.Runner[string, string] {
					g := connect(t, cashier(t, sick).URL)
					tool, recovery := b.payment(g, kind, may)
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
					g, err := middleware.Wrap(turn(t, b, sick[m.at])).Retry(soon).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					settled(t, b, g.Outcome(ctx, "Pay"), m.paid, m.open)
				})
				t.Run("a stand-in: "+name, func(t *testing.T) {
					b, ctx, effects := rig(t)
					g, err := middleware.Wrap(turn(t, b, sick[m.at])).Fallback("second", turn(t, b, 0)).Effects(effects).Build()
					if err != nil {
						t.Fatal(err)
					}
					settled(t, b, g.Outcome(ctx, "Pay"), m.paid, m.open)
				})
				t.Run("restarted: "+name, func(t *testing.T) {
					b, ctx, effects := rig(t)
					g := connect(t, cashier(t, sick[m.at]).URL)
					tool, recovery := b.payment(g, kind, func(tc *ai.ToolContext) error {
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
					settled(t, b, resumes.Outcome(ctx, ""), m.paid, m.open)
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
		b := founds(t, unanswered)
		g := connect(t, cashier(t, 0).URL)
		asks := ""
		pay := sdk.DefineTool(g, "pay", "pays", genkit.Effect("pay", strategies.EffectOnce,
			func(tc *ai.ToolContext, _ order) (string, error) { return b.pays(tc) },
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
		if said, err := guarded.Run(t.Context(), "Pay"); said != "Hello" || err != nil || asks != "A1" || b.received() != 1 {
			t.Errorf("got %q, %v; asked about %q, paid %d times", said, err, asks, b.received())
		}
	})
	t.Run("it stands inside of the chain of a tool", func(t *testing.T) {
		b := founds(t, refused)
		g := connect(t, cashier(t, 0).URL)
		chain, err := middleware.Wrap(genkit.NextTool()).Retry(soon).Effects(middleware.Effects{}).Build()
		if err != nil {
			t.Fatal(err)
		}
		pay := sdk.DefineTool(g, "pay", "pays", func(tc *ai.ToolContext, _ order) (string, error) { return b.pays(tc) })
		resp, err := ask(t, g, ai.WithTools(pay), ai.WithUse(genkit.Recovery{Tools: genkit.Tools{"pay": chain}, Effects: genkit.Effects{"pay": strategies.EffectOnce}}))
		if err != nil || resp.Text() != "Hello" || b.received() != 1 || b.asked() != 2 {
			t.Errorf("got %v, %v; paid %d times by %d requests", resp, err, b.received(), b.asked())
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
