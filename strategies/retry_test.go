package strategies_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

var transient = strategies.VerdictOf(strategies.ClassTransient)

func TestRetryNext(t *testing.T) {
	hinted := func(class strategies.Class, d time.Duration) strategies.Verdict {
		v := strategies.VerdictOf(class)
		v.RetryAfter = d
		return v
	}
	perAgent := strategies.Retry{Allowance: strategies.AllowancePerAgent}
	slow := strategies.Retry{Backoff: strategies.Delays{-time.Hour}}
	type state = strategies.RetryState
	for _, tt := range []struct {
		it    string
		retry strategies.Retry
		state state
		want  time.Duration
		stop  strategies.Stop
	}{
		{"waits 1 s first", strategies.Retry{}, state{Verdict: transient}, sec, ""},
		{"waits 2 s next", strategies.Retry{}, state{Verdict: transient, Retries: 1}, 2 * sec, ""},
		{"waits 4 s last", strategies.Retry{}, state{Verdict: transient, Retries: 2}, 4 * sec, ""},
		{"stops after three", strategies.Retry{}, state{Verdict: transient, Retries: 3}, 0, strategies.StopExhausted},
		{"repeats the last delay when there are more", strategies.Retry{MaxRetries: 9}, state{Verdict: transient, Retries: 8}, 4 * sec, ""},
		{"follows its schedule", strategies.Retry{Backoff: strategies.Exponential{Base: 3 * sec}}, state{Verdict: transient, Retries: 1}, 6 * sec, ""},
		{"never waits for less than no time", slow, state{Verdict: transient}, 0, ""},

		{"does not retry what does not pass", strategies.Retry{}, state{Verdict: strategies.VerdictOf(strategies.ClassBlocked)}, 0, strategies.StopClass},
		{"retries a bad answer twice", strategies.Retry{}, state{Verdict: strategies.VerdictOf(strategies.ClassInvalidAnswer), Retries: 1}, 2 * sec, ""},
		{"retries a bad answer no third time", strategies.Retry{}, state{Verdict: strategies.VerdictOf(strategies.ClassInvalidAnswer), Retries: 2}, 0, strategies.StopExhausted},
		{"lets no class have more than its own number", strategies.Retry{MaxRetries: 1}, state{Verdict: strategies.VerdictOf(strategies.ClassInvalidAnswer), Retries: 1}, 0, strategies.StopExhausted},
		{"does not retry once the retries are spent", strategies.Retry{}, state{Verdict: transient, Spent: true}, 0, strategies.StopSpent},

		{"waits for as long as the provider says", strategies.Retry{}, state{Verdict: hinted(strategies.ClassRateLimited, 30*sec)}, 30 * sec, ""},
		{"believes a first hint that is shorter than the schedule", strategies.Retry{}, state{Verdict: hinted(strategies.ClassRateLimited, 300*time.Millisecond), Retries: 1}, 300 * time.Millisecond, ""},
		{"does not believe a second one", strategies.Retry{}, state{Verdict: hinted(strategies.ClassRateLimited, 300*time.Millisecond), Retries: 1, Hinted: true}, 2 * sec, ""},
		{"waits for a second hint that is longer than the schedule", strategies.Retry{}, state{Verdict: hinted(strategies.ClassRateLimited, 30*sec), Retries: 1, Hinted: true}, 30 * sec, ""},
		{"retries nothing where there are to be no retries", strategies.Retry{MaxRetries: strategies.NoRetries}, state{Verdict: transient}, 0, strategies.StopExhausted},
		{"waits for a minute if told to", strategies.Retry{}, state{Verdict: hinted(strategies.ClassRateLimited, time.Minute)}, time.Minute, ""},
		{"waits for no longer", strategies.Retry{}, state{Verdict: hinted(strategies.ClassRateLimited, time.Minute+1)}, 0, strategies.StopRetryAfter},
		{"waits for longer if allowed to", strategies.Retry{MaxRetryAfter: time.Hour}, state{Verdict: hinted(strategies.ClassRateLimited, time.Hour)}, time.Hour, ""},
		{"waits for ten seconds where somebody else can answer", strategies.Retry{}, state{Verdict: hinted(strategies.ClassRateLimited, 10*sec), Substitute: true}, 10 * sec, ""},
		{"waits for no longer there", strategies.Retry{}, state{Verdict: hinted(strategies.ClassRateLimited, 10*sec+1), Substitute: true}, 0, strategies.StopRetryAfter},
		{"waits for longer there too, if allowed to", strategies.Retry{MaxRetryAfter: time.Hour}, state{Verdict: hinted(strategies.ClassRateLimited, time.Hour), Substitute: true}, time.Hour, ""},
		{"says that nobody was called", strategies.Retry{}, state{Verdict: strategies.VerdictOf(strategies.ClassRejected)}, 0, strategies.StopRejected},
		{"retries a refusal where a user's row says so", strategies.Retry{}, state{Verdict: strategies.Verdict{Class: strategies.ClassRejected, Retry: true, Refused: true}}, sec, ""},
		{"retries nothing that is no failure", strategies.Retry{}, state{Verdict: strategies.Verdict{Retry: true, Pass: true}}, 0, strategies.StopClass},
		{"retries nothing that is final", strategies.Retry{}, state{Verdict: strategies.Verdict{Retry: true, Final: true}}, 0, strategies.StopClass},
		{"takes a negative hint for none", strategies.Retry{}, state{Verdict: hinted(strategies.ClassRateLimited, -time.Hour)}, sec, ""},

		{"waits up to the deadline", strategies.Retry{}, state{Verdict: transient, Bounded: true, TimeLeft: sec + 1}, sec, ""},
		{"does not wait until the deadline", strategies.Retry{}, state{Verdict: transient, Bounded: true, TimeLeft: sec}, 0, strategies.StopDeadline},
		{"does not wait when the deadline has passed", strategies.Retry{}, state{Verdict: transient, Bounded: true, TimeLeft: -sec}, 0, strategies.StopDeadline},
		{"does not retry at once at the deadline", strategies.Retry{Backoff: strategies.Delays{0}}, state{Verdict: transient, Bounded: true}, 0, strategies.StopDeadline},
		{"looks at no deadline that is not there", strategies.Retry{}, state{Verdict: transient, TimeLeft: -sec}, sec, ""},
		{"leaves an attempt the time it needs", strategies.Retry{MinAttempt: 5 * sec}, state{Verdict: transient, Bounded: true, TimeLeft: 6 * sec}, sec, ""},
		{"begins no attempt that has less", strategies.Retry{MinAttempt: 5 * sec}, state{Verdict: transient, Bounded: true, TimeLeft: 6*sec - 1}, 0, strategies.StopDeadline},
		{"does not wait for a hint beyond the deadline", strategies.Retry{}, state{Verdict: hinted(strategies.ClassRateLimited, 30*sec), Bounded: true, TimeLeft: 30 * sec}, 0, strategies.StopDeadline},

		{"gives an agent 1 s at its first failed call", perAgent, state{Verdict: transient, Failures: 1}, sec, ""},
		{"gives an agent 2 s at its second", perAgent, state{Verdict: transient, Failures: 2}, 2 * sec, ""},
		{"gives an agent 4 s at its third", perAgent, state{Verdict: transient, Failures: 3}, 4 * sec, ""},
		{"gives an agent nothing after that", perAgent, state{Verdict: transient, Failures: 4}, 0, strategies.StopSpent},
		{"gives an agent one retry a call", perAgent, state{Verdict: transient, Failures: 1, Retries: 1}, 0, strategies.StopExhausted},
		{"asks the schedule for no number below 1", perAgent, state{Verdict: transient}, sec, ""},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			got, stop := tt.retry.Next(tt.state)
			if got != tt.want || stop != tt.stop {
				t.Errorf("got %v %q, want %v %q", got, stop, tt.want, tt.stop)
			}
		})
	}
}

