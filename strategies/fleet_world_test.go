package strategies_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/understudy-go/understudy/internal/follow"
	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/memory"
)

// cloud is one store that many replicas reach, each over a wire of its own.
type cloud struct {
	mem   memory.Store
	ahead time.Duration // of the store's clock

	mu    sync.Mutex
	wires []*wire
}

// wire is a store as one replica sees it.
type wire struct {
	c       *cloud
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
}

var errCut = errors.New("connection refused")

func (c *cloud) wire(t *testing.T, seed uint64, latency time.Duration, loss float64) *wire {
	t.Helper()
	w := &wire{c: c, latency: latency, loss: loss, rnd: rand.New(rand.NewPCG(seed, 7))}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w.ctx = ctx
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wires = append(c.wires, w)
	return w
}

func (w *wire) set(cut bool) {
	w.mu.Lock()
	w.cut = cut
	w.mu.Unlock()
	w.hub.TellAll()
}

func (w *wire) hang(hung bool) {
	w.mu.Lock()
	w.hung = hung
	w.mu.Unlock()
}

// mend makes it a wire that loses nothing.
func (w *wire) mend() {
	w.mu.Lock()
	w.hung, w.loss = false, 0
	w.mu.Unlock()
	w.set(false)
}

// delay lets it hear so much later of what changes.
func (w *wire) delay(d time.Duration) {
	w.mu.Lock()
	w.late = d
	w.mu.Unlock()
}

func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ops
}

// over carries one operation over the wire: it may be lost on the way there, or the
// answer on the way back.
func (w *wire) over(ctx context.Context, op string, do func() error) error {
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
	refused := &strategies.StoreError{Op: op, Err: strategies.ErrUnavailable, Cause: errCut}
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

func (w *wire) Get(ctx context.Context, key string) (r strategies.Record, err error) {
	err = w.over(ctx, "get", func() error { r, err = w.c.mem.Get(context.Background(), key); return err })
	r.Expires = w.c.shift(r.Expires)
	return r, err
}

func (c *cloud) shift(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return at.Add(c.ahead)
}

func (w *wire) Put(ctx context.Context, p strategies.Write) (r strategies.Record, err error) {
	err = w.over(ctx, "put", func() error {
		if r, err = w.c.mem.Put(context.Background(), p); err == nil {
			w.c.tell(p.Key)
		}
		return err
	})
	r.Expires = w.c.shift(r.Expires)
	return r, err
}

func (w *wire) Delete(ctx context.Context, key string, revision uint64) error {
	return w.over(ctx, "delete", func() error {
		err := w.c.mem.Delete(context.Background(), key, revision)
		w.c.tell(key)
		return err
	})
}

func (c *cloud) tell(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.wires {
		w.mu.Lock()
		late := w.late
		w.mu.Unlock()
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

func (w *wire) List(ctx context.Context, prefix string) (all []strategies.Record, err error) {
	err = w.over(ctx, "list", func() error { all, err = w.c.mem.List(context.Background(), prefix); return err })
	for i := range all {
		all[i].Expires = w.c.shift(all[i].Expires)
	}
	return all, err
}

func (w *wire) Now(ctx context.Context) (now time.Time, err error) {
	err = w.over(ctx, "now", func() error { now = time.Now().Add(w.c.ahead); return nil })
	return now, err
}

func (w *wire) Close() error { return nil }

// silent is what the watch reads, without being counted: engines push.
type silent struct{ *wire }

func (s silent) uncounted() {
	s.mu.Lock()
	s.ops--
	s.mu.Unlock()
}

func (s silent) Get(ctx context.Context, key string) (strategies.Record, error) {
	s.uncounted()
	return s.wire.Get(ctx, key)
}

func (s silent) List(ctx context.Context, prefix string) ([]strategies.Record, error) {
	s.uncounted()
	return s.wire.List(ctx, prefix)
}

func (s silent) Now(ctx context.Context) (time.Time, error) {
	s.uncounted()
	return s.wire.Now(ctx)
}

func (w *wire) Watch(ctx context.Context, prefix string) (<-chan strategies.Change, error) {
	return follow.Follow(ctx, w.ctx, &w.hub, silent{w}, prefix, follow.Settings{Poll: 10 * time.Second, Patience: 2 * time.Second}), nil
}

// member is one replica.
type member struct {
	*strategies.Breaker
	t      *testing.T
	wire   *wire
	fleet  *strategies.Fleet
	budget *strategies.Budget
	ladder *strategies.Ladder
	pace   *strategies.Pace
}

var errDead = strategies.WithClass(strategies.ClassTransient, errors.New("503"))

// inFleet runs a test with so many replicas in virtual time.
func inFleet(t *testing.T, name string, n int, test func(t *testing.T, c *cloud, all []*member)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := &cloud{}
			var all []*member
			for i := range n {
				all = append(all, c.join(t, i, 2*time.Millisecond, 0))
			}
			settle(10 * time.Second)
			test(t, c, all)
		})
	})
}

// settle lets time pass, and all that happens in it.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (c *cloud) join(t *testing.T, i int, latency time.Duration, loss float64) *member {
	t.Helper()
	m := &member{
		Breaker: &strategies.Breaker{Name: "openai", NoJitter: true}, t: t, wire: c.wire(t, uint64(i), latency, loss),
		budget: &strategies.Budget{}, ladder: &strategies.Ladder{Name: "shop"}, pace: &strategies.Pace{RequestsPerMinute: 600},
	}
	m.fleet = &strategies.Fleet{Store: m.wire, Name: "shop", Replica: fmt.Sprint("r", i)}
	if err := m.fleet.Share(m.Breaker, m.budget, m.ladder, m.pace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.fleet.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// call makes a call that ends so; false: it was refused.
func (m *member) call(err error) bool {
	permit, refused := m.Allow()
	if refused != nil {
		return false
	}
	if err != nil {
		permit.Failure(err)
	} else {
		permit.Success()
	}
	return true
}

func states(all []*member) (n map[strategies.State]int) {
	n = map[strategies.State]int{}
	for _, m := range all {
		n[m.State()]++
	}
	return n
}

func (m *member) want(s strategies.State) {
	m.t.Helper()
	if got := m.State(); got != s {
		m.t.Errorf("%s is %s, want %s", m.fleet.Replica, got, s)
	}
}
