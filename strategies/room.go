package strategies

import "time"

// Room is the share of what may be spent at once that is left: 0 if a call would wait
// for its turn.
func (p *Pace) Room() float64 {
	if p.init() != nil {
		return 0
	}
	p = p.Itself()
	now := p.open()
	defer p.shut(now)
	if p.line.count > 0 || p.held.After(now) {
		return 0
	}
	return min(p.requests.room(now), p.tokens.room(now))
}

func (b *bucket) room(now time.Time) float64 {
	if b == nil {
		return 1
	}
	level := b.level(now)
	if level < 1 {
		return 0
	}
	return min(level/float64(b.burst), 1)
}

// Room is the share of the slots that is left: 0 if a call would wait for one.
func (b *Bulkhead) Room() float64 {
	w, most := b.Itself().word.Load(), b.conf().MaxConcurrent
	if w&someoneBit != 0 || most <= 0 {
		return 0
	}
	return max(0, 1-float64(w&takenMask)/float64(most))
}
