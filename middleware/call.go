package middleware

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/understudy-go/understudy/strategies"
)

// Call is what an agent, a stand-in, a rung or a middleware can learn about the
// call it works for; see [CallOf].
type Call struct{ c *call }

// CallOf returns the guarded call that ctx belongs to. Outside of every guarded
// call it returns the zero Call, which has sensible answers too. It costs one
// look-up in the context.
func CallOf(ctx context.Context) Call { return Call{callOf(ctx).current()} }

// Attempt returns which attempt of its agent this is: 1 is the first, also of a
// stand-in, of a rung, and of an agent that is called by another one.
func (c Call) Attempt() int {
	if c.c == nil {
		return 1
	}
	return max(int(c.c.attempt), 1)
}

// Level returns how much of an answer is asked for: [strategies.LevelFull]
// unless the agent's ladder stands lower, or the call is one to a rung. What is
// called from there inherits it.
func (c Call) Level() strategies.Level {
	if c.c == nil {
		return strategies.LevelFull
	}
	return c.c.level
}

type callKey struct{}

// call is one guarded call of one agent, as far as those below must know of it.
// It is the one type of context and the one key of this package. A call that goes
// well at once has none, unless somebody wants its provenance, it streams, or it
// is caused by another call: then it is made at the door. Otherwise the first
// layer that asks again, or asks somebody else, makes it. It is not written to
// once it is in use.
type call struct {
	context.Context

	owner   *Owner
	up      *call  // the call that caused this one; nil: the program itself
	first   *call  // of the steps of this call and of its recovery; nil: this one
	id      uint64 // 0: none yet
	attempt int32  // 0: the first
	level   strategies.Level
	// helping: a recovery asks this agent, instead of the one above.
	// recovering: this agent is being recovered, and those below help.
	helping, recovering bool
	person              bool                 // a person wants it made
	tree                *tree                // of the recovery it is part of; nil: of none
	failed              error                // of a helper: what the one it helps failed with, if it was really asked
	why                 *Failure             // what went before; nil: nothing did
	job                 *job                 // what outlives its attempts; nil: it has no identity
	meter               *meter               // who measures what it costs; nil: nobody does
	life                *life                // of an attempt whose limit can begin anew; nil: of none
	rewind              *rewinding           // nil: the agent has no memory
	tool                *asking              // within a tool: which, and for what; nil: in none
	priority            *strategies.Priority // as it was said; nil: whoever caused it says
	given               string               // the id that the caller gives the next call; ""
	resumed             *resumption          // the parked call that the next one goes on with; nil: none
	leave               *leave               // of a breaker that lets few through; nil: of none
	out                 *provenance          // nil: nobody asks
	stream              *streamSide          // nil: the call does not stream
	sharing             *sharing             // the flight that all below it is part of; nil: of none
}

// asking is a tool that is being called, by its address, and the effect that is asked for.
type asking struct {
	tool   any
	effect effectID
}

func (c *call) Value(key any) any {
	if _, ok := key.(callKey); ok {
		return c
	}
	return c.Context.Value(key)
}

