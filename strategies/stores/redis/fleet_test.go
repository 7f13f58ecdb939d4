package redis_test

import (
	"context"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/understudy-go/understudy/internal/fleettest"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/redis"
)

func TestMain(m *testing.M) {
	fleettest.Main(m, func(ctx context.Context, at string) (strategies.Store, error) {
		return redis.Open(ctx, goredis.NewClient(&goredis.Options{Addr: at}), redis.Name("fleet"))
	})
}

// Ten processes with four callers each, over a real server.
func TestFleetOfProcesses(t *testing.T) {
	fleettest.Newcomer(t, func(t *testing.T) fleettest.Server {
		t.Helper()
		port := freePort(t)
		return fleettest.Server{At: "127.0.0.1:" + port, Kill: serve(t, t.TempDir(), port)}
	})
}
