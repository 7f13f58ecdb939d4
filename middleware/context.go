package middleware

import (
	"context"
	"sync"

	"github.com/understudy-go/understudy/strategies"
)

type (
	attemptKey struct{}
	levelKey   struct{}
	trailKey   struct{}
	recordKey  struct{}
)

// Attempt returns which attempt of its agent a call is: 1 is the first. An
// agent may use it to send less, or an idempotency key that says so. An agent that
// is called by another one sees the nearest retry above it.
func Attempt(ctx context.Context) int {
	if n, ok := ctx.Value(attemptKey{}).(int); ok {
		return n
	}
	return 1
}

// Level returns how much of an answer is asked for: [strategies.LevelFull] unless
// the agent's ladder stands lower, or the call is one to a rung.
func Level(ctx context.Context) strategies.Level {
	level, _ := ctx.Value(levelKey{}).(strategies.Level)
	return level
}

func withAttempt(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, attemptKey{}, n)
}

func withLevel(ctx context.Context, level strategies.Level) context.Context {
	return context.WithValue(ctx, levelKey{}, level)
}

// trail is the agents already asked in the course of one call. It travels with
// the context into stand-ins, so that an agent that is being recovered is never
// asked to recover itself by way of somebody else. Who is told by identity: two
// casts may have agents of one name.
type trail struct {
	who any // a *scope, or a place
	up  *trail
}

// place is who a stand-in is that has no layers of its own, and so no scope: a
// name in somebody's chain.
type place struct {
	of   *scope
	name string
}

func trailOf(ctx context.Context) *trail {
	t, _ := ctx.Value(trailKey{}).(*trail)
	return t
}

func (t *trail) has(who any) bool {
	for ; t != nil; t = t.up {
		if t.who == who {
			return true
		}
	}
	return false
}

func withTrail(ctx context.Context, t *trail) context.Context {
	return context.WithValue(ctx, trailKey{}, t)
}

// asking is the context of a call to a stand-in, with the trail that leads to it:
// one allocation where a value would take three.
type asking struct {
	context.Context
	first trail // of the agent itself, for the first stand-in
	last  trail
}

func (a *asking) Value(key any) any {
	if key == (trailKey{}) {
		return &a.last
	}
	return a.Context.Value(key)
}

// recovering says whether the agent is being recovered further up the call: a
// stand-in, or a rung, has called it again. It may answer, but is not recovered
// a second time: that would go round in circles, and pass off a reduced answer
// as the stand-in's own.
func (s *scope) recovering(ctx context.Context) bool { return trailOf(ctx).has(s) }

// record is what [Guarded.Outcome] learns from the layers. It is a context of
// its own, so that it costs one allocation, and layers look for it only after
// something went wrong.
type record struct {
	context.Context
	scope *scope

	mu       sync.Mutex // an agent may call itself from several goroutines
	strategy strategies.Strategy
	servedBy string
	level    strategies.Level
	attempts int
	late     bool
	round    bool // of an intervention, whose layer tells of its end
}

func (r *record) Value(key any) any {
	if key == (recordKey{}) {
		return r
	}
	return r.Context.Value(key)
}

// hidden keeps a record from the agent: what the agent calls in its turn, even
// itself, is not part of the outcome.
type hidden struct{ context.Context }

func (h hidden) Value(key any) any {
	if key == (recordKey{}) {
		return nil
	}
	return h.Context.Value(key)
}

// note lets change write to the record of the call, if somebody wants one.
func (s *scope) note(ctx context.Context, change func(*record)) {
	if s.tracing.Load() == 0 {
		return
	}
	if r, ok := ctx.Value(recordKey{}).(*record); ok && r.scope == s {
		r.mu.Lock()
		defer r.mu.Unlock()
		change(r)
	}
}

// recovered tells the record and the observer how a call was answered after
// all: attempts counts every call that was made or refused, the last included.
func (s *scope) recovered(ctx context.Context, by string, how strategies.Strategy, level strategies.Level, attempts int) {
	told := true
	s.note(ctx, func(r *record) {
		r.strategy, r.servedBy, r.level, r.attempts = how, by, max(level, r.level), attempts
		told = !r.round
	})
	if told {
		s.emit(ctx, Event{Kind: EventRecovered, ServedBy: by, Strategy: how, Level: level, Attempt: attempts})
	}
}
