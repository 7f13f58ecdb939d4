package strategies

import (
	"sync"
	"time"
)

// quotaHold is how long an exhausted quota is remembered when the provider does
// not say when it is reset: a minute, and twice as long each time it is found
// still exhausted, for it may be a matter of hours.
type quotaHold struct {
	mu    sync.Mutex
	last  time.Duration
	until time.Time
}

const (
	firstQuotaHold = time.Minute
	mostQuotaHold  = 5 * time.Minute
)

func (q *quotaHold) next() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	switch over := now.Sub(q.until); {
	case q.last == 0 || over > q.last: // it was well for longer than it was held
		q.last = firstQuotaHold
	case over < 0: // calls that were under way when the hold began
		return q.until.Sub(now)
	default:
		q.last = min(2*q.last, mostQuotaHold)
	}
	q.until = now.Add(q.last)
	return q.last
}

// Settle books that the call failed with err, as the verdict on it says: whether
// it counts, and whether a wait that the provider asks for holds the breaker. An
// exhausted quota holds it even without a hint, for a time that grows.
func (p *Permit) Settle(v Verdict, err error) {
	if v.Trips {
		p.Failure(err)
	} else {
		p.Neutral()
	}
	if !v.Holds {
		return
	}
	hold := v.RetryAfter
	if hold <= 0 && v.Class == ClassQuotaExhausted {
		hold = p.breaker.quota.next()
	}
	p.breaker.Hold(hold, WithClass(v.Class, err))
}