func TestRetryTakesFromTheBudget(t *testing.T) {
	retry := strategies.Retry{Budget: &strategies.Budget{Capacity: 20}}
	ask := func(class strategies.Class, more strategies.RetryState) strategies.Stop {
		more.Verdict = strategies.VerdictOf(class)
		_, stop := retry.Next(more)
		return stop
	}
	for _, step := range []struct {
		it    string
		class strategies.Class
		state strategies.RetryState
		stop  strategies.Stop
		left  int
	}{
		{"takes nothing for a no by class", strategies.ClassBlocked, strategies.RetryState{}, strategies.StopClass, 20},
		{"takes nothing for a no by number", strategies.ClassTransient, strategies.RetryState{Retries: 3}, strategies.StopExhausted, 20},
		{"takes nothing for a no by deadline", strategies.ClassTransient, strategies.RetryState{Bounded: true}, strategies.StopDeadline, 20},
		{"takes 5 for a retry", strategies.ClassTransient, strategies.RetryState{}, "", 15},
		{"takes 10 after a timeout", strategies.ClassTimeout, strategies.RetryState{}, "", 5},
		{"refuses what costs more than there is", strategies.ClassTimeout, strategies.RetryState{}, strategies.StopBudget, 5},
		{"spends the last", strategies.ClassOverloaded, strategies.RetryState{}, "", 0},
		{"refuses everything when it is empty", strategies.ClassTransient, strategies.RetryState{}, strategies.StopBudget, 0},
	} {
		if stop := ask(step.class, step.state); stop != step.stop || retry.Budget.Left() != step.left {
			t.Fatalf("it %s: got %q with %d left, want %q with %d left", step.it, stop, retry.Budget.Left(), step.stop, step.left)
		}
	}
}

