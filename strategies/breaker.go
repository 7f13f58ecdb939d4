package strategies

import (
	"math"
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

// String returns closed, half-open, open, isolated or held.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

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

	// Failures in a row that open the breaker. 0: 5. With Window: the least
	// number of calls in the window before the ratio counts. 0: 10.
	Failures int

	// Window switches from consecutive failures to a ratio of failures over
	// the last Window. 0: consecutive. It must be longer than an attempt, or
	// the attempts of a hung agent never meet in one window.
	Window time.Duration

	// Ratio of failed calls within Window that opens the breaker. 0: 0.5.
	Ratio float64

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
	// deaf to it counts as failed as soon as the next call comes. 0: 60 s.
	TrialTimeout time.Duration

	// word is all that a healthy call reads; see wordBits below.
	word atomic.Uint64

	once    sync.Once
	engine  atomic.Pointer[engine]
	good    atomic.Pointer[success]
	started time.Time // base of the times below

	openUntil atomic.Int64 // since started
	heldUntil atomic.Int64 // since started
	waiting   atomic.Int64 // callers refused by a hold; see spread
	streak    atomic.Int64 // openings in a row, less one, for MaxOpenFor

	closedAt   atomic.Int64 // since started
	wasOpenFor atomic.Int64 // the last time; 0: never
	cause      atomic.Pointer[error]
	lastCause  atomic.Pointer[error]

	quota    quotaHold
	trials   trials
	changing sync.Mutex // held by whoever changes the state; see change
	changes  notices[BreakerChange]
}

// The word, from the lowest bit: two bits of engine state, a bit each for
// isolated, held, ready and probation, a stamp, and the generation.
//
// The ready bit says that the settings have been looked at and the engine made,
// so that nonsense is refused by the first call at no price for the others.
//
// The stamp is 0 on a clean record and a new number after every failure: a
// success that finds a stamp is recorded and clears that very stamp, so a
// failure that came in between is not lost. The generation counts changes of
// state: a call that began in an older one is not recorded, so a late failure
// cannot open a half-open breaker again.
const (
	stateMask    = 0b0011
	isolatedBit  = 0b0100
	heldBit      = 0b1000
	readyBit     = 0b10000
	probationBit = 0b100000
	closedMask   = stateMask | isolatedBit | heldBit | readyBit | probationBit // readyBit alone: let through
	stampOne     = 1 << 6
	stampMask    = (1<<32 - 1) &^ closedMask
	generationAt = 32
)

// BreakerChange is one change of a breaker's state.
type BreakerChange struct {
	Breaker  string
	From, To State
	At       time.Time
	OpenFor  time.Duration // if To is StateOpen or StateHeld: for how long
	Cause    error         // the failure behind it; may be nil
}

// Permit is leave to make one call. Exactly one of its methods must be called
// when the call has ended, however it ended.
type Permit struct {
	breaker *Breaker
	gen     uint64
	trial   *trial
}

// Allow asks for leave to make a call. The error is an [OpenError], or a
// [ConfigError] if the settings make no sense. An error takes no slot.
func (b *Breaker) Allow() (Permit, error) {
	if w := b.word.Load(); w&closedMask == readyBit {
		return Permit{breaker: b, gen: w >> generationAt}, nil
	}
	return b.allowSlow()
}

func (b *Breaker) allowSlow() (Permit, error) {
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
	return Permit{breaker: b, gen: w >> generationAt}, nil
}

// spread tells each caller that a hold refuses to come back up to a tenth later
// than the one before: they have all been told the same instant, and together
// would run into the same limit again. Steps of the golden ratio fill the tenth
// evenly, however many they are.
func (b *Breaker) spread(left time.Duration) time.Duration {
	_, step := math.Modf(float64(b.waiting.Add(1)-1) * math.Phi)
	return scale(left, 1+step/10)
}

func (b *Breaker) refuse(s State, left time.Duration) error {
	cause := b.cause.Load()
	err := &OpenError{Breaker: b.Name, State: s, RetryAfter: left}
	if cause != nil {
		err.Cause = *cause
	}
	return err
}

// Success books that the call succeeded.
func (p *Permit) Success() {
	b := p.breaker
	w := b.word.Load()
	if w&(closedMask|stampMask) == readyBit && w>>generationAt == p.gen {
		if b.Window == 0 {
			return // clean before, clean after: nothing to record
		}
		// A window counts every success; none can change a closed state.
		if good := b.good.Load(); good != nil && good.gen == p.gen {
			good.record()
			return
		}
	}
	b.settle(p, nil)
}

// Failure books that the call failed with err, which counts.
func (p *Permit) Failure(err error) {
	if err == nil {
		err = errAborted
	}
	p.breaker.settle(p, err)
}

// Neutral books that the call ended in a way that says nothing about the
// agent: its caller left, its request was wrong.
func (p *Permit) Neutral() {
	if p.trial != nil {
		p.breaker.trials.free(p.trial)
	}
}

// Trial returns the time limit of a half-open trial, and whether p is one.
func (p *Permit) Trial() (time.Duration, bool) {
	if p.trial == nil {
		return 0, false
	}
	return p.breaker.trialTimeout(), true
}

// Prolong lets a half-open trial take longer than TrialTimeout, because it has
// shown signs of life and something else bounds it: a stream that speaks.
func (p *Permit) Prolong() {
	if p.trial != nil {
		p.breaker.trials.prolong(p.trial)
	}
}

