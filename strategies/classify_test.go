package strategies_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
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
		{"takes an error nobody recognises for transient", errBoom, strategies.Transient},
		{"believes WithClass", strategies.WithClass(strategies.Blocked, errBoom), strategies.Blocked},
		{"finds WithClass below a wrap", wrap(strategies.WithClass(strategies.Blocked, errBoom)), strategies.Blocked},
		{"finds WithClass in a join", errors.Join(errBoom, strategies.WithClass(strategies.Blocked, errBoom)), strategies.Blocked},
		{"believes the first of a join", errors.Join(strategies.WithClass(strategies.Panic, errBoom), strategies.WithClass(strategies.Blocked, errBoom)), strategies.Panic},
		{"believes the outer of two classes", strategies.WithClass(strategies.Overloaded, strategies.WithClass(strategies.Blocked, errBoom)), strategies.Overloaded},
		{"passes by an outer without opinion", strategies.WithClass(strategies.Unclassified, strategies.WithClass(strategies.Blocked, errBoom)), strategies.Blocked},
		{"believes a foreign error's own word", ownError{class: strategies.ContextOverflow}, strategies.ContextOverflow},
		{"takes a class that is none for transient", ownError{class: 99}, strategies.Transient},

		{"sees an unrecoverable AgentError", wrap(&strategies.AgentError{Agent: "a", Err: errBoom}), strategies.Unrecoverable},
		{"leaves a recoverable AgentError to its cause", &strategies.AgentError{Recoverable: true, Err: strategies.WithClass(strategies.RateLimited, errBoom)}, strategies.RateLimited},
		{"takes a recoverable AgentError without cause for transient", &strategies.AgentError{Recoverable: true}, strategies.Transient},
		{"lets an unrecoverable AgentError outrank its cause", &strategies.AgentError{Err: strategies.WithClass(strategies.RateLimited, errBoom)}, strategies.Unrecoverable},

		{"sees an open breaker", &strategies.OpenError{State: strategies.StateOpen, Cause: strategies.WithClass(strategies.RateLimited, errBoom)}, strategies.Rejected},
		{"sees a half-open breaker", &strategies.OpenError{State: strategies.StateHalfOpen}, strategies.Rejected},
		{"sees an isolated breaker", &strategies.OpenError{State: strategies.StateIsolated}, strategies.Rejected},
		{"sees the rate limit behind a held breaker", &strategies.OpenError{State: strategies.StateHeld, Cause: strategies.WithClass(strategies.RateLimited, errBoom)}, strategies.RateLimited},
		{"sees the quota behind a held breaker", &strategies.OpenError{State: strategies.StateHeld, Cause: strategies.WithClass(strategies.QuotaExhausted, errBoom)}, strategies.QuotaExhausted},
		{"sees a rejection when a breaker is held for another cause", &strategies.OpenError{State: strategies.StateHeld, Cause: errBoom}, strategies.Rejected},
		{"sees a rejection when a breaker is held for no cause", &strategies.OpenError{State: strategies.StateHeld}, strategies.Rejected},
		{"sees a full bulkhead", &strategies.FullError{}, strategies.Rejected},
		{"sees a limit of ours", &strategies.TimeoutError{Scope: "attempt", Err: strategies.WithClass(strategies.Blocked, errBoom)}, strategies.Timeout},
		{"sees a panic, whatever was thrown", &strategies.PanicError{Value: strategies.WithClass(strategies.Blocked, errBoom)}, strategies.Panic},
		{"sees an answer that was refused", &strategies.InvalidAnswerError{Err: errBoom}, strategies.InvalidAnswer},
		{"sees an answer longer than its buffer", &strategies.StreamLimitError{}, strategies.ContextOverflow},
		{"sees a wrong setting", &strategies.ConfigError{}, strategies.BadRequest},
		{"sees the class of a RecoveryError", &strategies.RecoveryError{Class: strategies.Overloaded, Attempts: []strategies.Attempt{{Err: strategies.WithClass(strategies.Blocked, errBoom)}}}, strategies.Overloaded},
		{"looks into a RecoveryError without class", &strategies.RecoveryError{Attempts: []strategies.Attempt{{Err: strategies.WithClass(strategies.Blocked, errBoom)}}}, strategies.Blocked},

		{"takes a deadline for a timeout while the caller waits", context.DeadlineExceeded, strategies.Timeout},
		{"takes a wrapped deadline for a timeout", wrap(wrap(context.DeadlineExceeded)), strategies.Timeout},
		{"takes what claims to be a deadline for a timeout", wrap(lateError{}), strategies.Timeout},
		{"takes another call's cancellation for transient", wrap(context.Canceled), strategies.Transient},
		{"does not believe in a cancellation while the caller waits", strategies.WithClass(strategies.Canceled, errBoom), strategies.Transient},

		{"comes to an end with an error that wraps itself", &selfWrapped{}, strategies.Transient},
		{"reads an error that wraps itself", &selfWrapped{class: strategies.Blocked}, strategies.Blocked},
		{"comes to an end with an error that joins itself", &selfJoined{}, strategies.Transient},
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
		{"believes WithRetryAfter", hint(7*time.Second, errBoom), strategies.Transient, 7 * time.Second},
		{"takes class and hint from different layers", hint(7*time.Second, strategies.WithClass(strategies.RateLimited, errBoom)), strategies.RateLimited, 7 * time.Second},
		{"takes them in either order", strategies.WithClass(strategies.RateLimited, hint(7*time.Second, errBoom)), strategies.RateLimited, 7 * time.Second},
		{"takes them from different branches", errors.Join(strategies.WithClass(strategies.RateLimited, errBoom), hint(7*time.Second, errBoom)), strategies.RateLimited, 7 * time.Second},
		{"believes the outer hint", hint(time.Second, hint(time.Hour, errBoom)), strategies.Transient, time.Second},
		{"believes a foreign error's own hint", ownError{strategies.Overloaded, 3 * time.Second}, strategies.Overloaded, 3 * time.Second},
		{"reads how long a breaker is open", &strategies.OpenError{State: strategies.StateOpen, RetryAfter: 9 * time.Second}, strategies.Rejected, 9 * time.Second},
		{"never lets a hint be negative", hint(-time.Hour, errBoom), strategies.Transient, 0},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got := strategies.Classify(tt.err); got.Class != tt.class || got.RetryAfter != tt.want {
				t.Errorf("got %v after %v, want %v after %v", got.Class, got.RetryAfter, tt.class, tt.want)
			}
		})
	}
}