func TestRetryWorstCase(t *testing.T) {
	for _, tt := range []struct {
		it           string
		retry        strategies.Retry
		first, worst time.Duration
		asked        time.Duration
		perCall      int
	}{
		{"adds up the default", strategies.Retry{}, sec, 7 * sec, 3 * time.Minute, 3},
		{"adds full jitter", strategies.Retry{Jitter: 0.5}, sec, 10500 * time.Millisecond, 270 * sec, 3},
		{"takes the schedule where it is longer than a hint", strategies.Retry{MaxRetryAfter: 2 * sec}, sec, 7 * sec, 8 * sec, 3},
		{"counts one delay a call, the longest, for PerAgent", strategies.Retry{Allowance: strategies.AllowancePerAgent}, sec, 4 * sec, time.Minute, 1},
		{"finds the longest wherever it is in the schedule", strategies.Retry{Allowance: strategies.AllowancePerAgent, MaxRetryAfter: sec, Backoff: strategies.Delays{9 * sec, sec}}, 9 * sec, 9 * sec, 9 * sec, 1},
		{"saturates", strategies.Retry{MaxRetries: 1000, Backoff: strategies.Delays{forever / 2}}, forever / 2, forever, forever, 1000},
		{"saturates with jitter", strategies.Retry{Jitter: 10, MaxRetries: 1, Backoff: strategies.Delays{forever / 2}}, forever / 2, forever, forever, 1},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if err := tt.retry.Validate(); err != nil {
				t.Fatalf("the case itself is wrong: %v", err)
			}
			want := strategies.RetryWaits{First: tt.first, Plain: tt.worst, Asked: tt.asked}
			if got := tt.retry.Worst(false); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if got := tt.retry.PerCallMax(); got != tt.perCall {
				t.Errorf("PerCallMax is %v, want %v", got, tt.perCall)
			}
		})
	}
}

