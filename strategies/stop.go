package strategies

// Stop is a reason not to retry, as a code that does not change: it is a label
// of metrics and a word in stored records. String gives the sentence for people.
// "" is no reason.
type Stop string

const (
	// StopClass: the class table says that it is not retried.
	StopClass Stop = "class_not_retried"
	// StopExhausted: this call has used up its retries.
	StopExhausted Stop = "retries_exhausted"
	// StopSpent: earlier calls have used up the retries, until the agent succeeds.
	StopSpent Stop = "retries_spent"
	// StopBudget: the [Budget] is empty.
	StopBudget Stop = "budget_empty"
	// StopDeadline: the next attempt would miss the deadline.
	StopDeadline Stop = "deadline_too_near"
	// StopRejected: a layer of ours said no before anybody was called.
	StopRejected Stop = "nobody_called"
	// StopOpen: the agent's breaker is open for longer than the next delay.
	StopOpen Stop = "breaker_open"
	// StopRetryAfter: the provider asks for a longer wait than allowed.
	StopRetryAfter Stop = "retry_after_too_long"
	// StopPanic: the schedule, which was the user's, panicked.
	StopPanic Stop = "backoff_panicked"
	// StopLimit: the call has used up its [UsageLimits].
	StopLimit Stop = "usage_limit"
)

// String returns the reason as a sentence for an error or a log line.
func (s Stop) String() string {
	switch s {
	case StopClass:
		return "this class of failure rules it out"
	case StopExhausted:
		return "retries used up"
	case StopSpent:
		return "retries spent by earlier calls, until the agent succeeds"
	case StopBudget:
		return "retry budget empty"
	case StopDeadline:
		return "the next attempt would miss the deadline"
	case StopRejected:
		return "nobody was called"
	case StopOpen:
		return "the circuit breaker is open"
	case StopRetryAfter:
		return "the provider asks for a longer wait than allowed"
	case StopPanic:
		return "the backoff panicked"
	case StopLimit:
		return "the usage limit is reached"
	}
	return string(s)
}
