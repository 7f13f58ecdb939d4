package strategies

import (
	"errors"
	"fmt"
	"time"
)

// What others tell.

// stamp gives what has happened here its time by the store's clock. s.mu is held, and
// the clock is known.
func (s *breakerShare) stamp() {
	n := s.news
	if n == (breakerNews{}) {
		return
	}
	s.news = breakerNews{}
	at := func(i *newsItem) when { return when{max(s.f.stampOf(i.at), i.seen+1), s.f.id} }
	var mine breakerFacts
	if n.hold != nil {
		mine.Hold = holdFact{at(n.hold), s.f.stampOf(n.hold.until), n.hold.class.String()}
	}
	if n.isolated != nil {
		mine.Isolated = at(n.isolated)
	}
	if n.reset != nil {
		mine.Reset = at(n.reset)
		if n.hold != nil { // a reset forgets those before it
			mine.Hold.At = max(mine.Hold.At, mine.Reset.At+1)
		}
		switch {
		case n.isolated == nil:
		case n.isolated.order > n.reset.order:
			mine.Isolated.At = max(mine.Isolated.At, mine.Reset.At+1)
		default:
			mine.Reset.At = max(mine.Reset.At, mine.Isolated.At)
		}
	}
	if n.trial != nil {
		mine.Trial = trialFact{when: at(n.trial), OK: n.trial.ok, Streak: n.trial.streak}
		if !n.trial.ok {
			mine.Trial.Until = s.f.stampOf(n.trial.until)
		}
	}
	s.facts = s.facts.merged(mine)
}

func (s *breakerShare) unpublished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.news != (breakerNews{}) || s.facts != s.stored
}

// learn reads the record of facts, and brings the breaker up to it.
func (s *breakerShare) learn(r Record) error {
	told, err := parse[breakerFacts](r, s.f.latest())
	if err != nil {
		return err
	}
	s.applying.Lock()
	s.mu.Lock()
	s.stamp()
	if r.Revision >= s.revision {
		s.stored, s.revision = told, r.Revision
	}
	was := s.facts
	s.facts = was.merged(told)
	is := s.facts
	openedAt := s.openedAt
	s.mu.Unlock()
	s.apply(was, is, openedAt)
	s.applying.Unlock()
	if is != told {
		s.f.nudge()
	}
	s.b.changes.deliver()
	return nil
}

// apply brings the breaker from what was known to what is. s.applying is held.
func (s *breakerShare) apply(was, is breakerFacts, openedAt int64) {
	f, b := s.f, s.b
	hold := is.Hold != was.Hold && is.Hold.By != f.id
	if is.Reset != was.Reset && is.Reset.By != f.id {
		if at := f.momentOf(is.Reset.At); at > 0 && at >= openedAt { // before, this process knew nothing
			s.notBefore.Store(0)
			s.mu.Lock()
			s.own, s.vote = 0, false
			s.mu.Unlock()
			b.reset()
			hold = true
		}
	}
	if isolated := b.word.Load()&isolatedBit != 0; isolated != is.isolated() {
		bit := uint64(0)
		if is.isolated() {
			bit = isolatedBit
		}
		b.isolate(bit)
	}
	if hold && is.Hold.At != 0 {
		class := is.Hold.class()
		most := orDefault(b.conf().MaxHold, time.Hour)
		if class == ClassQuotaExhausted {
			most = max(most, mostQuotaReset)
		}
		if left := min(time.Duration(f.momentOf(is.Hold.Until)-f.moment()), most); left > 0 {
			b.holdFor(left, WithClass(class, &SharedError{Replica: is.Hold.By, What: "was told to wait", Class: class}))
		}
	}
	if is.Trial != was.Trial && is.Trial.By != f.id {
		s.follow(is.Trial, openedAt)
	}
}

