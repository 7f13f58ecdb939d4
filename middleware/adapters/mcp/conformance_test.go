package mcp_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
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

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, p := range []protocol{sessions, stateless} {
		t.Run(p.String(), func(t *testing.T) { conform(t, p) })
	}
}

func conform(t *testing.T, p protocol) {
	conformance.Run(t, map[conformance.Case]func(*testing.T){
		conformance.TransientThenSuccess: func(t *testing.T) {
			s := p.serve(t, inn("a stranger"), says(503, "busy"))
			got, err := call(t, connect(t, client(t, nil, retrying), s), "look")
			answered(t, got, err, "a stranger")
			requests(t, s, 2)
		},
		conformance.RateLimitHonoured: func(t *testing.T) {
			const wait = 30 * time.Millisecond
			var delay time.Duration
			watch := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
				if e.Kind == middleware.EventRetryScheduled && e.Class == strategies.ClassRateLimited {
					delay = e.Delay
				}
			})
			s := p.serve(t, inn("a stranger"), says(429, "slow down", "Retry-After-Ms", "30"))
			got, err := call(t, connect(t, client(t, nil, func(b *mcp.Builder) { b.Retry(soon).Observe(watch) }), s), "look")
			answered(t, got, err, "a stranger")
			if delay < wait {
				t.Errorf("it waited %v where the server asked for %v", delay, wait)
			}
			requests(t, s, 2)
		},
		conformance.QuotaGoesOn: func(t *testing.T) {
			s, mirror := p.serve(t, inn("a stranger"), refuses(402, "-32000", "no credit")), p.serve(t, inn("a mirrored stranger"))
			second := connect(t, client(t, nil, retrying), mirror)
			got, err := call(t, connect(t, client(t, nil, func(b *mcp.Builder) {
				b.Retry(soon).Fallback("mirror", mcp.Session(second))
			}), s), "look")
			answered(t, got, err, "a mirrored stranger")
			requests(t, s, 1)
			requests(t, mirror, 1)
		},
		conformance.HangTimesOut: func(t *testing.T) {
			s := p.serve(t, inn("a stranger"), hangs)
			got, err := call(t, connect(t, client(t, nil, func(b *mcp.Builder) { b.Retry(soon).Timeout(500 * time.Millisecond) }), s), "look")
			answered(t, got, err, "a stranger")
			requests(t, s, 2)
		},
		conformance.StreamCut:          func(t *testing.T) { streamCut(t, p) },
		conformance.InterruptUntouched: func(t *testing.T) { interruptUntouched(t, p) },
		conformance.AllDownDegraded: func(t *testing.T) {
			down := says(503, "busy")
			s, mirror := p.serve(t, inn(""), down, down, down), p.serve(t, inn(""), down)
			second := connect(t, client(t, nil, nil), mirror)
			got, err := call(t, connect(t, client(t, nil, func(b *mcp.Builder) {
				b.Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{time.Millisecond}}).
					Fallback("mirror", mcp.Session(second)).
					Degrade(strategies.LevelReduced, mcp.Reply("it is dark"))
			}), s), "look")
			answered(t, got, err, "it is dark")
			if got.Meta[mcp.MetaLevel] != "reduced" || got.Meta[mcp.MetaServedBy] != "reduced answer" {
				t.Errorf("the answer is marked %v", got.Meta)
			}
			requests(t, s, 3)
			requests(t, mirror, 1)
		},
	}, map[conformance.Case]string{
		conformance.OverflowToLarger: "a tool has no context window",
	})
}

// A tool's answer is one message, also where it comes in a stream of events:
// what is cut is cut before it.
func streamCut(t *testing.T, p protocol) {
	t.Run("it retries a call whose stream is cut", func(t *testing.T) {
		s := p.serve(t, inn("a stranger"), cuts)
		got, err := call(t, connect(t, client(t, nil, retrying), s), "look")
		answered(t, got, err, "a stranger")
		requests(t, s, 2)
	})
	t.Run("it does not retry one that may have paid", func(t *testing.T) {
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
