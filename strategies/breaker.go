package strategies

import (
	"sync"
	"sync/atomic"
	"time"
)

// State is the state of a circuit breaker.
type State uint8

const (
	// StateClosed lets every call through.
	StateClosed State = iota
	// StateHalfOpen lets a few trials through to see whether the agent is back.
	StateHalfOpen
	// StateOpen lets nothing through until its time has passed.
	StateOpen
	// StateIsolated lets nothing through until Reset: a person opened it.
	StateIsolated
	// StateHeld lets nothing through until the time a provider named.
	StateHeld
)

var stateNames = [...]string{"closed", "half-open", "open", "isolated", "held"}

// Breaker is a circuit breaker: after a run of failures it stops calling an
// agent that is down, and later tries it again with a few trials.
//
// The zero value is the documented default: it opens after 5 consecutive
// failures, for 30 s and up to 10 % more, and closes after one good trial.
// Consecutive failures are the default because agent traffic is sparse: a ratio
// with a minimum number of calls never trips at ten calls an hour. Set Window
// for a ratio.
//
// A Breaker is used by pointer and may be shared by agents of any request and
// answer type: whoever shares an upstream should share its breaker. Its fields
// must not be changed, nor the value copied, once it is in use.
//
// The engine is sony/gobreaker. A closed breaker that has seen no failure since
// its last recorded success costs a call two atomic loads: one more success
// would change nothing, so it is not recorded. See the property tests for why
// no decision differs from the bare engine's.
type Breaker struct {
	// Name appears in errors and events. "": the agent's name.
	Name string

	// Failures in a row that open the breaker. 0: 5. Not with Window.
	Failures int

	// Window switches from consecutive failures to a ratio of failures over
	// the last Window. 0: consecutive. It must be longer than an attempt, or
	// the attempts of a hung agent never meet in one window.
	Window time.Duration

	// Ratio of failed calls within Window that opens the breaker. 0: 0.5.
	Ratio float64

	// MinCalls is the least number of calls within Window before the ratio
	// counts. 0: 10. Only with Window.
	MinCalls int

	// OpenFor is how long the breaker stays open. 0: 30 s.
	OpenFor time.Duration

	// MaxOpenFor lets the open time double, up to this long, each time a trial
	// fails: outages of model providers last about an hour, not a second.
	//
	// A brown-out lets a trial through, so a breaker that has closed is on
	// probation for as long as it had been open: failures need not be in a row
	// then (Failures of them, and a quarter of the calls, will do), and opening
	// again doubles the open time too.
	//
	// 0: four times OpenFor. As long as OpenFor: no growth, and no probation.
	MaxOpenFor time.Duration

	// Jitter adds up to this fraction of the open time at random, so that a
	// fleet does not try again in step. 0: 0.1. See NoJitter.
	Jitter   float64
	NoJitter bool

	// Trials is the number of calls let through at a time while half-open, and
	// the number of successes needed to close. One failure opens again. 0: 1.
	Trials int

	// TrialTimeout bounds a trial: its context ends then, and a trial that is
	// deaf to it counts as failed as soon as the next call comes. If it answers
	// all the same, later, the breaker closes. An agent's own Timeout, where that
	// is longer, is the bound of its trials. 0: 60 s, and the contexts of agents
	// without a Timeout are left alone.
	TrialTimeout time.Duration

	// SlowStart lets a growing number of calls through at a time, for at most this
	// long, after the breaker has closed: a service with cold caches falls over
	// again if everybody comes at once. One call at first, and one more for each
	// that succeeds; the others are refused, and go to a stand-in.
	//
	// 0: 30 s, after an outage of 5 minutes or more; none after a shorter one, and
	// none with MaxOpenFor as long as OpenFor. It costs nothing at other times.
	SlowStart time.Duration

	// SlowCall counts an answer that took longer as a failure. The caller gets it
	// all the same. Of a stream it is the time until the commit, for what comes after
	// it may be its reader's. 0: only an answer after its attempt's own Timeout. It
	// costs a call a look at the clock.
	SlowCall time.Duration

	// MaxHold is the longest that a provider's word holds the breaker for all who
	// share it: a hint is a stranger's. An exhausted quota may hold it for a day.
	// 0: 1 h.
	MaxHold time.Duration

	// Keys is how many keys the agent's client turns by itself. The hint of one is not
	// for all then: the next attempt is made at once, with the next key, and only as many
	// limits in a row as there are keys hold the breaker, for the shortest of their
	// hints. 0: 1.
	Keys int

	// word is all that a healthy call reads; see breakerword.go.
	word atomic.Uint64
	set  inherited[Breaker]

	once    sync.Once
	engine  atomic.Pointer[engine]
	good    atomic.Pointer[success] // nil: successes need no record
	started time.Time               // base of the times below

	openUntil atomic.Int64 // since started
	heldUntil atomic.Int64 // since started
	waiting   atomic.Int64 // callers refused by a hold; see spread
	streak    atomic.Int64 // openings in a row, less one, for MaxOpenFor

	outageAt   atomic.Int64 // since started: when it opened after being well
	suspicion  atomic.Int64 // callers' deadlines in a row that ended an attempt
	turned     atomic.Int64 // limits in a row, of a client that turns keys
	shortest   atomic.Int64 // of their hints; 0: none
	ramp       atomic.Pointer[ramp]
	closedAt   atomic.Int64          // since started
	wasOpenFor atomic.Int64          // the last time; 0: never
	cause      atomic.Pointer[error] // of the open state
	holdCause  atomic.Pointer[error] // of the hold
	lastCause  atomic.Pointer[error]

	quota    quotaMemory
	limited  quotaMemory // of rate limits that name no time
	trials   trials
	changing sync.Mutex // held by whoever changes the state; see change
	changes  notices[BreakerChange]
}

