package strategies_test

import (
	"context"
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
		{"uses the singular", &strategies.RecoveryError{Agent: "narrator", Class: strategies.ClassTransient, Strategy: strategies.StrategyDegradation, Attempts: two[:1]}, `understudy: agent "narrator" failed (transient) after 1 attempt; degradation required: narrator: boom`},
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
		{"does not take a rejection for the end of recovery", &strategies.FullError{}, strategies.ErrRecovery, false},
		{"matches a limit of ours as a deadline", &strategies.TimeoutError{}, context.DeadlineExceeded, true},
		{"does not take a limit of ours for a cancellation", &strategies.TimeoutError{}, context.Canceled, false},
		{"reaches what an agent said when it was stopped", &strategies.TimeoutError{Err: cause}, io.ErrUnexpectedEOF, true},
		{"reaches the cause of an agent's own error", &strategies.AgentError{Err: cause}, io.ErrUnexpectedEOF, true},
		{"reaches an error that was thrown", &strategies.PanicError{Value: cause}, io.ErrUnexpectedEOF, true},
		{"survives a thrown value that is no error", &strategies.PanicError{Value: "text"}, io.ErrUnexpectedEOF, false},
		{"reaches what validation said", &strategies.InvalidAnswerError{Err: cause}, io.ErrUnexpectedEOF, true},
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
		&strategies.ConfigError{}, &strategies.AgentError{}, &strategies.OpenError{}, &strategies.FullError{},
		&strategies.TimeoutError{}, &strategies.PanicError{}, &strategies.InvalidAnswerError{}, &strategies.StreamError{}, &strategies.StreamLimitError{},
		&strategies.RecoveryError{Attempts: make([]strategies.Attempt, 1)}, &strategies.InterventionError{},
	} {
		if text := err.Error(); !strings.HasPrefix(text, "understudy: ") {
			t.Errorf("%T reads %q", err, text)
		}
	}
}
