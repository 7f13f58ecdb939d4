package lab

import (
	"fmt"
	"time"
)

// Tokens is how large requests are, and how well their callers know it.
type Tokens struct {
	Median float64 `json:"median"`
	Sigma  float64 `json:"sigma"`
	Guess  float64 `json:"guess"` // what a caller takes a request for, in times of what it is. Default 1
}

// Tricky is requests that get a bad answer, as long as nobody says what was wrong
// with the last one.
type Tricky struct {
	Share float64 `json:"share"`
	Bad   float64 `json:"bad"`  // share of bad answers
	Told  float64 `json:"told"` // the same, once it is told why
}

// Nested is agents that call each other. Each asks the model, and then the next
// one below it several times, at once.
type Nested struct {
	Deep int `json:"deep"`
	Asks int `json:"asks"`
	// Runaway is the share of requests whose second agent never comes to an end: it
	// asks again and again, until it is told no.
	Runaway float64 `json:"runaway"`
}

// Tail is calls that take longer for no reason of their own.
type Tail struct {
	Share float64 `json:"share"`
	Times float64 `json:"times"`
}

// Thrash is an agent that gets slower with every call that it works on at the same
// time, beyond a number: with so many times more calls each takes that to a power as
// long. At a power of 1 the throughput stays, above it collapses.
type Thrash struct {
	Over  int     `json:"over"`
	Power float64 `json:"power"`
}

// Plan is a limit of tokens: a bucket that fills all the time, as providers describe
// theirs. It holds what comes in within Burst; by default a minute's worth.
type Plan struct {
	PerMinute int      `json:"per_minute"`
	Burst     Duration `json:"burst"`
	// Others are those who use it up too, for a time.
	Others []Others `json:"others"`
}

// Others take a share of a plan.
type Others struct {
	From  Duration `json:"from"`
	For   Duration `json:"for"`
	Share float64  `json:"share"`
}

// Means is what systems are given on this day beside retries, timeouts and
// stand-ins, where they have it.
type Means struct {
	Pace     int  `json:"pace"`     // keep to so many tokens a minute
	Hedge    bool `json:"hedge"`    // ask twice if it takes long, for 5 % more calls
	Told     bool `json:"told"`     // say what was wrong with the last answer
	Calls    int  `json:"calls"`    // at most so many for a request, with all that it causes
	Adaptive int  `json:"adaptive"` // as many at a time as the agent bears, and no more than this
}

// How long a call may wait for its turn, and for a slot, in every system that has it.
const (
	turnWait = 100 * time.Second
	slotWait = time.Minute
)

func (s *Scenario) checkMeans(say complaint) {
	if k := s.Tokens; k != nil {
		if !(k.Median >= 1 && k.Median <= 1e6) {
			say("tokens.median", "is %v: use a number from 1 to a million", k.Median)
		}
		if !(k.Sigma >= 0 && k.Sigma <= 3) {
			say("tokens.sigma", "is %v: use a number from 0 to 3", k.Sigma)
		}
		if k.Guess == 0 {
			k.Guess = 1
		}
		if !(k.Guess > 0 && k.Guess <= 100) {
			say("tokens.guess", "is %v: use a factor above 0 and up to 100", k.Guess)
		}
	}
	if k := s.Tricky; k != nil {
		share(say, "tricky.share", k.Share)
		share(say, "tricky.bad", k.Bad)
		share(say, "tricky.told", k.Told)
	}
	if n := s.Nested; n != nil {
		if n.Deep < 2 || n.Deep > 6 {
			say("nested.deep", "is %d: use a number from 2 to 6", n.Deep)
		}
		if n.Asks < 1 || n.Asks > 10 {
			say("nested.asks", "is %d: use a number from 1 to 10", n.Asks)
		}
		share(say, "nested.runaway", n.Runaway)
	}
	for _, m := range []struct {
		field string
		n     int
	}{{"pace", s.Means.Pace}, {"calls", s.Means.Calls}, {"adaptive", s.Means.Adaptive}} {
		if m.n < 0 {
			say("means."+m.field, "is negative (%d): leave it out for none", m.n)
		}
	}
	if s.Means.Pace > 0 && s.Tokens == nil {
		say("means.pace", "is %d, and requests have no tokens: say how large they are", s.Means.Pace)
	}
}

func (a *Agent) checkTemper(say complaint, at string) {
	if t := a.Tail; t != nil {
		share(say, at+"tail.share", t.Share)
		if !(t.Times > 1 && t.Times <= 1000) {
			say(at+"tail.times", "is %v: use a factor above 1 and up to 1000", t.Times)
		}
	}
	if t := a.Thrash; t != nil {
		if t.Over < 1 {
			say(at+"thrash.over", "is %d: give at least one call that it bears", t.Over)
		}
		if !(t.Power >= 0 && t.Power <= 10) {
			say(at+"thrash.power", "is %v: use a number from 0 to 10", t.Power)
		}
	}
	if p := a.Plan; p != nil {
		if p.PerMinute < 1 {
			say(at+"plan.per_minute", "is %d: give at least one token, or leave out the plan", p.PerMinute)
		}
		if p.Burst == 0 {
			p.Burst = Duration(time.Minute)
		}
		positive(say, at+"plan.burst", p.Burst)
		for i, o := range p.Others {
			field := fmt.Sprintf("%splan.others[%d].", at, i)
			notNegative(say, field+"from", o.From)
			positive(say, field+"for", o.For)
			share(say, field+"share", o.Share)
			if o.Share == 1 {
				say(field+"share", "is 1: leave something")
			}
		}
	}
}

// bucket is what is left of an agent's plan.
type bucket struct {
	Plan
	level float64
	at    time.Duration
}

func newBucket(p *Plan) *bucket {
	if p == nil {
		return nil
	}
	b := &bucket{Plan: *p}
	b.level = b.holds()
	return b
}

func (b *bucket) holds() float64 { return float64(b.PerMinute) * b.Burst.D().Minutes() }

// rate is what comes in a minute at a time.
func (b *bucket) rate(at time.Duration) float64 {
	left := float64(b.PerMinute)
	for _, o := range b.Others {
		if from := o.From.D(); at >= from && at < from+o.For.D() {
			left *= 1 - o.Share
		}
	}
	return left
}

// take takes tokens, or says how long it takes until there are enough. left is what
// remains.
func (b *bucket) take(now time.Duration, tokens int) (wait time.Duration, left int) {
	rate := b.rate(now)
	b.level = min(b.holds(), b.level+rate*(now-b.at).Minutes())
	b.at = now
	if lack := min(float64(tokens), b.holds()) - b.level; lack > 0 {
		return max(time.Duration(lack/rate*float64(time.Minute)), 1), int(b.level)
	}
	b.level -= float64(tokens)
	return 0, int(b.level)
}

// nested builds the agents of a day, each with a chain of its own around it, and
// returns the outermost. Only that one gets the limit of calls.
func nested(day *Scenario, system System, env Env) Ask {
	if day.Nested == nil {
		return system.Build(env)
	}
	inside := env
	inside.Means.Calls = 0
	ask := system.Build(inside)
	for level := day.Nested.Deep - 1; level >= 1; level-- {
		e, below := inside, ask
		if level == 1 {
			e = env
		}
		e.Primary = calling(day.Nested, level, env.Primary, below)
		ask = system.Build(e)
	}
	return ask
}
