package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/understudy-go/understudy/internal/errtree"
)

// Renew renews a credential that was refused, and asks the agent again at once: an
// expired token is daily life, and no failure of anybody's. renew is called at most
// once a call, and once for all callers of the layer who meet the refusal of the
// same credential at a time: the others wait for it, as long as their own contexts
// last. It runs on the goroutine of one of them, with its context. A call that began
// before somebody else's renewal is asked again without one of its own.
//
// It stands inside of the breaker, which sees what comes of it, and outside of the
// attempt's Timeout, so that the second attempt has a whole one. What is renewable
// is said by [strategies.Verdict].Renew: [strategies.ClassUnauthorized] is. If
// renew fails, the call fails with the refusal, and the reason is a [RenewError].
//
// It costs a healthy call one atomic load. A nil renew is refused.
func Renew[Req, Resp any](o *Owner, renew func(ctx context.Context, failure Failure) error) Middleware[Req, Resp] {
	p := newRenewPart(renew)
	return byHand(o, p, missing("Renew", renew == nil), func(next Runner[Req, Resp]) Runner[Req, Resp] { return &renewer[Req, Resp]{o, p.credential, next} })
}

// Renew adds a layer that renews a credential that was refused. See [Renew].
func (s *Settings) Renew(renew func(ctx context.Context, failure Failure) error) *Settings {
	return s.add(newRenewPart(renew), missing("Renew", renew == nil))
}

// RenewError is a refusal whose credential could not be renewed.
type RenewError struct {
	Refusal error // what the agent said
	Err     error // what the renewal said
}

func (e *RenewError) Error() string {
	return fmt.Sprintf("understudy: %s; to renew the credential failed too: %s", errtree.Text(e.Refusal), errtree.Text(e.Err))
}

// Unwrap returns both, the refusal first: it decides the class.
func (e *RenewError) Unwrap() []error { return []error{e.Refusal, e.Err} }

type renewPart struct {
	basics
	credential *credential
}

func newRenewPart(renew func(context.Context, Failure) error) *renewPart {
	return &renewPart{basics{"Renew", StageRenew}, &credential{renew, &renewals{}}}
}

func (p *renewPart) inherit(before part) (part, func() error) {
	if was, ok := before.(*renewPart); ok {
		return &renewPart{p.basics, &credential{p.credential.renew, was.credential.renewals}}, nil
	}
	return p, nil
}

func (p *renewPart) explain(e *explaining) {
	e.Calls += 1
	e.row(StageRenew, "a credential that is refused, and asks again: once a call")
}

// credential is what all calls of a layer share.
type credential struct {
	renew func(ctx context.Context, failure Failure) error
	*renewals
}

// renewals are what becomes of a credential.
type renewals struct {
	age atomic.Int64 // how often it has been renewed

	mu  sync.Mutex
	now *renewal // under way; nil: none is
}

// renewal is one renewal, whose end all who wait for it share.
type renewal struct {
	ended chan struct{}
	err   error
	left  bool // whose turn it was has left, so it said nothing of the credential
}

// renewed sees to it that the credential is younger than one of an age. by says
// whether it was this caller who renewed it.
func (c *credential) renewed(ctx context.Context, age int64, f Failure) (by bool, err error) {
	for {
		c.mu.Lock()
		if c.age.Load() > age {
			c.mu.Unlock()
			return false, nil
		}
		r := c.now
		if r == nil {
			r = &renewal{ended: make(chan struct{})}
			c.now = r
			c.mu.Unlock()
			return true, c.alone(ctx, r, f)
		}
		c.mu.Unlock()
		select {
		case <-r.ended:
			if r.err == nil || !r.left {
				return false, r.err
			}
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// alone renews the credential. Also a Goexit in it lets the next one in.
func (c *credential) alone(ctx context.Context, r *renewal, f Failure) error {
	r.err, r.left = errGone, true
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if r.err == nil {
			c.age.Add(1)
		}
		c.now = nil
		close(r.ended)
	}()
	err := protect(func() error { return c.renew(ctx, f) })
	r.err, r.left = errtree.Tame(err), ctx.Err() != nil
	return r.err
}

// errGone is seen by nobody: who waits for a goroutine that has ended goes on alone.
var errGone = errors.New("understudy: the goroutine that renewed the credential has ended")

type renewer[Req, Resp any] struct {
	owner      *Owner
	credential *credential
	next       Runner[Req, Resp]
}

func (l *renewer[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	age := l.credential.age.Load()
	resp, err := l.next.Run(ctx, req)
	if err == nil {
		return resp, nil
	}
	v := l.owner.verdict(err)
	if !v.Renew || v.Pass || v.Final || ctx.Err() != nil {
		return resp, err
	}
	attempt := CallOf(ctx).Attempt()
	by, problem := l.credential.renewed(ctx, age, Failure{Class: v.Class, RetryAfter: v.RetryAfter, Attempts: attempt, Err: errtree.Tame(raw(err))})
	if by && l.owner.Observer != nil {
		l.owner.emit(ctx, 0, Event{Kind: EventRenewed, Attempt: attempt, Class: v.Class, Err: problem})
	}
	var none Resp
	switch {
	case problem != nil && ctx.Err() != nil:
		return none, err // who waited has left
	case problem != nil:
		return none, &RenewError{Refusal: raw(err), Err: problem}
	}
	return l.next.Run(ctx, req)
}