// follow takes the result of another's trial for ours.
func (s *breakerShare) follow(t trialFact, openedAt int64) {
	f, b := s.f, s.b
	if State(b.word.Load()&stateMask) == StateClosed {
		return
	}
	if t.OK {
		if f.momentOf(t.At) >= openedAt {
			s.notBefore.Store(0)
			b.shut()
			s.mu.Lock()
			s.own, s.vote = 0, false
			s.lease.release, s.lease.failed = true, false
			s.mu.Unlock()
			s.tryUntil.Store(0)
		}
		return
	}
	left := min(time.Duration(f.momentOf(t.Until)-f.moment()), scale(b.maxOpenFor(), 2))
	if left <= 0 {
		return
	}
	until := after(f.moment(), left)
	s.notBefore.Store(max(s.notBefore.Load(), until))
	s.mu.Lock()
	s.end = max(s.end, until)
	s.lease.failed = false // somebody else's turn it was
	s.mu.Unlock()
	b.prolong(left, t.Streak)
	s.demand.Store(false)
	s.wanted.Store(false)
}

// prolong lets an open breaker stay so for left, as one whose trials have failed so
// often.
func (b *Breaker) prolong(left time.Duration, streak int64) {
	b.changing.Lock()
	defer b.changing.Unlock()
	if State(b.word.Load()&stateMask) != StateOpen {
		return
	}
	b.openUntil.Store(max(b.openUntil.Load(), after(b.now(), left)))
	b.streak.Store(max(b.streak.Load(), min(streak, 64)))
	b.wasOpenFor.Store(max(b.wasOpenFor.Load(), int64(left)))
}

var errSuspected = errors.New("understudy: another replica has run into a failure")

// hearVote takes note of another's failures.
func (s *breakerShare) hearVote(by string, v voteFact) {
	s.mu.Lock()
	if _, known := s.votes[by]; !known && len(s.votes) >= mostVotes {
		s.mu.Unlock()
		return
	}
	s.votes[by] = v
	fresh := v.At > s.void()
	trip := fresh && s.enough()
	s.mu.Unlock()
	w := s.b.word.Load()
	if fresh && State(w&stateMask) == StateClosed && w&stampMask == 0 {
		s.b.stamp(w, errSuspected) // the next success is recorded, and said
	}
	if trip {
		s.trip()
		s.b.changes.deliver()
	}
}

func (s *breakerShare) dropVote(by string) {
	s.mu.Lock()
	delete(s.votes, by)
	s.mu.Unlock()
}

// hearWell takes note of somebody's success: all begin to count anew.
func (s *breakerShare) hearWell(w when) {
	s.mu.Lock()
	s.well = max(s.well, w.At)
	if s.failedAt <= s.f.momentOf(w.At) {
		s.own, s.vote = 0, false
	}
	s.mu.Unlock()
}

// hearLease takes note of whose the trial is. A lease that never ends is none.
func (s *breakerShare) hearLease(r Record, gone bool) (err error) {
	s.mu.Lock()
	switch {
	case gone:
		s.lease.other, s.lease.stray = 0, 0
	case r.Expires.IsZero():
		s.lease.stray = r.Revision
		err = fmt.Errorf("understudy: record %.200q %w: a lease that never ends", r.Key, errRecord)
	case r.Revision != s.lease.revision:
		s.lease.other = r.Revision
	}
	s.mu.Unlock()
	s.f.nudge()
	return err
}

// hearWant gives the lease to who has calls, if there are none here: a call that comes
// in any case would have come by now.
func (s *breakerShare) hearWant() {
	now := s.f.moment()
	s.mu.Lock()
	if l := &s.lease; l.revision != 0 && now-l.since > int64(trialAgain)/2 {
		until := s.tryUntil.Swap(0)
		if s.b.trials.busy(generation(s.b.word.Load())) {
			s.tryUntil.CompareAndSwap(0, until)
		} else {
			l.release, l.next = true, now+int64(trialAgain)
		}
	}
	s.mu.Unlock()
	s.f.nudge()
}

// weigh looks again at what was heard while the store was away.
func (s *breakerShare) weigh() {
	s.mu.Lock()
	trip := s.enough()
	s.mu.Unlock()
	if trip {
		s.trip()
		s.b.changes.deliver()
	}
}
