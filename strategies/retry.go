package strategies

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"
)

// Retry says how often and when the same agent is asked again. The zero value
// is the documented default: three retries, after 1 s, 2 s and 4 s, no jitter.
// A fleet should set Jitter, or its members retry in step.
//
// Retry holds no state of its own and is copied freely; the Budget it points to
// is shared.
type Retry struct {
	// MaxRetries is the number of attempts beyond the first. 0 means 3, as a
	// setting that was left out; [NoRetries] means none, for a number that comes
	// from a file.
	MaxRetries int

	// Backoff is the schedule. nil: Delays{1s, 2s, 4s}.
	Backoff Backoff

	// Jitter adds up to this fraction of each delay at random, never takes
	// away. 0: none. 0.25 is a good number for a fleet.
	Jitter float64

	// MaxRetryAfter is the longest hint of a provider that is worth waiting
	// for; a longer one ends the retries at once, so that a stand-in is asked
	// instead. 0: 60 s, enough for a per-minute limit; 10 s where somebody else
	// can answer meanwhile (see RetryState.Substitute).
	MaxRetryAfter time.Duration

	// MinAttempt is the shortest time in which an attempt can succeed. No
	// retry is begun that leaves less before the deadline. 0: any time at all.
	MinAttempt time.Duration

	// Budget bounds the retries of all who share it. nil: one with default
	// numbers for this agent alone.
	Budget *Budget

	// Allowance says what MaxRetries counts. The zero value is AllowancePerCall.
	Allowance Allowance
}

// NoRetries is the MaxRetries of an agent that is asked once. A chain that is
// built without Retry does the same, and has one layer less.
const NoRetries = -1

// Allowance says what the number of retries is counted by.
type Allowance uint8

const (
	// AllowancePerCall gives every call its own retries, until one call has spent them
	// all; then the agent gets one attempt a call until it succeeds.
	AllowancePerCall Allowance = iota
	// AllowancePerAgent gives one retry a failed call, its delay growing with the
	// agent's count of failed calls (1 s, then 2 s, then 4 s), and none once
	// the count is above MaxRetries, until a recovery deletes it.
	AllowancePerAgent
)

var allowanceNames = [...]string{"per_call", "per_agent"}

// RetryState is what a retry layer knows when it asks [Retry.Next].
type RetryState struct {
	Verdict  Verdict
	Retries  int           // made in this call so far
	Hinted   bool          // an earlier retry of this call waited for a provider's hint
	Failures int           // the agent's failed calls, this one included; see [Tally]
	Spent    bool          // an earlier call used up the retries; see [Tally]
	Bounded  bool          // the context has a deadline
	TimeLeft time.Duration // until that deadline, if Bounded
	ShutFor  time.Duration // how long the agent's breaker will let nothing through

	// Substitute: somebody else can answer meanwhile, so a long wait is not
	// worth it. The default of MaxRetryAfter is 10 s then instead of 60 s.
	Substitute bool
}

// Next decides about the retry after a failed attempt: how long to wait, or why
// not to. A delay is never shorter than the provider's hint, and always ends
// before the deadline. The first hint of a call is believed as it is, also where
// it is shorter than the schedule; one that was wrong is not believed again, and
// from then on no delay is shorter than the schedule's either. Saying yes takes
// tokens from the budget.
func (r *Retry) Next(s RetryState) (time.Duration, Stop) {
	step := s.Retries + 1
	switch {
	case !s.Verdict.Retry && s.Verdict.Refused:
		return 0, StopRejected
	case !s.Verdict.Retry, s.Verdict.Pass, s.Verdict.Final:
		return 0, StopClass
	case r.Allowance == AllowancePerAgent:
		// The delay grows with the count of the agent, not of the call.
		if step = max(s.Failures, 1); step > r.Max() {
			return 0, StopSpent
		}
		if s.Retries >= 1 {
			return 0, StopExhausted
		}
	case s.Spent:
		return 0, StopSpent
	case s.Retries >= r.Max(), s.Verdict.MaxRetries > 0 && s.Retries >= s.Verdict.MaxRetries:
		return 0, StopExhausted
	}
	hint := s.Verdict.RetryAfter
	if hint > r.maxRetryAfter(s.Substitute) {
		return 0, StopRetryAfter
	}
	wait := hint
	if hint <= 0 || s.Hinted {
		wait = max(r.backoff().Delay(step), hint, 0)
	}
	delay := jitterUp(wait, r.Jitter)
	if s.Bounded && (delay >= s.TimeLeft || s.TimeLeft-delay < r.MinAttempt) {
		return 0, StopDeadline
	}
	if s.ShutFor > delay {
		return 0, StopOpen // to sleep only to be turned away
	}
	if r.Budget != nil && !r.Budget.Take(s.Verdict.Class) {
		return 0, StopBudget
	}
	return delay, ""
}

