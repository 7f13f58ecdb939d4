package inbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/understudy-go/understudy/strategies"
)

// Inbox puts incidents before people by way of a store that all processes share: what
// is open is listed, claimed and decided in any of them, and what has ended stays as a
// record. It is a [strategies.Intervenor], and a [strategies.Parker] for calls that
// nobody holds; safe for concurrent use, and shared by all agents of a process.
//
// The first decision counts: the second gets a [ClosedError], which says by whom and
// when. Nothing else is ever a yes. A question that expires, whose caller leaves, or
// whose process dies ends as such, and is kept as a record.
//
// Make one with [Open], and Close it. It runs three goroutines, and one for each parked
// call that it goes on with. In memory it keeps the entries that are open, without
// their requests.
type Inbox struct {
	s      Settings
	store  strategies.Store
	ctx    context.Context //nolint:containedctx // ends with the inbox
	cancel context.CancelCauseFunc
	own    sync.WaitGroup
	mirror mirror
	life   life
	wake   chan struct{} // of the janitor
	looked time.Time     // when it looked last

	mu     sync.Mutex
	agents map[string]*resumer
	types  map[string][]reflect.Type // of answers, by agent
	held   map[string]bool           // keys of questions that callers of this process wait for
	runs   map[string]*run           // parked calls that this process goes on with
}

var (
	_ strategies.Intervenor = (*Inbox)(nil)
	_ strategies.Parker     = (*Inbox)(nil)
)

var errClosed = errors.New("understudy: the inbox is closed")

// Open opens an inbox in a store. It does not wait for the store: what is wrong is
// told by the calls. The error is a [strategies.ConfigError].
func Open(store strategies.Store, s Settings) (*Inbox, error) {
	if v := reflect.ValueOf(store); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &strategies.ConfigError{Setting: "inbox.Open store", Problem: "is nil", Fix: "give it a store, such as &memory.Store{}"}
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	b := &Inbox{
		s: s.withDefaults(), store: store, wake: make(chan struct{}, 1),
		agents: map[string]*resumer{}, types: map[string][]reflect.Type{}, held: map[string]bool{}, runs: map[string]*run{},
	}
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	b.mirror.init()
	b.life.init(b.s.Heartbeat, b.fence)
	for _, work := range []func(){b.follow, b.beat, b.tend} {
		b.own.Add(1)
		go func() { defer b.own.Done(); work() }()
	}
	return b, nil
}

// Close ends the inbox in this process: callers that wait get an error, and their
// questions are withdrawn; parked calls that it goes on with are cancelled, and another
// process takes them over. It waits for its goroutines. The records stay, and so does
// the store.
func (b *Inbox) Close() error {
	if b.unusable() != nil {
		return nil
	}
	b.cancel(errClosed)
	b.own.Wait()
	b.farewell()
	return nil
}

func (b *Inbox) unusable() error {
	if b != nil && b.store != nil {
		return nil
	}
	return &strategies.ConfigError{Setting: "Inbox", Problem: "is nil or was not opened", Fix: "open it with inbox.Open(store, inbox.Settings{})"}
}

func (b *Inbox) trouble(err error) {
	if err != nil && b.s.Trouble != nil && b.ctx.Err() == nil {
		defer func() { _ = recover() }()
		b.s.Trouble(err)
	}
}

// The keys. Those that are open stand by themselves, so that they are listed alone.
func (b *Inbox) prefix(part string) string { return b.s.Name + "/v1/" + part + "/" }

const uuidLength = 36

// base is the id under which a question is kept: the later ones of a parked call have
// its ticket, and a number.
func base(id string) string {
	if len(id) > uuidLength && id[uuidLength] == '.' {
		return id[:uuidLength]
	}
	return id
}

func (b *Inbox) openKey(id string) string { return b.prefix("open") + base(id) }
func (b *Inbox) keptKey(id string) string { return b.prefix("kept") + base(id) }

// patient bounds what this process does with the store on its own account.
func (b *Inbox) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, max(b.s.Patience, 2*time.Second))
}

// now is the store's clock.
func (b *Inbox) now(ctx context.Context) (time.Time, error) { return b.store.Now(ctx) }

// get reads a record, wherever it is by now.
func (b *Inbox) get(ctx context.Context, id string) (*record, error) {
	for range 3 { // it may be on its way from one place to the other, and back
		sr, err := b.store.Get(ctx, b.openKey(id))
		if errors.Is(err, strategies.ErrNotFound) {
			sr, err = b.store.Get(ctx, b.keptKey(id))
		}
		if err == nil {
			return decode(sr)
		}
		if !errors.Is(err, strategies.ErrNotFound) {
			return nil, err
		}
	}
	return nil, &strategies.StoreError{Op: "get", Key: b.openKey(id), Err: strategies.ErrNotFound}
}

// put writes a record that is open, or on its way to be kept.
func (b *Inbox) put(ctx context.Context, r *record, revision uint64) error {
	value, err := r.encode()
	if err != nil {
		return err
	}
	sr, err := b.store.Put(ctx, strategies.Write{Key: b.openKey(r.ID), Value: value, Revision: revision})
	if err == nil {
		r.Revision = sr.Revision
		b.mirror.saw(sr.Key, r.Entry)
	}
	return err
}

// refused is why something cannot be done about a question.
func refused(id string, err error) error {
	var config *strategies.ConfigError
	var problem *strategies.InterventionError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &config), errors.As(err, &problem):
		return err
	case errors.Is(err, strategies.ErrNotFound):
		return &strategies.InterventionError{Incident: id, Problem: "is not known to this inbox: it was never asked here, or so long ago that its record is gone", Err: err}
	case errors.As(err, new(*ClosedError)), errors.As(err, new(*ClaimedError)):
		return &strategies.InterventionError{Incident: id, Problem: err.Error(), Err: silent{err}}
	}
	return &strategies.InterventionError{Incident: id, Problem: "cannot be reached", Err: err}
}

// silent is within reach of errors.As, and says nothing: its text was said.
type silent struct{ err error }

func (s silent) Error() string { return "nothing was changed" }
func (s silent) Unwrap() error { return s.err }

func checkID(id string) error {
	if id == "" || len(id) > maxID || strings.ContainsAny(id, "/\x00") || !utf8.ValidString(id) {
		return &strategies.InterventionError{Incident: short(id, 40), Problem: fmt.Sprintf("is no id of a question: 1 to %d bytes of text, without a slash", maxID)}
	}
	return nil
}
