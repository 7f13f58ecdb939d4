package grpc_test

import (
	"context"
	"errors"
	"testing"
	"time"

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

// handsOn plays a fault that the same server is not asked again after.
func handsOn(f fault) func(*testing.T) {
	return func(t *testing.T) {
		first, second := serve(t, up, f), serve(t, down)
		other := dial(t, second, retrying)
		got, err := check(t, dial(t, first, func(b *grpc.Builder) { retrying(b); b.Fallback("other", grpc.Conn(other)) }))
		answered(t, got, err, down)
		requests(t, "health", first, 1)
		requests(t, "other", second, 1)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	conformance.Run(t, map[conformance.Case]func(*testing.T){
		conformance.TransientThenSuccess: func(t *testing.T) {
			s := serve(t, up, fails(codes.Unavailable))
			got, err := check(t, dial(t, s, retrying))
			answered(t, got, err, up)
			requests(t, "health", s, 2)
		},
		conformance.RateLimitHonoured: func(t *testing.T) {
			const wait = 30 * time.Millisecond
			var delay time.Duration
			watch := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
				if e.Kind == middleware.EventRetryScheduled && e.Class == strategies.ClassRateLimited {
					delay = e.Delay
				}
			})
			s := serve(t, up, fails(codes.ResourceExhausted, retryInfo(wait)))
			got, err := check(t, dial(t, s, func(b *grpc.Builder) { b.Retry(soon).Observe(watch) }))
			answered(t, got, err, up)
			if delay < wait {
				t.Errorf("it waited %v where the server asked for %v", delay, wait)
			}
			requests(t, "health", s, 2)
		},
		conformance.QuotaGoesOn: handsOn(fails(codes.ResourceExhausted, &errdetails.QuotaFailure{
			Violations: []*errdetails.QuotaFailure_Violation{{QuotaId: "RequestsPerDayPerProject"}},
		})),
		conformance.OverflowToLarger: handsOn(fails(codes.InvalidArgument, &errdetails.ErrorInfo{Reason: "context_length_exceeded"})),
		conformance.HangTimesOut: func(t *testing.T) {
			s := serve(t, up, fault{hang: true})
			got, err := check(t, dial(t, s, func(b *grpc.Builder) { b.Retry(soon).Timeout(500 * time.Millisecond) }))
			answered(t, got, err, up)
			requests(t, "health", s, 2)
		},
		conformance.StreamCut:          streamCut,
		conformance.InterruptUntouched: interruptUntouched,
		conformance.AllDownDegraded: func(t *testing.T) {
			busy := fails(codes.Unavailable)
			first, second := serve(t, up, busy, busy, busy), serve(t, up, busy)
			agent := grpc.Unary(health.NewHealthClient(dial(t, first, nil)).Check)
			other := grpc.Unary(health.NewHealthClient(dial(t, second, nil)).Check)
			g, err := middleware.Wrap(agent).Named("health").
				Retry(strategies.Retry{MaxRetries: 2, Backoff: strategies.Delays{time.Millisecond}}).
				Fallback("other", other).
				Degrade(strategies.LevelReduced, middleware.Func(func(context.Context, *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
					return answer(none), nil
				})).Build()
			if err != nil {
				t.Fatal(err)
			}
			o := g.Outcome(t.Context(), &health.HealthCheckRequest{})
			answered(t, o.Value, o.Err, none)
			if o.Level != strategies.LevelReduced || o.Strategy != strategies.StrategyDegradation || o.Attempts != 5 {
				t.Errorf("the answer is marked %v, %v, %d attempts", o.Level, o.Strategy, o.Attempts)
			}
			requests(t, "health", first, 3)
			requests(t, "other", second, 1)
		},
	}, nil)
}

func streamCut(t *testing.T) {
	for it, tt := range map[string]struct {
		after, chunks, requests int
	}{
		"retries one cut before its first message": {0, 3, 2},
		"ends one cut after its first message":     {1, 1, 1},
	} {
		t.Run("it "+it, func(t *testing.T) {
			f := fails(codes.Unavailable)
			f.after = tt.after
			s := serve(t, up, f)
			g, err := middleware.WrapStream(grpc.Stream(health.NewHealthClient(dial(t, s, nil)).Watch)).Retry(soon).Build()
			if err != nil {
				t.Fatal(err)
			}
			chunks, err := middleware.Collect(g.Stream(t.Context(), &health.HealthCheckRequest{}))
			if len(chunks) != tt.chunks {
				t.Errorf("%d messages", len(chunks))
			}
			if cut := strategies.Classify(err).Class == strategies.ClassCutOff; cut != (tt.after > 0) || !cut && err != nil {
				t.Errorf("got %v", err)
			}
			requests(t, "health", s, tt.requests)
		})
	}
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
			Classify(&strategies.Classifier{Rules: []strategies.Rule{approval}})
	}))
	if approval(err) != strategies.ClassInterrupt || errors.Is(err, strategies.ErrRecovery) {
		t.Errorf("got %v", err)
	}
	requests(t, "health", s, 1)
}
