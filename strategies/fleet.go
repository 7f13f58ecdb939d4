package strategies

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Fleet lets the replicas of a program share what they know of their upstreams, over
// a [Store]. One line at wiring:
//
//	fleet := &strategies.Fleet{Store: store, Name: "shop"}
//	err := fleet.Share(openAI, budget, ladder, pace)
//	defer fleet.Close()
//
// It is local first: no call ever waits for the store. Calls ask the same breaker as
// before, at the same price; one goroutine tells the others what has happened here, and
// another applies here what the others tell.
//
//	facts      a hold (Retry-After, quota), Isolate, Reset, a pinned level: at once
//	suspicion  what fails elsewhere counts here too, unless calls succeed meanwhile
//	one trial  a half-open breaker is tried by one replica; the others follow its result
//	division   a retry budget and a pace are divided by the number of living replicas
//
// # Whose word counts for what
//
// A hold only ever lengthens, and no hold of another lasts longer than this breaker's
// MaxHold, or a day for an exhausted quota. Of Isolate, Reset and Pin the later one
// wins, by the store's clock.
//
// Failures in a row are counted over the fleet as one breaker would count them: any
// replica's success begins the count anew for all. The replica with the most failures
// counts for no more than the one with the next most: so one that is sick alone opens
// no breaker but its own, whatever it says. Two replicas therefore open each on its own
// failures, and share the rest.
//
// A trial belongs to the replica that has a lease in the store. It is got in the
// background, a moment before the open time ends; a call that comes to a replica without
// it is refused as if the trial were under way. A replica whose trial has failed lets the
// others go first the next time. Breaker.Trials and [Breaker.AllowTrial] are as ever.
//
// # When the store is away
//
// Everything goes on as without a fleet: a breaker opens on its own failures and each
// replica makes its own trials. Budgets and paces keep their share. It is told once, by
// Watch and Health. What has happened meanwhile is kept, the last state of each thing,
// and told when the store is back.
//
// # In the store
//
// Records are small, carry their format's version in the key and hold names, times,
// counts and classes; of a request or an answer there is nothing in them, and of Pin's
// reason the first 200 bytes. What cannot be read is reported and left alone. A replica
// at rest makes about one operation in 9 s, in trouble at most 4 a second, and fifteen at
// once.
//
// A Fleet is used by pointer, and its fields must not be changed once it is in use.
type Fleet struct {
	// Store is what all replicas reach. Required. Close leaves it open.
	Store Store
	// Name is the same in all replicas, and another one for each program that uses the
	// store. Required.
	Name string
	// Replica is how this process appears to the others, followed by some random
	// digits. "": the digits alone.
	Replica string

	id      string
	prefix  string
	base    time.Time // the times below count from here, whatever the wall clock does
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{}
	changes notices[FleetChange]

	away   atomic.Bool  // calls are on their own
	ahead  atomic.Int64 // of the store's clock, before base
	living atomic.Int64

	mu       sync.Mutex
	began    bool
	runs     bool
	closed   bool
	breakers map[string]*breakerShare
	ladders  map[string]*ladderShare
	dividers []divider
	awayAt   time.Time
	awayErr  error
	opsBad   int  // operations in a row without an answer
	deaf     bool // the watch is lost, or not current yet
	skipped  int
	recount  bool // somebody has come or gone
}

// Shareable is what a [Fleet] can share: a [Breaker], a [Budget], a [Ladder] or a
// [Pace].
type Shareable interface {
	shareIn(f *Fleet) error
}

// divider is what is divided by the number of living replicas.
type divider interface{ divide(living int) }

// FleetKind is what a [FleetChange] tells.
type FleetKind uint8

const (
	// FleetAway: the store does not answer. Everything goes on locally.
	FleetAway FleetKind = iota
	// FleetBack: the store answers, and what has happened meanwhile is being told.
	FleetBack
	// FleetSize: the number of living replicas has changed.
	FleetSize
	// FleetSkipped: a record could not be read, and is left alone. Err says which.
	FleetSkipped
)

