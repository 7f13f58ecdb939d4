package fleetlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/understudy-go/understudy/internal/farstore"
	"github.com/understudy-go/understudy/strategies"
)

// statusError is what a provider's client makes of a refusal.
type statusError struct {
	StatusCode int
	Header     http.Header
}

func (e *statusError) Error() string { return "status " + strconv.Itoa(e.StatusCode) }

// replica is one process: it makes a call, or does not.
type replica interface {
	call(ask func() error)
	close()
}

// System is a way of sharing, or of not sharing.
type System struct {
	Name   string
	Config string
	start  func(ctx context.Context, w *farstore.Wire, name string) (replica, error)
	// most is the largest fleet that it is asked to serve; 0: any.
	most int
}

// Systems are those that are compared.
func Systems() []System {
	return []System{shared, alone, distributed, reread}
}

var shared = System{
	Name:   "fleet",
	Config: "strategies.Fleet over strategies.Breaker{}: the defaults",
	start: func(_ context.Context, w *farstore.Wire, name string) (replica, error) {
		b := &strategies.Breaker{Name: "provider"}
		f := &strategies.Fleet{Store: w, Name: "lab", Replica: name}
		return &ours{b, f}, f.Share(b)
	},
}

var alone = System{
	Name:   "alone",
	Config: "strategies.Breaker{} in each replica: the defaults",
	start: func(context.Context, *farstore.Wire, string) (replica, error) {
		return &ours{&strategies.Breaker{Name: "provider"}, nil}, nil
	},
}

// ours is a breaker, in a fleet or not.
type ours struct {
	b *strategies.Breaker
	f *strategies.Fleet
}

func (r *ours) call(ask func() error) {
	permit, err := r.b.Allow()
	if err == nil {
		err = ask()
		permit.Settle(strategies.Classify(err), err)
	}
}

func (r *ours) close() {
	if r.f != nil {
		_ = r.f.Close()
	}
}

var distributed = System{
	Name:   "gobreaker, distributed",
	Config: "gobreaker.NewDistributedCircuitBreaker, opening after 5 failures in a row for 30s; its lock is a record with 5s to live",
	start: func(ctx context.Context, w *farstore.Wire, _ string) (replica, error) {
		// Its constructor waits for the store, and gives up: a process tries again.
		s := gobreaker.Settings{
			Name: "provider", Timeout: 30 * time.Second,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 5 },
		}
		return &theirs{ctx: ctx, w: w, settings: s, one: make(chan struct{}, 1)}, nil
	},
	most: 100, // each call asks for one lock, and waits half a second when it is taken
}

type theirs struct {
	ctx      context.Context //nolint:containedctx // ends with the day
	w        *farstore.Wire
	settings gobreaker.Settings

	one chan struct{} // a lock that virtual time goes on behind
	cb  *gobreaker.DistributedCircuitBreaker[struct{}]
}

func (r *theirs) call(ask func() error) {
	r.one <- struct{}{}
	var err error
	if r.cb == nil {
		r.cb, err = r.build()
	}
	cb := r.cb
	if err != nil {
		r.cb = nil
	}
	<-r.one
	if err == nil {
		_, _ = cb.Execute(func() (struct{}, error) { return struct{}{}, ask() })
	}
}

// build runs a constructor that panics when the store fails it half way.
func (r *theirs) build() (cb *gobreaker.DistributedCircuitBreaker[struct{}], err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("gobreaker: %v", p)
		}
	}()
	return gobreaker.NewDistributedCircuitBreaker[struct{}](&data{r.ctx, r.w}, r.settings)
}

func (*theirs) close() {}

// data is the store that gobreaker asks for.
type data struct {
	ctx context.Context //nolint:containedctx // its interface has none
	w   *farstore.Wire
}

func (d *data) Lock(name string) error {
	_, err := d.w.Put(d.ctx, strategies.Write{Key: name, TTL: 5 * time.Second})
	return err
}

func (d *data) Unlock(name string) error {
	return d.w.Delete(d.ctx, name, strategies.AnyRevision)
}

func (d *data) GetData(name string) ([]byte, error) {
	r, err := d.w.Get(d.ctx, name)
	if errors.Is(err, strategies.ErrNotFound) {
		return nil, nil
	}
	return r.Value, err
}

func (d *data) SetData(name string, value []byte) error {
	_, err := d.w.Put(d.ctx, strategies.Write{Key: name, Value: value, Revision: strategies.AnyRevision})
	return err
}

var reread = System{
	Name:   "cooldowns, re-read",
	Config: "a model of LiteLLM's: who has failed 5 times in a row, or was told to wait, writes a cooldown (30s, or Retry-After) into the store; all read it again every second",
	start: func(ctx context.Context, w *farstore.Wire, _ string) (replica, error) {
		r := &cooling{w: w, ended: make(chan struct{})}
		r.ctx, r.stop = context.WithCancel(ctx)
		go r.watch()
		return r, nil
	},
}

type cooling struct {
	ctx context.Context //nolint:containedctx // ends with the replica
	w   *farstore.Wire

	stop  context.CancelFunc
	ended chan struct{}

	mu       sync.Mutex
	failures int
	until    time.Time
}

func (r *cooling) watch() {
	defer close(r.ended)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
			if rec, err := r.w.Get(r.ctx, "cooldown"); err == nil {
				if until, err := time.Parse(time.RFC3339Nano, string(rec.Value)); err == nil {
					r.cool(until)
				}
			}
		}
	}
}

func (r *cooling) cool(until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until.After(r.until) {
		r.until = until
	}
}

func (r *cooling) call(ask func() error) {
	r.mu.Lock()
	held := time.Now().Before(r.until)
	r.mu.Unlock()
	if held {
		return
	}
	err := ask()
	r.mu.Lock()
	if err == nil {
		r.failures = 0
		r.mu.Unlock()
		return
	}
	r.failures++
	cooldown, until := time.Duration(0), time.Time{}
	if status, ok := errors.AsType[*statusError](err); ok && status.StatusCode == http.StatusTooManyRequests {
		cooldown = retryAfter
	} else if r.failures >= 5 {
		cooldown = 30 * time.Second
	}
	if cooldown > 0 {
		r.failures = 4 // one more failure after it, and it cools again
		until = time.Now().Add(cooldown)
		r.until = until
	}
	r.mu.Unlock()
	if cooldown > 0 {
		_, _ = r.w.Put(r.ctx, strategies.Write{Key: "cooldown", Value: []byte(until.Format(time.RFC3339Nano)), Revision: strategies.AnyRevision, TTL: cooldown})
	}
}

func (r *cooling) close() {
	r.stop()
	<-r.ended
}
