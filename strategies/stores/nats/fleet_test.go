package nats_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/internal/fleettest"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/nats"
)

const (
	envDir  = "UNDERSTUDY_NATS_DIR"
	envPort = "UNDERSTUDY_NATS_PORT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		port, _ := strconv.Atoi(os.Getenv(envPort))
		srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true, NoLog: true})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		srv.Start()
		srv.WaitForShutdown() // or until it is killed
		return
	}
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

func TestKilledInTheMidstOfWrites(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	dir := t.TempDir()
	var process *exec.Cmd
	fleettest.Crash(t, fleettest.Engine{
		Start: func(t *testing.T) {
			t.Helper()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			process = exec.Command(self)
			process.Env = append(os.Environ(), envDir+"="+dir, envPort+"="+port)
			if err := process.Start(); err != nil {
				t.Fatal(err)
			}
			this := process
			t.Cleanup(func() { _, _ = this.Process.Kill(), this.Wait() })
			eventually(t, "server", func() bool {
				conn, err := natsgo.Connect("nats://127.0.0.1:" + port)
				if err == nil {
					conn.Close()
				}
				return err == nil
			})
		},
		Kill: func(*testing.T) { _, _ = process.Process.Kill(), process.Wait() },
		Open: func(t *testing.T) strategies.Store { t.Helper(); return open(t, nats.URL("nats://127.0.0.1:"+port)) },
	})
}
