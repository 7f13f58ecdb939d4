package strategies

import "time"

// Permit is leave to make one call. Exactly one of its methods must be called
// when the call has ended, however it ended. Those of the zero Permit, which is
// none, do nothing.
type Permit struct {
	breaker *Breaker
	gen     uint64
	special *special // nil: of a closed breaker, as nearly all are
}

// special is what is seldom about a permit. It is one pointer, since a permit of
// three words stays in registers.
type special struct {
	trial  *trial
	ramp   *ramp // of a slow start, whose place it has
	forced bool  // a person wants it made
}

// Success books that the call succeeded.
func (p *Permit) Success() {
	b := p.breaker
	if s := p.special; s != nil && s.trial == nil {
		p.seldom(nil)
		return
	}
	if b == nil {
		return
	}
	w := b.word.Load()
	if w&(closedMask|stampMask) == readyBit && generation(w) == p.gen {
		good := b.good.Load()
		if good == nil {
			return // clean before, clean after: nothing to record
		}
		// A window counts every success; none can change a closed state.
		if good.gen == p.gen {
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
	if s := p.special; s != nil && s.trial == nil {
		p.seldom(err)
		return
	}
	p.breaker.settle(p, err)
}

// seldom books a call of a slow start, or one that a person wanted made.
func (p *Permit) seldom(err error) {
	b, r := p.breaker, p.special.ramp
	if p.special.forced {
		if p.special = nil; err != nil {
			b.failed(err)
		} else {
			b.revive()
		}
		b.changes.deliver()
		return
	}
	p.special = nil
	if r.end(err == nil) {
		b.endRamp(r)
	}
	b.settle(p, err)
}

// Slow books that the call was answered, and too late for its agent to be well:
// it counts as a failure.
func (p *Permit) Slow(err error) { p.Failure(err) }

// Expired books that the caller's own deadline ended the attempt, which had a fair
// time: once is nothing, but an agent that never answers in its callers' time is
// down for all of them. From twice Failures in a row on, with no success between,
// each counts as a failure; of a trial the first one does.
func (p *Permit) Expired(err error) {
	b := p.breaker
	if p.trial() != nil {
		p.Failure(err)
		return
	}
	if b == nil {
		return
	}
	if b.suspicion.Add(1) > int64(b.failures()) {
		p.Failure(err)
		return
	}
	b.stamp(b.word.Load(), err) // the next success is recorded, and clears the suspicion
	p.Neutral()
}

// Neutral books that the call ended in a way that says nothing about the
// agent: its caller left, its request was wrong.
func (p *Permit) Neutral() {
	if p.special == nil {
		return
	}
	if r := p.special.ramp; r != nil {
		if p.special = nil; r.end(false) {
			p.breaker.endRamp(r)
		}
		return
	}
	if t := p.trial(); t != nil {
		p.breaker.trials.free(t)
	}
}

// IsTrial says whether p has one of few places: of a half-open breaker, of a slow
// start, or one that a person asked for. What its call calls in its turn is part of
// it, and needs no place of its own.
func (p *Permit) IsTrial() bool { return p.special != nil }

func (p *Permit) trial() *trial {
	if p.special == nil {
		return nil
	}
	return p.special.trial
}

// Trial says whether p is a half-open trial, and the limit that its context gets;
// 0: none. attempt is the agent's own limit of an attempt, 0 if it has none: a
// trial lasts at least as long.
func (p *Permit) Trial(attempt time.Duration) (limit time.Duration, ok bool) {
	if p.trial() == nil {
		return 0, false
	}
	b := p.breaker
	b.trials.extend(p.trial(), max(b.trialTimeout(), attempt))
	if attempt == 0 && b.conf().TrialTimeout == 0 {
		return 0, true
	}
	return max(b.trialTimeout(), attempt), true
}

// Prolong lets a half-open trial take longer than TrialTimeout, because it has
// shown signs of life and something else bounds it: a stream that speaks. idle,
// if it is not nil, says that the trial waits for its reader and not for the
// agent: then its slot is given to the next caller.
func (p *Permit) Prolong(bounded bool, idle func() bool) {
	if p.trial() != nil {
		p.breaker.trials.prolong(p.trial(), bounded, idle)
	}
}

// Settle books how the call ended, as the classifier has judged it: a failure
// if v trips, and otherwise neither success nor failure. A nil err is a success.
//
// If the verdict holds ([Verdict.Holds]), nothing is let through for as long as
// the provider said, at most MaxHold, and a day for an exhausted quota. A provider
// that names no time is left alone for a time that grows with each such answer:
// 1 s up to a minute for a rate limit, a minute up to 5 for a quota. The breaker
// remembers this for all who share it. held is for how long it was held; [AtOnce] if
// it was not, for the client turns its Keys by itself.
func (p *Permit) Settle(v Verdict, err error) (held time.Duration) {
	switch {
	case err == nil:
		p.Success()
		return 0
	case v.Trips:
		p.Failure(err)
	default:
		p.Neutral()
	}
	if !v.Holds || p.breaker == nil {
		return 0
	}
	v, last := p.breaker.turn(v, err)
	if !last {
		return AtOnce
	}
	held = p.breaker.hold(v)
	p.breaker.Hold(held, WithClass(v.Class, err))
	return held
}

func (b *Breaker) settle(p *Permit, err error) {
	if b == nil || b.init() != nil {
		return
	}
	if err != nil {
		b.failed(err)
	} else if b.suspicion.Load() != 0 {
		b.suspicion.Store(0)
	}
	if err == nil && b.turned.Load() != 0 {
		b.turned.Store(0)
	}
	if p.trial() != nil {
		b.settleTrial(p.trial(), err)
	} else if w := b.word.Load(); generation(w) == p.gen {
		b.engine.Load().record(p.gen, err)
		b.stamp(w, err)
	}
	b.changes.deliver()
}
