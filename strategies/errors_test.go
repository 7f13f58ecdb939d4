package strategies_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// The texts are what an operator reads at night. They are a contract.
func TestErrorTexts(t *testing.T) {
	two := []strategies.Attempt{
		{Agent: "narrator", Class: strategies.ClassTransient, Err: errBoom},
		{Agent: "archivist", Class: strategies.ClassBlocked, Err: errors.New("no")},
	}
	for _, tt := range []struct {
		it   string
		err  error
		want string
	}{
		{"names the setting, the problem and the fix", &strategies.ConfigError{Setting: "Retry.Jitter", Problem: "is -1", Fix: "use 0"}, `understudy: Retry.Jitter is -1: use 0`},
		{"says nothing of a fix that is not known", &strategies.ConfigError{Setting: "Retry.Jitter", Problem: "is -1"}, `understudy: Retry.Jitter is -1`},
		{"says that an agent cannot recover", &strategies.AgentError{Agent: "narrator", Err: errBoom}, `understudy: agent "narrator": unrecoverable: boom`},
		{"says that an agent can recover", &strategies.AgentError{Agent: "narrator", Recoverable: true, Err: errBoom}, `understudy: agent "narrator": recoverable: boom`},
		{"names no agent that is not known", strategies.Unrecoverable(errBoom), `understudy: unrecoverable: boom`},
		{"says whose answer was no good, and why", &strategies.AnswerError{Provider: "openai", Reason: "content_filter", Text: "a secret", Answer: "a secret", Err: errBoom}, `understudy: unusable answer of openai: content_filter: boom`},
		{"says only that an answer was no good", &strategies.AnswerError{}, `understudy: unusable answer`},
		{"says what is full, whatever it is", &strategies.FullError{What: "the desk", Limit: 1}, `understudy: the desk is full: 1 call in flight (waited 0s)`},
		{"says when the next turn is", &strategies.PaceError{What: `pace "plan"`, Wait: 90 * time.Second}, `understudy: pace "plan" has no turn in time: the next is in 1m30s (waited 0s)`},
		{"says what ended a wait for a turn", &strategies.PaceError{Wait: time.Second, Waited: time.Second, Err: errBoom}, "understudy: pace has no turn in time: the next is in 1s (waited 1s): " + errBoom.Error()},
		{"calls it a bulkhead when it is not named", &strategies.FullError{Limit: 2}, `understudy: bulkhead is full: 2 calls in flight (waited 0s)`},
		{"says for how long a breaker is open, and why", &strategies.OpenError{Breaker: "b", State: strategies.StateOpen, RetryAfter: 1500*time.Millisecond + 1, Cause: errBoom}, `understudy: circuit breaker "b" is open for another 1.5s: last failure: boom`},
		{"says only that a breaker is isolated", &strategies.OpenError{Breaker: "b", State: strategies.StateIsolated}, `understudy: circuit breaker "b" is isolated`},
		{"says how full a bulkhead is", &strategies.FullError{What: `bulkhead "b"`, Limit: 3, Waited: time.Second}, `understudy: bulkhead "b" is full: 3 calls in flight (waited 1s)`},
		{"names the limit that ran out", &strategies.TimeoutError{Limit: "attempt", After: time.Second}, `understudy: attempt timeout after 1s`},
		{"adds what the agent said when it was stopped", &strategies.TimeoutError{Limit: "attempt", After: time.Second, Err: errBoom}, `understudy: attempt timeout after 1s: boom`},
		{"does not say timeout twice", &strategies.TimeoutError{Limit: "attempt", After: time.Second, Err: context.DeadlineExceeded}, `understudy: attempt timeout after 1s`},
		{"says what was thrown", &strategies.PanicError{Value: 42}, `understudy: agent panicked: 42`},
		{"says what was wrong with the answer", &strategies.InvalidAnswerError{Err: errBoom}, `understudy: invalid answer: boom`},
		{"says how far a stream came", &strategies.StreamError{Agent: "narrator", Chunks: 1, Err: errBoom}, `understudy: stream of agent "narrator" cut off after 1 chunk: boom`},
		{"counts the chunks of a stream", &strategies.StreamError{Agent: "narrator", Chunks: 2, Err: errBoom}, `understudy: stream of agent "narrator" cut off after 2 chunks: boom`},
		{"says what to do about an answer that is too long", &strategies.StreamLimitError{Limit: 2}, `understudy: answer is longer than the buffer of 2 chunks: raise Buffer, or deliver it as it comes`},
		{"says that nothing was tried", &strategies.RecoveryError{Agent: "narrator", Class: strategies.ClassBadRequest}, `understudy: agent "narrator" failed (bad_request) after 0 attempts`},
		{"tells the whole story of a recovery", &strategies.RecoveryError{
			Agent: "narrator", Class: strategies.ClassTransient, Strategy: strategies.StrategyUserIntervention, Attempts: two,
			Stop: strategies.StopExhausted, Cause: context.Canceled,
		}, `understudy: agent "narrator" failed (transient) after 2 attempts, no more retries: retries used up; user_intervention required: archivist: no (context canceled)`},
		{"uses the singular", &strategies.RecoveryError{Agent: "narrator", Class: strategies.ClassTransient, Strategy: strategies.StrategyDegradation, Attempts: two[:1]}, `understudy: agent "narrator" failed (transient) after 1 attempt: narrator: boom`},
		{"says what is wrong with a decision", &strategies.InterventionError{Incident: "i1", Problem: "names an unknown agent"}, `understudy: intervention i1: names an unknown agent`},
		{"says what the intervenor said", &strategies.InterventionError{Incident: "i1", Problem: "failed", Err: errBoom}, `understudy: intervention i1: failed: boom`},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestErrorsAreReachable(t *testing.T) {
	cause := fmt.Errorf("cause: %w", io.ErrUnexpectedEOF)
	recovery := &strategies.RecoveryError{
		Attempts: []strategies.Attempt{{Err: cause}, {Err: nil}, {Err: &strategies.OpenError{}}, {Err: &strategies.PanicError{Value: errBoom}}},
		Cause:    context.Canceled,
	}
	for _, tt := range []struct {
		it     string
		err    error
		target error
		want   bool
	}{
		{"matches a wrong setting", &strategies.ConfigError{}, strategies.ErrConfig, true},
		{"matches no other sentinel with a wrong setting", &strategies.ConfigError{}, strategies.ErrRejected, false},
		{"matches an open breaker as rejected", &strategies.OpenError{}, strategies.ErrRejected, true},
		{"reaches the cause of an open breaker", &strategies.OpenError{Cause: cause}, io.ErrUnexpectedEOF, true},
		{"matches a full bulkhead as rejected", &strategies.FullError{}, strategies.ErrRejected, true},
		{"matches a turn that would come too late as rejected", &strategies.PaceError{}, strategies.ErrRejected, true},
		{"does not take a rejection for the end of recovery", &strategies.FullError{}, strategies.ErrRecovery, false},
		{"matches a limit of ours as a deadline", &strategies.TimeoutError{}, context.DeadlineExceeded, true},
		{"does not take a limit of ours for a cancellation", &strategies.TimeoutError{}, context.Canceled, false},
		{"reaches what an agent said when it was stopped", &strategies.TimeoutError{Err: cause}, io.ErrUnexpectedEOF, true},
		{"reaches the cause of an agent's own error", &strategies.AgentError{Err: cause}, io.ErrUnexpectedEOF, true},
		{"reaches an error that was thrown", &strategies.PanicError{Value: cause}, io.ErrUnexpectedEOF, true},
		{"survives a thrown value that is no error", &strategies.PanicError{Value: "text"}, io.ErrUnexpectedEOF, false},
		{"reaches what validation said", &strategies.InvalidAnswerError{Err: cause}, io.ErrUnexpectedEOF, true},
		{"reaches what is behind an answer", &strategies.AnswerError{Err: cause}, io.ErrUnexpectedEOF, true},
		{"reaches what only a person can help with", strategies.Unrecoverable(cause), io.ErrUnexpectedEOF, true},
		{"reaches what cut a stream off", &strategies.StreamError{Err: cause}, io.ErrUnexpectedEOF, true},
		{"reaches what the intervenor said", &strategies.InterventionError{Err: cause}, io.ErrUnexpectedEOF, true},
		{"matches the end of recovery", recovery, strategies.ErrRecovery, true},
		{"reaches the first attempt", recovery, io.ErrUnexpectedEOF, true},
		{"reaches an attempt in the middle", recovery, strategies.ErrRejected, true},
		{"reaches the last attempt", recovery, errBoom, true},
		{"reaches what ended the call", recovery, context.Canceled, true},
		{"reaches nothing that did not happen", recovery, context.DeadlineExceeded, false},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got := errors.Is(tt.err, tt.target); got != tt.want {
				t.Errorf("errors.Is(%v, %v) = %v", tt.err, tt.target, got)
			}
		})
	}
	t.Run("it gives the latest attempt first, the cause last, and no holes", func(t *testing.T) {
		got := recovery.Unwrap()
		want := []error{recovery.Attempts[3].Err, recovery.Attempts[2].Err, cause, context.Canceled}
		if !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
	t.Run("it shows errors.As the latest attempt first", func(t *testing.T) {
		err := &strategies.RecoveryError{Attempts: []strategies.Attempt{
			{Err: &strategies.TimeoutError{After: 1}}, {Err: errBoom}, {Err: &strategies.TimeoutError{After: 2}}, {Err: errBoom},
		}, Cause: &strategies.TimeoutError{After: 3}}
		var late *strategies.TimeoutError
		if !errors.As(err, &late) || late.After != 2 {
			t.Errorf("found %v", late)
		}
	})
	t.Run("it is a timeout to those who ask by method", func(t *testing.T) {
		var err error = &strategies.TimeoutError{}
		if late, ok := err.(interface{ Timeout() bool }); !ok || !late.Timeout() {
			t.Error("it is none")
		}
	})
}

// Every text begins with the library's name, so that a log line can be traced.
func TestErrorTextsBeginWithOurName(t *testing.T) {
	for _, err := range []error{
		strategies.ErrConfig, strategies.ErrRecovery, strategies.ErrRejected,
		&strategies.ConfigError{}, &strategies.AgentError{}, &strategies.OpenError{}, &strategies.FullError{}, &strategies.PaceError{},
		&strategies.TimeoutError{}, &strategies.PanicError{}, &strategies.InvalidAnswerError{}, &strategies.StreamError{}, &strategies.StreamLimitError{},
		&strategies.RecoveryError{Attempts: make([]strategies.Attempt, 1)}, &strategies.InterventionError{},
	} {
		if text := err.Error(); !strings.HasPrefix(text, "understudy: ") {
			t.Errorf("%T reads %q", err, text)
		}
	}
}

func TestUnrecoverable(t *testing.T) {
	if strategies.Unrecoverable(nil) != nil {
		t.Error("nil became an error")
	}
	if got := strategies.Classify(strategies.Unrecoverable(errBoom)).Class; got != strategies.ClassUnrecoverable {
		t.Errorf("got %v", got)
	}
}

func TestRecoveryErrorLast(t *testing.T) {
	attempt := func(class strategies.Class, err error) strategies.Attempt {
		return strategies.Attempt{Class: class, Err: err}
	}
	other := errors.New("other")
	open := attempt(strategies.ClassRejected, &strategies.OpenError{})
	held := attempt(strategies.ClassRateLimited, &strategies.OpenError{State: strategies.StateHeld})
	full := attempt(strategies.ClassRejected, &strategies.FullError{})
	boom, second := attempt(strategies.ClassTransient, errBoom), attempt(strategies.ClassTransient, other)
	for _, tt := range []struct {
		it       string
		attempts []strategies.Attempt
		want     error
	}{
		{"gives the last attempt's", []strategies.Attempt{boom, second}, other},
		{"passes over refusals of our own layers", []strategies.Attempt{boom, second, open, held, full}, other},
		{"finds one between refusals", []strategies.Attempt{open, boom, full}, errBoom},
		{"gives the last refusal when there is nothing else", []strategies.Attempt{open, full}, full.Err},
		{"passes over an attempt without an error", []strategies.Attempt{boom, {}}, errBoom},
		{"gives the cause when nothing was tried", nil, context.Canceled},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got := (&strategies.RecoveryError{Attempts: tt.attempts, Cause: context.Canceled}).Last(); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestErrorsAsJSON(t *testing.T) {
	for _, tt := range []struct {
		it   string
		in   any
		want string
	}{
		{"writes words and texts", &strategies.RecoveryError{
			Agent: "narrator", Strategy: strategies.StrategyDegradation, Class: strategies.ClassRateLimited, Stop: strategies.StopExhausted, Cause: context.Canceled,
			Attempts: []strategies.Attempt{{Agent: "narrator", Class: strategies.ClassTransient, Err: errBoom}, {Agent: "sage"}},
		}, `{"agent":"narrator","strategy":"degradation","class":"rate_limited","attempts":[{"agent":"narrator","class":"transient","error":"boom"},{"agent":"sage","class":"unclassified"}],"stop":"retries_exhausted","cause":"context canceled"}`},
		{"leaves out what is not there", &strategies.RecoveryError{}, `{"agent":"","strategy":"none","class":"unclassified","attempts":[]}`},
		{"writes an attempt by itself", strategies.Attempt{Agent: "sage", Class: strategies.ClassPanic, Err: errBoom}, `{"agent":"sage","class":"panic","error":"boom"}`},
		{"survives an error that cannot say what it is", strategies.Attempt{Err: &hostile{}}, `{"agent":"","class":"unclassified","error":"%!v(PANIC=Error method: Error)"}`},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got, err := json.Marshal(tt.in); err != nil || string(got) != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
	t.Run("it cuts a text that is too long for a record", func(t *testing.T) {
		long := strategies.Attempt{Err: errors.New("x" + strings.Repeat("é", 1<<20))}
		raw, err := json.Marshal(long)
		if err != nil || len(raw) > 17<<10 || !strings.HasSuffix(string(raw), `é…"}`) {
			t.Errorf("%d bytes, %v", len(raw), err)
		}
	})
}
