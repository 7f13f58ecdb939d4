package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/mcp"
	"github.com/understudy-go/understudy/strategies"
)

var (
	errSick = errors.New("the model is out of order")
)

// till is where the tool acts, whichever server it is called on.
type till struct {
	mu     sync.Mutex
	paid   int
	calls  int
	keys   map[string]bool
	during func(*server) (*sdk.CallToolResult, error) // the first call, when it has acted
}

func (b *till) snapshot() (paid, calls int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.paid, b.calls
}

// serve is a server at this till. Its tools are once, idempotent and read-only by name.
func (b *till) serve(t *testing.T, p protocol, faults ...fault) *server {
	t.Helper()
	var s *server
	tools := inn("")
	for name, a := range map[string]*sdk.ToolAnnotations{
		"charge": nil, "set": {IdempotentHint: true}, "read": {ReadOnlyHint: true}, "wrong": {ReadOnlyHint: true, IdempotentHint: true},
	} {
		add(tools, name, a, func(_ context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			b.mu.Lock()
			b.paid++
			b.calls++
			key, _ := r.Params.Meta[mcp.MetaIdempotencyKey].(string)
			b.keys[key] = true
			during := b.during
			b.during = nil
			b.mu.Unlock()
			if during != nil {
				if result, err := during(s); result != nil || err != nil {
					return result, err
				}
			}
			return said("receipt"), nil
		})
	}
	s = p.serve(t, tools, faults...)
	return s
}

// The moments at which something goes wrong.
const (
	never      = "never"
	unwritten  = conformance.Unwritten
	refused    = "the server is too busy"
	lost       = "on the way to the server"
	unanswered = "after it has acted, before its answer"
	broken     = "the server fails after it has acted"
	admitted   = "the tool says that it failed"
	leaves     = "the caller leaves before the answer"
	unrecorded = conformance.Unrecorded
	later      = "after the record"
	panics     = "the agent panics after the answer"
)

var moments = []struct {
	at   string
	paid int  // at the till
	open bool // it is uncertain, and so nobody asks again
}{
	{never, 1, false}, {unwritten, 1, false}, {refused, 1, false}, {lost, 0, true}, {unanswered, 1, true}, {broken, 1, true}, {admitted, 1, true},
	{leaves, 1, true}, {unrecorded, 1, false}, {later, 1, false}, {panics, 1, false},
}

