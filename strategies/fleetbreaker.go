package strategies

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// breakerShare is what a fleet knows about one breaker. What calls read are the
// atomics; the rest is behind a lock that is held for an instant, with nothing called
// under it.
type breakerShare struct {
	f    *Fleet
	b    *Breaker
	keys breakerKeys

	tryUntil  atomic.Int64 // moment: with the lease, trials may begin before it; 0: no lease
	notBefore atomic.Int64 // moment: a trial has failed, and nobody tries before
	demand    atomic.Bool  // calls have been refused since it opened
	wanted    atomic.Bool  // a call could have been a trial

	applying sync.Mutex // one goroutine at a time brings the breaker up to the facts

	mu       sync.Mutex
	order    int64
	news     breakerNews  // what has happened here and has no stamp yet
	facts    breakerFacts // what stands, as far as is known here
	stored   breakerFacts // what the store had when it was read last
	revision uint64       // of that
	openedAt int64        // moment
	end      int64        // moment: of the open time, as it began

	votes    map[string]voteFact // of others
	well     int64               // stamp: votes before are void, for somebody has succeeded
	own      int                 // failures in a row, in the whole fleet's row
	failedAt int64               // moment of the last of them
	vote     bool                // to be told
	voted    int64               // stamp of the last vote that was told
	voteFrom int64               // moment: it is not told before
	wolf     int                 // votes in a row that a success has followed
	deny     int64               // moment of a success that is to be told; 0: none

	lease breakerLease
}

type breakerKeys struct{ facts, vote, well, trial, want string }

// breakerLease is the right to make trials.
type breakerLease struct {
	revision uint64 // 0: it is not ours
	renew    int64  // moment
	release  bool
	since    int64  // moment: ours since then
	other    uint64 // revision of somebody else's
	stray    uint64 // revision of a record that is nobody's, and would stay for ever
	asked    uint64 // the other's revision that was asked for
	failed   bool   // the last trial was ours, and failed
	next     int64  // moment: it is not asked for before
	calm     int64  // how much later one without calls asks for it
}

// breakerNews is the last of each fact that has not been told: an outage of the store
// fills no memory.
type breakerNews struct {
	hold            *newsItem
	isolated, reset *newsItem
	trial           *newsItem
}

type newsItem struct {
	at     int64 // moment
	order  int64 // of two at one moment
	seen   int64 // stamp of what was known then: it is later than that
	until  int64 // moment
	class  Class
	ok     bool
	streak int64
}

const (
	mostVotes   = 4096
	voteLives   = 10 * time.Minute
	holdSlack   = int64(100 * time.Millisecond) // a hold that is longer by less is no news
	leaseLives  = 20 * time.Second
	leaseMargin = 5 * time.Second // a trial that begins later may outlive the lease
	trialAgain  = time.Second     // when it makes sense to ask again
	firstWolf   = 50 * time.Millisecond
	mostWolf    = 2 * time.Second
)

func (b *Breaker) shareIn(f *Fleet) error {
	b = b.Itself()
	if b.Name == "" {
		return &ConfigError{Setting: "Breaker.Name", Problem: "is empty, so the replicas could not tell whose it is", Fix: "name it after its upstream"}
	}
	if err := shareable("Breaker.Name", b.Name); err != nil {
		return err
	}
	if f.breakers[b.Name] != nil {
		return &ConfigError{Setting: "Breaker.Name", Problem: fmt.Sprintf("%q is shared already", b.Name), Fix: "give each breaker its own name"}
	}
	if err := b.init(); err != nil {
		return err
	}
	s := &breakerShare{f: f, b: b, votes: map[string]voteFact{}}
	name := escaped(b.Name)
	key := func(kind string) string { return f.prefix + "w/" + kind + "/" + name }
	s.keys = breakerKeys{key("facts"), key("vote") + "/" + escaped(f.id), key("well"), key("trial"), key("want")}
	if !b.shared.CompareAndSwap(nil, s) {
		return &ConfigError{Setting: "Fleet.Share", Problem: fmt.Sprintf("is given breaker %q, which another fleet shares", b.Name), Fix: "share it in one fleet"}
	}
	f.breakers[b.Name] = s
	s.begin()
	return nil
}

// begin tells what has happened before it was shared.
func (s *breakerShare) begin() {
	b := s.b
	w := b.word.Load()
	if State(w&stateMask) != StateClosed {
		s.opened()
	}
	if w&isolatedBit != 0 {
		s.isolatedHere()
	}
	if left := time.Duration(b.heldUntil.Load() - b.now()); w&heldBit != 0 && left > 0 {
		s.heldHere(left, *b.holdCause.Load())
	}
}

// What happens here. These are called by the breaker, some of them under its locks.

func (s *breakerShare) note(which func(n *breakerNews) **newsItem, item newsItem) {
	item.at = s.f.moment()
	s.mu.Lock()
	item.seen = s.facts.last()
	s.order++
	item.order = s.order
	*which(&s.news) = &item
	s.mu.Unlock()
	s.f.nudge()
}

