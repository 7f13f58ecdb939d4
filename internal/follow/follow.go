package follow

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Source is the part of a store that a watch reads.
type Source interface {
	Get(ctx context.Context, key string) (strategies.Record, error)
	List(ctx context.Context, prefix string) ([]strategies.Record, error)
	Now(ctx context.Context) (time.Time, error)
}

// Settings of a watch. The zero value is the default.
type Settings struct {
	// Poll is how often all is read again, whatever the notices say. 0: never.
	Poll time.Duration
	// Heads lists without values, for the poll. It may be somewhat late, for what
	// differs is read again. nil: List.
	Heads func(ctx context.Context, prefix string) ([]strategies.Record, error)
	// Patience is how long one reading may take. 0: 10 s.
	Patience time.Duration
}

// Follow watches a prefix until ctx or closed ends; then the channel is closed. It runs
// one goroutine.
func Follow(ctx, closed context.Context, hub *Hub, src Source, prefix string, s Settings) <-chan strategies.Change {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(closed, cancel)
	w := &watch{
		ctx: ctx, src: src, prefix: prefix, Settings: s,
		hints: hub.join(prefix), told: newTold(), out: make(chan strategies.Change),
	}
	w.Patience = cmp.Or(w.Patience, 10*time.Second)
	if w.Heads == nil {
		w.Heads = src.List
	}
	w.hints.addAll()
	go func() {
		defer close(w.out)
		defer hub.leave(w.hints)
		defer stop()
		defer cancel()
		w.run()
	}()
	return w.out
}

const (
	shortestPause = 50 * time.Millisecond
	longestPause  = 2 * time.Second
	manyHints     = 64 // as many are cheaper read as a list
	fewRecords    = 512
	atOnce        = 4 // so many are read before the reader is told: each may be a round trip
)

type watch struct {
	Settings
	ctx    context.Context //nolint:containedctx // of the goroutine that this is
	src    Source
	prefix string
	hints  *Hints
	told   *told
	out    chan strategies.Change

	current bool // the reader was told that it knows all, and nothing was lost since
	lost    bool // the reader was told that the store cannot be reached
	pause   time.Duration
	polled  time.Time // when all was read

	ahead   time.Duration // the store's clock before ours
	expires expiries
}

func (w *watch) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for w.ctx.Err() == nil {
		wait := w.look()
		if wait >= 0 {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		if !w.rest(timer.C) {
			return
		}
	}
}

// rest hands out what waits until there is something to look at.
func (w *watch) rest(alarm <-chan time.Time) bool {
	wake := w.hints.wake
	if w.pause > 0 {
		wake = nil // the store did not answer: hints do not shorten the pause
	}
	for {
		next, any := w.told.next()
		out := w.out
		if !any {
			out = nil
		}
		select {
		case <-w.ctx.Done():
			return false
		case out <- next:
			w.told.tell()
		case <-wake:
			return true
		case <-alarm:
			return true
		}
	}
}

// look reads what is to be read, and returns when to look again at the latest;
// below 0: when there are hints.
func (w *watch) look() time.Duration {
	ctx, cancel := context.WithTimeout(w.ctx, w.Patience)
	defer cancel()
	if err := w.read(ctx); err != nil {
		w.hints.addAll() // what was taken is still to be read
		w.current = false
		if !w.lost && w.ctx.Err() == nil {
			w.lost = true
			w.told.mark(strategies.Change{Kind: strategies.ChangeLost, Err: err})
		}
		w.pause = min(max(2*w.pause, shortestPause), longestPause)
		return w.pause
	}
	w.pause = 0
	wait := time.Duration(-1)
	if w.Poll > 0 {
		wait = max(w.Poll-time.Since(w.polled), 0)
	}
	if due, ok := w.expires.next(); ok {
		until := max(time.Until(due.at.Add(-w.ahead)), 0) + time.Millisecond
		if wait < 0 || until < wait {
			wait = until
		}
	}
	return wait
}

