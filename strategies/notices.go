package strategies

import (
	"reflect"
	"sync"
	"sync/atomic"
)

// notices hands notes to listeners in the order in which they were added: one
// goroutine delivers at a time, and no lock is held while a listener runs, so a
// listener may call back into whatever it was told about.
type notices[T any] struct {
	waiting    atomic.Bool // something is in the queue, perhaps
	mu         sync.Mutex
	queue      []T
	listeners  []*listener[T] // appended to, or replaced; never changed in place
	gone       int            // how many of them have been stopped
	delivering bool
	keyed      map[any]*shared[T]
}

// shared is a listener on behalf of all who gave the same key.
type shared[T any] struct {
	entry    *listener[T]
	watching int
}

// listener holds the function that is told, or nil once it has been stopped.
type listener[T any] struct{ tell atomic.Pointer[func(T)] }

func (n *notices[T]) add(note T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = append(n.queue, note)
	n.waiting.Store(true)
}

// watch adds a listener. Once stop has returned, the listener is begun no more,
// and nothing of it is kept, even if stop is. Both cost the same however many
// listeners there are.
func (n *notices[T]) watch(tell func(T)) (stop func()) {
	if tell == nil {
		return func() {}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	entry := n.listen(tell)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.stop(entry)
	}
}

// watched says whether anybody is told.
func (n *notices[T]) watched() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.gone < len(n.listeners)
}

// listen adds a listener; the lock is held.
func (n *notices[T]) listen(tell func(T)) *listener[T] {
	entry := &listener[T]{}
	entry.tell.Store(&tell)
	n.listeners = append(n.listeners, entry)
	return entry
}

// watchAs is watch for all who give the same key: the first listener speaks for
// them, until the last has stopped.
func (n *notices[T]) watchAs(key any, tell func(T)) (stop func()) {
	if tell == nil || key == nil || !reflect.ValueOf(key).Comparable() {
		return n.watch(tell)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.keyed[key]
	if all == nil {
		if n.keyed == nil {
			n.keyed = map[any]*shared[T]{}
		}
		all = &shared[T]{entry: n.listen(tell)}
		n.keyed[key] = all
	}
	all.watching++
	return sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if all.watching--; all.watching == 0 {
			delete(n.keyed, key)
			n.stop(all.entry)
		}
	})
}

// stop ends a listener; the lock is held.
func (n *notices[T]) stop(entry *listener[T]) {
	if entry.tell.Swap(nil) == nil {
		return // stopped before
	}
	// Those who are gone are swept out when they are half of all.
	if n.gone++; 2*n.gone < len(n.listeners) {
		return
	}
	var left []*listener[T]
	for _, l := range n.listeners {
		if l.tell.Load() != nil {
			left = append(left, l)
		}
	}
	n.listeners, n.gone = left, 0
}

// deliver empties the queue. If another goroutine is at it, or a listener
// further up this very stack, that one delivers these notes too. An empty queue
// costs one atomic load.
func (n *notices[T]) deliver() {
	for n.waiting.Load() {
		batch, listeners := n.take()
		if batch == nil {
			return
		}
		n.run(batch, listeners)
	}
}

func (n *notices[T]) take() ([]T, []*listener[T]) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 || n.delivering {
		return nil, nil
	}
	batch := n.queue
	n.queue, n.delivering = nil, true
	n.waiting.Store(false)
	return batch, n.listeners
}

func (n *notices[T]) run(batch []T, listeners []*listener[T]) {
	defer func() { // also when a listener panics
		n.mu.Lock()
		n.delivering = false
		n.mu.Unlock()
	}()
	for _, note := range batch {
		for _, l := range listeners {
			if tell := l.tell.Load(); tell != nil {
				(*tell)(note)
			}
		}
	}
}
