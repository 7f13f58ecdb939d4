package middleware

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// pooling is a pool whatever its members answer with: who is asked, and how it is
// booked.
type pooling[Req any] struct {
	settings PoolSettings[Req]
	seats    []*seat[Req]
	spread   *strategies.Spread
	stays    *stays
	all      strategies.Among
	picky    bool // some cannot serve all requests
	streams  bool
	simple   bool // nothing is special about members or settings

	waiting atomic.Int64 // calls that wait for a member
	mu      sync.Mutex
	turned  chan struct{} // closed when it makes sense to look again
}

// poolTurn is one call to a member.
type poolTurn struct {
	member       int
	plain        bool // an agent without layers, and neither a trial nor a stream
	probe        bool // the first call to one that comes back
	began        time.Duration
	own, key     strategies.Permit
	before       *memberFailed
	conversation string
	side         *streamSide // of a stream
	end          func()      // of a call that is not plain
}

// memberFailed is a member's failure, with what the next attempt of the call must know.
type memberFailed struct {
	*strategies.MemberError
	pool  any   // which
	tried tried // the members that have failed in this call, this one last
}

// tried are members that failed in a call, and what else is not asked for that.
type tried []struct {
	member int
	scope  scope
}

// scope is whose failure it was.
type scope uint8

const (
	scopeDomain scope = iota // the region's, as it may be
	scopeMember              // a model that is gone
	scopeKey                 // a limit, a key that was refused
)

// scopeOf says whose failure it was.
func scopeOf(v strategies.Verdict) scope {
	switch {
	case ofTheKey(v):
		return scopeKey
	case v.Loud:
		return scopeMember
	}
	return scopeDomain
}

func ofTheKey(v strategies.Verdict) bool { return v.Holds || v.Renew }

// Unwrap returns what the caller gets to see.
func (e *memberFailed) Unwrap() error { return e.MemberError }

// enter finds a member for a call, and gets leave to ask it.
func (p *pooling[Req]) enter(ctx context.Context, req Req, t poolTurn) (poolTurn, error) {
	if p.stays != nil {
		if err := protect(func() error { t.conversation = p.settings.Stay(req); return nil }); err != nil {
			return t, err
		}
	}
	able := &p.all
	if p.picky {
		some, err := p.able(req)
		if err != nil {
			return t, err
		}
		able = &some
	}
	if p.pick(req, able, &t, false) || p.await(ctx, req, able, &t) {
		p.spread.Began(t.member, t.began)
		if p.streams {
			t.side = callOf(ctx).stream
			t.side.timed = true
		}
		return t, nil
	}
	if err := ctx.Err(); err != nil {
		return t, context.Cause(ctx)
	}
	return t, p.shut(able)
}

// simply chooses where nothing is special, as nearly always; ok is false if it is not
// so, and then nobody was asked for leave.
func (p *pooling[Req]) simply(now time.Duration) (i int, permit strategies.Permit, ok bool) {
	i = p.spread.Choose(&p.all, now)
	m := p.seats[i]
	if m.back.Load() != 0 || m.breaker.State() != strategies.StateClosed {
		return i, permit, false
	}
	permit, err := m.breaker.Allow()
	if err != nil || permit.IsTrial() {
		permit.Neutral()
		return i, permit, false
	}
	p.spread.Began(i, now)
	return i, permit, true
}

// before is the last failure of this call here, if there is one.
func (p *pooling[Req]) before(ctx context.Context) *memberFailed {
	c := callOf(ctx).current()
	if c == nil || c.why == nil {
		return nil
	}
	if e, is := errtree.As[*memberFailed](c.why.Err); is && e.pool == any(p) {
		return e
	}
	return nil
}

// pick chooses without waiting: first of those whose domain, and whose key, has not
// failed in this call, then of any that has not, then of any. pressing: it is this or
// nothing, so who comes back is asked beyond its share.
func (p *pooling[Req]) pick(req Req, able *strategies.Among, t *poolTurn, pressing bool) bool {
	if t.before == nil {
		return p.pickFrom(req, *able, t, pressing)
	}
	for round := range 3 {
		among := *able
		for i := range p.seats {
			if among.Has(i) && p.excluded(t.before, i, round) {
				among.Drop(i)
			}
		}
		if p.pickFrom(req, among, t, pressing) {
			return true
		}
	}
	return false
}

// excluded says whether a member is out of the question in a round.
func (p *pooling[Req]) excluded(before *memberFailed, i, round int) bool {
	m := p.seats[i]
	for _, t := range before.tried {
		failed := p.seats[t.member]
		switch {
		case round < 2 && t.member == i:
			return true
		case round < 2 && t.scope == scopeKey && m.key != "" && m.key == failed.key:
			return true
		case round == 0 && t.scope != scopeMember && m.domain == failed.domain:
			return true
		}
	}
	return false
}

// pickFrom chooses one that may be asked. Those without room are asked only if nobody
// has any: they keep their own line.
func (p *pooling[Req]) pickFrom(req Req, among strategies.Among, t *poolTurn, pressing bool) bool {
	full := strategies.Among{}
	if p.settings.Choose != nil {
		if i := p.chosen(req, among, t, pressing); i >= 0 && p.take(i, t, pressing) {
			return true
		}
	}
	for limited := false; ; {
		i := p.next(&among, t)
		switch {
		case i < 0 && limited:
			return false
		case i < 0:
			among, limited = full, true
			continue
		case !limited && p.seats[i].full():
			full.Add(i)
		case p.take(i, t, pressing):
			return true
		}
		among.Drop(i)
	}
}

