package nats_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/nats"
	"github.com/understudy-go/understudy/strategies/stores/storetest"
)

func open(t testing.TB, at nats.Where, options ...nats.Option) *nats.Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := nats.Open(ctx, at, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) strategies.Store {
		return open(t, nats.Embedded(t.TempDir()), nats.SyncEvery(time.Minute))
	})
}

// one is a server on loopback.
func one(t testing.TB) (url string) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server did not start")
	}
	return srv.ClientURL()
}

func TestReplicas(t *testing.T) {
	storetest.RunReplicas(t, func(t testing.TB) (a, b strategies.Store) {
		url := one(t)
		return open(t, nats.URL(url)), open(t, nats.URL(url, natsgo.Name("b")))
	})
}

func TestAFolderIsKeptOverARestart(t *testing.T) {
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "made", "by", "open")
	s := open(t, nats.Embedded(dir))
	kept, err := s.Put(ctx, strategies.Write{Key: "kept", Value: []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	leased, err := s.Put(ctx, strategies.Write{Key: "leased", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(ctx, strategies.Write{Key: "short", TTL: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Open(ctx, nats.Embedded(dir)); !errors.Is(err, strategies.ErrUnavailable) {
		t.Fatalf("two have the folder: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, nats.Embedded(dir))
	for _, want := range []strategies.Record{kept, leased} {
		got, err := s.Get(ctx, want.Key)
		if err != nil || got.Revision != want.Revision || string(got.Value) != string(want.Value) || !got.Expires.Equal(want.Expires) {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
	}
	if all, err := s.List(ctx, ""); err != nil || len(all) > 3 {
		t.Fatalf("%v, %v", all, err)
	}
	again, err := s.Put(ctx, strategies.Write{Key: "kept", Value: []byte("2"), Revision: kept.Revision})
	if err != nil || again.Revision <= leased.Revision {
		t.Fatalf("revision %d after %d, %v", again.Revision, leased.Revision, err)
	}
}

func TestBucketsShareNothing(t *testing.T) {
	url := one(t)
	a, b := open(t, nats.URL(url), nats.Bucket("a")), open(t, nats.URL(url), nats.Bucket("b"))
	if _, err := a.Put(t.Context(), strategies.Write{Key: "x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), "x"); !errors.Is(err, strategies.ErrNotFound) {
		t.Fatal(err)
	}
}

func TestAConnectionStaysItsOwners(t *testing.T) {
	conn, err := natsgo.Connect(one(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := open(t, nats.Conn(conn)).Close(); err != nil {
		t.Fatal(err)
	}
	if conn.IsClosed() {
		t.Fatal("it was closed")
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for name, tc := range map[string]struct {
		at      nats.Where
		options []nats.Option
		want    error
	}{
		"nowhere":                {nats.Where{}, nil, strategies.ErrConfig},
		"no name":                {nats.Embedded(t.TempDir()), []nats.Option{nats.Bucket("")}, strategies.ErrConfig},
		"a name that is none":    {nats.Embedded(t.TempDir()), []nats.Option{nats.Bucket("a.b")}, strategies.ErrConfig},
		"too many replicas":      {nats.Embedded(t.TempDir()), []nats.Option{nats.Replicas(7)}, strategies.ErrConfig},
		"replicas of one server": {nats.Embedded(t.TempDir()), []nats.Option{nats.Replicas(3)}, strategies.ErrUnavailable},
		"a negative time":        {nats.Embedded(t.TempDir()), []nats.Option{nats.SyncEvery(-1)}, strategies.ErrConfig},
		"nobody there":           {nats.URL("nats://127.0.0.1:1"), nil, strategies.ErrUnavailable},
		"a folder that is none":  {nats.Embedded("/dev/null/x"), nil, strategies.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := nats.Open(ctx, tc.at, tc.options...); !errors.Is(err, tc.want) {
				t.Errorf("got %v, %v, want %v", s, err, tc.want)
			}
		})
	}
}
