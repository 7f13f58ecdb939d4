package strategies

// Update replaces the settings while the breaker is in use, and keeps all that it
// has seen: failures, holds, who watches it. to is read for its settings alone, and
// becomes another name of this breaker: one that is in use itself is refused with a
// [ConfigError], and so are settings that make no sense. The Name stays.
//
// The settings hold from the next call on. An open time that has begun stays as long
// as it was told, and a breaker that is open or half-open takes over OpenFor, Trials
// and Window when it closes. SlowCall holds for chains that are built, or updated,
// from then on.
//
// What was counted stays counted, also when Window is set or left out: up to a thousand
// failures in a row, and of more calls in a window their proportion.
func (b *Breaker) Update(to *Breaker) error {
	if to == nil {
		return &ConfigError{Setting: "Breaker.Update", Problem: "is nil", Fix: "give it a *strategies.Breaker with the new settings"}
	}
	if b = b.Itself(); b == to.Itself() {
		return nil
	}
	if err := to.Validate(); err != nil {
		return err
	}
	if err := b.init(); err != nil {
		return err
	}
	if !to.lend(b) {
		return usedAlready("Breaker.Update")
	}
	b.set.settings.Store(to)
	b.replace()
	return nil
}

// lend makes a breaker that nobody has used another name of b.
func (b *Breaker) lend(to *Breaker) bool {
	lent := false
	b.once.Do(func() { // or it has been used
		if lent = !b.changes.watched(); lent {
			b.set.name.Store(to)
		}
	})
	return lent
}

// Itself returns the breaker that this one is another name of, see Update, or itself.
func (b *Breaker) Itself() *Breaker { return b.set.who(b) }

// Used says whether the breaker has been asked for leave, or watched.
func (b *Breaker) Used() bool {
	return b.set.name.Load() != nil || b.engine.Load() != nil || b.changes.watched()
}

// Anew returns a breaker with the same settings, as they are now, that has seen
// nothing.
func (b *Breaker) Anew() *Breaker {
	b = b.Itself()
	c := b.conf()
	return &Breaker{
		Name: b.Name, Failures: c.Failures, Window: c.Window, Ratio: c.Ratio, MinCalls: c.MinCalls, OpenFor: c.OpenFor,
		MaxOpenFor: c.MaxOpenFor, Jitter: c.Jitter, NoJitter: c.NoJitter, Trials: c.Trials, TrialTimeout: c.TrialTimeout,
		SlowStart: c.SlowStart, SlowCall: c.SlowCall, MaxHold: c.MaxHold, Keys: c.Keys,
	}
}

// Remembers says what would be forgotten with the breaker. It holds while it is
// isolated or held, on probation or starting slowly; and while it is not closed, until
// it has been left alone for as long again as it was open.
func (b *Breaker) Remembers() Memory {
	b = b.Itself()
	w, now := b.word.Load(), b.now()
	switch {
	case w&readyBit == 0:
		return MemoryNothing
	case w&isolatedBit != 0,
		w&heldBit != 0 && b.heldUntil.Load() > now,
		State(w&stateMask) != StateClosed && now-b.openUntil.Load() < b.wasOpenFor.Load(),
		w&probationBit != 0 && b.onProbation(),
		b.limited.remembers() || b.quota.remembers():
		return MemoryHolds
	}
	if r := b.ramp.Load(); w&rampBit != 0 && r != nil && now < r.until {
		return MemoryHolds
	}
	if w&stampMask != 0 || b.suspicion.Load() != 0 || b.turned.Load() != 0 {
		return MemoryCounts
	}
	return MemoryNothing
}

func (b *Breaker) conf() *Breaker { b = b.Itself(); return b.set.of(b) }