// BreakerChange is one change of a breaker's state.
type BreakerChange struct {
	Breaker  string
	From, To State
	At       time.Time
	OpenFor  time.Duration // if To is StateOpen or StateHeld: for how long
	Cause    error         // the failure behind it; may be nil
}

// Allow asks for leave to make a call. The error is an [OpenError], or a
// [ConfigError] if the settings make no sense. An error takes no slot.
func (b *Breaker) Allow() (Permit, error) {
	if w := b.word.Load(); w&closedMask == readyBit {
		return Permit{breaker: b, gen: generation(w)}, nil
	}
	return b.allowSlow()
}

func (b *Breaker) allowSlow() (Permit, error) {
	b = b.Itself()
	if err := b.init(); err != nil {
		return Permit{}, err
	}
	w := b.word.Load()
	if w&isolatedBit != 0 {
		return Permit{}, b.refuse(StateIsolated, 0)
	}
	if w&heldBit != 0 {
		if b.heldUntil.Load() > b.now() {
			return Permit{}, b.refuse(StateHeld, b.spread(b.RetryAfter()))
		}
		b.release()
		w = b.word.Load()
	}
	if State(w&stateMask) == StateOpen {
		if left := b.openLeft(); left > 0 {
			return Permit{}, b.refuse(StateOpen, left)
		}
	}
	if State(w&stateMask) != StateClosed {
		return b.allowTrial()
	}
	if w&probationBit != 0 && !b.onProbation() {
		b.word.CompareAndSwap(w, w&^probationBit)
	}
	if w&rampBit != 0 {
		return b.allowRamp(w)
	}
	return Permit{breaker: b, gen: generation(w)}, nil
}

// AllowTrial asks for leave to make a call that a person wants made: an open
// breaker, or one whose trials are taken, lets it through as a trial. If it
// succeeds the breaker closes. What a provider or an operator said stands: a hold
// and an isolation refuse it.
func (b *Breaker) AllowTrial() (Permit, error) {
	b = b.Itself()
	permit, err := b.Allow()
	open, refused := err.(*OpenError) //nolint:errorlint // made just now
	if !refused || open.State != StateOpen && open.State != StateHalfOpen {
		return permit, err
	}
	return Permit{breaker: b, gen: generation(b.word.Load()), special: &special{forced: true}}, nil
}

