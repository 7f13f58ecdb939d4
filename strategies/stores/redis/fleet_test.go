package redis_test

import (
	"context"
	"os/exec"
	"testing"
	"time"

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

// With appendfsync everysec a killed server loses what it has acknowledged while a sync
// was under way, some tens of milliseconds of it here.
func TestKilledInTheMidstOfWrites(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	var server *exec.Cmd
	fleettest.Crash(t, fleettest.Engine{
		Start: func(t *testing.T) {
			t.Helper()
			program, err := exec.LookPath("redis-server")
			if err != nil {
				t.Skip("SKIPPED, NOT PASSED: there is no redis-server on PATH")
			}
			server = exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			this := server
			t.Cleanup(func() { _, _ = this.Process.Kill(), this.Wait() })
			for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
				client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:" + port, MaxRetries: -1})
				err := client.Ping(t.Context()).Err()
				_ = client.Close()
				if err == nil {
					return
				}
				if time.Since(began) > 20*time.Second {
					t.Fatal("redis-server did not start")
				}
			}
		},
		Kill: func(*testing.T) { _, _ = server.Process.Kill(), server.Wait() },
		Open: func(t *testing.T) strategies.Store { t.Helper(); return open(t, "127.0.0.1:"+port, redis.Name("x")) },
	})
}
