package middlewaretest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/understudy-go/understudy/middleware"
	"github.com/understudy-go/understudy/strategies"
)

// ErrChaos is what an injected failure fails with unless Chaos.Errors says
// otherwise. It is an error like any other to the classifier: transient.
var ErrChaos = errors.New("understudy: injected failure")

// Chaos spoils a share of the calls of what it wraps. The zero value spoils
// none. Put it innermost, with Use(middleware.StageAgent, chaos.Middleware), so
// that all layers stand outside of it; see the package documentation.
//
// What befalls the n-th call is drawn from Seed and n alone, so that a run can
// be repeated: with sequential calls the whole run, with concurrent ones how
// many calls meet which fate. Used at several agents, they draw from one
// sequence.
//
// It is used by pointer and safe for concurrent use. Its fields must not be
// changed once it is in use.
type Chaos[Req, Resp any] struct {
	Seed uint64

	// The share of calls, from 0 to 1, that meet each fate. A call meets one
	// at most, so the shares add up to 1 at most; the rest is left alone.
	Error     float64 // fails, without the agent being called
	Latency   float64 // takes longer, and goes on to the agent
	Hang      float64 // hangs until its context ends; see [middleware.Timeout]
	Panic     float64 // panics
	BadAnswer float64 // gets an answer that is spoilt

	// Errors are what Error fails with, drawn at random. nil: [ErrChaos].
	Errors []error

	// MinLatency and MaxLatency are the range of Latency. Max 0: 1 s, or Min
	// if that is longer.
	MinLatency, MaxLatency time.Duration

	// Spoil makes a bad answer of a good one. nil: the zero value. It must be
	// safe for concurrent use.
	Spoil func(req Req, answer Resp) Resp

	mu     sync.Mutex
	random *rand.Rand
	counts Counts
}

// Counts is what a [Chaos] has done so far. Once no call is under way, Calls is
// the sum of the others.
type Counts struct {
	Calls      int
	LeftAlone  int
	Errors     int
	Delayed    int
	Hung       int
	Panics     int
	BadAnswers int // a call that was to get one, but failed by itself, is left alone
}

func (c Counts) String() string {
	return fmt.Sprintf("%d calls: %d left alone, %d errors, %d delayed, %d hung, %d panics, %d bad answers",
		c.Calls, c.LeftAlone, c.Errors, c.Delayed, c.Hung, c.Panics, c.BadAnswers)
}

// Validate says what is wrong with the settings: the error joins a
// [strategies.ConfigError] for each.
func (c *Chaos[Req, Resp]) Validate() error {
	var errs []error
	refuse := func(setting, problem, fix string) {
		errs = append(errs, &strategies.ConfigError{Setting: "Chaos." + setting, Problem: problem, Fix: fix})
	}
	sum := 0.0
	for _, rate := range c.rates() {
		if !(rate.of >= 0 && rate.of <= 1) { // NaN is neither
			refuse(rate.name, fmt.Sprintf("is %v", rate.of), "use a share of the calls, from 0 to 1")
		}
		sum += rate.of
	}
	if sum > 1+1e-9 && errs == nil { // shares such as 0.1 have no exact sum
		refuse("Error, Latency, Hang, Panic and BadAnswer", fmt.Sprintf("add up to %v", sum), "a call meets one fate at most: keep the sum at 1 or below")
	}
	if slices.Contains(c.Errors, nil) {
		refuse("Errors", "holds a nil error", "an injected failure needs an error")
	}
	if c.MinLatency < 0 || c.MaxLatency < 0 {
		refuse("MinLatency and MaxLatency", fmt.Sprintf("are %v and %v", c.MinLatency, c.MaxLatency), "use durations that are not negative")
	} else if c.MaxLatency != 0 && c.MinLatency > c.MaxLatency {
		refuse("MinLatency", fmt.Sprintf("(%v) is above MaxLatency (%v)", c.MinLatency, c.MaxLatency), "swap them")
	}
	return errors.Join(errs...)
}

