package inbox

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// mirror is what this process knows of the entries that are open, and of the processes
// that are alive: what the store's watches tell. It may be a moment old, so whoever acts
// on it reads the store first.
type mirror struct {
	mu      sync.Mutex
	entries map[string]Entry // by key
	keys    []string         // sorted: by the time of asking
	alive   map[string]bool  // processes
	current chan struct{}    // closed once all that was there has been told
	known   bool             // it is, and nothing was lost since
	since   time.Time        // since when
	lost    error            // why it may be old
	waiters map[string][]chan struct{}
	readers map[*reader]bool
}

func (m *mirror) init() {
	m.entries, m.alive, m.current = map[string]Entry{}, map[string]bool{}, make(chan struct{})
	m.waiters, m.readers = map[string][]chan struct{}{}, map[*reader]bool{}
}

// follow keeps the mirror for as long as the inbox is open.
func (b *Inbox) follow() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-pause.C:
		}
		b.watch()
		pause.Reset(b.s.Heartbeat / 4) // a watch that ended although we have not
	}
}

func (b *Inbox) watch() {
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	open, err := b.store.Watch(ctx, b.prefix("open"))
	if err != nil {
		b.trouble(err)
		return
	}
	alive, err := b.store.Watch(ctx, b.prefix("alive"))
	if err != nil {
		b.trouble(err)
		return
	}
	b.mirror.restart()
	var current [2]bool // entries, and who lives
	for {
		var c strategies.Change
		ok, which := false, 0
		select {
		case c, ok = <-open:
		case c, ok = <-alive:
			which = 1
		}
		if !ok {
			return
		}
		switch {
		case c.Kind == strategies.ChangeLost:
			b.trouble(c.Err)
			b.mirror.lose(c.Err)
			current[which] = false
		case c.Kind == strategies.ChangeCurrent:
			if current[which] = true; current[0] && current[1] {
				b.mirror.complete()
				b.nudge()
			}
		case which == 0:
			b.tell(c)
		default:
			b.mirror.living(strings.TrimPrefix(c.Record.Key, b.prefix("alive")), c.Kind == strategies.ChangePut)
			if c.Kind == strategies.ChangeGone {
				b.nudge()
			}
		}
	}
}

// tell takes over one change of an entry.
func (b *Inbox) tell(c strategies.Change) {
	if c.Kind == strategies.ChangeGone {
		b.mirror.remove(c.Record.Key)
		return
	}
	r, err := decode(c.Record)
	if err != nil {
		b.trouble(err)
		return
	}
	b.mirror.put(c.Record.Key, r.Entry)
	if r.State != StateOpen || r.Ticket != "" {
		b.nudge()
	}
}

// nudge wakes the janitor.
func (b *Inbox) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (m *mirror) put(key string, e Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, known := m.entries[key]
	if known && was.Revision > e.Revision {
		return // our own write was quicker than the watch
	}
	if !known {
		i, _ := slices.BinarySearch(m.keys, key)
		m.keys = slices.Insert(m.keys, i, key)
	}
	m.entries[key] = e
	m.changed(key)
}

// saw takes over what this process has written itself, so that whoever decides sees it
// decided. Only of what is known: it may be put away already.
func (m *mirror) saw(key string, e Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if was, known := m.entries[key]; known && was.Revision < e.Revision {
		m.entries[key] = e
		m.changed(key)
	}
}

func (m *mirror) remove(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, found := slices.BinarySearch(m.keys, key); found {
		m.keys = slices.Delete(m.keys, i, i+1)
	}
	delete(m.entries, key)
	m.changed(key)
}

// changed wakes who waits for a key; the lock is held.
func (m *mirror) changed(key string) {
	for _, w := range m.waiters[key] {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	for r := range m.readers {
		r.hint(key)
	}
}

func (m *mirror) living(process string, is bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if is {
		m.alive[process] = true
	} else {
		delete(m.alive, process)
	}
}

// restart begins anew: what is there will be told again.
func (m *mirror) restart() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = false
	clear(m.alive)
	for _, key := range m.keys {
		delete(m.entries, key)
		m.changed(key)
	}
	m.keys = nil
}

func (m *mirror) lose(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known, m.lost = false, err
	for r := range m.readers {
		r.lose()
	}
}

func (m *mirror) complete() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known, m.lost, m.since = true, nil, time.Now()
	select {
	case <-m.current:
	default:
		close(m.current)
	}
	for _, ws := range m.waiters { // something may have been lost meanwhile
		for _, w := range ws {
			select {
			case w <- struct{}{}:
			default:
			}
		}
	}
	for r := range m.readers {
		r.wakeUp()
	}
}

// wait registers for changes of a key; the channel has one at once, for whoever comes
// after the change.
func (m *mirror) wait(key string) (changed <-chan struct{}, leave func()) {
	w := make(chan struct{}, 1)
	w <- struct{}{}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiters[key] = append(m.waiters[key], w)
	return w, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		left := slices.DeleteFunc(m.waiters[key], func(c chan struct{}) bool { return c == w })
		if len(left) == 0 {
			delete(m.waiters, key)
			return
		}
		m.waiters[key] = left
	}
}
