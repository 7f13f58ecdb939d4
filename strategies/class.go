package strategies

import "time"

// Class says what kind of failure an error is. Every layer asks the same
// [Classifier], so retry, breaker, fallback, degrade and intervene cannot
// disagree about one error.
type Class uint8

const (
	// ClassUnclassified is "no opinion": a [Rule] returns it to leave an error to
	// the next rule. No finished verdict carries it for a non-nil error.
	ClassUnclassified Class = iota
	// ClassTransient is everything that may well work the next time, and every
	// error nobody recognises: most errors are worth an attempt.
	ClassTransient
	// ClassTimeout is an attempt that took too long while its caller still waits.
	ClassTimeout
	// ClassRateLimited is "slow down" (HTTP 429, RESOURCE_EXHAUSTED).
	ClassRateLimited
	// ClassOverloaded is a provider without capacity (HTTP 529, overloaded_error).
	ClassOverloaded
	// ClassQuotaExhausted is an account without credit; waiting seconds is useless.
	ClassQuotaExhausted
	// ClassContextOverflow is a request too long for this model's window.
	ClassContextOverflow
	// ClassBlocked is a refusal or a content filter. It is deterministic: asking
	// again costs money and changes nothing.
	ClassBlocked
	// ClassInvalidAnswer is an answer that came and is no good: empty, truncated,
	// or refused by Validate.
	ClassInvalidAnswer
	// ClassUnauthorized is a wrong or missing credential (HTTP 401, 403).
	ClassUnauthorized
	// ClassNotFound is a model, a deployment or an address that is missing, retired
	// or not for this account (HTTP 404, 410), or a wrong address in the settings.
	// It does not heal, and the key is not at fault.
	ClassNotFound
	// ClassBadRequest is a request that this agent cannot serve (HTTP 400, 413, 422).
	// Another provider may: what one refuses, another may accept.
	ClassBadRequest
	// ClassUncertain is a side effect that was dispatched and not heard of: it may
	// have happened. Nobody repeats it and nothing covers it up.
	ClassUncertain
	// ClassUnrecoverable is an agent's own word that only a person can help.
	ClassUnrecoverable
	// ClassPanic is a panic that became an error.
	ClassPanic
	// ClassRejected is a no from our own layers: breaker open, bulkhead full.
	ClassRejected
	// ClassInterrupt is a framework's human-in-the-loop pause. It looks like an
	// error and is none: it passes through every layer untouched.
	ClassInterrupt
	// ClassCutOff is a stream that failed after its first words had reached the
	// caller: nothing may be said twice, so it is final for every layer.
	ClassCutOff
	// ClassCanceled is the caller's context that ended: nobody waits any more.
	ClassCanceled
	// ClassStalled is an attempt that was lost because this process stood still: a
	// laptop that slept, a frozen container. It says nothing about the agent, and
	// the attempt made in its place is no retry.
	ClassStalled
	// ClassOverLimit is an attempt that was not begun, because its call has used up
	// its [UsageLimits]. It says nothing about the agent.
	ClassOverLimit

	classes // how many there are
)

var classNames = [classes]string{
	"unclassified", "transient", "timeout", "rate_limited", "overloaded", "quota_exhausted",
	"context_overflow", "blocked", "invalid_answer", "unauthorized", "not_found", "bad_request",
	"uncertain", "unrecoverable", "panic", "rejected", "interrupt", "cut_off", "canceled", "stalled",
	"over_limit",
}

// Classes returns every class a verdict can carry, in the order of the table.
func Classes() []Class {
	all := make([]Class, 0, classes-1)
	for c := ClassTransient; c < classes; c++ {
		all = append(all, c)
	}
	return all
}

