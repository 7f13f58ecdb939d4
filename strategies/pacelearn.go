package strategies

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-go/understudy/internal/foreign"
)

// Settle tells the pace how the call ended: one that ran into a rate limit lowers
// the rate, and holds it for as long as the provider says. It is told of each
// attempt, and need not be told of one that went well.
func (t PaceTurn) Settle(v Verdict) {
	if t.pace != nil && v.Class == ClassRateLimited {
		t.pace.limited(t.age, v.RetryAfter)
	}
}

// Answered tells the pace that the call was answered: so it learns how long a call
// takes, and what a wait must leave of its caller's time. It costs nothing but to those
// who had to look at the clock for their turn.
func (t PaceTurn) Answered() {
	p := t.pace
	if p == nil || t.at == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	took := time.Since(p.start) - t.at
	if p.takes == 0 {
		p.takes, p.varies = took, took/2
		return
	}
	p.varies += (max(took-p.takes, p.takes-took) - p.varies) / 4
	p.takes += (took - p.takes) / 8
}

// room is what nine calls in ten take: the average and twice what they differ from it,
// each as TCP keeps them (RFC 6298). It is called under the lock.
func (p *Pace) room() time.Duration { return p.takes + 2*p.varies }

// Return gives the turn back: no call was made of it.
func (t PaceTurn) Return(tokens int) {
	p := t.pace
	if p == nil {
		return
	}
	now := p.open()
	p.requests.take(now, -1)
	if most := p.conf().TokensPerMinute; most > 0 {
		p.tokens.take(now, -min(max(tokens, 0), most))
	}
	p.shut(now)
}

// limited: a call that began at an age ran into the provider's limit.
func (p *Pace) limited(age uint32, wait time.Duration) {
	now := p.open()
	defer p.shut(now)
	if age == p.lowered.Load() { // the others were under way already when it was lowered
		p.lowered.Add(1)
		p.share = max(p.share*paceDecrease, leastShare)
		p.requests.cap(now, 0)
		p.tokens.cap(now, 0)
	}
	p.since = now
	p.repace(now)
	p.hold(now, wait)
	p.recheck(now)
}

func (p *Pace) hold(now time.Time, wait time.Duration) {
	if until := now.Add(min(wait, mostPaceHold)); wait > 0 && until.After(p.held) {
		p.held = until
	}
}

// raise gives back what quiet minutes have earned.
func (p *Pace) raise(now time.Time) {
	if minutes := math.Floor(now.Sub(p.since).Minutes()); p.share < 1 && minutes > 0 {
		p.share = min(1, p.share+minutes*paceIncrease)
		if p.share > 1-1e-9 {
			p.share = 1
		}
		p.since = p.since.Add(time.Duration(minutes) * time.Minute)
	}
	p.repace(now)
}

func (p *Pace) repace(now time.Time) {
	p.requests.pace(now, p.share)
	p.tokens.pace(now, p.share)
}

// divide leaves this replica its part of the plan.
func (p *Pace) divide(living int) {
	p, err := p.own()
	if err != nil {
		return
	}
	now := p.open()
	defer p.shut(now)
	c := p.conf()
	p.living = living
	p.requests.divide(now, living, c.burst(), c.Reserve)
	p.tokens.divide(now, living, c.burst(), c.Reserve)
	p.callBurst.Store(p.requests.size())
	p.tokenBurst.Store(p.tokens.size())
	p.repace(now)
	p.recheck(now)
}

// cap leaves no more than n in it.
func (b *bucket) cap(now time.Time, n float64) {
	if b == nil {
		return
	}
	if over := b.level(now) - n; over > 0 {
		b.take(now, int(math.Ceil(over)))
	}
}

// Learn reads what the headers of an answer say about the provider's limits, at the
// time now. It can only lower what is let through:
//
//   - No more than x-ratelimit-remaining-requests and -tokens say, and
//     anthropic-ratelimit-requests-remaining, -tokens- and -input-tokens-, is let
//     through at once: others spend from the same plan. These limits fill up all the
//     time, so the rate stays.
//   - anthropic-ratelimit-requests-limit and -tokens-limit, which are for a minute,
//     bound the rate for ten minutes. Other headers do not say what their limit is
//     for: a day's would read as a minute's.
//   - X-RateLimit-Remaining and RateLimit-Remaining of 0 hold all until their reset,
//     and a Retry-After until that.
//
// It costs a few look-ups in a map, and the lock if something is lowered.
func (p *Pace) Learn(header http.Header, now time.Time) {
	if len(header) == 0 {
		return
	}
	p, err := p.own()
	if err != nil {
		return
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date // moments are of the server's clock
	}
	l := lesson{
		calls:  least(header, "X-Ratelimit-Remaining-Requests", "Anthropic-Ratelimit-Requests-Remaining", "X-Ratelimit-Remaining", "Ratelimit-Remaining"),
		tokens: least(header, "X-Ratelimit-Remaining-Tokens", "Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Input-Tokens-Remaining"),

		callsAMinute:  least(header, "Anthropic-Ratelimit-Requests-Limit"),
		tokensAMinute: least(header, "Anthropic-Ratelimit-Tokens-Limit"),
	}
	l.hold, _ = foreign.ParseRetryAfter(header, now)
	for _, kind := range [...]string{"X-Ratelimit-", "Ratelimit-"} {
		if least(header, kind+"Remaining") == 0 {
			if d, ok := foreign.Moment(header.Get(kind+"Reset"), now); ok {
				l.hold = max(l.hold, d)
			}
		}
	}
	if p.teaches(l) {
		p.learn(l)
	}
}

// lesson is what an answer says: an infinity says nothing.
type lesson struct {
	calls, tokens               float64
	callsAMinute, tokensAMinute float64
	hold                        time.Duration
}

// teaches says whether there may be something to learn. It takes no lock.
func (p *Pace) teaches(l lesson) bool {
	return l.hold > 0 || !math.IsInf(l.callsAMinute, 1) || !math.IsInf(l.tokensAMinute, 1) ||
		l.calls < float64(p.callBurst.Load()) || l.tokens < float64(p.tokenBurst.Load())
}

func (p *Pace) learn(l lesson) {
	now := p.open()
	defer p.shut(now)
	p.requests.cap(now, l.calls)
	p.tokens.cap(now, l.tokens)
	p.requests.tell(now, l.callsAMinute)
	p.tokens.tell(now, l.tokensAMinute)
	before := p.held
	p.hold(now, l.hold)
	p.repace(now)
	if p.restrained() || p.held != before {
		p.recheck(now)
	}
}

// tell notes a limit that the provider has named.
func (b *bucket) tell(now time.Time, perMinute float64) {
	if b == nil || perMinute < 1 || math.IsInf(perMinute, 1) {
		return
	}
	b.told, b.toldAt = 0, now
	if perMinute < float64(b.plan) {
		b.told = perMinute
	}
}

// least is the smallest number that stands in one of the headers; an infinity if
// none does.
func least(header http.Header, names ...string) float64 {
	n := math.Inf(1)
	for _, name := range names {
		if values := header[name]; len(values) > 0 && len(values[0]) <= 32 {
			if v, err := strconv.ParseFloat(strings.TrimSpace(values[0]), 64); err == nil && v >= 0 {
				n = min(n, v)
			}
		}
	}
	return n
}
