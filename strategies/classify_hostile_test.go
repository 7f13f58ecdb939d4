package strategies_test

import (
	"errors"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

// hostile is an error whose every method panics, save those it is told to answer.
type hostile struct{ wraps error }

func (e *hostile) Error() string                   { panic("Error") }
func (e *hostile) Is(error) bool                   { panic("Is") }
func (e *hostile) As(any) bool                     { panic("As") }
func (e *hostile) RecoveryClass() strategies.Class { panic("RecoveryClass") }
func (e *hostile) RecoveryHint() time.Duration     { panic("RecoveryHint") }
func (e *hostile) Timeout() bool                   { panic("Timeout") }
func (e *hostile) StatusCode() int                 { panic("StatusCode") }
func (e *hostile) Unwrap() error                   { return e.wraps }

// opaque panics when it is unwrapped, as well.
type opaque struct{ hostile }

func (e *opaque) Unwrap() error { panic("Unwrap") }

type opaqueJoin struct{ hostile }

func (e *opaqueJoin) Unwrap() []error { panic("Unwrap") }

func TestClassifySurvivesStrangers(t *testing.T) {
	blocked := strategies.WithClass(strategies.ClassBlocked, errBoom)
	ring := &strategies.OpenError{State: strategies.StateHeld}
	ring.Cause = errors.Join(ring, ring)
	stream := &strategies.StreamError{}
	stream.Err = stream
	recovery := &strategies.RecoveryError{}
	recovery.Cause = recovery
	recovery.Attempts = []strategies.Attempt{{Err: recovery}, {Err: recovery}}
	for _, tt := range []struct {
		it   string
		err  error
		want strategies.Class
	}{
		{"reads past an error whose methods panic", &hostile{wraps: blocked}, strategies.ClassBlocked},
		{"stops at an error that cannot be unwrapped", &opaque{hostile{wraps: blocked}}, strategies.ClassTransient},
		{"stops at a join that cannot be unwrapped", &opaqueJoin{}, strategies.ClassTransient},
		{"goes on behind it in a join", errors.Join(&opaque{}, blocked), strategies.ClassBlocked},
		{"survives a nil pointer of a stranger", (*opaque)(nil), strategies.ClassTransient},
		{"survives a nil OpenError", (*strategies.OpenError)(nil), strategies.ClassTransient},
		{"survives a nil RecoveryError", (*strategies.RecoveryError)(nil), strategies.ClassTransient},
		{"survives a nil AgentError", (*strategies.AgentError)(nil), strategies.ClassTransient},
		{"survives a nil InvalidAnswerError", (*strategies.InvalidAnswerError)(nil), strategies.ClassInvalidAnswer},
		{"survives a nil TimeoutError", (*strategies.TimeoutError)(nil), strategies.ClassTimeout},
		{"survives a nil PanicError", (*strategies.PanicError)(nil), strategies.ClassPanic},
		{"survives a nil StreamError", (*strategies.StreamError)(nil), strategies.ClassCutOff},
		{"ends with a held breaker that is its own cause", ring, strategies.ClassRejected},
		{"ends with a stream that is its own cause", stream, strategies.ClassCutOff},
		{"ends with a RecoveryError that is its own attempt", recovery, strategies.ClassTransient},
		{"ends with a cut-off that wraps itself", &selfWrapped{class: strategies.ClassCutOff}, strategies.ClassCutOff},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got := strategies.Classify(tt.err).Class; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("it takes a rule that panics for one without an opinion", func(t *testing.T) {
		c := &strategies.Classifier{Rules: []strategies.Rule{
			nil,
			func(error) strategies.Class { panic("rule") },
			func(error) strategies.Class { return strategies.ClassPanic },
		}}
		if got := c.Classify(errBoom).Class; got != strategies.ClassPanic {
			t.Errorf("got %v", got)
		}
	})
}

func TestClassifyReadsTheLatestAttemptFirst(t *testing.T) {
	hint := func(class strategies.Class, d time.Duration) strategies.Attempt {
		return strategies.Attempt{Err: strategies.WithClass(class, strategies.WithRetryAfter(d, errBoom))}
	}
	err := &strategies.RecoveryError{Attempts: []strategies.Attempt{hint(strategies.ClassBlocked, time.Hour), hint(strategies.ClassOverloaded, time.Second)}}
	if v := strategies.Classify(err); v.Class != strategies.ClassOverloaded || v.RetryAfter != time.Second {
		t.Errorf("got %v after %v", v.Class, v.RetryAfter)
	}
}

func TestVerdictsOfUsersBreakNoPromise(t *testing.T) {
	c := &strategies.Classifier{Verdicts: map[strategies.Class]strategies.Verdict{}}
	for _, class := range strategies.Classes() {
		c.Verdicts[class] = strategies.Verdict{Retry: true}
	}
	for _, class := range strategies.Classes() {
		want := strategies.VerdictOf(class)
		want.Retry, want.Fallback, want.Degrade, want.Intervene, want.Trips, want.MaxRetries = true, false, false, false, false, 0
		if got := c.VerdictOf(class); got != want {
			t.Errorf("%v:\ngot  %+v\nwant %+v", class, got, want)
		}
	}
	t.Run("it lets a row add what it may not take away", func(t *testing.T) {
		c.Verdicts[strategies.ClassBadRequest] = strategies.Verdict{Pass: true, Final: true, Refused: true, Counted: true, Holds: true, Loud: true}
		want := strategies.Verdict{Class: strategies.ClassBadRequest, Counted: true, Holds: true, Loud: true}
		if got := c.VerdictOf(strategies.ClassBadRequest); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// ours are the errors that a chain judges most often.
var ours = []struct {
	name string
	err  error
}{
	{"open", &strategies.OpenError{State: strategies.StateOpen, RetryAfter: time.Second, Cause: errBoom}},
	{"full", &strategies.FullError{}},
	{"late", &strategies.PaceError{}},
	{"timeout", &strategies.TimeoutError{After: time.Second}},
	{"panic", &strategies.PanicError{Value: "x"}},
	{"invalid", &strategies.InvalidAnswerError{Err: errBoom}},
	{"recovery", &strategies.RecoveryError{Class: strategies.ClassTransient, Attempts: []strategies.Attempt{{Err: errBoom}, {Err: errBoom}}}},
	{"plain", errBoom},
}

func TestJudgingOurOwnErrorsAllocatesNothing(t *testing.T) {
	for _, own := range ours {
		if n := testing.AllocsPerRun(100, func() { strategies.Classify(own.err) }); n != 0 {
			t.Errorf("%s: %v allocations", own.name, n)
		}
	}
}

func BenchmarkClassify(b *testing.B) {
	for _, own := range ours {
		b.Run(own.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				strategies.Classify(own.err)
			}
		})
	}
}
