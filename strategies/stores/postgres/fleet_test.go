package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-go/understudy/internal/fleettest"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/postgres"
)

func TestMain(m *testing.M) {
	fleettest.Main(m, func(ctx context.Context, at string) (strategies.Store, error) {
		p, err := pgxpool.New(ctx, at+"&pool_max_conns=3")
		if err != nil {
			return nil, err
		}
		return postgres.Open(ctx, p)
	})
}

// Ten processes with four callers each, over a real server.
func TestFleetOfProcesses(t *testing.T) {
	fleettest.Newcomer(t, func(t *testing.T) fleettest.Server {
		t.Helper()
		s := install(t)
		s.start()
		return fleettest.Server{At: s.url(), Kill: s.stop}
	})
}

func TestKilledInTheMidstOfWrites(t *testing.T) {
	s := install(t)
	fleettest.Crash(t, fleettest.Engine{
		Start: func(t *testing.T) { t.Helper(); s.start() },
		Kill: func(*testing.T) {
			// All its processes: what is left of them would keep the next one out.
			_, _ = s.cmd.Process.Kill(), s.cmd.Wait()
			s.cmd = nil
		},
		Open: func(t *testing.T) strategies.Store { t.Helper(); return open(t, s.url()) },
	})
}
