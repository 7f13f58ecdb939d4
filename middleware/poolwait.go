package middleware

import (
	"context"
	"math"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// await waits for the first member that comes back. Who is known to come back too
// late is not waited for; and a share of one that is coming back is waited for only
// so long that there is time to ask it beyond that.
func (p *pooling[Req]) await(ctx context.Context, req Req, able *strategies.Among, t *poolTurn) bool {
	until, press := t.began+p.settings.MaxWait, t.began+p.settings.MaxWait
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline) - 1 // at the deadline itself it is too late
		until, press = min(until, t.began+left), min(press, t.began+left/2)
	}
	for ctx.Err() == nil {
		// Who announces that it waits is told of what changes after that.
		p.waiting.Add(1)
		turned := p.turn()
		ok := p.pick(req, able, t, false)
		at, soon := p.back(able, t.began)
		late := at > until && (!soon || t.began >= press)
		if !ok && !late {
			if soon && t.began < press {
				at = min(at, press)
			}
			sleepOr(ctx, at-t.began, turned)
		}
		p.waiting.Add(-1)
		switch {
		case ok:
			return true
		case late:
			return p.pick(req, able, t, true)
		}
		if t.began = p.spread.Now(); soon && t.began >= press && p.pick(req, able, t, true) {
			return true
		}
	}
	return false
}

func sleepOr(ctx context.Context, d time.Duration, turned <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-turned:
	case <-ctx.Done():
	}
}

// back is when the first member may be asked again, as far as that is known; soon
// says that one may be at any time: a first call to it is under way, or it has as
// many as it is given for now.
func (p *pooling[Req]) back(able *strategies.Among, now time.Duration) (first time.Duration, soon bool) {
	first = math.MaxInt64
	for i := range p.seats {
		if !able.Has(i) {
			continue
		}
		m := p.seats[i]
		wait := m.shut()
		if wait == math.MaxInt64 {
			continue
		}
		if wait <= 0 {
			wait, soon = time.Second, true
		}
		first = min(first, now+wait)
	}
	return first, soon
}

// turn is closed when a call ends that others may wait for.
func (p *pooling[Req]) turn() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.turned == nil {
		p.turned = make(chan struct{})
	}
	return p.turned
}

// look tells those who wait to look again. While nobody does, it costs one load.
func (p *pooling[Req]) look() {
	if p.waiting.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.turned != nil {
		close(p.turned)
		p.turned = nil
	}
}