func (s *breakerShare) heldHere(d time.Duration, cause error) {
	until := after(s.f.moment(), d)
	class := (&Classifier{}).Classify(cause).Class
	s.mu.Lock()
	told := s.facts.Hold.At != 0 && until <= s.f.momentOf(s.facts.Hold.Until)+holdSlack ||
		s.news.hold != nil && until <= s.news.hold.until+holdSlack
	s.mu.Unlock()
	if !told {
		s.note(func(n *breakerNews) **newsItem { return &n.hold }, newsItem{until: until, class: class})
	}
}

func (s *breakerShare) isolatedHere() {
	s.note(func(n *breakerNews) **newsItem { return &n.isolated }, newsItem{})
}

func (s *breakerShare) resetHere() {
	s.mu.Lock()
	s.news.hold = nil // it is over
	s.own, s.vote = 0, false
	s.mu.Unlock()
	s.notBefore.Store(0)
	s.note(func(n *breakerNews) **newsItem { return &n.reset }, newsItem{})
}

// opened: the breaker opens, whoever's failures it was.
func (s *breakerShare) opened() {
	s.demand.Store(false)
	s.wanted.Store(false)
	now, left := s.f.moment(), s.b.openUntil.Load()-s.b.now()
	s.mu.Lock()
	s.openedAt, s.end = now, after(now, time.Duration(left))
	s.wolf = 0
	s.lease.next = 0
	s.lease.calm = int64(time.Second) + rand.Int64N(int64(time.Second))
	s.mu.Unlock()
	s.f.nudge()
}

// tried: a trial of ours has ended, or a person's.
func (s *breakerShare) tried(ok bool, openFor time.Duration, streak int64) {
	s.tryUntil.Store(0)
	until := int64(0)
	s.mu.Lock()
	s.lease.release = true
	s.lease.failed = !ok
	s.own, s.vote = 0, false
	s.mu.Unlock()
	if !ok {
		until = after(s.f.moment(), openFor)
	} else {
		s.notBefore.Store(0)
	}
	s.note(func(n *breakerNews) **newsItem { return &n.trial }, newsItem{ok: ok, until: until, streak: streak})
}

// settled: a call of a closed breaker was booked, and was no routine success.
func (s *breakerShare) settled(ok bool) {
	now := s.f.moment()
	s.mu.Lock()
	if ok {
		s.succeeded(now)
		s.mu.Unlock()
		return
	}
	s.own++
	s.failedAt = now
	if !s.vote {
		s.vote, s.voteFrom = true, now
		if s.wolf > 0 && s.own == 1 {
			s.voteFrom += int64(min(firstWolf<<min(s.wolf-1, 10), mostWolf))
		}
	}
	trip := s.enough()
	s.mu.Unlock()
	if trip {
		s.trip() // who has booked it delivers the change
	}
	s.f.nudge()
}

// succeeded: what was said against the agent is void. s.mu is held.
func (s *breakerShare) succeeded(now int64) {
	s.own, s.vote = 0, false
	stamp := s.f.stampOf(now)
	if s.voted > s.well {
		s.wolf++
	}
	if _, live := s.suspected(); live || s.voted > s.well {
		s.well, s.deny = stamp, now
		s.f.nudge()
	}
}

// suspected is how often others have failed. The one that has most often counts for no
// more than the next: it may be sick itself. live: somebody has. s.mu is held.
func (s *breakerShare) suspected() (failures int, live bool) {
	sum, most, next := 0, 0, 0
	void := s.void()
	for _, v := range s.votes {
		if v.At > void {
			n := min(v.Failures, s.b.threshold())
			sum += n
			most, next = max(most, n), max(next, min(most, n))
		}
	}
	return sum - most + next, sum > 0
}

// void is the stamp before which votes say nothing.
func (s *breakerShare) void() int64 {
	void := max(s.well, s.facts.Reset.At)
	if s.facts.Trial.OK {
		void = max(void, s.facts.Trial.At)
	}
	return void
}

// enough says whether the failures of others, with our own, open the breaker. s.mu is
// held.
func (s *breakerShare) enough() bool {
	if s.f.away.Load() || State(s.b.word.Load()&stateMask) != StateClosed {
		return false
	}
	others, _ := s.suspected()
	return others > 0 && s.own+others >= s.b.threshold()
}

func (s *breakerShare) trip() {
	b := s.b
	gen := generation(b.word.Load())
	err := error(&SharedError{What: "several replicas have run into failures, and nobody into an answer", Class: ClassTransient})
	b.failed(err)
	b.engine.Load().trip(gen, err)
}

// threshold is how many failures open the breaker, at least.
func (b *Breaker) threshold() int {
	if b.conf().Window > 0 {
		return max(1, int(b.ratio()*float64(b.minCalls())+0.999))
	}
	return b.failures()
}

// mayTry says whether a call may be a trial, and otherwise when to ask again.
func (s *breakerShare) mayTry() (ok bool, left time.Duration) {
	now := s.f.moment()
	if wait := s.notBefore.Load() - now; wait > 0 {
		return false, time.Duration(wait)
	}
	if s.f.away.Load() || now < s.tryUntil.Load() {
		return true, 0
	}
	return false, trialAgain
}

// want says that a call would have been a trial.
func (s *breakerShare) want() {
	s.demand.Store(true)
	if !s.wanted.Swap(true) {
		s.f.nudge()
	}
}
