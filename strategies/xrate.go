package strategies

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// bucket is a bucket of turns, or of tokens, that fills at so many a minute: the
// engine of a [Pace]. It is guarded by the pace's lock. nil: there is no limit.
//
// The engine is golang.org/x/time/rate. Its own reservations are first come, first
// served, so nobody reserves: who must wait does so in a [line], and takes when it
// is its turn.
type bucket struct {
	engine *rate.Limiter
	plan   int     // a minute, as configured
	living int     // replicas that share the plan
	most   float64 // a minute: this replica's part of it
	burst  int     // what it holds
	keep   float64 // of that, for the interactive
	told   float64 // the most a minute that the provider has named; 0: it has not
	toldAt time.Time
	drawn  int // credit that was drawn from it
}

func newBucket(perMinute, living int, burst, keep time.Duration) *bucket {
	if perMinute == 0 {
		return nil
	}
	b := &bucket{plan: perMinute}
	b.spread(max(living, 1), burst, keep)
	b.engine = rate.NewLimiter(rate.Limit(b.most/60), b.burst)
	return b
}

// size is how much it holds; 0: there is no limit.
func (b *bucket) size() int64 {
	if b == nil {
		return 0
	}
	return int64(b.burst)
}

// follow takes over what another has left, and what it was told. A debt stays one.
func (b *bucket) follow(now time.Time, before *bucket) {
	if b == nil || before == nil {
		return
	}
	b.told, b.toldAt = before.told, before.toldAt
	if before.level(now) < float64(before.burst) { // or it had rested, and so has this one
		b.take(now, int(math.Ceil(max(0, float64(b.burst)-before.level(now)))))
	}
}

// spread is what a bucket holds, of a plan that so many share.
func (b *bucket) spread(living int, burst, keep time.Duration) {
	b.living, b.most = living, float64(b.plan)/float64(living)
	share := func(d time.Duration) float64 { return b.most * float64(d) / float64(time.Minute) }
	b.burst = max(1, int(share(burst)))
	b.keep = min(share(keep), float64(b.burst-1))
}

// divide leaves this replica its part of the plan. No credit is drawn.
func (b *bucket) divide(now time.Time, living int, burst, keep time.Duration) {
	if b != nil {
		b.spread(living, burst, keep)
		b.engine.SetBurstAt(now, b.burst)
	}
}

// perMinute is the rate at present; 0: there is no limit.
func (b *bucket) perMinute() float64 {
	if b == nil {
		return 0
	}
	return float64(b.engine.Limit()) * 60
}

// pace sets the rate, to a share of what was configured.
func (b *bucket) pace(now time.Time, share float64) {
	if b == nil {
		return
	}
	perMinute := b.most * share
	if b.told > 0 && now.Sub(b.toldAt) < toldFor {
		perMinute = min(perMinute, b.told/float64(b.living))
	} else {
		b.told = 0
	}
	if limit := rate.Limit(perMinute / 60); limit != b.engine.Limit() {
		b.engine.SetLimitAt(now, limit)
	}
}

// level is what is in it; below 0: so much has been taken in advance.
func (b *bucket) level(now time.Time) float64 {
	if b == nil {
		return math.Inf(1)
	}
	return b.engine.TokensAt(now)
}

// take takes n, however little there is; a negative n gives back.
func (b *bucket) take(now time.Time, n int) {
	if b == nil || n == 0 {
		return
	}
	if n > b.burst { // the engine takes no more at once than it holds
		b.engine.SetBurstAt(now, n)
		defer b.engine.SetBurstAt(now, b.burst)
	}
	b.engine.ReserveN(now, n)
}

// lack is what is missing until n can be taken, with so many ahead. What is larger
// than the bucket waits until that is full.
func (b *bucket) lack(now time.Time, ahead, n float64, ordinary bool) float64 {
	if b == nil || n == 0 {
		return 0
	}
	if ordinary {
		n += b.keep
	}
	return ahead + min(n, float64(b.burst)) - b.level(now)
}

// until is when n can be taken.
func (b *bucket) until(now time.Time, ahead, n float64, ordinary bool) time.Duration {
	lack := b.lack(now, ahead, n, ordinary)
	if lack <= 1e-6 { // what a float loses
		return 0
	}
	ns := math.Ceil(lack / float64(b.engine.Limit()) * float64(time.Second))
	if ns >= float64(mostPaceWait) {
		return mostPaceWait
	}
	return time.Duration(ns)
}

// draw takes up to a quarter of what is there as credit, for calls that need not look
// at the clock. The bucket holds so much less meanwhile, so both hold no more than it
// did.
func (b *bucket) draw(now time.Time, most int) int {
	if b == nil {
		return most
	}
	spare := (b.level(now) - b.keep) / 4
	if spare < 1 {
		return 0
	}
	b.drawn = min(most, int(spare))
	b.engine.ReserveN(now, b.drawn)
	b.engine.SetBurstAt(now, b.burst-b.drawn)
	return b.drawn
}

// undraw puts back what is left of the credit.
func (b *bucket) undraw(now time.Time, left int) {
	if b == nil || b.drawn == 0 {
		return
	}
	b.engine.SetBurstAt(now, b.burst)
	b.drawn = 0
	b.take(now, -left)
}