func TestRetryValidate(t *testing.T) {
	for _, tt := range []struct {
		it      string
		retry   strategies.Retry
		setting string
	}{
		{"accepts the zero value", strategies.Retry{}, ""},
		{"accepts a fleet's settings", strategies.Retry{MaxRetries: 1000, Jitter: 10, Backoff: strategies.Exponential{}, Budget: &strategies.Budget{}, Allowance: strategies.AllowancePerAgent}, ""},
		{"takes a word for no retries", strategies.Retry{MaxRetries: strategies.NoRetries}, ""},
		{"refuses negative retries", strategies.Retry{MaxRetries: -2}, "Retry.MaxRetries"},
		{"refuses more retries than can be computed with", strategies.Retry{MaxRetries: 1001}, "Retry.MaxRetries"},
		{"refuses a negative hint", strategies.Retry{MaxRetryAfter: -1}, "Retry.MaxRetryAfter"},
		{"refuses a negative attempt", strategies.Retry{MinAttempt: -1}, "Retry.MinAttempt"},
		{"refuses an allowance that is none", strategies.Retry{Allowance: 7}, "Retry.Allowance"},
		{"refuses negative jitter", strategies.Retry{Jitter: -0.1}, "Retry.Jitter"},
		{"refuses too much jitter", strategies.Retry{Jitter: 10.1}, "Retry.Jitter"},
		{"refuses jitter that is no number", strategies.Retry{Jitter: math.NaN()}, "Retry.Jitter"},
		{"refuses infinite jitter", strategies.Retry{Jitter: math.Inf(1)}, "Retry.Jitter"},
		{"asks its schedule", strategies.Retry{Backoff: strategies.Delays{}}, "Delays"},
		{"asks its budget", strategies.Retry{Budget: &strategies.Budget{Refund: -1}}, "Budget.Refund"},
	} {
		t.Run("it "+tt.it, func(t *testing.T) { wantSetting(t, tt.retry.Validate(), tt.setting) })
	}
}

