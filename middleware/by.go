package middleware

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/internal/recent"
	"github.com/understudy-go/understudy/strategies"
)

// Keys says how [Builder.By] keeps one state for each key. The zero value is 10,000
// keys, and nothing that they share.
type Keys struct {
	// Most is how many keys have a state of their own at a time. 0: 10,000.
	Most int
	// Idle is how long the state of a key is kept that nobody asks for. 0: 1 h.
	Idle time.Duration
	// Shared are layers that all keys have in common: [StageRetry] for the retry budget,
	// [StageBreaker], [StagePace], [StageBulkhead]. An upstream that is down is down for
	// every tenant. nil: none.
	Shared []Stage
	// Allowance is what all calls of one key may cost together in each time of Every.
	// What is above it is refused with a [strategies.LimitError]. Zero: no bound.
	Allowance strategies.UsageLimits
	// Every is that time. It begins with a key's first call. 0: 24 h.
	Every time.Duration
}

// By keeps one state for each key that a function finds in the requests: a tenant, a
// model, a tool. Each has its own breaker, retry budget, count of failures, pace and
// bulkhead, with the settings of this chain, so that one who is limited, or floods, or
// fails, is so alone; see [Keys] for what they share, and for an allowance. The ladder,
// hedge, credential and journal are one for all. Requests of the key "" have the state
// of the strategies that the chain was given themselves; so those are no handle on
// another key's.
//
// The states are in a table that is bounded. A key is dropped when nobody has asked for
// it in a while, or when there is no room, and only if nobody escapes by it: one that is
// open, held, isolated, on probation, in flight, waiting, or has used of its pace or
// allowance stays; see [strategies.Memory]. If all of them must stay, a new key goes by
// the state of "" until there is room, which Health counts as Crowded.
//
// [Owner.HealthByKey] tells how each is, and events have the Key. A [Settings.Tally] is
// not told of keys, for it never forgets a name. A key function that panics fails the
// call. It must be safe for concurrent use.
//
// It costs a call a lock and a look-up, no allocation; with an allowance two. A key's
// first call builds a chain.
func (b *Builder[Req, Resp]) By(key func(req Req) string, k Keys) *Builder[Req, Resp] {
	b.settings().add(&byPart{basics: basics{"By", StageObserve}, keys: k}, append(k.problems(), missing("By", key == nil))...)
	b.by = key
	return b
}

// By keeps one state for each key, as [Builder.By] does.
func (b *StreamBuilder[Req, Chunk]) By(key func(req Req) string, k Keys) *StreamBuilder[Req, Chunk] {
	if key == nil {
		b.chained().By(nil, k)
		return b
	}
	b.chained().By(func(call streamCall[Req, Chunk]) string { return key(call.req) }, k)
	return b
}

func (k Keys) problems() (errs []error) {
	if k.Most < 0 {
		errs = append(errs, problemOf("Keys.Most", "is negative (%d)", "leave it 0 for 10,000", k.Most))
	}
	for _, d := range []struct {
		name string
		is   time.Duration
		fix  string
	}{{"Keys.Idle", k.Idle, "leave it 0 for 1h"}, {"Keys.Every", k.Every, "leave it 0 for 24h"}} {
		if d.is < 0 {
			errs = append(errs, problemOf(d.name, "is negative (%v)", d.fix, d.is))
		} else if err := unit(d.name, d.is); d.is > 0 && err != nil {
			errs = append(errs, err)
		}
	}
	for _, s := range k.Shared {
		if !slices.Contains([]Stage{StageRetry, StageBreaker, StagePace, StageBulkhead}, s) {
			errs = append(errs, problemOf("Keys.Shared", "names %s", "use StageRetry, StageBreaker, StagePace or StageBulkhead: nothing else is a key's own", s))
		}
	}
	if k.Allowance.Time != 0 {
		errs = append(errs, problemOf("Keys.Allowance", "bounds time", "calls of one key go on side by side: use UsageLimits for the time of a call"))
	}
	if k.bounds() {
		errs = append(errs, k.Allowance.Validate())
	}
	return errs
}

func (k Keys) bounds() bool { return k.Allowance != (strategies.UsageLimits{}) }

func (k Keys) most() int            { return orElse(k.Most, 10_000) }
func (k Keys) idle() time.Duration  { return orElse(k.Idle, time.Hour) }
func (k Keys) every() time.Duration { return orElse(k.Every, 24*time.Hour) }

func orElse[N int | time.Duration](n, otherwise N) N {
	if n == 0 {
		return otherwise
	}
	return n
}

type byPart struct {
	basics
	keys  Keys
	count func() (keys, crowded int)
}

