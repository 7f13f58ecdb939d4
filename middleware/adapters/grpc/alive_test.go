package grpc_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	sdk "google.golang.org/grpc"
	health "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/middleware/adapters/grpc"
)

// slow is a stream whose messages are a while apart.
type slow struct {
	sdk.ClientStream
	ctx  context.Context
	left int
	step time.Duration
}

func (s *slow) RecvMsg(any) error {
	if s.left--; s.left < 0 {
		return io.EOF
	}
	select {
	case <-time.After(s.step):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *slow) Recv() (*health.HealthCheckResponse, error) {
	m := &health.HealthCheckResponse{}
	return m, s.RecvMsg(m)
}

// An agent that reads a stream has longer than its silence for as long as messages
// come, by a client made with DialOptions and by the agent of a method.
func TestMessagesAreSignsOfLife(t *testing.T) {
	byClient := func(ctx context.Context, step time.Duration) error {
		stream, err := grpc.AliveInterceptor()(ctx, nil, nil, "watch", func(ctx context.Context, _ *sdk.StreamDesc, _ *sdk.ClientConn, _ string, _ ...sdk.CallOption) (sdk.ClientStream, error) {
			return &slow{ctx: ctx, left: 10, step: step}, nil
		})
		for err == nil {
			err = stream.RecvMsg(nil)
		}
		if err == io.EOF { //nolint:errorlint // it is bare
			return nil
		}
		return err
	}
	byMethod := func(ctx context.Context, step time.Duration) error {
		watch := func(ctx context.Context, _ *health.HealthCheckRequest, _ ...sdk.CallOption) (sdk.ServerStreamingClient[health.HealthCheckResponse], error) {
			return &slow{ctx: ctx, left: 10, step: step}, nil
		}
		_, err := middleware.Collect(grpc.Stream(watch).Stream(ctx, nil))
		return err
	}
	for it, read := range map[string]func(context.Context, time.Duration) error{"by a client": byClient, "by a method": byMethod} {
		for step, works := range map[time.Duration]bool{50 * time.Second: true, 2 * time.Minute: false} {
			t.Run(it+", every "+step.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					agent := func(ctx context.Context, _ string) (string, error) { return "", read(ctx, step) }
					g := middleware.Must(middleware.WrapFunc(agent).TimeoutWhileAlive(time.Minute, time.Hour).Build())
					if _, err := g.Run(t.Context(), ""); (err == nil) != works {
						t.Errorf("got %v", err)
					}
				})
			})
		}
	}
	if options, err := grpc.DialOptions(nil); err != nil || len(options) != 3 {
		t.Errorf("%d options, %v", len(options), err)
	}
}
