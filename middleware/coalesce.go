package middleware

import (
	"context"
	"slices"
	"sync"

	"github.com/understudy-go/understudy/strategies"
)

// Coalesce lets identical calls that come at the same time share one: key says
// which are identical, "" that a call shares with nobody. The agent is asked
// once, and everybody gets the same answer, or the same error.
//
// Each caller may leave without ending the call for the others; the last one who
// leaves ends it. So the shared call keeps the values of the first caller's
// context and not its deadline: bound it with [Builder.Deadline]. Nothing is kept
// once a call has ended: it is no cache. Answers are shared, not copied: they must
// not be written to. What happens in the shared call is told once, as events of a
// call of its own; each caller's [Outcome] says how it was answered. A call that
// the shared one waits for itself, as one of a stand-in's back to the agent, does
// not wait for it: it is made alone.
//
// It costs a goroutine, a channel and a context a shared call; a caller who joins
// costs one map look-up.
func Coalesce[Req, Resp any](o *Owner, key func(req Req) string) Middleware[Req, Resp] {
	var problem error
	if key == nil {
		problem = settingNil("Coalesce", "a function")
	}
	return byHand(o, newCoalescePart(), problem, func(next Runner[Req, Resp]) Runner[Req, Resp] {
		return newCoalesce(o, key, next)
	})
}

// Coalesce lets identical calls that come at the same time share one. See
// [Coalesce].
func (b *Builder[Req, Resp]) Coalesce(key func(req Req) string) *Builder[Req, Resp] {
	b.settings().add(newCoalescePart())
	if key == nil {
		b.settings().wrong(settingNil("Coalesce", "a function"))
		return b
	}
	b.typed = append(b.typed, typedLayer[Req, Resp]{StageCoalesce, func(o *Owner) Middleware[Req, Resp] {
		return func(next Runner[Req, Resp]) Runner[Req, Resp] { return newCoalesce(o, key, next) }
	}})
	return b
}

type coalescePart struct{ basics }

func newCoalescePart() *coalescePart { return &coalescePart{basics{"Coalesce", StageCoalesce}} }

func (p *coalescePart) explain(e *explaining) {
	e.row(StageCoalesce, "identical calls at the same time share one")
}

type coalesce[Req, Resp any] struct {
	owner *Owner
	key   func(Req) string
	next  Runner[Req, Resp]

	mu      sync.Mutex
	flights map[string]*flight[Resp]
}

func newCoalesce[Req, Resp any](o *Owner, key func(Req) string, next Runner[Req, Resp]) *coalesce[Req, Resp] {
	o.guests.Store(true) // one account may reach many callers
	return &coalesce[Req, Resp]{owner: o, key: key, next: next, flights: map[string]*flight[Resp]{}}
}

// flight is one shared call.
type flight[Resp any] struct {
	waiting int // guarded by the layer's lock
	cancel  context.CancelCauseFunc
	done    chan struct{}
	resp    Resp
	err     error
	job     *job // of its first caller
	how     told // by whom, and how, it was answered: each caller's outcome says so
	sharing
}

func (l *coalesce[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	var none Resp
	var key string
	if err := protect(func() error { key = l.key(req); return nil }); err != nil {
		return none, err
	}
	if key == "" {
		return l.next.Run(ctx, req)
	}
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	within := callOf(ctx).shared()
	f := l.join(ctx, within, key, req)
	if f == nil {
		return l.next.Run(ctx, req)
	}
	defer within.hasAwaited(&f.sharing)
	select {
	case <-f.done:
		how := f.how
		if f.job == jobOf(ctx) {
			how.effects = nil // its own
		}
		l.owner.note(ctx, func(p *provenance) { p.become(how) })
		return f.resp, f.err
	case <-ctx.Done():
		l.leave(key, f, context.Cause(ctx))
		return none, context.Cause(ctx)
	}
}

// join returns the flight under way for key, or starts one; nil: that flight waits
// for the one that within is of.
func (l *coalesce[Req, Resp]) join(ctx context.Context, within *sharing, key string, req Req) *flight[Resp] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f, ok := l.flights[key]; ok {
		if !within.awaits(&f.sharing) {
			return nil
		}
		f.waiting++
		return f
	}
	shared, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	f := &flight[Resp]{waiting: 1, cancel: cancel, done: make(chan struct{}), job: jobOf(ctx)}
	f.err = &strategies.PanicError{Value: errGoexit} // unless it returns
	l.flights[key] = f
	within.awaits(&f.sharing)
	go l.fly(shared, key, f, req)
	return f
}

// fly makes the call on a goroutine of its own, which ends with the call.
func (l *coalesce[Req, Resp]) fly(ctx context.Context, key string, f *flight[Resp], req Req) {
	defer func() {
		l.forget(key, f)
		f.cancel(nil)
		close(f.done)
	}()
	call := l.owner.traced(ctx)
	call.up = above(&f.sharing, call.up) // its first caller may be gone long before it
	f.resp, f.err = guard(&call.call, l.next, req)
	if f.err != nil { // told here, once, and not by each who gets it
		if v := l.owner.judge(&call.call, f.err); !v.Pass {
			f.err = l.owner.account(&call.call, f.err, v)
		}
	}
	f.how = call.settle(nil)
	f.how.effects = f.job.records()
}

// leave takes a caller off; the last one ends the call, which nobody joins any
// more.
func (l *coalesce[Req, Resp]) leave(key string, f *flight[Resp], why error) {
	l.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last && l.flights[key] == f {
		delete(l.flights, key)
	}
	l.mu.Unlock()
	if last {
		f.cancel(why)
	}
}

func (l *coalesce[Req, Resp]) forget(key string, f *flight[Resp]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flights[key] == f {
		delete(l.flights, key)
	}
}

// become takes over how another call was answered, whose answer this one gets.
func (p *provenance) become(t told) {
	p.strategy, p.servedBy, p.level, p.attempts, p.failed, p.late = t.strategy, t.servedBy, t.level, t.attempts, t.failed, t.late
	p.others = t.effects
}

// sharing is a flight as others know it: which flights it waits for. Two that waited
// for each other would never end.
type sharing struct {
	awaiting []*sharing // guarded by sharings
}

// One lock for all, for flights of any chains may wait for each other; it is held for
// a few steps, and guards no state but theirs.
var sharings sync.Mutex

// awaits notes that a flight waits for another, unless that waits for it. Nobody
// waits for a call that is not part of any flight: s is nil then.
func (s *sharing) awaits(other *sharing) bool {
	if s == nil {
		return true
	}
	sharings.Lock()
	defer sharings.Unlock()
	if other.reaches(s, map[*sharing]bool{}) {
		return false
	}
	s.awaiting = append(s.awaiting, other)
	return true
}

func (s *sharing) hasAwaited(other *sharing) {
	if s == nil {
		return
	}
	sharings.Lock()
	defer sharings.Unlock()
	if i := slices.Index(s.awaiting, other); i >= 0 {
		s.awaiting = slices.Delete(s.awaiting, i, i+1)
	}
}

func (s *sharing) reaches(other *sharing, seen map[*sharing]bool) bool {
	if s == other {
		return true
	}
	seen[s] = true
	for _, next := range s.awaiting {
		if !seen[next] && next.reaches(other, seen) {
			return true
		}
	}
	return false
}
