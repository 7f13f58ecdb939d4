package strategies

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// fleetOwner is the goroutine that speaks to the store. All its times are moments.
type fleetOwner struct {
	f       *Fleet
	follows bool

	tokens float64 // operations that may be made at once
	filled int64

	pause   time.Duration // after an operation without an answer
	silent  int64         // nothing is asked before
	clockAt int64
	beatAt  int64
	countAt int64
	counted bool // this replica has said that it is there
	next    int64
}

const (
	opPatience = time.Second
	opsBurst   = 5.0
	opsRate    = 4.0 // a second
	voteSpare  = 2.5
	factSpare  = -10.0 // facts wait for nobody, unless they never end
	leastAway  = 100 * time.Millisecond
	mostAway   = 5 * time.Second

	beatEvery  = 15 * time.Second
	beatLives  = 45 * time.Second
	countEvery = 30 * time.Second
	clockEvery = 2 * time.Minute
	mostRest   = 15 * time.Second
)

var (
	errLater    = errors.New("not now")
	errNoAnswer = errors.New("understudy: the store's watch has ended")
)

func (o *fleetOwner) run() {
	f := o.f
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer o.leave()
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-f.wake:
		case <-timer.C:
		}
		timer.Reset(o.work())
		f.deliver()
	}
}

// work does what is due, and returns when to come back at the latest.
func (o *fleetOwner) work() time.Duration {
	now := o.f.moment()
	o.next = now + int64(mostRest)
	if now < o.silent {
		return time.Duration(o.silent - now)
	}
	err := o.all()
	now = o.f.moment()
	switch {
	case o.f.ctx.Err() != nil || errors.Is(err, errLater):
	case err != nil:
		o.pause = min(2*o.pause, mostAway)
		o.silent = now + int64(o.pause/2) + rand.Int64N(int64(o.pause/2)+1)
		return time.Duration(o.silent - now)
	default:
		o.pause = leastAway / 2
	}
	return time.Duration(max(o.next-now, int64(time.Millisecond)))
}

// due says whether a moment has come, and otherwise remembers it.
func (o *fleetOwner) due(at int64) bool {
	if at <= o.f.moment() {
		return true
	}
	o.next = min(o.next, at)
	return false
}

// all is what there is to do, the most urgent first. errLater: the rest would be too
// many operations.
func (o *fleetOwner) all() error {
	f := o.f
	if o.due(o.clockAt) {
		if err := o.clock(); err != nil {
			return err
		}
	}
	if !o.follows {
		o.follows = true
		f.running.Add(1)
		go func() {
			defer f.running.Done()
			f.follow()
		}()
	}
	breakers, ladders, recount := f.parts()
	if recount {
		o.countAt = min(o.countAt, f.moment()+rand.Int64N(int64(2*time.Second)*f.crowd()))
	}
	var later error
	try := func(err error) error {
		if errors.Is(err, errLater) {
			later, err = err, nil
		}
		return err
	}
	for _, s := range breakers {
		if err := try(o.tellFacts(s)); err != nil {
			return err
		}
	}
	for _, s := range ladders {
		if err := try(o.tellLevel(s)); err != nil {
			return err
		}
	}
	for _, task := range []func(*breakerShare) error{o.seeToLease, o.tellWell, o.tellVote} {
		for _, s := range breakers {
			if err := try(task(s)); err != nil {
				return err
			}
		}
	}
	return cmp.Or(o.live(), later)
}

// parts is what is shared, and whether somebody has come or gone since.
func (f *Fleet) parts() (breakers []*breakerShare, ladders []*ladderShare, recount bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	recount, f.recount = f.recount, false
	return slices.Collect(maps.Values(f.breakers)), slices.Collect(maps.Values(f.ladders)), recount
}

