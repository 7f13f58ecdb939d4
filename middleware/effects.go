package middleware

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// Effects says how a chain keeps its promise that nothing is done twice: what its
// tools do is written down, before and after. See [Builder.Effects] and [WrapTool].
// The zero value is a journal in memory, and refuses drift.
type Effects struct {
	// Journal is where effects are written down. nil: in memory, for as long as the
	// process lives. One that outlives it makes a call that is repeated under the
	// same id, see [WithCallID], find what was done before.
	Journal strategies.Journal
	// Drift is what becomes of a tool that a later attempt asks for with something
	// else than an earlier one has done.
	Drift Drift
	// Ask is who is asked about drift, if Drift says so, and about an effect that is
	// uncertain and that the tool's Verify knows nothing of. nil: nobody, which is a
	// no. A decision to retry means that it did not happen and may be done; an answer
	// that it did, with this result; anything else leaves it uncertain.
	Ask strategies.Intervenor
	// AskFor is how long such a question stands. 0: 5 minutes.
	AskFor time.Duration
	// Undo lets a call that failed for good undo what it has done, in reverse order,
	// by the undo of each tool that has one. An uncertain effect is left as it is.
	Undo bool
}

// Drift is what becomes of an effect that a later attempt asks for, if an earlier
// one, or the same call in an earlier life of the process, has done something else
// with the same tool that this attempt has not asked for again. Whoever goes through
// the same plan in the same order, and then further, does not drift.
type Drift uint8

const (
	// DriftRefused does not call the tool; the error tells the model what has been
	// done already.
	DriftRefused Drift = iota
	// DriftAsked puts it before Effects.Ask.
	DriftAsked
	// DriftAllowed calls the tool.
	DriftAllowed
)

var driftNames = [...]string{"refused", "asked", "allowed"}

// String returns refused, asked or allowed.
func (d Drift) String() string {
	if int(d) < len(driftNames) {
		return driftNames[d]
	}
	return "unknown"
}

// MarshalText returns the word of String.
func (d Drift) MarshalText() ([]byte, error) { return textOf("drift", d, int(d) < len(driftNames)) }

// UnmarshalText reads a word back.
func (d *Drift) UnmarshalText(text []byte) error {
	return readText("drift", text, driftNames[:], func(i int) { *d = Drift(i) })
}

// Effects gives calls an identity and writes down what the tools of the agent do
// that are wrapped by [WrapTool], its stand-ins' and its nested agents' too. A
// later attempt of a call, a stand-in, or the same call repeated under its id after
// a crash gets the recorded result of what was done, and the tool is not called.
// What was dispatched and not heard of is uncertain: the call is not retried, handed
// on or covered up, see [strategies.ClassUncertain].
//
// It costs a healthy call two allocations; see [WrapTool] for a tool's.
func (s *Settings) Effects(e Effects) *Settings {
	return s.add(newEffectsPart("Effects", &e), e.problems()...)
}

// Identify gives each call an identity without a journal, for [Call.ID],
// [Call.IdempotencyKey] and [Call.Kept], and lets two calls at once under one id be
// one call. It costs a healthy call two allocations.
func (s *Settings) Identify() *Settings { return s.add(newEffectsPart("Identify", nil)) }

func (e *Effects) problems() (errs []error) {
	if e.Drift > DriftAllowed {
		errs = append(errs, problemOf("Effects.Drift", "is %d", "use DriftRefused, DriftAsked or DriftAllowed", e.Drift))
	}
	if e.Drift == DriftAsked && e.Ask == nil {
		errs = append(errs, problemOf("Effects.Drift", "is to be asked about, and Effects.Ask is nil", "say who is asked"))
	}
	if e.AskFor < 0 {
		errs = append(errs, problemOf("Effects.AskFor", "is negative (%v)", "leave it 0 for 5m", e.AskFor))
	}
	return errs
}

type effectsPart struct {
	basics
	effects *Effects // nil: an identity alone
	own     bool     // the journal is ours, in memory
}

func newEffectsPart(setting string, e *Effects) *effectsPart {
	own := e != nil && e.Journal == nil
	if own {
		e.Journal = &strategies.MemoryJournal{}
	}
	return &effectsPart{basics{setting, StageIdentify}, e, own}
}

// inherit goes on with a journal that nobody has named.
func (p *effectsPart) inherit(before part) (part, func() error) {
	was, ok := before.(*effectsPart)
	if !ok || !was.own || !p.own {
		return p, nil
	}
	e := *p.effects
	e.Journal = was.effects.Journal
	return &effectsPart{p.basics, &e, true}, nil
}

func (p *effectsPart) check(s *Settings) []error {
	if p.effects == nil && s.given["Effects"] {
		return []error{problemOf("Identify", "is set beside Effects", "Effects gives calls an identity: drop Identify")}
	}
	return nil
}

func (p *effectsPart) explain(e *explaining) {
	switch {
	case p.effects == nil:
		e.row(StageIdentify, "calls have an id; two at once with the same are one")
	case p.effects.Undo:
		e.row(StageIdentify, "what tools do is written down, done once, and undone if the call fails for good")
	default:
		e.row(StageIdentify, "what tools do is written down, and done once")
	}
}

// identify is the layer that gives a call its job.
type identify[Req, Resp any] struct {
	owner   *Owner
	effects *Effects
	next    Runner[Req, Resp]
	*twins[Resp]
}

// twins are the calls under way with an id of the caller's.
type twins[Resp any] struct {
	mu    sync.Mutex
	calls map[string]*twin[Resp]
}

