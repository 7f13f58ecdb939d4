package inbox

import (
	"context"
	"errors"
	"sync"

	"github.com/understudy-go/understudy/strategies"
)

// ChangeKind is what a [Change] tells.
type ChangeKind string

const (
	// ChangeEntry: the entry is so now. Once State is not [StateOpen], and a parked
	// call is done, it is told no more.
	ChangeEntry ChangeKind = "entry"
	// ChangeCurrent: all that is open has been told. It comes once after the beginning,
	// and again after each ChangeLost.
	ChangeCurrent ChangeKind = "current"
	// ChangeLost: the store is away. What was told may be old.
	ChangeLost ChangeKind = "lost"
)

// Change is what [Inbox.Watch] tells.
type Change struct {
	Kind  ChangeKind
	Entry Entry // of ChangeEntry
	// Group is who is asked now, if Settings.Groups says so. A question is told again
	// when the next group is asked.
	Group string
}

// Watch tells what is open, then what changes, until the context ends or the inbox is
// closed; then the channel is closed. It tells states, not a history: a slow reader
// misses states between, but never the last, and holds nobody up. It runs one goroutine.
func (b *Inbox) Watch(ctx context.Context) (<-chan Change, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	r := &reader{box: b, out: make(chan Change), keys: map[string]bool{}, wake: make(chan struct{}, 1)}
	m := &b.mirror
	m.mu.Lock()
	m.readers[r] = true
	for _, key := range m.keys {
		r.hint(key)
	}
	r.wakeUp()
	m.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(b.ctx, func() { cancel(errClosed) })
	run := func() {
		defer close(r.out)
		defer stop()
		defer cancel(nil)
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.readers, r)
		}()
		r.run(ctx)
	}
	if !b.spawn(run) {
		run() // which ends at once, for the inbox is closed
	}
	return r.out, nil
}

// reader is one watch: the keys that have changed since it was told of them.
type reader struct {
	box *Inbox
	out chan Change

	mu      sync.Mutex
	keys    map[string]bool
	isLost  bool
	current bool // it was told so, and nothing was lost since
	wake    chan struct{}
}

func (r *reader) hint(key string) {
	r.mu.Lock()
	r.keys[key] = true
	r.mu.Unlock()
	r.wakeUp()
}

func (r *reader) lose() {
	r.mu.Lock()
	r.isLost = true
	r.mu.Unlock()
	r.wakeUp()
}

func (r *reader) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reader) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		for {
			c, ok := r.next(ctx)
			if !ok {
				break
			}
			select {
			case r.out <- c:
			case <-ctx.Done():
				return
			}
		}
	}
}

// next is what is to be told next; false: nothing.
func (r *reader) next(ctx context.Context) (Change, bool) {
	for {
		r.mu.Lock()
		if r.isLost {
			r.isLost, r.current = false, false
			r.mu.Unlock()
			return Change{Kind: ChangeLost}, true
		}
		key := ""
		for key = range r.keys {
			delete(r.keys, key)
			break
		}
		r.mu.Unlock()
		m := &r.box.mirror
		m.mu.Lock()
		e, open := m.entries[key]
		known := m.known
		m.mu.Unlock()
		switch {
		case key == "":
			r.mu.Lock()
			tell := known && !r.current && len(r.keys) == 0 && !r.isLost
			r.current = r.current || tell
			r.mu.Unlock()
			return Change{Kind: ChangeCurrent}, tell
		case open:
			return Change{Kind: ChangeEntry, Entry: e.copied(), Group: e.Group(r.box.life.guess())}, true
		}
		// It is not open any more: how it ended is in its record.
		got, err := r.box.Get(ctx, key[len(r.box.prefix("open")):])
		if err == nil {
			return Change{Kind: ChangeEntry, Entry: got}, true
		}
		if !errors.Is(err, strategies.ErrNotFound) && ctx.Err() == nil {
			r.box.trouble(err)
		}
	}
}
