package grpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	sdk "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/grpc"
	"github.com/understudy-go/understudy/strategies"
)

const config = `{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":4,"initialBackoff":"0.001s","maxBackoff":"0.001s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`

func TestRetriesOfTheServiceConfigAreOff(t *testing.T) {
	t.Parallel()
	busy := fails(codes.Unavailable)
	for it, tt := range map[string]struct {
		settings func(*grpc.Builder)
		want     int
	}{
		"retries by the config without layers": {nil, 4},
		"sends one request with layers":        {func(b *grpc.Builder) { b.Timeout(time.Minute) }, 1},
	} {
		t.Run("it "+it, func(t *testing.T) {
			s := serve(t, up, busy, busy, busy, busy)
			if _, err := check(t, dial(t, s, tt.settings, sdk.WithDefaultServiceConfig(config))); status.Code(err) != codes.Unavailable {
				t.Errorf("got %v", err)
			}
			requests(t, "health", s, tt.want)
		})
	}
}

func TestTheErrorIsAStatus(t *testing.T) {
	t.Parallel()
	open := &strategies.Breaker{}
	open.Isolate()
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, tt := range []struct {
		it       string
		ctx      context.Context
		faults   []fault
		settings func(*grpc.Builder)
		code     codes.Code
		class    strategies.Class
		requests int
	}{
		{"is that of the last attempt", t.Context(), []fault{fails(codes.Unavailable), fails(codes.NotFound)}, retrying, codes.NotFound, strategies.ClassNotFound, 2},
		{"keeps the details", t.Context(), []fault{fails(codes.ResourceExhausted, retryInfo(time.Hour))}, retrying, codes.ResourceExhausted, strategies.ClassRateLimited, 1},
		{"is late for an attempt that hung", t.Context(), []fault{{hang: true}}, func(b *grpc.Builder) { b.Timeout(200 * time.Millisecond) }, codes.DeadlineExceeded, strategies.ClassTimeout, 1},
		{"is unavailable behind an open breaker", t.Context(), nil, func(b *grpc.Builder) { b.CircuitBreaker(open) }, codes.Unavailable, strategies.ClassRejected, 0},
		{"is canceled for a caller who left", gone, nil, retrying, codes.Canceled, strategies.ClassTransient, 0},
		{"is internal for a panic", t.Context(), nil, func(b *grpc.Builder) {
			b.Validate(func(context.Context, grpc.Call, any) error { panic("no") })
		}, codes.Internal, strategies.ClassPanic, 1},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			s := serve(t, up, tt.faults...)
			_, err := health.NewHealthClient(dial(t, s, tt.settings)).Check(tt.ctx, &health.HealthCheckRequest{})
			if e, ok := errors.AsType[*grpc.Error](err); !ok || !errors.Is(e, strategies.ErrRecovery) || status.Code(err) != tt.code {
				t.Fatalf("got %v: %v", status.Code(err), err)
			}
			if got := strategies.Classify(err).Class; got != tt.class {
				t.Errorf("an outer chain takes it for %v", got)
			}
			if tt.it == "keeps the details" {
				if d := status.Convert(err).Details(); len(d) != 1 || d[0].(*errdetails.RetryInfo).RetryDelay.AsDuration() != time.Hour {
					t.Errorf("details %v", d)
				}
			}
			requests(t, "health", s, tt.requests)
		})
	}
}

func TestTheStatusOfACallerWhoLeavesMeanwhile(t *testing.T) {
	t.Parallel()
	s := serve(t, up, fails(codes.Unavailable))
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	_, err := health.NewHealthClient(dial(t, s, func(b *grpc.Builder) {
		b.Retry(strategies.Retry{}).Observe(middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
			if e.Kind == middleware.EventRetryScheduled {
				leave()
			}
		}))
	})).Check(ctx, &health.HealthCheckRequest{})
	if status.Code(err) != codes.Canceled || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v: %v", status.Code(err), err)
	}
	requests(t, "health", s, 1)
}

