package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-go/understudy/internal/follow"
	"github.com/understudy-go/understudy/strategies"
)

// Store is a [strategies.Store] in a table. Get one from [Open].
type Store struct {
	base *follow.Base
	pool *pgxpool.Pool
	sql  statements
	set  settings
	puts atomic.Uint64
}

var _ strategies.Store = (*Store)(nil)

// Option changes what [Open] does.
type Option func(*settings)

type settings struct {
	schema, table string
	poll          time.Duration
}

// Table is where the records are. Default: understudy_records, in the first schema of the
// connection's search_path, which is what "" as schema means.
func Table(schema, table string) Option {
	return func(s *settings) { s.schema, s.table = schema, table }
}

// PollEvery does without NOTIFY: watches ask that often what has changed. All replicas
// must be told so.
func PollEvery(d time.Duration) Option { return func(s *settings) { s.poll = d } }

const (
	pollsEvery = 10 * time.Second
	patience   = 5 * time.Second
	sweepOne   = 256
	longest    = 63 - len("_revision") // of a name, in bytes
)

func (s settings) validate() error {
	var all []error
	add := func(setting, problem, fix string) {
		all = append(all, &strategies.ConfigError{Setting: setting, Problem: problem, Fix: fix})
	}
	if s.table == "" || len(s.table) > longest || len(s.schema) > longest {
		add("postgres.Table", fmt.Sprintf("is %q in %q", s.table, s.schema), fmt.Sprintf("use a name of 1 to %d bytes", longest))
	}
	if s.poll < 0 || s.poll > 0 && s.poll < time.Millisecond {
		add("postgres.PollEvery", fmt.Sprintf("is %v", s.poll), "use 1 ms or more")
	}
	return errors.Join(all...)
}

// Open opens a store on a pool of yours, and makes its table if it is not there.
func Open(ctx context.Context, pool *pgxpool.Pool, options ...Option) (*Store, error) {
	set := settings{table: "understudy_records"}
	for _, o := range options {
		o(&set)
	}
	if pool == nil {
		return nil, &strategies.ConfigError{Setting: "postgres.Open", Problem: "has no pool"}
	}
	if err := set.validate(); err != nil {
		return nil, err
	}
	s := &Store{base: follow.NewBase(), pool: pool, sql: newStatements(set.schema, set.table), set: set}
	if err := s.create(ctx); err != nil {
		failed := s.base.Unavailable(ctx, "open", s.sql.name, err)
		_ = s.Close()
		return nil, failed
	}
	return s, nil
}

// create makes the table, once: whoever opens it at the same time waits.
func (s *Store) create(ctx context.Context) error {
	var there bool
	if err := s.pool.QueryRow(ctx, s.sql.hasBeen, s.sql.name).Scan(&there); err != nil || there {
		return err
	}
	if err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql.lock, s.sql.class, 0); err != nil {
			return err
		}
		for _, create := range s.sql.create {
			if _, err := tx.Exec(ctx, create); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("make the table (postgres.Schema is the SQL, for whoever may): %w", err)
	}
	return nil
}

// Get returns a record.
func (s *Store) Get(ctx context.Context, key string) (strategies.Record, error) {
	if err := s.ready(ctx, "get", key); err != nil {
		return strategies.Record{}, err
	}
	r := strategies.Record{Key: key}
	err := scan(s.pool.QueryRow(ctx, s.sql.get, []byte(key)), &r, &r.Value)
	if errors.Is(err, pgx.ErrNoRows) {
		return strategies.Record{}, &strategies.StoreError{Op: "get", Key: key, Err: strategies.ErrNotFound}
	}
	if err != nil {
		return strategies.Record{}, s.base.Unavailable(ctx, "get", key, err)
	}
	return r, nil
}

// scan reads the columns, and then the revision and the end of a record.
func scan(row pgx.Row, r *strategies.Record, columns ...any) error {
	var revision int64
	var expires *time.Time
	if err := row.Scan(append(columns, &revision, &expires)...); err != nil {
		return err
	}
	r.Revision = uint64(revision)
	if expires != nil {
		r.Expires = *expires
	}
	return nil
}

// Put writes a record.
func (s *Store) Put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	if err := w.Validate(); err != nil {
		return strategies.Record{}, err
	}
	if err := s.base.Ready(ctx, "put", w.Key); err != nil {
		return strategies.Record{}, err
	}
	statement, args := s.sql.putOver, []any{s.notice(), []byte(w.Key), notNil(w.Value), microseconds(w.TTL)}
	switch {
	case w.Revision == 0:
		statement = s.sql.putNew
	case w.Revision == strategies.AnyRevision:
		statement = s.sql.putAny
	case w.Revision > math.MaxInt64:
		return strategies.Record{}, &strategies.StoreError{Op: "put", Key: w.Key, Err: strategies.ErrConflict}
	default:
		args = append(args, int64(w.Revision))
	}
	r := strategies.Record{Key: w.Key, Value: notNil(append([]byte(nil), w.Value...))}
	err := s.locked(ctx, w.Key, statement, args, func(row pgx.Row) error {
		return scan(row, &r)
	})
	full := (*pgconn.PgError)(nil)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return strategies.Record{}, &strategies.StoreError{Op: "put", Key: w.Key, Err: strategies.ErrConflict}
	case errors.As(err, &full) && full.Code == "53100": // the disk is full
		return strategies.Record{}, &strategies.StoreError{Op: "put", Key: w.Key, Err: strategies.ErrTooLarge, Cause: err}
	case err != nil:
		return strategies.Record{}, s.base.Unavailable(ctx, "put", w.Key, err)
	}
	if s.puts.Add(1)%sweepOne == 0 {
		_, _ = s.pool.Exec(ctx, s.sql.sweep) // the next one will, if this one cannot
	}
	return r, nil
}

