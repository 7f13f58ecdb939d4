package strategies_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/understudy-go/understudy/strategies"
)

// A strategy starts no goroutine, so none is ever left behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a breaker on the test bench: in a bubble, with a few verbs.
type bench struct {
	t *testing.T
	*strategies.Breaker
	changes []strategies.BreakerChange
}

func inBench(t *testing.T, it string, b *strategies.Breaker, f func(b *bench)) {
	t.Helper()
	t.Run("it "+it, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := &bench{t: t, Breaker: b}
			b.Watch(func(c strategies.BreakerChange) { k.changes = append(k.changes, c) })
			f(k)
		})
	})
}

func (b *bench) allow() strategies.Permit {
	b.t.Helper()
	p, err := b.Allow()
	if err != nil {
		b.t.Fatalf("refused: %v", err)
	}
	return p
}

func (b *bench) refused(s strategies.State, after time.Duration) *strategies.OpenError {
	b.t.Helper()
	_, err := b.Allow()
	open, ok := errors.AsType[*strategies.OpenError](err)
	if !ok || open.State != s || open.RetryAfter != after {
		b.t.Fatalf("got %v (%+v), want %v for %v", err, open, s, after)
	}
	return open
}

func (b *bench) succeed() { b.t.Helper(); p := b.allow(); p.Success() }

func (b *bench) fail(n int) {
	b.t.Helper()
	for range n {
		p := b.allow()
		p.Failure(errBoom)
	}
}

func (b *bench) state(want strategies.State) {
	b.t.Helper()
	if got := b.State(); got != want {
		b.t.Fatalf("the breaker is %v, want %v", got, want)
	}
}

// moves are the states that were told of, the first From included.
func (b *bench) moves(want ...strategies.State) {
	b.t.Helper()
	got := []strategies.State{strategies.StateClosed}
	for _, c := range b.changes {
		if c.From != got[len(got)-1] {
			b.t.Errorf("a change begins at %v, the one before ended at %v", c.From, got[len(got)-1])
		}
		got = append(got, c.To)
	}
	if len(got) != len(want)+1 {
		b.t.Fatalf("told of %v, want %v", got[1:], want)
	}
	for i := range want {
		if got[i+1] != want[i] {
			b.t.Fatalf("told of %v, want %v", got[1:], want)
		}
	}
}

const openFor = 30 * time.Second // the default