func TestWrappingKeepsWhatTheConnectionCanDo(t *testing.T) {
	t.Parallel()
	t.Run("it keeps call options, metadata and other interceptors", func(t *testing.T) {
		s := serve(t, up, fails(codes.Unavailable))
		outside, sent := 0, []string(nil)
		other := sdk.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *sdk.ClientConn, next sdk.UnaryInvoker, o ...sdk.CallOption) error {
			outside++
			md, _ := metadata.FromOutgoingContext(ctx)
			sent = md.Get("scene")
			return next(ctx, method, req, reply, cc, o...)
		})
		var header metadata.MD
		ctx := metadata.AppendToOutgoingContext(t.Context(), "scene", "door")
		got, err := health.NewHealthClient(dial(t, s, retrying, other)).Check(ctx, &health.HealthCheckRequest{}, sdk.Header(&header))
		answered(t, got, err, up)
		if outside != 1 || len(sent) != 1 || sent[0] != "door" || len(header.Get("content-type")) != 1 {
			t.Errorf("outside %d, sent %q, header %v", outside, sent, header)
		}
		requests(t, "health", s, 2)
	})
	t.Run("it leaves streams alone", func(t *testing.T) {
		s := serve(t, up)
		stream, err := health.NewHealthClient(dial(t, s, retrying)).Watch(t.Context(), &health.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := stream.Recv()
		answered(t, got, err, up)
	})
	t.Run("it leaves methods alone that are not named", func(t *testing.T) {
		for method, want := range map[string]int{
			health.Health_Check_FullMethodName: 2, "/grpc.health.v1.Health/": 2, health.Health_List_FullMethodName: 1, "/grpc.health.v1.Health/Ch": 1,
		} {
			s := serve(t, up, fails(codes.Unavailable))
			layers, err := grpc.DialOptions(retrying, method)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := check(t, dial(t, s, nil, layers...)); (err == nil) != (want == 2) {
				t.Errorf("%s: %v", method, err)
			}
			requests(t, method, s, want)
		}
	})
	t.Run("it ends a stream whose reader leaves", func(t *testing.T) {
		left := make(chan struct{})
		s := serve(t, up, fault{after: 1, left: left})
		g, err := middleware.WrapStream(grpc.Stream(health.NewHealthClient(dial(t, s, nil)).Watch)).Build()
		if err != nil {
			t.Fatal(err)
		}
		stream, outcome := g.Outcome(t.Context(), &health.HealthCheckRequest{})
		for range stream {
			break
		}
		<-left // the server hears of it while the context goes on
		if o := outcome(); !o.Left || o.Chunks != 1 || o.Err != nil {
			t.Errorf("got %+v", o)
		}
	})
}

func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	busy := fails(codes.Unavailable)
	t.Run("it gives everybody a reduced answer of his own", func(t *testing.T) {
		s, fixed := serve(t, up, busy, busy), answer(none)
		cc := dial(t, s, func(b *grpc.Builder) { b.Degrade(strategies.LevelReduced, grpc.Reply(fixed)) })
		for range 2 {
			got, err := check(t, cc)
			answered(t, got, err, none)
			got.Status = up
		}
		if fixed.Status != none {
			t.Error("a caller has changed the rung")
		}
	})
	t.Run("it leaves nothing of what was in the reply before", func(t *testing.T) {
		cc, reply := dial(t, serve(t, health.HealthCheckResponse_UNKNOWN), retrying), answer(up)
		err := cc.Invoke(t.Context(), health.Health_Check_FullMethodName, &health.HealthCheckRequest{}, reply)
		answered(t, reply, err, health.HealthCheckResponse_UNKNOWN)
	})
	t.Run("it asks a stand-in once, whatever layers that has itself", func(t *testing.T) {
		first, second := serve(t, up, busy), serve(t, down, busy, busy)
		other := dial(t, second, retrying)
		cc := dial(t, first, func(b *grpc.Builder) { b.Fallback("other", grpc.Conn(other)) })
		if _, err := check(t, cc); status.Code(err) != codes.Unavailable {
			t.Errorf("got %v", err)
		}
		requests(t, "other", second, 1)
	})
	t.Run("it refuses an answer of another type", func(t *testing.T) {
		s := serve(t, up, busy)
		_, err := check(t, dial(t, s, func(b *grpc.Builder) { b.Degrade(strategies.LevelReduced, grpc.Reply(&emptypb.Empty{})) }))
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "emptypb.Empty") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it refuses nonsense when the options are made", func(t *testing.T) {
		_, err := grpc.DialOptions(func(b *grpc.Builder) {
			b.Timeout(-1).Fallback("other", grpc.Conn(nil)).Degrade(strategies.LevelReduced, grpc.Reply(nil))
		})
		if !errors.Is(err, strategies.ErrConfig) || !strings.Contains(err.Error(), "Timeout") || !strings.Contains(err.Error(), "other") {
			t.Errorf("got %v", err)
		}
	})
}
