package strategies

import "time"

// Permit is leave to make one call. Exactly one of its methods must be called
// when the call has ended, however it ended.
type Permit struct {
	breaker *Breaker
	gen     uint64
	trial   *trial
}

// Success books that the call succeeded.
func (p *Permit) Success() {
	b := p.breaker
	w := b.word.Load()
	if w&(closedMask|stampMask) == readyBit && generation(w) == p.gen {
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

// Settle books how the call ended, as the classifier has judged it: a failure
// if v trips, and otherwise neither success nor failure. A nil err is a success.
//
// If the verdict holds ([Verdict.Holds]), nothing is let through for as long as
// the provider said. An exhausted quota whose provider names no time is held for
// a minute, and for twice as long each time it is found still exhausted, up to
// 5 minutes. The breaker remembers this for all who share it.
func (p *Permit) Settle(v Verdict, err error) {
	switch {
	case err == nil:
		p.Success()
		return
	case v.Trips:
		p.Failure(err)
	default:
		p.Neutral()
	}
	if !v.Holds {
		return
	}
	wait := v.RetryAfter
	if wait <= 0 && v.Class == ClassQuotaExhausted {
		wait = p.breaker.quota.next()
	}
	p.breaker.Hold(wait, WithClass(v.Class, err))
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
	} else if w := b.word.Load(); generation(w) == p.gen {
		b.engine.Load().record(p.gen, err)
		b.stamp(w, err)
	}
	b.changes.deliver()
}