func TestBreakerOpens(t *testing.T) {
	inBench(t, "opens after five failures in a row", &strategies.Breaker{Name: "b", NoJitter: true}, func(b *bench) {
		b.fail(4)
		b.state(strategies.StateClosed)
		b.fail(1)
		b.state(strategies.StateOpen)
		open := b.refused(strategies.StateOpen, openFor)
		if open.Breaker != "b" || open.Cause != errBoom || b.LastFailure() != errBoom {
			b.t.Errorf("got %+v, last failure %v", open, b.LastFailure())
		}
		want := strategies.BreakerChange{Breaker: "b", From: strategies.StateClosed, To: strategies.StateOpen, At: time.Now(), OpenFor: openFor, Cause: errBoom}
		if len(b.changes) != 1 || b.changes[0] != want {
			b.t.Errorf("told of %+v", b.changes)
		}
	})
	inBench(t, "begins to count anew with every success", &strategies.Breaker{}, func(b *bench) {
		for range 10 {
			b.fail(4)
			b.succeed()
		}
		b.state(strategies.StateClosed)
	})
	inBench(t, "counts as many as it is told to", &strategies.Breaker{Failures: 1}, func(b *bench) {
		b.succeed()
		b.fail(1)
		b.state(strategies.StateOpen)
	})
	inBench(t, "does not count what says nothing about the agent", &strategies.Breaker{Failures: 1}, func(b *bench) {
		for range 10 {
			p := b.allow()
			p.Neutral()
		}
		b.state(strategies.StateClosed)
		if b.LastFailure() != nil {
			b.t.Errorf("last failure %v", b.LastFailure())
		}
	})
	inBench(t, "does not let a neutral end interrupt a run of failures", &strategies.Breaker{Failures: 2}, func(b *bench) {
		b.fail(1)
		p := b.allow()
		p.Neutral()
		b.fail(1)
		b.state(strategies.StateOpen)
	})
	inBench(t, "counts a failure without error, and gives it a name", &strategies.Breaker{Failures: 1}, func(b *bench) {
		p := b.allow()
		p.Failure(nil)
		b.state(strategies.StateOpen)
		if b.LastFailure() == nil {
			b.t.Error("the failure has no name")
		}
	})
	inBench(t, "opens at a ratio within its window", &strategies.Breaker{Window: time.Minute}, func(b *bench) {
		for range 5 {
			b.succeed()
		}
		b.fail(4) // 4 of 9: too few calls
		b.state(strategies.StateClosed)
		b.fail(1) // 5 of 10
		b.state(strategies.StateOpen)
	})
	inBench(t, "counts every success of a healthy window", &strategies.Breaker{Window: time.Minute, MinCalls: 1}, func(b *bench) {
		for range 100 {
			b.succeed()
		}
		b.fail(99) // 99 of 199
		b.state(strategies.StateClosed)
		b.fail(1) // 100 of 200
		b.state(strategies.StateOpen)
	})
	inBench(t, "counts the calls of a window after it has been reset too", &strategies.Breaker{Window: time.Minute, MinCalls: 4, Ratio: 0.75}, func(b *bench) {
		b.fail(3)
		b.Reset()
		b.succeed()
		b.fail(2) // 2 of 3
		b.state(strategies.StateClosed)
		b.fail(1) // 3 of 4
		b.state(strategies.StateOpen)
	})
	inBench(t, "forgets what is older than its window", &strategies.Breaker{Window: time.Minute, MinCalls: 2}, func(b *bench) {
		b.fail(1)
		time.Sleep(2 * time.Minute)
		b.fail(1)
		b.state(strategies.StateClosed)
		b.fail(1)
		b.state(strategies.StateOpen)
	})
	inBench(t, "counts an attempt in the window in which it ends", &strategies.Breaker{Window: time.Minute, MinCalls: 2}, func(b *bench) {
		p, q := b.allow(), b.allow()
		time.Sleep(time.Hour) // gobreaker books by begin, so it would count neither
		p.Failure(errBoom)
		q.Failure(errBoom)
		b.state(strategies.StateOpen)
	})
}

