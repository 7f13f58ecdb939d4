package strategies

import (
	"fmt"
	"math"
	"time"
)

// Validate says what is wrong with the settings, each by its name.
func (b *Breaker) Validate() error {
	switch {
	case b.Failures < 0:
		return negative("Breaker.Failures", b.Failures, "leave it 0 for 5")
	case b.Failures > math.MaxInt32:
		return &ConfigError{Setting: "Breaker.Failures", Problem: fmt.Sprintf("is %d", b.Failures), Fix: "use a number that can be reached"}
	case b.Window < 0:
		return negative("Breaker.Window", b.Window, "leave it 0 for consecutive failures")
	case b.Window > 0 && b.Window < windowBuckets:
		return &ConfigError{Setting: "Breaker.Window", Problem: fmt.Sprintf("is %v", b.Window), Fix: "use at least some seconds"}
	case b.Ratio != 0 && b.Window == 0:
		return &ConfigError{Setting: "Breaker.Ratio", Problem: "is set without Breaker.Window", Fix: "set the window the ratio is taken over"}
	case b.OpenFor < 0:
		return negative("Breaker.OpenFor", b.OpenFor, "leave it 0 for 30s")
	case b.MaxOpenFor < 0:
		return negative("Breaker.MaxOpenFor", b.MaxOpenFor, "leave it 0 for four times Breaker.OpenFor")
	case b.MaxOpenFor > 0 && b.MaxOpenFor < b.openFor():
		return &ConfigError{Setting: "Breaker.MaxOpenFor", Problem: fmt.Sprintf("(%v) is below Breaker.OpenFor (%v)", b.MaxOpenFor, b.openFor()), Fix: "raise it; as long as it means no growth"}
	case b.Trials < 0:
		return negative("Breaker.Trials", b.Trials, "leave it 0 for 1")
	case b.Trials > math.MaxInt32:
		return &ConfigError{Setting: "Breaker.Trials", Problem: fmt.Sprintf("is %d", b.Trials), Fix: "use a few"}
	case b.TrialTimeout < 0:
		return negative("Breaker.TrialTimeout", b.TrialTimeout, "leave it 0 for 60s")
	}
	if err := fractional("Breaker.Ratio", b.Ratio, 1, "0 means 0.5"); err != nil {
		return err
	}
	return fractional("Breaker.Jitter", b.Jitter, 10, "0 means 0.1; NoJitter turns it off")
}

// String describes the settings in a line.
func (b *Breaker) String() string {
	s := fmt.Sprintf("opens after %d failures in a row", b.failures())
	if b.Window > 0 {
		s = fmt.Sprintf("opens at %.0f%% failures of at least %d calls in %v", b.ratio()*100, b.failures(), b.Window)
	}
	s += fmt.Sprintf(", for %v", b.openFor())
	if most := b.maxOpenFor(); most > b.openFor() {
		s += fmt.Sprintf(" growing to %v", most)
	}
	return s
}

func (b *Breaker) failures() int {
	if b.Window > 0 {
		return orDefault(b.Failures, 10)
	}
	return orDefault(b.Failures, 5)
}

func (b *Breaker) ratio() float64 { return orDefault(b.Ratio, 0.5) }

func (b *Breaker) openFor() time.Duration {
	return time.Duration(orDefault(int64(b.OpenFor), int64(30*time.Second)))
}

func (b *Breaker) maxOpenFor() time.Duration {
	if b.MaxOpenFor == 0 {
		return scale(b.openFor(), 4)
	}
	return b.MaxOpenFor
}

func (b *Breaker) trialTimeout() time.Duration {
	return time.Duration(orDefault(int64(b.TrialTimeout), int64(time.Minute)))
}
func (b *Breaker) trialCount() int { return orDefault(b.Trials, 1) }
