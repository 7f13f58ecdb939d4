package storetest_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
	"github.com/understudy-go/understudy/strategies/stores/storetest"
)

// A check that never says no is no check: each of these stores breaks one sentence of
// the contract, and the check that is named sees it.
func TestBrokenStoresAreSeen(t *testing.T) {
	for _, tc := range []struct {
		broken string
		store  func() strategies.Store
		seenBy string
	}{
		{"creates over what is there", func() strategies.Store {
			return &broken{put: func(s *at, w strategies.Write) (strategies.Record, error) {
				if w.Revision == 0 {
					w.Revision = strategies.AnyRevision
				}
				return s.Store.Put(s.ctx, w)
			}}
		}, "of 16 who create one succeeds"},
		{"compares, and then swaps", func() strategies.Store {
			return &broken{put: func(s *at, w strategies.Write) (strategies.Record, error) {
				if w.Revision != strategies.AnyRevision {
					r, _ := s.Store.Get(s.ctx, w.Key)
					if r.Revision != w.Revision {
						return strategies.Record{}, &strategies.StoreError{Err: strategies.ErrConflict}
					}
					time.Sleep(time.Millisecond)
				}
				w.Revision = strategies.AnyRevision
				return s.Store.Put(s.ctx, w)
			}}
		}, "16 who count lose nothing"},
		{"takes any old revision", func() strategies.Store {
			return &broken{put: func(s *at, w strategies.Write) (strategies.Record, error) {
				if w.Revision != 0 {
					w.Revision = strategies.AnyRevision
				}
				return s.Store.Put(s.ctx, w)
			}}
		}, "only the expected revision is replaced"},
		{"deletes nothing", func() strategies.Store {
			return &broken{del: func(*at, string, uint64) error { return nil }}
		}, "only the expected revision is deleted"},
		{"deletes any revision", func() strategies.Store {
			return &broken{del: func(s *at, key string, _ uint64) error { return s.Store.Delete(s.ctx, key, strategies.AnyRevision) }}
		}, "only the expected revision is deleted"},
		{"forgets the time to live", func() strategies.Store {
			return &broken{put: func(s *at, w strategies.Write) (strategies.Record, error) {
				ttl := w.TTL
				w.TTL = 0
				r, err := s.Store.Put(s.ctx, w)
				if ttl > 0 {
					r.Expires = time.Now().Add(ttl)
				}
				return r, err
			}}
		}, "each write says anew when the record expires"},
		{"lets records go early", func() strategies.Store {
			return &broken{put: func(s *at, w strategies.Write) (strategies.Record, error) {
				w.TTL /= 2
				r, err := s.Store.Put(s.ctx, w)
				if w.TTL > 0 {
					r.Expires = r.Expires.Add(w.TTL)
				}
				return r, err
			}}
		}, "a record expires by the store's clock, not before and not after"},
		{"lists as it likes", func() strategies.Store {
			return &broken{list: func(s *at, prefix string) ([]strategies.Record, error) {
				all, err := s.Store.List(s.ctx, prefix)
				slices.Reverse(all)
				return all, err
			}}
		}, "a list is in the order of keys, and of its prefix alone"},
		{"lists all", func() strategies.Store {
			return &broken{list: func(s *at, _ string) ([]strategies.Record, error) { return s.Store.List(s.ctx, "") }}
		}, "a list is in the order of keys, and of its prefix alone"},
		{"lists one page", func() strategies.Store {
			return &broken{list: func(s *at, prefix string) ([]strategies.Record, error) {
				all, err := s.Store.List(s.ctx, prefix)
				return all[:min(len(all), 1000)], err
			}}
		}, "many records are listed whole"},
		{"knows no capitals", func() strategies.Store {
			return &broken{put: func(s *at, w strategies.Write) (strategies.Record, error) {
				key := w.Key
				w.Key = strings.ToLower(key)
				r, err := s.Store.Put(s.ctx, w)
				r.Key = key
				return r, err
			}}
		}, "any text is a key"},
		{"keeps a slice", func() strategies.Store {
			var kept sync.Map
			return &broken{get: func(s *at, key string) (strategies.Record, error) {
				r, err := s.Store.Get(s.ctx, key)
				if old, ok := kept.LoadOrStore(fmt.Sprint(key, r.Revision), r.Value); ok {
					r.Value = old.([]byte)
				}
				return r, err
			}}
		}, "nobody's slice is kept"},
		{"ends its texts at a NUL", func() strategies.Store {
			return &broken{get: func(s *at, key string) (strategies.Record, error) {
				r, err := s.Store.Get(s.ctx, key)
				r.Value, _, _ = bytes.Cut(r.Value, []byte{0})
				return r, err
			}}
		}, "what was put is read"},
		{"reads what was there a moment ago", func() strategies.Store {
			var mu sync.Mutex
			old := map[string]strategies.Record{}
			return &broken{get: func(s *at, key string) (strategies.Record, error) {
				mu.Lock()
				defer mu.Unlock()
				if r, ok := old[key]; ok && r.Revision%3 != 0 {
					return r, nil
				}
				r, err := s.Store.Get(s.ctx, key)
				if err == nil {
					old[key] = r
				}
				return r, err
			}}
		}, "only the expected revision is deleted"},
		{"has a clock that stands", func() strategies.Store {
			stood := time.Now()
			return &broken{now: func(*at) (time.Time, error) { return stood, nil }}
		}, "the clock goes forward as fast as time does"},
		{"never says that this is all", func() strategies.Store {
			return &broken{tell: func(c strategies.Change) []strategies.Change {
				if c.Kind == strategies.ChangeCurrent {
					return nil
				}
				return []strategies.Change{c}
			}}
		}, "a watch of nothing says so at once"},
		{"tells everything twice", func() strategies.Store {
			return &broken{tell: func(c strategies.Change) []strategies.Change { return []strategies.Change{c, c} }}
		}, "a watch tells what changes"},
		{"never tells what is gone", func() strategies.Store {
			return &broken{tell: func(c strategies.Change) []strategies.Change {
				if c.Kind == strategies.ChangeGone {
					return nil
				}
				return []strategies.Change{c}
			}}
		}, "a watch tells what expires"},
		{"tells of other keys", func() strategies.Store {
			return &broken{tell: func(c strategies.Change) []strategies.Change {
				other := c
				other.Record.Key = "z" + c.Record.Key
				return []strategies.Change{c, other}
			}}
		}, "a watch tells what changes"},
		{"loses what comes fast", func() strategies.Store {
			var n atomic.Int64
			return &broken{tell: func(c strategies.Change) []strategies.Change {
				if i := n.Add(1); i > 5 && i%2 == 0 && c.Kind == strategies.ChangePut {
					return nil
				}
				return []strategies.Change{c}
			}}
		}, "a slow reader holds nobody up and learns how it ended"},
		{"is deaf to contexts", func() strategies.Store {
			return &broken{get: func(s *at, key string) (strategies.Record, error) {
				return s.Store.Get(context.WithoutCancel(s.ctx), key)
			}}
		}, "a context that has ended ends the call, and nothing is written"},
		{"writes after its context", func() strategies.Store {
			return &broken{put: func(s *at, w strategies.Write) (strategies.Record, error) {
				r, err := s.Store.Put(context.WithoutCancel(s.ctx), w)
				if s.ctx.Err() != nil {
					return r, &strategies.StoreError{Err: strategies.ErrUnavailable, Cause: s.ctx.Err()}
				}
				return r, err
			}}
		}, "a context that has ended ends the call, and nothing is written"},
		{"stays open", func() strategies.Store { return &broken{open: true} }, "a closed store ends its watches and answers no more"},
	} {
		t.Run("one that "+tc.broken, func(t *testing.T) {
			var failed []string
			for _, c := range storetest.Checks() {
				synctest.Test(t, func(t *testing.T) {
					if fails(t, c, tc.store()) {
						failed = append(failed, c.Name)
					}
				})
			}
			if !slices.Contains(failed, tc.seenBy) {
				t.Errorf("%q did not fail, only %q", tc.seenBy, failed)
			}
		})
	}
}

