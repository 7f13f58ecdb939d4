package middleware

import (
	"context"

	"github.com/understudy-go/understudy/strategies"
)

// recovers begins the recovery of a call that failed with err, for a layer that
// acts where may says so. If there is to be none, h is nil, and the last result is
// what goes up.
func (o *Owner) recovers(ctx context.Context, err error, may func(strategies.Verdict) bool) (h *helping, a *account, v strategies.Verdict, up error) {
	v = o.judge(ctx, err)
	if v.Pass {
		return nil, nil, v, err
	}
	a = o.account(ctx, err, v)
	if !may(v) || ctx.Err() != nil {
		return nil, nil, v, a
	}
	h = &helping{}
	if !h.claim(ctx, a) {
		return nil, nil, v, h.refused(a)
	}
	return h, a, v, nil
}

// helping is one recovery of a call: the agent that is being recovered, and
// whom it asks. It is in one piece with the first of them, for most recoveries
// need no second.
type helping struct {
	self   call     // of the agent that is being recovered; no context
	helper call     // of the first who helps
	room   tree     // for the first recovery of a tree
	failed error    // of who is being recovered, if it was really asked
	why    Failure  // what the first of them is told of it
	added  *account // what this layer has to say, once it is more than it was told
}

// claim says whether the agent may be recovered now. An account that an inner
// layer of the same call claimed stays so on its way up.
func (h *helping) claim(ctx context.Context, a *account) bool {
	a.owner.fill(&h.self, ctx, a.id)
	h.self.recovering = true
	h.failed = a.lastReal()
	if a.tree != nil {
		h.self.tree = a.tree
		return !a.refused
	}
	if h.self.tree == nil {
		h.self.tree = &h.room
	}
	return h.self.tree.claim(a.owner)
}

// refused is the account of an agent that is not recovered a second time.
func (h *helping) refused(a *account) *account {
	a = a.next()
	a.tree, a.refused = h.self.tree, true
	return a
}

// next is the account of this layer, which is made when there is something to
// add to the one before.
func (h *helping) next(a *account) *account {
	if h.added == nil {
		h.added = a.next()
		h.added.tree = h.self.tree
	}
	return h.added
}

// call is the context of a call to a helper: its owner is the agent that helps,
// or the one it helps if it brings no layers; a is what went before.
func (h *helping) call(ctx context.Context, o *Owner, a *account) *call {
	c, why := &h.helper, &h.why
	if c.Context != nil {
		c, why = &call{}, &Failure{}
	}
	*why = a.failure()
	if o == nil {
		o = h.self.owner
	}
	*c = call{Context: ctx, owner: o, up: &h.self, first: h.self.whole(), id: h.self.id, level: h.self.level, tree: h.self.tree, helping: true, failed: h.failed, why: why, job: h.self.job, meter: h.self.meter, out: h.self.out}
	if h.self.stream != nil {
		c.stream = &streamSide{reader: h.self.stream.reader}
	}
	return c
}

// again is another recovery of a call that was claimed before: a person's.
func (h *helping) again(ctx context.Context, a *account) {
	h.self = call{}
	a.owner.fill(&h.self, ctx, a.id)
	h.self.recovering, h.self.tree = true, a.tree
}