func TestBreakerOpenTime(t *testing.T) {
	inBench(t, "lets nothing through until its time has passed, strictly", &strategies.Breaker{Failures: 1, NoJitter: true, OpenFor: time.Minute}, func(b *bench) {
		b.fail(1)
		time.Sleep(time.Minute - sec)
		b.refused(strategies.StateOpen, sec)
		time.Sleep(sec)
		b.refused(strategies.StateOpen, 1)
		time.Sleep(time.Nanosecond)
		b.succeed()
		b.state(strategies.StateClosed)
		b.moves(strategies.StateOpen, strategies.StateHalfOpen, strategies.StateClosed)
	})
	inBench(t, "can be waited for by the time it names", &strategies.Breaker{Failures: 1}, func(b *bench) {
		b.fail(1)
		for range 2 { // at the very end there is an instant left
			time.Sleep(b.RetryAfter())
		}
		if b.RetryAfter() != 0 {
			b.t.Errorf("%v left", b.RetryAfter())
		}
		b.succeed()
	})
	inBench(t, "names the same time to everyone who asks", &strategies.Breaker{Failures: 1}, func(b *bench) {
		b.fail(1)
		for range 4 {
			_, err := b.Allow()
			if open, ok := errors.AsType[*strategies.OpenError](err); !ok || open.RetryAfter != b.RetryAfter() {
				b.t.Errorf("the error says %v, RetryAfter %v", err, b.RetryAfter())
			}
			time.Sleep(b.RetryAfter() / 2)
		}
	})
	inBench(t, "stays open longer by up to a tenth, at random", &strategies.Breaker{Failures: 1}, func(b *bench) {
		seen := map[time.Duration]bool{}
		for range 50 {
			b.fail(1)
			d := b.RetryAfter()
			seen[d] = true
			if d < openFor || d > openFor+openFor/10 {
				b.t.Errorf("open for %v", d)
			}
			b.Reset()
		}
		if len(seen) < 2 {
			b.t.Error("fifty open times, all the same")
		}
	})
	inBench(t, "can be given more jitter", &strategies.Breaker{Failures: 1, OpenFor: sec, Jitter: 10}, func(b *bench) {
		longest := time.Duration(0)
		for range 50 {
			b.fail(1)
			longest = max(longest, b.RetryAfter())
			b.Reset()
		}
		if longest <= 2*sec || longest > 11*sec {
			b.t.Errorf("longest open time of fifty: %v", longest)
		}
	})
	inBench(t, "doubles its open time with each failed trial, up to the longest", &strategies.Breaker{Failures: 1, NoJitter: true, OpenFor: sec, MaxOpenFor: 5 * sec}, func(b *bench) {
		for i, want := range []time.Duration{sec, 2 * sec, 4 * sec, 5 * sec, 5 * sec} {
			b.fail(1)
			if got := b.RetryAfter(); got != want || b.changes[len(b.changes)-1].OpenFor != want {
				b.t.Fatalf("opening %d lasts %v, want %v", i, got, want)
			}
			time.Sleep(want + 1)
		}
		b.succeed()
		time.Sleep(5 * sec)
		b.fail(1)
		if got := b.RetryAfter(); got != sec {
			b.t.Errorf("after a recovery that lasted it lasts %v", got)
		}
	})
	inBench(t, "goes on doubling when it was closed for less long than it had been open", &strategies.Breaker{Failures: 1, NoJitter: true, OpenFor: sec, MaxOpenFor: time.Hour}, func(b *bench) {
		for _, want := range []time.Duration{sec, 2 * sec, 4 * sec, 8 * sec} {
			b.fail(1)
			b.refused(strategies.StateOpen, want)
			time.Sleep(want + 1)
			b.succeed()
			time.Sleep(want - 1)
		}
	})
	probation := func() *strategies.Breaker { return &strategies.Breaker{Failures: 3, NoJitter: true} }
	reopened := func(b *bench) {
		b.fail(3)
		time.Sleep(openFor + 1)
		b.succeed()
	}
	inBench(t, "counts failures that are not in a row while on probation, and stays open longer", probation(), func(b *bench) {
		reopened(b)
		for range 3 {
			b.state(strategies.StateClosed)
			for range 3 {
				b.succeed()
			}
			b.fail(1)
		}
		b.refused(strategies.StateOpen, 2*openFor)
	})
	inBench(t, "does not mind few failures among many calls while on probation", probation(), func(b *bench) {
		reopened(b)
		for range 9 {
			for range 4 {
				b.succeed()
			}
			b.fail(1)
		}
		b.state(strategies.StateClosed)
	})
	inBench(t, "has served its probation once it was closed for as long as it had been open", probation(), func(b *bench) {
		reopened(b)
		b.fail(2)
		b.succeed()
		time.Sleep(openFor)
		for range 9 {
			b.fail(2)
			b.succeed()
		}
		b.state(strategies.StateClosed)
	})
	inBench(t, "is on no probation where it may not grow", &strategies.Breaker{Failures: 3, NoJitter: true, MaxOpenFor: openFor}, func(b *bench) {
		reopened(b)
		for range 9 {
			b.fail(2)
			b.succeed()
		}
		b.state(strategies.StateClosed)
	})
	inBench(t, "forgets its probation with a reset", probation(), func(b *bench) {
		reopened(b)
		b.Reset()
		for range 9 {
			b.fail(2)
			b.succeed()
		}
		b.state(strategies.StateClosed)
	})
	inBench(t, "grows to four times its open time by default", &strategies.Breaker{Failures: 1, NoJitter: true, OpenFor: sec}, func(b *bench) {
		for _, want := range []time.Duration{sec, 2 * sec, 4 * sec, 4 * sec} {
			b.fail(1)
			b.refused(strategies.StateOpen, want)
			time.Sleep(want + 1)
		}
	})
	inBench(t, "does not grow if it may not", &strategies.Breaker{Failures: 1, NoJitter: true, OpenFor: sec, MaxOpenFor: sec}, func(b *bench) {
		for range 5 {
			b.fail(1)
			b.refused(strategies.StateOpen, sec)
			time.Sleep(sec + 1)
		}
	})
	inBench(t, "can be open for ever", &strategies.Breaker{Failures: 1, OpenFor: forever, MaxOpenFor: forever, Jitter: 10}, func(b *bench) {
		b.succeed()
		time.Sleep(time.Hour)
		b.fail(1)
		time.Sleep(100 * 365 * 24 * time.Hour)
		if _, err := b.Allow(); !errors.Is(err, strategies.ErrRejected) {
			b.t.Errorf("got %v", err)
		}
		b.Reset()
		b.succeed()
	})
}

