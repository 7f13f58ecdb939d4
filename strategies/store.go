package strategies

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/understudy-go/understudy/internal/units"
)

// Sentinels of a [Store] to test with errors.Is. The error is a [StoreError], with
// the engine's own within reach.
var (
	// ErrConflict: the record is not at the revision that was expected. Somebody else
	// was there first; nothing was written. Read it, and decide anew.
	ErrConflict = errors.New("understudy: the record has another revision")
	// ErrNotFound: no record has that key, or none has it any more.
	ErrNotFound = errors.New("understudy: no such record")
	// ErrUnavailable: the store gave no answer, within the context or at all. A write
	// that ends so may have been done or not: read, to find out.
	ErrUnavailable = errors.New("understudy: the store is unavailable")
	// ErrTooLarge: a key over [MaxStoreKey], a value over [MaxStoreValue], or a store
	// that is full. Nothing was written.
	ErrTooLarge = errors.New("understudy: too large for the store")
)

const (
	// MaxStoreKey is the longest key of a [Store], in bytes.
	MaxStoreKey = 512
	// MaxStoreValue is the largest value of a [Store], in bytes: half of what a message
	// of NATS holds by default, which is the narrowest of the engines.
	MaxStoreValue = 512 << 10
	// AnyRevision is the expected revision of whoever does not care: the write is done
	// whatever is there. It is for records that have one writer, such as a replica's
	// own sign of life.
	AnyRevision = ^uint64(0)
)

// Store keeps small records for all replicas of a program: who holds a lease, what a
// breaker knows, which side effect was done. One contract for every engine; package
// strategies/stores/memory is the one without any, and strategies/stores/storetest
// tests a store of anybody's against what is promised here.
//
//	Put(Write{Revision: 0})  ──► created, or ErrConflict: somebody has it
//	Put(Write{Revision: 7})  ──► 7 is replaced, or ErrConflict: it is 7 no more
//	Put(Write{TTL: 10 s})    ──► gone after 10 s of the store's own clock, unless put again
//	Watch(prefix)            ──► put, put, put, current, put, gone, lost, gone, put, current, ...
//	                             └ what is there ┘      └ what changes ┘ └ after an outage ┘
//
// # What is promised
//
//   - Of one key, Get, Put and Delete are linearizable: what Put has returned is what
//     each later Get sees, and of any number of writers that expect the same revision
//     one succeeds. A store's own page names the exceptions of its engine.
//   - A revision is never 0 nor AnyRevision. Each write of a key has a higher one than
//     every earlier write of it, also after it was deleted or has expired: a revision is a
//     fencing token.
//   - After Expires no read sees the record, and it may be created anew. It is not gone
//     before, by the store's clock.
//   - A watch tells states, not a history. Of each key it tells growing revisions, and in
//     the end the last state, whatever was lost or merged on the way: a slow reader, or
//     one that was cut off, misses states between but never the last. No writer waits
//     for a reader, and a reader's backlog is no longer than the number of keys.
//
// # What is not
//
//   - No transaction over two keys. List is no snapshot: what is written while it runs
//     may be in it or not.
//   - No order between changes of different keys.
//   - No history: a record that is put and deleted at once may never be told.
//   - Revisions of different keys cannot be compared, nor counted: there are gaps.
//
// # Keys and values
//
// A key is 1 to [MaxStoreKey] bytes of valid UTF-8, and any of it: spaces, "*", line
// breaks. Stores escape what their engines do not like. Slashes are the custom for
// parts ("lease/narrator"), and whole parts are the prefixes that engines find fastest.
// A value is at most [MaxStoreValue] bytes, and may be empty. A key that is empty or no
// UTF-8 is a [ConfigError], what is too long is [ErrTooLarge].
//
// A store keeps no reference to what it is given, and what it returns is the caller's.
// It is safe for concurrent use. A call ends with its context at the latest, with
// [ErrUnavailable] and the context's error.
type Store interface {
	// Get returns a record, or [ErrNotFound].
	Get(ctx context.Context, key string) (Record, error)

	// Put writes a record and returns it with its new revision and, by the store's
	// clock, the time at which it will expire; or [ErrConflict], [ErrTooLarge].
	Put(ctx context.Context, w Write) (Record, error)

	// Delete removes the record of that revision, or of [AnyRevision]. Another revision
	// is [ErrConflict]; no record is [ErrNotFound], whatever is expected.
	Delete(ctx context.Context, key string, revision uint64) error

	// List returns the records whose keys begin with prefix, "" for all, in the order
	// of the bytes of their keys.
	List(ctx context.Context, prefix string) ([]Record, error)

	// Watch tells what is there under prefix, then [ChangeCurrent], then what changes,
	// until the context ends or the store is closed; then the channel is closed. It
	// goes on across outages: see [ChangeLost]. A store that cannot be reached is no
	// error of Watch, but its first change.
	Watch(ctx context.Context, prefix string) (<-chan Change, error)

	// Now is the store's own clock, by which records expire. Replicas' clocks differ;
	// whoever compares an Expires with a time asks this one.
	Now(ctx context.Context) (time.Time, error)

	// Close ends all watches and frees what the store holds in this process. The
	// records stay, if the engine keeps them. Later calls are [ErrUnavailable].
	Close() error
}

