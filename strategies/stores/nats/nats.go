package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/understudy-go/understudy/internal/follow"
	"github.com/understudy-go/understudy/strategies"
)

// Store is a [strategies.Store] in a bucket of JetStream. Get one from [Open].
type Store struct {
	base    *follow.Base
	server  *server.Server // if it is in this process
	unlock  func()
	conn    *natsgo.Conn
	owns    bool // conn is ours to close
	js      jetstream.JetStream
	stream  jetstream.Stream
	subject string // "$KV.bucket."
	clock   clock
}

var _ strategies.Store = (*Store)(nil)

const (
	expiresHeader = "Understudy-Expires" // nanoseconds since 1970, by the leader's clock
	deletedHeader = "KV-Operation"
	// A deletion is told by a message in the record's place, which goes by itself. Who
	// was away for longer reads all again.
	deletionStays = time.Minute
	// tries bounds how often a write that expects nothing is outrun by others.
	tries       = 64
	atATime     = 32
	pollsEvery  = 15 * time.Second
	patience    = 5 * time.Second
	storeFailed = 10077 // the stream is full
)

// entry is what the stream has of a key.
type entry struct {
	strategies.Record
	deleted bool
}

// read asks the leader for a key's last message; nil if there is none.
func (s *Store) read(ctx context.Context, key string) (*entry, error) {
	m, err := s.stream.GetLastMsgForSubject(ctx, s.subject+subjectOf(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil //nolint:nilnil // nothing is no failure
	}
	if err != nil {
		return nil, err
	}
	e := &entry{
		Record:  strategies.Record{Key: key, Value: m.Data, Revision: m.Sequence, Expires: expiryOf(m.Header)},
		deleted: m.Header.Get(deletedHeader) != "",
	}
	return e, nil
}

func expiryOf(h natsgo.Header) time.Time {
	ns, err := strconv.ParseInt(h.Get(expiresHeader), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// live says whether there is a record. Where it is a matter of milliseconds the leader is
// asked for the time.
func (s *Store) live(ctx context.Context, e *entry) (bool, error) {
	if e == nil || e.deleted {
		return false, nil
	}
	if e.Expires.IsZero() {
		return true, nil
	}
	earliest, latest, err := s.clock.between(ctx, s.ask)
	if err != nil {
		return false, err
	}
	if e.Expires.After(latest) {
		return true, nil
	}
	if e.Expires.Before(earliest) {
		return false, nil
	}
	now, err := s.ask(ctx)
	return now.Before(e.Expires), err
}

// Get returns a record, in one round trip.
func (s *Store) Get(ctx context.Context, key string) (strategies.Record, error) {
	r, err := follow.Within(ctx, s.base, func() (strategies.Record, error) { return s.get(ctx, key) })
	return r, s.ended(ctx, "get", key, err)
}

// ended makes the store's error of one that says only that nobody waited for the answer:
// the client holds its lock while it shakes hands with a server.
func (s *Store) ended(ctx context.Context, op, key string, err error) error {
	known, wrong := (*strategies.StoreError)(nil), (*strategies.ConfigError)(nil)
	if err == nil || errors.As(err, &known) || errors.As(err, &wrong) {
		return err
	}
	return s.base.Unavailable(ctx, op, key, err)
}

func (s *Store) get(ctx context.Context, key string) (strategies.Record, error) {
	if err := s.ready(ctx, "get", key); err != nil {
		return strategies.Record{}, err
	}
	e, err := s.read(ctx, key)
	if err == nil {
		var live bool
		if live, err = s.live(ctx, e); err == nil && !live {
			return strategies.Record{}, &strategies.StoreError{Op: "get", Key: key, Err: strategies.ErrNotFound}
		}
	}
	if err != nil {
		return strategies.Record{}, s.base.Unavailable(ctx, "get", key, err)
	}
	return e.Record, nil
}

// Put writes a record.
func (s *Store) Put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	if err := w.Validate(); err != nil {
		return strategies.Record{}, err
	}
	if err := s.ready(ctx, "put", w.Key); err != nil {
		return strategies.Record{}, err
	}
	w.Value = slices.Clone(w.Value)
	r, err := follow.Within(ctx, s.base, func() (strategies.Record, error) { return s.put(ctx, w) })
	switch {
	case err == nil:
		return r, nil
	case conflicts(err):
		return strategies.Record{}, &strategies.StoreError{Op: "put", Key: w.Key, Err: strategies.ErrConflict, Cause: err}
	case errors.Is(err, natsgo.ErrMaxPayload) || coded(err, storeFailed):
		return strategies.Record{}, &strategies.StoreError{Op: "put", Key: w.Key, Err: strategies.ErrTooLarge, Cause: err}
	}
	return strategies.Record{}, s.base.Unavailable(ctx, "put", w.Key, err)
}

var errOther = fmt.Errorf("expected: %w", strategies.ErrConflict)

func (s *Store) put(ctx context.Context, w strategies.Write) (strategies.Record, error) {
	switch w.Revision {
	case strategies.AnyRevision:
		return s.publish(ctx, w)
	case 0:
		r, err := s.publish(ctx, w, jetstream.WithExpectLastSequencePerSubject(0))
		for range tries {
			if !conflicts(err) {
				break
			}
			// It may be what was deleted or has expired: that one may be replaced.
			e, failed := s.read(ctx, w.Key)
			if failed != nil {
				return r, failed
			}
			if live, failed := s.live(ctx, e); live || failed != nil {
				return r, errors.Join(failed, err)
			}
			expect := uint64(0)
			if e != nil {
				expect = e.Revision
			}
			r, err = s.publish(ctx, w, jetstream.WithExpectLastSequencePerSubject(expect))
		}
		return r, err
	}
	e, err := s.read(ctx, w.Key)
	if err != nil {
		return strategies.Record{}, err
	}
	if live, err := s.live(ctx, e); err != nil {
		return strategies.Record{}, err
	} else if !live || e.Revision != w.Revision {
		return strategies.Record{}, errOther
	}
	return s.publish(ctx, w, jetstream.WithExpectLastSequencePerSubject(w.Revision))
}

func (s *Store) publish(ctx context.Context, w strategies.Write, options ...jetstream.PublishOpt) (strategies.Record, error) {
	r := strategies.Record{Key: w.Key, Value: w.Value}
	m := natsgo.NewMsg(s.subject + subjectOf(w.Key))
	m.Data = w.Value
	if w.TTL > 0 {
		// The end is fixed before the message leaves, so that its way cannot prolong it.
		// The server sweeps it out some time later: it counts in whole seconds.
		earliest, latest, err := s.clock.between(ctx, s.ask)
		if err != nil {
			return r, err
		}
		r.Expires = earliest.Add(latest.Sub(earliest) / 2).Add(w.TTL).Round(0)
		m.Header.Set(expiresHeader, strconv.FormatInt(r.Expires.UnixNano(), 10))
		m.Header.Set("Nats-TTL", strconv.FormatInt(int64(w.TTL/time.Second)+2, 10)+"s")
	}
	ack, err := s.js.PublishMsg(ctx, m, options...)
	if err != nil {
		return r, err
	}
	r.Revision = ack.Sequence
	return r, nil
}

// Delete removes a record.
func (s *Store) Delete(ctx context.Context, key string, revision uint64) error {
	_, err := follow.Within(ctx, s.base, func() (struct{}, error) { return struct{}{}, s.delete(ctx, key, revision) })
	return s.ended(ctx, "delete", key, err)
}

func (s *Store) delete(ctx context.Context, key string, revision uint64) error {
	if err := s.ready(ctx, "delete", key); err != nil {
		return err
	}
	var err error
	for range tries {
		var e *entry
		if e, err = s.read(ctx, key); err != nil {
			break
		}
		var live bool
		if live, err = s.live(ctx, e); err != nil {
			break
		} else if !live {
			return &strategies.StoreError{Op: "delete", Key: key, Err: strategies.ErrNotFound}
		}
		if revision != strategies.AnyRevision && revision != e.Revision {
			return &strategies.StoreError{Op: "delete", Key: key, Err: strategies.ErrConflict}
		}
		m := natsgo.NewMsg(s.subject + subjectOf(key))
		m.Header.Set(deletedHeader, "DEL")
		m.Header.Set("Nats-TTL", deletionStays.String())
		if _, err = s.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(e.Revision)); err == nil {
			return nil
		} else if !conflicts(err) {
			break
		}
		// Outrun: look again whether it is another revision, or gone.
	}
	return s.base.Unavailable(ctx, "delete", key, err)
}

// List returns the records under a prefix: it asks for their names, and then for each.
func (s *Store) List(ctx context.Context, prefix string) ([]strategies.Record, error) {
	all, err := follow.Within(ctx, s.base, func() ([]strategies.Record, error) { return s.list(ctx, prefix) })
	return all, s.ended(ctx, "list", prefix, err)
}

func (s *Store) list(ctx context.Context, prefix string) ([]strategies.Record, error) {
	if err := strategies.CheckStorePrefix(prefix); err != nil {
		return nil, err
	}
	if err := s.base.Ready(ctx, "list", prefix); err != nil {
		return nil, err
	}
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(s.subject+under(prefix)))
	if err != nil {
		return nil, s.base.Unavailable(ctx, "list", prefix, err)
	}
	var keys []string
	for subject := range info.State.Subjects {
		if key, ok := keyOf(strings.TrimPrefix(subject, s.subject)); ok && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	found, errs := make([]strategies.Record, len(keys)), make([]error, atATime)
	var all sync.WaitGroup
	for g := range min(atATime, len(keys)) {
		all.Go(func() {
			for i := g; i < len(keys) && errs[g] == nil; i += atATime {
				r, err := s.get(ctx, keys[i])
				if errors.Is(err, strategies.ErrNotFound) {
					continue // deleted, or gone since
				}
				found[i], errs[g] = r, err
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, s.base.Unavailable(ctx, "list", prefix, err)
	}
	return slices.DeleteFunc(found, func(r strategies.Record) bool { return r.Key == "" }), nil
}

// Watch tells what is and what changes under a prefix.
func (s *Store) Watch(ctx context.Context, prefix string) (<-chan strategies.Change, error) {
	return s.base.Watch(ctx, s, prefix, follow.Settings{Poll: pollsEvery, Heads: s.heads, Patience: patience}, s.listen)
}

// Now is the leader's clock.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	if err := s.base.Ready(ctx, "now", ""); err != nil {
		return time.Time{}, err
	}
	now, err := follow.Within(ctx, s.base, func() (time.Time, error) { return s.ask(ctx) })
	if err != nil {
		return time.Time{}, s.base.Unavailable(ctx, "now", "", err)
	}
	return now, nil
}

// ask asks the leader for the time.
func (s *Store) ask(ctx context.Context) (time.Time, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return info.TimeStamp, nil
}

// Close ends the watches, and the connection and the server if they are ours.
func (s *Store) Close() error {
	if !s.base.Close() {
		return nil
	}
	if s.owns && s.conn != nil {
		s.conn.Close()
	}
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
		s.unlock()
	}
	return nil
}

func (s *Store) ready(ctx context.Context, op, key string) error {
	if err := strategies.CheckStoreKey(key); err != nil {
		return err
	}
	return s.base.Ready(ctx, op, key)
}

func conflicts(err error) bool {
	return errors.Is(err, strategies.ErrConflict) ||
		coded(err, jetstream.JSErrCodeStreamWrongLastSequence) || coded(err, jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

func coded(err error, code jetstream.ErrorCode) bool {
	api := (*jetstream.APIError)(nil)
	return errors.As(err, &api) && api.ErrorCode == code
}
