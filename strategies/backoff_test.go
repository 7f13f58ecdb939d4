package strategies_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/understudy-go/understudy/strategies"
)

const (
	forever = time.Duration(math.MaxInt64)
	sec     = time.Second
)

func TestDelays(t *testing.T) {
	for _, tt := range []struct {
		it     string
		delays strategies.Delays
		n      int
		want   time.Duration
	}{
		{"begins with the first", strategies.Delays{sec, 2 * sec, 4 * sec}, 1, sec},
		{"goes on in order", strategies.Delays{sec, 2 * sec, 4 * sec}, 2, 2 * sec},
		{"repeats the last", strategies.Delays{sec, 2 * sec, 4 * sec}, 4, 4 * sec},
		{"repeats the last for ever", strategies.Delays{sec, 2 * sec, 4 * sec}, math.MaxInt, 4 * sec},
		{"takes a number below 1 for the first", strategies.Delays{sec, 2 * sec}, 0, sec},
		{"takes a negative number for the first", strategies.Delays{sec, 2 * sec}, math.MinInt, sec},
		{"waits for nothing when it is empty", nil, 1, 0},
		{"is never negative", strategies.Delays{-sec}, 1, 0},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if got := tt.delays.Delay(tt.n); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("it reads as a list", func(t *testing.T) {
		if got := (strategies.Delays{sec, 2 * sec}).String(); got != "1s, 2s" {
			t.Errorf("got %q", got)
		}
	})
}

func TestExponential(t *testing.T) {
	for _, tt := range []struct {
		it   string
		e    strategies.Exponential
		n    int
		want time.Duration
	}{
		{"begins at 1 s by default", strategies.Exponential{}, 1, sec},
		{"doubles by default", strategies.Exponential{}, 4, 8 * sec},
		{"stops at 1 min by default", strategies.Exponential{}, 7, time.Minute},
		{"never overflows", strategies.Exponential{}, math.MaxInt, time.Minute},
		{"takes a number below 1 for the first", strategies.Exponential{}, math.MinInt, sec},
		{"grows by its factor", strategies.Exponential{Base: sec, Factor: 1.5}, 3, 2250 * time.Millisecond},
		{"may stay the same", strategies.Exponential{Base: sec, Factor: 1}, 1000, sec},
		{"stops at its cap to the nanosecond", strategies.Exponential{Cap: 3*sec + 1}, 3, 3*sec + 1},
		{"begins at its cap if that is its base", strategies.Exponential{Base: sec, Cap: sec}, 1, sec},
		{"reaches the longest cap there is", strategies.Exponential{Cap: forever}, 1000, forever},
		{"survives the largest factor", strategies.Exponential{Factor: math.MaxFloat64, Cap: forever}, 3, forever},
	} {
		t.Run("it "+tt.it, func(t *testing.T) {
			if err := tt.e.Validate(); err != nil {
				t.Fatalf("the case itself is wrong: %v", err)
			}
			if got := tt.e.Delay(tt.n); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("it reads as a formula", func(t *testing.T) {
		if got := (strategies.Exponential{}).String(); got != "1s × 2^n, at most 1m0s" {
			t.Errorf("got %q", got)
		}
	})
}

func TestBackoffValidate(t *testing.T) {
	for _, tt := range []struct {
		it      string
		backoff strategies.Backoff
		setting string // "": valid
	}{
		{"accepts the default", strategies.Exponential{}, ""},
		{"accepts a base up to the cap", strategies.Exponential{Base: sec, Cap: sec}, ""},
		{"refuses a negative base", strategies.Exponential{Base: -1}, "Exponential.Base"},
		{"refuses a negative cap", strategies.Exponential{Cap: -1}, "Exponential.Cap"},
		{"refuses a base above the cap", strategies.Exponential{Base: sec + 1, Cap: sec}, "Exponential.Base"},
		{"refuses a base above the default cap, which would shorten it", strategies.Exponential{Base: 5 * time.Minute}, "Exponential.Base"},
		{"refuses a cap below the default base", strategies.Exponential{Cap: time.Millisecond}, "Exponential.Base"},
		{"refuses to shrink", strategies.Exponential{Factor: 0.5}, "Exponential.Factor"},
		{"refuses a negative factor", strategies.Exponential{Factor: -2}, "Exponential.Factor"},
		{"refuses an infinite factor", strategies.Exponential{Factor: math.Inf(1)}, "Exponential.Factor"},
		{"refuses a factor of minus infinity", strategies.Exponential{Factor: math.Inf(-1)}, "Exponential.Factor"},
		{"refuses a factor that is no number", strategies.Exponential{Factor: math.NaN()}, "Exponential.Factor"},
		{"accepts a list", strategies.Delays{0, sec}, ""},
		{"refuses an empty list", strategies.Delays{}, "Delays"},
		{"refuses a negative entry, by its place", strategies.Delays{sec, -sec}, "Delays[1]"},
	} {
		t.Run("it "+tt.it, func(t *testing.T) { wantSetting(t, tt.backoff.Validate(), tt.setting) })
	}
}

// wantSetting fails unless err is a ConfigError that names setting, or nil for "".
func wantSetting(t *testing.T, err error, setting string) {
	t.Helper()
	if setting == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	config, ok := errors.AsType[*strategies.ConfigError](err)
	switch {
	case !ok:
		t.Errorf("got %v, want a ConfigError", err)
	case config.Setting != setting:
		t.Errorf("it names %q, want %q", config.Setting, setting)
	case config.Problem == "" || config.Fix == "":
		t.Errorf("it says too little: %+v", config)
	}
}

func FuzzExponential(f *testing.F) {
	f.Add(int64(sec), 2.0, int64(time.Minute), 3)
	f.Add(int64(1), math.MaxFloat64, int64(math.MaxInt64), math.MaxInt)
	f.Add(int64(-1), -2.0, int64(-1), -1)
	f.Add(int64(math.MaxInt64), 1.0, int64(math.MaxInt64), 2)
	f.Add(int64(0), math.NaN(), int64(math.MinInt64), 63)
	f.Add(int64(math.MinInt64), math.Inf(-1), int64(0), 64)
	f.Fuzz(func(t *testing.T, base int64, factor float64, most int64, n int) {
		e := strategies.Exponential{Base: time.Duration(base), Factor: factor, Cap: time.Duration(most)}
		d := e.Delay(n)
		if d < 0 {
			t.Fatalf("%+v: retry %d after %v", e, n, d)
		}
		if e.Validate() != nil {
			return
		}
		limit := e.Cap
		if limit == 0 {
			limit = time.Minute
		}
		if d > limit {
			t.Errorf("%+v: retry %d after %v, above the cap", e, n, d)
		}
		if n < math.MaxInt && e.Delay(n+1) < d {
			t.Errorf("%+v: the delay shrinks from %v to %v", e, d, e.Delay(n+1))
		}
		if first := e.Delay(1); d < first {
			t.Errorf("%+v: retry %d after %v, below the first's %v", e, n, d, first)
		}
	})
}

func FuzzDelays(f *testing.F) {
	f.Add(int64(sec), int64(2*sec), 1)
	f.Add(int64(-1), int64(math.MinInt64), math.MaxInt)
	f.Add(int64(0), int64(math.MaxInt64), math.MinInt)
	f.Fuzz(func(t *testing.T, first, second int64, n int) {
		delays := strategies.Delays{time.Duration(first), time.Duration(second)}
		want := delays[1]
		if n <= 1 {
			want = delays[0]
		}
		if got := delays.Delay(n); got != max(want, 0) {
			t.Errorf("%v: retry %d after %v", delays, n, got)
		}
		if valid := delays.Validate() == nil; valid != (first >= 0 && second >= 0) {
			t.Errorf("%v: valid is %v", delays, valid)
		}
	})
}
