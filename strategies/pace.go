package strategies

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Pace keeps calls to so many a minute, and to so many tokens: what a provider's
// plan allows. A call waits for its turn if that comes within MaxWait, and leaves what
// a call usually takes before its deadline; otherwise it is refused at once, with a [PaceError], so that a
// stand-in is asked instead. It stands inside of retry and of the breaker, which
// does not count its refusals, and outside of the bulkhead: who waits for a turn
// holds no slot.
//
// Waiters are served by their [Priority], and in order. In any time t no more than
// t's share of the rate, and Burst's, are let through.
//
// It learns. A rate limit that is reached all the same lowers the rate to 0.7 of
// what it was, once for all calls that were under way, down to a tenth; each minute
// without another raises it by a tenth of what was configured, up to that: additive
// increase, multiplicative decrease (Chiu and Jain, 1989), with the factor of CUBIC
// (RFC 9438, 4.6). Nobody has a turn before a Retry-After has passed. [Pace.Learn]
// reads what the headers of good answers say.
//
// A Pace is used by pointer and may be shared by agents of any type: those who
// share a plan should. Its fields must not be changed once it is in use. While
// turns are plenty, most calls cost one atomic operation, without a look at the
// clock: a quarter of what is there is handed out in advance, and is not filled up
// before it is used up.
type Pace struct {
	// Name appears in errors. "": the agent's name.
	Name string
	// RequestsPerMinute and TokensPerMinute are the limits. 0: there is none; one of
	// them is required.
	RequestsPerMinute int
	TokensPerMinute   int
	// Burst is how much of a minute may be spent at once, after a time of rest. At
	// least one call is. 0: 6 s, a tenth.
	Burst time.Duration
	// Reserve is how much of Burst is kept for [PriorityInteractive]. 0: nothing.
	Reserve time.Duration
	// MaxWait is how long a call may wait for its turn. 0: 1 min. See NoWait.
	MaxWait time.Duration
	NoWait  bool

	// credit is what calls may take at once, drawn from both buckets: calls in the
	// upper bits, tokens in the lower. It is 0 while somebody waits, and while the
	// rate is lowered.
	credit  atomic.Uint64
	lowered atomic.Uint32 // how often

	set    inherited[Pace]
	looked atomic.Bool // somebody has looked at the settings
	// Of the buckets, to be read without the lock; 0: there is none.
	callBurst, tokenBurst atomic.Int64

	mu               sync.Mutex
	line             line
	requests, tokens *bucket
	timer            *time.Timer
	share            float64   // of the configured rate; 1: all of it
	start            time.Time // when it was first used
	takes, varies    time.Duration
	since            time.Time // of the last limit, or of the last raise
	held             time.Time // nobody has a turn before
	living           int       // replicas that share it; see Fleet
}

const (
	oneCall    = 1 << 40
	tokenMask  = oneCall - 1
	mostCredit = 1 << 20 // calls

	paceDecrease = 0.7
	paceIncrease = 0.1 // of what was configured, a minute
	leastShare   = 0.1
	toldFor      = 10 * time.Minute // what a provider has named is believed
	mostPaceHold = time.Hour
	paceGrace    = time.Millisecond // for a turn that comes at the last moment
	mostPaceWait = 366 * 24 * time.Hour
)

// PaceTurn is leave to make one call.
type PaceTurn struct {
	pace *Pace
	age  uint32
	at   time.Duration // since the pace's start; 0: not known, as of most
}

// Acquire waits for a turn: for one call, and an estimate of the tokens that it will
// use. More than a minute's count as a minute's. The error is a [PaceError], or a
// [ConfigError]; an error takes no turn.
func (p *Pace) Acquire(ctx context.Context, priority Priority, tokens int) (PaceTurn, error) {
	if tokens != 0 {
		tokens = min(max(tokens, 0), p.conf().TokensPerMinute)
	}
	if age := p.lowered.Load(); p.spend(uint64(tokens)) {
		return PaceTurn{p, age, 0}, nil
	}
	p, err := p.own()
	if err != nil {
		return PaceTurn{}, err
	}
	return p.wait(ctx, priority.rank(), tokens)
}

// spend takes a call and its tokens from the credit.
func (p *Pace) spend(tokens uint64) bool {
	for {
		c := p.credit.Load()
		if c < oneCall || c&tokenMask < tokens {
			return false
		}
		if p.credit.CompareAndSwap(c, c-oneCall-tokens) {
			return true
		}
	}
}

