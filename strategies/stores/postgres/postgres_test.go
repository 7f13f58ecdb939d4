package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/postgres"
	"github.com/understudy-go/understudy/strategies/stores/storetest"
)

// server is a PostgreSQL on loopback, with its data in a folder of the test's.
type server struct {
	t        testing.TB
	programs string
	dir      string
	port     string
	as       *syscall.SysProcAttr
	cmd      *exec.Cmd
}

// install makes a server that does not run yet.
func install(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, programs: programs(), dir: filepath.Join(t.TempDir(), "data"), port: freePort(t)}
	if s.programs == "" {
		t.Skip("SKIPPED, NOT PASSED: there is no PostgreSQL (initdb, postgres) on PATH nor in /usr/lib/postgresql; nothing was tested")
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.unprivileged()
	out, err := s.command("initdb", "-D", s.dir, "-U", "tavern", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	return s
}

func programs() string {
	var where []string
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			where = append(where, filepath.Dir(p))
		}
	}
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, dir := range append(where, versions...) {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir
		}
	}
	return ""
}

// unprivileged: PostgreSQL does not run as root.
func (s *server) unprivileged() {
	if os.Geteuid() != 0 {
		return
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		for dir := filepath.Dir(s.dir); dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
			_ = os.Chmod(dir, 0o755) // so that it finds the way
		}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			s.t.Fatal(err)
		}
		s.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return
	}
	s.t.Skip("SKIPPED, NOT PASSED: PostgreSQL does not run as root, and there is nobody else; nothing was tested")
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.programs, name), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, s.as
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return cmd
}

func (s *server) start() {
	s.t.Helper()
	log, err := os.CreateTemp(s.t.TempDir(), "log")
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = s.command("postgres", "-D", s.dir, "-p", s.port, "-h", "127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=200")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.stop)
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		conn, err := pgconn.Connect(s.t.Context(), s.url())
		if err == nil {
			_ = conn.Close(s.t.Context())
			return
		}
		if time.Since(began) > 30*time.Second {
			said, _ := os.ReadFile(log.Name())
			s.t.Fatalf("PostgreSQL did not start: %v\n%s", err, said)
		}
	}
}

