package fleettest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Engine is a store's server that can be killed (SIGKILL) and started again with what it
// has kept.
type Engine struct {
	Start func(t *testing.T)
	Kill  func(t *testing.T)
	Open  func(t *testing.T) strategies.Store
}

const writers = 4

// diary is what Put has returned to one writer.
type diary struct{ n, revision uint64 }

// Crash kills an engine several times in the midst of writes: what Put has returned is
// there afterwards, revisions still grow, and of those who take a lease at once one gets
// it.
func Crash(t *testing.T, e Engine) {
	t.Helper()
	e.Start(t)
	store := e.Open(t)
	var last [writers]diary
	for crash := range 3 {
		var written atomic.Int64
		var all sync.WaitGroup
		for i := range writers {
			all.Add(1)
			go func() {
				defer all.Done()
				last[i] = write(t, store, i, last[i], &written)
			}()
		}
		wait(t, "writes", func() bool { return written.Load() > 100 })
		e.Kill(t)
		all.Wait()
		e.Start(t)
		wait(t, "the store is back", func() bool {
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			_, err := store.Get(ctx, "nothing")
			return errors.Is(err, strategies.ErrNotFound)
		})
		for i := range writers {
			r, err := store.Get(t.Context(), fmt.Sprint("writer/", i))
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.ParseUint(string(r.Value), 10, 64)
			if err != nil || n < last[i].n || n > last[i].n+1 || r.Revision < last[i].revision {
				t.Errorf("crash %d, writer %d: %q at revision %d is there, %+v was acknowledged", crash, i, r.Value, r.Revision, last[i])
			}
			last[i] = diary{n, r.Revision}
		}
		oneLease(t, store, fmt.Sprint("lease/", crash))
	}
}

// write counts until the store is gone, and returns what was acknowledged last.
func write(t *testing.T, store strategies.Store, i int, last diary, written *atomic.Int64) diary {
	t.Helper()
	for {
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		r, err := store.Put(ctx, strategies.Write{
			Key: fmt.Sprint("writer/", i), Value: []byte(strconv.FormatUint(last.n+1, 10)), Revision: strategies.AnyRevision,
		})
		stop()
		if err != nil {
			return last
		}
		if r.Revision <= last.revision {
			t.Errorf("revision %d after %d", r.Revision, last.revision)
		}
		last = diary{last.n + 1, r.Revision}
		written.Add(1)
	}
}

func oneLease(t *testing.T, store strategies.Store, key string) {
	t.Helper()
	var got atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			_, err := store.Put(t.Context(), strategies.Write{Key: key, TTL: time.Minute})
			if err == nil {
				got.Add(1)
			} else if !errors.Is(err, strategies.ErrConflict) {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	if n := got.Load(); n != 1 {
		t.Errorf("%d have the lease", n)
	}
}

// wait polls a real server.
func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !done(); <-tick.C {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("not in 30 s: %s", what)
		}
	}
}
