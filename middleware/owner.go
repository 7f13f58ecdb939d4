package middleware

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/understudy-go/understudy/internal/errtree"
	"github.com/understudy-go/understudy/strategies"
)

// Owner is one agent as its layers know it: who it is, who judges its failures,
// who is told. The builder makes one for each chain. Whoever puts a [Chain]
// together by hand makes one and gives the same pointer to all its layers:
//
//	owner := &middleware.Owner{Name: "archivist"}
//
// The zero value is an agent called "agent" with the default classifier and no
// observer. It has no type parameters: a registry, a console or an observer can
// hold the owners of agents of any types. Fields must not be changed, nor the
// value copied, once a layer has it.
type Owner struct {
	// Name appears in outcomes, events, errors and the tally. "": "agent".
	Name string
	// Classifier judges each failure once, for all layers. nil: the default table.
	Classifier *strategies.Classifier
	// Observer is told of events. nil: nobody.
	Observer Observer
	// Tally keeps the agent's failed calls. nil: a count of its own.
	Tally *strategies.Tally

	once sync.Once
	// What a healthy call reads stands together, in one line of the cache.
	count  *strategies.Count
	alone  strategies.Count // without a Tally
	others atomic.Int64     // since when others answer for it, Unix ns; 0: it does itself
	past   *Owner           // whose record this one continues; nil: it has its own

	last   atomic.Pointer[judged] // failure that was real, for health
	deaf   atomic.Int64           // questions that were left behind
	still  standstill
	limits atomic.Pointer[[]*strategies.TimeoutError]
	// guests says that code of the user's stands between the layers: it may keep
	// what goes up, so what the caller gets must be a copy.
	guests atomic.Bool

	mu            sync.Mutex
	parts         []part // outermost first
	attempt, wait time.Duration
	watches       []func() // end them

	// An agent has one owner for each set of settings that it has had, and one for each
	// key that it has; see update.go.
	origin *Owner                // the first, by which it is known; nil: this one
	heir   atomic.Pointer[Owner] // of the first: who has the settings of now; nil: itself
	key    string                // that it is of; "": of none
	byKey  interface{ health() map[string]Health }
}

const defaultName = "agent"

// ready fills in what the first layer needs.
func (o *Owner) ready() *Owner {
	o.once.Do(func() {
		switch {
		case o.count != nil:
		case o.Tally != nil:
			o.count = o.Tally.Of(o.name())
		default:
			o.count = &o.alone
		}
	})
	return o
}

func (o *Owner) name() string {
	if o.Name == "" {
		return defaultName
	}
	return o.Name
}

// String returns the agent's name.
func (o *Owner) String() string { return o.name() }

// add notes a layer that was put around those that are there. A layer of the
// same setting takes the place of the older one: an owner has one chain.
func (o *Owner) add(p part) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, old := range o.parts {
		if old.setting() == p.setting() {
			o.parts[i] = p
			return
		}
	}
	o.parts = append([]part{p}, o.parts...)
}

func (o *Owner) chain() []part {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]part(nil), o.parts...)
}

// Parks says whether the agent's chain parks calls, see Intervention.Park.
func (o *Owner) Parks() bool {
	for _, p := range o.latest().chain() {
		if p, ok := p.(*intervenePart); ok && p.how.Park {
			return true
		}
	}
	return false
}

// longest is how long one attempt can take, with its wait for a slot; 0: there
// is no bound.
func (o *Owner) longest() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.attempt == 0 {
		return 0
	}
	return saturate(o.attempt, o.wait)
}

// timeout is the bound of one attempt by itself; 0: none.
func (o *Owner) timeout() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.attempt
}

// limit returns the cause by which a layer of this agent ends a context. It is
// told from everybody else's by its address, so there is one for each limit.
func (o *Owner) limit(name string, after time.Duration) *strategies.TimeoutError {
	o = o.agent()
	o.mu.Lock()
	defer o.mu.Unlock()
	var known []*strategies.TimeoutError
	if all := o.limits.Load(); all != nil {
		known = *all
	}
	for _, l := range known {
		if l.Limit == name && l.After == after {
			return l
		}
	}
	l := &strategies.TimeoutError{Limit: name, After: after}
	known = append(known[:len(known):len(known)], l)
	o.limits.Store(&known)
	return l
}

