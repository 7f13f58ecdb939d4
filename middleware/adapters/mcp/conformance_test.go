package mcp_test

import (
	"context"
	"errors"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware/adapters/mcp"
	"github.com/understudy-go/understudy/strategies"
)

func retrying(b *mcp.Builder) { b.Named("inn").Retry(soon) }

// answered fails the test unless the call had this answer.
func answered(t *testing.T, got *sdk.CallToolResult, err error, want string) {
	t.Helper()
	if err != nil || got.IsError || text(got) != want {
		t.Errorf("got %q, %v, want %q", text(got), err, want)
	}
}

func requests(t *testing.T, s *server, want int) {
	t.Helper()
	conformance.Requests(t, "the inn", int(s.calls.Load()), want)
}

// inns are a scene's models: each a server with tools that fails by its script.
type inns map[string]*server

func (i inns) Requests(model string) int { return int(i[model].calls.Load()) }

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, p := range []protocol{sessions, stateless} {
		t.Run(p.String(), func(t *testing.T) { conform(t, p) })
	}
}

func conform(t *testing.T, p protocol) {
	busy := says(503, "busy")
	conformance.Run(t, conformance.Adapter[fault]{
		Faults: conformance.Faults[fault]{
			conformance.Unavailable: {busy},
			conformance.RateLimited: {says(429, "slow down", "Retry-After-Ms", "30")},
			conformance.Quota:       {refuses(402, "-32000", "no credit")},
			conformance.Hang:        {hangs},
			conformance.Overloaded:  {busy},
			conformance.Drop:        {busy},
		},
		Ways: conformance.Ways[fault]{"": func(t *testing.T, s conformance.Scene[fault]) conformance.Result {
			all := inns{conformance.Narrator: p.serve(t, inn(conformance.Says(conformance.Narrator)), s.Script[conformance.Narrator]...)}
			c := client(t, nil, func(b *mcp.Builder) {
				conformance.Set(b, s)
				if other := s.StandIn; other.Name != "" {
					all[other.Model] = p.serve(t, inn(conformance.Says(other.Model)), s.Script[other.Model]...)
					b.Fallback(other.Name, mcp.Session(connect(t, client(t, nil, func(b *mcp.Builder) { b.Named(other.Name) }), all[other.Model])))
				}
				if s.Reduced != "" {
					b.Degrade(strategies.LevelReduced, mcp.Reply(s.Reduced))
				}
			})
			got, err := call(t, connect(t, c, all[conformance.Narrator]), "look")
			result := conformance.Result{Text: text(got), Err: err, Provider: all}
			if err == nil && got.IsError {
				result.Text = "an error: " + result.Text
			}
			if err == nil && got.Meta[mcp.MetaLevel] == "reduced" {
				result.Level = strategies.LevelReduced
				result.ServedBy, _ = got.Meta[mcp.MetaServedBy].(string)
			}
			return result
		}},
		// A tool's answer is one message, also where it comes in a stream of events:
		// what is cut is cut before it.
		Cuts: []conformance.Cut[fault]{conformance.Retried("a call whose stream is cut", fault(cuts))},
		Stream: func(t *testing.T, cut conformance.Cut[fault]) conformance.Result {
			all := inns{conformance.Narrator: p.serve(t, inn(cut.Said), cut.Fault)}
			got, err := call(t, connect(t, client(t, nil, retrying), all[conformance.Narrator]), "look")
			return conformance.Result{Text: text(got), Err: err, Provider: all}
		},
		Interrupt: func(t *testing.T) { interruptUntouched(t, p) },
		Without:   map[conformance.Case]string{conformance.OverflowToLarger: "a tool has no context window"},
	})
	t.Run("it does not retry a call that is cut and may have paid", func(t *testing.T) {
		s := p.serve(t, inn("a stranger"), cuts)
		_, err := call(t, connect(t, client(t, nil, retrying), s), "pay")
		if once, ok := errors.AsType[*mcp.OnceError](err); !ok || once.Tool != "pay" {
			t.Errorf("got %v", err)
		}
		requests(t, s, 1)
	})
}

// The human channel of the protocol is elicitation; features_test.go has more.
func interruptUntouched(t *testing.T, p protocol) {
	settings := func(b *mcp.Builder) { retrying(b); b.Degrade(strategies.LevelReduced, mcp.Reply("no")) }
	t.Run("it passes on the error that sends a person to a page", func(t *testing.T) {
		tools := inn("")
		add(tools, "open", &sdk.ToolAnnotations{ReadOnlyHint: true}, func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			return nil, sdk.URLElicitationRequiredError([]*sdk.ElicitParams{{Mode: "url", Message: "Sign", URL: "http://127.0.0.1/", ElicitationID: "1"}})
		})
		s := p.serve(t, tools)
		_, err := call(t, connect(t, client(t, nil, settings), s), "open")
		coded, ok := errors.AsType[*jsonrpc.Error](err)
		if !ok || coded.Code != sdk.CodeURLElicitationRequired || errors.Is(err, strategies.ErrRecovery) {
			t.Errorf("got %v", err)
		}
		requests(t, s, 1)
	})
	if p == sessions {
		return // a question is a request of the server's there, and its answer goes to the server
	}
	t.Run("it passes on a result that wants input", func(t *testing.T) {
		tools := inn("")
		add(tools, "open", &sdk.ToolAnnotations{ReadOnlyHint: true}, func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			return &sdk.CallToolResult{InputRequests: sdk.InputRequestMap{"q": &sdk.ElicitParams{Message: "Open?"}}, RequestState: "1"}, nil
		})
		s := p.serve(t, tools)
		c := client(t, &sdk.ClientOptions{MultiRoundTrip: &sdk.MultiRoundTripOptions{Disabled: true}}, settings)
		got, err := call(t, connect(t, c, s), "open")
		if err != nil || !got.NeedsInput() || got.RequestState != "1" || len(got.InputRequests) != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		requests(t, s, 1)
	})
	t.Run("it passes on the interrupt of a host that asks later", func(t *testing.T) {
		pause := strategies.WithClass(strategies.ClassInterrupt, errors.New("the innkeeper is asked"))
		tools := inn("")
		add(tools, "open", &sdk.ToolAnnotations{ReadOnlyHint: true}, eliciting("Open?", nil))
		s := p.serve(t, tools)
		c := client(t, &sdk.ClientOptions{ElicitationHandler: func(context.Context, *sdk.ElicitRequest) (*sdk.ElicitResult, error) { return nil, pause }}, settings)
		_, err := call(t, connect(t, c, s), "open")
		if !errors.Is(err, pause) || errors.Is(err, strategies.ErrRecovery) {
			t.Errorf("got %v", err)
		}
		requests(t, s, 1)
	})
}

// eliciting is a tool that asks by its result, and then does what is left.
func eliciting(question string, then func() (*sdk.CallToolResult, error)) sdk.ToolHandler {
	return func(_ context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		if len(r.Params.InputResponses) == 0 {
			return &sdk.CallToolResult{InputRequests: sdk.InputRequestMap{"q": &sdk.ElicitParams{Message: question}}}, nil
		}
		return then()
	}
}