// allowTrial lets a call through a breaker that is half-open, or open with its
// time passed, if a slot is free.
func (b *Breaker) allowTrial() (Permit, error) {
	t, gen, state, left := b.tryTrial()
	if state != StateClosed && t == nil {
		return Permit{}, b.refuse(state, left)
	}
	if t == nil {
		return Permit{breaker: b, gen: gen}, nil
	}
	return Permit{breaker: b, gen: gen, special: &special{trial: t}}, nil
}

func (b *Breaker) refuse(s State, left time.Duration) error {
	cause := b.cause.Load()
	if s == StateHeld {
		cause = b.holdCause.Load()
	}
	err := &OpenError{Breaker: b.Name, State: s, RetryAfter: left}
	if cause != nil {
		err.Cause = *cause
	}
	return err
}

// init looks at the settings and makes the engine, on first need.
func (b *Breaker) init() error {
	b.once.Do(func() {
		if b.Validate() == nil {
			b.started = time.Now()
			b.engine.Store(newEngine(b))
			b.engine.Load().renew()
			b.word.Or(readyBit)
		}
	})
	if b.engine.Load() == nil {
		return b.Validate()
	}
	return nil
}

// Isolate opens the breaker until Reset.
func (b *Breaker) Isolate() {
	b = b.Itself()
	if b.init() != nil {
		return
	}
	defer b.changes.deliver()
	b.changing.Lock()
	defer b.changing.Unlock()
	b.change(BreakerChange{}, func(w uint64) uint64 { return w | isolatedBit })
}

// Reset closes the breaker and forgets what it has seen. Calls under way are
// not recorded any more.
func (b *Breaker) Reset() {
	b = b.Itself()
	if b.init() != nil {
		return
	}
	defer b.changes.deliver()
	b.changing.Lock()
	defer b.changing.Unlock()
	b.heldUntil.Store(0)
	b.quota.forget()
	b.limited.forget()
	b.suspicion.Store(0)
	b.turned.Store(0)
	b.ramp.Store(nil)
	b.outageAt.Store(0)
	b.holdCause.Store(nil)
	b.streak.Store(0)
	b.wasOpenFor.Store(0)
	b.cause.Store(nil)
	b.lastCause.Store(nil)
	// The generation goes first: an older call that finds the new engine must
	// find itself outdated.
	b.change(BreakerChange{}, func(w uint64) uint64 { return (generation(w)+1)<<generationAt | readyBit })
	b.engine.Store(newEngine(b))
	b.engine.Load().renew()
}

// State returns the state. Reading it changes nothing: a breaker whose open
// time has passed stays open until the next call tries it.
func (b *Breaker) State() State { return visible(b.Itself().word.Load()) }

// RetryAfter returns how long the breaker will still let nothing through, at
// most; 0 if it lets calls through now, or will only after Reset.
func (b *Breaker) RetryAfter() time.Duration {
	b = b.Itself()
	w := b.word.Load()
	left := time.Duration(0)
	if w&isolatedBit == 0 && State(w&stateMask) == StateOpen {
		left = b.openLeft()
	}
	if w&isolatedBit == 0 && w&heldBit != 0 {
		left = max(left, time.Duration(b.heldUntil.Load()-b.now()))
	}
	if visible(w) == StateHalfOpen {
		left = b.trials.left(b.now(), b.engine.Load().trials)
	}
	return left
}

// Watch calls listener after every change of state, in order and outside of
// every lock; it may call anything, this breaker included. stop ends it: the
// listener is begun no more, and the breaker keeps nothing of it.
func (b *Breaker) Watch(listener func(BreakerChange)) (stop func()) {
	return b.Itself().changes.watch(listener)
}

// WatchAs is Watch for many on behalf of one: those who give the same key have
// one listener, the first, which is told once of each change, until all of them
// have stopped. A key that cannot be compared is nobody else's.
func (b *Breaker) WatchAs(key any, listener func(BreakerChange)) (stop func()) {
	return b.Itself().changes.watchAs(key, listener)
}

// LastFailure returns the last failure that was booked, or nil.
func (b *Breaker) LastFailure() error {
	if err := b.Itself().lastCause.Load(); err != nil {
		return *err
	}
	return nil
}