// However a call is recovered, and whenever it went wrong: what must happen once does.
func TestEffectsHappenOnce(t *testing.T) {
	t.Parallel()
	for _, p := range []protocol{sessions, stateless} {
		for _, m := range moments {
			for _, way := range []string{"a retry", "a retry by the client", "a stand-in", "another session"} {
				switch byClient := way == "a retry by the client" || way == "another session"; {
				case byClient && (m.at == later || m.at == panics):
					continue // the tool has answered: there is nothing more to recover
				case m.at == panics && way == "a retry":
					continue // a panic is not repeated
				}
				t.Run(fmt.Sprintf("%v, %s, %s", p, m.at, way), func(t *testing.T) {
					b := &till{keys: map[string]bool{}}
					ctx, leave := context.WithCancel(t.Context())
					defer leave()
					gone := make(chan struct{}) // the caller
					defer close(gone)
					var faults []fault
					switch m.at {
					case refused:
						faults = []fault{says(429, "slow down")}
					case lost:
						faults = []fault{says(503, "")}
					case unanswered:
						b.during = func(s *server) (*sdk.CallToolResult, error) { s.CloseClientConnections(); return nil, nil }
					case broken:
						b.during = func(*server) (*sdk.CallToolResult, error) { return nil, errors.New("the printer is on fire") }
					case admitted:
						b.during = func(*server) (*sdk.CallToolResult, error) { return failed("the printer is on fire"), nil }
					case leaves:
						b.during = func(*server) (*sdk.CallToolResult, error) { leave(); <-gone; return nil, nil }
					}
					s := b.serve(t, p, faults...)
					second := connect(t, client(t, nil, nil), b.serve(t, p))
					effects := middleware.Effects{Journal: conformance.NewLedger(m.at)}
					session := connect(t, client(t, nil, func(b *mcp.Builder) {
						switch way {
						case "a retry by the client":
							b.Retry(soon)
						case "another session":
							b.Fallback("second", mcp.Session(second))
						default:
							b.Named("till")
						}
					}), s)
					attempts := 0
					agent := func(first bool) middleware.Runner[string, string] {
						return middleware.Func(func(ctx context.Context, _ string) (string, error) {
							result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: "charge", Arguments: map[string]any{"order": "A1"}})
							if err != nil {
								return "", err
							}
							if result.IsError {
								return "", errors.New(text(result)) // the agent makes of it what it likes
							}
							if attempts++; first && attempts == 1 {
								switch m.at {
								case later, unrecorded:
									if way != "a retry by the client" && way != "another session" {
										return "", errSick
									}
								case panics:
									panic("out of paper")
								}
							}
							return text(result), nil
						})
					}
					chain := middleware.Wrap(agent(true)).Effects(effects)
					switch way {
					case "a retry":
						chain.Retry(soon)
					case "a stand-in":
						chain.Fallback("second", agent(false))
					}
					g, err := chain.Build()
					if err != nil {
						t.Fatal(err)
					}
					out := g.Outcome(ctx, "")
					if paid, _ := b.snapshot(); paid != m.paid {
						t.Errorf("paid %d times, want %d", paid, m.paid)
					}
					if m.open == (out.Err == nil) || !m.open && out.Value != "receipt" {
						t.Errorf("got %q, %v", out.Value, out.Err)
					}
					uncertain := false
					for _, e := range out.Effects {
						uncertain = uncertain || e.State == strategies.EffectUncertain && e.Tool == "inn/charge"
					}
					if uncertain != m.open {
						t.Errorf("the effects are %+v", out.Effects)
					}
					if b.keys[""] || len(b.keys) > 1 {
						t.Errorf("it was sent the keys %v", b.keys)
					}
				})
			}
		}
	}
}

// The client's own chain may have the journal: then it is of one tool call.
func TestAClientWithEffects(t *testing.T) {
	t.Parallel()
	b := &till{keys: map[string]bool{}}
	s := b.serve(t, stateless, says(429, "slow down"), says(503, ""))
	session := connect(t, client(t, nil, func(b *mcp.Builder) { b.Retry(soon).Effects(middleware.Effects{}) }), s)
	_, err := call(t, session, "charge")
	if strategies.Classify(err).Class != strategies.ClassUncertain {
		t.Errorf("got %v", err)
	}
	requests(t, s, 2) // the first was refused, of the second nobody knows
	got, err := call(t, session, "charge")
	answered(t, got, err, "receipt")
	if paid, _ := b.snapshot(); paid != 1 {
		t.Errorf("paid %d times", paid)
	}
}

// What looks like a refusal proves nothing if it is not about the whole of the call: the
// last of several rounds is refused.
func TestWhatOnlyLooksLikeARefusal(t *testing.T) {
	t.Parallel()
	b := &till{keys: map[string]bool{}}
	b.during = func(*server) (*sdk.CallToolResult, error) {
		return &sdk.CallToolResult{InputRequests: sdk.InputRequestMap{"q": &sdk.ElicitParams{Message: "Sure?"}}}, nil
	}
	options := &sdk.ClientOptions{ElicitationHandler: func(context.Context, *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
		return &sdk.ElicitResult{Action: "accept"}, nil
	}}
	second := connect(t, client(t, nil, nil), b.serve(t, stateless))
	session := connect(t, client(t, options, func(b *mcp.Builder) { b.Retry(soon).Fallback("second", mcp.Session(second)) }),
		b.serve(t, stateless, nil, says(429, "slow down")))
	g, err := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
		_, err := session.CallTool(ctx, &sdk.CallToolParams{Name: "charge"})
		return "", err
	}).Retry(soon).Effects(middleware.Effects{}).Build()
	if err != nil {
		t.Fatal(err)
	}
	out := g.Outcome(t.Context(), "")
	if paid, _ := b.snapshot(); paid != 1 || strategies.Classify(out.Err).Class != strategies.ClassUncertain {
		t.Errorf("paid %d times, %v", paid, out.Err)
	}
}