func (p *Pace) wait(ctx context.Context, rank, tokens int) (PaceTurn, error) {
	now := p.open()
	d := p.behind(now, rank, tokens)
	if d <= 0 && p.line.count == 0 {
		p.take(now, tokens)
		p.shut(now)
		return PaceTurn{p, p.lowered.Load(), now.Sub(p.start)}, nil
	}
	if ctx == nil {
		p.shut(now)
		return PaceTurn{}, &ConfigError{Setting: "Pace.Acquire ctx", Problem: "is nil", Fix: "give it a context, such as context.Background()"}
	}
	limit := p.Longest()
	patience := limit
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(limit, deadline.Sub(now)-max(p.room(), 1)) // at the deadline itself it is too late
	}
	if d > patience || ctx.Err() != nil {
		p.shut(now)
		return PaceTurn{}, &PaceError{What: p.what(), Wait: d, Err: context.Cause(ctx)}
	}
	w := &waiter{rank: rank, tokens: int64(tokens), until: now.Add(patience)}
	p.line.push(w)
	if p.line.overtakes(rank) {
		p.recheck(now)
	}
	p.shut(now)
	timer := time.NewTimer(limit + paceGrace)
	defer timer.Stop()
	var cause error
	select {
	case <-w.turn:
		return p.turn(w)
	case <-timer.C:
	case <-ctx.Done():
		cause = context.Cause(ctx)
	}
	left := p.open()
	defer p.shut(left)
	if !p.line.remove(w) {
		return p.turn(w) // in this very moment
	}
	return PaceTurn{}, &PaceError{What: p.what(), Wait: p.behind(left, rank, tokens), Waited: left.Sub(now), Err: cause}
}

func (p *Pace) turn(w *waiter) (PaceTurn, error) {
	if w.err != nil {
		return PaceTurn{}, w.err
	}
	return PaceTurn{p, p.lowered.Load(), time.Since(p.start)}, nil
}

// open takes the lock, and puts the credit back.
func (p *Pace) open() time.Time {
	p.mu.Lock()
	now := time.Now()
	left := p.credit.Swap(0)
	p.requests.undraw(now, int(left>>40))
	p.tokens.undraw(now, int(left&tokenMask))
	if p.restrained() {
		p.raise(now)
	}
	return now
}

// restrained says that the rate is not what was configured.
func (p *Pace) restrained() bool {
	return p.share < 1 || p.requests != nil && p.requests.told > 0 || p.tokens != nil && p.tokens.told > 0
}

// shut lets those have their turn who can, hands out credit if nobody waits, and
// gives the lock back.
func (p *Pace) shut(now time.Time) {
	if p.line.count > 0 || p.timer != nil {
		p.serve(now)
	}
	if p.line.count == 0 && !p.restrained() && !p.held.After(now) {
		if calls := p.requests.draw(now, mostCredit); calls > 0 {
			p.credit.Store(uint64(calls)*oneCall + uint64(p.tokens.draw(now, tokenMask)&tokenMask))
		}
	}
	p.mu.Unlock()
}

func (p *Pace) serve(now time.Time) {
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	for {
		w := p.line.next(ranks)
		if w == nil {
			return
		}
		d := p.ready(now, 0, 0, int(w.tokens), w.rank > 0 && !p.line.due())
		if d > 0 {
			if p.restrained() {
				d = min(d, time.Minute) // it may be raised until then
			}
			p.timer = time.AfterFunc(d, func() { p.shut(p.open()) })
			return
		}
		p.take(now, int(w.tokens))
		p.line.serve(w)
	}
}

func (p *Pace) take(now time.Time, tokens int) {
	p.requests.take(now, 1)
	p.tokens.take(now, tokens)
}

// ready is how long it takes until a call can have its turn with others before it.
func (p *Pace) ready(now time.Time, calls, used float64, tokens int, ordinary bool) time.Duration {
	d := max(p.held.Sub(now), 0)
	if p.held.After(now) { // while nobody has a turn the buckets fill
		now = p.held
	} else {
		d = 0
	}
	return d + max(p.requests.until(now, calls, 1, ordinary), p.tokens.until(now, used, float64(tokens), ordinary))
}

// behind is how long a call that came now would wait, as things stand.
func (p *Pace) behind(now time.Time, rank, tokens int) time.Duration {
	calls, used, others, theirs := 0, int64(0), 0, int64(0)
	for r := range ranks {
		if n := p.line.queues[r].Len(); r <= rank {
			calls, used = calls+n, used+p.line.tokens[r]
		} else {
			others, theirs = others+n, theirs+p.line.tokens[r]
		}
	}
	extra := 0.0 // turns of the less urgent who have waited longest
	if others > 0 {
		extra = float64(min(others, (calls+p.line.passed)/passing))
		used += int64(extra * float64(theirs) / float64(others))
	}
	return p.ready(now, float64(calls)+extra, float64(used), tokens, rank > 0)
}

