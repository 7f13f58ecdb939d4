package strategies

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Backoff is a schedule: how long to wait before retry number n (1 is the
// first). Jitter is not its business; [Retry] adds it, upward only.
//
// Delay must be safe for concurrent use and is never asked for n below 1.
// Validate says what is wrong with the schedule, if anything.
type Backoff interface {
	Delay(n int) time.Duration
	Validate() error
}

// Delays is a fixed list of delays; the last one repeats. It is the schedule of
// the zero [Retry]: 1 s, 2 s, 4 s.
type Delays []time.Duration

// Delay returns entry n, or the last one.
func (d Delays) Delay(n int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return max(d[min(max(n, 1), len(d))-1], 0)
}

// Validate refuses an empty list and every negative entry.
func (d Delays) Validate() error {
	var p problems
	if len(d) == 0 {
		p.add("Delays", "is empty", "give at least one delay; 0 retries at once")
	}
	for i, delay := range d {
		negative(&p, fmt.Sprintf("Delays[%d]", i), delay, "0 retries at once")
	}
	return p.err()
}

func (d Delays) String() string {
	s := ""
	for i, x := range d {
		if i > 0 {
			s += ", "
		}
		s += x.String()
	}
	return s
}

// Exponential grows by a factor up to a cap: Base × Factor^(n-1), at most Cap.
type Exponential struct {
	Base   time.Duration // before the first retry. 0: 1 s
	Factor float64       // growth. 0: 2
	Cap    time.Duration // the longest delay. 0: 1 min
}

func (e Exponential) defaults() Exponential {
	if e.Base == 0 {
		e.Base = time.Second
	}
	if e.Factor == 0 {
		e.Factor = 2
	}
	if e.Cap == 0 {
		e.Cap = time.Minute
	}
	return e
}

// Delay computes in floating point and compares with the cap before it
// converts, so no n overflows.
func (e Exponential) Delay(n int) time.Duration {
	e = e.defaults()
	d := float64(e.Base) * math.Pow(e.Factor, float64(max(n, 1)-1))
	if math.IsNaN(d) || d >= float64(e.Cap) {
		return max(e.Cap, 0)
	}
	return max(time.Duration(d), 0)
}

// Validate refuses negative durations and a factor that is not a finite number
// of at least 1.
func (e Exponential) Validate() error {
	var p problems
	negative(&p, "Exponential.Base", e.Base, "leave it 0 for 1s")
	negative(&p, "Exponential.Cap", e.Cap, "leave it 0 for 1m")
	if e.Factor != 0 && !(e.Factor >= 1) || math.IsInf(e.Factor, 0) {
		p.add("Exponential.Factor", fmt.Sprintf("is %v", e.Factor), "use a number of at least 1, or 0 for 2")
	}
	if d := e.defaults(); d.Base > d.Cap && e.Cap >= 0 {
		p.add("Exponential.Base", fmt.Sprintf("(%v) is above Exponential.Cap (%v)", d.Base, d.Cap), "raise the cap")
	}
	return p.err()
}

func (e Exponential) String() string {
	e = e.defaults()
	return fmt.Sprintf("%v × %v^n, at most %v", e.Base, e.Factor, e.Cap)
}

// jitterUp adds up to fraction of d at random. It only ever adds, so that
// neither a schedule nor a provider's hint is undershot, and saturates instead
// of overflowing.
func jitterUp(d time.Duration, fraction float64) time.Duration {
	if d <= 0 || !(fraction > 0) {
		return max(d, 0)
	}
	return scale(d, 1+fraction*rand.Float64())
}

func scale(d time.Duration, by float64) time.Duration {
	if x := float64(d) * by; x < float64(math.MaxInt64) {
		return max(time.Duration(x), d)
	}
	return math.MaxInt64
}
