package strategies

import "time"

// Update replaces the settings while the pace is in use. What has been used up stays
// used up, a rate that was lowered stays lowered by as much, and who waits keeps its
// place, and the time that it had; whoever cannot have its turn in that any more is
// refused. to is read for its settings alone, and becomes another name of this pace;
// one that is in use itself is refused with a [ConfigError]. The Name stays.
func (p *Pace) Update(to *Pace) error {
	if to == nil {
		return &ConfigError{Setting: "Pace.Update", Problem: "is nil", Fix: "give it a *strategies.Pace with the new settings"}
	}
	if p.Itself() == to.Itself() {
		return nil
	}
	if err := to.Validate(); err != nil {
		return err
	}
	p, err := p.own()
	if err != nil {
		return err
	}
	if !to.lend(p) {
		return usedAlready("Pace.Update")
	}
	now := p.open()
	defer p.shut(now)
	calls, tokens := p.requests, p.tokens
	p.set.settings.Store(to)
	p.fill(to)
	p.requests.follow(now, calls)
	p.tokens.follow(now, tokens)
	p.repace(now)
	p.recheck(now)
	return nil
}

func (p *Pace) lend(to *Pace) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.looked.Load() && p.set.name.CompareAndSwap(nil, to)
}

// Itself returns the pace that this one is another name of, see Update, or itself.
func (p *Pace) Itself() *Pace { return p.set.who(p) }

// Used says whether anybody has asked for a turn.
func (p *Pace) Used() bool { return p.looked.Load() || p.set.name.Load() != nil }

// Anew returns a pace with the same settings, as they are now, of which nothing has
// been used.
func (p *Pace) Anew() *Pace {
	c := p.conf()
	return &Pace{
		Name: p.Itself().Name, RequestsPerMinute: c.RequestsPerMinute, TokensPerMinute: c.TokensPerMinute,
		Burst: c.Burst, Reserve: c.Reserve, MaxWait: c.MaxWait, NoWait: c.NoWait,
	}
}

// Remembers says what would be forgotten with the pace: it holds until all that was
// used has come back, for as long as its rate is lowered, and while somebody waits.
func (p *Pace) Remembers() Memory {
	if p = p.Itself(); !p.looked.Load() {
		return MemoryNothing
	}
	now := p.open()
	defer p.shut(now)
	if p.line.count > 0 || p.held.After(now) || p.restrained() || !p.requests.full(now) || !p.tokens.full(now) {
		return MemoryHolds
	}
	return MemoryNothing
}

func (b *bucket) full(now time.Time) bool {
	return b == nil || b.level(now) >= float64(b.burst)-1e-6
}

func (p *Pace) conf() *Pace { p = p.Itself(); return p.set.of(p) }
