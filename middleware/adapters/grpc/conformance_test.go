package grpc_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/grpc"
	"github.com/understudy-go/understudy/strategies"
)

func retrying(b *grpc.Builder) { b.Named("health").Retry(soon) }

func answered(t *testing.T, got *health.HealthCheckResponse, err error, want health.HealthCheckResponse_ServingStatus) {
	t.Helper()
	if err != nil || got.Status != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func requests(t *testing.T, who string, s *server, want int) {
	t.Helper()
	conformance.Requests(t, who, int(s.requests.Load()), want)
}

// servers are a scene's models: each a health service that fails by its script.
// What it says is its status, of which the text is made that the kit expects.
type servers map[string]*server

func (s servers) Requests(model string) int { return int(s[model].requests.Load()) }

func serveAll(t *testing.T, s conformance.Scene[fault]) servers {
	t.Helper()
	all := servers{conformance.Narrator: serve(t, up, s.Script[conformance.Narrator]...)}
	if other := s.StandIn.Model; other != "" {
		all[other] = serve(t, down, s.Script[other]...)
	}
	return all
}

func (s servers) result(got *health.HealthCheckResponse, err error, scene conformance.Scene[fault]) conformance.Result {
	r := conformance.Result{Err: err, Provider: s}
	switch {
	case err != nil:
	case got.Status == up:
		r.Text = conformance.Says(conformance.Narrator)
	case got.Status == down:
		r.Text = conformance.Says(scene.StandIn.Model)
	case got.Status == none: // the rung's
		r.Text, r.Level = scene.Reduced, strategies.LevelReduced
	}
	return r
}

// ways are the two forms of a chain: around all calls of a connection, and around a
// method of a client.
var ways = conformance.Ways[fault]{
	"a connection": func(t *testing.T, s conformance.Scene[fault]) conformance.Result {
		all := serveAll(t, s)
		cc := dial(t, all[conformance.Narrator], func(b *grpc.Builder) {
			conformance.Set(b, s)
			if s.StandIn.Name != "" {
				b.Fallback(s.StandIn.Name, grpc.Conn(dial(t, all[s.StandIn.Model], func(b *grpc.Builder) { b.Named(s.StandIn.Name) })))
			}
			if s.Reduced != "" {
				b.Degrade(strategies.LevelReduced, grpc.Reply(answer(none)))
			}
		})
		got, err := check(t, cc)
		return all.result(got, err, s)
	},
	"a method": func(t *testing.T, s conformance.Scene[fault]) conformance.Result {
		all := serveAll(t, s)
		b := conformance.Set(middleware.Wrap(grpc.Unary(health.NewHealthClient(dial(t, all[conformance.Narrator], nil)).Check)), s)
		if s.StandIn.Name != "" {
			b.Fallback(s.StandIn.Name, grpc.Unary(health.NewHealthClient(dial(t, all[s.StandIn.Model], nil)).Check))
		}
		if s.Reduced != "" {
			b.Degrade(strategies.LevelReduced, middleware.Func(func(context.Context, *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
				return answer(none), nil
			}))
		}
		o := conformance.Built(t, b).Outcome(t.Context(), &health.HealthCheckRequest{})
		r := all.result(o.Value, o.Err, s)
		r.Level, r.Strategy, r.ServedBy, r.Attempts = o.Level, o.Strategy, o.ServedBy, o.Attempts
		return r
	},
}

func TestConformance(t *testing.T) {
	t.Parallel()
	busy := fails(codes.Unavailable)
	later := busy
	later.after = 1
	conformance.Run(t, conformance.Adapter[fault]{
		Faults: conformance.Faults[fault]{
			conformance.Unavailable: {busy},
			conformance.RateLimited: {fails(codes.ResourceExhausted, retryInfo(conformance.Wait))},
			conformance.Quota: {fails(codes.ResourceExhausted, &errdetails.QuotaFailure{
				Violations: []*errdetails.QuotaFailure_Violation{{QuotaId: "RequestsPerDayPerProject"}},
			})},
			conformance.Overflow:   {fails(codes.InvalidArgument, &errdetails.ErrorInfo{Reason: "context_length_exceeded"})},
			conformance.Hang:       {{hang: true}},
			conformance.Overloaded: {busy},
			conformance.Drop:       {busy},
		},
		Ways: ways,
		Cuts: []conformance.Cut[fault]{
			{It: "retries one cut before its first message", Fault: busy, Said: "SERVING SERVING SERVING ", Requests: 2},
			{It: "ends one cut after its first message", Fault: later, Said: "SERVING ", Requests: 1, Behind: strategies.ClassTransient},
		},
		Stream: func(t *testing.T, cut conformance.Cut[fault]) conformance.Result {
			all := serveAll(t, conformance.Scene[fault]{Script: cut.Script()})
			agent := grpc.Stream(health.NewHealthClient(dial(t, all[conformance.Narrator], nil)).Watch)
			return conformance.Heard(t, conformance.Built(t, middleware.WrapStream(agent).Retry(soon)), &health.HealthCheckRequest{}, joined, all)
		},
		Interrupt: interruptUntouched,
	})
}

func joined(messages []*health.HealthCheckResponse) (text string) {
	for _, m := range messages {
		text += m.Status.String() + " "
	}
	return text
}

// gRPC has no pause of its own; a service that has one says so by a status, of
// which a rule makes an interrupt.
func interruptUntouched(t *testing.T) {
	approval := func(err error) strategies.Class {
		if status.Code(err) == codes.FailedPrecondition {
			return strategies.ClassInterrupt
		}
		return strategies.ClassUnclassified
	}
	s := serve(t, up, fails(codes.FailedPrecondition))
	_, err := check(t, dial(t, s, func(b *grpc.Builder) {
		b.Retry(soon).Degrade(strategies.LevelReduced, grpc.Reply(answer(none))).
			Classifier(&strategies.Classifier{Rules: []strategies.Rule{approval}})
	}))
	if approval(err) != strategies.ClassInterrupt || errors.Is(err, strategies.ErrRecovery) {
		t.Errorf("got %v", err)
	}
	requests(t, "health", s, 1)
}