func (b *Breaker) settle(p *Permit, err error) {
	if b.init() != nil {
		return
	}
	if err != nil {
		b.failed(err)
	}
	if p.trial != nil {
		b.settleTrial(p.trial, err)
	} else if w := b.word.Load(); w>>generationAt == p.gen {
		b.engine.Load().record(p.gen, err)
		b.stamp(w, err)
	}
	b.changes.deliver()
}

func (b *Breaker) failed(err error) { b.lastCause.Store(&err) }

// stamp marks the word after a recorded failure, or clears the stamp that the
// word had before a recorded success.
func (b *Breaker) stamp(before uint64, err error) {
	if err == nil {
		if before&stampMask != 0 {
			b.word.CompareAndSwap(before, before&^stampMask)
		}
		return
	}
	for {
		w := b.word.Load()
		if w>>generationAt != before>>generationAt {
			return // this failure, or another, changed the state
		}
		next := w + stampOne
		if next&stampMask == 0 || next>>generationAt != w>>generationAt {
			next = w&^stampMask | stampOne // wrapped around
		}
		if b.word.CompareAndSwap(w, next) {
			return
		}
	}
}

// Hold lets nothing through for d, because cause said so: a Retry-After or an
// exhausted quota is a fact for every caller of this upstream, not only for the
// one who was told. A hold is only ever extended. It is no failure.
func (b *Breaker) Hold(d time.Duration, cause error) {
	if d <= 0 || b.init() != nil {
		return
	}
	defer b.changes.deliver()
	b.changing.Lock()
	defer b.changing.Unlock()
	until := after(b.now(), d)
	if until <= b.heldUntil.Load() {
		return
	}
	b.heldUntil.Store(until)
	b.cause.Store(&cause)
	b.change(BreakerChange{OpenFor: d, Cause: cause}, func(w uint64) uint64 { return w | heldBit })
}

// release ends a hold whose time has passed.
func (b *Breaker) release() {
	defer b.changes.deliver()
	b.changing.Lock()
	defer b.changing.Unlock()
	if b.heldUntil.Load() > b.now() {
		return // held anew in this very moment
	}
	var note BreakerChange
	if State(b.word.Load()&stateMask) == StateOpen {
		note.OpenFor, note.Cause = b.openLeft(), b.LastFailure()
	}
	b.change(note, func(w uint64) uint64 { return w &^ heldBit })
}

// Isolate opens the breaker until Reset.
func (b *Breaker) Isolate() {
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
	if b.init() != nil {
		return
	}
	defer b.changes.deliver()
	b.changing.Lock()
	defer b.changing.Unlock()
	b.heldUntil.Store(0)
	b.streak.Store(0)
	b.wasOpenFor.Store(0)
	b.cause.Store(nil)
	b.lastCause.Store(nil)
	// The generation goes first: an older call that finds the new engine must
	// find itself outdated.
	b.change(BreakerChange{}, func(w uint64) uint64 { return (w>>generationAt+1)<<generationAt | readyBit })
	b.engine.Store(newEngine(b))
	b.engine.Load().renew()
}

// State returns the state. Reading it changes nothing: a breaker whose open
// time has passed stays open until the next call tries it.
func (b *Breaker) State() State { return visible(b.word.Load()) }

func visible(w uint64) State {
	switch {
	case w&isolatedBit != 0:
		return StateIsolated
	case w&heldBit != 0:
		return StateHeld
	}
	return State(w & stateMask)
}

// RetryAfter returns how long the breaker will still let nothing through; 0 if
// it lets calls through now, or will only after Reset.
func (b *Breaker) RetryAfter() time.Duration {
	w := b.word.Load()
	left := time.Duration(0)
	if w&isolatedBit == 0 && State(w&stateMask) == StateOpen {
		left = b.openLeft()
	}
	if w&isolatedBit == 0 && w&heldBit != 0 {
		left = max(left, time.Duration(b.heldUntil.Load()-b.now()))
	}
	return left
}

// openLeft is what is left of the open time, 0 if it has passed: strictly, as
// the engine has it.
func (b *Breaker) openLeft() time.Duration {
	if left := b.openUntil.Load() - b.now(); left >= 0 {
		return time.Duration(max(left, 1))
	}
	return 0
}

// Watch calls listener after every change of state, in order and outside of
// every lock; it may call anything, this breaker included. It returns a function
// that ends it.
func (b *Breaker) Watch(listener func(BreakerChange)) (stop func()) { return b.changes.watch(listener) }

// WatchAs is Watch for many on behalf of one: those who give the same key have
// one listener, the first, which is told once of each change, until all of them
// have stopped. A key that cannot be compared is nobody else's.
func (b *Breaker) WatchAs(key any, listener func(BreakerChange)) (stop func()) {
	return b.changes.watchAs(key, listener)
}

// LastFailure returns the last failure that was booked, or nil.
func (b *Breaker) LastFailure() error {
	if err := b.lastCause.Load(); err != nil {
		return *err
	}
	return nil
}

func (b *Breaker) now() int64 { return int64(time.Since(b.started)) }

func after(now int64, d time.Duration) int64 {
	if until := now + int64(d); until >= 0 {
		return until
	}
	return math.MaxInt64
}
