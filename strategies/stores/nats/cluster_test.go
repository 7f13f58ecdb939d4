package nats_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/nats"
	"github.com/understudy-go/understudy/strategies/stores/storetest"
)

// cluster runs three servers on loopback.
func cluster(t *testing.T) []*server.Server {
	t.Helper()
	var routes []*url.URL
	ports := make([]int, 3)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = l.Addr().(*net.TCPAddr).Port
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var all []*server.Server
	for i, port := range ports {
		srv, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("node", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			Cluster: server.ClusterOpts{Name: "tavern", Host: "127.0.0.1", Port: port}, Routes: routes,
			JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
		all = append(all, srv)
		go srv.Start()
	}
	for _, srv := range all {
		if !srv.ReadyForConnections(20 * time.Second) {
			t.Fatal("a server did not start")
		}
	}
	eventually(t, "a leader", func() bool {
		for _, srv := range all {
			if srv.JetStreamIsLeader() && len(srv.JetStreamClusterPeers()) == 3 {
				return true
			}
		}
		return false
	})
	return all
}

func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for began := time.Now(); !done(); {
		if time.Since(began) > 60*time.Second {
			t.Fatalf("there is no %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// openOn opens a store in a cluster that may still be busy with itself.
func openOn(t *testing.T, all []*server.Server) (s *nats.Store) {
	t.Helper()
	var urls []string
	for _, srv := range all {
		urls = append(urls, srv.ClientURL())
	}
	eventually(t, "store", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var err error
		s, err = nats.Open(ctx, nats.URL(strings.Join(urls, ",")), nats.Replicas(3))
		return err == nil
	})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Of three the leader dies. What was confirmed is there, whoever writes can go on, and a
// watch learns of everything.
func TestALeaderDies(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers take some seconds")
	}
	ctx := t.Context()
	all := cluster(t)
	a, b := openOn(t, all), openOn(t, all)
	ch, err := b.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	confirmed := map[string]uint64{}
	write := func(i int) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		key := fmt.Sprint("k", i)
		r, err := a.Put(ctx, strategies.Write{Key: key, Value: []byte(key)})
		if errors.Is(err, strategies.ErrConflict) { // of an attempt of which nobody knew the end
			r, err = a.Get(ctx, key)
		}
		if err == nil {
			confirmed[key] = r.Revision
		}
		return err
	}
	for i := range 50 {
		if err := write(i); err != nil {
			t.Fatal(err)
		}
	}
	for _, srv := range all {
		acc := srv.GlobalAccount()
		if srv.JetStreamIsStreamLeader(acc.GetName(), "KV_understudy") {
			srv.Shutdown()
			srv.WaitForShutdown()
			break
		}
	}
	for i := 50; i < 100; i++ {
		eventually(t, "write", func() bool { return write(i) == nil })
	}
	for key, revision := range confirmed {
		r, err := b.Get(ctx, key)
		if err != nil || r.Revision != revision || string(r.Value) != key {
			t.Fatalf("%s is %v, %v, was confirmed with revision %d", key, r, err, revision)
		}
	}
	told := map[string]uint64{}
	late := time.After(time.Minute)
	for len(told) < len(confirmed) {
		select {
		case c := <-ch:
			if c.Kind == strategies.ChangePut {
				told[c.Record.Key] = c.Record.Revision
			}
		case <-late:
			t.Fatalf("told of %d records of %d", len(told), len(confirmed))
		}
	}
	for key, revision := range confirmed {
		if told[key] != revision {
			t.Errorf("%s: told revision %d, want %d", key, told[key], revision)
		}
	}
}

// The contract, where every record is on three servers.
func TestConformanceOfACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers take some seconds")
	}
	var urls []string
	for _, srv := range cluster(t) {
		urls = append(urls, srv.ClientURL())
	}
	buckets := 0
	in := func(t testing.TB, bucket string) (s *nats.Store) {
		eventually(t, "store", func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			var err error
			s, err = nats.Open(ctx, nats.URL(strings.Join(urls, ",")), nats.Replicas(3), nats.Bucket(bucket))
			return err == nil
		})
		return s
	}
	storetest.Run(t, func(t testing.TB) strategies.Store {
		buckets++
		return in(t, fmt.Sprint("one", buckets))
	})
	storetest.RunReplicas(t, func(t testing.TB) (a, b strategies.Store) {
		buckets++
		bucket := fmt.Sprint("both", buckets)
		return in(t, bucket), in(t, bucket)
	})
}

// A server goes and comes back with its folder: a watch says that it was lost, and then
// what has changed.
func TestAServerGoesAndComesBack(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	run := func(port int) *server.Server {
		srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
		if err != nil {
			t.Fatal(err)
		}
		srv.Start()
		if !srv.ReadyForConnections(20 * time.Second) {
			t.Fatal("the server did not start")
		}
		return srv
	}
	srv := run(server.RANDOM_PORT)
	defer func() { srv.Shutdown(); srv.WaitForShutdown() }()
	port := srv.Addr().(*net.TCPAddr).Port
	s := open(t, nats.URL(srv.ClientURL()))
	if _, err := s.Put(ctx, strategies.Write{Key: "a", Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	ch, err := s.Watch(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	next := func(kind strategies.ChangeKind) strategies.Change {
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
	next(strategies.ChangeCurrent)
	srv.Shutdown()
	srv.WaitForShutdown()
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := s.Get(short, "a"); !errors.Is(err, strategies.ErrUnavailable) || errors.Is(err, strategies.ErrNotFound) {
		t.Fatalf("of a server that is gone: %v", err)
	}
	if c := next(strategies.ChangeLost); !errors.Is(c.Err, strategies.ErrUnavailable) {
		t.Fatalf("lost for %v", c.Err)
	}
	srv = run(port)
	next(strategies.ChangeCurrent)
	other := open(t, nats.URL(srv.ClientURL()))
	want, err := other.Put(ctx, strategies.Write{Key: "b", Value: []byte("2")})
	if err != nil {
		t.Fatal(err)
	}
	if c := next(strategies.ChangePut); c.Record.Key != "b" || c.Record.Revision != want.Revision {
		t.Fatalf("told %v, want %v", c.Record, want)
	}
}