// recheck refuses those whose turn will not come in time any more.
func (p *Pace) recheck(now time.Time) {
	calls, used := 0.0, 0.0
	for r := range ranks {
		for e, older := p.line.queues[r].Front(), 0; e != nil; older++ {
			w := e.Value.(*waiter)
			e = e.Next()
			share := 1.0
			if most := float64((passing+1)*(p.line.older(w, older)+1) - 1); most < calls { // it is not passed over for ever
				share = most / calls
			}
			d := p.ready(now, calls*share, used*share, int(w.tokens), r > 0)
			if now.Add(d).After(w.until.Add(paceGrace)) {
				p.line.remove(w)
				w.err = &PaceError{What: p.what(), Wait: d}
				close(w.turn)
				continue
			}
			calls, used = calls+1, used+float64(w.tokens)
		}
	}
}

// Correct takes tokens that a call used beyond its estimate, or gives back those
// that it did not use, if they are negative.
func (p *Pace) Correct(tokens int) {
	most := p.conf().TokensPerMinute
	if tokens == 0 || most == 0 {
		return
	}
	p, err := p.own()
	if err != nil {
		return
	}
	now := p.open()
	p.tokens.take(now, min(max(tokens, -most), most))
	p.shut(now)
}

// Waiting returns how many calls wait for their turn.
func (p *Pace) Waiting() int {
	p = p.Itself()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line.count
}

// Rate returns what is let through a minute at present: no more than was
// configured. 0: there is no such limit.
func (p *Pace) Rate() (requests, tokens float64) {
	p, err := p.own()
	if err != nil {
		return 0, 0
	}
	now := p.open()
	defer p.shut(now)
	return p.requests.perMinute(), p.tokens.perMinute()
}

// Longest returns how long a call may wait for its turn.
func (p *Pace) Longest() time.Duration {
	c := p.conf()
	if c.NoWait {
		return 0
	}
	return orDefault(c.MaxWait, time.Minute)
}

func (p *Pace) what() string {
	if p.Name == "" {
		return ""
	}
	return fmt.Sprintf("pace %q", p.Name)
}

// own returns the pace that p is a name of, ready for use.
func (p *Pace) own() (*Pace, error) {
	for !p.looked.Load() {
		if p = p.Itself(); p.looked.Load() {
			break
		}
		if err := p.init(); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *Pace) init() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.looked.Load() || p.set.name.Load() != nil {
		return nil
	}
	if err := p.Validate(); err != nil {
		return err
	}
	p.fill(p)
	p.share, p.start = 1, time.Now().Add(-1)
	p.looked.Store(true)
	return nil
}

// fill makes buckets by the settings of is. The lock is held.
func (p *Pace) fill(is *Pace) {
	burst := is.burst()
	p.requests, p.tokens = newBucket(is.RequestsPerMinute, p.living, burst, is.Reserve), newBucket(is.TokensPerMinute, p.living, burst, is.Reserve)
	p.callBurst.Store(p.requests.size())
	p.tokenBurst.Store(p.tokens.size())
}

func (p *Pace) burst() time.Duration { return orDefault(p.Burst, 6*time.Second) }

// Validate says all that is wrong with the settings, each by its name.
func (p *Pace) Validate() error {
	var all problems
	negative(&all, "Pace.RequestsPerMinute", p.RequestsPerMinute, "leave it 0 for no such limit")
	negative(&all, "Pace.TokensPerMinute", p.TokensPerMinute, "leave it 0 for no such limit")
	if p.RequestsPerMinute == 0 && p.TokensPerMinute == 0 {
		all.add("Pace.RequestsPerMinute", "is 0, and TokensPerMinute too", "say what your plan allows")
	}
	if p.RequestsPerMinute > math.MaxInt32 || p.TokensPerMinute > tokenMask {
		all.add("Pace.RequestsPerMinute", "or TokensPerMinute is beyond every plan", "leave it 0 for no such limit")
	}
	negative(&all, "Pace.Burst", p.Burst, "leave it 0 for 6 s")
	if p.Burst > time.Minute {
		all.add("Pace.Burst", fmt.Sprintf("(%v) is more than the minute that the limits are for", p.Burst), "use a minute at most")
	}
	negative(&all, "Pace.Reserve", p.Reserve, "leave it 0 to keep nothing back")
	if p.Reserve > 0 && p.Reserve >= p.burst() {
		all.add("Pace.Reserve", fmt.Sprintf("(%v) leaves nothing of Burst (%v)", p.Reserve, p.burst()), "leave something for those who are not interactive")
	}
	negative(&all, "Pace.MaxWait", p.MaxWait, "leave it 0 for a minute, or set NoWait")
	return all.err()
}

// String describes the settings in a line.
func (p *Pace) String() string {
	s := ""
	p = p.conf()
	if p.RequestsPerMinute > 0 {
		s = plural(p.RequestsPerMinute, "call")
	}
	if p.TokensPerMinute > 0 {
		if s != "" {
			s += " and "
		}
		s += plural(p.TokensPerMinute, "token")
	}
	s += " a minute, "
	if p.NoWait {
		return s + "waits for no turn"
	}
	return s + fmt.Sprintf("waits up to %v for a turn", p.Longest())
}