func (w *watch) read(ctx context.Context) error {
	keys, all := w.hints.take()
	reads := 0
	switch {
	case all || !w.current || len(keys) > manyHints || len(keys) > atOnce && len(w.told.known) <= fewRecords:
		return w.readAll(ctx)
	case w.Poll > 0 && time.Since(w.polled) >= w.Poll:
		if err := w.poll(ctx); err != nil {
			return err
		}
	}
	for _, key := range w.due() {
		keys[key] = struct{}{}
	}
	for key := range keys {
		if reads++; reads > atOnce {
			w.hints.add(key)
			continue
		}
		if err := w.readOne(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// readAll reads all with values: at the beginning, and after something was lost.
func (w *watch) readAll(ctx context.Context) error {
	if err := w.setClock(ctx); err != nil {
		return err
	}
	all, err := w.src.List(ctx, w.prefix)
	if err != nil {
		return err
	}
	there := make(map[string]struct{}, len(all))
	for _, r := range all {
		there[r.Key] = struct{}{}
		w.put(r)
	}
	for key := range w.told.known {
		if _, ok := there[key]; !ok {
			w.told.gone(key)
		}
	}
	w.polled = time.Now()
	if !w.current {
		w.current, w.lost = true, false
		w.told.mark(strategies.Change{Kind: strategies.ChangeCurrent})
	}
	return nil
}

// poll reads all without values, and then what differs.
func (w *watch) poll(ctx context.Context) error {
	if err := w.setClock(ctx); err != nil { // clocks drift
		return err
	}
	heads, err := w.Heads(ctx, w.prefix)
	if err != nil {
		return err
	}
	there := make(map[string]struct{}, len(heads))
	differs := []string{}
	for _, r := range heads {
		there[r.Key] = struct{}{}
		if w.told.known[r.Key].Revision != r.Revision {
			differs = append(differs, r.Key)
		}
	}
	for key := range w.told.known {
		if _, ok := there[key]; !ok {
			differs = append(differs, key)
		}
	}
	for _, key := range differs {
		if err := w.readOne(ctx, key); err != nil {
			return err
		}
	}
	w.polled = time.Now()
	return nil
}

func (w *watch) readOne(ctx context.Context, key string) error {
	r, err := w.src.Get(ctx, key)
	switch {
	case errors.Is(err, strategies.ErrNotFound):
		w.told.gone(key)
		return nil
	case err != nil:
		return err
	}
	w.put(r)
	return nil
}

func (w *watch) put(r strategies.Record) {
	if known, ok := w.told.known[r.Key]; !r.Expires.IsZero() && (!ok || known.Revision != r.Revision) {
		heap.Push(&w.expires, expiry{r.Expires, r.Key, r.Revision, 0})
	}
	w.told.put(r)
	if len(w.expires) > 2*len(w.told.known)+64 { // of records that were renewed long before they expired
		w.expires = slices.DeleteFunc(w.expires, func(e expiry) bool { return w.told.known[e.key].Revision != e.revision })
		heap.Init(&w.expires)
	}
}

func (w *watch) setClock(ctx context.Context) error {
	asked := time.Now()
	now, err := w.src.Now(ctx)
	if err != nil {
		return err
	}
	took := time.Since(asked)
	w.ahead = now.Sub(asked.Add(took / 2))
	return nil
}

// due takes out what has expired by our idea of the store's clock. What the store has
// still is put back, to be looked at soon.
func (w *watch) due() (keys []string) {
	now := time.Now().Add(w.ahead)
	for {
		e, ok := w.expires.next()
		if !ok || e.at.After(now) {
			return keys
		}
		heap.Pop(&w.expires)
		if w.told.known[e.key].Revision != e.revision {
			continue // it was written since, or is gone
		}
		keys = append(keys, e.key)
		again := e
		again.early++
		again.at = now.Add(time.Millisecond << min(again.early, 10))
		heap.Push(&w.expires, again)
	}
}

// expiry is a record's end, unless it is written before.
type expiry struct {
	at       time.Time
	key      string
	revision uint64
	early    int // how often it was due and still there
}

type expiries []expiry

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiries) Push(x any)        { *e = append(*e, x.(expiry)) }
func (e *expiries) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (e expiries) next() (expiry, bool) {
	if len(e) == 0 {
		return expiry{}, false
	}
	return e[0], true
}