func TestRetryString(t *testing.T) {
	for _, tt := range []struct {
		retry strategies.Retry
		want  string
	}{
		{strategies.Retry{}, "3 retries, delays 1s, 2s, 4s"},
		{strategies.Retry{Jitter: 0.25, Backoff: strategies.Exponential{}}, "3 retries, delays 1s × 2^n, at most 1m0s, up to +25% jitter"},
		{strategies.Retry{MaxRetries: 1}, "1 retry, delay 1s"},
		{strategies.Retry{MaxRetries: 5}, "5 retries, delays 1s, 2s, 4s each"},
		{strategies.Retry{MaxRetries: 2, Allowance: strategies.AllowancePerAgent}, "1 retry a call, until 2 failed calls, delays 1s, 2s"},
	} {
		if got := tt.retry.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// FuzzRetryNext holds the arithmetic to its promise: never below the schedule
// nor the hint, never up to the deadline, never more than the jitter on top.
func FuzzRetryNext(f *testing.F) {
	f.Add(int64(sec), 0.25, int64(0), int64(time.Minute), int64(0), true, int64(time.Minute), 1, false)
	f.Add(int64(math.MaxInt64), 10.0, int64(math.MaxInt64), int64(math.MaxInt64), int64(0), false, int64(0), 0, true)
	f.Add(int64(math.MaxInt64), 10.0, int64(5), int64(9), int64(math.MaxInt64), true, int64(math.MaxInt64), 2, false)
	f.Add(int64(-1), -1.0, int64(-1), int64(-1), int64(-1), true, int64(math.MinInt64), -1, true)
	f.Add(int64(1), math.NaN(), int64(math.MinInt64), int64(0), int64(math.MinInt64), true, int64(1), math.MaxInt, false)
	f.Fuzz(func(t *testing.T, delay int64, jitter float64, hint, maxHint, minAttempt int64, bounded bool, timeLeft int64, n int, perAgent bool) {
		retry := strategies.Retry{
			Backoff: strategies.Delays{time.Duration(delay)}, Jitter: jitter,
			MaxRetryAfter: time.Duration(maxHint), MinAttempt: time.Duration(minAttempt),
		}
		if perAgent {
			retry.Allowance = strategies.AllowancePerAgent
		}
		state := strategies.RetryState{Verdict: transient, Retries: n, Failures: n, Bounded: bounded, TimeLeft: time.Duration(timeLeft)}
		state.Verdict.RetryAfter = time.Duration(hint)
		got, stop := retry.Next(state)
		if got < 0 {
			t.Fatalf("%+v %+v: waits %v", retry, state, got)
		}
		if stop != "" {
			if got != 0 {
				t.Errorf("%+v %+v: waits %v in vain: %s", retry, state, got, stop)
			}
			return
		}
		if bounded && got >= state.TimeLeft {
			t.Errorf("%+v %+v: waits %v, up to the deadline", retry, state, got)
		}
		if bounded && retry.MinAttempt > 0 && state.TimeLeft-got < retry.MinAttempt {
			t.Errorf("%+v %+v: waits %v, which leaves too little", retry, state, got)
		}
		least := max(time.Duration(delay), time.Duration(hint))
		if got < least {
			t.Errorf("%+v %+v: waits %v, want at least %v", retry, state, got, least)
		}
		if retry.Validate() != nil {
			return
		}
		if most := float64(least) * (1 + jitter); float64(got) > math.Nextafter(most, math.Inf(1))+1 {
			t.Errorf("%+v %+v: waits %v, want at most %v", retry, state, got, time.Duration(most))
		}
		if worst := retry.Worst(false).Asked; got > worst {
			t.Errorf("%+v %+v: waits %v, the worst case is %v", retry, state, got, worst)
		}
	})
}

func TestStopsAreCodesAndReadAsSentences(t *testing.T) {
	seen := map[string]bool{}
	for _, stop := range []strategies.Stop{
		strategies.StopClass, strategies.StopExhausted, strategies.StopSpent, strategies.StopBudget,
		strategies.StopDeadline, strategies.StopRejected, strategies.StopOpen, strategies.StopRetryAfter,
	} {
		code, sentence := string(stop), stop.String()
		if strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" || seen[code] {
			t.Errorf("%q is no code of its own", code)
		}
		if sentence == code || strings.HasSuffix(sentence, ".") || strings.ToLower(sentence) != sentence {
			t.Errorf("%q does not fit into a line", sentence)
		}
		seen[code] = true
	}
	if got := strategies.Stop("of another version").String(); got != "of another version" {
		t.Errorf("got %q", got)
	}
}

func TestRetryCopy(t *testing.T) {
	delays, budget := strategies.Delays{sec}, &strategies.Budget{}
	given := strategies.Retry{Backoff: delays, Budget: budget}
	kept := given.Copy()
	delays[0] = time.Hour
	if got := kept.Worst(false).First; got != sec {
		t.Errorf("it waits %v: its list of delays was shared", got)
	}
	if kept.Budget != budget {
		t.Error("the budget is not shared")
	}
}

func TestRetryWaitsLessForAProviderWhereSomebodyElseCanAnswer(t *testing.T) {
	var retry strategies.Retry
	if got := retry.Worst(true); got != (strategies.RetryWaits{First: sec, Plain: 7 * sec, Asked: 30 * sec}) {
		t.Errorf("got %+v", got)
	}
}

func TestValidateSaysEverything(t *testing.T) {
	bad := strategies.Exponential{Base: -1, Cap: -1, Factor: 0.5}
	budget := strategies.Budget{Capacity: -1, RetryCost: -1, TimeoutCost: -1, Refund: -1}
	for _, tt := range []struct {
		strategy interface{ Validate() error }
		want     int
	}{
		{&strategies.Retry{MaxRetries: -2, MaxRetryAfter: -1, MinAttempt: -1, Allowance: 9, Jitter: -1, Backoff: bad, Budget: &budget}, 12},
		{strategies.Delays{-1, 0, -2}, 2},
		{bad, 3},
		{&budget, 4},
		{&strategies.Breaker{Failures: -1, MinCalls: -1, Trials: -1, Window: -1, OpenFor: -1, MaxOpenFor: -1, TrialTimeout: -1, Ratio: -1, Jitter: -1}, 10},
		{&strategies.Bulkhead{MaxWait: -1}, 2},
		{&strategies.Ladder{ClimbAfter: -1, MinimumStay: -1, Actions: map[strategies.Level][]string{8: nil, 9: nil}}, 4},
	} {
		joined, ok := tt.strategy.Validate().(interface{ Unwrap() []error })
		if !ok || len(joined.Unwrap()) != tt.want {
			t.Errorf("%T: got %v, want %d problems", tt.strategy, tt.strategy.Validate(), tt.want)
			continue
		}
		for _, err := range joined.Unwrap() {
			if c, ok := err.(*strategies.ConfigError); !ok || c.Setting == "" || c.Problem == "" || c.Fix == "" {
				t.Errorf("%T: %v is no ConfigError in full", tt.strategy, err)
			}
		}
	}
}
