package inbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// A process says that it is alive by a record that expires, by the store's clock, after
// three heartbeats. Whoever finds it gone ends what the process held. A process that
// could not renew it for as long must take itself for dead: others do.
const heartbeats = 3

// errFenced is why a call that was gone on with is cancelled.
var errFenced = errors.New("understudy: this process could not say that it is alive, and another one goes on with its calls")

// life is the own heartbeat.
type life struct {
	mu    sync.Mutex
	until time.Time     // by our clock: soon after it others may take us for dead
	end   *time.Timer   // at that time
	first chan struct{} // closed once the first one is there
	last  time.Time     // when it was renewed last
	since time.Time     // since when the store has taken it each time
	ahead time.Duration // the store's clock before ours
	ttl   time.Duration
	spare time.Duration // for what is cancelled to end
}

func (l *life) init(every time.Duration, fence func()) {
	l.first, l.ttl, l.spare = make(chan struct{}), heartbeats*every, every/2
	l.end = time.AfterFunc(l.ttl, fence)
}

// guess is the store's clock as it was at the last heartbeat, gone on with.
func (l *life) guess() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Add(l.ahead)
}

// alive says whether others take this process for alive, with some time to spare.
func (l *life) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until)
}

// settled says whether the store has been there for so long that everybody who lives has
// had the time to say so.
func (l *life) settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until) && time.Since(l.since) >= l.ttl
}

func (l *life) renewed(begun time.Time, store time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if begun.Sub(l.last) > l.ttl/heartbeats*3/2 { // the store was away, perhaps for others too
		l.since = time.Now()
	}
	l.last = begun
	l.until = begun.Add(l.ttl - l.spare)
	l.end.Reset(time.Until(l.until))
	if !store.IsZero() {
		l.ahead = time.Until(store)
	}
	select {
	case <-l.first:
	default:
		close(l.first)
	}
}

// beat renews the sign of life until the inbox is closed.
func (b *Inbox) beat() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer b.life.end.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-timer.C:
		}
		wait := b.s.Heartbeat
		if err := b.sayAlive(); err != nil {
			b.trouble(fmt.Errorf("understudy: the inbox could not say that it is alive: %w", err))
			wait /= 5
		}
		timer.Reset(wait)
	}
}

func (b *Inbox) sayAlive() error {
	ctx, cancel := context.WithTimeout(b.ctx, b.s.Heartbeat)
	defer cancel()
	begun := time.Now()
	_, err := b.store.Put(ctx, strategies.Write{
		Key: b.prefix("alive") + b.s.Process, Revision: strategies.AnyRevision, TTL: heartbeats * b.s.Heartbeat,
	})
	if err != nil {
		return err
	}
	now, err := b.now(ctx)
	if err != nil {
		now = time.Time{}
	}
	b.life.renewed(begun, now)
	return nil
}

// fence cancels the parked calls that this process goes on with.
func (b *Inbox) fence() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.runs {
		r.cancel(errFenced)
	}
}

// farewell takes the sign of life back, so that nobody has to wait for its end.
func (b *Inbox) farewell() {
	ctx, cancel := b.patient(context.Background())
	defer cancel()
	_ = b.store.Delete(ctx, b.prefix("alive")+b.s.Process, strategies.AnyRevision)
}

// gone says, by the store, whether a process is gone for certain.
func (b *Inbox) gone(ctx context.Context, process string) bool {
	_, err := b.store.Get(ctx, b.prefix("alive")+process)
	return errors.Is(err, strategies.ErrNotFound)
}
