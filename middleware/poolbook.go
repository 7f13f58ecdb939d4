package middleware

import (
	"context"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// answered books a call that went well.
func (p *pooling[Req]) answered(t *poolTurn) {
	now, m := p.spread.Now(), p.seats[t.member]
	p.spread.Ended(t.member, now)
	if !p.streams {
		p.spread.Took(t.member, now, now-t.began)
	} else {
		p.spoke(t, now)
	}
	t.own.Success()
	if m.keyed != nil {
		t.key.Success()
	}
	if m.back.Load() != 0 && (!p.streams || t.plain) {
		m.comesBack(t.probe, now)
	}
	if t.conversation != "" {
		p.stays.put(t.conversation, t.member)
	}
	p.look()
}

// spoke counts how long a member took until its stream committed.
func (p *pooling[Req]) spoke(t *poolTurn, now time.Duration) bool {
	if t.side == nil || t.side.spokeAt.IsZero() {
		return false
	}
	p.spread.Took(t.member, now, now-t.began-time.Since(t.side.spokeAt))
	return true
}

// aborted books a panic, or the end of the goroutine, on its way out.
func (p *pooling[Req]) aborted(ctx context.Context, t poolTurn) {
	now := p.spread.Now()
	p.spread.Ended(t.member, now)
	if passing(ctx) {
		t.own.Neutral()
		t.key.Neutral()
	} else {
		t.own.Failure(nil)
		t.key.Neutral()
		p.seats[t.member].unwell.Store(int64(max(now, 1)))
	}
	if t.probe {
		p.seats[t.member].probed(now, false)
	}
	p.look()
}

// failed books a call that failed, and says what the caller gets.
func (p *pooling[Req]) failed(ctx context.Context, req Req, t *poolTurn, err error) error {
	now, m := p.spread.Now(), p.seats[t.member]
	p.spread.Ended(t.member, now)
	defer p.look()
	v := p.settings.Classifier.Classify(err)
	turned := p.book(ctx, t, v, err, now)
	spoke := p.spoke(t, now)
	if t.probe {
		m.probed(now, false)
	}
	if v.Pass {
		if spoke && t.conversation != "" { // its reader left, and has heard who speaks
			p.stays.put(t.conversation, t.member)
		}
		return err
	}
	failed := &memberFailed{MemberError: &strategies.MemberError{Member: m.name, Err: err}, pool: p}
	if t.before != nil {
		failed.tried = append(failed.tried, t.before.tried...)
	}
	failed.tried = append(failed.tried, tried{{t.member, scopeOf(v)}}...)
	if failed.After, failed.Another = p.another(req, failed); turned {
		failed.After, failed.Another = 0, true // the same member will take another key
	}
	return failed
}

// book books a failure where it belongs: with the key, the member, or nobody. turned
// says that the member's own client has turned to another key.
func (p *pooling[Req]) book(ctx context.Context, t *poolTurn, v strategies.Verdict, err error, now time.Duration) (turned bool) {
	m := p.seats[t.member]
	fault := v
	switch p.blame(ctx, t, v, err, now) {
	case nobody:
		t.own.Neutral()
		t.key.Neutral()
		return false
	case suspected:
		t.own.Expired(err)
		t.key.Neutral()
		m.unwell.Store(int64(max(now, 1)))
		return false
	case late:
		fault = p.settings.Classifier.Classify(context.Cause(ctx))
	}
	if fault.Trips || fault.Holds {
		m.unwell.Store(int64(max(now, 1)))
	}
	if m.keyed != nil && ofTheKey(fault) {
		t.own.Neutral()
		t.key.Settle(fault, err)
		return false
	}
	t.key.Neutral()
	return t.own.Settle(fault, err) == strategies.AtOnce
}

type blame uint8

const (
	nobody    blame = iota
	itself          // as the verdict says
	suspected       // its caller's time was up
	late            // it had all the time that an attempt has
)

// blame says whose fault it was that a call failed.
func (p *pooling[Req]) blame(ctx context.Context, t *poolTurn, v strategies.Verdict, err error, now time.Duration) blame {
	switch {
	case v.Pass, v.Final && notTheAgents(err):
		return nobody
	case t.before != nil && v.Trips && !v.Loud && p.settings.Classifier.SameFailure(t.before.Err, err):
		return nobody // it tells of the request
	case ctx.Err() == nil:
		return itself
	}
	limit, ours := context.Cause(ctx).(*strategies.TimeoutError) //nolint:errorlint // by which a layer ends a context
	switch took := now - t.began; {
	case ours && took >= limit.After/2:
		return late
	case !v.Final && took >= fairTime && (ours || ctx.Err() == context.DeadlineExceeded): //nolint:errorlint // as the context has it
		return suspected
	}
	return nobody
}

// under is the context of a call to a member that is guarded, or has one of few
// places. What is called from there may pass the same breaker.
func (p *pooling[Req]) under(ctx context.Context, t poolTurn) (*poolTurn, context.Context) {
	m, up, c := p.seats[t.member], callOf(ctx), &call{}
	switch {
	case up == nil:
	case m.guarded != nil:
		*c = call{owner: m.guarded, up: up, tree: up.tree, level: up.level, job: up.job, meter: up.meter, priority: up.priority}
	default: // a step of the same call
		*c = *up
		c.first = up.whole()
	}
	c.Context = ctx
	live, committed := &t, func() {}
	live.end = func() {}
	if t.own.IsTrial() {
		limited, cancel := context.WithCancelCause(ctx)
		c.Context = limited
		if limit, _ := t.own.Trial(0); limit > 0 {
			timer := time.AfterFunc(limit, func() { cancel(&strategies.TimeoutError{Limit: "trial", After: limit}) })
			committed = func() { timer.Stop() }
		}
		l := &leave{of: m.breaker}
		c.has(l)
		live.end = func() { committed(); cancel(nil); l.over.Store(true) }
	}
	if p.streams {
		live.side = &streamSide{reader: t.side.reader, clock: t.side.clock, timed: true}
		if live.side.clock == nil {
			live.side.clock = &streamWatch{} // it says whose turn it is
		}
		before := t.side.onCommit
		live.side.onCommit = func(bounded bool) {
			committed()
			p.committed(live)
			if before != nil {
				before(bounded)
			}
		}
		c.stream = live.side
	}
	return live, c
}

// committed books that a member which comes back has begun to speak: a stream may
// last for long, and what it says afterwards is booked as any call's.
func (p *pooling[Req]) committed(t *poolTurn) {
	m := p.seats[t.member]
	if t.own.IsTrial() || t.key.IsTrial() {
		t.own.Success()
		t.key.Success()
		if own, key, ok := m.leave(); ok {
			t.own, t.key = own, key
		} else {
			t.own, t.key = strategies.Permit{}, strategies.Permit{}
		}
	}
	m.comesBack(t.probe, p.spread.Now())
	p.look()
}
