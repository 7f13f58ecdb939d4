package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/understudy-go/understudy/internal/follow"
	"github.com/understudy-go/understudy/strategies"
)

// Store is a [strategies.Store] in this process. The zero value is ready. It is used by
// pointer, and neither copied nor changed once in use.
type Store struct {
	// MaxRecords is how many records it holds: a creation beyond is
	// [strategies.ErrTooLarge]. What has expired does not count. 0: no limit.
	MaxRecords int

	once   sync.Once
	closed context.Context //nolint:containedctx // ends with the store
	close  context.CancelFunc
	hub    follow.Hub

	mu       sync.Mutex
	revision uint64
	records  map[string]strategies.Record
	sweepAt  int // as many records are looked through for what has expired
}

var _ strategies.Store = (*Store)(nil)

var errClosed = errors.New("the store is closed")

const leastSweep = 64

func (s *Store) init() {
	s.once.Do(func() {
		s.closed, s.close = context.WithCancel(context.Background())
		s.records, s.sweepAt = map[string]strategies.Record{}, leastSweep
	})
}

// ready says whether a call may be served.
func (s *Store) ready(ctx context.Context, op, key string) error {
	s.init()
	cause := ctx.Err()
	if s.closed.Err() != nil {
		cause = errClosed
	}
	if cause != nil {
		return &strategies.StoreError{Op: op, Key: key, Err: strategies.ErrUnavailable, Cause: cause}
	}
	if s.MaxRecords < 0 {
		return &strategies.ConfigError{Setting: "memory.Store.MaxRecords", Problem: fmt.Sprintf("is negative (%d)", s.MaxRecords), Fix: "leave it 0 for no limit"}
	}
	return nil
}

// Get returns a record.
func (s *Store) Get(ctx context.Context, key string) (strategies.Record, error) {
	if err := cmp.Or(strategies.CheckStoreKey(key), s.ready(ctx, "get", key)); err != nil {
		return strategies.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.find(key)
	if !ok {
		return strategies.Record{}, &strategies.StoreError{Op: "get", Key: key, Err: strategies.ErrNotFound}
	}
	return copied(r), nil
}

// Put writes a record.
func (s *Store) Put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	if err := cmp.Or(w.Validate(), s.ready(ctx, "put", w.Key)); err != nil {
		return strategies.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was, ok := s.find(w.Key) // the zero revision if there is none
	if w.Revision != strategies.AnyRevision && w.Revision != was.Revision {
		return strategies.Record{}, &strategies.StoreError{Op: "put", Key: w.Key, Err: strategies.ErrConflict}
	}
	if !ok {
		if err := s.makeRoom(w.Key); err != nil {
			return strategies.Record{}, err
		}
	}
	s.revision++
	r := strategies.Record{Key: strings.Clone(w.Key), Value: slices.Clone(w.Value), Revision: s.revision}
	if w.TTL > 0 {
		r.Expires = time.Now().Add(w.TTL)
	}
	s.records[r.Key] = r
	s.hub.Tell(r.Key)
	return copied(r), nil
}

// Delete removes a record.
func (s *Store) Delete(ctx context.Context, key string, revision uint64) error {
	if err := cmp.Or(strategies.CheckStoreKey(key), s.ready(ctx, "delete", key)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.find(key)
	switch {
	case !ok:
		return &strategies.StoreError{Op: "delete", Key: key, Err: strategies.ErrNotFound}
	case revision != strategies.AnyRevision && revision != r.Revision:
		return &strategies.StoreError{Op: "delete", Key: key, Err: strategies.ErrConflict}
	}
	delete(s.records, key)
	s.hub.Tell(key)
	return nil
}

// List returns the records under a prefix. It is a snapshot here.
func (s *Store) List(ctx context.Context, prefix string) ([]strategies.Record, error) {
	if err := cmp.Or(strategies.CheckStorePrefix(prefix), s.ready(ctx, "list", prefix)); err != nil {
		return nil, err
	}
	now := time.Now()
	var all []strategies.Record
	s.mu.Lock()
	for key, r := range s.records {
		if strings.HasPrefix(key, prefix) && !expired(r, now) {
			all = append(all, copied(r))
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b strategies.Record) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

// Watch tells what is and what changes under a prefix. It runs one goroutine.
func (s *Store) Watch(ctx context.Context, prefix string) (<-chan strategies.Change, error) {
	if err := cmp.Or(strategies.CheckStorePrefix(prefix), s.ready(ctx, "watch", prefix)); err != nil {
		return nil, err
	}
	return follow.Follow(ctx, s.closed, &s.hub, s, prefix, follow.Settings{}), nil
}

// Now is time.Now.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if err := s.ready(ctx, "now", ""); err != nil {
		return time.Time{}, err
	}
	return time.Now(), nil
}

// Close ends the watches and forgets the records.
func (s *Store) Close() error {
	s.init()
	s.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.records)
	return nil
}

// find returns a record that has not expired; the lock is held.
func (s *Store) find(key string) (strategies.Record, bool) {
	r, ok := s.records[key]
	if !ok || expired(r, time.Now()) {
		return strategies.Record{}, false
	}
	return r, true
}

// makeRoom for one more record; the lock is held. What has expired is swept out when the
// number of records has doubled, and when there is no room without.
func (s *Store) makeRoom(key string) error {
	full := func() bool { return s.MaxRecords > 0 && len(s.records) >= s.MaxRecords }
	if len(s.records) < s.sweepAt && !full() {
		return nil
	}
	now := time.Now()
	for key, r := range s.records {
		if expired(r, now) {
			delete(s.records, key)
		}
	}
	s.sweepAt = max(2*len(s.records), leastSweep)
	if full() {
		return &strategies.StoreError{Op: "put", Key: key, Err: strategies.ErrTooLarge, Cause: fmt.Errorf("%d records, at most %d", len(s.records), s.MaxRecords)}
	}
	return nil
}

func expired(r strategies.Record, now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires)
}

func copied(r strategies.Record) strategies.Record {
	r.Value = slices.Clone(r.Value)
	return r
}
