package middleware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// Member is one of several equals in a [Pool]: a region, a key, a vendor of the same
// model. In the theatre they are alternates, who share one role.
type Member[Req, Resp any] struct {
	// Name appears in errors and in Health. Required, and unique.
	Name  string
	Agent Runner[Req, Resp]
	// Weight is its share of the calls, as far as members are equally quick. 0: 1.
	Weight float64
	// Domain is what it shares with others that fails as one: a vendor, a region. A
	// call that failed in one is tried in another first. "": its name.
	Domain string
	// Can says whether it can serve a request: a window that is large enough, images.
	// nil: all of them.
	Can func(req Req) bool
	// Breaker is its own; share one between members that share a key. nil: one with
	// default numbers.
	Breaker *strategies.Breaker
}

// PoolSettings say how a [Pool] chooses.
type PoolSettings[Req any] struct {
	// Spread chooses among those that may be asked. nil: the better of two.
	Spread *strategies.Spread
	// MaxWait is how long a call waits for the first member that comes back, if none
	// may be asked. 0: 10 s. It never waits beyond its deadline; what does not fit goes
	// to the stand-ins at once.
	MaxWait time.Duration
	// Stay gives requests a conversation, "" for none: who answered it last is asked
	// first, for as long as it is well, for a cold cache of prompts costs money.
	Stay func(req Req) string
	// MaxStays is how many conversations are remembered. 0: 10,000.
	MaxStays int
	// Classifier judges the failures of members. nil: the default table.
	Classifier *strategies.Classifier
}

// Pool is several agents of one kind as one: each call asks one of them. Put it where
// a chain has its agent. Retry then asks another member, stand-ins come after all of
// them, and each has a breaker of its own, so that a key that is limited, a region
// that is down or a model that is gone is left out while the others go on:
//
//	pool, err := middleware.Pool(settings, east, west, north)
//	guarded, err := middleware.Wrap(pool).Retry(strategies.Retry{}).Fallback("other vendor", other).Build()
//
// A member that is held or open is not asked; if none may be asked the call waits for
// the first that comes back, if that fits, and is refused at once if not. A retry does
// not ask a member that has failed in the same call while there is another, and tries
// another domain first. The same failure from a second member tells of the request:
// nobody is shut for it.
func Pool[Req, Resp any](s PoolSettings[Req], members ...Member[Req, Resp]) (*PoolAgent[Req, Resp], error) {
	p := &PoolAgent[Req, Resp]{settings: s, spread: s.Spread}
	if p.spread == nil {
		p.spread = &strategies.Spread{}
	}
	if p.settings.MaxWait == 0 {
		p.settings.MaxWait = 10 * time.Second
	}
	var errs []error
	if s.MaxWait < 0 {
		errs = append(errs, problemOf("Pool.MaxWait", "is negative (%v)", "leave it 0 for 10s", s.MaxWait))
	}
	if s.MaxStays < 0 {
		errs = append(errs, problemOf("Pool.MaxStays", "is negative (%d)", "leave it 0 for 10,000", s.MaxStays))
	}
	seen := map[string]bool{}
	var weights []float64
	for i, m := range members {
		where := fmt.Sprintf("Pool member %d %q", i, m.Name)
		switch {
		case m.Name == "":
			errs = append(errs, problemOf(where, "has no name", "name it: it appears in errors and in Health"))
		case seen[m.Name]:
			errs = append(errs, problemOf(where, "is named twice", "give each member a name of its own"))
		case isNil(m.Agent):
			errs = append(errs, settingNil(where, "a runner"))
		}
		seen[m.Name] = true
		if m.Weight == 0 {
			m.Weight = 1
		}
		if m.Domain == "" {
			m.Domain = m.Name
		}
		if m.Breaker == nil {
			m.Breaker = &strategies.Breaker{Name: m.Name}
		}
		errs = append(errs, m.Breaker.Validate())
		weights = append(weights, m.Weight)
		p.members = append(p.members, m)
		if p.picky = p.picky || m.Can != nil; i < 256 {
			p.all.Add(i)
		}
	}
	errs = append(errs, p.spread.Join(weights...))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if s.Stay != nil {
		p.stays = newStays(s.MaxStays)
	}
	return p, nil
}

