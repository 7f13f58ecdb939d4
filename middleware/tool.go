package middleware

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Tool is a tool whose effects are written down. Make one with [WrapTool]. It is a
// [Runner], so it can be guarded like an agent, and safe for concurrent use; its
// settings must not be changed once it is in use.
type Tool[Args, Result any] struct {
	name   string
	effect strategies.Effect
	run    func(context.Context, Args) (Result, error)
	key    func(Args) string
	verify func(context.Context, string) (Result, bool, error)
	undo   func(context.Context, Args, Result) error
	person strategies.Intervenor
	stands time.Duration
}

// WrapTool wraps a tool of an agent's by what it does to the world. Within a call of
// a chain with [Builder.Effects]
//
//   - a read-only tool is called as ever;
//   - an idempotent one too, and [Call.IdempotencyKey] in its context is the same in
//     every attempt;
//   - one that must happen once is written down before it is called, and again with
//     its result. Whoever asks for the same effect again in the same call, which is
//     the same tool with the same key, gets that result, and the tool is not called.
//     Two who ask at once make one call.
//
// An error of the tool's is taken to leave it open whether it has acted, unless it
// proves the contrary, see [strategies.Classifier.NothingDone]; then the effect is
// uncertain until Verify or a person knows. Outside of every guarded call, and in a
// chain without Effects where it is read-only, the tool is simply called. In a chain
// without Effects a once-tool is called in the first attempt, which cannot be told
// from no call at all, and refused in every later one: it might be done twice.
//
// A journaled call in memory costs about a microsecond and six allocations.
func WrapTool[Args, Result any](name string, effect strategies.Effect, run func(ctx context.Context, args Args) (Result, error)) *Tool[Args, Result] {
	return &Tool[Args, Result]{name: name, effect: effect, run: run}
}

// Key names what makes two calls of the tool the same effect: the number of an
// order. Without it that is the JSON of the arguments, in canonical form.
func (t *Tool[Args, Result]) Key(of func(args Args) string) *Tool[Args, Result] {
	t.key = of
	return t
}

// Verify asks the destination whether an effect that nobody has heard of has
// happened, and for its result.
func (t *Tool[Args, Result]) Verify(ask func(ctx context.Context, key string) (result Result, done bool, err error)) *Tool[Args, Result] {
	t.verify = ask
	return t
}

// Undo is how the effect is undone; see Effects.Undo.
func (t *Tool[Args, Result]) Undo(undo func(ctx context.Context, args Args, result Result) error) *Tool[Args, Result] {
	t.undo = undo
	return t
}

// Approve puts each effect before a person first, with its tool and arguments, and
// calls the tool only for an [strategies.ActionRetryNow]. The approval is of these
// arguments and no others, for so long; 0: 5 minutes.
func (t *Tool[Args, Result]) Approve(person strategies.Intervenor, stands time.Duration) *Tool[Args, Result] {
	t.person, t.stands = person, stands
	return t
}

// Name returns the tool's name.
func (t *Tool[Args, Result]) Name() string { return t.name }

// effectNote is an effect as its call remembers it.
type effectNote struct {
	strategies.EffectRecord
	whole, own int   // in which attempt it was asked for; see [job.asks]
	base       *call // in which call of its agent
	undo       func(context.Context) error
}

// effectFlight is one effect under way, or done, in this process. All of it is
// guarded by the job's lock.
type effectFlight struct {
	over   bool
	wake   chan struct{} // closed when it is over; nil: nobody waits
	result any
	err    error
}

// Run calls the tool, or gives back what it has done already.
func (t *Tool[Args, Result]) Run(ctx context.Context, args Args) (Result, error) {
	var none Result
	if t == nil || t.run == nil {
		return none, settingNil("WrapTool", "a function")
	}
	if t.effect > strategies.EffectReadOnly {
		return none, problemOf("WrapTool "+t.name, "has effect %d", "use EffectOnce, EffectIdempotent or EffectReadOnly", t.effect)
	}
	c := callOf(ctx)
	if t.effect == strategies.EffectReadOnly || c == nil {
		return t.ask(ctx, args)
	}
	if c.job == nil || t.effect == strategies.EffectOnce && c.job.effects == nil {
		if t.effect == strategies.EffectOnce && !repeated(c) {
			return t.ask(ctx, args)
		}
		return none, problemOf("WrapTool "+t.name, "is called in a chain that writes nothing down", "add Effects(middleware.Effects{}) to the chain, or it may be done twice")
	}
	id, raw, err := t.identify(args)
	if err != nil {
		return none, err
	}
	for at := c; at != nil; at = at.up {
		if at.effect == id {
			return t.ask(ctx, args) // it is under way: this tool is wrapped twice, or calls itself
		}
	}
	w := &writing[Args, Result]{t: t, j: c.job, args: args, c: *c}
	w.c.Context, w.c.effect = ctx, id
	if w.c.owner == nil { // within a chain that was put together by hand
		w.c.owner = c.job.owner
	}
	if t.effect == strategies.EffectIdempotent {
		return t.ask(&w.c, args)
	}
	return w.once(id, raw)
}

// repeated says whether a call, or one that caused it, is not the first of its kind.
func repeated(c *call) bool {
	for ; c != nil; c = c.up {
		if c.attempt > 1 || c.why != nil || c.helping || c.person {
			return true
		}
	}
	return false
}

func (t *Tool[Args, Result]) ask(ctx context.Context, args Args) (result Result, err error) {
	defer catch(&err)
	return t.run(ctx, args)
}

// identify is what makes the effect this one, and its arguments as JSON.
func (t *Tool[Args, Result]) identify(args Args) (effectID, json.RawMessage, error) {
	raw, err := canonical(args)
	if err != nil && t.key == nil {
		return effectID{}, nil, &strategies.JournalError{Tool: t.name, Err: fmt.Errorf("its arguments have no JSON, and no Key says what they are: %w", err)}
	}
	id := effectID{t.name, string(raw)}
	if t.key != nil {
		if err := protect(func() error { id.key = t.key(args); return nil }); err != nil {
			return effectID{}, nil, &strategies.JournalError{Tool: t.name, Err: err}
		}
	}
	return id, raw, nil
}

// canonical is JSON in which equal values are equal bytes: the keys of objects
// sorted, nothing between them.
func canonical(args any) (json.RawMessage, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	switch args.(type) {
	case json.RawMessage, *json.RawMessage, json.Marshaler:
	default:
		return raw, nil // made by encoding/json: maps are sorted, structs have one order
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, err
	}
	return json.Marshal(value)
}