func (p *byPart) explain(e *explaining) {
	text := fmt.Sprintf("one state for each key, of at most %d", p.keys.most())
	if len(p.keys.Shared) > 0 {
		text += fmt.Sprintf("; they share: %v", p.keys.Shared)
	}
	if p.keys.bounds() {
		text += fmt.Sprintf("; %s for each every %v", p.keys.Allowance, p.keys.every())
	}
	e.note("%s", text)
}

func (p *byPart) health(h *Health) {
	if p.count != nil {
		h.Keys, h.Crowded = p.count()
	}
}

// keyed is a chain for each key.
type keyed[Req, Resp any] struct {
	key     func(Req) string
	keys    Keys
	base    *generation[Req, Resp] // of the key ""
	builder *Builder[Req, Resp]    // as it was, for the chains that are made later
	set     *Settings
	version int
	table   *recent.Table[*keyState[Req, Resp]]
}

// keyState is what one key has.
type keyState[Req, Resp any] struct {
	agent     *Guarded[Req, Resp]
	allowance atomic.Pointer[allowance] // nil: it has none
	of        atomic.Pointer[keyed[Req, Resp]]
}

type keyEntry[Req, Resp any] = *recent.Entry[*keyState[Req, Resp]]

// keyed is called before the settings become those of a chain.
func (b *Builder[Req, Resp]) keyed(set *Settings, base *generation[Req, Resp]) *keyed[Req, Resp] {
	p, _ := find[*byPart](set)
	own := *b
	own.standIns, own.rungs, own.typed = slices.Clone(b.standIns), slices.Clone(b.rungs), slices.Clone(b.typed)
	own.by = nil
	k := &keyed[Req, Resp]{key: b.by, keys: p.keys, base: base, builder: &own, set: set.clone()}
	k.set.parts = slices.DeleteFunc(k.set.parts, func(p part) bool { return p.setting() == "By" })
	k.set.tally, k.set.count = nil, nil
	k.table = recent.New(p.keys.most(), p.keys.idle(), (*keyState[Req, Resp]).loss)
	set.parts[slices.Index(set.parts, part(p))] = &byPart{p.basics, p.keys, func() (int, int) { return k.table.Len() }}
	return k
}

// follow takes over the states of the keys, which get the new settings when they are
// asked for.
func (k *keyed[Req, Resp]) follow(before *keyed[Req, Resp]) {
	k.version, k.table = before.version+1, before.table
	k.table.Resize(k.keys.most(), k.keys.idle())
}

// settings are those of a chain for one key: its own strategies, and the shared.
func (k *keyed[Req, Resp]) settings() *Settings {
	set := k.set.clone()
	for i, p := range set.parts {
		if fresh, ok := p.(interface{ anew() part }); ok && !slices.Contains(k.keys.Shared, p.stage()) {
			set.parts[i] = fresh.anew()
		}
	}
	return set
}

func (k *keyed[Req, Resp]) run(ctx context.Context, req Req) (Resp, error) {
	at, n, err := k.enter(req)
	if err != nil {
		var none Resp
		return none, k.base.owner.publish(ctx, err)
	}
	defer at.Leave()
	return n.chain.Run(inside(allowed(ctx, at), n.owner), req)
}

// enter finds the chain of a request's key, and keeps it until at is left.
func (k *keyed[Req, Resp]) enter(req Req) (at keyEntry[Req, Resp], n *generation[Req, Resp], err error) {
	key, err := k.of(req)
	if err != nil {
		return nil, nil, err
	}
	if key == "" {
		return nil, k.base, nil
	}
	if at = k.table.Enter(key); at == nil {
		if at, err = k.begin(key); err != nil || at == nil {
			return nil, k.base, err
		}
	}
	if err = at.Value.follow(k); err != nil {
		at.Leave()
		return nil, nil, err
	}
	return at, at.Value.agent.now.Load(), nil
}

func (k *keyed[Req, Resp]) of(req Req) (key string, err error) {
	defer catch(&err)
	return k.key(req), nil
}

// begin makes the state of a key; nil: there is no room for it.
func (k *keyed[Req, Resp]) begin(key string) (keyEntry[Req, Resp], error) {
	s := &keyState[Req, Resp]{}
	if err := protect(func() error { s.agent = k.make(key); return nil }); err != nil {
		return nil, err
	}
	s.becomes(k)
	at, added, dropped := k.table.Add(key, s)
	if !added {
		dropped = append(dropped, s)
	}
	for _, d := range dropped {
		d.agent.now.Load().owner.retire()
	}
	return at, nil
}

func (k *keyed[Req, Resp]) make(key string) *Guarded[Req, Resp] {
	set := k.settings()
	set.origin, set.key = k.base.owner.agent(), key
	n := k.builder.generation(set, nil)
	g := &Guarded[Req, Resp]{owner: n.owner}
	n.attach()
	g.now.Store(n)
	return g
}

