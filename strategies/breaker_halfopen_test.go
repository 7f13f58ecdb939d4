package strategies_test

import (
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

func TestBreakerHalfOpen(t *testing.T) {
	opened := func(b *bench) {
		b.t.Helper()
		b.fail(5)
		time.Sleep(openFor + 1)
	}
	settings := func(trials int) *strategies.Breaker {
		return &strategies.Breaker{NoJitter: true, MaxOpenFor: openFor, Trials: trials}
	}
	inBench(t, "closes after one good trial", settings(0), func(b *bench) {
		opened(b)
		b.succeed()
		b.state(strategies.StateClosed)
	})
	inBench(t, "opens again after one bad one", settings(3), func(b *bench) {
		opened(b)
		b.succeed()
		b.fail(1)
		b.refused(strategies.StateOpen, openFor)
		b.moves(strategies.StateOpen, strategies.StateHalfOpen, strategies.StateOpen)
	})
	inBench(t, "lets as many through as it needs, and no more", settings(3), func(b *bench) {
		opened(b)
		p, q, r := b.allow(), b.allow(), b.allow()
		b.refused(strategies.StateHalfOpen, time.Minute)
		p.Success()
		b.refused(strategies.StateHalfOpen, time.Minute)
		q.Success()
		b.state(strategies.StateHalfOpen)
		r.Success()
		b.state(strategies.StateClosed)
		b.succeed()
	})
	inBench(t, "names the cause while its trials are under way", settings(1), func(b *bench) {
		opened(b)
		b.allow()
		if open := b.refused(strategies.StateHalfOpen, time.Minute); open.Cause != errBoom {
			b.t.Errorf("the cause is %v", open.Cause)
		}
	})
	inBench(t, "gives the slot of a neutral trial to the next", settings(1), func(b *bench) {
		opened(b)
		for range 10 {
			p := b.allow()
			p.Neutral()
		}
		b.state(strategies.StateHalfOpen)
		b.succeed()
		b.state(strategies.StateClosed)
	})
	inBench(t, "gives no slot away when a neutral end is booked twice", settings(1), func(b *bench) {
		opened(b)
		p := b.allow()
		p.Neutral()
		b.allow()
		p.Neutral()
		b.refused(strategies.StateHalfOpen, time.Minute)
	})
	inBench(t, "books a trial once, whatever is said of it later", settings(2), func(b *bench) {
		opened(b)
		p := b.allow()
		p.Success()
		p.Success()
		p.Neutral()
		p.Failure(errBoom)
		b.state(strategies.StateHalfOpen)
		b.succeed()
		b.state(strategies.StateClosed)
	})
	inBench(t, "marks a trial, with its limit", &strategies.Breaker{Failures: 1, NoJitter: true, TrialTimeout: 7 * sec}, func(b *bench) {
		p := b.allow()
		if limit, ok := p.Trial(0); ok || limit != 0 {
			b.t.Errorf("an ordinary call is a trial of %v", limit)
		}
		p.Failure(errBoom)
		time.Sleep(openFor + 1)
		p = b.allow()
		if limit, ok := p.Trial(0); !ok || limit != 7*sec {
			b.t.Errorf("got %v, %v", limit, ok)
		}
	})
	inBench(t, "counts a hung trial as failed when the next call comes", settings(1), func(b *bench) {
		opened(b)
		hung := b.allow()
		time.Sleep(59 * sec)
		b.refused(strategies.StateHalfOpen, sec)
		time.Sleep(sec)
		b.refused(strategies.StateOpen, openFor)
		if b.LastFailure() == nil || b.LastFailure() == errBoom {
			b.t.Errorf("last failure: %v", b.LastFailure())
		}
		hung.Success() // late, but the agent is well
		b.state(strategies.StateClosed)
	})
	inBench(t, "waits for the oldest trial that is under way", settings(2), func(b *bench) {
		opened(b)
		p := b.allow()
		time.Sleep(10 * sec)
		b.allow()
		p.Success()
		b.refused(strategies.StateHalfOpen, time.Minute)
	})
	inBench(t, "lets a trial take longer that shows signs of life", settings(2), func(b *bench) {
		ordinary := b.allow()
		ordinary.Prolong(true, nil) // no trial, nothing to prolong
		opened(b)
		speaking, hung := b.allow(), b.allow()
		speaking.Prolong(true, nil)
		time.Sleep(59 * sec)
		b.refused(strategies.StateHalfOpen, sec) // the other one counts
		hung.Neutral()
		b.succeed()
		time.Sleep(time.Hour)
		b.refused(strategies.StateHalfOpen, 0)
		speaking.Success()
		b.state(strategies.StateClosed)
	})
	inBench(t, "does not let a trial that speaks hide one that hangs", settings(2), func(b *bench) {
		opened(b)
		speaking := b.allow()
		b.allow()
		speaking.Prolong(true, nil)
		time.Sleep(time.Minute)
		b.refused(strategies.StateOpen, openFor)
	})
	inBench(t, "never wedges, though every trial hangs", settings(2), func(b *bench) {
		opened(b)
		for range 20 {
			b.allow()
			b.allow()
			time.Sleep(time.Minute)
			b.refused(strategies.StateOpen, openFor)
			time.Sleep(openFor + 1)
		}
		b.succeed()
		b.succeed()
		b.state(strategies.StateClosed)
	})
}

// Results that come late are of another time (peers' defect D3).
func TestBreakerDropsLateResults(t *testing.T) {
	settings := func() *strategies.Breaker { return &strategies.Breaker{Failures: 2, NoJitter: true} }
	inBench(t, "does not open a half-open breaker for a call from before", settings(), func(b *bench) {
		late := b.allow()
		b.fail(2)
		time.Sleep(openFor + 1)
		trial := b.allow()
		late.Failure(errBoom)
		b.state(strategies.StateHalfOpen)
		trial.Success()
		b.state(strategies.StateClosed)
	})
	inBench(t, "does not close a half-open breaker for a call from before", settings(), func(b *bench) {
		late := b.allow()
		b.fail(2)
		time.Sleep(openFor + 1)
		b.allow()
		late.Success()
		b.state(strategies.StateHalfOpen)
	})
	inBench(t, "does not count a failure from before towards the next opening", settings(), func(b *bench) {
		late := b.allow()
		b.fail(2)
		time.Sleep(openFor + 1)
		b.succeed()
		late.Failure(errBoom)
		b.fail(1)
		b.state(strategies.StateClosed)
	})
	inBench(t, "does not let a success from before wipe out a failure of now", settings(), func(b *bench) {
		late := b.allow()
		b.fail(2)
		time.Sleep(openFor + 1)
		b.succeed()
		b.fail(1)
		late.Success()
		b.fail(1)
		b.state(strategies.StateOpen)
	})
	inBench(t, "takes a trial of the time before for nothing", &strategies.Breaker{Failures: 1, NoJitter: true, MaxOpenFor: openFor, Trials: 2}, func(b *bench) {
		b.fail(1)
		time.Sleep(openFor + 1)
		late := b.allow()
		b.fail(1)
		time.Sleep(openFor + 1)
		b.succeed()
		late.Success()
		b.state(strategies.StateHalfOpen)
		late.Failure(errBoom)
		b.succeed()
		b.state(strategies.StateClosed)
	})
	inBench(t, "forgets calls under way when it is reset", settings(), func(b *bench) {
		p, q := b.allow(), b.allow()
		b.Reset()
		p.Failure(errBoom)
		q.Failure(errBoom)
		b.fail(1)
		b.state(strategies.StateClosed)
	})
	inBench(t, "forgets a trial under way when it is reset", settings(), func(b *bench) {
		b.fail(2)
		time.Sleep(openFor + 1)
		trial := b.allow()
		b.Reset()
		trial.Failure(errBoom)
		b.state(strategies.StateClosed)
		b.fail(2)
		b.state(strategies.StateOpen)
	})
}