// Max returns the number of retries, the default filled in.
func (r *Retry) Max() int { return max(orDefault(r.MaxRetries, 3), 0) }

// PerCallMax returns how many retries one call can make.
func (r *Retry) PerCallMax() int {
	if r.Allowance == AllowancePerAgent {
		return min(r.Max(), 1)
	}
	return r.Max()
}

func (r *Retry) backoff() Backoff {
	if r.Backoff == nil {
		return Delays{time.Second, 2 * time.Second, 4 * time.Second}
	}
	return r.Backoff
}

func (r *Retry) maxRetryAfter(substitute bool) time.Duration {
	if substitute {
		return orDefault(r.MaxRetryAfter, 10*time.Second)
	}
	return orDefault(r.MaxRetryAfter, time.Minute)
}

// RetryWaits is the time that one call can spend waiting between attempts.
type RetryWaits struct {
	First time.Duration // the schedule's first delay, without jitter
	Plain time.Duration // all of them, with full jitter, when no provider asks for more
	Asked time.Duration // the same when providers ask for the longest waits allowed
}

// Worst returns how long one call can wait at most. substitute says that
// somebody else can answer meanwhile; see RetryState.Substitute.
func (r *Retry) Worst(substitute bool) RetryWaits {
	return RetryWaits{First: r.backoff().Delay(1), Plain: r.worst(0), Asked: r.worst(r.maxRetryAfter(substitute))}
}

// Copy returns a copy that shares nothing with r but the Budget: a list of
// delays that its owner changes later does not change the copy. Whoever keeps a
// policy that was given to it keeps a copy.
func (r Retry) Copy() Retry {
	if d, ok := r.Backoff.(Delays); ok {
		r.Backoff = slices.Clone(d)
	}
	return r
}

func (r *Retry) worst(hint time.Duration) time.Duration {
	total := time.Duration(0)
	for n := 1; n <= min(r.Max(), maxMaxRetries); n++ {
		d := scale(max(r.backoff().Delay(n), hint), 1+max(r.Jitter, 0))
		if r.Allowance == AllowancePerAgent {
			total = max(total, d) // the longest of the agent's delays, once
			continue
		}
		if total > math.MaxInt64-d {
			return math.MaxInt64
		}
		total += d
	}
	return total
}

// maxMaxRetries keeps worst cases and schedules computable.
const maxMaxRetries = 1000

// Validate says all that is wrong with the settings, each by its name.
func (r *Retry) Validate() error {
	var p problems
	if r.MaxRetries != NoRetries {
		negative(&p, "Retry.MaxRetries", r.MaxRetries, "leave it 0 for 3; NoRetries, which is -1, means none")
	}
	if r.MaxRetries > maxMaxRetries {
		p.add("Retry.MaxRetries", fmt.Sprintf("is %d", r.MaxRetries), fmt.Sprintf("use at most %d", maxMaxRetries))
	}
	negative(&p, "Retry.MaxRetryAfter", r.MaxRetryAfter, "leave it 0 for 1m")
	negative(&p, "Retry.MinAttempt", r.MinAttempt, "leave it 0 for any time")
	if r.Allowance > AllowancePerAgent {
		p.add("Retry.Allowance", fmt.Sprintf("is %d", r.Allowance), "use AllowancePerCall or AllowancePerAgent")
	}
	p.fractional("Retry.Jitter", r.Jitter, 10, "0 adds none")
	if v := reflect.ValueOf(r.Backoff); v.Kind() == reflect.Pointer && v.IsNil() {
		p.add("Retry.Backoff", "is a nil pointer", "leave it nil for 1s, 2s, 4s")
	} else if r.Backoff != nil {
		p.also(r.Backoff.Validate())
	}
	if r.Budget != nil {
		p.also(r.Budget.Validate())
	}
	return p.err()
}

func retries(n int) string {
	if n == 1 {
		return "1 retry"
	}
	return fmt.Sprintf("%d retries", n)
}

// String describes the settings in a line, for explanations and logs.
func (r Retry) String() string {
	if r.Max() == 0 {
		return "no retries"
	}
	s := retries(r.Max())
	if r.Allowance == AllowancePerAgent {
		s = fmt.Sprintf("1 retry a call, until %d failed calls", r.Max())
	}
	if delays, fixed := r.backoff().(Delays); !fixed {
		s += fmt.Sprintf(", delays %v", r.backoff())
	} else if used := delays[:min(len(delays), r.Max())]; len(used) == 1 && r.Max() == 1 {
		s += fmt.Sprintf(", delay %v", used)
	} else if s += fmt.Sprintf(", delays %v", used); r.Max() > len(used) {
		s += " each" // the last one repeats
	}
	if r.Jitter > 0 {
		s += fmt.Sprintf(", up to %+.0f%% jitter", r.Jitter*100)
	}
	return s
}