// next is who should be asked next: the one who answered this conversation last, or
// whom the spread chooses.
func (p *pooling[Req]) next(among *strategies.Among, t *poolTurn) int {
	if t.conversation != "" {
		if i, known := p.stays.get(t.conversation); known && among.Has(i) {
			return p.preferred(i, among, t.began)
		}
	}
	return p.spread.Choose(among, t.began)
}

// preferred is whom a conversation goes back to: the first in the order that has been
// well for long enough, or else who answered last.
func (p *pooling[Req]) preferred(last int, among *strategies.Among, now time.Duration) int {
	if !p.spread.InOrder {
		return last
	}
	for i := range last {
		m := p.seats[i]
		if at := m.unwell.Load(); among.Has(i) && m.back.Load() == 0 && m.shut() == 0 && (at == 0 || now-time.Duration(at) >= p.settings.StayFor) {
			return i
		}
	}
	return last
}

// take gets leave to ask a member.
func (p *pooling[Req]) take(i int, t *poolTurn, pressing bool) bool {
	m := p.seats[i]
	inFlight := 0
	if m.back.Load() < 0 {
		inFlight = p.spread.Load(i).InFlight
	}
	open, probe := m.open(t.began, inFlight, pressing)
	if !open {
		return false
	}
	if probe {
		back := m.back.Load()
		if back > int64(t.began) || !m.back.CompareAndSwap(back, int64(t.began+probeTime)) {
			return false
		}
	}
	own, key, ok := m.leave()
	if !ok {
		if probe {
			m.probed(t.began, false)
		}
		return false
	}
	t.member, t.own, t.key, t.probe = i, own, key, probe
	t.plain = m.guarded == nil && !probe && !own.IsTrial() && !key.IsTrial() && (!p.streams || m.back.Load() == 0)
	return true
}

// chosen is the user's own choice; -1: none.
func (p *pooling[Req]) chosen(req Req, among strategies.Among, t *poolTurn, pressing bool) int {
	var may []MemberHealth
	var who []int
	for i := range p.seats {
		if !among.Has(i) {
			continue
		}
		h := p.memberHealth(i)
		if open, _ := p.seats[i].open(t.began, h.InFlight, pressing); open {
			may, who = append(may, h), append(who, i)
		}
	}
	at := -1
	err := protect(func() error { at = p.settings.Choose(req, may); return nil })
	if err != nil || at < 0 || at >= len(who) {
		return -1 // what nobody chose well, the spread chooses
	}
	return who[at]
}

// shut is the refusal where nobody may be asked: of the member that is back first. It
// says what that is held for, so that a rate limit is waited for by the chain's retries
// if the wait is too long for the pool.
func (p *pooling[Req]) shut(able *strategies.Among) *strategies.OpenError {
	var first *strategies.Breaker
	for i := range p.seats {
		m := p.seats[i]
		if !able.Has(i) {
			continue
		}
		b := m.breaker
		if m.keyed != nil && shutOf(m.keyed) > shutOf(b) {
			b = m.keyed
		}
		if first == nil || shutOf(b) < shutOf(first) {
			first = b
		}
	}
	refusal := &strategies.OpenError{State: strategies.StateOpen}
	if first != nil && first.State() != strategies.StateClosed {
		permit, err := first.Allow()
		permit.Neutral()
		if open, is := err.(*strategies.OpenError); is { //nolint:errorlint // made just now
			refusal = open
		}
	}
	if refusal.Breaker == "" {
		refusal.Breaker = "pool"
	}
	return refusal
}

// able are the members that can serve a request.
func (p *pooling[Req]) able(req Req) (able strategies.Among, err error) {
	for i := range p.seats {
		m := p.seats[i]
		can := m.can == nil
		if !can {
			if err := protect(func() error { can = m.can(req); return nil }); err != nil {
				return able, err
			}
		}
		if can {
			able.Add(i)
		}
	}
	if able.Count() == 0 {
		return able, &strategies.NoMemberError{}
	}
	return able, nil
}

// another says whether another member may be asked, and after which time: one that has
// failed in this call too, once it is back from its hold.
func (p *pooling[Req]) another(req Req, failed *memberFailed) (after time.Duration, ok bool) {
	able, err := p.able(req)
	if err != nil {
		return 0, false
	}
	after = math.MaxInt64
	last := failed.tried[len(failed.tried)-1].member
	for i := range p.seats {
		wait := p.seats[i].shut()
		if !able.Has(i) || wait == math.MaxInt64 || wait == 0 && p.excluded(failed, i, 1) {
			continue
		}
		after, ok = min(after, wait), ok || i != last
	}
	return after, ok
}

func (p *pooling[Req]) health() []MemberHealth {
	all := make([]MemberHealth, len(p.seats))
	for i := range p.seats {
		all[i] = p.memberHealth(i)
	}
	return all
}

func (p *pooling[Req]) memberHealth(i int) MemberHealth {
	m := p.seats[i]
	b := m.breaker
	if m.keyed != nil && shutOf(m.keyed) > shutOf(b) {
		b = m.keyed
	}
	h := MemberHealth{Name: m.name, Breaker: b.State(), RetryAfter: b.RetryAfter(), Returning: m.back.Load() != 0, Room: 1, Load: p.spread.Load(i)}
	for _, l := range m.limits {
		h.Room = min(h.Room, l.Room())
	}
	return h
}
