package strategies

import (
	"context"
	"errors"
	"time"
)

// seeToLease gets, keeps and gives back the right to make trials of a breaker. Calls
// never wait for it: it is got when the open time ends, or a moment before.
func (o *fleetOwner) seeToLease(s *breakerShare) error {
	w := s.b.word.Load()
	s.wanted.Store(false)
	if State(w&stateMask) == StateClosed {
		s.tryUntil.Store(0)
		return o.release(s, true)
	}
	s.mu.Lock()
	l, end := s.lease, s.end
	s.mu.Unlock()
	if l.release {
		return o.release(s, false)
	}
	if l.revision != 0 {
		return o.renew(s, l)
	}
	if s.f.away.Load() || w&isolatedBit != 0 {
		return nil
	}
	if w&heldBit != 0 {
		end = max(end, o.f.moment()+s.b.heldUntil.Load()-s.b.now())
	}
	demand := s.demand.Load()
	switch {
	case l.failed && s.f.living.Load() > 1:
		end += l.calm // a replica that is sick itself must not keep the others out
	case demand:
		end -= int64(min(opPatience*2, s.b.openFor()/10))
	default:
		end += l.calm
	}
	if !o.due(max(end, l.next)) {
		return nil
	}
	if l.other != 0 {
		return o.ask(s, l, demand)
	}
	return o.acquire(s)
}

// ask tells whoever has the lease that there are calls here.
func (o *fleetOwner) ask(s *breakerShare, l breakerLease, demand bool) error {
	if !demand || l.asked == l.other {
		return nil
	}
	if err := o.spare(1); err != nil {
		return err
	}
	if err := o.put(s.keys.want, when{o.f.stampOf(o.f.moment()), o.f.id}, leaseLives); err != nil {
		return err
	}
	s.mu.Lock()
	s.lease.asked = l.other
	s.mu.Unlock()
	return nil
}

func (o *fleetOwner) acquire(s *breakerShare) error {
	if err := o.spare(1); err != nil {
		return err
	}
	f := o.f
	sent := f.moment()
	s.mu.Lock()
	stray := s.lease.stray
	s.mu.Unlock()
	r, err := o.putLease(s, stray)
	if errors.Is(err, ErrConflict) {
		s.mu.Lock()
		s.lease.next = f.moment() + int64(time.Second) // the watch will say whose it is
		s.mu.Unlock()
		o.due(f.moment() + int64(time.Second))
		return nil
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.lease.revision, s.lease.other, s.lease.stray, s.lease.release = r.Revision, 0, 0, false
	s.lease.since = f.moment()
	s.lease.renew = sent + int64(leaseLives/4)
	s.mu.Unlock()
	// Another's trial may have ended a moment ago: its result is there before its lease
	// is gone.
	if err := o.read(s.keys.facts, s.reread); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	early := s.end > f.moment()+int64(2*opPatience)+int64(time.Second)
	if s.lease.release || early || State(s.b.word.Load()&stateMask) == StateClosed {
		s.lease.release = true
		f.nudge()
		return nil
	}
	s.tryUntil.Store(sent + int64(leaseLives-leaseMargin))
	o.due(s.lease.renew)
	return nil
}

func (o *fleetOwner) putLease(s *breakerShare, revision uint64) (r Record, err error) {
	err = o.op(func(ctx context.Context) (err error) {
		r, err = o.f.Store.Put(ctx, Write{Key: s.keys.trial, Value: []byte(`{"by":"` + o.f.id + `"}`), Revision: revision, TTL: leaseLives})
		return err
	})
	return r, err
}

// renew keeps the lease while there is something to try. An answer that is lost is no
// lost lease: the next one says so.
func (o *fleetOwner) renew(s *breakerShare, l breakerLease) error {
	if !o.due(l.renew) {
		return nil
	}
	f := o.f
	sent := f.moment()
	r, err := o.putLease(s, l.revision)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, ErrConflict):
		s.lease.revision = 0
		s.tryUntil.Store(0)
		s.lease.next = f.moment() + int64(time.Second)
		f.nudge()
		return nil
	case err != nil:
		return err
	}
	s.lease.revision, s.lease.renew = r.Revision, sent+int64(leaseLives/4)
	if !s.lease.release {
		s.tryUntil.Store(sent + int64(leaseLives-leaseMargin))
	}
	o.due(s.lease.renew)
	return nil
}

// release gives the lease back, after the result was told.
func (o *fleetOwner) release(s *breakerShare, closed bool) error {
	s.mu.Lock()
	revision := s.lease.revision
	if s.lease.release = false; closed {
		s.lease.failed = false
	}
	s.mu.Unlock()
	if revision == 0 {
		return nil
	}
	err := o.op(func(ctx context.Context) error { return o.f.Store.Delete(ctx, s.keys.trial, revision) })
	if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
		s.mu.Lock()
		s.lease.release = true
		s.mu.Unlock()
		return err
	}
	s.mu.Lock()
	s.lease.revision = 0
	s.mu.Unlock()
	return nil
}
