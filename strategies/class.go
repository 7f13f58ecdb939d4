package strategies

import "time"

// Class says what kind of failure an error is. Every layer asks the same
// [Classifier], so retry, breaker, fallback, degrade and intervene cannot
// disagree about one error.
type Class uint8

const (
	// Unclassified is "no opinion": a [Rule] returns it to leave an error to
	// the next rule. No finished verdict carries it for a non-nil error.
	Unclassified Class = iota
	// Transient is everything that may well work the next time, and every
	// error nobody recognises: most errors are worth an attempt.
	Transient
	// Timeout is an attempt that took too long while its caller still waits.
	Timeout
	// RateLimited is "slow down" (HTTP 429, RESOURCE_EXHAUSTED).
	RateLimited
	// Overloaded is a provider without capacity (HTTP 529, overloaded_error).
	Overloaded
	// QuotaExhausted is an account without credit; waiting seconds is useless.
	QuotaExhausted
	// ContextOverflow is a request too long for this model's window.
	ContextOverflow
	// Blocked is a refusal or a content filter. It is deterministic: asking
	// again costs money and changes nothing.
	Blocked
	// InvalidAnswer is an answer that came and is no good: empty, truncated,
	// or refused by Validate.
	InvalidAnswer
	// Unauthorized is a wrong or missing credential (HTTP 401, 403).
	Unauthorized
	// BadRequest is a request nobody can serve (HTTP 400, 413, 422).
	BadRequest
	// Unrecoverable is an agent's own word that only a person can help.
	Unrecoverable
	// Panic is a panic that became an error.
	Panic
	// Rejected is a no from our own layers: breaker open, bulkhead full.
	Rejected
	// Interrupt is a framework's human-in-the-loop pause. It looks like an
	// error and is none: it passes through every layer untouched.
	Interrupt
	// CutOff is a stream that failed after its first words had reached the
	// caller: nothing may be said twice, so it is final for every layer.
	CutOff
	// Canceled is the caller's context that ended: nobody waits any more.
	Canceled

	classes // how many there are
)

var classNames = [classes]string{
	"unclassified", "transient", "timeout", "rate_limited", "overloaded", "quota_exhausted",
	"context_overflow", "blocked", "invalid_answer", "unauthorized", "bad_request",
	"unrecoverable", "panic", "rejected", "interrupt", "cut_off", "canceled",
}

// String returns the class as it appears in logs and metrics: lower case, with
// underscores.
func (c Class) String() string {
	if c < classes {
		return classNames[c]
	}
	return "unknown"
}

// Classes returns every class a verdict can carry, in the order of the table.
func Classes() []Class {
	all := make([]Class, 0, classes-1)
	for c := Transient; c < classes; c++ {
		all = append(all, c)
	}
	return all
}

// Verdict is what the classifier says of one error: which layers may act on it.
type Verdict struct {
	Class     Class
	Retry     bool // the same agent may be asked again
	Fallback  bool // another agent may be asked
	Degrade   bool // a reduced answer may be given
	Intervene bool // a person may be asked
	Trips     bool // it counts against the circuit breaker

	// MaxRetries caps the retries for this class below the retry layer's own
	// number. 0: no cap of its own.
	MaxRetries int

	// RetryAfter is the provider's hint: not before so long from now. 0: none.
	RetryAfter time.Duration
}

// verdicts is the class table of the design, row by row. It is only ever read.
var verdicts = [classes]Verdict{
	Transient:       {Retry: true, Fallback: true, Degrade: true, Intervene: true, Trips: true},
	Timeout:         {Retry: true, Fallback: true, Degrade: true, Intervene: true, Trips: true},
	RateLimited:     {Retry: true, Fallback: true, Degrade: true, Intervene: true},
	Overloaded:      {Retry: true, Fallback: true, Degrade: true, Intervene: true, Trips: true},
	QuotaExhausted:  {Fallback: true, Degrade: true, Intervene: true},
	ContextOverflow: {Fallback: true, Degrade: true, Intervene: true},
	Blocked:         {Degrade: true, Intervene: true},
	InvalidAnswer:   {Retry: true, Fallback: true, Degrade: true, Intervene: true, MaxRetries: 2},
	Unauthorized:    {Fallback: true, Degrade: true, Intervene: true, Trips: true},
	BadRequest:      {},
	Unrecoverable:   {Intervene: true},
	Panic:           {Fallback: true, Degrade: true, Intervene: true, Trips: true},
	Rejected:        {Fallback: true, Degrade: true, Intervene: true},
	Interrupt:       {},
	CutOff:          {}, // Trips as the failure behind it does
	Canceled:        {},
}

// VerdictOf returns the default verdict of a class: its row of the table.
func VerdictOf(c Class) Verdict {
	if c == Unclassified || c >= classes {
		c = Transient
	}
	v := verdicts[c]
	v.Class = c
	return v
}