// owns says whether a layer of this agent ended a context with this cause.
func (o *Owner) owns(cause error) bool {
	timeout, ok := cause.(*strategies.TimeoutError)
	if !ok {
		return false
	}
	if all := o.agent().limits.Load(); all != nil {
		for _, l := range *all {
			if l == timeout {
				return true
			}
		}
	}
	return false
}

// judge says what a failure means to a layer whose context is ctx. Each failure
// is classified once: what an inner layer has judged carries its verdict. The
// end of ctx outranks it, for nobody waits for another attempt then: a timeout
// if a limit of this agent's own ended it, and otherwise the caller's end.
// What must pass untouched outranks even that.
func (o *Owner) judge(ctx context.Context, err error) strategies.Verdict {
	return o.judgeIn(callOf(ctx), ctx, err)
}

// judgeIn is judge for whoever has looked up the call of the context already.
func (o *Owner) judgeIn(c *call, ctx context.Context, err error) strategies.Verdict {
	v := o.verdict(err)
	if j := c.jobs(); j != nil && j.doubtful() && !v.Pass {
		trips := v.Trips // whatever failed: nobody may repeat it, or cover it up
		v = o.row(strategies.ClassUncertain, 0)
		v.Trips = v.Trips || trips
		return v
	}
	return o.ended(ctx, v)
}

// verdict is what the classifier says of a failure, asked once: what an inner
// layer has judged carries it.
func (o *Owner) verdict(err error) strategies.Verdict {
	switch e := err.(type) {
	case *account:
		if e.owner == o {
			return e.verdict
		}
	case *judged:
		if e.owner == o || e.owner.Classifier == o.Classifier {
			return e.verdict
		}
	}
	return o.Classifier.Classify(err)
}

func (o *Owner) ended(ctx context.Context, v strategies.Verdict) strategies.Verdict {
	if v.Pass || ctx.Err() == nil {
		return v
	}
	end := o.row(strategies.ClassCanceled, 0) // nobody waits any more
	if o.owns(context.Cause(ctx)) {
		end = o.timedOut(v.RetryAfter)
	}
	if v.Final {
		v.Trips = end.Trips // whose fault the end was is all that it changes
		return v
	}
	if v.Refused {
		end.Trips = false // nobody was called: it waited for a slot
	}
	return end
}

// timedOut is the verdict of a limit of ours that ran out, whatever the agent
// said when it was stopped.
func (o *Owner) timedOut(hint time.Duration) strategies.Verdict {
	return o.row(strategies.ClassTimeout, hint)
}

// row is the verdict of a class with a hint.
func (o *Owner) row(c strategies.Class, hint time.Duration) strategies.Verdict {
	v := o.Classifier.VerdictOf(c)
	v.RetryAfter = hint
	return v
}

// judged is a failure on its way up with the classifier's verdict on it, whatever
// has become of the context. The caller gets the failure itself, and so does a
// function of [Around]; for a layer of the user's that sees values its text,
// errors.Is and errors.As are those of the failure.
type judged struct {
	owner   *Owner
	verdict strategies.Verdict
	err     error
}

func (j *judged) Error() string                   { return errtree.Text(j.err) }
func (j *judged) Unwrap() error                   { return j.err }
func (j *judged) RecoveryClass() strategies.Class { return j.verdict.Class }
func (j *judged) RecoveryHint() time.Duration     { return j.verdict.RetryAfter }

// judgement puts the verdict on a failure.
func (o *Owner) judgement(err error, v strategies.Verdict) error {
	switch e := err.(type) {
	case *account:
		return err
	case *judged:
		if e.owner == o {
			return err
		}
	}
	return &judged{owner: o, verdict: v, err: raw(err)}
}

// lately is a failure as the agent's health remembers it: as it came, if it can be.
func (o *Owner) lately(err error, v strategies.Verdict) *judged {
	if j, ok := err.(*judged); ok && j.owner == o && j.verdict.Class == v.Class {
		return j
	}
	return &judged{owner: o, verdict: v, err: raw(err)}
}

