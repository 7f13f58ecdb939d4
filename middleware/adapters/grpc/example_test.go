package grpc_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	sdk "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/grpc"
	"github.com/understudy-go/understudy/strategies"
)

// tired is a health service that is well at every second request.
type tired struct {
	health.UnimplementedHealthServer
	requests int
}

func (s *tired) Check(context.Context, *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	if s.requests++; s.requests%2 == 1 {
		busy, err := status.New(codes.ResourceExhausted, "slow down").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(20 * time.Millisecond)})
		if err != nil {
			return nil, err
		}
		return nil, busy.Err()
	}
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, nil
}

func (s *tired) Watch(_ *health.HealthCheckRequest, stream sdk.ServerStreamingServer[health.HealthCheckResponse]) error {
	if s.requests++; s.requests%2 == 1 {
		return status.Error(codes.Unavailable, "restarting")
	}
	return stream.Send(&health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING})
}

func listen() (address string, stop func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := sdk.NewServer()
	health.RegisterHealthServer(server, &tired{})
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), server.Stop
}

func Example() {
	address, stop := listen()
	defer stop()

	waits := middleware.ObserverFunc(func(_ context.Context, e middleware.Event) {
		if e.Kind == middleware.EventRetryScheduled {
			fmt.Println(e.Class, "for", e.Delay)
		}
	})
	layers, err := grpc.DialOptions(func(b *grpc.Builder) {
		b.Named("health").
			Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
			CircuitBreaker(&strategies.Breaker{}).
			Timeout(10 * time.Second).
			Observe(waits)
	})
	if err != nil {
		log.Fatal(err)
	}
	cc, err := sdk.NewClient(address, append(layers, sdk.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()
	got, err := health.NewHealthClient(cc).Check(context.Background(), &health.HealthCheckRequest{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(got.Status)
	// Output:
	// rate_limited for 20ms
	// SERVING
}

func ExampleStream() {
	address, stop := listen()
	defer stop()
	cc, err := sdk.NewClient(address, sdk.WithDisableRetry(), sdk.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer cc.Close()

	watch, err := middleware.WrapStream(grpc.Stream(health.NewHealthClient(cc).Watch)).
		Retry(strategies.Retry{Backoff: strategies.Delays{time.Millisecond}}).
		Timeout(10 * time.Second). // until the first message
		Build()
	if err != nil {
		log.Fatal(err)
	}
	stream, outcome := watch.Outcome(context.Background(), &health.HealthCheckRequest{})
	for message, err := range stream {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(message.Status)
	}
	fmt.Println(outcome().Strategy, outcome().Attempts)
	// Output:
	// SERVING
	// retry 2
}
