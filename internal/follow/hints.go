// Package follow is how the stores of package strategies/stores watch: whatever their
// engine, a change is only a hint to read again, and what is read is what is told.
//
//	engine's notices ──► Hub ──► Hints (a set of keys, one a watch)
//	                               │ wakes
//	                               ▼
//	                             watch ──► Get, or List after an outage ──► what differs is told
//	                               ▲
//	             a record's expiry, the poll: nothing rests on the notices alone
//
// So a notice that is lost, doubled or late costs time and never an event, and the
// promises of a watch are kept in one place for all engines.
package follow

import (
	"strings"
	"sync"
)

// Hub hands what an engine notices to every watch of a store. The zero value is ready.
type Hub struct {
	mu      sync.Mutex
	watches map[*Hints]struct{}
}

// Tell says that a record may have changed. It never waits.
func (h *Hub) Tell(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watches {
		w.add(key)
	}
}

// TellAll says that anything may have changed: notices may have been lost.
func (h *Hub) TellAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watches {
		w.addAll()
	}
}

func (h *Hub) join(prefix string) *Hints {
	w := &Hints{prefix: prefix, wake: make(chan struct{}, 1), keys: map[string]struct{}{}}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watches == nil {
		h.watches = map[*Hints]struct{}{}
	}
	h.watches[w] = struct{}{}
	return w
}

func (h *Hub) leave(w *Hints) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watches, w)
}

// Hints is what a watch has still to look at.
type Hints struct {
	prefix string
	wake   chan struct{}

	mu   sync.Mutex
	keys map[string]struct{}
	all  bool
}

func (w *Hints) add(key string) {
	if !strings.HasPrefix(key, w.prefix) {
		return
	}
	w.mu.Lock()
	if !w.all {
		w.keys[key] = struct{}{}
	}
	w.mu.Unlock()
	w.rouse()
}

func (w *Hints) addAll() {
	w.mu.Lock()
	w.all = true
	clear(w.keys)
	w.mu.Unlock()
	w.rouse()
}

func (w *Hints) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns what is to be read again, and forgets it.
func (w *Hints) take() (keys map[string]struct{}, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys, all = w.keys, w.all
	w.keys, w.all = map[string]struct{}{}, false
	return keys, all
}