// What a tool says of itself leaves it open, unless a rule knows what it means: then
// the model reads it, and may ask again.
func TestARuleKnowsThatNothingWasDone(t *testing.T) {
	t.Parallel()
	rule := func(err error) strategies.Class {
		if e, ok := errors.AsType[*mcp.ToolError](err); ok && text(e.Result) == "no money" {
			return strategies.ClassBadRequest
		}
		return strategies.ClassUnclassified
	}
	b := &till{keys: map[string]bool{}}
	b.during = func(*server) (*sdk.CallToolResult, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.paid-- // it has not
		return failed("no money"), nil
	}
	session := connect(t, client(t, nil, func(b *mcp.Builder) {
		retrying(b)
		b.Classifier(&strategies.Classifier{Rules: []strategies.Rule{rule}})
	}), b.serve(t, stateless))
	g, err := middleware.WrapFunc(func(ctx context.Context, _ string) (said string, _ error) {
		for range 2 {
			result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: "charge"})
			if err != nil {
				return "", err
			}
			said += text(result) + ". "
		}
		return said, nil
	}).Effects(middleware.Effects{}).Build()
	if err != nil {
		t.Fatal(err)
	}
	out := g.Outcome(t.Context(), "")
	if paid, _ := b.snapshot(); out.Value != "no money. receipt. " || out.Err != nil || paid != 1 || len(out.Effects) != 1 {
		t.Errorf("got %q, %v; paid %d times, %+v", out.Value, out.Err, paid, out.Effects)
	}
}

func TestKindsOfTools(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		it, tool string
		word     mcp.Tools
		fails    fault
		calls    int // by one call that is written down, asked for it twice
		keyed    bool
	}{
		{it: "takes a server's word that a tool only reads", tool: "read", calls: 2},
		{it: "takes its word that it may be asked again, and says what for", tool: "set", calls: 2, keyed: true},
		{it: "takes one it says nothing of for one that must happen once", tool: "charge", calls: 1, keyed: true},
		{it: "takes the user's word before the server's", tool: "wrong", word: mcp.Tools{"wrong": {Effect: strategies.EffectOnce}}, calls: 1, keyed: true},
		{it: "takes it both ways", tool: "charge", word: mcp.Tools{"charge": {Effect: strategies.EffectReadOnly}}, calls: 2},
		{it: "lets the user say what makes two calls one", tool: "charge", word: mcp.Tools{"charge": {Settings: func(t *mcp.EffectTool) {
			t.Key(func(json.RawMessage) string { return "the same" })
		}}}, calls: 1, keyed: true},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			b := &till{keys: map[string]bool{}}
			c, err := mcp.NewClientWith(host, nil, retrying, tt.word)
			if err != nil {
				t.Fatal(err)
			}
			session := connect(t, c, b.serve(t, stateless))
			g, err := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
				for range 2 {
					if _, err := session.CallTool(ctx, &sdk.CallToolParams{Name: tt.tool, Meta: sdk.Meta{"table": "4"}}); err != nil {
						return "", err
					}
				}
				return "", nil
			}).Effects(middleware.Effects{}).Build()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.Run(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
			if _, calls := b.snapshot(); calls != tt.calls || len(b.keys) != 1 || b.keys[""] == tt.keyed {
				t.Errorf("called %d times, with the keys %v", calls, b.keys)
			}
		})
	}
	t.Run("a chain with an identity alone sends the key of what may be asked again", func(t *testing.T) {
		b := &till{keys: map[string]bool{}}
		s := b.serve(t, stateless, nil, says(503, ""))
		session := connect(t, client(t, nil, func(b *mcp.Builder) { b.Retry(soon).Identify() }), s)
		for range 2 {
			got, err := call(t, session, "set")
			answered(t, got, err, "receipt")
		}
		requests(t, s, 3)
		if len(b.keys) != 2 || b.keys[""] {
			t.Errorf("the keys %v", b.keys)
		}
		got, err := call(t, session, "charge") // nobody writes it down: it is made once, and has no key
		answered(t, got, err, "receipt")
		if len(b.keys) != 3 || !b.keys[""] {
			t.Errorf("the keys %v", b.keys)
		}
	})
	t.Run("it refuses an effect that there is not", func(t *testing.T) {
		_, err := mcp.NewClientWith(host, nil, nil, mcp.Tools{"charge": {Effect: 9}})
		if !errors.Is(err, strategies.ErrConfig) || !strings.Contains(err.Error(), "charge") {
			t.Errorf("got %v", err)
		}
	})
}

