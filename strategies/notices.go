package strategies

import (
	"reflect"
	"slices"
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
	listeners  []*func(T)
	delivering bool
	keyed      map[any]*keyed[T]
}

// keyed is a listener on behalf of several.
type keyed[T any] struct {
	watching int
	listener *func(T)
}

func (n *notices[T]) add(note T) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = append(n.queue, note)
	n.waiting.Store(true)
}

func (n *notices[T]) watch(listener func(T)) (stop func()) {
	if listener == nil {
		return func() {}
	}
	entry := &listener
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners = append(slices.Clip(n.listeners), entry)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.drop(entry)
	}
}

// drop takes a listener off; the lock is held.
func (n *notices[T]) drop(entry *func(T)) {
	n.listeners = slices.DeleteFunc(slices.Clone(n.listeners), func(l *func(T)) bool { return l == entry })
}

// watchAs is watch for all who give the same key.
func (n *notices[T]) watchAs(key any, listener func(T)) (stop func()) {
	if listener == nil || key == nil || !reflect.ValueOf(key).Comparable() {
		return n.watch(listener)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	entry := n.keyed[key]
	if entry == nil {
		entry = &keyed[T]{listener: &listener}
		if n.keyed == nil {
			n.keyed = map[any]*keyed[T]{}
		}
		n.keyed[key] = entry
		n.listeners = append(slices.Clip(n.listeners), entry.listener)
	}
	entry.watching++
	return sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if entry.watching--; entry.watching == 0 {
			delete(n.keyed, key)
			n.drop(entry.listener)
		}
	})
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

func (n *notices[T]) take() ([]T, []*func(T)) {
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

func (n *notices[T]) run(batch []T, listeners []*func(T)) {
	defer func() { // also when a listener panics
		n.mu.Lock()
		n.delivering = false
		n.mu.Unlock()
	}()
	for _, note := range batch {
		for _, listener := range listeners {
			(*listener)(note)
		}
	}
}