func (s *server) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGINT) // at once, and in order
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) url() string {
	return "postgres://tavern@127.0.0.1:" + s.port + "/postgres?sslmode=disable"
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func pool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 8
	p, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

var tables atomic.Int64

func open(t testing.TB, url string, options ...postgres.Option) *postgres.Store {
	t.Helper()
	if options == nil {
		options = []postgres.Option{postgres.Table("", fmt.Sprint("store", tables.Add(1)))}
	}
	s, err := postgres.Open(context.Background(), pool(t, url), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// All on one server, which takes some seconds to make.
func TestPostgres(t *testing.T) {
	server := install(t)
	server.start()
	url := server.url()
	t.Run("conformance", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) strategies.Store { return open(t, url) })
	})
	t.Run("conformance without notices", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) strategies.Store {
			return open(t, url, postgres.PollEvery(20*time.Millisecond), postgres.Table("", fmt.Sprint("polled", tables.Add(1))))
		})
	})
	t.Run("replicas", func(t *testing.T) {
		storetest.RunReplicas(t, func(t testing.TB) (a, b strategies.Store) {
			table := postgres.Table("agents", fmt.Sprint("both", tables.Add(1)))
			return open(t, url, table), open(t, url, table)
		})
	})
	t.Run("16 open one table at once", func(t *testing.T) { openAtOnce(t, url) })
	t.Run("a role that may not make tables", func(t *testing.T) { unprivileged(t, url) })
	t.Run("odd names", func(t *testing.T) {
		s := open(t, url, postgres.Table(`ag'en"ts; --`, `re'co"rds`))
		if _, err := s.Put(t.Context(), strategies.Write{Key: "a"}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("the example", func(t *testing.T) {
		for i, want := range []string{"sent", "was sent before"} {
			if got, err := sendOnce(t.Context(), pool(t, url), "letter 17"); err != nil || got != want {
				t.Fatalf("time %d: %q, %v, want %q", i+1, got, err, want)
			}
		}
	})
	t.Run("what has expired is swept out", func(t *testing.T) { swept(t, url) })
	t.Run("a server goes and comes back", func(t *testing.T) { comesBack(t, server) })
}

func openAtOnce(t *testing.T, url string) {
	p := pool(t, url)
	errs := make(chan error, 16)
	for range cap(errs) {
		go func() {
			s, err := postgres.Open(context.Background(), p, postgres.Table("at once", "records"))
			if err == nil {
				err = s.Close()
			}
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func unprivileged(t *testing.T, url string) {
	ctx, owner := t.Context(), pool(t, url)
	for _, sql := range []string{
		`CREATE ROLE guest LOGIN`,
		postgres.Schema("lent", "records"),
		`GRANT USAGE ON SCHEMA lent TO guest; GRANT SELECT, INSERT, UPDATE, DELETE ON lent.records TO guest; GRANT USAGE ON SEQUENCE lent.records_revision TO guest`,
	} {
		if _, err := owner.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	url = strings.Replace(url, "tavern@", "guest@", 1)
	s := open(t, url, postgres.Table("lent", "records"))
	r, err := s.Put(ctx, strategies.Write{Key: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, "a", r.Revision); err != nil {
		t.Fatal(err)
	}
	said := (*pgconn.PgError)(nil)
	if _, err := postgres.Open(ctx, pool(t, url), postgres.Table("denied", "records")); !errors.Is(err, strategies.ErrUnavailable) || !errors.As(err, &said) {
		t.Fatal(err)
	}
}

func swept(t *testing.T, url string) {
	ctx := t.Context()
	s := open(t, url, postgres.Table("swept", "records"))
	for i := range 300 {
		if _, err := s.Put(ctx, strategies.Write{Key: fmt.Sprint(i), TTL: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
	var rows int
	if err := pool(t, url).QueryRow(ctx, `SELECT count(*) FROM swept.records`).Scan(&rows); err != nil || rows > 100 {
		t.Fatalf("%d rows, %v", rows, err)
	}
}

// wait reads a watch until a kind of change comes.
func wait(t *testing.T, ch <-chan strategies.Change, kind strategies.ChangeKind) strategies.Change {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case c := <-ch:
			if c.Kind == kind {
				return c
			}
		case <-late:
			t.Fatalf("not told %v", kind)
		}
	}
}

func comesBack(t *testing.T, server *server) {
	ctx, table := t.Context(), postgres.Table("", "restart")
	s := open(t, server.url(), table)
	kept, err := s.Put(ctx, strategies.Write{Key: "a", Value: []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, ch, strategies.ChangeCurrent)
	server.stop()
	if _, err := s.Get(ctx, "a"); !errors.Is(err, strategies.ErrUnavailable) || errors.Is(err, strategies.ErrNotFound) {
		t.Fatalf("of a server that is gone: %v", err)
	}
	if c := wait(t, ch, strategies.ChangeLost); !errors.Is(c.Err, strategies.ErrUnavailable) {
		t.Fatalf("lost for %v", c.Err)
	}
	server.start()
	wait(t, ch, strategies.ChangeCurrent)
	r, err := open(t, server.url(), table).Put(ctx, strategies.Write{Key: "a", Value: []byte("2"), Revision: kept.Revision})
	if err != nil || r.Revision <= kept.Revision {
		t.Fatalf("%v, %v", r, err)
	}
	if c := wait(t, ch, strategies.ChangePut); string(c.Record.Value) != "2" {
		t.Fatalf("told %v", c.Record)
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	nobody := pool(t, "postgres://tavern@127.0.0.1:1/postgres")
	for name, tc := range map[string]struct {
		pool    *pgxpool.Pool
		options []postgres.Option
		want    error
	}{
		"no pool":            {nil, nil, strategies.ErrConfig},
		"no name":            {nobody, []postgres.Option{postgres.Table("", "")}, strategies.ErrConfig},
		"a name too long":    {nobody, []postgres.Option{postgres.Table("", strings.Repeat("x", 60))}, strategies.ErrConfig},
		"a poll too often":   {nobody, []postgres.Option{postgres.PollEvery(3)}, strategies.ErrConfig},
		"a server not there": {nobody, nil, strategies.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := postgres.Open(t.Context(), tc.pool, tc.options...); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}
