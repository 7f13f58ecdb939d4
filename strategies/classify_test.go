package strategies_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

var errBoom = errors.New("boom")

// selfWrapped and selfJoined are errors without a bottom.
type selfWrapped struct{ class strategies.Class }

func (e *selfWrapped) Error() string                   { return "again" }
func (e *selfWrapped) Unwrap() error                   { return e }
func (e *selfWrapped) RecoveryClass() strategies.Class { return e.class }

type selfJoined struct{}

func (e *selfJoined) Error() string   { return "again and again" }
func (e *selfJoined) Unwrap() []error { return []error{e, nil, e} }

// lateError says it is a deadline the way the standard library lets it.
type lateError struct{}

func (lateError) Error() string        { return "late" }
func (lateError) Is(target error) bool { return target == context.DeadlineExceeded }

// ownError says its own class and hint, as any foreign error may.
type ownError struct {
	class strategies.Class
	hint  time.Duration
}

func (e ownError) Error() string                   { return "own" }
func (e ownError) RecoveryClass() strategies.Class { return e.class }
func (e ownError) RecoveryHint() time.Duration     { return e.hint }

func TestClassify(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("outer: %w", err) }
	for _, tt := range []struct {
		it   string
		err  error
		want strategies.Class
	}{
		{"takes an error nobody recognises for transient", errBoom, strategies.ClassTransient},
		{"believes WithClass", strategies.WithClass(strategies.ClassBlocked, errBoom), strategies.ClassBlocked},
		{"finds WithClass below a wrap", wrap(strategies.WithClass(strategies.ClassBlocked, errBoom)), strategies.ClassBlocked},
		{"finds WithClass in a join", errors.Join(errBoom, strategies.WithClass(strategies.ClassBlocked, errBoom)), strategies.ClassBlocked},
		{"believes the first of a join", errors.Join(strategies.WithClass(strategies.ClassPanic, errBoom), strategies.WithClass(strategies.ClassBlocked, errBoom)), strategies.ClassPanic},
		{"believes the outer of two classes", strategies.WithClass(strategies.ClassOverloaded, strategies.WithClass(strategies.ClassBlocked, errBoom)), strategies.ClassOverloaded},
		{"passes by an outer without opinion", strategies.WithClass(strategies.ClassUnclassified, strategies.WithClass(strategies.ClassBlocked, errBoom)), strategies.ClassBlocked},
		{"believes a foreign error's own word", ownError{class: strategies.ClassContextOverflow}, strategies.ClassContextOverflow},
		{"takes a class that is none for transient", ownError{class: 99}, strategies.ClassTransient},

		{"sees an unrecoverable AgentError", wrap(&strategies.AgentError{Agent: "a", Err: errBoom}), strategies.ClassUnrecoverable},
		{"leaves a recoverable AgentError to its cause", &strategies.AgentError{Recoverable: true, Err: strategies.WithClass(strategies.ClassRateLimited, errBoom)}, strategies.ClassRateLimited},
		{"takes a recoverable AgentError without cause for transient", &strategies.AgentError{Recoverable: true}, strategies.ClassTransient},
		{"lets an unrecoverable AgentError outrank its cause", &strategies.AgentError{Err: strategies.WithClass(strategies.ClassRateLimited, errBoom)}, strategies.ClassUnrecoverable},

		{"sees an open breaker", &strategies.OpenError{State: strategies.StateOpen, Cause: strategies.WithClass(strategies.ClassRateLimited, errBoom)}, strategies.ClassRejected},
		{"sees a half-open breaker", &strategies.OpenError{State: strategies.StateHalfOpen}, strategies.ClassRejected},
		{"sees an isolated breaker", &strategies.OpenError{State: strategies.StateIsolated}, strategies.ClassRejected},
		{"sees the rate limit behind a held breaker", &strategies.OpenError{State: strategies.StateHeld, Cause: strategies.WithClass(strategies.ClassRateLimited, errBoom)}, strategies.ClassRateLimited},
		{"sees the quota behind a held breaker", &strategies.OpenError{State: strategies.StateHeld, Cause: strategies.WithClass(strategies.ClassQuotaExhausted, errBoom)}, strategies.ClassQuotaExhausted},
		{"sees a rejection when a breaker is held for another cause", &strategies.OpenError{State: strategies.StateHeld, Cause: errBoom}, strategies.ClassRejected},
		{"sees a rejection when a breaker is held for no cause", &strategies.OpenError{State: strategies.StateHeld}, strategies.ClassRejected},
		{"sees a full bulkhead", &strategies.FullError{}, strategies.ClassRejected},
		{"sees a turn that would come too late", &strategies.PaceError{}, strategies.ClassRejected},
		{"sees a limit of ours", &strategies.TimeoutError{Limit: "attempt", Err: strategies.WithClass(strategies.ClassBlocked, errBoom)}, strategies.ClassTimeout},
		{"sees a panic, whatever was thrown", &strategies.PanicError{Value: strategies.WithClass(strategies.ClassBlocked, errBoom)}, strategies.ClassPanic},
		{"sees an answer that was refused", &strategies.InvalidAnswerError{Err: errBoom}, strategies.ClassInvalidAnswer},
		{"sees an answer that is no whole one", &strategies.AnswerError{Reason: "max_tokens"}, strategies.ClassInvalidAnswer},
		{"sees what a provider's answer is judged as", &strategies.AnswerError{Class: strategies.ClassBlocked, Err: strategies.WithClass(strategies.ClassRateLimited, errBoom)}, strategies.ClassBlocked},
		{"sees an answer longer than its buffer", &strategies.StreamLimitError{}, strategies.ClassContextOverflow},
		{"sees a wrong setting", &strategies.ConfigError{}, strategies.ClassUnrecoverable},
		{"sees the class of a RecoveryError", &strategies.RecoveryError{Class: strategies.ClassOverloaded, Attempts: []strategies.Attempt{{Err: strategies.WithClass(strategies.ClassBlocked, errBoom)}}}, strategies.ClassOverloaded},
		{"looks into a RecoveryError without class", &strategies.RecoveryError{Attempts: []strategies.Attempt{{Err: strategies.WithClass(strategies.ClassBlocked, errBoom)}}}, strategies.ClassBlocked},

		{"takes a deadline for a timeout while the caller waits", context.DeadlineExceeded, strategies.ClassTimeout},
		{"takes a wrapped deadline for a timeout", wrap(wrap(context.DeadlineExceeded)), strategies.ClassTimeout},
		{"takes what claims to be a deadline for a timeout", wrap(lateError{}), strategies.ClassTimeout},
		{"takes another call's cancellation for transient", wrap(context.Canceled), strategies.ClassTransient},
		{"does not believe in a cancellation while the caller waits", strategies.WithClass(strategies.ClassCanceled, errBoom), strategies.ClassTransient},

		{"comes to an end with an error that wraps itself", &selfWrapped{}, strategies.ClassTransient},
		{"reads an error that wraps itself", &selfWrapped{class: strategies.ClassBlocked}, strategies.ClassBlocked},
		{"comes to an end with an error that joins itself", &selfJoined{}, strategies.ClassTransient},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			got := strategies.Classify(tt.err)
			want := strategies.VerdictOf(tt.want)
			got.RetryAfter = 0
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
	t.Run("it gives no error the zero verdict", func(t *testing.T) {
		if got := strategies.Classify(nil); got != (strategies.Verdict{}) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestClassifyHints(t *testing.T) {
	hint := func(d time.Duration, err error) error { return strategies.WithRetryAfter(d, err) }
	for _, tt := range []struct {
		it    string
		err   error
		class strategies.Class
		want  time.Duration
	}{
		{"believes WithRetryAfter", hint(7*time.Second, errBoom), strategies.ClassTransient, 7 * time.Second},
		{"takes class and hint from different layers", hint(7*time.Second, strategies.WithClass(strategies.ClassRateLimited, errBoom)), strategies.ClassRateLimited, 7 * time.Second},
		{"takes them in either order", strategies.WithClass(strategies.ClassRateLimited, hint(7*time.Second, errBoom)), strategies.ClassRateLimited, 7 * time.Second},
		{"takes them from different branches", errors.Join(strategies.WithClass(strategies.ClassRateLimited, errBoom), hint(7*time.Second, errBoom)), strategies.ClassRateLimited, 7 * time.Second},
		{"believes the outer hint", hint(time.Second, hint(time.Hour, errBoom)), strategies.ClassTransient, time.Second},
		{"believes a foreign error's own hint", ownError{strategies.ClassOverloaded, 3 * time.Second}, strategies.ClassOverloaded, 3 * time.Second},
		{"reads how long a breaker is open", &strategies.OpenError{State: strategies.StateOpen, RetryAfter: 9 * time.Second}, strategies.ClassRejected, 9 * time.Second},
		{"never lets a hint be negative", hint(-time.Hour, errBoom), strategies.ClassTransient, 0},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got := strategies.Classify(tt.err); got.Class != tt.class || got.RetryAfter != tt.want {
				t.Errorf("got %v after %v, want %v after %v", got.Class, got.RetryAfter, tt.class, tt.want)
			}
		})
	}
}

func TestClassifyAStreamCutOff(t *testing.T) {
	for _, tt := range []struct {
		it    string
		cause error
		trips bool
	}{
		{"counts it when what cut it off counts", errBoom, true},
		{"does not count it when what cut it off does not", strategies.WithClass(strategies.ClassRateLimited, errBoom), false},
		{"looks through a stream in a stream", &strategies.StreamError{Err: errBoom}, true},
		{"counts nothing without a cause", nil, false},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			got := strategies.Classify(&strategies.StreamError{Agent: "a", Chunks: 3, Err: tt.cause})
			if want := (strategies.Verdict{Class: strategies.ClassCutOff, Trips: tt.trips, Final: true, Counted: true}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestClassifier(t *testing.T) {
	is := func(target error, class strategies.Class) strategies.Rule {
		return func(err error) strategies.Class {
			if errors.Is(err, target) {
				return class
			}
			return strategies.ClassUnclassified
		}
	}
	errOther := errors.New("other")
	c := &strategies.Classifier{
		Rules: []strategies.Rule{
			is(errOther, strategies.ClassUnauthorized),
			is(errOther, strategies.ClassBadRequest),
			is(errBoom, strategies.ClassQuotaExhausted),
		},
		Verdicts: map[strategies.Class]strategies.Verdict{
			strategies.ClassBlocked:        {Class: strategies.ClassPanic, Fallback: true, RetryAfter: time.Hour},
			strategies.ClassQuotaExhausted: {Retry: true, MaxRetries: 7},
		},
	}
	for _, tt := range []struct {
		it   string
		err  error
		want strategies.Verdict
	}{
		{"asks the rules in order, and the first opinion wins", errOther, strategies.VerdictOf(strategies.ClassUnauthorized)},
		{"lets a rule outrank what the error says", strategies.WithClass(strategies.ClassPanic, errOther), strategies.VerdictOf(strategies.ClassUnauthorized)},
		{"keeps the hint when a rule has spoken", strategies.WithRetryAfter(time.Second, errBoom), strategies.Verdict{Class: strategies.ClassQuotaExhausted, Retry: true, MaxRetries: 7, RetryAfter: time.Second, Counted: true, Holds: true}},
		{"replaces a whole row, but neither its class nor the hint", strategies.WithClass(strategies.ClassBlocked, errors.New("x")), strategies.Verdict{Class: strategies.ClassBlocked, Fallback: true, Counted: true}},
		{"leaves the other rows alone", strategies.WithClass(strategies.ClassPanic, errors.New("x")), strategies.VerdictOf(strategies.ClassPanic)},
		{"leaves to the default what no rule knows", errors.New("x"), strategies.VerdictOf(strategies.ClassTransient)},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got := c.Classify(tt.err); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
	t.Run("it means the default when it is nil", func(t *testing.T) {
		var none *strategies.Classifier
		for _, class := range strategies.Classes() {
			if none.VerdictOf(class) != strategies.VerdictOf(class) {
				t.Errorf("%v differs", class)
			}
		}
		if got := none.Classify(errBoom).Class; got != strategies.ClassTransient {
			t.Errorf("got %v", got)
		}
	})
	t.Run("it replaces the row of what is unknown through Transient", func(t *testing.T) {
		c := &strategies.Classifier{Verdicts: map[strategies.Class]strategies.Verdict{strategies.ClassTransient: {Intervene: true}}}
		if got, want := c.VerdictOf(99), (strategies.Verdict{Class: strategies.ClassTransient, Intervene: true, Counted: true}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("it lets a rule declare an interrupt, which has no hint", func(t *testing.T) {
		c := &strategies.Classifier{Rules: []strategies.Rule{is(errBoom, strategies.ClassInterrupt)}}
		want := strategies.Verdict{Class: strategies.ClassInterrupt, Pass: true}
		if got := c.Classify(strategies.WithRetryAfter(time.Second, errBoom)); got != want {
			t.Errorf("got %+v", got)
		}
	})
}

func TestWithClassAndWithRetryAfter(t *testing.T) {
	t.Run("it leaves nil nil", func(t *testing.T) {
		if strategies.WithClass(strategies.ClassBlocked, nil) != nil || strategies.WithRetryAfter(time.Second, nil) != nil {
			t.Error("nil became an error")
		}
	})
	t.Run("it changes neither text nor identity", func(t *testing.T) {
		err := strategies.WithRetryAfter(time.Second, strategies.WithClass(strategies.ClassBlocked, errBoom))
		if err.Error() != "boom" || !errors.Is(err, errBoom) {
			t.Errorf("got %q", err)
		}
	})
}
