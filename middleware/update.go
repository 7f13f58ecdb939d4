package middleware

import (
	"context"
	"slices"

	"github.com/understudy-go/understudy/strategies"
)

// generation is a chain with one set of settings. It never changes: to replace the
// settings is to put another one in its place.
type generation[Req, Resp any] struct {
	keys  *keyed[Req, Resp] // nil: one state for all
	chain Runner[Req, Resp] // the whole
	hot   hot[Req, Resp]    // of it, what a healthy call passes
	owner *Owner
	short Runner[Req, Resp] // from the breaker inward: how it stands in
	// retried is from the retries inward: how it stands in by WithRetries.
	retried Runner[Req, Resp]

	budget *strategies.Budget
	twins  *twins[Resp]
	rules  any // of a stream
}

// attach lets the parts know whose they are.
func (n *generation[Req, Resp]) attach() {
	for _, p := range n.owner.parts {
		p.attach(n.owner)
	}
}

// Update replaces the settings while the agent is in use: all of them, by those of a
// builder, which may wrap another agent too. Calls under way end by the old settings,
// calls that begin from then on have the new ones, also where the agent stands in for
// others. What is wrong with them is returned as by Build, and changes nothing.
//
// No state is lost. The agent keeps its count of failures, spent retries, calls by id
// and credential. A strategy that the new settings have as a pointer that the old ones
// have too stays as it is. One that nobody has used yet is taken for new settings of
// the old one if both have the same Name, or none: see [strategies.Breaker.Update],
// whose argument becomes another name of the breaker in use. So a program may write
//
//	agent.Update(middleware.Wrap(model).CircuitBreaker(&strategies.Breaker{Failures: 3}).Timeout(time.Minute))
//
// and an open breaker stays open. Any other strategy takes the place of the old one,
// with what it knows. Coalesced calls are not shared across an update, and what a
// middleware of the user's keeps for itself begins anew, for it is made again.
//
// The name of the agent stays: a builder that gives it another is refused. Observers
// are those of the new settings; the old ones are told how the calls under way end,
// and of no change of a breaker or a ladder any more.
//
// It is safe for concurrent use; of two at a time one is the last. It costs what Build
// costs. A chain that is never updated pays one atomic load a call.
func (g *Guarded[Req, Resp]) Update(b *Builder[Req, Resp]) error {
	if g == nil || g.now.Load() == nil {
		return g.problem("Update", background)
	}
	if b == nil {
		return settingNil("Update", "a builder, as for Build")
	}
	set := b.settings().clone()
	if set.name == "" {
		set.name = g.owner.Name
	} else if set.name != g.owner.name() {
		return problemOf("Update", "names the agent %q, and it is %q", "an agent keeps its name: drop Named, or build another", set.name, g.owner.name())
	}
	if err := b.check(set); err != nil {
		return err
	}
	for {
		before := g.now.Load()
		next, adopt := b.following(set.clone(), before, nil)
		if done, err := g.exchange(before, next, adopt); done || err != nil {
			return err
		}
	}
}

// Update replaces the settings while the agent is in use, as [Guarded.Update] does:
// a stream under way ends by the old ones.
func (g *GuardedStream[Req, Chunk]) Update(b *StreamBuilder[Req, Chunk]) error {
	if err := g.problem(background); err != nil {
		return err
	}
	if b == nil {
		return settingNil("Update", "a builder, as for Build")
	}
	return g.inner.Update(b.ready())
}

// following is the chain that takes the place of another, and what has to be done when
// it does. What stands at a stage that keys share is not theirs to hand on.
func (b *Builder[Req, Resp]) following(set *Settings, before *generation[Req, Resp], shared []Stage) (next *generation[Req, Resp], adopt []func() error) {
	old := before.owner.chain()
	for i, p := range set.parts {
		var follows func() error
		if slices.Contains(shared, p.stage()) {
			continue
		}
		switch p := p.(type) {
		case *retryPart:
			set.parts[i], follows = p.inherit(before.budget)
		case interface {
			inherit(before part) (part, func() error)
		}:
			set.parts[i], follows = p.inherit(sameKind(old, set.parts[i]))
		}
		if follows != nil {
			adopt = append(adopt, follows)
		}
	}
	if set.tally == nil && before.owner.Tally == nil { // of a key too
		set.count = before.owner.count
	}
	set.origin, set.past, set.key = before.owner.agent(), before.owner.record(), before.owner.key
	next = b.generation(set, before)
	if next.keys != nil && before.keys != nil {
		adopt = append(adopt, func() error { next.keys.follow(before.keys); return nil })
	}
	return next, adopt
}

// sameKind is the part of the same setting; nil: there is none.
func sameKind(all []part, p part) part {
	for _, old := range all {
		if old.setting() == p.setting() {
			return old
		}
	}
	return nil
}

// exchange puts a chain in the place of another, unless somebody else has done so.
func (g *Guarded[Req, Resp]) exchange(before, next *generation[Req, Resp], adopt []func() error) (done bool, _ error) {
	g.updating.Lock()
	defer g.updating.Unlock()
	if g.now.Load() != before {
		return false, nil
	}
	for _, follow := range adopt {
		if err := follow(); err != nil {
			return true, err
		}
	}
	next.attach() // before the old one is told of nothing any more: no change goes unheard
	g.now.Store(next)
	g.owner.heir.Store(next.owner)
	before.owner.retire()
	return true, nil
}

// agent is the owner by which an agent is known, whatever its settings.
func (o *Owner) agent() *Owner {
	if o == nil || o.origin == nil {
		return o
	}
	return o.origin
}

// latest is the owner with the settings of now, for those outside of its chain.
func (o *Owner) latest() *Owner {
	if o != nil {
		if heir := o.heir.Load(); heir != nil {
			return heir
		}
	}
	return o
}

// record is who keeps the agent's record.
func (o *Owner) record() *Owner {
	if o.past != nil {
		return o.past
	}
	return o
}

// retire ends what the owner watches.
func (o *Owner) retire() {
	o.mu.Lock()
	ends := o.watches
	o.watches = nil
	o.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

// help is how a guarded agent stands in for another: with the settings of now.
type help[Req, Resp any] struct {
	of      *Guarded[Req, Resp]
	retries bool
}

const (
	withoutRetries = iota
	withRetries
)

func (h *help[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	n := h.of.now.Load()
	if n.keys != nil {
		at, own, err := n.keys.enter(req)
		if err != nil {
			var none Resp
			return none, err
		}
		defer at.Leave()
		n, ctx = own, allowed(ctx, at)
	}
	if n.owner != h.of.owner {
		ctx = taken(ctx, h.of.owner, n.owner)
	}
	if h.retries {
		return n.retried.Run(ctx, req)
	}
	return n.short.Run(ctx, req)
}

// taken is the context of a call to an agent, for the one of its owners that takes it.
func taken(ctx context.Context, from, to *Owner) context.Context {
	c := callOf(ctx)
	if c == nil || c.owner != from {
		return ctx
	}
	own := *c
	own.Context, own.owner = ctx, to
	return &own
}