// op makes one operation. What does not answer counts toward the store being away.
func (o *fleetOwner) op(call func(ctx context.Context) error) error {
	f := o.f
	o.refill()
	o.tokens--
	ctx, cancel := context.WithTimeout(f.ctx, opPatience)
	defer cancel()
	err := guarded(func() error { return call(ctx) })
	slow := ctx.Err() != nil
	switch {
	case f.ctx.Err() != nil:
	case err == nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrConfig):
		f.answered(nil, 0)
	case slow:
		f.answered(err, silences)
	default:
		f.answered(err, 1)
	}
	return err
}

// guarded runs what is somebody else's.
func guarded(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("understudy: the store has panicked: %v: %w", p, ErrUnavailable)
		}
	}()
	return call()
}

func (o *fleetOwner) refill() {
	now := o.f.moment()
	o.tokens = min(opsBurst, o.tokens+opsRate*time.Duration(now-o.filled).Seconds())
	o.filled = now
}

// spare says whether so many operations are left, for what can wait.
func (o *fleetOwner) spare(n float64) error {
	o.refill()
	if o.tokens >= n {
		return nil
	}
	o.due(o.f.moment() + int64((n-o.tokens)/opsRate*float64(time.Second)) + 1)
	return errLater
}

// clock asks for the store's time.
func (o *fleetOwner) clock() error {
	f := o.f
	var now time.Time
	asked := f.moment()
	err := o.op(func(ctx context.Context) (err error) {
		now, err = f.Store.Now(ctx)
		return err
	})
	if err != nil {
		return err
	}
	at := asked + (f.moment()-asked)/2
	if bound := 100 * longestWindow; now.Sub(f.base) > bound || f.base.Sub(now) > bound {
		f.skip(fmt.Errorf("understudy: the store's clock says %v", now))
	} else {
		f.ahead.Store(int64(now.Sub(f.base)) - at)
	}
	o.clockAt = f.moment() + int64(clockEvery)
	return nil
}

// settle brings a record to what next makes of it, against all who write it too. read is
// given what is there, if it is not what was known.
func (o *fleetOwner) settle(key string, next func() (value any, ttl time.Duration, revision uint64, ok bool), read func(r Record) error) (r Record, err error) {
	for range 8 {
		value, ttl, revision, ok := next()
		if !ok {
			return r, nil
		}
		data, err := json.Marshal(value)
		if err != nil {
			return r, err
		}
		err = o.op(func(ctx context.Context) (err error) {
			r, err = o.f.Store.Put(ctx, Write{Key: key, Value: data, Revision: revision, TTL: ttl})
			return err
		})
		if !errors.Is(err, ErrConflict) {
			return r, err
		}
		if err := o.read(key, read); err != nil {
			return r, err
		}
	}
	return r, errLater
}

// read reads a record; the zero record is none.
func (o *fleetOwner) read(key string, read func(r Record) error) error {
	var r Record
	err := o.op(func(ctx context.Context) (err error) {
		r, err = o.f.Store.Get(ctx, key)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return read(Record{Key: key})
	}
	if err != nil {
		return err
	}
	return read(r)
}

func (o *fleetOwner) tellFacts(s *breakerShare) error {
	f := o.f
	if !s.unpublished() {
		return nil
	}
	if err := o.spare(factSpare); err != nil {
		return err
	}
	r, err := o.settle(s.keys.facts, func() (any, time.Duration, uint64, bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stamp()
		facts := s.facts
		return facts, facts.ttl(f.stampOf(f.moment())), s.revision, facts != s.stored
	}, s.reread)
	if err == nil && r.Revision != 0 {
		s.mu.Lock()
		var told breakerFacts
		if json.Unmarshal(r.Value, &told) == nil && r.Revision > s.revision {
			s.stored, s.revision = told, r.Revision
		}
		s.mu.Unlock()
	}
	return o.lost(err)
}

// reread takes what the store has now. A record that cannot be read is replaced: it is
// under our key.
func (s *breakerShare) reread(r Record) error {
	if r.Revision == 0 {
		s.mu.Lock()
		s.stored, s.revision = breakerFacts{}, 0
		s.mu.Unlock()
		return nil
	}
	if err := s.learn(r); err != nil {
		s.f.skip(err)
		s.mu.Lock()
		s.revision = r.Revision
		s.mu.Unlock()
	}
	return nil
}

// lost lets go of what the store will never take.
func (o *fleetOwner) lost(err error) error {
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrConfig) {
		o.f.skip(err)
		return nil
	}
	return err
}