// Delete removes a record.
func (s *Store) Delete(ctx context.Context, key string, revision uint64) error {
	if err := s.ready(ctx, "delete", key); err != nil {
		return err
	}
	expected := (*int64)(nil)
	if revision != strategies.AnyRevision {
		n := int64(min(revision, math.MaxInt64)) // no revision is as high
		expected = &n
	}
	var was, done bool
	err := s.locked(ctx, key, s.sql.delete, []any{s.notice(), []byte(key), expected}, func(row pgx.Row) error {
		return row.Scan(&was, &done)
	})
	switch {
	case err != nil:
		return s.base.Unavailable(ctx, "delete", key, err)
	case !was:
		return &strategies.StoreError{Op: "delete", Key: key, Err: strategies.ErrNotFound}
	case !done:
		return &strategies.StoreError{Op: "delete", Key: key, Err: strategies.ErrConflict}
	}
	return nil
}

// locked runs a statement while nobody else writes the key: two statements and the commit,
// in one round trip.
func (s *Store) locked(ctx context.Context, key, statement string, args []any, read func(pgx.Row) error) error {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(key))
	var b pgx.Batch
	b.Queue(s.sql.lock, s.sql.class, int32(hash.Sum32()))
	b.Queue(statement, args...)
	results := s.pool.SendBatch(ctx, &b)
	_, err := results.Exec()
	if err == nil {
		err = read(results.QueryRow())
	}
	// Only now it is committed, or not.
	if closed := results.Close(); closed != nil && (err == nil || errors.Is(err, pgx.ErrNoRows)) {
		err = closed
	}
	return err
}

// List returns the records under a prefix.
func (s *Store) List(ctx context.Context, prefix string) ([]strategies.Record, error) {
	return s.list(ctx, prefix, s.sql.list)
}

func (s *Store) heads(ctx context.Context, prefix string) ([]strategies.Record, error) {
	return s.list(ctx, prefix, s.sql.heads)
}

func (s *Store) list(ctx context.Context, prefix, statement string) (all []strategies.Record, err error) {
	if err := strategies.CheckStorePrefix(prefix); err != nil {
		return nil, err
	}
	if err := s.base.Ready(ctx, "list", prefix); err != nil {
		return nil, err
	}
	var end []byte // NULL: no end
	if prefix != "" {
		end = []byte(prefix) // valid UTF-8 has no byte that could not be one higher
		end[len(end)-1]++
	}
	rows, err := s.pool.Query(ctx, statement, []byte(prefix), end)
	if err != nil {
		return nil, s.base.Unavailable(ctx, "list", prefix, err)
	}
	all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r strategies.Record, err error) {
		var key []byte
		err = scan(row, &r, &key, &r.Value)
		r.Key = string(key)
		return r, err
	})
	if err != nil {
		return nil, s.base.Unavailable(ctx, "list", prefix, err)
	}
	return all, nil
}

// Watch tells what is and what changes under a prefix.
func (s *Store) Watch(ctx context.Context, prefix string) (<-chan strategies.Change, error) {
	settings := follow.Settings{Poll: pollsEvery, Heads: s.heads, Patience: patience}
	if s.set.poll > 0 {
		settings.Poll = s.set.poll
	}
	return s.base.Watch(ctx, s, prefix, settings, s.listen)
}

// listen hands what is notified to the watches, until the connection fails.
func (s *Store) listen(ctx context.Context) error {
	if s.set.poll > 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack() // it must not go back to the pool while it listens
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, `LISTEN `+pgx.Identifier{s.sql.channel}.Sanitize()); err != nil {
		return err
	}
	s.base.Hub.TellAll()
	for {
		quiet, cancel := context.WithTimeout(ctx, pollsEvery)
		n, err := conn.WaitForNotification(quiet)
		cancel()
		switch {
		case err == nil:
			if key, err := hex.DecodeString(n.Payload); err == nil {
				s.base.Hub.Tell(string(key))
			}
		case pgconn.Timeout(err) && ctx.Err() == nil && !conn.IsClosed(): // does it live?
			alive, cancel := context.WithTimeout(ctx, patience)
			err := conn.Ping(alive)
			cancel()
			if err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// Now is the server's clock.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	if err := s.base.Ready(ctx, "now", ""); err != nil {
		return time.Time{}, err
	}
	if err := s.pool.QueryRow(ctx, s.sql.now).Scan(&now); err != nil {
		return time.Time{}, s.base.Unavailable(ctx, "now", "", err)
	}
	return now, nil
}

// Close ends the watches. The pool stays open.
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

// notice is the channel to be notified, if any.
func (s *Store) notice() string {
	if s.set.poll > 0 {
		return ""
	}
	return s.sql.channel
}

// notNil, for nil is NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func microseconds(ttl time.Duration) *int64 {
	if ttl == 0 {
		return nil
	}
	us := int64((ttl + time.Microsecond - 1) / time.Microsecond)
	return &us
}
