package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/understudy-go/understudy/internal/follow"
	"github.com/understudy-go/understudy/strategies"
)

// Store is a [strategies.Store] in Redis. Get one from [Open].
type Store struct {
	base    *follow.Base
	client  goredis.UniversalClient
	records string // what their keys begin with
	index   string
	last    string
	channel string
}

var _ strategies.Store = (*Store)(nil)

// Option changes what [Open] does.
type Option func(*settings)

type settings struct{ name string }

// Name is what all keys in Redis begin with, in braces. Default: "understudy". Programs
// with different names share nothing.
func Name(name string) Option { return func(s *settings) { s.name = name } }

const (
	pollsEvery = 10 * time.Second
	patience   = 5 * time.Second
	quiet      = 5 * time.Second // after which the listening connection is asked whether it lives
	page       = 500
	pageBytes  = 1 << 20
	whatever   = "any"
)

var plainName = regexp.MustCompile(`^[^{}\s]+$`)

// Open opens a store on a client of yours, and asks the server for the time.
func Open(ctx context.Context, client goredis.UniversalClient, options ...Option) (*Store, error) {
	set := settings{name: "understudy"}
	for _, o := range options {
		o(&set)
	}
	if client == nil {
		return nil, &strategies.ConfigError{Setting: "redis.Open", Problem: "has no client"}
	}
	if !plainName.MatchString(set.name) {
		return nil, &strategies.ConfigError{Setting: "redis.Name", Problem: fmt.Sprintf("is %q", set.name), Fix: "use no spaces and no braces"}
	}
	prefix := "{" + set.name + "}:" // the braces keep all keys in one slot of a cluster
	s := &Store{base: follow.NewBase(), client: client, records: prefix + "r:", index: prefix + "keys", last: prefix + "rev", channel: prefix + "changes"}
	if _, err := s.Now(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Get returns a record.
func (s *Store) Get(ctx context.Context, key string) (strategies.Record, error) {
	if err := s.ready(ctx, "get", key); err != nil {
		return strategies.Record{}, err
	}
	got, err := s.read(ctx, getScript, []string{s.records + key}).StringSlice()
	if err != nil {
		return strategies.Record{}, s.base.Unavailable(ctx, "get", key, err)
	}
	if len(got) == 0 {
		return strategies.Record{}, &strategies.StoreError{Op: "get", Key: key, Err: strategies.ErrNotFound}
	}
	r, err := record(key, got)
	if err != nil {
		return strategies.Record{}, s.base.Unavailable(ctx, "get", key, err)
	}
	return r, nil
}

// Put writes a record.
func (s *Store) Put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	if err := w.Validate(); err != nil {
		return strategies.Record{}, err
	}
	if err := s.base.Ready(ctx, "put", w.Key); err != nil {
		return strategies.Record{}, err
	}
	ms := (w.TTL + time.Millisecond - 1) / time.Millisecond
	value := string(w.Value) // a copy: the call may end before the client lets go of it
	got, err := s.write(ctx, putScript, []string{s.records + w.Key, s.index, s.last},
		w.Key, expected(w.Revision), value, int64(ms), s.channel).StringSlice()
	switch {
	case err != nil && strings.HasPrefix(err.Error(), "OOM "):
		return strategies.Record{}, &strategies.StoreError{Op: "put", Key: w.Key, Err: strategies.ErrTooLarge, Cause: err}
	case err != nil:
		return strategies.Record{}, s.base.Unavailable(ctx, "put", w.Key, err)
	case len(got) == 0:
		return strategies.Record{}, &strategies.StoreError{Op: "put", Key: w.Key, Err: strategies.ErrConflict}
	}
	r, err := record(w.Key, append(got, value))
	if err != nil {
		return strategies.Record{}, s.base.Unavailable(ctx, "put", w.Key, err)
	}
	return r, nil
}

// Delete removes a record.
func (s *Store) Delete(ctx context.Context, key string, revision uint64) error {
	if err := s.ready(ctx, "delete", key); err != nil {
		return err
	}
	became, err := s.write(ctx, deleteScript, []string{s.records + key, s.index}, key, expected(revision), s.channel).Text()
	switch {
	case err != nil:
		return s.base.Unavailable(ctx, "delete", key, err)
	case became == "gone":
		return &strategies.StoreError{Op: "delete", Key: key, Err: strategies.ErrNotFound}
	case became == "conflict":
		return &strategies.StoreError{Op: "delete", Key: key, Err: strategies.ErrConflict}
	}
	return nil
}

// List returns the records under a prefix, page by page.
func (s *Store) List(ctx context.Context, prefix string) ([]strategies.Record, error) {
	return s.list(ctx, prefix, "v")
}

func (s *Store) heads(ctx context.Context, prefix string) ([]strategies.Record, error) {
	return s.list(ctx, prefix, "")
}

func (s *Store) list(ctx context.Context, prefix, values string) (all []strategies.Record, err error) {
	if err := strategies.CheckStorePrefix(prefix); err != nil {
		return nil, err
	}
	if err := s.base.Ready(ctx, "list", prefix); err != nil {
		return nil, err
	}
	end := []byte("=" + prefix) // valid UTF-8 has no byte that could not be one higher
	end[len(end)-1]++
	least, most := "[="+prefix, "("+string(end)
	for {
		got, err := s.read(ctx, listScript, []string{s.index}, s.records, least, most, page, pageBytes, values).StringSlice()
		if err == nil && len(got)%4 != 1 {
			err = fmt.Errorf("a page of %d parts", len(got))
		}
		if err != nil {
			return nil, s.base.Unavailable(ctx, "list", prefix, err)
		}
		for i := 1; i < len(got); i += 4 {
			r, err := record(got[i], got[i+1:i+4])
			if err != nil {
				return nil, s.base.Unavailable(ctx, "list", prefix, err)
			}
			all = append(all, r)
		}
		if got[0] == "" {
			return all, nil
		}
		least = "(=" + got[0]
	}
}

// Watch tells what is and what changes under a prefix.
func (s *Store) Watch(ctx context.Context, prefix string) (<-chan strategies.Change, error) {
	return s.base.Watch(ctx, s, prefix, follow.Settings{Poll: pollsEvery, Heads: s.heads, Patience: patience}, s.listen)
}

// listen hands what is published to the watches, until the connection fails.
func (s *Store) listen(ctx context.Context) error {
	sub := s.client.Subscribe(ctx, s.channel)
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })()
	asked := false
	for {
		got, err := sub.ReceiveTimeout(ctx, quiet)
		timeout := net.Error(nil)
		switch {
		case err == nil:
			asked = false
		case errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil && !asked:
			asked = true
			if err := sub.Ping(ctx); err != nil {
				return err
			}
		default:
			return err
		}
		switch m := got.(type) {
		case *goredis.Subscription: // at first, and after each time it was cut off
			s.base.Hub.TellAll()
		case *goredis.Message:
			s.base.Hub.Tell(m.Payload)
		}
	}
}