func callOf(ctx context.Context) *call {
	if c, ok := ctx.(*call); ok || ctx == nil {
		return c
	}
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// current is the call that c belongs to: what [WithCallID] makes is for the next one.
func (c *call) current() *call {
	for c != nil && c.owner == nil && c.given != "" {
		c = c.up
	}
	return c
}

// whole stands for all steps of a call.
func (c *call) whole() *call {
	if c.first != nil {
		return c.first
	}
	return c
}

// inside is the context of a whole new call of an agent that another call causes.
func (c *call) inside(ctx context.Context, o *Owner) *call {
	return &call{Context: ctx, owner: o, up: c, tree: c.tree, level: c.level, job: c.job, meter: c.meter, priority: c.priority}
}

// own returns the agent's own call in ctx, or nil: an agent that is called by
// another one finds the other's there.
func (o *Owner) own(ctx context.Context) *call {
	return callOf(ctx).of(o)
}

// of is the call itself if it is one of the agent's, or nil.
func (c *call) of(o *Owner) *call {
	if c != nil && c.owner == o {
		return c
	}
	return nil
}

// with returns the agent's call in ctx for one more step of it, which the caller
// may still change.
func (o *Owner) with(ctx context.Context, id uint64) *call {
	next := &call{}
	o.fill(next, ctx, id)
	return next
}

// fill is with for a call that there is room for, which nothing was written to.
func (o *Owner) fill(next *call, ctx context.Context, id uint64) {
	up := callOf(ctx)
	next.Context, next.owner, next.up, next.id = ctx, o, up, id
	if up == nil {
		return
	}
	next.tree, next.level, next.job, next.meter, next.priority = up.tree, up.level, up.job, up.meter, up.priority
	if up.owner == nil && up.given == "" { // a chain put together by hand, as a whole
		next.first = up.whole()
	}
	if up.owner == nil && up.out != nil { // traced by a middleware of the user's
		next.out, next.up = up.out, up.up
	}
	if up.owner == o { // another step of the same call
		next.up, next.first, next.out, next.helping = up.up, up.whole(), up.out, up.helping
		next.failed, next.leave, next.person, next.why, next.rewind = up.failed, up.leave, up.person, up.why, up.rewind
		if up.stream != nil {
			next.stream = &streamSide{reader: up.stream.reader}
		}
		if id == 0 {
			next.id = up.id
		}
	}
}

// asked says whether an agent helps, or is being recovered, in this call or in
// one that it belongs to.
func (c *call) asked(o *Owner) bool {
	for ; c != nil; c = c.up {
		if c.owner.agent() == o.agent() && (c.helping || c.recovering) {
			return true
		}
	}
	return false
}

// leave is what a call has whom a breaker lets through that lets few: all that it
// calls may pass too, until it ends. What it leaves behind may not.
type leave struct {
	of   *strategies.Breaker
	over atomic.Bool
}

func (l *leave) lets(b *strategies.Breaker) bool { return l != nil && l.of == b && !l.over.Load() }

// has gives a call a leave, beside those that it has of other breakers.
func (c *call) has(l *leave) {
	if c.leave != nil && c.leave.of != l.of {
		before := &call{leave: c.leave, up: c.up}
		if c.up != nil {
			before.level = c.up.level
		}
		c.up = before
	}
	c.leave = l
}

// above is what stands above a flight's own call, in the place of its first caller's.
func above(s *sharing, up *call) *call {
	p := Call{up}.Priority()
	return &call{sharing: s, up: up.leaves(), priority: &p}
}

// shared returns the flight that a call is part of; nil: of none.
func (c *call) shared() *sharing {
	for ; c != nil; c = c.up {
		if c.sharing != nil {
			return c.sharing
		}
	}
	return nil
}

// leaves are what remains of the calls above for one that may outlive them.
func (c *call) leaves() *call {
	for ; c != nil; c = c.up {
		if c.leave != nil {
			return &call{leave: c.leave, up: c.up.leaves()}
		}
	}
	return nil
}

// tree is all that the recovery of one call causes: stand-ins, rungs, and the
// agents that they call. In a tree each agent is recovered at most once, or
// agents that name each other would multiply without end, and a reduced answer
// would be passed off as a stand-in's own.
type tree struct {
	mu        sync.Mutex
	recovered []*Owner
	first     [2]*Owner // room for them
}

// claim says whether an agent may be recovered in this tree: the first may.
func (t *tree) claim(o *Owner) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.recovered {
		if r == o.agent() {
			return false
		}
	}
	if t.recovered == nil {
		t.recovered = t.first[:0]
	}
	t.recovered = append(t.recovered, o.agent())
	return true
}

func (t *tree) has(o *Owner) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.recovered {
		if r == o.agent() {
			return true
		}
	}
	return false
}

// wasRecovered says whether the agent has been recovered, or is being, in the tree
// that ctx belongs to. It may answer, but is not recovered a second time.
func (o *Owner) wasRecovered(ctx context.Context) bool {
	return callOf(ctx).recovered(o)
}

func (c *call) recovered(o *Owner) bool { return c != nil && c.tree.has(o) }

// provenance is what [Guarded.Outcome] learns from the layers.
type provenance struct {
	mu       sync.Mutex // an attempt that was left behind may still write
	strategy strategies.Strategy
	servedBy string
	level    strategies.Level
	attempts int
	failed   []strategies.Attempt // before it was answered
	late     bool
	job      *job                      // of the call, if it has one
	others   []strategies.EffectRecord // of a call that it shared
	round    bool                      // of an intervention, whose layer tells of its end
	outer    *provenance               // of the whole, if this is of a part of it
}

// note writes to a provenance, and to those that it is a part of.
func (p *provenance) note(change func(*provenance)) {
	for ; p != nil; p = p.outer {
		p.mu.Lock()
		change(p)
		p.mu.Unlock()
	}
}

// newID returns an id for a call; they differ between processes too.
func newID() uint64 { return rand.Uint64() | 1 }

func idText(id uint64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatUint(id, 36)
}

// boundary is where the call of a chain that was put together by hand begins: a
// call that is not anybody's yet, so that its layers do not take the call of
// whoever called it for their own.
func boundary(ctx context.Context) context.Context {
	up := callOf(ctx)
	if up == nil {
		return ctx
	}
	return &call{Context: ctx, up: up, tree: up.tree, level: up.level, job: up.job, meter: up.meter, attempt: up.attempt, priority: up.priority}
}
