package middleware

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/understudy-go/understudy/strategies"
)

// job is what outlives the attempts of one guarded call: its identity, what it has
// done to the world, and what it keeps for its next attempt. It is made by the
// layer of [Identify] or [Builder.Effects], and everything that the call causes,
// nested agents too, belongs to it.
type job struct {
	owner   *Owner
	id      string // as it was given, or made
	num     uint64 // the same of the events of this process
	effects *Effects

	past  sync.Mutex
	given bool // the caller gave the id, and what it has done before is not read yet

	mu      sync.Mutex
	flights map[effectID]*effectFlight // of this process
	asker   *call                      // the first who asked for an effect
	several bool                       // not all asked in one attempt of one call
	before  map[effectID]struct{}      // of earlier ones, and not asked for again yet
	done    []effectNote               // in order, for the outcome and for an undo
	doubts  int                        // effects that are uncertain
	acted   bool                       // something acted that no journal knows of
	kept    map[string]any
}

type effectID struct{ tool, key string }

// jobOf returns the job that ctx belongs to, or nil.
func jobOf(ctx context.Context) *job {
	return callOf(ctx).jobs()
}

func (c *call) jobs() *job {
	if c == nil {
		return nil
	}
	return c.job
}

// doubtful says whether the call may have acted on the world in a way that nobody
// knows of: then nobody repeats it.
func (j *job) doubtful() bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.doubts > 0 || j.acted
}

// ID returns the call's id: the same in all its attempts, stand-ins, rungs and
// questions, and in what it causes. It is what was given by [WithCallID], or one
// that was made, in a chain with [Builder.Identify] or [Builder.Effects]; in any
// other chain a call has an id only once something went wrong, and "" before.
func (c Call) ID() string {
	switch {
	case c.c == nil:
		return ""
	case c.c.job != nil:
		return c.c.job.id
	}
	return idText(c.c.id)
}

// WithCallID gives the next guarded call an id of the caller's: the id of a job
// that is repeated after a crash, of a message that may be delivered twice. The
// chain must have [Builder.Identify] or [Builder.Effects]. Two calls at once with
// one id are one call: the second waits, and gets the same answer. A stream is not
// shared: the second is made when the first has ended. If the next call
// has no identity, each agent within it gets a name under the id. "" gives none.
func WithCallID(ctx context.Context, id string) context.Context {
	if id == "" || ctx == nil {
		return ctx
	}
	up := callOf(ctx)
	c := &call{Context: ctx, up: up, given: id}
	if up != nil {
		c.tree, c.level, c.priority, c.meter = up.tree, up.level, up.priority, up.meter
	}
	return c
}

// IdempotencyKey is a key that stays the same in every attempt of a call, its
// stand-ins' too, for a destination that does the same thing once: send it as the
// Idempotency-Key header. Within a tool it is the key of that effect. A call
// without an identity has none, and the error says what to do; it never makes a
// fresh one.
func (c Call) IdempotencyKey() (string, error) {
	if c.c == nil || c.c.job == nil {
		return "", &strategies.ConfigError{Setting: "IdempotencyKey", Problem: "is asked for in a call without an identity", Fix: "add Identify() or Effects(…) to the chain"}
	}
	sum := sha256.New()
	var effect effectID
	if c.c.tool != nil {
		effect = c.c.tool.effect
	}
	for _, part := range [...]string{c.c.job.id, effect.tool, effect.key} {
		fmt.Fprintf(sum, "%d %s", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

// Kept is a small place of the call's that outlives an attempt: what the first one
// has ordered, the second finds. It is safe for concurrent use.
type Kept struct{ j *job }

// mostKept is how many things a call may keep.
const mostKept = 64

// Kept returns the call's place. In a call without an identity it keeps nothing.
func (c Call) Kept() Kept {
	if c.c == nil {
		return Kept{}
	}
	return Kept{c.c.job}
}

// Get returns what was kept under a name.
func (k Kept) Get(name string) (value any, ok bool) {
	if k.j == nil {
		return nil, false
	}
	k.j.mu.Lock()
	defer k.j.mu.Unlock()
	value, ok = k.j.kept[name]
	return value, ok
}

// Put keeps a value under a name. It says no in a call without an identity, and to
// the 65th name.
func (k Kept) Put(name string, value any) bool {
	if k.j == nil {
		return false
	}
	k.j.mu.Lock()
	defer k.j.mu.Unlock()
	if _, known := k.j.kept[name]; !known && len(k.j.kept) >= mostKept {
		return false
	}
	if k.j.kept == nil {
		k.j.kept = map[string]any{}
	}
	k.j.kept[name] = value
	return true
}

// Acted says that the agent has acted on the world in a way that nobody writes
// down: from now on the call is not repeated, handed on or covered up, whatever
// fails. It is for agents whose tools are not wrapped by [WrapTool]. It says false
// in a call without an identity, in which nothing can be done about it.
func (c Call) Acted() bool {
	if c.c == nil || c.c.job == nil {
		return false
	}
	c.c.job.mu.Lock()
	defer c.c.job.mu.Unlock()
	c.c.job.acted = true
	return true
}

// Journaled says whether what the tools of the call do is written down, see
// [Builder.Effects]: whoever adapts tools that may act can rely on [WrapTool] then,
// and has to be careful himself otherwise.
func (c Call) Journaled() bool { return c.c != nil && c.c.job != nil && c.c.job.effects != nil }

// elsewhere says whether two have asked in different attempts of a call that both are
// part of. A stand-in is an attempt of the one that it helps.
func (c *call) elsewhere(other *call) bool {
	for x := c; x != nil && x.job == c.job; x = x.beyond() {
		for y := other; y != nil && y.job == c.job; y = y.beyond() {
			if x.whole() == y.whole() {
				if x.why != y.why {
					return true
				}
				break
			}
		}
	}
	return false
}

// asks notes who asks for an effect. The job's lock is held.
func (j *job) asks(c *call) {
	if j.asker == nil {
		j.asker = c
	}
	j.several = j.several || c.up != j.asker.up || c.whole() != j.asker.whole() || c.why != j.asker.why
}

// beyond is the call that caused the one that c is a step of.
func (c *call) beyond() *call {
	at := c.up
	for at != nil && at.whole() == c.whole() {
		at = at.up
	}
	return at
}

// textOf is the id of a call as events have it: of the call that has the job, the
// one that the caller knows.
func (c *call) textOf(id uint64) string {
	if c != nil && c.job != nil && id == c.job.num {
		return c.job.id
	}
	return idText(id)
}

// records are what the call did, for an outcome.
func (j *job) records() []strategies.EffectRecord {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []strategies.EffectRecord
	for _, n := range j.done {
		all = append(all, n.EffectRecord)
	}
	return all
}