func TestClassifyAgainstTheContext(t *testing.T) {
	rate := strategies.WithRetryAfter(time.Second, strategies.WithClass(strategies.RateLimited, errBoom))
	interrupt := strategies.WithClass(strategies.Interrupt, errBoom)
	cutOff := &strategies.StreamError{Agent: "a", Err: errBoom}

	canceled := func(parent context.Context) context.Context {
		ctx, cancel := context.WithCancel(parent)
		cancel()
		return ctx
	}
	expired := func(parent context.Context) context.Context {
		ctx, cancel := context.WithTimeout(parent, time.Second)
		defer cancel()
		<-ctx.Done()
		return ctx
	}
	ours := func(parent context.Context) context.Context {
		ctx, cancel := context.WithTimeoutCause(parent, time.Second, &strategies.TimeoutError{Scope: "deadline", After: time.Second})
		defer cancel()
		<-ctx.Done()
		return ctx
	}
	wrapped := func(parent context.Context) context.Context {
		ctx, cancel := context.WithCancelCause(parent)
		cancel(fmt.Errorf("too slow: %w", &strategies.TimeoutError{Scope: "attempt"}))
		return ctx
	}
	for _, tt := range []struct {
		it    string
		ctx   func(context.Context) context.Context
		err   error
		class strategies.Class
		hint  time.Duration
	}{
		{"returns at once when the caller has left", canceled, rate, strategies.Canceled, 0},
		{"returns at once when the caller's deadline has passed", expired, rate, strategies.Canceled, 0},
		{"sees a timeout when the deadline was ours", ours, rate, strategies.Timeout, time.Second},
		{"sees a timeout when the cause wraps ours", wrapped, errBoom, strategies.Timeout, 0},
		{"lets an interrupt through even then", canceled, interrupt, strategies.Interrupt, 0},
		{"keeps a stream that was cut off cut off even then", ours, cutOff, strategies.CutOff, 0},
		{"believes the error while the context lives", func(c context.Context) context.Context { return c }, rate, strategies.RateLimited, time.Second},
		{"needs no context", func(context.Context) context.Context { return nil }, rate, strategies.RateLimited, time.Second},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := (&strategies.Classifier{}).Classify(tt.ctx(t.Context()), tt.err)
				if got.Class != tt.class || got.RetryAfter != tt.hint {
					t.Errorf("got %v after %v, want %v after %v", got.Class, got.RetryAfter, tt.class, tt.hint)
				}
			})
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
		{"does not count it when what cut it off does not", strategies.WithClass(strategies.RateLimited, errBoom), false},
		{"looks through a stream in a stream", &strategies.StreamError{Err: errBoom}, true},
		{"counts nothing without a cause", nil, false},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			got := strategies.Classify(&strategies.StreamError{Agent: "a", Chunks: 3, Err: tt.cause})
			if want := (strategies.Verdict{Class: strategies.CutOff, Trips: tt.trips}); got != want {
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
			return strategies.Unclassified
		}
	}
	errOther := errors.New("other")
	c := &strategies.Classifier{
		Rules: []strategies.Rule{
			is(errOther, strategies.Unauthorized),
			is(errOther, strategies.BadRequest),
			is(errBoom, strategies.QuotaExhausted),
		},
		Verdicts: map[strategies.Class]strategies.Verdict{
			strategies.Blocked:        {Class: strategies.Panic, Fallback: true, RetryAfter: time.Hour},
			strategies.QuotaExhausted: {Retry: true, MaxRetries: 7},
		},
	}
	for _, tt := range []struct {
		it   string
		err  error
		want strategies.Verdict
	}{
		{"asks the rules in order, and the first opinion wins", errOther, strategies.VerdictOf(strategies.Unauthorized)},
		{"lets a rule outrank what the error says", strategies.WithClass(strategies.Panic, errOther), strategies.VerdictOf(strategies.Unauthorized)},
		{"keeps the hint when a rule has spoken", strategies.WithRetryAfter(time.Second, errBoom), strategies.Verdict{Class: strategies.QuotaExhausted, Retry: true, MaxRetries: 7, RetryAfter: time.Second}},
		{"replaces a whole row, but neither its class nor the hint", strategies.WithClass(strategies.Blocked, errors.New("x")), strategies.Verdict{Class: strategies.Blocked, Fallback: true}},
		{"leaves the other rows alone", strategies.WithClass(strategies.Panic, errors.New("x")), strategies.VerdictOf(strategies.Panic)},
		{"leaves to the default what no rule knows", errors.New("x"), strategies.VerdictOf(strategies.Transient)},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got := c.Classify(t.Context(), tt.err); got != tt.want {
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
		if got := none.Classify(t.Context(), errBoom).Class; got != strategies.Transient {
			t.Errorf("got %v", got)
		}
	})
	t.Run("it replaces the row of what is unknown through Transient", func(t *testing.T) {
		c := &strategies.Classifier{Verdicts: map[strategies.Class]strategies.Verdict{strategies.Transient: {Intervene: true}}}
		if got, want := c.VerdictOf(99), (strategies.Verdict{Class: strategies.Transient, Intervene: true}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
	t.Run("it lets a rule declare an interrupt, which no context outranks", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		c := &strategies.Classifier{Rules: []strategies.Rule{is(errBoom, strategies.Interrupt)}}
		if got := c.Classify(ctx, errBoom).Class; got != strategies.Interrupt {
			t.Errorf("got %v", got)
		}
	})
}

func TestWithClassAndWithRetryAfter(t *testing.T) {
	t.Run("it leaves nil nil", func(t *testing.T) {
		if strategies.WithClass(strategies.Blocked, nil) != nil || strategies.WithRetryAfter(time.Second, nil) != nil {
			t.Error("nil became an error")
		}
	})
	t.Run("it changes neither text nor identity", func(t *testing.T) {
		err := strategies.WithRetryAfter(time.Second, strategies.WithClass(strategies.Blocked, errBoom))
		if err.Error() != "boom" || !errors.Is(err, errBoom) {
			t.Errorf("got %q", err)
		}
	})
}
