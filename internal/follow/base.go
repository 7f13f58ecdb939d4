package follow

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Base is what all stores with an engine have in common: the errors, and the one
// goroutine that listens for notices while anybody watches. Get one from NewBase.
type Base struct {
	Hub Hub

	ctx    context.Context //nolint:containedctx // ends with the store
	cancel context.CancelFunc
	mu     sync.Mutex
	heard  bool
	all    sync.WaitGroup
}

var errClosed = errors.New("the store is closed")

// NewBase returns an open one.
func NewBase() *Base {
	b := &Base{}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// Ready says whether a call may be served.
func (b *Base) Ready(ctx context.Context, op, key string) error {
	cause := ctx.Err()
	if b.ctx.Err() != nil {
		cause = errClosed
	}
	if cause == nil {
		return nil
	}
	return &strategies.StoreError{Op: op, Key: key, Err: strategies.ErrUnavailable, Cause: cause}
}

// Unavailable is what an engine's failure is to the caller.
func (b *Base) Unavailable(ctx context.Context, op, key string, err error) error {
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		err = errors.Join(ended, err)
	}
	if b.ctx.Err() != nil {
		err = errors.Join(errClosed, err)
	}
	return &strategies.StoreError{Op: op, Key: key, Err: strategies.ErrUnavailable, Cause: err}
}

// Watch follows a prefix. The first one begins to listen, until the store is closed;
// listen is called again whenever it returns, after a pause.
func (b *Base) Watch(ctx context.Context, src Source, prefix string, s Settings, listen func(ctx context.Context) error) (<-chan strategies.Change, error) {
	if err := strategies.CheckStorePrefix(prefix); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.Ready(ctx, "watch", prefix); err != nil {
		return nil, err
	}
	if !b.heard {
		b.heard = true
		b.all.Add(1)
		go func() {
			defer b.all.Done()
			b.listen(listen)
		}()
	}
	return Follow(ctx, b.ctx, &b.Hub, src, prefix, s), nil
}

func (b *Base) listen(listen func(ctx context.Context) error) {
	pause := shortestPause
	for b.ctx.Err() == nil {
		began := time.Now()
		_ = listen(b.ctx) // whoever watches learns from its own readings that the store is lost
		b.Hub.TellAll()
		if time.Since(began) > longestPause {
			pause = shortestPause
		}
		select {
		case <-b.ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// Within asks an engine's client that may take longer than its context. What it is still
// at when the context ends, Close waits for; so ask must come to an end, and must not use
// what belongs to the caller.
func Within[T any](ctx context.Context, b *Base, ask func() (T, error)) (got T, err error) {
	if ctx.Done() == nil {
		return ask()
	}
	answered := make(chan error, 1)
	var answer T
	b.mu.Lock()
	if b.ctx.Err() != nil {
		b.mu.Unlock()
		return got, errClosed
	}
	b.all.Add(1)
	b.mu.Unlock()
	go func() {
		defer b.all.Done()
		var err error
		answer, err = ask()
		answered <- err
	}()
	select {
	case err := <-answered:
		return answer, err
	case <-ctx.Done():
		return got, ctx.Err()
	}
}

// Close ends what runs, and reports whether it was open.
func (b *Base) Close() bool {
	b.mu.Lock()
	first := b.ctx.Err() == nil
	b.cancel()
	b.mu.Unlock()
	b.all.Wait()
	return first
}
