package grpc_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	sdk "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/understudy-go/understudy/internal/conformance"
	"github.com/understudy-go/understudy/middleware/adapters/grpc"
)

var soon = conformance.Soon

const (
	up   = health.HealthCheckResponse_SERVING
	down = health.HealthCheckResponse_NOT_SERVING
	none = health.HealthCheckResponse_SERVICE_UNKNOWN
)

func answer(s health.HealthCheckResponse_ServingStatus) *health.HealthCheckResponse {
	return &health.HealthCheckResponse{Status: s}
}

// fault is what a request meets: an error, after some messages of a stream.
type fault struct {
	after int
	hang  bool
	left  chan struct{} // the stream stays open; closed when its reader has left
	err   error
}

func fails(code codes.Code, details ...protoadapt.MessageV1) fault {
	s, err := status.New(code, "no").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return fault{err: s.Err()}
}

func retryInfo(d time.Duration) protoadapt.MessageV1 {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(d)}
}

// server is the health service of gRPC with a script: request n meets fault n,
// and those after it an answer.
type server struct {
	health.UnimplementedHealthServer
	address  string
	status   health.HealthCheckResponse_ServingStatus
	faults   []fault
	requests atomic.Int32
}

func serve(t testing.TB, s health.HealthCheckResponse_ServingStatus, faults ...fault) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	own := &server{address: listener.Addr().String(), status: s, faults: faults}
	service := sdk.NewServer()
	health.RegisterHealthServer(service, own)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = service.Serve(listener)
	}()
	t.Cleanup(func() { service.Stop(); <-done })
	return own
}

func (s *server) meet(ctx context.Context) fault {
	f := fault{}
	if n := int(s.requests.Add(1)); n <= len(s.faults) {
		f = s.faults[n-1]
	}
	if f.hang {
		<-ctx.Done()
		f.err = status.FromContextError(ctx.Err()).Err()
	}
	return f
}

func (s *server) Check(ctx context.Context, _ *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	if f := s.meet(ctx); f.err != nil {
		return nil, f.err
	}
	return answer(s.status), nil
}

// Watch sends three messages, or as many as come before a fault.
func (s *server) Watch(_ *health.HealthCheckRequest, stream sdk.ServerStreamingServer[health.HealthCheckResponse]) error {
	f := s.meet(stream.Context())
	if f.err == nil && f.left == nil {
		f.after = 3
	}
	for range f.after {
		if err := stream.Send(answer(s.status)); err != nil {
			return err
		}
	}
	if f.left != nil {
		<-stream.Context().Done()
		close(f.left)
	}
	return f.err
}

// dial connects with layers, if there are settings.
func dial(t testing.TB, s *server, settings func(*grpc.Builder), options ...sdk.DialOption) *sdk.ClientConn {
	t.Helper()
	options = append(options, sdk.WithTransportCredentials(insecure.NewCredentials()))
	if settings != nil {
		layers, err := grpc.DialOptions(settings)
		if err != nil {
			t.Fatal(err)
		}
		options = append(options, layers...)
	}
	cc, err := sdk.NewClient(s.address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

func check(t testing.TB, cc *sdk.ClientConn) (*health.HealthCheckResponse, error) {
	t.Helper()
	return health.NewHealthClient(cc).Check(t.Context(), &health.HealthCheckRequest{})
}