var fleetKindNames = [...]string{"away", "back", "size", "skipped"}

// FleetChange is what happens to a fleet itself, as one replica sees it.
type FleetChange struct {
	Kind     FleetKind
	At       time.Time
	Replicas int   // that live, this one included, as far as is known
	Err      error // of FleetAway and FleetSkipped
}

// FleetHealth is how a fleet looks from one replica.
type FleetHealth struct {
	Replica     string // this one, as it appears to the others
	Replicas    int    // that live, this one included, as far as is known
	Away        bool   // the store does not answer
	Since       time.Time
	Err         error // why it is away
	Unpublished int   // breakers and ladders with something that the others do not know yet
	Skipped     int   // records that could not be read
}

// SharedError is the cause of a breaker's state that another replica has told of. It
// says nothing of the request or the answer behind it.
type SharedError struct {
	Replica string // who has told; "": several have
	What    string
	Class   Class
}

func (e *SharedError) Error() string {
	if e.Replica == "" {
		return "understudy: " + e.What
	}
	return fmt.Sprintf("understudy: replica %s %s", e.Replica, e.What)
}

// RecoveryClass is that of the failure which the other replica has seen.
func (e *SharedError) RecoveryClass() Class { return e.Class }

// Share begins to share, and waits for nothing. Each replica shares the same things, under
// the same names: a Breaker and a Ladder need one. The error is a [ConfigError], and
// then nothing of parts is shared. What is shared stays so until Close.
func (f *Fleet) Share(parts ...Shareable) error {
	if err := f.Validate(); err != nil {
		return err
	}
	var p problems
	for _, part := range parts {
		if v, ok := part.(interface{ Validate() error }); ok && !isNil(part) {
			p.also(v.Validate())
		} else {
			p.add("Fleet.Share", "is given nil", "leave it out")
		}
	}
	if err := p.err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return &ConfigError{Setting: "Fleet.Share", Problem: "comes after Close", Fix: "make a new Fleet"}
	}
	f.begin()
	for i, part := range parts {
		if err := part.shareIn(f); err != nil {
			for _, taken := range parts[:i] {
				f.drop(taken)
			}
			return err
		}
	}
	f.run()
	f.nudge()
	return nil
}

func isNil(part Shareable) bool {
	switch p := part.(type) {
	case *Breaker:
		return p == nil
	case *Budget:
		return p == nil
	case *Ladder:
		return p == nil
	case *Pace:
		return p == nil
	}
	return true
}

// begin makes what the parts need, once; f.mu is held.
func (f *Fleet) begin() {
	if f.began {
		return
	}
	f.began = true
	var digits [6]byte
	_, _ = rand.Read(digits[:])
	f.id = strings.TrimPrefix(f.Replica+"."+hex.EncodeToString(digits[:]), ".")
	f.base = time.Now()
	f.awayAt = f.base
	f.prefix = "understudy/fleet/v1/" + escaped(f.Name) + "/"
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.wake = make(chan struct{}, 1)
	f.breakers, f.ladders = map[string]*breakerShare{}, map[string]*ladderShare{}
	f.living.Store(1)
	f.away.Store(true) // until it is reached
	f.deaf = true
}

// run starts the goroutines, once something is shared; f.mu is held.
func (f *Fleet) run() {
	if f.runs {
		return
	}
	f.runs = true
	f.running.Add(1)
	go func() {
		defer f.running.Done()
		(&fleetOwner{f: f, tokens: opsBurst, pause: leastAway}).run()
	}()
}

// Close tells the others that this replica is gone, if that takes no longer than a
// second, and ends what runs. What was shared goes on by itself; budgets and paces keep
// the share that they had. Do not call it from a listener.
func (f *Fleet) Close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	began := f.began && !f.closed
	f.closed = true
	f.mu.Unlock()
	if !began {
		return nil
	}
	f.cancel()
	f.running.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.breakers {
		s.b.shared.Store(nil)
	}
	for _, s := range f.ladders {
		s.stop()
	}
	return nil
}