// fails runs a check on one store and says whether it failed.
func fails(t *testing.T, c storetest.Check, s strategies.Store) bool {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.cleanUp()
		c.Run(r, func(testing.TB) strategies.Store { return s })
	}()
	<-done
	if b := s.(*broken); b.open {
		b.Store.Close() // so that no goroutine is left in the bubble
	}
	return r.failed
}

// recorder is a test whose failure is what is wanted.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

func (r *recorder) fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}
func (r *recorder) Error(...any)          { r.fail() }
func (r *recorder) Errorf(string, ...any) { r.fail() }
func (r *recorder) Fatal(...any)          { r.fail(); runtime.Goexit() }
func (r *recorder) Fatalf(string, ...any) { r.fail(); runtime.Goexit() }
func (r *recorder) Logf(string, ...any)   {}
func (r *recorder) Cleanup(f func())      { r.cleanups = append(r.cleanups, f) }
func (r *recorder) cleanUp() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

// broken is a memory store of which one thing is different.
type broken struct {
	memory.Store
	put  func(*at, strategies.Write) (strategies.Record, error)
	get  func(*at, string) (strategies.Record, error)
	del  func(*at, string, uint64) error
	list func(*at, string) ([]strategies.Record, error)
	now  func(*at) (time.Time, error)
	tell func(strategies.Change) []strategies.Change
	open bool
}

// at is a call.
type at struct {
	Store *memory.Store
	ctx   context.Context //nolint:containedctx // the call's own
}

func (s *broken) Put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	if s.put == nil {
		return s.Store.Put(ctx, w)
	}
	return s.put(&at{&s.Store, ctx}, w)
}

func (s *broken) Get(ctx context.Context, key string) (strategies.Record, error) {
	if s.get == nil {
		return s.Store.Get(ctx, key)
	}
	return s.get(&at{&s.Store, ctx}, key)
}

func (s *broken) Delete(ctx context.Context, key string, revision uint64) error {
	if s.del == nil {
		return s.Store.Delete(ctx, key, revision)
	}
	return s.del(&at{&s.Store, ctx}, key, revision)
}

func (s *broken) List(ctx context.Context, prefix string) ([]strategies.Record, error) {
	if s.list == nil {
		return s.Store.List(ctx, prefix)
	}
	return s.list(&at{&s.Store, ctx}, prefix)
}

func (s *broken) Now(ctx context.Context) (time.Time, error) {
	if s.now == nil {
		return s.Store.Now(ctx)
	}
	return s.now(&at{&s.Store, ctx})
}

func (s *broken) Watch(ctx context.Context, prefix string) (<-chan strategies.Change, error) {
	ch, err := s.Store.Watch(ctx, prefix)
	if s.tell == nil || err != nil {
		return ch, err
	}
	out := make(chan strategies.Change)
	go func() {
		defer close(out)
		for c := range ch {
			for _, c := range s.tell(c) {
				select {
				case out <- c:
				case <-ctx.Done():
					return
				case <-time.After(time.Hour): // nobody reads any more
					return
				}
			}
		}
	}()
	return out, nil
}

func (s *broken) Close() error {
	if s.open {
		return nil
	}
	return s.Store.Close()
}