// raw is the failure itself.
func raw(err error) error {
	for {
		j, ok := err.(*judged)
		if !ok {
			return err
		}
		err = j.err
	}
}

// failed books a failed attempt of the agent and tells the observer.
func (o *Owner) failed(ctx context.Context, id uint64, err error, v strategies.Verdict, attempt int) strategies.Attempt {
	if v.Class != strategies.ClassCanceled && !v.Refused { // neither a caller who left nor a closed door says anything about the agent
		o.record().last.Store(o.lately(err, v))
	}
	err = errtree.Tame(raw(err))
	if o.Observer != nil {
		o.emit(ctx, id, Event{Kind: EventAttemptFailed, Attempt: attempt, Class: v.Class, Err: err})
	}
	return strategies.Attempt{Agent: o.name(), Class: v.Class, Err: err}
}

// emit tells the observer, if there is one. An Event is large: where a failure
// should cost little, ask for the observer before one is made. id is the call's;
// 0: whatever the context knows.
func (o *Owner) emit(ctx context.Context, id uint64, e Event) {
	if o.Observer == nil {
		return
	}
	c := callOf(ctx)
	c0 := c
	if c != nil && c.owner == o {
		if id == 0 {
			id = c.id
		}
		c = c.up
	}
	for c != nil && c.owner == nil { // the outside of a chain put together by hand
		c = c.up
	}
	e.Call = c0.textOf(id)
	if c != nil {
		e.Parent = c.textOf(c.id)
	}
	e.Agent, e.Key = o.name(), o.key
	if e.ServedBy == "" {
		e.ServedBy = e.Agent
	}
	e.Time = time.Now()
	o.Observer.Observe(ctx, e)
}

// note lets change write to the provenance of the call, if somebody wants one.
func (o *Owner) note(ctx context.Context, change func(*provenance)) {
	if c := callOf(ctx); c != nil && c.out != nil && (c.owner == o || c.owner == nil) {
		c.out.note(change)
	}
}

// recovered tells the provenance and the observer how a call was answered after
// all: attempts counts every call that was made or refused, the last included.
func (o *Owner) recovered(ctx context.Context, a *account, by string, how strategies.Strategy, level strategies.Level, calls int) {
	attempts := len(a.re.Attempts) + calls
	if c := o.own(ctx); c != nil && (c.up == nil || c.up.level != c.level) { // the agent's own ladder stands lower
		level = max(level, c.level)
	}
	told := true
	o.note(ctx, func(p *provenance) {
		p.strategy, p.servedBy, p.level, p.attempts, p.failed = how, by, max(level, p.level), attempts, a.re.Attempts
		told = told && !p.round
	})
	if told && o.Observer != nil {
		o.emit(ctx, a.id, Event{Kind: EventRecovered, ServedBy: by, Strategy: how, Level: level, Class: a.verdict.Class, Attempt: attempts, Usage: o.usage(ctx)})
	}
}

// watch ends a watch of a shared strategy when this agent is no more: a strategy
// often outlives the chains that are built on it.
func (o *Owner) watch(stop func()) {
	runtime.AddCleanup(o, func(stop func()) { stop() }, stop)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.watches = append(o.watches, stop)
}

// answered notes that the agent has answered itself. On a clean record it costs
// two atomic loads.
func (o *Owner) answered() {
	o.count.Succeeded()
	if r := o.record(); r.others.Load() != 0 {
		r.others.Store(0)
	}
}

// helped notes that others have answered for the agent.
func (o *Owner) helped() {
	if r := o.record(); r.others.Load() == 0 {
		r.others.CompareAndSwap(0, time.Now().UnixNano())
	}
}

// paused tells the provenance how many calls there were until a framework's
// interrupt, which nobody else counts.
func (o *Owner) paused(ctx context.Context, attempts int) {
	o.note(ctx, func(p *provenance) { p.attempts = attempts })
}

// protect calls code of the user's that is not the agent's: a panic in it
// becomes the call's error, as a panic of the agent does.
func protect(f func() error) (err error) {
	defer catch(&err)
	return f()
}

func noOwner(setting string) error {
	return &strategies.ConfigError{Setting: setting, Problem: "has no owner", Fix: "give all layers of one agent the same &middleware.Owner{Name: …}"}
}