func TestBreakerValidate(t *testing.T) {
	for _, tt := range []struct {
		it      string
		breaker *strategies.Breaker
		setting string
	}{
		{"accepts the zero value", &strategies.Breaker{}, ""},
		{"accepts a window", &strategies.Breaker{Window: time.Minute, Ratio: 1, MinCalls: 3}, ""},
		{"accepts growth", &strategies.Breaker{OpenFor: sec, MaxOpenFor: sec}, ""},
		{"refuses negative failures", &strategies.Breaker{Failures: -1}, "Breaker.Failures"},
		{"refuses failures that are never reached", &strategies.Breaker{Failures: math.MaxInt}, "Breaker.Failures"},
		{"refuses failures in a row with a window", &strategies.Breaker{Window: time.Minute, Failures: 5}, "Breaker.Failures"},
		{"refuses a least number of calls without a window", &strategies.Breaker{MinCalls: 5}, "Breaker.MinCalls"},
		{"refuses a negative number of calls", &strategies.Breaker{Window: time.Minute, MinCalls: -1}, "Breaker.MinCalls"},
		{"refuses a negative window", &strategies.Breaker{Window: -1}, "Breaker.Window"},
		{"refuses a window too short to divide", &strategies.Breaker{Window: 9}, "Breaker.Window"},
		{"refuses a ratio without a window", &strategies.Breaker{Ratio: 0.5}, "Breaker.Ratio"},
		{"refuses a negative ratio", &strategies.Breaker{Window: sec, Ratio: -0.5}, "Breaker.Ratio"},
		{"refuses a ratio above 1", &strategies.Breaker{Window: sec, Ratio: 1.5}, "Breaker.Ratio"},
		{"refuses a ratio that is no number", &strategies.Breaker{Window: sec, Ratio: math.NaN()}, "Breaker.Ratio"},
		{"refuses a negative open time", &strategies.Breaker{OpenFor: -1}, "Breaker.OpenFor"},
		{"refuses a negative longest open time", &strategies.Breaker{MaxOpenFor: -1}, "Breaker.MaxOpenFor"},
		{"refuses a longest open time below the first", &strategies.Breaker{MaxOpenFor: sec}, "Breaker.MaxOpenFor"},
		{"refuses negative jitter", &strategies.Breaker{Jitter: -1}, "Breaker.Jitter"},
		{"refuses infinite jitter", &strategies.Breaker{Jitter: math.Inf(1)}, "Breaker.Jitter"},
		{"refuses negative trials", &strategies.Breaker{Trials: -1}, "Breaker.Trials"},
		{"refuses trials without end", &strategies.Breaker{Trials: math.MaxInt}, "Breaker.Trials"},
		{"refuses a negative trial", &strategies.Breaker{TrialTimeout: -1}, "Breaker.TrialTimeout"},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			wantSetting(t, tt.breaker.Validate(), tt.setting)
			if tt.setting == "" {
				return
			}
			// Used all the same, it answers each call with what is wrong, and survives the rest.
			for range 2 {
				_, err := tt.breaker.Allow()
				wantSetting(t, err, tt.setting)
			}
			tt.breaker.Hold(time.Hour, errBoom)
			tt.breaker.Isolate()
			tt.breaker.Reset()
			if tt.breaker.State() != strategies.StateClosed || tt.breaker.RetryAfter() != 0 || tt.breaker.LastFailure() != nil {
				t.Errorf("it is %v for %v", tt.breaker.State(), tt.breaker.RetryAfter())
			}
		})
	}
}

func TestBreakerString(t *testing.T) {
	for _, tt := range []struct {
		breaker *strategies.Breaker
		want    string
	}{
		{&strategies.Breaker{}, "opens after 5 failures in a row, for 30s growing to 2m0s"},
		{&strategies.Breaker{MaxOpenFor: openFor}, "opens after 5 failures in a row, for 30s"},
		{&strategies.Breaker{Window: time.Minute, MaxOpenFor: time.Hour}, "opens at 50% failures of at least 10 calls in 1m0s, for 30s growing to 1h0m0s"},
	} {
		if got := tt.breaker.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