// Without a journal too a call that is known to have done nothing may be another's.
func TestWhatIsKnownToHaveDoneNothing(t *testing.T) {
	t.Parallel()
	closes := func(s *server, session *sdk.ClientSession) { s.CloseClientConnections(); s.Close() }
	for _, tt := range []struct {
		it     string
		p      protocol
		faults []fault
		before func(*server, *sdk.ClientSession)
		ended  bool // only the second call knows that the session is over
		handed bool
	}{
		{it: "a busy server has not begun", p: stateless, faults: []fault{says(429, "slow down")}, handed: true},
		{it: "one that does not know who asks has not either", p: stateless, faults: []fault{says(401, "who?")}, handed: true},
		{it: "nor one that has no such session", p: sessions, faults: []fault{says(404, "session not found")}, handed: true},
		{it: "nor one that is not there", p: stateless, before: closes, handed: true},
		{it: "a server that fails may have", p: stateless, faults: []fault{says(503, "")}},
		{it: "so may one whose answer is cut", p: stateless, faults: []fault{cuts}},
		{it: "so may one whose session is closed", p: sessions, before: func(_ *server, s *sdk.ClientSession) { _ = s.Close() }},
		{it: "unless it was known to be closed", p: sessions, before: func(_ *server, s *sdk.ClientSession) { _ = s.Close() }, ended: true, handed: true},
	} {
		t.Run(tt.it, func(t *testing.T) {
			b := &till{keys: map[string]bool{}}
			s := b.serve(t, tt.p, tt.faults...)
			second := connect(t, client(t, nil, nil), b.serve(t, tt.p))
			session := connect(t, client(t, nil, func(b *mcp.Builder) { b.Fallback("second", mcp.Session(second)) }), s)
			if tt.before != nil {
				tt.before(s, session)
			}
			got, err := call(t, session, "charge")
			if tt.ended {
				got, err = call(t, session, "charge")
			}
			paid, _ := b.snapshot()
			if tt.handed {
				answered(t, got, err, "receipt")
			} else if _, ok := errors.AsType[*mcp.OnceError](err); !ok {
				t.Errorf("got %v, %v", got, err)
			}
			if want := map[bool]int{true: 1}[tt.handed]; paid != want {
				t.Errorf("paid %d times, want %d", paid, want)
			}
		})
	}
}

// A question is no result: when it is answered the tool is called again.
func TestAQuestionIsNoResult(t *testing.T) {
	t.Parallel()
	tools := inn("")
	paid := 0
	add(tools, "charge", nil, eliciting("Sure?", func() (*sdk.CallToolResult, error) { paid++; return said("receipt"), nil }))
	options := &sdk.ClientOptions{MultiRoundTrip: &sdk.MultiRoundTripOptions{Disabled: true}}
	session := connect(t, client(t, options, retrying), stateless.serve(t, tools))
	g, err := middleware.WrapFunc(func(ctx context.Context, _ string) (string, error) {
		params := &sdk.CallToolParams{Name: "charge"}
		for range 3 {
			result, err := session.CallTool(ctx, params)
			if err != nil {
				return "", err
			}
			if !result.NeedsInput() {
				return text(result), nil
			}
			params = &sdk.CallToolParams{Name: "charge", InputResponses: sdk.InputResponseMap{"q": &sdk.ElicitResult{Action: "accept"}}, RequestState: result.RequestState}
		}
		return "", errors.New("it asks for ever")
	}).Effects(middleware.Effects{}).Build()
	if err != nil {
		t.Fatal(err)
	}
	if said, err := g.Run(t.Context(), ""); said != "receipt" || err != nil || paid != 1 {
		t.Errorf("got %q, %v; paid %d times", said, err, paid)
	}
}