// Verdict is what the classifier says of one error: which layers may act on it,
// and what a layer must know of it besides. A layer reads these fields and names
// no class.
type Verdict struct {
	Class     Class
	Retry     bool // the same agent may be asked again
	Fallback  bool // another agent may be asked
	Degrade   bool // a reduced answer may be given
	Intervene bool // a person may be asked
	Trips     bool // it counts against the circuit breaker

	// The fields below say what a class is, not what is to be done about it.

	// Pass: it is no failure. Every layer hands the error through untouched.
	Pass bool
	// Final: no layer may act on it or wrap it any more. Something has already
	// reached the caller and cannot be taken back.
	Final bool
	// Counted: it is a failure of the agent's own, so its [Tally] counts it. A
	// caller who left and a request nobody can serve are not the agent's fault.
	Counted bool
	// Refused: nobody was called, for a layer of ours said no. The verdict of an
	// earlier failure of the same call, if there is one, decides what comes next.
	Refused bool
	// Holds: the wait that the provider named is for everybody who shares the
	// upstream. The breaker is held for that long; see [Permit.Settle].
	Holds bool
	// Loud: somebody must look at it, whatever became of the call. It does not
	// heal by itself.
	Loud  bool
	Free  bool // the attempt made in its place is no retry
	Renew bool // a credential that is renewed may help; see middleware.Renew

	// MaxRetries caps the retries for this class below the retry layer's own
	// number. 0: no cap of its own.
	MaxRetries int

	// RetryAfter is the provider's hint: not before so long from now. 0: none.
	RetryAfter time.Duration
}

// verdicts is the class table of the design, row by row. It is only ever read.
var verdicts = [classes]Verdict{
	ClassTransient:       {Class: ClassTransient, Retry: true, Fallback: true, Degrade: true, Intervene: true, Trips: true, Counted: true},
	ClassTimeout:         {Class: ClassTimeout, Retry: true, Fallback: true, Degrade: true, Intervene: true, Trips: true, Counted: true},
	ClassRateLimited:     {Class: ClassRateLimited, Retry: true, Fallback: true, Degrade: true, Intervene: true, Counted: true, Holds: true},
	ClassOverloaded:      {Class: ClassOverloaded, Retry: true, Fallback: true, Degrade: true, Intervene: true, Trips: true, Counted: true},
	ClassQuotaExhausted:  {Class: ClassQuotaExhausted, Fallback: true, Degrade: true, Intervene: true, Counted: true, Holds: true},
	ClassContextOverflow: {Class: ClassContextOverflow, Fallback: true, Degrade: true, Intervene: true, Counted: true},
	ClassBlocked:         {Class: ClassBlocked, Degrade: true, Intervene: true, Counted: true},
	ClassInvalidAnswer:   {Class: ClassInvalidAnswer, Retry: true, Fallback: true, Degrade: true, Intervene: true, MaxRetries: 2, Counted: true},
	ClassUnauthorized:    {Class: ClassUnauthorized, Fallback: true, Degrade: true, Intervene: true, Trips: true, Counted: true, Loud: true, Renew: true},
	ClassNotFound:        {Class: ClassNotFound, Fallback: true, Degrade: true, Intervene: true, Trips: true, Counted: true, Loud: true},
	ClassBadRequest:      {Class: ClassBadRequest, Fallback: true},
	ClassUncertain:       {Class: ClassUncertain, Intervene: true, Counted: true, Loud: true}, // Trips as its cause does
	ClassUnrecoverable:   {Class: ClassUnrecoverable, Intervene: true, Counted: true, Loud: true},
	ClassPanic:           {Class: ClassPanic, Fallback: true, Degrade: true, Intervene: true, Trips: true, Counted: true},
	ClassRejected:        {Class: ClassRejected, Fallback: true, Degrade: true, Intervene: true, Counted: true, Refused: true},
	ClassInterrupt:       {Class: ClassInterrupt, Pass: true},
	ClassCutOff:          {Class: ClassCutOff, Final: true, Counted: true}, // Trips as the failure behind it does
	ClassCanceled:        {Class: ClassCanceled},
	ClassStalled:         {Class: ClassStalled, Retry: true, Fallback: true, Degrade: true, Intervene: true, Free: true},
	ClassOverLimit:       {Class: ClassOverLimit, Fallback: true, Degrade: true, Intervene: true, Refused: true},
}

// VerdictOf returns the default verdict of a class: its row of the table.
func VerdictOf(c Class) Verdict {
	if c == ClassUnclassified || c >= classes {
		c = ClassTransient
	}
	return verdicts[c]
}