// drop takes back what Share has begun; f.mu is held.
func (f *Fleet) drop(part Shareable) {
	switch p := part.(type) {
	case *Breaker:
		p = p.Itself()
		delete(f.breakers, p.Name)
		p.shared.Store(nil)
	case *Ladder:
		p = p.Itself()
		f.ladders[p.Name].stop()
		delete(f.ladders, p.Name)
	case divider:
		f.dividers = f.dividers[:len(f.dividers)-1]
		p.divide(1)
	}
}

// Watch calls listener after every change, in order and outside of every lock. stop
// ends it. A listener may take its time, but no longer: what others tell is applied by
// the same goroutine.
func (f *Fleet) Watch(listener func(FleetChange)) (stop func()) {
	if f == nil {
		return func() {}
	}
	return f.changes.watch(listener)
}

// Health returns how the fleet looks from here.
func (f *Fleet) Health() FleetHealth {
	if f == nil {
		return FleetHealth{Replicas: 1, Away: true}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	h := FleetHealth{Replica: f.id, Replicas: int(max(f.living.Load(), 1)), Away: f.away.Load() || !f.began, Since: f.awayAt, Err: f.awayErr, Skipped: f.skipped}
	for _, s := range f.breakers {
		if s.unpublished() {
			h.Unpublished++
		}
	}
	for _, s := range f.ladders {
		if s.unpublished() {
			h.Unpublished++
		}
	}
	return h
}

// Validate says what is missing.
func (f *Fleet) Validate() error {
	if f == nil {
		return &ConfigError{Setting: "Fleet", Problem: "is nil", Fix: "make one with a Store and a Name, or leave Share out"}
	}
	var p problems
	if f.Store == nil {
		p.add("Fleet.Store", "is nil", "give it a store that all replicas reach, such as nats.Open's")
	}
	if f.Name == "" {
		p.add("Fleet.Name", "is empty", "give it a name that all replicas of this program share")
	}
	p.also(shareable("Fleet.Name", f.Name))
	p.also(shareable("Fleet.Replica", f.Replica))
	return p.err()
}

// mostName keeps the longest key, which has three names, within what a store takes.
const mostName = 120

// shareable says what is wrong with a name that is to be part of a key.
func shareable(setting, name string) error {
	if !utf8.ValidString(name) {
		return &ConfigError{Setting: setting, Problem: fmt.Sprintf("is no valid UTF-8 (%.40q)", name), Fix: "use plain text"}
	}
	if len(escaped(name)) > mostName {
		return &ConfigError{Setting: setting, Problem: fmt.Sprintf("is too long for a key (%d bytes)", len(escaped(name))), Fix: fmt.Sprintf("use at most %d bytes", mostName)}
	}
	return nil
}

// escaped makes a name one part of a key.
func escaped(name string) string {
	return strings.NewReplacer("%", "%25", "/", "%2F").Replace(name)
}

// nudge wakes the owner. It never waits.
func (f *Fleet) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// tell queues what has happened to the fleet; whoever called delivers it later, without
// a lock.
func (f *Fleet) tell(kind FleetKind, err error) {
	f.changes.add(FleetChange{Kind: kind, At: time.Now(), Replicas: int(f.living.Load()), Err: err})
}

// The times of a fleet. A moment is nanoseconds since base on this machine's monotonic
// clock; a stamp is microseconds since 1970 by the store's clock.

func (f *Fleet) moment() int64 { return int64(time.Since(f.base)) }

func (f *Fleet) stampOf(moment int64) int64 {
	return f.base.UnixMicro() + (moment+f.ahead.Load())/int64(time.Microsecond)
}

// momentOf turns a stamp into a moment, within bounds in which a sum stays a time.
func (f *Fleet) momentOf(stamp int64) int64 {
	us := stamp - f.base.UnixMicro()
	const most = int64(longestWindow / time.Microsecond)
	return min(max(us, -most), most)*int64(time.Microsecond) - f.ahead.Load()
}
