package middleware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Member is one of several equals in a [Pool]: a region, a key, a vendor of the same
// model. In the theatre they are alternates, who share one role.
type Member[Req, Resp any] struct {
	// Name appears in errors and in Health. Required, and unique.
	Name string
	// Agent may be guarded. It is asked by its own breaker, pace, bulkhead, timeout and
	// validation then, without its retries and stand-ins; the pool sees whether it is
	// shut, and how much room its limits leave.
	Agent Runner[Req, Resp]
	// Weight is its share of the calls, as far as members are equally quick. 0: 1.
	Weight float64
	// Domain is what it shares with others that fails as one: a vendor, a region. A
	// call that failed in one is tried in another first. "": its name.
	Domain string
	// Key is the credential that it shares with others: a rate limit, a quota that is
	// used up, a key that is refused concern all of them. "": its own.
	Key string
	// Can says whether it can serve a request: a window that is large enough, images.
	// nil: all of them.
	Can func(req Req) bool
	// Breaker is its own; two pools may share one. nil: that of a guarded agent, or one
	// with default numbers.
	Breaker *strategies.Breaker
}

// PoolSettings say how a [Pool] chooses.
type PoolSettings[Req any] struct {
	// Spread chooses among those that may be asked. nil: the better of two.
	Spread *strategies.Spread
	// Choose is a choice of your own among those that may be asked now, in the order in
	// which they were given: it returns a place in that list, or -1 to leave it to the
	// Spread. It costs a list for each call. nil: the Spread chooses.
	Choose func(req Req, among []MemberHealth) int
	// MaxWait is how long a call waits for the first member that comes back, if none
	// may be asked. 0: 10 s. It never waits beyond its deadline; what does not fit goes
	// to the stand-ins at once.
	MaxWait time.Duration
	// Stay gives requests a conversation, "" for none: who answered it last is asked
	// first, for as long as it is well, for a cold cache of prompts costs money.
	Stay func(req Req) string
	// StayFor is how long a member that comes before that one, in a Spread that is
	// InOrder, must have been well before a conversation goes back to it. 0: 10 min.
	StayFor time.Duration
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
// A member that is held, open or full is not asked; if none may be asked the call
// waits for the first that comes back, if that fits, and is refused at once if not. A
// member that comes back gets one call first, and then as many at a time as it has
// answered, and one more. A retry does not ask a member that has failed in the same
// call while there is another, and tries another domain first. The same failure from a
// second member tells of the request: it is booked once.
//
// It costs a healthy call two looks at the clock and no allocation.
func Pool[Req, Resp any](s PoolSettings[Req], members ...Member[Req, Resp]) (*PoolAgent[Req, Resp], error) {
	p := &PoolAgent[Req, Resp]{agents: make([]Runner[Req, Resp], len(members))}
	p.seats = make([]*seat[Req], len(members))
	p.charging = slices.ContainsFunc(members, func(m Member[Req, Resp]) bool { return charges(m.Agent) })
	for i, m := range members {
		one := &seat[Req]{}
		p.seats[i] = one
		one.name, one.weight, one.domain, one.key, one.can, one.breaker = m.Name, m.Weight, m.Domain, m.Key, m.Can, m.Breaker
		if one.missing = isNil(m.Agent); one.missing {
			continue
		}
		if p.charging {
			m.Agent = charged(m.Agent)
		}
		p.agents[i], one.guarded = shortForm(m.Agent)
	}
	if err := p.build(s); err != nil {
		return nil, err
	}
	return p, nil
}

// PoolAgent is a pool as an agent. It is safe for concurrent use.
type PoolAgent[Req, Resp any] struct {
	pooling[Req]
	agents   []Runner[Req, Resp]
	charging bool // each of them says what it costs
}

func (p *PoolAgent[Req, Resp]) charges() bool { return p != nil && p.charging }

// Run asks one of the members.
func (p *PoolAgent[Req, Resp]) Run(ctx context.Context, req Req) (none Resp, _ error) {
	if p == nil || len(p.agents) == 0 {
		return none, &strategies.ConfigError{Setting: "Pool", Problem: "was not built", Fix: "get it from middleware.Pool"}
	}
	if ctx == nil {
		return none, settingNil("Run ctx", "a context, such as context.Background()")
	}
	before, now := p.before(ctx), p.spread.Now()
	if p.simple && before == nil {
		if i, permit, ok := p.simply(now); ok {
			return p.askSimply(ctx, req, i, permit, now)
		}
	}
	t, err := p.enter(ctx, req, poolTurn{before: before, began: now})
	if err != nil {
		return none, err
	}
	return p.ask(ctx, req, t)
}

// askSimply is ask where nothing is special about the call, as of nearly all.
func (p *PoolAgent[Req, Resp]) askSimply(ctx context.Context, req Req, i int, permit strategies.Permit, began time.Duration) (resp Resp, err error) {
	settled, kept := false, permit // what the deferred call needs, without the permit's address
	defer func() {
		if !settled {
			p.aborted(ctx, poolTurn{member: i, own: kept, began: began})
		}
	}()
	resp, err = p.agents[i].Run(ctx, req)
	settled = true
	if err != nil {
		return resp, p.failed(ctx, req, &poolTurn{member: i, own: permit, began: began, plain: true}, outward(err))
	}
	now := p.spread.Now()
	p.spread.Answered(i, now, now-began)
	permit.Success()
	if m := p.seats[i]; m.back.Load() != 0 {
		m.comesBack(false, now)
	}
	p.look()
	return resp, nil
}

// ask asks one member, and books how it ended.
func (p *PoolAgent[Req, Resp]) ask(ctx context.Context, req Req, t poolTurn) (resp Resp, err error) {
	settled, kept := false, t // what the deferred call needs, without the turn's address
	var live *poolTurn        // of a call that is not plain: it may change while it lasts
	defer func() {
		switch {
		case settled:
		case live != nil:
			live.end()
			p.aborted(ctx, *live)
		default: // a panic or a Goexit on its way out
			p.aborted(ctx, kept)
		}
	}()
	if t.plain {
		resp, err = p.agents[t.member].Run(ctx, req)
	} else {
		var under context.Context
		live, under = p.under(ctx, t)
		resp, err = p.agents[t.member].Run(under, req)
		live.end()
		t = *live
	}
	settled = true
	if err == nil {
		p.answered(&t)
		return resp, nil
	}
	return resp, p.failed(ctx, req, &t, outward(err))
}

// poolPart is what a chain knows of the pool that it has in the place of an agent.
type poolPart struct {
	basics
	names   []string
	inOrder bool
	wait    time.Duration
}

func (p *PoolAgent[Req, Resp]) asPart() (part, bool) {
	if p == nil || len(p.seats) == 0 {
		return nil, false
	}
	in := &poolPart{basics: basics{"Pool", StageRecover}, inOrder: p.spread.InOrder, wait: p.settings.MaxWait}
	for _, m := range p.seats {
		in.names = append(in.names, m.name)
	}
	return in, true
}

func (p *poolPart) explain(e *explaining) {
	e.breaker = true // each member has one
	how := "the better of two"
	if p.inOrder {
		how = "the first that may be asked"
	}
	e.note("the agent is a pool: %s of %s; a retry asks another, and an attempt waits up to %v for one", how, strings.Join(p.names, ", "), p.wait)
}

// MemberHealth is a member as it stands.
type MemberHealth struct {
	Name       string
	Breaker    strategies.State // its own, or that of its key if that is shut
	RetryAfter time.Duration    // until it may be asked again; 0: now, or not before a person says so
	Returning  bool             // it has come back, and gets a growing share
	Room       float64          // the share of its limits that is left; 1: all of it, or it has none
	strategies.Load
}

// Health says how each member is, in the order in which they were given.
func (p *PoolAgent[Req, Resp]) Health() []MemberHealth {
	if p == nil {
		return nil
	}
	return p.health()
}

// build checks what it was given, and fills in the rest.
func (p *pooling[Req]) build(s PoolSettings[Req]) error {
	p.settings, p.spread = s, s.Spread
	if p.spread == nil {
		p.spread = &strategies.Spread{}
	}
	var errs []error
	if s.MaxWait < 0 {
		errs = append(errs, problemOf("Pool.MaxWait", "is negative (%v)", "leave it 0 for 10s", s.MaxWait))
	}
	if s.StayFor < 0 {
		errs = append(errs, problemOf("Pool.StayFor", "is negative (%v)", "leave it 0 for 10m", s.StayFor))
	}
	if s.MaxStays < 0 {
		errs = append(errs, problemOf("Pool.MaxStays", "is negative (%d)", "leave it 0 for 10,000", s.MaxStays))
	}
	if p.settings.MaxWait == 0 {
		p.settings.MaxWait = 10 * time.Second
	}
	if p.settings.StayFor == 0 {
		p.settings.StayFor = 10 * time.Minute
	}
	seen, keys := map[string]bool{}, map[string]int{}
	var weights []float64
	for i := range p.seats {
		m := p.seats[i]
		where := fmt.Sprintf("Pool member %d %q", i, m.name)
		switch {
		case m.name == "":
			errs = append(errs, problemOf(where, "has no name", "name it: it appears in errors and in Health"))
		case seen[m.name]:
			errs = append(errs, problemOf(where, "is named twice", "give each member a name of its own"))
		case m.missing:
			errs = append(errs, settingNil(where, "an agent"))
		}
		seen[m.name] = true
		keys[m.key]++
		m.defaults()
		errs = append(errs, m.breaker.Validate())
		weights = append(weights, m.weight)
		p.picky = p.picky || m.can != nil
		if i < mostMembers {
			p.all.Add(i)
		}
	}
	errs = append(errs, p.spread.Join(weights...))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p.share(keys)
	p.simple = !p.picky && s.Choose == nil && s.Stay == nil && !slices.ContainsFunc(p.seats, func(m *seat[Req]) bool {
		return m.keyed != nil || m.guarded != nil
	})
	if s.Stay != nil {
		p.stays = newStays(s.MaxStays)
	}
	return nil
}

// mostMembers is how many a [strategies.Spread] chooses from.
const mostMembers = 256

// share gives those of one key a breaker for it, and tells the spread of limits.
func (p *pooling[Req]) share(keys map[string]int) {
	shared := map[string]*strategies.Breaker{}
	for i := range p.seats {
		m := p.seats[i]
		if n := keys[m.key]; m.key != "" && n > 1 {
			if shared[m.key] == nil {
				shared[m.key] = &strategies.Breaker{Name: m.key}
			}
			m.keyed = shared[m.key]
		}
		p.spread.Within(i, m.limits...)
	}
}
