// Package farstore is a store in memory that is far away: with latency, loss and cuts, in
// the virtual time of a test.
package farstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/understudy-go/understudy/internal/follow"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// Cloud is one store that many replicas reach, each over a wire of its own. The zero value is ready.
type Cloud struct {
	Ahead time.Duration // of the store's clock

	mem memory.Store

	mu    sync.Mutex
	wires []*Wire
}

// Wire is a store as one replica sees it.
type Wire struct {
	c       *Cloud
	hub     follow.Hub
	ctx     context.Context //nolint:containedctx // ends with the test
	latency time.Duration
	loss    float64
	late    time.Duration // so much later come the notices of what changes

	mu   sync.Mutex
	rnd  *rand.Rand
	cut  bool
	hung bool // nothing is refused, and nothing answered
	ops  int

	watched []string // prefixes
}

// ErrCut is what an operation over a cut wire ends with.
var ErrCut = errors.New("connection refused")

// Wire returns a new one. Its watches end with ctx.
func (c *Cloud) Wire(ctx context.Context, seed uint64, latency time.Duration, loss float64) *Wire {
	w := &Wire{c: c, ctx: ctx, latency: latency, loss: loss, rnd: rand.New(rand.NewPCG(seed, 7))}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wires = append(c.wires, w)
	return w
}

// Cut cuts the wire, or mends it: operations are refused at once.
func (w *Wire) Cut(cut bool) {
	w.mu.Lock()
	w.cut = cut
	w.mu.Unlock()
	w.hub.TellAll()
}

// Hang has operations end with their context, and no notice come through.
func (w *Wire) Hang(hung bool) {
	w.mu.Lock()
	w.hung = hung
	w.mu.Unlock()
}

// Mend makes it a wire that loses nothing.
func (w *Wire) Mend() {
	w.mu.Lock()
	w.hung, w.loss = false, 0
	w.mu.Unlock()
	w.Cut(false)
}

// Delay lets it hear so much later of what changes.
func (w *Wire) Delay(d time.Duration) {
	w.mu.Lock()
	w.late = d
	w.mu.Unlock()
}

// Ops is how many operations were begun. What a watch reads does not count: engines push.
func (w *Wire) Ops() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ops
}

// over carries one operation over the wire: it may be lost on the way there, or the
// answer on the way back.
func (w *Wire) over(ctx context.Context, op string, do func() error) error {
	lost := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.cut || w.rnd.Float64() < w.loss/2
	}
	w.mu.Lock()
	w.ops++
	hung := w.hung
	w.mu.Unlock()
	if hung {
		<-ctx.Done()
		return &strategies.StoreError{Op: op, Err: strategies.ErrUnavailable, Cause: ctx.Err()}
	}
	refused := &strategies.StoreError{Op: op, Err: strategies.ErrUnavailable, Cause: ErrCut}
	time.Sleep(w.latency / 2)
	if lost() {
		return refused
	}
	if err := do(); err != nil {
		time.Sleep(w.latency / 2)
		return err
	}
	time.Sleep(w.latency / 2)
	if lost() || ctx.Err() != nil {
		return refused
	}
	return nil
}

// Get reads a record over the wire.
func (w *Wire) Get(ctx context.Context, key string) (r strategies.Record, err error) {
	err = w.over(ctx, "get", func() error { r, err = w.c.mem.Get(context.Background(), key); return err })
	r.Expires = w.c.shift(r.Expires)
	return r, err
}

func (c *Cloud) shift(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return at.Add(c.Ahead)
}

// Put writes a record over the wire.
func (w *Wire) Put(ctx context.Context, p strategies.Write) (r strategies.Record, err error) {
	err = w.over(ctx, "put", func() error {
		if r, err = w.c.mem.Put(context.Background(), p); err == nil {
			w.c.tell(p.Key)
		}
		return err
	})
	r.Expires = w.c.shift(r.Expires)
	return r, err
}

// Delete removes a record over the wire.
func (w *Wire) Delete(ctx context.Context, key string, revision uint64) error {
	return w.over(ctx, "delete", func() error {
		err := w.c.mem.Delete(context.Background(), key, revision)
		w.c.tell(key)
		return err
	})
}

func (c *Cloud) tell(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.wires {
		w.mu.Lock()
		late := w.late
		heard := slices.ContainsFunc(w.watched, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
		w.mu.Unlock()
		if !heard {
			continue
		}
		time.AfterFunc(w.latency/2+late, func() {
			w.mu.Lock()
			deaf := w.cut || w.hung
			w.mu.Unlock()
			if !deaf {
				w.hub.Tell(key)
			}
		})
	}
}

// List reads records over the wire.
func (w *Wire) List(ctx context.Context, prefix string) (all []strategies.Record, err error) {
	err = w.over(ctx, "list", func() error { all, err = w.c.mem.List(context.Background(), prefix); return err })
	for i := range all {
		all[i].Expires = w.c.shift(all[i].Expires)
	}
	return all, err
}

// Now is the cloud's clock.
func (w *Wire) Now(ctx context.Context) (now time.Time, err error) {
	err = w.over(ctx, "now", func() error { now = time.Now().Add(w.c.Ahead); return nil })
	return now, err
}

// Close does nothing.
func (w *Wire) Close() error { return nil }

// silent is what the watch reads, without being counted.
type silent struct{ *Wire }

func (s silent) uncounted() {
	s.mu.Lock()
	s.ops--
	s.mu.Unlock()
}

func (s silent) Get(ctx context.Context, key string) (strategies.Record, error) {
	s.uncounted()
	return s.Wire.Get(ctx, key)
}

func (s silent) List(ctx context.Context, prefix string) ([]strategies.Record, error) {
	s.uncounted()
	return s.Wire.List(ctx, prefix)
}

func (s silent) Now(ctx context.Context) (time.Time, error) {
	s.uncounted()
	return s.Wire.Now(ctx)
}

// Watch reads again whenever a notice comes, and now and then.
func (w *Wire) Watch(ctx context.Context, prefix string) (<-chan strategies.Change, error) {
	w.mu.Lock()
	w.watched = append(w.watched, prefix)
	w.mu.Unlock()
	return follow.Follow(ctx, w.ctx, &w.hub, silent{w}, prefix, follow.Settings{Poll: 10 * time.Second, Patience: 2 * time.Second}), nil
}