// twin is a call that another one with the same id waits for.
type twin[Resp any] struct {
	ended chan struct{}
	resp  Resp
	err   error
	how   told
	good  bool // it came to an end, and so may be shared
}

// jobCall is a job and its call, in one piece.
type jobCall struct {
	call
	job
}

func newIdentify[Req, Resp any](o *Owner, e *Effects, t *twins[Resp], next Runner[Req, Resp]) *identify[Req, Resp] {
	o.guests.Store(true) // one account may reach two callers with one id
	return &identify[Req, Resp]{owner: o, effects: e, twins: t, next: next}
}

func (l *identify[Req, Resp]) Run(ctx context.Context, req Req) (Resp, error) {
	given, theirs := "", false
	for c := callOf(ctx); c != nil; c = c.up {
		switch {
		case c.job != nil && (given == "" || given == c.job.id):
			return l.part(ctx, req, c.job)
		case c.job == nil && given == "":
			given, theirs = c.given, theirs || c.owner != nil && c.owner != l.owner
		}
	}
	switch {
	case given == "":
		return l.run(ctx, req, "", false)
	case theirs: // who was given it has no identity, and may ask this agent for several things
		return l.run(ctx, req, given+"/"+l.owner.name(), false)
	}
	for {
		l.mu.Lock()
		t, waits := l.calls[given]
		if !waits {
			t = &twin[Resp]{ended: make(chan struct{})}
			l.calls[given] = t
			l.mu.Unlock()
			return l.lead(ctx, req, given, t)
		}
		l.mu.Unlock()
		select {
		case <-t.ended:
			if t.good {
				l.owner.note(ctx, func(p *provenance) { p.become(t.how) })
				return t.resp, t.err
			}
		case <-ctx.Done():
			var none Resp
			return none, context.Cause(ctx)
		}
	}
}

// part runs a call that is part of the one that caused it, unless that writes
// nothing down.
func (l *identify[Req, Resp]) part(ctx context.Context, req Req, j *job) (Resp, error) {
	if j.effects == nil && l.effects != nil {
		return l.run(ctx, req, j.id+"/"+l.owner.name(), false)
	}
	if jobOf(ctx) != j { // it was given its caller's own id
		c := l.owner.with(ctx, 0)
		c.job, ctx = j, c
	}
	return l.next.Run(ctx, req)
}

// lead runs a call that others with its id may wait for. One whose caller left has
// no answer for them: the next one begins anew.
func (l *identify[Req, Resp]) lead(ctx context.Context, req Req, given string, t *twin[Resp]) (Resp, error) {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.calls, given)
		close(t.ended)
	}()
	if c := l.owner.own(ctx); c != nil && c.stream != nil {
		return l.run(ctx, req, given, true) // what it says is heard by its own reader alone
	}
	traced := l.owner.traced(ctx)
	traced.call.given = given
	if c := callOf(ctx); c != nil && c.out != nil {
		traced.provenance.outer = c.out
	}
	t.resp, t.err = l.run(&traced.call, req, given, true)
	t.how = traced.settle(t.err)
	t.good = ctx.Err() == nil
	return t.resp, t.err
}

// run begins a job. lived says that it may have lived before: its id is the caller's.
func (l *identify[Req, Resp]) run(ctx context.Context, req Req, given string, lived bool) (Resp, error) {
	jc := &jobCall{}
	l.owner.fill(&jc.call, ctx, l.owner.identity(ctx))
	jc.job.owner, jc.job.effects, jc.job.num, jc.job.given = l.owner, l.effects, jc.call.id, lived
	if jc.job.id = given; given == "" {
		jc.job.id = idText(jc.call.id)
	}
	jc.call.job = &jc.job
	if out := jc.call.out; out != nil {
		out.note(func(p *provenance) { p.job = &jc.job })
	}
	resp, err := l.next.Run(&jc.call, req)
	if err == nil {
		return resp, nil
	}
	var none Resp
	v := l.owner.judge(&jc.call, err)
	if v.Pass {
		return none, err
	}
	a := l.owner.account(&jc.call, err, v)
	if l.effects != nil && l.effects.Undo {
		a = l.undo(&jc.call, a)
	}
	return none, a
}

// identity is the number of a call in this process.
func (o *Owner) identity(ctx context.Context) uint64 {
	if c := o.own(ctx); c != nil && c.id != 0 {
		return c.id
	}
	return newID()
}

// undo undoes what the call has done, the last first, also when its caller has left.
func (l *identify[Req, Resp]) undo(c *call, a *account) *account {
	j := c.job
	j.mu.Lock()
	done := slices.Clone(j.done)
	j.mu.Unlock()
	var problems []error
	for _, n := range slices.Backward(done) {
		if n.undo == nil || n.State != strategies.EffectDone {
			continue
		}
		if problem := n.undo(context.WithoutCancel(c)); problem != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", n.Tool, n.Key, problem))
		}
	}
	if len(problems) == 0 {
		return a
	}
	a = a.next()
	for _, problem := range problems {
		a.because(&UndoError{problem})
	}
	return a
}

// UndoError is an effect that was done, and could not be undone when its call
// failed: somebody must look at it.
type UndoError struct{ Err error }

func (e *UndoError) Error() string {
	return "understudy: what was done could not be undone: " + e.Err.Error()
}

// Unwrap returns what went wrong.
func (e *UndoError) Unwrap() error { return e.Err }