// follow sees to it that a key has the settings of now, or newer ones.
func (s *keyState[Req, Resp]) follow(k *keyed[Req, Resp]) error {
	if s.of.Load().version >= k.version {
		return nil
	}
	return protect(func() error {
		for was := s.of.Load(); was.version < k.version; was = s.of.Load() {
			before := s.agent.now.Load()
			next, adopt := k.builder.following(k.settings(), before, append(slices.Clone(k.keys.Shared), was.keys.Shared...))
			adopt = append(adopt, func() error { s.becomes(k); return nil })
			if _, err := s.agent.exchange(before, next, adopt); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *keyState[Req, Resp]) becomes(k *keyed[Req, Resp]) {
	is, was := k.keys, s.allowance.Load()
	switch {
	case !is.bounds():
		s.allowance.Store(nil)
	case was != nil:
		was.change(is)
	default:
		s.allowance.Store(&allowance{limits: is.Allowance, every: is.every(), agent: k.base.owner.name(), key: s.agent.owner.key})
	}
	s.of.Store(k)
}

// loss is what would be forgotten with the key.
func (s *keyState[Req, Resp]) loss() (worst recent.Loss) {
	o := s.agent.now.Load().owner
	if o.count.Failures() > 0 || o.count.Spent() {
		worst = recent.LossCount
	}
	shared := s.of.Load().keys.Shared
	for _, p := range o.chain() {
		if m, ok := p.(interface{ remembers() strategies.Memory }); ok && !slices.Contains(shared, p.stage()) {
			worst = max(worst, recent.Loss(m.remembers()))
		}
	}
	if s.allowance.Load().used() {
		worst = recent.LossHold
	}
	return worst
}

func (p *breakerPart) remembers() strategies.Memory  { return p.breaker.Remembers() }
func (p *bulkheadPart) remembers() strategies.Memory { return p.slots.Remembers() }
func (p *pacePart) remembers() strategies.Memory     { return p.pace.Remembers() }
func (p *retryPart) remembers() strategies.Memory    { return p.policy.Budget.Remembers() }

// health is how each key is.
func (k *keyed[Req, Resp]) health() map[string]Health {
	all := map[string]Health{}
	for key, s := range k.table.All() {
		all[key] = s.agent.owner.Health()
	}
	return all
}

// HealthByKey returns how each key is that has a state of its own, see [Builder.By];
// nil: the agent has one state for all. What calls of no key have is in [Owner.Health].
func (o *Owner) HealthByKey() map[string]Health {
	if o = o.latest(); o == nil || o.byKey == nil {
		return nil
	}
	return o.byKey.health()
}

// allowance is what all calls of one key may cost together. A nil one has no bound.
type allowance struct {
	agent, key string

	mu     sync.Mutex
	limits strategies.UsageLimits
	every  time.Duration
	began  time.Time
	spent  strategies.Usage
}

// take takes one call.
func (a *allowance) take() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.exceeded(); err != nil {
		return err
	}
	if a.began.IsZero() {
		a.began = time.Now()
	}
	a.spent = a.spent.Add(strategies.Usage{Calls: 1})
	return nil
}

func (a *allowance) over() error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.exceeded()
}

// exceeded begins a new time if the last is over. The lock is held.
func (a *allowance) exceeded() error {
	left := a.every - time.Since(a.began)
	if !a.began.IsZero() && left <= 0 {
		a.began, a.spent = time.Time{}, strategies.Usage{}
	}
	over := a.limits.Over(a.spent, 0)
	if over == nil {
		return nil
	}
	over.By, over.Key, over.Wait = a.agent, a.key, left
	return over
}

func (a *allowance) add(usage strategies.Usage) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.began.IsZero() {
		a.began = time.Now()
	}
	a.spent = a.spent.Add(usage)
	a.spent.Calls = max(a.spent.Calls, 0) // what is given back may be of the time before
}

// used says whether something would be forgotten with it.
func (a *allowance) used() bool {
	if a == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.exceeded()
	return a.spent != strategies.Usage{}
}

func (a *allowance) change(k Keys) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limits, a.every = k.Allowance, k.every()
}

// allowed is the context of a call that is charged to the allowance of its key.
func allowed[Req, Resp any](ctx context.Context, at keyEntry[Req, Resp]) context.Context {
	if at == nil {
		return ctx
	}
	also := at.Value.allowance.Load()
	if also == nil {
		return ctx
	}
	m := &struct {
		call
		meter
	}{}
	if up := callOf(ctx); up != nil {
		m.call = *up // the same call, which is measured once more
	}
	m.meter.begin(m.call.meter, nil, strategies.UsageLimits{})
	m.meter.also = also
	m.call.Context, m.call.meter = ctx, &m.meter
	return &m.call
}