// Now is the server's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if err := s.base.Ready(ctx, "now", ""); err != nil {
		return time.Time{}, err
	}
	got, err := s.read(ctx, timeScript, []string{s.index}).Int64Slice()
	if err == nil && len(got) != 2 {
		err = fmt.Errorf("TIME has %d parts", len(got))
	}
	if err != nil {
		return time.Time{}, s.base.Unavailable(ctx, "now", "", err)
	}
	return time.Unix(got[0], got[1]*1000), nil
}

// Close ends the watches, and waits for calls whose context has ended and which the client
// has not let go of: no longer than its ReadTimeout. The client stays open.
func (s *Store) Close() error {
	s.base.Close()
	return nil
}

func (s *Store) ready(ctx context.Context, op, key string) error {
	if err := strategies.CheckStoreKey(key); err != nil {
		return err
	}
	return s.base.Ready(ctx, op, key)
}

func expected(revision uint64) string {
	if revision == strategies.AnyRevision {
		return whatever
	}
	return strconv.FormatUint(revision, 10)
}

// record makes one of what a script returned: revision, end, value.
func record(key string, parts []string) (strategies.Record, error) {
	if len(parts) != 3 {
		return strategies.Record{}, fmt.Errorf("a record of %d parts", len(parts))
	}
	r := strategies.Record{Key: key, Value: []byte(parts[2])}
	var err error
	if r.Revision, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return r, err
	}
	if parts[1] != "" {
		ms, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			return r, err
		}
		r.Expires = time.UnixMilli(ms)
	}
	return r, nil
}
