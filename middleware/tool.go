package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Tool is a tool whose effects are written down. Make one with [WrapTool]. It is a
// [Runner], so it can be guarded like an agent, and safe for concurrent use; its
// settings must not be changed once it is in use.
type Tool[Args, Result any] struct {
	name   string
	effect strategies.Effect
	shape  argsShape
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
// A journaled call in memory costs a microsecond or two and six allocations.
func WrapTool[Args, Result any](name string, effect strategies.Effect, run func(ctx context.Context, args Args) (Result, error)) *Tool[Args, Result] {
	t := &Tool[Args, Result]{name: name, effect: effect, run: run}
	args := reflect.TypeFor[Args]()
	t.shape.look(args, false, args.String(), map[reflect.Type]bool{})
	return t
}

// Key names what makes two calls of the tool the same effect: the number of an
// order. Without it that is the JSON of the arguments, in canonical form; arguments
// with a part that JSON does not show need one. An empty key is refused.
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
	undo func(context.Context) error
}

// effectFlight is one effect under way, or done, in this process.
type effectFlight struct {
	asker  *call         // the latest who asked for it
	ended  chan struct{} // made by the first who waits
	over   bool
	result any // a pointer to it
	err    error
	again  bool // nothing was done: the next one may try
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
	c := callOf(ctx).current()
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
	w := &writing[Args, Result]{t: t, j: c.job, args: args, call: *c, asking: asking{t, id}}
	inner := &w.call
	inner.Context, inner.tool, inner.first = ctx, &w.asking, c.whole()
	for at := c; at != nil; at = at.up {
		if at.job == c.job && at.tool != nil && at.tool.effect == id {
			if at.tool.tool == any(t) {
				return none, problemOf("WrapTool "+t.name, "asks for itself", "let it call what it needs directly")
			}
			return t.ask(ctx, args) // it is under way already: this tool was wrapped twice
		}
		if inner.owner == nil { // in a chain put together by hand: whoever caused it
			inner.owner = at.owner
		}
	}
	if t.effect == strategies.EffectIdempotent {
		return t.ask(inner, args)
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
	raw, err := t.shape.canonical(args)
	if err == nil && t.key == nil {
		err = t.shape.whole()
	}
	if err != nil && t.key == nil {
		return effectID{}, nil, &strategies.JournalError{Tool: t.name, Err: fmt.Errorf("no Key says what its arguments are: %w", err)}
	}
	id := effectID{t.name, string(raw)}
	if t.key != nil {
		if err := protect(func() error { id.key = t.key(args); return nil }); err != nil || id.key == "" {
			if err == nil {
				err = errors.New("its Key is empty")
			}
			return effectID{}, nil, &strategies.JournalError{Tool: t.name, Err: err}
		}
	}
	return id, raw, nil
}

// once does an effect that must happen once, or waits for who is at it.
func (w *writing[Args, Result]) once(id effectID, raw json.RawMessage) (none Result, _ error) {
	j, c := w.j, &w.call
	for {
		j.mu.Lock()
		j.asks(c)
		f := j.flights[id]
		if f == nil {
			f = &w.flight
			f.asker, f.again = c, true
			if j.flights == nil {
				j.flights = map[effectID]*effectFlight{}
			}
			j.flights[id] = f
			j.mu.Unlock()
			return w.lead(id, raw)
		}
		f.asker = c
		if !f.over {
			if f.ended == nil {
				f.ended = make(chan struct{})
			}
			ended := f.ended
			j.mu.Unlock()
			select {
			case <-ended:
			case <-c.Done():
				return none, context.Cause(c)
			}
			j.mu.Lock()
		}
		result, err, again := f.result, f.err, f.again
		j.mu.Unlock()
		switch got, ok := result.(*Result); {
		case again:
			continue // it was not done: this one's turn
		case err != nil:
			return none, err
		case !ok:
			return none, problemOf("WrapTool "+w.t.name, "is the name of two tools, whose results differ in type", "give each a name of its own")
		default:
			j.replayed(c, id)
			return *got, nil
		}
	}
}

// errToolEnded is what is known of an effect whose goroutine has ended.
var errToolEnded = errors.New("understudy: the goroutine that called the tool has ended")

// lead does the effect for all who ask for it at once. Also a Goexit in the tool
// ends it.
func (w *writing[Args, Result]) lead(id effectID, raw json.RawMessage) (Result, error) {
	var again bool
	var err error
	ended := false
	defer func() {
		if !ended { // Goexit: whether it has acted is not known
			err, again = &strategies.UncertainError{Tool: id.tool, Key: id.key, Err: errToolEnded}, false
		}
		w.j.mu.Lock()
		defer w.j.mu.Unlock()
		f := &w.flight
		if f.result, f.err, f.again, f.over = &w.result, err, again, true; again {
			delete(w.j.flights, id)
		}
		if f.ended != nil {
			close(f.ended)
		}
	}()
	w.result, again, err = w.perform(id, raw)
	ended = true
	return w.result, err
}

// perform is one effect from its first word in the journal to its last. again says
// that nothing was done.
func (w *writing[Args, Result]) perform(id effectID, raw json.RawMessage) (none Result, again bool, _ error) {
	w.rec = strategies.EffectRecord{
		Call: w.j.id, Tool: id.tool, Key: id.key, State: strategies.EffectDispatched, Args: raw, Agent: w.call.owner.name(),
		Attempt: max(int(w.call.attempt), 1), Time: time.Now(),
	}
	stands, begun, err := strategies.EffectRecord{}, false, w.gone()
	if err == nil {
		err = w.drift()
	}
	if err == nil {
		stands, begun, err = w.begin()
	}
	if err != nil {
		w.note(strategies.EffectRefused)
		return none, true, err
	}
	if !begun {
		return w.found(stands)
	}
	return w.dispatch()
}

func (w *writing[Args, Result]) begin() (stands strategies.EffectRecord, begun bool, err error) {
	err = protect(func() (err error) {
		stands, begun, err = w.j.effects.Journal.Begin(&w.call, w.rec)
		return err
	})
	if err == nil && (stands.Call != w.rec.Call || stands.Tool != w.rec.Tool || stands.Key != w.rec.Key) {
		err = fmt.Errorf("it takes this effect for another one: %s %s of call %s", stands.Tool, stands.Key, stands.Call)
	}
	if err != nil {
		return stands, false, &strategies.JournalError{Tool: w.rec.Tool, Err: err}
	}
	return stands, begun, nil
}