// PoolAgent is a pool as an agent. It is safe for concurrent use.
type PoolAgent[Req, Resp any] struct {
	settings PoolSettings[Req]
	members  []Member[Req, Resp]
	spread   *strategies.Spread
	stays    *stays
	all      strategies.Among
	picky    bool // some cannot serve all requests
}

// memberFailed is a member's failure, with what the next attempt of the call must know.
type memberFailed struct {
	*strategies.MemberError
	pool  any   // which
	tried []int // the members that have failed in this call, this one last
}

// Unwrap returns what the caller gets to see.
func (e *memberFailed) Unwrap() error { return e.MemberError }

// Run asks one of the members.
func (p *PoolAgent[Req, Resp]) Run(ctx context.Context, req Req) (none Resp, _ error) {
	if p == nil || len(p.members) == 0 {
		return none, &strategies.ConfigError{Setting: "Pool", Problem: "was not built", Fix: "get it from middleware.Pool"}
	}
	before := p.before(ctx)
	conversation, err := p.conversation(req)
	if err != nil {
		return none, err
	}
	now := time.Now()
	i, permit, err := p.choose(ctx, req, before, conversation, now)
	if err != nil {
		return none, err
	}
	return p.ask(ctx, i, permit, req, before, conversation, now)
}

// before is the last failure of this call here, if there is one.
func (p *PoolAgent[Req, Resp]) before(ctx context.Context) *memberFailed {
	f, ok := CallOf(ctx).Failure()
	if !ok {
		return nil
	}
	if e, is := errtree.As[*memberFailed](f.Err); is && e.pool == any(p) {
		return e
	}
	return nil
}

func (p *PoolAgent[Req, Resp]) conversation(req Req) (key string, err error) {
	if p.stays == nil {
		return "", nil
	}
	err = protect(func() error { key = p.settings.Stay(req); return nil })
	return key, err
}

// choose finds a member that may be asked, and gets leave of its breaker. It waits if
// none may be, and that fits.
func (p *PoolAgent[Req, Resp]) choose(ctx context.Context, req Req, before *memberFailed, conversation string, now time.Time) (int, strategies.Permit, error) {
	able, err := p.all, error(nil)
	if p.picky {
		able, err = p.able(req)
	}
	if err != nil {
		return -1, strategies.Permit{}, err
	}
	var waited time.Duration
	for {
		if i, permit, ok := p.pick(able, before, conversation, now); ok {
			return i, permit, nil
		}
		open := p.shut(able)
		wait := open.RetryAfter
		if deadline, ok := ctx.Deadline(); wait <= 0 || waited+wait > p.settings.MaxWait || ok && deadline.Sub(now) <= wait {
			return -1, strategies.Permit{}, open
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return -1, strategies.Permit{}, context.Cause(ctx)
		}
		waited, now = waited+wait, time.Now()
	}
}

// pick chooses without waiting: first of those whose domain has not failed in this
// call, then of any that has not, then of any.
func (p *PoolAgent[Req, Resp]) pick(able strategies.Among, before *memberFailed, conversation string, now time.Time) (int, strategies.Permit, bool) {
	for round := range 3 {
		if round < 2 && before == nil {
			continue
		}
		among := able
		if round < 2 {
			for i := range p.members {
				if among.Has(i) && p.failed(before, i, round) {
					among.Drop(i)
				}
			}
		}
		for {
			i := p.last(conversation, &among)
			if i < 0 {
				i = p.spread.Choose(among, now)
			}
			if i < 0 {
				break
			}
			if p.open(i) {
				if permit, err := p.members[i].Breaker.Allow(); err == nil {
					return i, permit, true
				}
			}
			among.Drop(i)
			able.Drop(i)
		}
	}
	return -1, strategies.Permit{}, false
}

// last is who answered a conversation last, if it may be asked; -1: nobody.
func (p *PoolAgent[Req, Resp]) last(conversation string, among *strategies.Among) int {
	if conversation == "" {
		return -1
	}
	if i, known := p.stays.get(conversation); known && among.Has(i) {
		return i
	}
	return -1
}

