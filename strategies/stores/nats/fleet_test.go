package nats_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/understudy-go/understudy/internal/fleettest"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/nats"
)

func TestMain(m *testing.M) {
	fleettest.Main(m, func(ctx context.Context, at string) (strategies.Store, error) { return nats.Open(ctx, nats.URL(at)) })
}

// Ten processes with four callers each, over a server in this one.
func TestFleetOfProcesses(t *testing.T) {
	fleettest.Newcomer(t, func(t *testing.T) fleettest.Server {
		t.Helper()
		srv, err := server.NewServer(&server.Options{
			Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		stop := func() { srv.Shutdown(); srv.WaitForShutdown() }
		t.Cleanup(stop)
		if !srv.ReadyForConnections(10 * time.Second) {
			t.Fatal("the server did not start")
		}
		return fleettest.Server{At: srv.ClientURL(), Kill: stop}
	})
}