type fate uint8

const (
	leftAlone fate = iota
	fails
	delayed
	hangs
	panics
	spoilt
)

type rate struct {
	name string
	fate fate
	of   float64
}

func (c *Chaos[Req, Resp]) rates() [5]rate {
	return [...]rate{
		{"Error", fails, c.Error}, {"Latency", delayed, c.Latency}, {"Hang", hangs, c.Hang},
		{"Panic", panics, c.Panic}, {"BadAnswer", spoilt, c.BadAnswer},
	}
}

// Middleware wraps a runner: pass it as chaos.Middleware, without calling it.
// With settings that make no sense it lets no call through, and answers each
// with the error of Validate.
func (c *Chaos[Req, Resp]) Middleware(next middleware.Runner[Req, Resp]) middleware.Runner[Req, Resp] {
	if err := c.Validate(); err != nil {
		return middleware.Func(func(context.Context, Req) (none Resp, _ error) { return none, err })
	}
	return &disturbed[Req, Resp]{chaos: c, next: middleware.Chain(next)}
}

// Counts returns what was done so far.
func (c *Chaos[Req, Resp]) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

func (c *Chaos[Req, Resp]) count(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

// draw is the fate of the next call, its number, and one more draw for how.
func (c *Chaos[Req, Resp]) draw() (f fate, call int, how float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.random == nil {
		c.random = rand.New(rand.NewPCG(c.Seed, 0))
	}
	// Two draws a call, needed or not: the n-th call must not depend on what
	// the settings made of those before.
	which, how := c.random.Float64(), c.random.Float64()
	c.counts.Calls++
	for _, r := range c.rates() {
		if which -= r.of; which < 0 {
			return r.fate, c.counts.Calls, how
		}
	}
	return leftAlone, c.counts.Calls, how
}

// disturbed is a runner under chaos.
type disturbed[Req, Resp any] struct {
	chaos *Chaos[Req, Resp]
	next  middleware.Runner[Req, Resp]
}

func (d *disturbed[Req, Resp]) Run(ctx context.Context, req Req) (none Resp, _ error) {
	c := d.chaos
	f, call, how := c.draw()
	switch f {
	case fails:
		c.count(&c.counts.Errors)
		if len(c.Errors) == 0 {
			return none, ErrChaos
		}
		return none, c.Errors[int(how*float64(len(c.Errors)))]
	case delayed:
		c.count(&c.counts.Delayed)
		if err := sleep(ctx, c.latency(how)); err != nil {
			return none, err
		}
		return d.next.Run(ctx, req)
	case hangs:
		c.count(&c.counts.Hung)
		if ctx.Done() == nil {
			// It would be for ever, and the test would say nothing of why.
			return none, &strategies.ConfigError{Setting: "Chaos.Hang", Problem: "meets a context that never ends", Fix: "put a Timeout outside of the chaos"}
		}
		<-ctx.Done()
		return none, ctx.Err()
	case panics:
		c.count(&c.counts.Panics)
		panic(fmt.Sprintf("understudy: injected panic in call %d", call))
	case spoilt:
		return d.spoil(ctx, req)
	default:
		c.count(&c.counts.LeftAlone)
		return d.next.Run(ctx, req)
	}
}

func (d *disturbed[Req, Resp]) spoil(ctx context.Context, req Req) (none Resp, _ error) {
	c := d.chaos
	booked := &c.counts.LeftAlone // unless there is an answer to spoil
	defer func() { c.count(booked) }()
	answer, err := d.next.Run(ctx, req)
	if err != nil {
		return answer, err
	}
	booked = &c.counts.BadAnswers
	if c.Spoil == nil {
		return none, nil
	}
	return c.Spoil(req, answer), nil
}

func (c *Chaos[Req, Resp]) latency(how float64) time.Duration {
	most := c.MaxLatency
	if most == 0 {
		most = max(time.Second, c.MinLatency)
	}
	return c.MinLatency + time.Duration(how*float64(most-c.MinLatency))
}