// Record is what a [Store] keeps under a key.
type Record struct {
	Key      string
	Value    []byte
	Revision uint64    // of the write that made it
	Expires  time.Time // by the store's clock; zero: never
}

// Write is a record to be put into a [Store].
type Write struct {
	Key   string
	Value []byte

	// Revision is what is expected. 0: there is no record of that key, which makes it
	// a creation. [AnyRevision]: whatever is there.
	Revision uint64

	// TTL is the time to live, from now on; at least 1 ms. 0: for ever, whatever an
	// earlier write of the key has said.
	TTL time.Duration
}

// Validate says what no store takes: see [Store] for keys and values.
func (w Write) Validate() error {
	if err := CheckStoreKey(w.Key); err != nil {
		return err
	}
	if len(w.Value) > MaxStoreValue {
		return &StoreError{Op: "put", Key: w.Key, Err: ErrTooLarge, Cause: fmt.Errorf("a value of %d bytes, at most %d", len(w.Value), MaxStoreValue)}
	}
	var p problems
	negative(&p, "Write.TTL", w.TTL, "leave it 0 for a record that does not expire")
	if _, _, ok := units.Missing(w.TTL); ok && w.TTL > 0 && w.TTL < time.Millisecond {
		p.add("Write.TTL", fmt.Sprintf("is too short (%v)", w.TTL), "use 1 ms or more, and seconds for what crosses a network")
	}
	return p.err()
}

// CheckStoreKey says what is wrong with a key, for those who implement a [Store].
func CheckStoreKey(key string) error {
	if key == "" {
		return &ConfigError{Setting: "Store key", Problem: "is empty"}
	}
	return CheckStorePrefix(key)
}

// CheckStorePrefix is CheckStoreKey for a prefix, which may be empty.
func CheckStorePrefix(prefix string) error {
	if len(prefix) > MaxStoreKey {
		return &StoreError{Op: "check", Key: prefix[:32] + "...", Err: ErrTooLarge, Cause: fmt.Errorf("a key of %d bytes, at most %d", len(prefix), MaxStoreKey)}
	}
	if !utf8.ValidString(prefix) {
		return &ConfigError{Setting: "Store key", Problem: fmt.Sprintf("is no valid UTF-8 (%q)", prefix)}
	}
	return nil
}

// ChangeKind is what a [Change] tells.
type ChangeKind uint8

const (
	// ChangePut: the record is there, new or with a new revision.
	ChangePut ChangeKind = iota + 1
	// ChangeGone: the record was deleted or has expired. Key and Revision are those of
	// the record that was told last; Value is nil.
	ChangeGone
	// ChangeCurrent: all that was there has been told. It comes once after the
	// beginning, and again after each ChangeLost.
	ChangeCurrent
	// ChangeLost: the store cannot be reached, Err says why. What was told may be old.
	// What changed meanwhile follows as soon as it can be, then ChangeCurrent.
	ChangeLost
)

var changeNames = [...]string{"", "put", "gone", "current", "lost"}

// Change is what a watch of a [Store] tells.
type Change struct {
	Kind   ChangeKind
	Record Record // of ChangePut and ChangeGone
	Err    error  // of ChangeLost
}

// StoreError is what went wrong with a record. It matches one of [ErrConflict],
// [ErrNotFound], [ErrUnavailable] and [ErrTooLarge], and what the engine said.
type StoreError struct {
	Op    string // "get", "put", "delete", "list", "watch", "now", "open"
	Key   string // or the prefix
	Err   error  // the sentinel
	Cause error  // the engine's, the context's; may be nil
}

func (e *StoreError) Error() string {
	s := fmt.Sprintf("%v: %s", e.Err, e.Op)
	if e.Key != "" {
		s += fmt.Sprintf(" %q", e.Key)
	}
	if e.Cause != nil {
		s += fmt.Sprintf(": %v", e.Cause)
	}
	return s
}

// Unwrap returns the sentinel and the cause.
func (e *StoreError) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Err, e.Cause} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