func (o *fleetOwner) put(key string, value any, ttl time.Duration) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return o.lost(o.op(func(ctx context.Context) error {
		_, err := o.f.Store.Put(ctx, Write{Key: key, Value: data, Revision: AnyRevision, TTL: ttl})
		return err
	}))
}

func (o *fleetOwner) tellVote(s *breakerShare) error {
	s.mu.Lock()
	told, from, at := s.vote && s.own > 0, s.voteFrom, o.f.stampOf(s.failedAt)
	v := voteFact{when{at, o.f.id}, s.own}
	s.mu.Unlock()
	if !told || !o.due(from) {
		return nil
	}
	if err := o.spare(voteSpare); err != nil { // a replica that may accuse can take it back
		return err
	}
	if err := o.put(s.keys.vote, v, voteLives); err != nil {
		return err
	}
	s.mu.Lock()
	if s.own == v.Failures {
		s.vote = false
	}
	s.voted = at
	s.mu.Unlock()
	return nil
}

func (o *fleetOwner) tellWell(s *breakerShare) error {
	s.mu.Lock()
	deny := s.deny
	s.mu.Unlock()
	if deny == 0 {
		return nil
	}
	if err := o.spare(1); err != nil {
		return err
	}
	if err := o.put(s.keys.well, when{o.f.stampOf(deny), o.f.id}, voteLives); err != nil {
		return err
	}
	s.mu.Lock()
	if s.deny == deny {
		s.deny = 0
	}
	s.mu.Unlock()
	return nil
}

// live says that this replica is alive, and counts those who are.
func (o *fleetOwner) live() error {
	f := o.f
	alive := f.prefix + "alive/"
	if o.due(o.beatAt) {
		if err := o.spare(1); err != nil {
			return err
		}
		if err := o.put(alive+escaped(f.id), when{f.stampOf(f.moment()), f.id}, beatLives); err != nil {
			return err
		}
		o.beatAt = f.moment() + int64(beatEvery)
		o.due(o.beatAt)
		if !o.counted {
			o.counted = true
			if err := o.put(f.prefix+"w/members", when{f.stampOf(f.moment()), f.id}, voteLives); err != nil {
				return err
			}
		}
	}
	if o.due(o.countAt) {
		if err := o.spare(1); err != nil {
			return err
		}
		var all []Record
		err := o.op(func(ctx context.Context) (err error) {
			all, err = f.Store.List(ctx, alive)
			return err
		})
		if err != nil {
			return err
		}
		o.countAt = f.moment() + f.crowd()*(int64(countEvery)-rand.Int64N(int64(countEvery/8)))
		o.due(o.countAt)
		f.count(len(all))
	}
	return nil
}

// crowd is how many times more seldom the replicas of a large fleet count it: all lists
// together are as long as their number squared.
func (f *Fleet) crowd() int64 { return min(max(f.living.Load()/100, 1), 10) }

// leave says that this replica is gone.
func (o *fleetOwner) leave() {
	f := o.f
	if f.away.Load() || !o.counted {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), opPatience)
	defer cancel()
	_ = guarded(func() error { return f.Store.Delete(ctx, f.prefix+"alive/"+escaped(f.id), AnyRevision) })
	breakers, _, _ := f.parts()
	for _, s := range breakers {
		s.mu.Lock()
		revision := s.lease.revision
		s.mu.Unlock()
		if revision != 0 {
			_ = guarded(func() error { return f.Store.Delete(ctx, s.keys.trial, revision) })
		}
	}
	data, _ := json.Marshal(when{f.stampOf(f.moment()), f.id})
	_ = guarded(func() error {
		_, err := f.Store.Put(ctx, Write{Key: f.prefix + "w/members", Value: data, Revision: AnyRevision, TTL: voteLives})
		return err
	})
}