// open says whether a member's breaker may let a call through.
func (p *PoolAgent[Req, Resp]) open(i int) bool {
	b := p.members[i].Breaker
	switch b.State() {
	case strategies.StateClosed, strategies.StateHalfOpen:
		return true
	case strategies.StateIsolated:
		return false
	}
	return b.RetryAfter() <= 0
}

// failed says whether a member is out of the question in a round: its domain has
// failed in this call, or itself.
func (p *PoolAgent[Req, Resp]) failed(before *memberFailed, i, round int) bool {
	for _, t := range before.tried {
		if t == i || round == 0 && p.members[t].Domain == p.members[i].Domain {
			return true
		}
	}
	return false
}

// shut is the refusal where nobody may be asked: of the member that is back first.
func (p *PoolAgent[Req, Resp]) shut(able strategies.Among) *strategies.OpenError {
	first := &strategies.OpenError{Breaker: "pool", State: strategies.StateOpen}
	for i := range p.members {
		m := &p.members[i]
		if !able.Has(i) {
			continue
		}
		wait := m.Breaker.RetryAfter()
		if wait > 0 && (first.RetryAfter == 0 || wait < first.RetryAfter) {
			first = &strategies.OpenError{Breaker: m.Name, State: m.Breaker.State(), RetryAfter: wait, Cause: m.Breaker.LastFailure()}
		}
	}
	return first
}

// able are the members that can serve a request.
func (p *PoolAgent[Req, Resp]) able(req Req) (able strategies.Among, err error) {
	for i := range p.members {
		m := &p.members[i]
		can := m.Can == nil
		if !can {
			if err := protect(func() error { can = m.Can(req); return nil }); err != nil {
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

// ask asks one member, and books how it ended.
func (p *PoolAgent[Req, Resp]) ask(ctx context.Context, i int, permit strategies.Permit, req Req, before *memberFailed, conversation string, start time.Time) (resp Resp, err error) {
	p.spread.Began(i)
	settled := false
	defer func() {
		if !settled { // a panic or a Goexit on its way out
			p.spread.Ended(i, start, 0)
			permit.Failure(nil)
		}
	}()
	resp, err = p.members[i].Agent.Run(ctx, req)
	settled = true
	if err == nil {
		end := time.Now()
		p.spread.Ended(i, end, end.Sub(start))
		permit.Success()
		if conversation != "" {
			p.stays.put(conversation, i)
		}
		return resp, nil
	}
	p.spread.Ended(i, start, 0)
	v := p.settings.Classifier.Classify(err)
	switch {
	case ctx.Err() != nil, v.Pass:
		permit.Neutral()
	case before != nil && p.settings.Classifier.SameFailure(before.Err, err):
		permit.Neutral() // it tells of the request
	default:
		permit.Settle(v, err)
	}
	if v.Pass {
		return resp, err
	}
	failed := &memberFailed{MemberError: &strategies.MemberError{Member: p.members[i].Name, Err: err}, pool: p}
	if before != nil {
		failed.tried = append(failed.tried, before.tried...)
	}
	failed.tried = append(failed.tried, i)
	failed.Another = p.another(req, failed.tried)
	var none Resp
	return none, failed
}

// another says whether a member that has not failed in this call may be asked now.
func (p *PoolAgent[Req, Resp]) another(req Req, tried []int) bool {
	able, err := p.able(req)
	if err != nil {
		return false
	}
	for i := range p.members {
		if able.Has(i) && !slices.Contains(tried, i) && p.open(i) {
			return true
		}
	}
	return false
}

// MemberHealth is a member as it stands.
type MemberHealth struct {
	Name       string
	Breaker    strategies.State
	RetryAfter time.Duration
	strategies.Load
}

// Health says how each member is, in the order in which they were given.
func (p *PoolAgent[Req, Resp]) Health() []MemberHealth {
	all := make([]MemberHealth, len(p.members))
	for i, m := range p.members {
		all[i] = MemberHealth{m.Name, m.Breaker.State(), m.Breaker.RetryAfter(), p.spread.Load(i)}
	}
	return all
}
