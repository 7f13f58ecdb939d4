package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/redis"
	"github.com/understudy-go/understudy/strategies/stores/storetest"
)

var names atomic.Int64

// open opens a store of its own name.
func open(t testing.TB, addr string, options ...redis.Option) *redis.Store {
	t.Helper()
	client := goredis.NewUniversalClient(&goredis.UniversalOptions{Addrs: []string{addr}})
	t.Cleanup(func() { _ = client.Close() })
	if options == nil {
		options = []redis.Option{redis.Name(fmt.Sprint("store", names.Add(1)))}
	}
	s, err := redis.Open(context.Background(), client, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// imitation is a Redis in this process.
func imitation(t testing.TB) *miniredis.Miniredis {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestConformanceOnAnImitation(t *testing.T) {
	storetest.Run(t, func(t testing.TB) strategies.Store { return open(t, imitation(t).Addr()) })
}

func TestReplicasOnAnImitation(t *testing.T) {
	storetest.RunReplicas(t, func(t testing.TB) (a, b strategies.Store) {
		m := imitation(t)
		return open(t, m.Addr(), redis.Name("x")), open(t, m.Addr(), redis.Name("x"))
	})
}

// serve starts a redis-server on loopback, which keeps its data in dir.
func serve(t testing.TB, dir, port string) (stop func()) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("SKIPPED, NOT PASSED: there is no redis-server on PATH; only an imitation of Redis was tested")
	}
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:" + port})
	defer client.Close()
	for began := time.Now(); client.Ping(t.Context()).Err() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("redis-server did not start")
		}
	}
	return stop
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

func TestConformance(t *testing.T) {
	port := freePort(t)
	serve(t, t.TempDir(), port)
	storetest.Run(t, func(t testing.TB) strategies.Store { return open(t, "127.0.0.1:"+port) })
	storetest.RunReplicas(t, func(t testing.TB) (a, b strategies.Store) {
		name := redis.Name(fmt.Sprint("both", names.Add(1)))
		return open(t, "127.0.0.1:"+port, name), open(t, "127.0.0.1:"+port, name)
	})
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

func TestAServerGoesAndComesBack(t *testing.T) {
	ctx, dir, port := t.Context(), t.TempDir(), freePort(t)
	stop := serve(t, dir, port)
	s := open(t, "127.0.0.1:"+port, redis.Name("x"))
	kept, err := s.Put(ctx, strategies.Write{Key: "a", Value: []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, ch, strategies.ChangeCurrent)
	stop()
	if _, err := s.Get(ctx, "a"); !errors.Is(err, strategies.ErrUnavailable) || errors.Is(err, strategies.ErrNotFound) {
		t.Fatalf("of a server that is gone: %v", err)
	}
	if c := wait(t, ch, strategies.ChangeLost); !errors.Is(c.Err, strategies.ErrUnavailable) {
		t.Fatalf("lost for %v", c.Err)
	}
	serve(t, dir, port)
	wait(t, ch, strategies.ChangeCurrent)
	if r, err := open(t, "127.0.0.1:"+port, redis.Name("x")).Put(ctx, strategies.Write{Key: "a", Value: []byte("2"), Revision: kept.Revision}); err != nil || r.Revision <= kept.Revision {
		t.Fatalf("%v, %v", r, err)
	}
	if c := wait(t, ch, strategies.ChangePut); string(c.Record.Value) != "2" {
		t.Fatalf("told %v", c.Record)
	}
}

// Whoever lost all data gives higher revisions all the same: tokens that are out there
// stay old.
func TestRevisionsGrowAfterEverythingIsLost(t *testing.T) {
	ctx, m := t.Context(), imitation(t)
	s := open(t, m.Addr())
	before, err := s.Put(ctx, strategies.Write{Key: "a"})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, ch, strategies.ChangeCurrent)
	m.FlushAll()
	after, err := s.Put(ctx, strategies.Write{Key: "a"})
	if err != nil || after.Revision <= before.Revision {
		t.Fatalf("revision %d after %d, %v", after.Revision, before.Revision, err)
	}
	if c := wait(t, ch, strategies.ChangePut); c.Record.Revision != after.Revision {
		t.Fatalf("told %v", c.Record)
	}
}

// Nothing rests on what is published: without it a watch is late, and complete.
func TestAWatchWithoutNotices(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for a poll")
	}
	ctx, m := t.Context(), imitation(t)
	s := open(t, m.Addr(), redis.Name("x"))
	ch, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, ch, strategies.ChangeCurrent)
	m.HSet("{x}:r:silent", "r", "7", "x", "", "v", "hello") // by a hand that publishes nothing
	if _, err := m.ZAdd("{x}:keys", 0, "=silent"); err != nil {
		t.Fatal(err)
	}
	if c := wait(t, ch, strategies.ChangePut); c.Record.Key != "silent" || string(c.Record.Value) != "hello" {
		t.Fatalf("told %v", c.Record)
	}
	m.Del("{x}:r:silent")
	wait(t, ch, strategies.ChangeGone)
}

func TestWhatRedisSaysIsWithinReach(t *testing.T) {
	ctx, m := t.Context(), imitation(t)
	s := open(t, m.Addr())
	m.SetError("LOADING Redis is loading the dataset in memory")
	_, err := s.Get(ctx, "a")
	said := goredis.Error(nil)
	if !errors.Is(err, strategies.ErrUnavailable) || !errors.As(err, &said) {
		t.Fatal(err)
	}
	m.SetError("OOM command not allowed when used memory > 'maxmemory'.")
	if _, err := s.Put(ctx, strategies.Write{Key: "a"}); !errors.Is(err, strategies.ErrTooLarge) {
		t.Fatal(err)
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	client := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer client.Close()
	if _, err := redis.Open(t.Context(), nil); !errors.Is(err, strategies.ErrConfig) {
		t.Error(err)
	}
	if _, err := redis.Open(t.Context(), client, redis.Name("{a}")); !errors.Is(err, strategies.ErrConfig) {
		t.Error(err)
	}
	if _, err := redis.Open(t.Context(), client); !errors.Is(err, strategies.ErrUnavailable) {
		t.Error(err)
	}
}
