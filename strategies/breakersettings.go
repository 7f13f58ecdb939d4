package strategies

import (
	"fmt"
	"math"
	"time"
)

// Validate says all that is wrong with the settings, each by its name.
func (b *Breaker) Validate() error {
	var p problems
	number := func(setting string, value int, fix, most string) {
		negative(&p, setting, value, fix)
		if value > math.MaxInt32 {
			p.add(setting, fmt.Sprintf("is %d", value), most)
		}
	}
	number("Breaker.Failures", b.Failures, "leave it 0 for 5", "use a number that can be reached")
	number("Breaker.MinCalls", b.MinCalls, "leave it 0 for 10", "use a number that can be reached")
	number("Breaker.Trials", b.Trials, "leave it 0 for 1", "use a few")
	number("Breaker.Keys", b.Keys, "leave it 0 for 1", "say how many keys there are")
	negative(&p, "Breaker.Window", b.Window, "leave it 0 for failures in a row")
	if b.Window > 0 && b.Window < windowBuckets {
		p.add("Breaker.Window", fmt.Sprintf("is %v", b.Window), "use at least some seconds")
	}
	if b.Window != 0 && b.Failures != 0 {
		p.add("Breaker.Failures", "is set with Breaker.Window, which counts a ratio and no failures in a row", "set Breaker.MinCalls for the least number of calls, or leave out the window")
	}
	if b.Window == 0 && b.MinCalls != 0 {
		p.add("Breaker.MinCalls", "is set without Breaker.Window", "set the window the calls are counted in, or Breaker.Failures for failures in a row")
	}
	if b.Window == 0 && b.Ratio != 0 {
		p.add("Breaker.Ratio", "is set without Breaker.Window", "set the window the ratio is taken over")
	}
	negative(&p, "Breaker.OpenFor", b.OpenFor, "leave it 0 for 30s")
	negative(&p, "Breaker.MaxOpenFor", b.MaxOpenFor, "leave it 0 for four times Breaker.OpenFor")
	if b.MaxOpenFor > 0 && b.MaxOpenFor < b.openFor() {
		p.add("Breaker.MaxOpenFor", fmt.Sprintf("(%v) is below Breaker.OpenFor (%v)", b.MaxOpenFor, b.openFor()), "raise it; as long as it means no growth")
	}
	negative(&p, "Breaker.TrialTimeout", b.TrialTimeout, "leave it 0 for 60s")
	negative(&p, "Breaker.SlowStart", b.SlowStart, "leave it 0 for 30s after a long outage")
	negative(&p, "Breaker.SlowCall", b.SlowCall, "leave it 0 for an attempt's own timeout")
	negative(&p, "Breaker.MaxHold", b.MaxHold, "leave it 0 for 1h")
	if b.Window > longestWindow {
		p.add("Breaker.Window", fmt.Sprintf("is %v", b.Window), "use minutes, or hours")
	}
	p.fractional("Breaker.Ratio", b.Ratio, 1, "0 means 0.5")
	p.fractional("Breaker.Jitter", b.Jitter, 10, "0 means 0.1; NoJitter turns it off")
	return p.err()
}

// longestWindow is as far as a sum with it stays a time.
const longestWindow = 366 * 24 * time.Hour

// String describes the settings in a line.
func (b *Breaker) String() string {
	s := fmt.Sprintf("opens after %d failures in a row", b.failures())
	if window := b.conf().Window; window > 0 {
		s = fmt.Sprintf("opens at %.0f%% failures of at least %d calls in %v", b.ratio()*100, b.minCalls(), window)
	}
	s += fmt.Sprintf(", for %v", b.openFor())
	if most := b.maxOpenFor(); most > b.openFor() {
		s += fmt.Sprintf(" growing to %v", most)
	}
	return s
}

func (b *Breaker) failures() int  { return orDefault(b.conf().Failures, 5) }
func (b *Breaker) minCalls() int  { return orDefault(b.conf().MinCalls, 10) }
func (b *Breaker) ratio() float64 { return orDefault(b.conf().Ratio, 0.5) }

func (b *Breaker) openFor() time.Duration {
	return orDefault(b.conf().OpenFor, 30*time.Second)
}

func (b *Breaker) maxOpenFor() time.Duration {
	if most := b.conf().MaxOpenFor; most != 0 {
		return most
	}
	return scale(b.openFor(), 4)
}

func (b *Breaker) trialTimeout() time.Duration {
	return orDefault(b.conf().TrialTimeout, time.Minute)
}
func (b *Breaker) trialCount() int { return orDefault(b.conf().Trials, 1) }
