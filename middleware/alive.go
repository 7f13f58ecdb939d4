package middleware

import (
	"context"
	"sync"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// TimeoutWhileAlive bounds each attempt by the silence of the agent: it has so long
// until it says, by [Call.Alive], that it is at work, and so long again each time it
// does; and never longer than most. It is for work of minutes that reports progress.
// An agent that says nothing has silence, as with Timeout, whose place this takes.
func (s *Settings) TimeoutWhileAlive(silence, most time.Duration) *Settings {
	p := &timeoutPart{basics: basics{"Timeout", StageTimeout}, first: most, silence: silence}
	problems := []error{positive("TimeoutWhileAlive silence", silence), positive("TimeoutWhileAlive most", most)}
	if silence > most && most > 0 {
		problems = append(problems, problemOf("TimeoutWhileAlive", "has a silence of %v, and %v at most", "the silence must fit into the whole", silence, most))
	}
	return s.add(p, problems...)
}

// Alive says that the agent, or a tool of its, is at work: the limit of its attempt,
// and of those that it is part of, begins anew where the chain says so, see
// [Settings.TimeoutWhileAlive]. The adapters say it for the progress of MCP tools and
// the messages of gRPC streams. It costs next to nothing, and nothing elsewhere.
func (c Call) Alive() {
	for at := c.c; at != nil; at = at.up {
		if at.life != nil {
			at.life.renew()
		}
	}
}

// Prolongs says whether Alive does anything: whether the limit of an attempt that the
// call is part of can begin anew. Who must ask for signs of life first, such as the
// progress of a server, need not where nobody listens.
func (c Call) Prolongs() bool {
	for at := c.c; at != nil; at = at.up {
		if at.life != nil {
			return true
		}
	}
	return false
}

// life is the limit of one attempt that can begin anew.
type life struct {
	silence time.Duration
	end     func()

	mu    sync.Mutex
	timer *time.Timer
	due   time.Time
	over  bool
}

func (l *life) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.due = time.Now().Add(l.silence)
		l.timer.Reset(l.silence)
	}
}

func (l *life) fire() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.end()
}

func (l *life) close() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.timer.Stop()
	return l.due
}

// aliveLimit is the layer of TimeoutWhileAlive.
type aliveLimit[Req, Resp any] struct {
	owner *Owner
	cause *strategies.TimeoutError
	next  Runner[Req, Resp]
}

func newAliveLimit[Req, Resp any](o *Owner, silence, most time.Duration, next Runner[Req, Resp]) Runner[Req, Resp] {
	inner := &aliveLimit[Req, Resp]{owner: o, cause: o.limit("attempt", silence), next: next}
	return newLimit[Req, Resp](o, "attempt", most, 0, inner)
}

func (l *aliveLimit[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	life := &life{silence: l.cause.After, end: func() { cancel(l.cause) }, due: time.Now().Add(l.cause.After)}
	life.mu.Lock()
	life.timer = time.AfterFunc(l.cause.After, life.fire)
	life.mu.Unlock()
	c := l.owner.with(limited, 0)
	c.life = life
	resp, err := l.next.Run(c, req)
	due := life.close()
	if limited.Err() == nil || !errtree.Same(context.Cause(limited), l.cause) {
		return resp, err
	}
	if err == nil {
		l.owner.late(ctx, l.cause.Limit)
		return resp, nil
	}
	return resp, l.owner.overdue(err, l.cause, l.cause.After, due)
}
